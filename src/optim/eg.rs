//! Exponentiated gradient, along SGD's direction or AdamW's: steps that multiply, so that a held weight
//! keeps its sign by itself.
//!
//! **Source**: Kivinen and Warmuth 1997; Cornford and others, *Brain-like learning with exponentiated
//! gradients*, 2024. What is decided where they leave it open, free weights, zeros and overflow, is in
//! `kernel/eg.rs`: above all, a free weight takes the plain step of SGD or AdamW.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::fused::{Counts, EG_FLOOR, EG_LIMIT, Fused};
use super::{Adam, OutOfRange, Rule, Sgd, Slices};

/// Hyperparameters of exponentiated gradient: those of [`Sgd`].
///
/// The learning rate is relative: a step changes a held weight by about `lr` · gradient *times the
/// weight*.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Eg {
    /// Learning rate, above 0.
    pub lr: f64,
    /// Decay of the momentum buffer, in [0, 1); 0 keeps no buffer.
    pub momentum: f64,
    /// Share of the gradient that does not enter the buffer, in [0, 1].
    pub dampening: f64,
    /// Weight decay, through the gradient, at least 0: it takes the same share off every held weight.
    pub weight_decay: f64,
    /// Whether a step looks ahead along the momentum; needs momentum, and no dampening.
    pub nesterov: bool,
}

/// Hyperparameters of exponentiated gradient along AdamW's quotient of moments.
///
/// The learning rate is relative: a step changes a held weight by about `lr` times the weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgAdamW {
    /// Learning rate, above 0.
    pub lr: f64,
    /// Decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the denominator, above 0.
    pub eps: f64,
    /// Weight decay, of the weights directly, at least 0.
    pub weight_decay: f64,
}

impl Default for Eg {
    /// Learning rate 0.1 and nothing else.
    fn default() -> Self {
        Eg { lr: 0.1, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

impl Default for EgAdamW {
    /// PyTorch's of AdamW: learning rate 0.001, decays 0.9 and 0.999, eps 10⁻⁸, weight decay 0.01.
    fn default() -> Self {
        EgAdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 }
    }
}

impl Eg {
    /// The rule whose direction it takes.
    fn sgd(&self) -> Sgd {
        let Eg { lr, momentum, dampening, weight_decay, nesterov } = *self;
        Sgd { lr, momentum, dampening, weight_decay, nesterov }
    }
}

impl EgAdamW {
    /// The rule whose direction it takes.
    fn adam(&self) -> Adam {
        let EgAdamW { lr, beta1, beta2, eps, weight_decay } = *self;
        Adam { lr, beta1, beta2, eps, weight_decay, decoupled: true }
    }
}

impl Rule for Eg {
    fn check(&self) -> Result<(), OutOfRange> {
        self.sgd().check_as("eg")
    }

    fn at_rate(&self, share: f64) -> Self {
        Eg { lr: share * self.lr, ..*self }
    }

    fn buffers(&self) -> &'static [&'static str] {
        self.sgd().buffers()
    }

    fn update(
        &self,
        step: u64,
        weight: &mut Tensor,
        gradient: &Tensor,
        signs: Option<&Tensor>,
        buffers: &mut [Tensor],
    ) -> Result<(), TchError> {
        let decaying = match signs {
            Some(signs) => {
                let signs = signs.f_to_kind(weight.kind())?;
                signs.f_where_self(&signs.f_ne(0.0)?, weight)?
            }
            None => weight.shallow_clone(),
        };
        let change = self.sgd().change(step, &decaying, gradient, buffers)?;
        multiply(weight, &change, signs)
    }

    fn update_fused(&self, fused: Fused, tensors: Vec<Slices<'_>>) -> Vec<Counts> {
        fused.eg(self.sgd().tensors(tensors))
    }
}

impl Rule for EgAdamW {
    fn check(&self) -> Result<(), OutOfRange> {
        self.adam().check_as("eg-adamw")
    }

    fn at_rate(&self, share: f64) -> Self {
        EgAdamW { lr: share * self.lr, ..*self }
    }

    fn buffers(&self) -> &'static [&'static str] {
        self.adam().buffers()
    }

    fn update(
        &self,
        step: u64,
        weight: &mut Tensor,
        gradient: &Tensor,
        signs: Option<&Tensor>,
        buffers: &mut [Tensor],
    ) -> Result<(), TchError> {
        let change = self.adam().change(step, weight, gradient, buffers)?;
        multiply(weight, &change, signs)
    }

    fn update_fused(&self, fused: Fused, tensors: Vec<Slices<'_>>) -> Vec<Counts> {
        fused.eg_adam(self.adam().tensors(tensors))
    }
}

/// Takes `change` off the free weights and multiplies it into the held ones, as the fused pass does.
fn multiply(weight: &mut Tensor, change: &Tensor, signs: Option<&Tensor>) -> Result<(), TchError> {
    let free = weight.f_sub(change)?;
    let Some(signs) = signs else { return weight.f_copy_(&free) };
    let limit = f64::from(EG_LIMIT);
    let exponent = change.f_mul(signs)?.f_neg()?.f_clamp(-limit, limit)?;
    let held = weight.f_mul(&exponent.f_exp()?)?;
    let along = held.f_mul(signs)?;
    let floor = floor(weight.kind());
    let is_low = along.f_ge(0.0)?.f_logical_and(&along.f_lt(floor)?)?;
    let lowest = signs.f_to_kind(weight.kind())?.f_mul_scalar(floor)?;
    let held = lowest.f_where_self(&is_low, &held)?;
    weight.f_copy_(&held.f_where_self(&signs.f_ne(0.0)?, &free)?)
}

/// [`EG_FLOOR`], or the smallest normal number of a kind that does not hold it.
fn floor(kind: Kind) -> f64 {
    match kind {
        Kind::Half => 2_f64.powi(-14),
        _ => f64::from(EG_FLOOR),
    }
}
