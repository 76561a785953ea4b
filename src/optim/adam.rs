//! Adam and AdamW.
//!
//! **Source**: Kingma and Ba 2015; Loshchilov and Hutter 2019; PyTorch's form, in which `eps` is added
//! to the bias-corrected root (the authors' Keras adds it before the correction).

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::fused::{AdamStep, AdamTensor, Counts, Fused};
use super::{OutOfRange, Rule, Slices, above_zero, at_least_zero, in_range};

/// Hyperparameters of Adam.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Learning rate, above 0.
    pub lr: f64,
    /// Decay of the first moment, in [0, 1).
    pub beta1: f64,
    /// Decay of the second moment, in [0, 1).
    pub beta2: f64,
    /// Added to the denominator, above 0.
    pub eps: f64,
    /// Weight decay, at least 0.
    pub weight_decay: f64,
    /// Whether weights decay directly (AdamW) or through the gradient (Adam).
    pub decoupled: bool,
}

impl Default for Adam {
    /// PyTorch's: learning rate 0.001, decays 0.9 and 0.999, eps 10⁻⁸, no weight decay.
    fn default() -> Self {
        Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false }
    }
}

impl Adam {
    /// Its step number `step`, from 1 on, as the fused pass takes it.
    pub(crate) fn at(&self, step: u64) -> AdamStep {
        let Adam { lr, beta1, beta2, eps, weight_decay, decoupled } = *self;
        AdamStep { lr, beta1, beta2, eps, weight_decay, decoupled, step }
    }

    /// Checks the hyperparameters of a rule called `name`, which are these.
    pub(super) fn check_as(&self, name: &str) -> Result<(), OutOfRange> {
        let key = |part: &str| format!("{name}.{part}");
        let share = |value: f64| (0.0..1.0).contains(&value);
        above_zero(&key("lr"), self.lr)?;
        in_range(&key("beta1"), self.beta1, "in [0, 1)", share(self.beta1))?;
        in_range(&key("beta2"), self.beta2, "in [0, 1)", share(self.beta2))?;
        above_zero(&key("eps"), self.eps)?;
        at_least_zero(&key("weight_decay"), self.weight_decay)
    }

    /// What a step takes off `weight`, which has decayed by then where decay is decoupled.
    pub(super) fn change(
        &self,
        step: u64,
        weight: &mut Tensor,
        gradient: &Tensor,
        buffers: &mut [Tensor],
    ) -> Result<Tensor, TchError> {
        let [first, second] = buffers else { unreachable!("Adam has two buffers") };
        let mut gradient = gradient.shallow_clone();
        if self.weight_decay != 0.0 {
            if self.decoupled {
                let _ = weight.f_mul_scalar_(1.0 - self.lr * self.weight_decay)?;
            } else {
                gradient = gradient.f_add(&weight.f_mul_scalar(self.weight_decay)?)?;
            }
        }
        let correction1 = 1.0 - self.beta1.powf(step as f64);
        let correction2 = 1.0 - self.beta2.powf(step as f64);
        let _ = first.f_lerp_(&gradient, 1.0 - self.beta1)?;
        let square = gradient.f_square()?.f_mul_scalar(1.0 - self.beta2)?;
        let _ = second.f_mul_scalar_(self.beta2)?.f_add_(&square)?;
        let root = second.f_sqrt()?.f_div_scalar(correction2.sqrt())?.f_add_scalar(self.eps)?;
        first.f_div(&root)?.f_mul_scalar(self.lr / correction1)
    }

    /// `tensors` as the fused pass takes them.
    pub(super) fn tensors<'a>(&self, tensors: Vec<Slices<'a>>) -> Vec<AdamTensor<'a>> {
        let tensor = |Slices { step, weights, gradient, buffers, hold }: Slices<'a>| {
            let [first_moment, second_moment] =
                buffers.try_into().expect("Adam has two buffers a tensor");
            let step = self.at(step);
            AdamTensor { weights, gradient, first_moment, second_moment, step, hold }
        };
        tensors.into_iter().map(tensor).collect()
    }
}

impl Rule for Adam {
    fn check(&self) -> Result<(), OutOfRange> {
        self.check_as("adam")
    }

    fn at_rate(&self, share: f64) -> Self {
        Adam { lr: share * self.lr, ..*self }
    }

    fn buffers(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn update(
        &self,
        step: u64,
        weight: &mut Tensor,
        gradient: &Tensor,
        _: Option<&Tensor>,
        buffers: &mut [Tensor],
    ) -> Result<(), TchError> {
        let change = self.change(step, weight, gradient, buffers)?;
        weight.f_sub_(&change).map(drop)
    }

    fn update_fused(&self, fused: Fused, tensors: Vec<Slices<'_>>) -> Vec<Counts> {
        fused.adam(self.tensors(tensors))
    }
}
