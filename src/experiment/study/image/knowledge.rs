//! What a source knows: signs, and perhaps the weights that have them.

use crate::sign::Template;
use crate::transfer;
use crate::weights::Checkpoint;

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

    /// The digest of all it knows.
    pub(super) fn digest(&self) -> String {
        match &self.weights {
            None => self.template.digest(),
            Some(weights) => crate::weights::digest(weights),
        }
    }
}
