//! Quantiles by linear interpolation between order statistics.
//!
//! **Source:** R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American
//! Statistician 50 (1996), definition 7: the default of NumPy and R.

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

fn sorted(sample: &[f64]) -> Option<Vec<f64>> {
    if sample.is_empty() || sample.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = sample.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Some(sorted)
}

/// The quantile of a sample that is sorted and not empty, for `q` in [0, 1].
pub(super) fn of_sorted(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    if below == above { below } else { below + (above - below) * position.fract() }
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
