//! Stochastic gradient descent with momentum.
//!
//! **Source**: PyTorch's form: the buffer starts as the first gradient, and the learning rate scales
//! the buffer, not the gradient that enters it.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::fused::{Counts, Fused, Momentum, SgdStep, SgdTensor};
use super::{OutOfRange, Rule, Slices, above_zero, at_least_zero, in_range};

/// Hyperparameters of stochastic gradient descent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate, above 0.
    pub lr: f64,
    /// Decay of the momentum buffer, in [0, 1); 0 keeps no buffer.
    pub momentum: f64,
    /// Share of the gradient that does not enter the buffer, in [0, 1].
    pub dampening: f64,
    /// Weight decay, through the gradient, at least 0.
    pub weight_decay: f64,
    /// Whether a step looks ahead along the momentum; needs momentum, and no dampening.
    pub nesterov: bool,
}

impl Default for Sgd {
    /// Learning rate 0.01 and nothing else.
    fn default() -> Self {
        Sgd { lr: 0.01, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

impl Sgd {
    /// Checks the hyperparameters of a rule called `name`, which are these.
    pub(super) fn check_as(&self, name: &str) -> Result<(), OutOfRange> {
        let key = |part: &str| format!("{name}.{part}");
        above_zero(&key("lr"), self.lr)?;
        let momentum = self.momentum;
        in_range(&key("momentum"), momentum, "in [0, 1)", (0.0..1.0).contains(&momentum))?;
        let dampening = self.dampening;
        in_range(&key("dampening"), dampening, "in [0, 1]", (0.0..=1.0).contains(&dampening))?;
        at_least_zero(&key("weight_decay"), self.weight_decay)?;
        if self.nesterov && (momentum == 0.0 || dampening != 0.0) {
            let expected = "`false`, or a momentum above 0 and a dampening of 0 beside it";
            return Err(OutOfRange::new(&key("nesterov"), expected, true));
        }
        Ok(())
    }

    /// What a step takes off the weights. `decaying` is what weight decay draws towards 0.
    pub(super) fn change(
        &self,
        step: u64,
        decaying: &Tensor,
        gradient: &Tensor,
        buffers: &mut [Tensor],
    ) -> Result<Tensor, TchError> {
        let mut change = gradient.shallow_clone();
        if self.weight_decay != 0.0 {
            change = change.f_add(&decaying.f_mul_scalar(self.weight_decay)?)?;
        }
        if let [buffer] = buffers {
            if step == 1 {
                buffer.f_copy_(&change)?;
            } else {
                let part = change.f_mul_scalar(1.0 - self.dampening)?;
                let _ = buffer.f_mul_scalar_(self.momentum)?.f_add_(&part)?;
            }
            change = if self.nesterov {
                change.f_add(&buffer.f_mul_scalar(self.momentum)?)?
            } else {
                buffer.shallow_clone()
            };
        }
        change.f_mul_scalar(self.lr)
    }

    /// `tensors` as the fused pass takes them.
    pub(super) fn tensors<'a>(&self, tensors: Vec<Slices<'a>>) -> Vec<SgdTensor<'a>> {
        let tensor = |Slices { step, weights, gradient, buffers, hold }: Slices<'a>| {
            let momentum = buffers.into_iter().next().map(|buffer| Momentum {
                buffer,
                first: step == 1,
                momentum: self.momentum,
                dampening: self.dampening,
                nesterov: self.nesterov,
            });
            let step = SgdStep { lr: self.lr, weight_decay: self.weight_decay };
            SgdTensor { weights, gradient, momentum, step, hold }
        };
        tensors.into_iter().map(tensor).collect()
    }
}

impl Rule for Sgd {
    fn check(&self) -> Result<(), OutOfRange> {
        self.check_as("sgd")
    }

    fn at_rate(&self, share: f64) -> Self {
        Sgd { lr: share * self.lr, ..*self }
    }

    fn buffers(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum_buffer"] }
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
        fused.sgd(self.tensors(tensors))
    }
}
