//! Optimizers that hold signs: the usual update rules, each followed by the projection.
//!
//! After every step, every weight that left its side of zero is put back by the reset rule; the
//! optimizer's moments are left as they are (Freeze-SGD in the paper, section 2; the authors run it
//! with Adam). [`FrozenAdam`] and [`FrozenSgd`] mirror tch's optimizers, so a training loop changes two
//! lines; [`FrozenEg`] and [`FrozenEgAdamW`] step by factors, which keep every sign by themselves. A template that holds nothing gives the plain optimizer, bit for bit: frozen and fluid are
//! one code path.
//!
//! On the CPU a step is one pass over the memory ([`fused`]); elsewhere it is a few tensor operations
//! with the same resets. Data and epochs are left to others.

mod adam;
mod eg;
mod frozen;
mod sgd;
mod tensor_ops;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

pub use crate::range::OutOfRange;
pub use adam::Adam;
pub use eg::{Eg, EgAdamW};
pub use frozen::{Error, Frozen};
use fused::{Fused, Hold};
pub use polarity_core::kernel as fused;
pub use polarity_core::kernel::Counts;
pub use sgd::Sgd;
pub(crate) use tensor_ops::copy_of;

/// Adam or AdamW with held signs.
pub type FrozenAdam = Frozen<Adam>;

/// Stochastic gradient descent with held signs.
pub type FrozenSgd = Frozen<Sgd>;

/// Exponentiated gradient with held signs.
pub type FrozenEg = Frozen<Eg>;

/// Exponentiated gradient along AdamW's direction with held signs.
pub type FrozenEgAdamW = Frozen<EgAdamW>;

/// One tensor of a step on the CPU, as the fused pass sees it.
#[derive(Debug)]
pub struct Slices<'a> {
    /// Which step of this tensor it is, from 1 on.
    pub step: u64,
    /// Weights, updated.
    pub weights: &'a mut [f32],
    /// Gradient, as long as the weights.
    pub gradient: &'a [f32],
    /// What the rule keeps, in the order of [`Rule::buffers`], each as long as the weights; updated.
    pub buffers: Vec<&'a mut [f32]>,
    /// The signs to hold, if any.
    pub hold: Option<Hold<'a>>,
}

/// An update rule: what one step does to one tensor, before the projection.
pub trait Rule {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// The hyperparameter, its range and the value given.
    fn check(&self) -> Result<(), OutOfRange>;

    /// The same rule at `share` times its learning rate.
    #[must_use]
    fn at_rate(&self, share: f64) -> Self
    where
        Self: Sized;

    /// Names of the tensors it keeps for each weight, in PyTorch's words.
    fn buffers(&self) -> &'static [&'static str];

    /// Step number `step` (from 1 on) of one tensor, by tensor operations on any device. `signs` are
    /// those it is held to, in its shape and on its device: 1, −1, or 0 where a weight is free.
    ///
    /// # Errors
    /// What libtorch says.
    fn update(
        &self,
        step: u64,
        weight: &mut Tensor,
        gradient: &Tensor,
        signs: Option<&Tensor>,
        buffers: &mut [Tensor],
    ) -> Result<(), TchError>;

    /// The same step and the projection for all `tensors` in one pass over the CPU's memory.
    fn update_fused(&self, fused: Fused, tensors: Vec<Slices<'_>>) -> Vec<Counts>;
}

/// An update rule as an experiment file names it, `{adam: {lr: 0.001}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Adam, or AdamW with `decoupled: true`.
    Adam(Adam),
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Exponentiated gradient.
    Eg(Eg),
    /// Exponentiated gradient along AdamW's direction.
    #[serde(rename = "eg-adamw")]
    EgAdamW(EgAdamW),
}

impl Optimizer {
    /// The same rule with the learning rate `lr`.
    #[must_use]
    pub fn with_lr(self, lr: f64) -> Self {
        match self {
            Optimizer::Adam(adam) => Optimizer::Adam(Adam { lr, ..adam }),
            Optimizer::Sgd(sgd) => Optimizer::Sgd(Sgd { lr, ..sgd }),
            Optimizer::Eg(eg) => Optimizer::Eg(Eg { lr, ..eg }),
            Optimizer::EgAdamW(eg) => Optimizer::EgAdamW(EgAdamW { lr, ..eg }),
        }
    }

    fn rule(&self) -> &dyn Rule {
        match self {
            Optimizer::Adam(adam) => adam,
            Optimizer::Sgd(sgd) => sgd,
            Optimizer::Eg(eg) => eg,
            Optimizer::EgAdamW(eg) => eg,
        }
    }
}

impl Rule for Optimizer {
    fn check(&self) -> Result<(), OutOfRange> {
        self.rule().check()
    }

    fn at_rate(&self, share: f64) -> Self {
        match self {
            Optimizer::Adam(adam) => Optimizer::Adam(adam.at_rate(share)),
            Optimizer::Sgd(sgd) => Optimizer::Sgd(sgd.at_rate(share)),
            Optimizer::Eg(eg) => Optimizer::Eg(eg.at_rate(share)),
            Optimizer::EgAdamW(eg) => Optimizer::EgAdamW(eg.at_rate(share)),
        }
    }

    fn buffers(&self) -> &'static [&'static str] {
        self.rule().buffers()
    }

    fn update(
        &self,
        step: u64,
        weight: &mut Tensor,
        gradient: &Tensor,
        signs: Option<&Tensor>,
        buffers: &mut [Tensor],
    ) -> Result<(), TchError> {
        self.rule().update(step, weight, gradient, signs, buffers)
    }

    fn update_fused(&self, fused: Fused, tensors: Vec<Slices<'_>>) -> Vec<Counts> {
        self.rule().update_fused(fused, tensors)
    }
}

/// Refuses a hyperparameter outside its range.
fn in_range(name: &str, value: f64, range: &str, legal: bool) -> Result<(), OutOfRange> {
    if legal { Ok(()) } else { Err(OutOfRange::new(name, format!("a number {range}"), value)) }
}

/// Refuses what is not above 0 in float32, in which a step is computed: an `eps` that rounds to 0 there
/// would divide 0 by 0.
fn above_zero(name: &str, value: f64) -> Result<(), OutOfRange> {
    let single = value as f32;
    in_range(name, value, "above 0 that float32 holds", single.is_finite() && single > 0.0)
}

/// Refuses what is below 0, or not finite in float32.
fn at_least_zero(name: &str, value: f64) -> Result<(), OutOfRange> {
    let legal = (value as f32).is_finite() && value >= 0.0;
    in_range(name, value, "of at least 0 that float32 holds", legal)
}
