//! Stochastic gradient descent with held signs.
//!
//! **Source**: PyTorch's form (`torch/optim/sgd.py`); Nesterov's momentum after Sutskever et al.
//! 2013:
//! ```text
//! g = g + decay · w
//! b = momentum · b + (1 − dampening) · g      b = g at the first step
//! w = w − lr · b                               w − lr · (g + momentum · b) for Nesterov
//! ```
//! libtorch fuses some products into sums, so the two differ by roundings. A buffer below the
//! smallest normal number is set to 0.

use crate::kernel::Fused;
use crate::kernel::hold::{Counts, Hold};
use crate::kernel::path::Kernel;
use crate::kernel::sides::Lanes;
use crate::kernel::update::{Rule, Update, flushed};

/// The hyperparameters of one step of SGD.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay, through the gradient.
    pub weight_decay: f64,
}

/// The momentum of one tensor.
#[derive(Debug)]
pub struct Momentum<'a> {
    /// The decaying sum of gradients, as long as the weights, updated.
    pub buffer: &'a mut [f32],
    /// Whether the tensor takes its first step, which sets the buffer whatever it held.
    pub first: bool,
    /// Decay of the buffer.
    pub momentum: f64,
    /// Share of a gradient that does not enter the buffer.
    pub dampening: f64,
    /// Whether to look ahead, as Nesterov does.
    pub nesterov: bool,
}

/// One tensor of a step of SGD. All slices have one length.
#[derive(Debug)]
pub struct SgdTensor<'a> {
    /// Weights, updated.
    pub weights: &'a mut [f32],
    /// Gradient of the loss.
    pub gradient: &'a [f32],
    /// Momentum, if any.
    pub momentum: Option<Momentum<'a>>,
    /// The hyperparameters.
    pub step: SgdStep,
    /// The signs to hold; none where the tensor is fluid.
    pub hold: Option<Hold<'a>>,
}

impl Fused {
    /// Takes a step of SGD in all `tensors` and gives back what it did to each.
    ///
    /// # Panics
    /// When the slices of a tensor differ in length, or its mask has not one entry a weight.
    pub fn sgd(self, tensors: Vec<SgdTensor<'_>>) -> Vec<Counts> {
        self.run(tensors, |tensor| tensor.cut(|descent| descent, |ball| ball))
    }
}

impl<'a> SgdTensor<'a> {
    /// Cuts the tensor into chunks, on which a rule works that `plain` makes of descent without
    /// momentum, or one that `heavy` makes of descent with it.
    pub(super) fn cut<P: Rule<0> + 'a, H: Rule<1> + 'a>(
        self,
        plain: impl Fn(Descent) -> P,
        heavy: impl Fn(HeavyBall) -> H,
    ) -> Box<dyn Iterator<Item = Chunk<'a, P, H>> + 'a> {
        let SgdTensor { weights, gradient, momentum, step, hold } = self;
        let descent = Descent::new(&step);
        match momentum {
            None => {
                let rule = plain(descent);
                Box::new(Update::cut(weights, gradient, [], rule, hold).map(Chunk::Plain))
            }
            Some(momentum) => {
                let rule = heavy(HeavyBall::new(descent, &momentum));
                let state = [momentum.buffer];
                Box::new(Update::cut(weights, gradient, state, rule, hold).map(Chunk::Heavy))
            }
        }
    }
}

/// A chunk of a tensor without or with momentum.
pub(super) enum Chunk<'a, P, H> {
    Plain(Update<'a, P, 0>),
    Heavy(Update<'a, H, 1>),
}

impl<P: Rule<0>, H: Rule<1>> Kernel for Chunk<'_, P, H> {
    fn weights(&self) -> usize {
        match self {
            Chunk::Plain(update) => update.weights(),
            Chunk::Heavy(update) => update.weights(),
        }
    }

    #[inline(always)]
    fn run<L: Lanes>(self) -> Counts {
        match self {
            Chunk::Plain(update) => update.run::<L>(),
            Chunk::Heavy(update) => update.run::<L>(),
        }
    }
}

