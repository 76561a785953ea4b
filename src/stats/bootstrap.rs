//! Confidence intervals from the sample alone: the bias-corrected and accelerated (BCa) bootstrap, exact.
//!
//! The sample is drawn from itself again and again; the spread of the statistic over these resamples
//! stands for its spread over samples. BCa then moves the two quantiles that are read off, for the bias
//! of the statistic and for a spread that changes with its value.
//!
//! Nothing is drawn here: how often the resamples have which median (or mean of whole numbers) can be
//! counted out, so an interval is what infinitely many resamples come to, has no seed, and its
//! Monte-Carlo noise is 0. Drawn, the ends of the median of ten differences still moved by 0.2 to 2 of
//! their units from seed to seed with 10,000 resamples (a test shows it), since they jump from one
//! order statistic to the next.
//!
//! **Source:** B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap* (1993), section
//! 14.3; the exact distribution of the median: B. Efron, *The Jackknife, the Bootstrap and Other
//! Resampling Plans* (1982), section 10.3. Agrees with `scipy.stats.bootstrap(method="BCa")` but for its
//! noise; where that gives NaN we give the limits that [`median`] names.
//!
//! Equal values must be equal numbers, or rounding decides between them: errors are given as counts.
//!
//! With fewer than about ten observations the intervals are rough; callers who print them should say so.

use statrs::function::factorial::ln_binomial;

use super::interval::{CONFIDENCE, Interval, normal_below, normal_quantile};
use super::proportion::chance_of_at_most;
use super::quantile::{halfway, median as middle, sorted};

/// The median of `sample` and its interval, `None` when the sample is empty or holds a value that is
/// not finite.
///
/// One observation bounds nothing: the interval is (−∞, ∞). Equal observations give an interval of
/// length 0. Where leaving out any one observation does not move the median, the acceleration is 0 and
/// the interval merely bias-corrected.
///
/// # Examples
/// ```
/// let found = polarity::stats::bootstrap::median(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]).unwrap();
/// assert_eq!((found.low, found.estimate, found.high), (1.0, 3.5, 6.0));
/// ```
pub fn median(sample: &[f64]) -> Option<Interval> {
    if !sample.iter().all(|value| value.is_finite()) {
        return None;
    }
    let sorted = sorted(sample)?;
    if let [only] = sorted[..] {
        return Some(Interval::unbounded(only));
    }
    let medians = Distribution::of(medians(&sorted));
    let of = |sample: &[f64]| middle(sample).expect("values are finite, and one is left");
    Some(medians.interval(of(&sorted), acceleration(&sorted, of)))
}

/// The mean of whole numbers and its interval, for shares, whose median says little. `None` when there
/// are none, or when the resamples have too many different sums to be counted out.
pub fn mean(sample: &[i64]) -> Option<Interval> {
    let count = sample.len() as f64;
    let least = *sample.iter().min()?;
    let above: Vec<u64> = sample.iter().map(|value| value.abs_diff(least)).collect();
    let mean_of_sum = |sum: f64| least as f64 + sum / count;
    let estimate = mean_of_sum(above.iter().map(|value| *value as f64).sum());
    if above.len() == 1 {
        return Some(Interval::unbounded(estimate));
    }
    let sums = sums(&above)?;
    let means = sums.into_iter().enumerate().map(|(sum, share)| (mean_of_sum(sum as f64), share));
    // Leaving one out moves the mean in proportion to its value, whatever the unit.
    let values: Vec<f64> = above.iter().map(|value| *value as f64).collect();
    let of = |rest: &[f64]| rest.iter().sum::<f64>() / rest.len() as f64;
    Some(Distribution::of(means.collect()).interval(estimate, acceleration(&values, of)))
}

/// The values that a statistic has over the resamples, rising, each with the share of the resamples that
/// have at most it.
struct Distribution(Vec<(f64, f64)>);

impl Distribution {
    /// That of `values` with their shares, which are scaled to a sum of 1.
    fn of(mut values: Vec<(f64, f64)>) -> Self {
        values.retain(|(_, share)| *share > 0.0);
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let all: f64 = values.iter().map(|(_, share)| share).sum();
        let mut up_to = 0.0;
        let mut steps: Vec<(f64, f64)> = Vec::new();
        for tie in values.chunk_by(|a, b| a.0 == b.0) {
            up_to += tie.iter().map(|(_, share)| share).sum::<f64>();
            steps.push((tie[0].0, up_to / all));
        }
        Distribution(steps)
    }

    /// The share of the resamples below `value`, those equal to it counted half.
    fn share_below(&self, value: f64) -> f64 {
        let share = |steps: &[(f64, f64)]| steps.last().map_or(0.0, |(_, share)| *share);
        let below = self.0.partition_point(|(known, _)| *known < value);
        let up_to = self.0.partition_point(|(known, _)| *known <= value);
        (share(&self.0[..below]) + share(&self.0[..up_to])) / 2.0
    }

