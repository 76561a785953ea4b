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
    /// The learning rate over these steps.
    #[serde(default, skip_serializing_if = "Rate::is_constant")]
    pub rate: Rate,
}

/// The learning rate of a run over its steps, as a share of the optimizer's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rate {
    /// The same at every step.
    #[default]
    Constant,
    /// Half a cosine, from all at the first step to almost nothing at the last: (1 + cos(π (t − 1) / T)) / 2
    /// at step t of T.
    ///
    /// **Source**: Loshchilov and Hutter 2017 (SGDR), without restarts.
    Cosine,
}

impl Rate {
    /// Whether it is the same at every step.
    pub(crate) fn is_constant(&self) -> bool {
        *self == Rate::Constant
    }

    /// The share at step `step` of `steps`, from 1 on.
    pub(crate) fn share(self, step: u64, steps: u64) -> f64 {
        match self {
            Rate::Constant => 1.0,
            Rate::Cosine => {
                let way = step.saturating_sub(1) as f64 / steps.max(1) as f64;
                (1.0 + (std::f64::consts::PI * way).cos()) / 2.0
            }
        }
    }
}

impl Schedule {
    /// Whether the validation images are evaluated after step `step`; they always are at the end.
    pub(super) fn looks_at(&self, step: u64) -> bool {
        step == self.steps || self.evaluate_at.contains(&step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_falls_from_all_to_almost_nothing() {
        // python: [(1 + math.cos(math.pi * (t - 1) / 4)) / 2 for t in range(1, 5)]
        let expected = [1.0, 0.853_553_390_593_273_8, 0.5, 0.146_446_609_406_726_24];
        for (step, expected) in (1..).zip(expected) {
            approx::assert_relative_eq!(Rate::Cosine.share(step, 4), expected);
            assert_eq!(Rate::Constant.share(step, 4), 1.0);
        }
        assert_eq!(Rate::Cosine.share(1, 1), 1.0);
        let shares = (1..=1000).map(|step| Rate::Cosine.share(step, 1000));
        assert!(shares.is_sorted_by(|a, b| a > b));
        assert!(Rate::Cosine.share(1000, 1000) < 1e-5);
    }
}