/// Plain descent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descent {
    lr: f32,
    /// An option, since adding 0 · w is not the same for infinite w.
    decay: Option<f32>,
}

impl Descent {
    fn new(step: &SgdStep) -> Self {
        let decay = step.weight_decay;
        Descent { lr: step.lr as f32, decay: (decay != 0.0).then_some(decay as f32) }
    }

    #[inline(always)]
    fn decayed(&self, decaying: f32, gradient: f32) -> f32 {
        match self.decay {
            Some(decay) => gradient + decay * decaying,
            None => gradient,
        }
    }
}

impl Rule<0> for Descent {
    #[inline(always)]
    fn change(&self, decaying: f32, gradient: f32, state: [f32; 0]) -> (f32, [f32; 0]) {
        (self.lr * self.decayed(decaying, gradient), state)
    }
}

/// Descent with momentum.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeavyBall {
    descent: Descent,
    momentum: f32,
    gain: f32,
    first: bool,
    nesterov: bool,
}

impl HeavyBall {
    fn new(descent: Descent, momentum: &Momentum<'_>) -> Self {
        HeavyBall {
            descent,
            momentum: momentum.momentum as f32,
            gain: (1.0 - momentum.dampening) as f32,
            first: momentum.first,
            nesterov: momentum.nesterov,
        }
    }
}

impl Rule<1> for HeavyBall {
    #[inline(always)]
    fn change(&self, decaying: f32, gradient: f32, [buffer]: [f32; 1]) -> (f32, [f32; 1]) {
        let gradient = self.descent.decayed(decaying, gradient);
        let decayed = self.momentum * buffer + self.gain * gradient;
        let buffer = flushed(if self.first { gradient } else { decayed });
        let ahead = gradient + self.momentum * buffer;
        let direction = if self.nesterov { ahead } else { buffer };
        (self.descent.lr * direction, [buffer])
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::*;
    use crate::kernel::testing::{
        LENGTHS, SHARES, any_weights, bits, every_hold, everywhere, fluid, plain_projection,
        violating, weights,
    };

    /// A [`Momentum`] without its buffer.
    #[derive(Clone, Copy, Debug)]
    struct Kind {
        first: bool,
        dampening: f64,
        nesterov: bool,
    }

    const KINDS: [Option<Kind>; 5] = [
        None,
        Some(Kind { first: true, dampening: 0.5, nesterov: false }),
        Some(Kind { first: false, dampening: 0.5, nesterov: false }),
        Some(Kind { first: true, dampening: 0.0, nesterov: true }),
        Some(Kind { first: false, dampening: 0.0, nesterov: true }),
    ];

    /// Weights, gradient and buffer.
    struct Slices([Vec<f32>; 3]);

    impl Slices {
        fn new(length: usize) -> Self {
            Slices(["w", "g", "b"].map(|purpose| weights(length, purpose)))
        }

        fn tensor<'a>(
            &'a mut self,
            weight_decay: f64,
            kind: Option<Kind>,
            hold: Option<Hold<'a>>,
        ) -> SgdTensor<'a> {
            let [weights, gradient, buffer] = &mut self.0;
            let momentum = kind.map(|Kind { first, dampening, nesterov }| Momentum {
                buffer,
                first,
                momentum: 0.9,
                dampening,
                nesterov,
            });
            SgdTensor { weights, gradient, momentum, step: SgdStep { lr: 0.1, weight_decay }, hold }
        }

