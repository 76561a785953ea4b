//! An estimate with the interval that goes with it.

use statrs::distribution::{ContinuousCDF, Normal};

/// The confidence of every interval of this crate.
pub const CONFIDENCE: f64 = 0.95;

/// An estimate and the ends of its confidence interval, at [`CONFIDENCE`].
///
/// `low <= high`. An end is infinite where the data do not bound it, as with a single observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The statistic of the sample itself.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// An estimate that nothing bounds.
    pub fn unbounded(estimate: f64) -> Self {
        Interval { estimate, low: f64::NEG_INFINITY, high: f64::INFINITY }
    }
}

/// The share of a standard normal distribution below `z`.
pub(super) fn normal_below(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The `z` with `share` of a standard normal distribution below it, for `share` in (0, 1).
pub(super) fn normal_quantile(share: f64) -> f64 {
    Normal::standard().inverse_cdf(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    // scipy.special: ndtr([-3, -0.5, 1.96]), ndtri([0.001, 0.025, 0.8])
    #[test]
    fn the_normal_distribution_is_scipys() {
        for (z, share) in
            [(-3.0, 0.0013498980316300933), (-0.5, 0.3085375387259869), (1.96, 0.9750021048517795)]
        {
            approx::assert_relative_eq!(normal_below(z), share, max_relative = 1e-10);
        }
        for (share, z) in
            [(0.001, -3.090232306167813), (0.025, -1.9599639845400545), (0.8, 0.8416212335729143)]
        {
            approx::assert_relative_eq!(normal_quantile(share), z, max_relative = 1e-10);
        }
    }
}
