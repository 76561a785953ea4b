//! The logistic loss of a logit, by polynomials, the same for every lane.
//!
//! With `e = exp(−|z|)`, the sigmoid is `1 / (1 + e)` or `e / (1 + e)`, and the loss of class `y` is
//! `max(z, 0) − z·y + ln(1 + e)`: nothing overflows, and small losses keep their digits.

use super::vector::Vector;

/// `(eʳ − 1 − r) / r²` for |r| ≤ ln 2 / 2, to 8·10⁻⁹ of eʳ; the lowest power first.
const EXP: [f32; 5] = [0.5, 0.166_665_74, 0.041_666_55, 0.008_363_774, 0.001_392_692_7];

/// `ln(1 + x) / x` for x in [0, 1], to 3·10⁻⁸ of it; the lowest power first.
const LN_1P: [f32; 9] = [
    0.999_999_97,
    -0.499_994_45,
    0.333_181_2,
    -0.248_353_99,
    0.190_768_81,
    -0.136_022_43,
    0.077_516_09,
    -0.029_074_065,
    0.005_126_102,
];

/// ln 2 in two parts, the first of so few digits that its small multiples are exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// Added to a number of at most 2²², leaves its nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Below this `exp(x)` is no normal number.
const LEAST: f32 = -87.0;

/// Sigmoid and logistic loss of one logit of each net.
#[derive(Clone, Copy)]
pub(super) struct Logistic<V> {
    logit: V,
    /// exp(−|logit|)
    decay: V,
}

impl<V: Vector> Logistic<V> {
    #[inline(always)]
    pub(super) fn new(logit: V) -> Self {
        let zero = V::splat(0.0);
        Logistic { logit, decay: exp(zero.sub(logit.abs())) }
    }

    /// 1 / (1 + exp(−logit)), with a relative error of at most 3·10⁻⁷.
    #[inline(always)]
    pub(super) fn sigmoid(self) -> V {
        let one = V::splat(1.0);
        let above = one.div(one.add(self.decay));
        V::select(self.logit.less(V::splat(0.0)), self.decay.mul(above), above)
    }

    /// −ln of the probability of `class`, which is 0 or 1, with an error of at most 3·10⁻⁷ of the
    /// greater of it and the logit.
    #[inline(always)]
    pub(super) fn loss(self, class: V) -> V {
        let Logistic { logit, decay } = self;
        let linear = V::splat(0.0).max(logit).sub(logit.mul(class));
        linear.add(polynomial(&LN_1P, decay).mul(decay))
    }
}

/// eˣ for x ≤ 0; below −87 that of −87. No number stays none.
#[inline(always)]
fn exp<V: Vector>(x: V) -> V {
    let x = V::splat(LEAST).max(x);
    let rounded = x.mul(V::splat(std::f32::consts::LOG2_E)).add(V::splat(ROUND));
    let power = rounded.sub(V::splat(ROUND));
    let [high, low] = LN_2.map(V::splat);
    let rest = x.sub(power.mul(high)).sub(power.mul(low));
    let curve = polynomial(&EXP, rest).mul(rest).mul(rest);
    V::splat(1.0).add(rest).add(curve).scaled(rounded)
}

#[inline(always)]
fn polynomial<V: Vector, const N: usize>(coefficients: &[f32; N], x: V) -> V {
    let mut sum = V::splat(coefficients[N - 1]);
    for power in (0..N - 1).rev() {
        sum = sum.mul(x).add(V::splat(coefficients[power]));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::vector::{Job, run};
    use super::*;
    use crate::optim::fused::Path;

    /// Sigmoid, and the losses of both classes, of each logit.
    struct Evaluate<'a>(&'a [f32]);

    impl Job for Evaluate<'_> {
        type Output = Vec<[f32; 3]>;

        #[inline(always)]
        fn run<V: Vector>(self) -> Self::Output {
            let mut found = Vec::new();
            for &logit in self.0 {
                let logistic = Logistic::new(V::splat(logit));
                let losses = [0.0, 1.0].map(|class| logistic.loss(V::splat(class)));
                let first = |vector: V| vector.lanes()[V::LANES - 1];
                found.push([first(logistic.sigmoid()), first(losses[0]), first(losses[1])]);
            }
            found
        }
    }

    fn logits() -> Vec<f32> {
        let fine = (-120_000..=120_000).map(|i| i as f32 / 1000.0);
        fine.chain([0.0, -0.0, 1e-30, -1e-30, 88.5, -88.5, 1e30, -1e30]).collect()
    }

    #[test]
    fn sigmoid_and_losses_are_as_near_the_truth_as_documented() {
        let logits = logits();
        for (z, [sigmoid, zero, one]) in logits.iter().zip(run(Path::best(), Evaluate(&logits))) {
            let z = f64::from(*z);
            let truth = 1.0 / (1.0 + (-z).exp());
            // exp(−87) stands for what is smaller.
            let error = (f64::from(sigmoid) - truth).abs();
            assert!(error <= 3e-7 * truth + 2e-38, "{z}: {sigmoid} {truth}");
            for (found, sign) in [(zero, 1.0), (one, -1.0)] {
                let decay = (-z.abs()).exp().ln_1p();
                let truth = (sign * z).max(0.0) + decay;
                let error = (f64::from(found) - truth).abs();
                assert!(
                    error <= 3e-7 * truth.max(if sign * z < 0.0 { 0.0 } else { z.abs() }) + 2e-38,
                    "{z}: {found} {truth}"
                );
            }
        }
    }

    #[test]
    fn every_path_gives_the_same_bits() {
        let logits = logits();
        let bits = |path| -> Vec<[u32; 3]> {
            let found = run(path, Evaluate(&logits));
            found.into_iter().map(|values| values.map(f32::to_bits)).collect()
        };
        for path in Path::ALL.into_iter().filter(|path| path.is_available()) {
            assert_eq!(bits(path), bits(Path::Portable), "{path:?}");
        }
    }

    #[test]
    fn a_logit_that_is_no_number_gives_none() {
        let found = run(Path::best(), Evaluate(&[f32::NAN]));
        assert!(found[0].iter().all(|value| value.is_nan()), "{found:?}");
    }
}