        fn bits(&self) -> Vec<u32> {
            self.0.iter().flat_map(|slice| bits(slice)).collect()
        }
    }

    /// SGD as one would write it.
    fn plain(
        slices: &mut Slices,
        weight_decay: f64,
        kind: Option<Kind>,
        hold: Option<&Hold<'_>>,
    ) -> Counts {
        let [w, g, b] = &mut slices.0;
        let before = w.clone();
        for i in 0..w.len() {
            let mut direction = g[i];
            if weight_decay != 0.0 {
                direction += weight_decay as f32 * w[i];
            }
            if let Some(Kind { first, dampening, nesterov }) = kind {
                if first {
                    b[i] = direction;
                } else {
                    b[i] = 0.9 * b[i] + (1.0 - dampening) as f32 * direction;
                }
                if b[i].abs() < f32::MIN_POSITIVE {
                    b[i] = 0.0;
                }
                direction = if nesterov { direction + 0.9 * b[i] } else { b[i] };
            }
            w[i] -= 0.1 * direction;
        }
        match hold {
            Some(hold) => plain_projection(&before, w, hold),
            None => fluid(&before, w),
        }
    }

    #[test]
    fn sgd_equals_the_plain_one_bit_for_bit() {
        for length in LENGTHS {
            every_hold(length, |hold| {
                let kind = KINDS[length % KINDS.len()];
                let mut expected = Slices::new(length);
                let counts = plain(&mut expected, 0.0, kind, Some(&hold));
                everywhere(|fused| {
                    let mut slices = Slices::new(length);
                    let done = fused.sgd(vec![slices.tensor(0.0, kind, Some(hold))]);
                    assert_eq!(done, [counts], "{fused:?} {length} {kind:?}");
                    assert_eq!(slices.bits(), expected.bits(), "{fused:?} {length} {kind:?}");
                });
            });
        }
    }

    #[test]
    fn every_momentum_equals_the_plain_one_bit_for_bit() {
        for kind in KINDS {
            for weight_decay in [0.0, 0.01] {
                let mut expected = Slices::new(1000);
                let counts = plain(&mut expected, weight_decay, kind, None);
                everywhere(|fused| {
                    let mut slices = Slices::new(1000);
                    let done = fused.sgd(vec![slices.tensor(weight_decay, kind, None)]);
                    assert_eq!(done, [counts], "{kind:?}");
                    assert_eq!(slices.bits(), expected.bits(), "{fused:?} {kind:?}");
                });
            }
        }
    }

    #[test]
    fn tensors_with_and_without_momentum_go_together() {
        let mut plain = Slices::new(1000);
        let mut heavy = Slices::new(100_000);
        let counts = Fused::new(NonZeroUsize::MIN)
            .sgd(vec![plain.tensor(0.0, KINDS[0], None), heavy.tensor(0.0, KINDS[2], None)]);
        assert!(counts.iter().all(|counts| counts.sign_flips > 0 && counts.resets == 0));
    }

    proptest! {
        #[test]
        fn no_held_weight_violates_after_any_gradient(
            weights in any_weights(200),
            gradient in any_weights(200),
        ) {
            let mut slices = Slices([weights, gradient, vec![0.0; 200]]);
            every_hold(200, |hold| {
                for kind in KINDS {
                    let fused = Fused::new(NonZeroUsize::MIN);
                    fused.sgd(vec![slices.tensor(0.01, kind, Some(hold))]);
                    assert_eq!(hold.mask.violators(&slices.0[0]), 0, "{kind:?} {hold:?}");
                }
            });
        }

        #[test]
        fn any_share_of_resets_at_any_length_equals_the_plain_one(
            length in 1..5000_usize,
            share in prop::sample::select(SHARES.to_vec()),
            kind in prop::sample::select(KINDS.to_vec()),
        ) {
            every_hold(length, |hold| {
                let slices = || {
                    let [zeros, buffer] = [(); 2].map(|()| vec![0.0; length]);
                    Slices([violating(hold.mask, share), zeros, buffer])
                };
                let mut expected = slices();
                let counts = plain(&mut expected, 0.0, kind, Some(&hold));
                everywhere(|fused| {
                    let mut slices = slices();
                    assert_eq!(fused.sgd(vec![slices.tensor(0.0, kind, Some(hold))]), [counts]);
                    assert_eq!(slices.bits(), expected.bits(), "{fused:?} {hold:?}");
                });
            });
        }
    }
}
