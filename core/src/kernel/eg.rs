//! Exponentiated gradient: steps that multiply, so that a weight keeps its sign by itself.
//!
//! **Source**: Kivinen and Warmuth 1997; for networks Cornford and others, *Brain-like learning with
//! exponentiated gradients*, 2024, whose form with momentum and with AdamW's moments this is
//! (`optim_eg/sgd_eg.py`, `optim_eg/adamw_eg.py` in linclab/EG_optimiser):
//! ```text
//! c = what SGD or AdamW would take off a weight
//! w = w · (1 − lr · decay)                     AdamW's decay, as ever
//! w = w · exp(−s · c)                           s: the sign that the mask holds the weight to
//! ```
//! Decay through the gradient, as SGD has it, adds `decay · s` to a held weight's gradient and not
//! `decay · w`, so that it takes the same share off every weight.
//!
//! What the source leaves open is decided so:
//! - *Free weights* take the plain step, `w − c`: they may change their sign, and what holds nothing
//!   trains as SGD or AdamW does, bit for bit. The source multiplies every weight, so that none
//!   changes sign and a bias of 0 stays 0.
//! - The sign is the *mask's* and not the weight's, for which 0 is a trap.
//! - *Zeros and underflow*: a held weight that would be smaller than [`EG_FLOOR`] is put there, on its
//!   side. So no held weight is 0 after a step, and each can grow again.
//! - *Overflow*: the exponent is kept within ±[`EG_LIMIT`], so that the factor is a normal number.
//!   NaN stays NaN.
//! - A weight on the wrong side stays there, since multiplying does not mend it, and is then reset as
//!   after any other step.
//!
//! The exponential is a polynomial of additions and products, the same bits on every
//! [`Path`](super::Path).

use crate::kernel::Fused;
use crate::kernel::adam::{AdamScalars, AdamTensor};
use crate::kernel::hold::Counts;
use crate::kernel::sgd::SgdTensor;
use crate::kernel::update::{Rule, Update};

/// The least magnitude of a held weight after a step of exponentiated gradient: beside weights of
/// usual size as good as 0, and 14 factors of e from 0.01.
pub const EG_FLOOR: f32 = 1e-8;

/// The greatest exponent of a step of exponentiated gradient, up and down.
pub const EG_LIMIT: f32 = 80.0;

impl Fused {
    /// Takes a step of exponentiated gradient, along the gradient or SGD's momentum, in all `tensors`
    /// and gives back what it did to each.
    ///
    /// # Panics
    /// When the slices of a tensor differ in length, or its mask has not one entry a weight.
    pub fn eg(self, tensors: Vec<SgdTensor<'_>>) -> Vec<Counts> {
        self.run(tensors, |tensor| tensor.cut(Multiplied, Multiplied))
    }

    /// Takes a step of exponentiated gradient along Adam's quotient of moments in all `tensors` and
    /// gives back what it did to each.
    ///
    /// # Panics
    /// When the slices of a tensor differ in length, or its mask has not one entry a weight.
    pub fn eg_adam(self, tensors: Vec<AdamTensor<'_>>) -> Vec<Counts> {
        self.run(tensors, |tensor| {
            let AdamTensor { weights, gradient, first_moment, second_moment, step, hold } = tensor;
            let rule = Multiplied(AdamScalars::new(&step));
            Update::cut(weights, gradient, [first_moment, second_moment], rule, hold)
        })
    }
}

/// A rule whose change is multiplied into held weights.
#[derive(Clone, Copy, Debug)]
struct Multiplied<R>(R);

impl<R: Rule<N>, const N: usize> Rule<N> for Multiplied<R> {
    const LOOKS_AT_SIGN: bool = true;

    #[inline(always)]
    fn change(&self, decaying: f32, gradient: f32, state: [f32; N]) -> (f32, [f32; N]) {
        self.0.change(decaying, gradient, state)
    }

    #[inline(always)]
    fn shrink(&self) -> f32 {
        self.0.shrink()
    }

