//! Adam and AdamW with held signs.
//!
//! **Source**: Kingma and Ba 2015, Loshchilov and Hutter 2019, in PyTorch's form
//! (`torch/optim/adam.py`, `eps` outside the corrected root):
//! ```text
//! w = w · (1 − lr · decay)  if decoupled, else  g = g + decay · w
//! m = β₁ · m + (1 − β₁) · g
//! v = β₂ · v + (1 − β₂) · g · g
//! w = w − lr / (1 − β₁ᵗ) · m / (√v · (1 / √(1 − β₂ᵗ)) + eps)
//! ```
//! Scalars are computed in double precision and rounded once. libtorch divides √v by the second
//! correction and fuses some products into sums, so the two differ by roundings. A moment below the
//! smallest normal number is set to 0, which with `eps` above 0 moves no weight and keeps untrained
//! units from slowing the step tenfold.

use crate::kernel::Fused;
use crate::kernel::hold::{Counts, Hold};
use crate::kernel::update::{Rule, Update, flushed};

/// The hyperparameters of one step of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator, after the bias correction.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Whether weights decay directly (AdamW) or through the gradient (Adam).
    pub decoupled: bool,
    /// Which step of its tensor this is, from 1 on.
    pub step: u64,
}

/// One tensor of a step of Adam. All slices have one length.
#[derive(Debug)]
pub struct AdamTensor<'a> {
    /// Weights, updated.
    pub weights: &'a mut [f32],
    /// Gradient of the loss.
    pub gradient: &'a [f32],
    /// First moment, updated; zeros before the first step.
    pub first_moment: &'a mut [f32],
    /// Second moment, updated; zeros before the first step.
    pub second_moment: &'a mut [f32],
    /// The hyperparameters.
    pub step: AdamStep,
    /// The signs to hold; none where the tensor is fluid.
    pub hold: Option<Hold<'a>>,
}

impl Fused {
    /// Takes a step of Adam in all `tensors` and gives back what it did to each.
    ///
    /// # Panics
    /// When the slices of a tensor differ in length, or its mask has not one entry a weight.
    pub fn adam(self, tensors: Vec<AdamTensor<'_>>) -> Vec<Counts> {
        self.run(tensors, |tensor| {
            let AdamTensor { weights, gradient, first_moment, second_moment, step, hold } = tensor;
            Update::cut(
                weights,
                gradient,
                [first_moment, second_moment],
                AdamScalars::new(&step),
                hold,
            )
        })
    }
}

/// [`AdamStep`] as a kernel needs it, for kernels elsewhere that take the same step.
#[derive(Clone, Copy, Debug)]
pub struct AdamScalars {
    /// β₁
    pub keep_first: f32,
    /// 1 − β₁
    pub gain_first: f32,
    /// β₂
    pub keep_second: f32,
    /// 1 − β₂
    pub gain_second: f32,
    /// lr / (1 − β₁ᵗ)
    pub rate: f32,
    /// 1 / √(1 − β₂ᵗ)
    pub root_scale: f32,
    /// Added to the denominator.
    pub eps: f32,
    /// 1 − lr · decay where the decay is decoupled, else 1.
    pub shrink: f32,
    /// Decay through the gradient. An option, since adding 0 · w is not the same for infinite w.
    pub decay: Option<f32>,
}

impl AdamScalars {
    /// Computes them in double precision and rounds once.
    pub fn new(step: &AdamStep) -> Self {
        let time = step.step as f64;
        let (decoupled, coupled) =
            if step.decoupled { (step.weight_decay, 0.0) } else { (0.0, step.weight_decay) };
        AdamScalars {
            keep_first: step.beta1 as f32,
            gain_first: (1.0 - step.beta1) as f32,
            keep_second: step.beta2 as f32,
            gain_second: (1.0 - step.beta2) as f32,
            rate: (step.lr / (1.0 - step.beta1.powf(time))) as f32,
            root_scale: (1.0 / (1.0 - step.beta2.powf(time)).sqrt()) as f32,
            eps: step.eps as f32,
            shrink: (1.0 - step.lr * decoupled) as f32,
            decay: (coupled != 0.0).then_some(coupled as f32),
        }
    }
}

impl Rule<2> for AdamScalars {
    #[inline(always)]
    fn change(&self, decaying: f32, gradient: f32, [first, second]: [f32; 2]) -> (f32, [f32; 2]) {
        let gradient = match self.decay {
            Some(decay) => gradient + decay * decaying,
            None => gradient,
        };
        let first = flushed(self.keep_first * first + self.gain_first * gradient);
        let second = flushed(self.keep_second * second + self.gain_second * gradient * gradient);
        let root = second.sqrt() * self.root_scale + self.eps;
        (self.rate * first / root, [first, second])
    }

