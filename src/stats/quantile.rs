//! Quantiles by linear interpolation between order statistics, and an interval of the median that
//! needs nothing but their order.
//!
//! **Source:** R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American
//! Statistician 50 (1996), definition 7: the default of NumPy and R.

use super::interval::{CONFIDENCE, Interval};
use super::proportion::chance_of_at_most;

/// The value with the share `q` of the sample below it, `None` when the sample is empty or holds a
/// NaN, or `q` is outside [0, 1].
///
/// # Examples
/// ```
/// use polarity::stats::quantile::quantile;
/// assert_eq!(quantile(&[4.0, 1.0, 2.0], 0.25), Some(1.5));
/// assert_eq!(quantile(&[], 0.25), None);
/// ```
pub fn quantile(sample: &[f64], q: f64) -> Option<f64> {
    let sorted = sorted(sample)?;
    (0.0..=1.0).contains(&q).then(|| of_sorted(&sorted, q))
}

/// The middle value, or the mean of the two middle ones. `None` as for [`quantile`].
pub fn median(sample: &[f64]) -> Option<f64> {
    quantile(sample, 0.5)
}

/// The median with an interval between two order statistics, as far apart as the confidence asks.
/// `None` as for [`quantile`].
///
/// It holds for any distribution, and values may be infinite, such as times to what never happened. At
/// 95 % fewer than six values bound nothing: the interval is (−∞, ∞).
///
/// **Source:** the interval that belongs to the sign test; W. J. Conover, *Practical Nonparametric
/// Statistics* (1999), section 3.2. Agrees with `scipy.stats.quantile_test(…).confidence_interval()`.
pub fn median_by_order(sample: &[f64]) -> Option<Interval> {
    let sorted = sorted(sample)?;
    let (count, tail) = (sorted.len() as u64, (1.0 - CONFIDENCE) / 2.0);
    let is_rare = |below: &u64| chance_of_at_most(*below, count, 0.5).is_some_and(|p| p <= tail);
    // How many values may be cut off at each end.
    let cut = (0..count).take_while(is_rare).count();
    let (low, high) = match cut {
        0 => (f64::NEG_INFINITY, f64::INFINITY),
        cut => (sorted[cut - 1], sorted[sorted.len() - cut]),
    };
    Some(Interval { estimate: of_sorted(&sorted, 0.5), low, high })
}

/// The median between the quartiles that hold the middle half of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    /// The 25 % quantile.
    pub lower: f64,
    /// The 50 % quantile.
    pub median: f64,
    /// The 75 % quantile.
    pub upper: f64,
}

/// The three quartiles. `None` as for [`quantile`].
pub fn quartiles(sample: &[f64]) -> Option<Quartiles> {
    let sorted = sorted(sample)?;
    let [lower, median, upper] = [0.25, 0.5, 0.75].map(|q| of_sorted(&sorted, q));
    Some(Quartiles { lower, median, upper })
}

/// The values, rising; none when there is no value or one is NaN.
pub(super) fn sorted(sample: &[f64]) -> Option<Vec<f64>> {
    if sample.is_empty() || sample.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = sample.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Some(sorted)
}

/// The median of two values of which the first is not greater, as [`median`] has it.
pub(super) fn halfway(below: f64, above: f64) -> f64 {
    between(below, above, 0.5)
}

fn between(below: f64, above: f64, share: f64) -> f64 {
    if below == above { below } else { below + (above - below) * share }
}

/// The quantile of a sample that is sorted and not empty, for `q` in [0, 1].
fn of_sorted(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    between(below, above, position.fract())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // numpy.quantile([0.2, 1.5, 0.3, 4.0, 0.9, 2.2, 0.1, 7.5], [0.1, 0.25, 0.5, 0.9])
    #[test]
    fn quantiles_are_numpys() {
        let sample = [0.2, 1.5, 0.3, 4.0, 0.9, 2.2, 0.1, 7.5];
        for (q, expected) in [(0.1, 0.17), (0.25, 0.275), (0.5, 1.2), (0.9, 5.05)] {
            approx::assert_relative_eq!(quantile(&sample, q).unwrap(), expected, epsilon = 1e-12);
        }
        let quartiles = quartiles(&sample).unwrap();
        assert_eq!(quartiles.median, median(&sample).unwrap());
        approx::assert_relative_eq!(quartiles.lower, 0.275, epsilon = 1e-12);
        approx::assert_relative_eq!(quartiles.upper, 2.65, epsilon = 1e-12);
    }

    // s = numpy.arange(1, n + 1); scipy.stats.quantile_test(s, p=0.5).confidence_interval(0.95)
    // and the same of [4, 8, 8, 16, 16, 16, 32, 64, inf, inf]
    #[test]
    fn intervals_between_order_statistics_are_scipys() {
        let ends = |sample: &[f64]| median_by_order(sample).map(|found| (found.low, found.high));
        for (n, low, high) in [(6, 1.0, 6.0), (10, 2.0, 9.0), (20, 6.0, 15.0)] {
            let sample: Vec<f64> = (1..=n).map(f64::from).collect();
            assert_eq!(ends(&sample), Some((low, high)), "{n}");
        }
        let never = f64::INFINITY;
        let steps = [4.0, 8.0, 8.0, 16.0, 16.0, 16.0, 32.0, 64.0, never, never];
        assert_eq!(ends(&steps), Some((8.0, never)));
        assert_eq!(ends(&[1.0, 2.0, 3.0, 4.0, 5.0]), Some((-never, never)));
        assert_eq!(ends(&[]), None);
    }

    #[test]
    fn a_single_value_is_every_quantile() {
        assert_eq!([0.0, 0.3, 1.0].map(|q| quantile(&[2.5], q)), [Some(2.5); 3]);
    }

    #[test]
    fn infinite_values_are_ordered_like_others() {
        let sample = [f64::INFINITY, 1.0, 2.0, f64::INFINITY];
        assert_eq!(quantile(&sample, 0.0), Some(1.0));
        assert_eq!(quantile(&sample, 1.0), Some(f64::INFINITY));
        assert_eq!(median(&sample), Some(f64::INFINITY));
    }

    #[test]
    fn no_value_or_a_nan_has_no_quantile() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, f64::NAN]), None);
        assert_eq!(quartiles(&[f64::NAN]), None);
        assert_eq!(quantile(&[1.0], 1.5), None);
        assert_eq!(quantile(&[1.0], f64::NAN), None);
    }

    proptest! {
        #[test]
        fn quantiles_grow_with_q_and_stay_within_the_sample(
            sample in prop::collection::vec(-1e6..1e6_f64, 1..40),
            (q, r) in (0.0..=1.0_f64, 0.0..=1.0_f64),
        ) {
            let low = quantile(&sample, q.min(r)).unwrap();
            let high = quantile(&sample, q.max(r)).unwrap();
            prop_assert!(quantile(&sample, 0.0).unwrap() <= low);
            prop_assert!(low <= high + 1e-9);
            prop_assert!(high <= quantile(&sample, 1.0).unwrap() + 1e-9);
        }
    }
}
