//! A share of successes with its interval.

use super::interval::{CONFIDENCE, Interval, normal_quantile};

/// The share of `successes` among `trials` with Wilson's score interval, which stays within [0, 1]
/// and has a length even when all trials or none succeed. `None` when there is no trial, or more
/// successes than trials.
///
/// **Source:** E. B. Wilson, "Probable inference, the law of succession, and statistical
/// inference", Journal of the American Statistical Association 22 (1927).
///
/// # Examples
/// ```
/// let reached = polarity::stats::proportion::wilson(10, 10).unwrap();
/// assert_eq!((reached.estimate, reached.high), (1.0, 1.0));
/// assert!((reached.low - 0.722).abs() < 0.001);
/// ```
pub fn wilson(successes: u64, trials: u64) -> Option<Interval> {
    if trials == 0 || successes > trials {
        return None;
    }
    let (n, share) = (trials as f64, successes as f64 / trials as f64);
    let z = normal_quantile(0.5 + CONFIDENCE / 2.0);
    let shrink = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / shrink;
    let reach = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / shrink;
    // At the ends the interval ends at the share itself; rounding must not say otherwise.
    let low = if successes == 0 { 0.0 } else { centre - reach };
    let high = if successes == trials { 1.0 } else { centre + reach };
    Some(Interval { estimate: share, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    // statsmodels.stats.proportion.proportion_confint(successes, trials, method="wilson")
    #[test]
    fn intervals_are_statsmodels() {
        for (successes, trials, low, high) in [
            (0, 10, 0.0, 0.27753279986288926),
            (10, 10, 0.7224672001371106, 1.0),
            (7, 20, 0.18119182410108203, 0.5671457233147638),
            (1, 3, 0.06149194472039626, 0.7923403991979523),
            (489, 10_000, 0.044843646588557176, 0.053302796741467234),
        ] {
            let found = wilson(successes, trials).unwrap();
            approx::assert_abs_diff_eq!(found.low, low, epsilon = 1e-10);
            approx::assert_abs_diff_eq!(found.high, high, epsilon = 1e-10);
            assert_eq!(found.estimate, successes as f64 / trials as f64);
        }
    }

    #[test]
    fn impossible_counts_have_no_share() {
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(4, 3), None);
    }
}
