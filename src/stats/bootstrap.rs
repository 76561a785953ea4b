//! Confidence intervals from the sample alone: the bias-corrected and accelerated (BCa) bootstrap.
//!
//! The sample is drawn from itself again and again; the spread of the statistic over these
//! resamples stands for its spread over samples. BCa then moves the two quantiles that are read
//! off, for the bias of the statistic and for a spread that changes with its value.
//!
//! **Source:** B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap* (1993), section
//! 14.3. Details follow `scipy.stats.bootstrap(method="BCa")`; where that gives NaN we give the
//! limits that [`Bootstrap::median`] names.
//!
//! With fewer than about ten observations the intervals are too short (for medians, fewer than
//! 95 % of them cover the truth); callers who print them should say so.

use super::interval::{CONFIDENCE, Interval, normal_below, normal_quantile};
use super::quantile::{median, of_sorted};
use crate::random::Stream;

/// How to resample. The same seed and sample give the same interval on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// How often the sample is drawn from itself, at least 1.
    pub resamples: usize,
    /// The seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 10,000 resamples with seed 0.
    fn default() -> Self {
        Bootstrap { resamples: 10_000, seed: 0 }
    }
}

impl Bootstrap {
    /// The median of `sample` and its interval, `None` when the sample is empty or holds a value
    /// that is not finite.
    ///
    /// One observation bounds nothing: the interval is (−∞, ∞). Equal observations give an interval
    /// of length 0. Where leaving out any one observation does not move the median, the
    /// acceleration is 0 and the interval merely bias-corrected.
    ///
    /// # Panics
    /// When `resamples` is 0.
    pub fn median(&self, sample: &[f64]) -> Option<Interval> {
        self.interval(sample, |sample| median(sample).expect("resamples are finite, not empty"))
    }

    /// The median of the differences `first − second` and its interval; see
    /// [`median`](Self::median).
    ///
    /// A pair is two measurements that share all but the condition, such as two arms of one seed.
    ///
    /// # Panics
    /// When `resamples` is 0.
    pub fn median_difference(&self, pairs: &[(f64, f64)]) -> Option<Interval> {
        let differences: Vec<_> = pairs.iter().map(|(first, second)| first - second).collect();
        self.median(&differences)
    }

    fn interval(&self, sample: &[f64], statistic: impl Fn(&[f64]) -> f64) -> Option<Interval> {
        assert!(self.resamples > 0, "a bootstrap without resamples was asked for");
        if sample.is_empty() || !sample.iter().all(|value| value.is_finite()) {
            return None;
        }
        let estimate = statistic(sample);
        if sample.len() == 1 {
            return Some(Interval { estimate, low: f64::NEG_INFINITY, high: f64::INFINITY });
        }
        let replicates = self.replicates(sample, &statistic);
        let bias = bias(&replicates, estimate);
        let acceleration = acceleration(sample, &statistic);
        let end = |share: f64| {
            let shifted = bias + normal_quantile(share);
            let moved = normal_below(bias + shifted / (1.0 - acceleration * shifted));
            of_sorted(&replicates, moved)
        };
        let tail = (1.0 - CONFIDENCE) / 2.0;
        Some(Interval { estimate, low: end(tail), high: end(1.0 - tail) })
    }

    /// The statistic of every resample, sorted.
    fn replicates(&self, sample: &[f64], statistic: impl Fn(&[f64]) -> f64) -> Vec<f64> {
        let mut stream = Stream::new(self.seed, "bootstrap");
        let mut resample = vec![0.0; sample.len()];
        let mut replicates = Vec::with_capacity(self.resamples);
        for _ in 0..self.resamples {
            resample.fill_with(|| sample[stream.below(sample.len())]);
            replicates.push(statistic(&resample));
        }
        replicates.sort_unstable_by(f64::total_cmp);
        replicates
    }
}

/// ẑ₀ of equation 14.14: how far the estimate is from the median of the replicates, on the normal
/// scale. Replicates equal to the estimate count half; the share is kept inside (0, 1).
fn bias(replicates: &[f64], estimate: f64) -> f64 {
    let below = replicates.partition_point(|&value| value < estimate);
    let up_to = replicates.partition_point(|&value| value <= estimate);
    let count = replicates.len() as f64;
    let share = (below + up_to) as f64 / 2.0 / count;
    normal_quantile(share.clamp(0.5 / count, 1.0 - 0.5 / count))
}

