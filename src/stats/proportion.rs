//! A share of successes, and the difference of two, with their intervals; how rare few successes are.

use statrs::distribution::{Binomial, DiscreteCDF};

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

/// The difference of two shares, `first − second`, each given as (successes, trials), with Newcombe's
/// interval of two independent samples, made from Wilson's of each. `None` as for [`wilson`].
///
/// Where the two are paired and agree more often than by chance, the interval is too long, not too
/// short.
///
/// **Source:** R. G. Newcombe, "Interval estimation for the difference between independent
/// proportions", Statistics in Medicine 17 (1998), method 10.
pub fn difference(first: (u64, u64), second: (u64, u64)) -> Option<Interval> {
    let (a, b) = (wilson(first.0, first.1)?, wilson(second.0, second.1)?);
    let estimate = a.estimate - b.estimate;
    let reach =
        |of_a: f64, of_b: f64| ((a.estimate - of_a).powi(2) + (b.estimate - of_b).powi(2)).sqrt();
    let (low, high) = (estimate - reach(a.low, b.high), estimate + reach(a.high, b.low));
    Some(Interval { estimate, low: low.max(-1.0), high: high.min(1.0) })
}

/// The chance of at most `successes` in `trials` independent trials that each succeed with the chance
/// `share`. `None` when `share` is not in [0, 1].
pub fn chance_of_at_most(successes: u64, trials: u64, share: f64) -> Option<f64> {
    Some(Binomial::new(share, trials).ok()?.cdf(successes))
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

    // statsmodels.stats.proportion.confint_proportions_2indep(*first, *second, method="newcomb")
    #[test]
    fn intervals_of_differences_are_statsmodels() {
        for (first, second, low, high) in [
            ((7, 10), (2, 10), 0.06647631448630487, 0.7397586340406174),
            ((10, 10), (0, 8), 0.5730752722626345, 1.0),
            ((3, 20), (5, 20), -0.3395035190745356, 0.15171072320577425),
        ] {
            let found = difference(first, second).unwrap();
            approx::assert_abs_diff_eq!(found.low, low, epsilon = 1e-10);
            approx::assert_abs_diff_eq!(found.high, high, epsilon = 1e-10);
        }
        assert_eq!(difference((1, 0), (1, 2)), None);
    }

    // scipy.stats.binom.cdf([430, 420, 450], 500, 0.9)
    #[test]
    fn chances_are_scipys() {
        for (successes, chance) in
            [(430, 2.71071827e-03), (420, 2.01429520e-05), (450, 5.21801863e-01)]
        {
            let found = chance_of_at_most(successes, 500, 0.9).unwrap();
            approx::assert_relative_eq!(found, chance, max_relative = 1e-7);
        }
        assert_eq!(chance_of_at_most(1, 2, 1.5), None);
    }

    #[test]
    fn impossible_counts_have_no_share() {
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(4, 3), None);
    }
}
