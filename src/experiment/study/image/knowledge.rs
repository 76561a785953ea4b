//! What a source knows: signs, and perhaps the weights that have them.

use crate::sign::Template;
use crate::transfer;
use crate::weights::{self, Checkpoint, Defect, Provenance, Views};

/// What a source knows.
#[derive(Debug)]
pub(super) struct Knowledge {
    /// Its signs.
    pub(super) template: Template,
    /// Its weights, unless only the signs came.
    pub(super) weights: Option<Checkpoint>,
}

impl Knowledge {
    /// The knowledge of a checkpoint called `provenance`.
    ///
    /// # Errors
    /// When a weight is not a number.
    pub(super) fn of_weights(
        weights: Checkpoint,
        provenance: &str,
    ) -> Result<Self, transfer::Error> {
        let template = transfer::signs_of(&weights, provenance)?;
        Ok(Knowledge { template, weights: Some(weights) })
    }

    /// The knowledge of a file. Where the weights do not fit float32 and nobody `wants_weights`, it is
    /// their signs.
    ///
    /// # Errors
    /// When a weight is not a number, does not fit float32, or cannot be read.
    pub(super) fn of_views(
        views: &Views,
        provenance: Provenance,
        wants_weights: bool,
    ) -> Result<Self, weights::Problem> {
        let template = weights::signs(views, provenance)?;
        let weights = match weights::checkpoint(views) {
            Ok(weights) => Some(weights),
            Err(weights::Problem::Defect { defect: Defect::Range(_), .. }) if !wants_weights => {
                None
            }
            Err(problem) => return Err(problem),
        };
        Ok(Knowledge { template, weights })
    }

    /// The digest of all it knows.
    pub(super) fn digest(&self) -> String {
        match &self.weights {
            None => self.template.digest(),
            Some(weights) => crate::weights::digest(weights),
        }
    }
}
