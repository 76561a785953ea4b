//! The weights to choose by validation images.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor, nn};

use crate::optim::copy_of;

/// The least validation loss so far; the earlier of two equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Least {
    /// The step after which it was seen.
    pub step: u64,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
}

/// The weights of the least validation loss so far.
#[derive(Debug, Default)]
pub(super) struct Best {
    pub(super) least: Option<Least>,
    /// Copies of the weights; none of those that the network has.
    pub(super) weights: Vec<(String, Tensor)>,
}

impl Best {
    /// Keeps the weights of `variables`; those that the network will end with where none are given.
    pub(super) fn replace(
        &mut self,
        least: Least,
        variables: Option<&nn::VarStore>,
    ) -> Result<(), TchError> {
        self.weights.clear();
        for (name, weight) in variables.map(nn::VarStore::variables).into_iter().flatten() {
            self.weights.push((name, copy_of(&weight)?));
        }
        self.least = Some(least);
        Ok(())
    }

    pub(super) fn is_beaten_by(&self, loss: f64) -> bool {
        self.least.is_none_or(|least| loss < least.loss)
    }

    /// Puts the weights back into `places`, the network's variables, and says which step they are of.
    pub(super) fn restore(
        self,
        mut places: HashMap<String, Tensor>,
    ) -> Result<Option<u64>, TchError> {
        for (name, weight) in &self.weights {
            let place = places.get_mut(name).expect("a network keeps its variables");
            tch::no_grad(|| place.f_copy_(weight))?;
        }
        Ok(self.least.map(|least| least.step))
    }
}