    #[inline(always)]
    fn update(&self, sign: f32, weight: f32, gradient: f32, state: [f32; N]) -> (f32, [f32; N]) {
        let is_free = sign == 0.0;
        let decaying = if is_free { weight } else { sign };
        let (change, state) = self.change(decaying, gradient, state);
        let weight = weight * self.shrink();
        let factor = exp((-sign * change).clamp(-EG_LIMIT, EG_LIMIT));
        let held = floored(weight * factor, sign);
        (if is_free { weight - change } else { held }, state)
    }
}

/// `weight`, or [`EG_FLOOR`] where it is smaller and not on the wrong side.
#[inline(always)]
fn floored(weight: f32, sign: f32) -> f32 {
    let along = sign * weight;
    if (0.0..EG_FLOOR).contains(&along) { sign * EG_FLOOR } else { weight }
}

/// e to the `exponent`, which is within ±[`EG_LIMIT`]; less than 1.1 units in the last place from it.
///
/// The exponent is *k* ln 2 + *r* with |*r*| ≤ ln 2 / 2. Exp(*r*) is its series up to *r*⁷ / 7!, of which
/// 5 · 10⁻⁹ remain, and a factor of 2ᵏ is a shift of *k* into a number's exponent.
#[inline(always)]
fn exp(exponent: f32) -> f32 {
    /// Adding it rounds to a whole number, which then is the low bits of the sum.
    const ROUND: f32 = 1.5 * (1 << 23) as f32;
    /// ln 2 in two parts. The high one has so few bits that its product with *k* is exact.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    let shifted = exponent * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = exponent - whole * LN_2[0] - whole * LN_2[1];
    let mut series = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = series * rest + coefficient;
    }
    let bits = shifted.to_bits() << 23;
    let power = f32::from_bits(bits.wrapping_add(1.0_f32.to_bits()));
    (series * (rest * rest) + rest + 1.0) * power
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::*;
    use crate::kernel::testing::{
        LENGTHS, any_weights, bits, every_hold, everywhere, fluid, plain_projection, weights,
    };
    use crate::kernel::{AdamStep, Hold, Momentum, ResetKey, SgdStep};
    use crate::random::Stream;
    use crate::sign::{Reset, SignMask};

    /// A way to step, with what it needs beside the slices.
    #[derive(Clone, Copy, Debug)]
    enum Way {
        Sgd { decay: f64 },
        Momentum { decay: f64, first: bool, nesterov: bool },
        Adam(AdamStep),
    }

    const ADAM: AdamStep = AdamStep {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        decoupled: true,
        step: 3,
    };

    const WAYS: [Way; 7] = [
        Way::Sgd { decay: 0.0 },
        Way::Sgd { decay: 0.01 },
        Way::Momentum { decay: 0.0, first: true, nesterov: false },
        Way::Momentum { decay: 0.01, first: false, nesterov: false },
        Way::Momentum { decay: 0.0, first: false, nesterov: true },
        Way::Adam(ADAM),
        Way::Adam(AdamStep { decoupled: false, step: 1, ..ADAM }),
    ];

    /// Weights, gradient, and up to two numbers of state.
    #[derive(Clone)]
    struct Slices([Vec<f32>; 4]);

    impl Slices {
        fn new(length: usize) -> Self {
            Slices(["w", "g", "m", "v"].map(|purpose| weights(length, purpose)))
        }

        /// Weights on their own side of `mask`, small gradients, no state.
        fn sound(mask: &SignMask) -> Self {
            let mut stream = Stream::new(14, "sound");
            let mut w = mask.to_f32();
            w.iter_mut().for_each(|weight| *weight *= 0.01 + stream.uniform());
            let g = w.iter().map(|_| stream.symmetric()).collect();
            Slices([w, g, vec![0.0; mask.len()], vec![0.0; mask.len()]])
        }

        fn step(&mut self, fused: Fused, way: Way, hold: Option<Hold<'_>>) -> Counts {
            let tensor = self.tensor(way, hold);
            match tensor {
                Tensor::Sgd(tensor) => fused.eg(vec![tensor])[0],
                Tensor::Adam(tensor) => fused.eg_adam(vec![tensor])[0],
            }
        }

        /// The same step without exponentials.
        fn step_additively(&mut self, fused: Fused, way: Way, hold: Option<Hold<'_>>) -> Counts {
            match self.tensor(way, hold) {
                Tensor::Sgd(tensor) => fused.sgd(vec![tensor])[0],
                Tensor::Adam(tensor) => fused.adam(vec![tensor])[0],
            }
        }

        fn tensor<'a>(&'a mut self, way: Way, hold: Option<Hold<'a>>) -> Tensor<'a> {
            let [weights, gradient, first_moment, second_moment] = &mut self.0;
            let (decay, momentum) = match way {
                Way::Adam(step) => {
                    return Tensor::Adam(AdamTensor {
                        weights,
                        gradient,
                        first_moment,
                        second_moment,
                        step,
                        hold,
                    });
                }
                Way::Sgd { decay } => (decay, None),
                Way::Momentum { decay, first, nesterov } => {
                    let buffer = first_moment;
                    let (momentum, dampening) = (0.9, 0.0);
                    (decay, Some(Momentum { buffer, first, momentum, dampening, nesterov }))
                }
            };
            let step = SgdStep { lr: 0.1, weight_decay: decay };
            Tensor::Sgd(SgdTensor { weights, gradient, momentum, step, hold })
        }

        fn bits(&self) -> Vec<u32> {
            self.0.iter().flat_map(|slice| bits(slice)).collect()
        }
    }

    enum Tensor<'a> {
        Sgd(SgdTensor<'a>),
        Adam(AdamTensor<'a>),
    }

    fn flush(state: &mut f32) {
        if state.abs() < f32::MIN_POSITIVE {
            *state = 0.0;
        }
    }

    /// Exponentiated gradient as one would write it.
    fn plain(slices: &mut Slices, way: Way, hold: Option<&Hold<'_>>) -> Counts {
        let [w, g, m, v] = &mut slices.0;
        let before = w.clone();
        for i in 0..w.len() {
            let sign = hold.map_or(0, |hold| hold.mask.get(i)) as f32;
            let decaying = if sign == 0.0 { w[i] } else { sign };
            let mut direction = g[i];
            let change = match way {
                Way::Sgd { decay } | Way::Momentum { decay, .. } => {
                    if decay != 0.0 {
                        direction += decay as f32 * decaying;
                    }
                    if let Way::Momentum { first, nesterov, .. } = way {
                        m[i] = if first { direction } else { 0.9 * m[i] + direction };
                        flush(&mut m[i]);
                        direction = if nesterov { direction + 0.9 * m[i] } else { m[i] };
                    }
                    0.1 * direction
                }
                Way::Adam(step) => {
                    if step.decoupled {
                        w[i] *= (1.0 - step.lr * step.weight_decay) as f32;
                    } else {
                        direction += step.weight_decay as f32 * decaying;
                    }
                    m[i] = 0.9 * m[i] + (1.0 - 0.9_f64) as f32 * direction;
                    v[i] = 0.999 * v[i] + (1.0 - 0.999_f64) as f32 * direction * direction;
                    flush(&mut m[i]);
                    flush(&mut v[i]);
                    let rate = (step.lr / (1.0 - 0.9_f64.powf(step.step as f64))) as f32;
                    let scale = 1.0 / (1.0 - 0.999_f64.powf(step.step as f64)).sqrt();
                    rate * m[i] / (v[i].sqrt() * scale as f32 + 1e-8)
                }
            };
            if sign == 0.0 {
                w[i] -= change;
                continue;
            }
            let exponent = -sign * change;
            w[i] *= exp(if exponent.abs() > 80.0 { 80.0_f32.copysign(exponent) } else { exponent });
            let along = w[i] * sign;
            if along.abs() < 1e-8 && along >= 0.0 {
                w[i] = 1e-8 * sign;
            }
        }
        match hold {
            Some(hold) => plain_projection(&before, w, hold),
            None => fluid(&before, w),
        }
    }

    fn hold(mask: &SignMask) -> Hold<'_> {
        let key = ResetKey { seed: 1, step: 2, tensor: 3 };
        Hold { mask, reset: Reset::Zero, key, order: None }
    }

    #[test]
    fn eg_equals_the_plain_one_bit_for_bit() {
        for (number, length) in LENGTHS.into_iter().enumerate() {
            every_hold(length, |hold| {
                let way = WAYS[number % WAYS.len()];
                let mut expected = Slices::new(length);
                let counts = plain(&mut expected, way, Some(&hold));
                everywhere(|fused| {
                    let mut slices = Slices::new(length);
                    assert_eq!(slices.step(fused, way, Some(hold)), counts, "{fused:?} {way:?}");
                    assert_eq!(slices.bits(), expected.bits(), "{fused:?} {length} {way:?}");
                });
            });
        }
    }

    #[test]
    fn every_way_equals_the_plain_one_bit_for_bit() {
        for way in WAYS {
            every_hold(1000, |hold| {
                let mut expected = Slices::new(1000);
                let counts = plain(&mut expected, way, Some(&hold));
                everywhere(|fused| {
                    let mut slices = Slices::new(1000);
                    assert_eq!(slices.step(fused, way, Some(hold)), counts, "{fused:?} {way:?}");
                    assert_eq!(slices.bits(), expected.bits(), "{fused:?} {way:?}");
                });
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
            for way in [WAYS[3], WAYS[5]] {
                let mut expected = None;
                everywhere(|fused| {
                    let mut slices = slices.clone();
                    let done = (slices.step(fused, way, Some(hold)), slices.bits());
                    assert!(*expected.get_or_insert(done.clone()) == done, "{fused:?} {way:?}");
                });
            }
        });
    }

    #[test]
    fn what_holds_nothing_steps_like_sgd_and_adam() {
        let free = SignMask::free(1000);
        for way in WAYS {
            for hold in [None, Some(hold(&free))] {
                everywhere(|fused| {
                    let (mut ours, mut expected) = (Slices::new(1000), Slices::new(1000));
                    let counts = expected.step_additively(fused, way, None);
                    assert_eq!(ours.step(fused, way, hold), counts, "{way:?}");
                    assert_eq!(ours.bits(), expected.bits(), "{fused:?} {way:?}");
                });
            }
        }
    }

    #[test]
    fn a_small_step_is_the_additive_one_times_the_weight() {
        let mask = SignMask::random(1000, 0.5, &mut Stream::new(1, "mask"));
        let start = Slices::sound(&mask);
        let mut slices = start.clone();
        slices.step(Fused::new(NonZeroUsize::MIN), WAYS[0], Some(hold(&mask)));
        for i in 0..1000 {
            let (w, change) = (start.0[0][i], 0.1 * start.0[1][i]);
            let expected = w - w.abs() * change;
            // exp(x) is 1 + x but for x² e^|x| / 2, here at most 0.0056.
            assert!((slices.0[0][i] - expected).abs() <= 0.0056 * w.abs(), "{w} {change}");
        }
    }

    #[test]
    fn a_weight_on_its_side_is_never_reset_and_never_crosses() {
        every_hold(1000, |hold| {
            for way in WAYS {
                let mut slices = Slices::sound(hold.mask);
                slices.0[0].iter_mut().zip(hold.mask.iter()).for_each(|(weight, sign)| {
                    // Free weights may cross: here there is nothing for them to do.
                    *weight *= f32::from(sign.abs());
                });
                let zero_where_free = |slice: &mut Vec<f32>| {
                    slice.iter_mut().zip(hold.mask.iter()).for_each(|(number, sign)| {
                        *number *= f32::from(sign.abs());
                    });
                };
                zero_where_free(&mut slices.0[1]);
                for _ in 0..100 {
                    let counts = slices.step(Fused::new(NonZeroUsize::MIN), way, Some(hold));
                    assert_eq!(counts, Counts::default(), "{way:?}");
                }
            }
        });
    }

    #[test]
    fn a_gradient_of_zero_leaves_every_held_weight_as_it_is() {
        let mask = SignMask::random(1000, 0.5, &mut Stream::new(1, "mask"));
        let mut slices = Slices::sound(&mask);
        slices.0[1].fill(0.0);
        let before = slices.bits();
        slices.step(Fused::new(NonZeroUsize::MIN), WAYS[0], Some(hold(&mask)));
        assert_eq!(slices.bits(), before);
    }

    #[test]
    fn a_held_zero_leaves_zero_and_a_shrinking_weight_stops_at_the_floor() {
        let mask = SignMask::from_signs(&[1, -1, 1, -1]);
        let mut slices = Slices([vec![0.0, -0.0, 1.0, -1.0], vec![0.0; 4], vec![], vec![]]);
        slices.0[1] = vec![-10.0, 10.0, 1000.0, -1000.0];
        let fused = Fused::new(NonZeroUsize::MIN);
        slices.step(fused, WAYS[0], Some(hold(&mask)));
        assert_eq!(slices.0[0], [EG_FLOOR, -EG_FLOOR, EG_FLOOR, -EG_FLOOR]);
        for _ in 0..18 {
            slices.step(fused, WAYS[0], Some(hold(&mask)));
        }
        assert!(slices.0[0][0] > 0.6 && slices.0[0][1] < -0.6, "{:?}", slices.0[0]);
    }

    #[test]
    fn no_gradient_overflows_a_factor_and_nan_stays_nan() {
        let mask = SignMask::from_signs(&[1; 5]);
        let weights = vec![1.0, 1.0, f32::NAN, 1.0, f32::INFINITY];
        let gradient = vec![f32::NEG_INFINITY, f32::INFINITY, 1.0, f32::NAN, f32::MAX];
        let mut slices = Slices([weights, gradient, vec![], vec![]]);
        slices.step(Fused::new(NonZeroUsize::MIN), WAYS[0], Some(hold(&mask)));
        let [up, down, weight, gradient, infinite] = slices.0[0][..] else { unreachable!() };
        assert!((up - 80.0_f32.exp()).abs() < 1e-6 * up && down == EG_FLOOR);
        assert!(weight.is_nan() && gradient.is_nan() && infinite == f32::INFINITY);
    }

    #[test]
    fn decay_takes_the_same_share_off_every_held_weight() {
        let mask = SignMask::from_signs(&[1, -1]);
        let shares = |way| {
            let mut slices = Slices([vec![2.0, -0.01], vec![0.0; 2], vec![0.0; 2], vec![0.0; 2]]);
            slices.step(Fused::new(NonZeroUsize::MIN), way, Some(hold(&mask)));
            [slices.0[0][0] / 2.0, slices.0[0][1] / -0.01]
        };
        for (way, share) in [
            (WAYS[1], (-0.1 * 0.01_f32).exp()),
            (Way::Momentum { decay: 0.01, first: true, nesterov: false }, (-0.001_f32).exp()),
            (WAYS[5], 1.0 - 0.1 * 0.01),
        ] {
            assert!(shares(way).iter().all(|got| (got - share).abs() < 2e-7), "{way:?}");
        }
    }

    #[test]
    fn the_exponential_is_right_to_the_last_place() {
        let mut worst = 0.0_f64;
        let mut check = |exponent: f32| {
            let exact = f64::from(exponent).exp();
            let nearest = exact as f32;
            let place = f64::from(f32::from_bits(nearest.to_bits() + 1)) - f64::from(nearest);
            worst = worst.max((f64::from(exp(exponent)) - exact).abs() / place);
        };
        let mut stream = Stream::new(3, "exponents");
        for _ in 0..1_000_000 {
            check(EG_LIMIT * stream.symmetric());
            check(stream.symmetric());
            check(1e-3 * stream.symmetric());
        }
        [EG_LIMIT, -EG_LIMIT, 1e-45, -1e-45, f32::MIN_POSITIVE].into_iter().for_each(check);
        assert!(worst < 1.1, "{worst} units in the last place");
        assert_eq!((exp(0.0), exp(-0.0)), (1.0, 1.0));
        assert!(exp(f32::NAN).is_nan());
    }

    proptest! {
        #[test]
        fn no_held_weight_violates_after_any_gradient(
            weights in any_weights(200),
            gradient in any_weights(200),
        ) {
            let mut slices = Slices([weights, gradient, vec![0.0; 200], vec![0.0; 200]]);
            every_hold(200, |hold| {
                for way in WAYS {
                    slices.step(Fused::new(NonZeroUsize::MIN), way, Some(hold));
                    assert_eq!(hold.mask.violators(&slices.0[0]), 0, "{way:?} {hold:?}");
                }
            });
        }
    }
}
