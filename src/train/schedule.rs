//! How long a run is, and what happens at which of its steps.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How long to train and when to look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Images a step; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Steps after which the validation images are evaluated; 0 is before training.
    pub evaluate_at: BTreeSet<u64>,
    /// Whether to end with the weights of the least validation loss, not with the last.
    pub keep_best: bool,
    /// The last step after which held signs are held; none for all.
    pub release_at: Option<u64>,
}

impl Schedule {
    /// Whether the validation images are evaluated after step `step`; they always are at the end.
    pub(super) fn looks_at(&self, step: u64) -> bool {
        step == self.steps || self.evaluate_at.contains(&step)
    }
}