    /// The least value that at least the share `q` of the resamples do not exceed.
    fn quantile(&self, q: f64) -> f64 {
        let place = self.0.partition_point(|(_, share)| *share < q);
        self.0[place.min(self.0.len() - 1)].0
    }

    /// The BCa interval of `estimate`.
    fn interval(&self, estimate: f64, acceleration: f64) -> Interval {
        // ẑ₀ of equation 14.14: how far the estimate is from the middle, on the normal scale.
        let bias = normal_quantile(self.share_below(estimate).clamp(1e-12, 1.0 - 1e-12));
        let end = |share: f64| {
            let shifted = bias + normal_quantile(share);
            self.quantile(normal_below(bias + shifted / (1.0 - acceleration * shifted)))
        };
        let tail = (1.0 - CONFIDENCE) / 2.0;
        Interval { estimate, low: end(tail), high: end(1.0 - tail) }
    }
}

/// The medians that resamples of `sorted`, two values or more, can have, with their shares.
///
/// In a resample of n, as many values as a binomial number of n and i / n come from the i least.
fn medians(sorted: &[f64]) -> Vec<(f64, f64)> {
    let count = sorted.len();
    let half = count.div_ceil(2) as u64;
    // The share of resamples whose value at the place `half` is at most the `i`-th.
    let up_to = |i: usize| {
        let below = chance_of_at_most(half - 1, count as u64, i as f64 / count as f64);
        1.0 - below.expect("a share is a probability")
    };
    let window = window(count);
    let at = |i: usize| up_to(i) - up_to(i - 1);
    if !count.is_multiple_of(2) {
        return window.map(|i| (sorted[i - 1], at(i))).collect();
    }
    let ways = ln_binomial(count as u64, half);
    let power = |numerator: usize| half as f64 * (numerator as f64 / count as f64).ln();
    // The share with the two middle values at most the `i`-th and at least the `j`-th.
    let both = |i: usize, j: usize| (ways + power(i) + power(count + 1 - j)).exp();
    let mut found = Vec::new();
    for i in window.clone() {
        let mut apart = 0.0;
        for j in i + 1..=count.min(i + APART) {
            let outer = both(i, j) - both(i - 1, j);
            let share = outer - (both(i, j + 1) - both(i - 1, j + 1));
            apart += share;
            found.push((halfway(sorted[i - 1], sorted[j - 1]), share));
        }
        found.push((sorted[i - 1], at(i) - apart));
    }
    found
}

/// Two middle values of a resample are further apart than this many places once in 10²⁰.
const APART: usize = 100;

/// The places, from 1 on, where the middle of a resample of `count` values can be: all, but that in large
/// samples more than 20 deviations from the middle are left out.
fn window(count: usize) -> std::ops::RangeInclusive<usize> {
    let reach = (10.0 * (count as f64).sqrt()) as usize + 1;
    let middle = count / 2;
    middle.saturating_sub(reach).max(1)..=(middle + reach).min(count)
}

/// More additions than this are not done for one interval.
const MOST_ADDITIONS: u64 = 500_000_000;