/// â of equation 14.15: the skewness of the statistic over the samples without one observation.
fn acceleration(sample: &[f64], statistic: impl Fn(&[f64]) -> f64) -> f64 {
    let mut rest = sample[1..].to_vec();
    let mut without = Vec::with_capacity(sample.len());
    for left_out in 0..sample.len() {
        without.push(statistic(&rest));
        if left_out < rest.len() {
            rest[left_out] = sample[left_out];
        }
    }
    let mean = without.iter().sum::<f64>() / without.len() as f64;
    let power = |exponent| without.iter().map(|value| (mean - value).powi(exponent)).sum::<f64>();
    let (squares, cubes) = (power(2), power(3));
    if squares == 0.0 { 0.0 } else { cubes / (6.0 * squares.powf(1.5)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEWED: [f64; 12] = [0.02, 0.05, 0.11, 0.13, 0.2, 0.28, 0.4, 0.55, 0.81, 1.2, 1.9, 3.4];
    const FIRST: [f64; 10] = [31.2, 35.5, 29.9, 40.1, 33.3, 36.7, 30.8, 38.4, 34.6, 32.5];
    const SECOND: [f64; 10] = [38.9, 40.2, 41.0, 42.6, 37.1, 45.9, 39.3, 44.4, 36.8, 43.7];

    fn pairs() -> Vec<(f64, f64)> {
        FIRST.into_iter().zip(SECOND).collect()
    }

    #[track_caller]
    fn assert_near(found: Option<Interval>, [estimate, low, high]: [f64; 3], epsilon: f64) {
        let found = found.unwrap();
        approx::assert_abs_diff_eq!(found.estimate, estimate, epsilon = 1e-9);
        approx::assert_abs_diff_eq!(found.low, low, epsilon = epsilon);
        approx::assert_abs_diff_eq!(found.high, high, epsilon = epsilon);
    }

    // rng = numpy.random.default_rng(0)
    // bootstrap = lambda data, statistic: scipy.stats.bootstrap((data,), statistic, method="BCa",
    //     n_resamples=1_000_000, batch=10_000, random_state=rng).confidence_interval
    // bootstrap(SKEWED, numpy.mean), bootstrap(SKEWED, numpy.median)
    // bootstrap(FIRST, numpy.median), bootstrap(FIRST - SECOND, numpy.median)
    #[test]
    fn intervals_are_scipys() {
        let many = Bootstrap { resamples: 200_000, ..Bootstrap::default() };
        let mean = |sample: &[f64]| sample.iter().sum::<f64>() / sample.len() as f64;
        // The percentile interval without the two corrections is [0.290, 1.359].
        let expected = [9.05 / 12.0, 0.36166666666666664, 1.575];
        assert_near(many.interval(&SKEWED, mean), expected, 0.01);
        assert_near(many.median(&SKEWED), [0.34, 0.12, 1.005], 1e-9);
        assert_near(many.median(&FIRST), [33.95, 31.2, 36.7], 1e-9);
        assert_near(many.median_difference(&pairs()), [-6.85, -9.8, -3.8], 1e-9);
    }

    #[test]
    fn ten_thousand_resamples_come_near_a_million() {
        let found = Bootstrap::default().median_difference(&pairs());
        assert_near(found, [-6.85, -9.8, -3.8], 0.5);
    }

    #[test]
    fn the_seed_decides_the_draws() {
        let with = |seed| Bootstrap { resamples: 50, seed }.replicates(&SKEWED, |s| s[0]);
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn the_order_of_the_arms_only_turns_the_sign() {
        let bootstrap = Bootstrap::default();
        let turned: Vec<_> = pairs().into_iter().map(|(first, second)| (second, first)).collect();
        let (there, back) =
            (bootstrap.median_difference(&pairs()), bootstrap.median_difference(&turned));
        let (there, back) = (there.unwrap(), back.unwrap());
        approx::assert_abs_diff_eq!(there.estimate, -back.estimate, epsilon = 1e-9);
        approx::assert_abs_diff_eq!(there.low, -back.high, epsilon = 0.5);
    }

    #[test]
    fn one_observation_bounds_nothing() {
        let found = Bootstrap::default().median(&[3.0]).unwrap();
        assert_eq!(found.estimate, 3.0);
        assert_eq!((found.low, found.high), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn equal_observations_have_no_spread() {
        let found = Bootstrap::default().median(&[3.0; 7]).unwrap();
        assert_eq!(found, Interval { estimate: 3.0, low: 3.0, high: 3.0 });
    }

    #[test]
    fn a_median_that_no_single_observation_moves_still_has_an_interval() {
        let found = Bootstrap::default().median(&[1.0, 2.0, 2.0, 2.0, 3.0, 9.0]).unwrap();
        assert!(found.low <= 2.0 && found.high > 2.0, "{found:?}");
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let bootstrap = Bootstrap::default();
        assert_eq!(bootstrap.median(&[]), None);
        assert_eq!(bootstrap.median(&[1.0, f64::NAN]), None);
        assert_eq!(bootstrap.median_difference(&[(f64::INFINITY, 1.0), (2.0, 1.0)]), None);
    }
}