    #[inline(always)]
    fn shrink(&self) -> f32 {
        self.shrink
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
    use crate::sign::SignMask;

    const STEP: AdamStep = AdamStep {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
        step: 3,
    };

    /// Weights, gradient and moments.
    #[derive(Clone)]
    struct Slices([Vec<f32>; 4]);

    impl Slices {
        fn new(length: usize) -> Self {
            Slices(["w", "g", "m", "v"].map(|purpose| weights(length, purpose)))
        }

        fn tensor<'a>(&'a mut self, step: AdamStep, hold: Option<Hold<'a>>) -> AdamTensor<'a> {
            let [weights, gradient, first_moment, second_moment] = &mut self.0;
            AdamTensor { weights, gradient, first_moment, second_moment, step, hold }
        }

        fn bits(&self) -> Vec<u32> {
            self.0.iter().flat_map(|slice| bits(slice)).collect()
        }
    }

    /// Adam as one would write it.
    fn plain(slices: &mut Slices, step: &AdamStep, hold: Option<&Hold<'_>>) -> Counts {
        let [w, g, m, v] = &mut slices.0;
        let before = w.clone();
        let (beta1, beta2) = (step.beta1 as f32, step.beta2 as f32);
        let (gain1, gain2) = ((1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32);
        let rate = (step.lr / (1.0 - step.beta1.powf(step.step as f64))) as f32;
        let scale = (1.0 / (1.0 - step.beta2.powf(step.step as f64)).sqrt()) as f32;
        for i in 0..w.len() {
            let mut gradient = g[i];
            if step.decoupled {
                w[i] *= (1.0 - step.lr * step.weight_decay) as f32;
            } else if step.weight_decay != 0.0 {
                gradient += step.weight_decay as f32 * w[i];
            }
            m[i] = beta1 * m[i] + gain1 * gradient;
            v[i] = beta2 * v[i] + gain2 * gradient * gradient;
            for moment in [&mut m[i], &mut v[i]] {
                if moment.abs() < f32::MIN_POSITIVE {
                    *moment = 0.0;
                }
            }
            w[i] -= rate * m[i] / (v[i].sqrt() * scale + step.eps as f32);
        }
        match hold {
            Some(hold) => plain_projection(&before, w, hold),
            None => fluid(&before, w),
        }
    }

    fn steps() -> [AdamStep; 4] {
        [
            STEP,
            AdamStep { weight_decay: 0.01, ..STEP },
            AdamStep { weight_decay: 0.01, decoupled: true, ..STEP },
            AdamStep { eps: 0.0, step: 1, ..STEP },
        ]
    }

    #[test]
    fn adam_equals_the_plain_one_bit_for_bit() {
        for length in LENGTHS {
            every_hold(length, |hold| {
                let mut expected = Slices::new(length);
                let counts = plain(&mut expected, &STEP, Some(&hold));
                everywhere(|fused| {
                    let mut slices = Slices::new(length);
                    let done = fused.adam(vec![slices.tensor(STEP, Some(hold))]);
                    assert_eq!(done, [counts], "{fused:?} {length}");
                    assert_eq!(slices.bits(), expected.bits(), "{fused:?} {length}");
                });
            });
        }
    }

    #[test]
    fn every_decay_equals_the_plain_one_bit_for_bit() {
        for step in steps() {
            let mut expected = Slices::new(1000);
            let counts = plain(&mut expected, &step, None);
            everywhere(|fused| {
                let mut slices = Slices::new(1000);
                assert_eq!(fused.adam(vec![slices.tensor(step, None)]), [counts], "{step:?}");
                assert_eq!(slices.bits(), expected.bits(), "{fused:?} {step:?}");
            });
        }
    }

    #[test]
    fn threads_and_paths_change_no_bit_of_a_large_tensor() {
        let slices = Slices::new(700_001);
        every_hold(700_001, |hold| {
            if !hold.reset.is_random() {
                return;
            }
            let mut expected = None;
            everywhere(|fused| {
                let mut slices = slices.clone();
                let counts = fused.adam(vec![slices.tensor(STEP, Some(hold))]);
                let done = (counts, slices.bits());
                assert!(*expected.get_or_insert(done.clone()) == done, "{fused:?}");
            });
        });
    }

    #[test]
    fn moments_without_gradient_decay_to_zero_and_not_to_subnormals() {
        let mut slices = Slices([vec![1.0; 64], vec![0.0; 64], vec![1e-37; 64], vec![1e-37; 64]]);
        for _ in 0..10_000 {
            Fused::new(NonZeroUsize::MIN).adam(vec![slices.tensor(STEP, None)]);
        }
        assert_eq!(slices.0, [vec![1.0; 64], vec![0.0; 64], vec![0.0; 64], vec![0.0; 64]]);
    }

    #[test]
    fn an_all_free_mask_steps_like_no_mask() {
        let mask = SignMask::free(1000);
        every_hold(1000, |hold| {
            everywhere(|fused| {
                let (mut free, mut fluid) = (Slices::new(1000), Slices::new(1000));
                let hold = Hold { mask: &mask, ..hold };
                assert_eq!(
                    fused.adam(vec![free.tensor(STEP, Some(hold))]),
                    fused.adam(vec![fluid.tensor(STEP, None)])
                );
                assert_eq!(free.bits(), fluid.bits());
            });
        });
    }

    proptest! {
        #[test]
        fn no_held_weight_violates_after_any_gradient(
            weights in any_weights(200),
            gradient in any_weights(200),
        ) {
            let mut slices = Slices([weights, gradient, vec![0.0; 200], vec![0.0; 200]]);
            every_hold(200, |hold| {
                for step in steps() {
                    let fused = Fused::new(NonZeroUsize::MIN);
                    fused.adam(vec![slices.tensor(step, Some(hold))]);
                    assert_eq!(hold.mask.violators(&slices.0[0]), 0, "{step:?} {hold:?}");
                }
            });
        }

        #[test]
        fn any_share_of_resets_at_any_length_equals_the_plain_one(
            length in 1..5000_usize,
            share in prop::sample::select(SHARES.to_vec()),
        ) {
            every_hold(length, |hold| {
                let start = violating(hold.mask, share);
                let mut expected = Slices([start, vec![0.0; length], vec![0.0; length], vec![0.0; length]]);
                let slices = expected.clone();
                let counts = plain(&mut expected, &STEP, Some(&hold));
                everywhere(|fused| {
                    let mut slices = slices.clone();
                    assert_eq!(fused.adam(vec![slices.tensor(STEP, Some(hold))]), [counts]);
                    assert_eq!(slices.bits(), expected.bits(), "{fused:?} {hold:?}");
                });
            });
        }
    }
}