/// The share of resamples of `values` with each sum, by rising sum; none where that is too much.
fn sums(values: &[u64]) -> Option<Vec<f64>> {
    let mut shares: Vec<(u64, f64)> = Vec::new();
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    for tie in sorted.chunk_by(|a, b| a == b) {
        shares.push((tie[0], tie.len() as f64 / values.len() as f64));
    }
    let (count, most) = (values.len() as u64, *sorted.last()?);
    let largest = most.checked_mul(count)?;
    let additions = largest.checked_mul(count)?.checked_mul(shares.len() as u64)?;
    if additions > MOST_ADDITIONS {
        return None;
    }
    let mut sums = vec![1.0];
    for drawn in 1..=count {
        let mut next = vec![0.0; (most * drawn) as usize + 1];
        for (value, share) in &shares {
            for (sum, before) in sums.iter().enumerate() {
                next[sum + *value as usize] += share * before;
            }
        }
        sums = next;
    }
    Some(sums)
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
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    const SKEWED: [f64; 12] = [0.02, 0.05, 0.11, 0.13, 0.2, 0.28, 0.4, 0.55, 0.81, 1.2, 1.9, 3.4];
    const FIRST: [f64; 10] = [31.2, 35.5, 29.9, 40.1, 33.3, 36.7, 30.8, 38.4, 34.6, 32.5];
    const SECOND: [f64; 10] = [38.9, 40.2, 41.0, 42.6, 37.1, 45.9, 39.3, 44.4, 36.8, 43.7];

    fn differences() -> Vec<f64> {
        FIRST.iter().zip(SECOND).map(|(first, second)| (10.0 * (first - second)).round()).collect()
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
    // bootstrap(SKEWED, numpy.median), bootstrap(FIRST, numpy.median)
    // bootstrap(10 * (FIRST - SECOND), numpy.median)
    #[test]
    fn intervals_of_medians_are_scipys() {
        assert_near(median(&SKEWED), [0.34, 0.12, 1.005], 1e-9);
        assert_near(median(&FIRST), [33.95, 31.2, 36.7], 1e-9);
        assert_near(median(&differences()), [-68.5, -98.0, -38.0], 1e-9);
    }

    // bootstrap([2, 5, 11, 13, 20, 28, 40, 55, 81, 120, 190, 340], numpy.mean); the percentile interval
    // without the two corrections is [29.0, 135.9].
    #[test]
    fn intervals_of_means_are_scipys() {
        let whole = SKEWED.map(|value| (100.0 * value).round() as i64);
        assert_near(mean(&whole), [905.0 / 12.0, 36.166666666666664, 157.5], 1.0);
        assert_eq!(mean(&[1, 1, 1]), Some(Interval { estimate: 1.0, low: 1.0, high: 1.0 }));
        assert_eq!(mean(&[-4]), Some(Interval::unbounded(-4.0)));
        assert_eq!([mean(&[]), mean(&[0, 1 << 60])], [None, None]);
    }

    /// The share of 40,000 drawn resamples with each median.
    fn drawn(sample: &[f64], seed: u64, resamples: usize) -> Distribution {
        let mut stream = Stream::new(seed, "bootstrap");
        let mut resample = vec![0.0; sample.len()];
        let draw = |_| {
            resample.fill_with(|| sample[stream.below(sample.len())]);
            (middle(&resample).unwrap(), 1.0)
        };
        Distribution::of((0..resamples).map(draw).collect())
    }

    #[test]
    fn counted_resamples_are_those_that_are_drawn() {
        for sample in [&SKEWED[..], &SKEWED[..11], &FIRST, &[1.0, 2.0], &[1.0, 2.0, 2.0, 7.0]] {
            let counted = Distribution::of(medians(&sorted(sample).unwrap()));
            for (value, share) in &drawn(sample, 1, 40_000).0 {
                let place = counted.0.iter().position(|(known, _)| known == value).unwrap();
                assert!((counted.0[place].1 - share).abs() < 0.01, "{value}: {share}");
            }
        }
    }

    #[test]
    fn the_ends_of_drawn_resamples_move_with_their_seed_and_counted_ones_do_not() {
        let sample = differences();
        let accelerated = acceleration(&sample, |rest| middle(rest).unwrap());
        let ends = |seed| {
            let found = drawn(&sample, seed, 10_000).interval(-68.5, accelerated);
            (found.low, found.high)
        };
        let of_seeds: Vec<_> = (0..8).map(ends).collect();
        assert!(of_seeds.iter().any(|found| *found != of_seeds[0]), "{of_seeds:?}");
        assert_eq!(median(&sample), median(&sample));
    }

    #[test]
    fn one_observation_bounds_nothing() {
        let found = median(&[3.0]).unwrap();
        assert_eq!(found.estimate, 3.0);
        assert_eq!((found.low, found.high), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn equal_observations_have_no_spread() {
        let found = median(&[3.0; 7]).unwrap();
        assert_eq!(found, Interval { estimate: 3.0, low: 3.0, high: 3.0 });
    }

    #[test]
    fn a_median_that_no_single_observation_moves_still_has_an_interval() {
        let found = median(&[1.0, 2.0, 2.0, 2.0, 3.0, 9.0]).unwrap();
        assert!(found.low <= 2.0 && found.high > 2.0, "{found:?}");
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, f64::NAN]), None);
        assert_eq!(median(&[f64::INFINITY, 2.0]), None);
    }

    #[test]
    fn samples_of_many_thousands_are_cut_where_nothing_lies() {
        for count in [1001, 40_000] {
            let sample: Vec<f64> = (0..count).map(f64::from).collect();
            let found = median(&sample).unwrap();
            // The ends of the interval between order statistics.
            let reach = 0.98 * f64::from(count).sqrt();
            approx::assert_abs_diff_eq!(found.low, found.estimate - reach, epsilon = 2.0);
            approx::assert_abs_diff_eq!(found.high, found.estimate + reach, epsilon = 2.0);
        }
    }

    proptest! {
        #[test]
        fn turning_the_sample_turns_the_interval(sample in prop::collection::vec(-40..40_i64, 2..40)) {
            let turned = |found: Interval| Interval {
                estimate: -found.estimate,
                low: -found.high,
                high: -found.low,
            };
            let floats = |sign: i64| -> Vec<f64> {
                sample.iter().map(|value| (sign * value) as f64).collect()
            };
            let [there, back] = [1, -1].map(|sign| median(&floats(sign)).unwrap());
            prop_assert_eq!(there, turned(back));
            prop_assert!(there.low <= there.estimate && there.estimate <= there.high);
            let negative: Vec<i64> = sample.iter().map(|value| -value).collect();
            let [there, back] = [&sample, &negative].map(|sample| mean(sample).unwrap());
            approx::assert_abs_diff_eq!(there.low, -back.high, epsilon = 0.05);
            approx::assert_abs_diff_eq!(there.estimate, -back.estimate, epsilon = 1e-9);
        }
    }
}
