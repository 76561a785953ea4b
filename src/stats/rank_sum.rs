//! Two samples that are not paired: the Mann–Whitney test.
//!
//! Arms of an experiment are paired by their seeds, and [signed ranks](super::hypothesis::signed_rank) are
//! their test. This one is what the paper used, and is given beside it for comparison.

use super::interval::normal_below;

/// Up to this many values in both samples together the null distribution is counted out.
const EXACT_UP_TO: usize = 50;

/// What the Mann–Whitney test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankSum {
    /// U: pairs of a first and a second value in which the first is greater; equal ones count half.
    pub statistic: f64,
    /// The two-sided p value.
    pub p: f64,
}

/// Mann and Whitney's two-sided test that values of `first` and `second` come from one distribution.
/// `None` when a sample is empty or holds a NaN.
///
/// Tied values share their mean rank; equal shares of whole numbers below 2²⁶ are equal as floating-point
/// numbers too, so errors need not be given as counts. Up to 50 values p is exact, given the ties: the share of all
/// ways to deal the values to the two samples with a rank sum at least as far from its mean. Above, it
/// is the normal approximation with corrections for ties and for continuity. (statrs has the test too,
/// but its exact form visits every way to deal, 10¹¹ for 20 and 20 values, and refuses ties.)
///
/// **Source:** H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is
/// stochastically larger than the other", Annals of Mathematical Statistics 18 (1947). Agrees with
/// `scipy.stats.mannwhitneyu`, whose exact method leaves ties out of account.
///
/// # Examples
/// ```
/// let found = polarity::stats::rank_sum::mann_whitney(&[1.0, 2.0], &[3.0, 4.0, 5.0]).unwrap();
/// assert_eq!((found.statistic, found.p), (0.0, 0.2));
/// ```
pub fn mann_whitney(first: &[f64], second: &[f64]) -> Option<RankSum> {
    let mut pooled: Vec<(f64, bool)> = first.iter().map(|value| (*value, true)).collect();
    pooled.extend(second.iter().map(|value| (*value, false)));
    if first.is_empty() || second.is_empty() || pooled.iter().any(|(value, _)| value.is_nan()) {
        return None;
    }
    pooled.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the ranks, so that the mean rank of a tie is whole too.
    let mut ranks = Vec::with_capacity(pooled.len());
    for tie in pooled.chunk_by(|a, b| a.0 == b.0) {
        let before = ranks.len();
        ranks.resize(before + tie.len(), 2 * before + 1 + tie.len());
    }
    let of_first = pooled.iter().zip(&ranks).filter(|((_, is_first), _)| *is_first);
    let sum: usize = of_first.map(|(_, rank)| rank).sum();
    let (m, n) = (first.len(), second.len());
    let statistic = (sum - m * (m + 1)) as f64 / 2.0;
    let p = match m + n {
        count if count <= EXACT_UP_TO => exact_p(&ranks, m, sum),
        _ => normal_p(&ranks, m, n, statistic),
    };
    Some(RankSum { statistic, p })
}

/// The share of ways to choose `m` of the `ranks` with a sum at least as far from its mean as `sum`.
fn exact_p(ranks: &[usize], m: usize, sum: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    // ways[k][s] counts the choices of k ranks with sum s; below 2⁴⁷, so each is exact in a float.
    let mut ways = vec![vec![0.0; total + 1]; m + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for chosen in (1..=m).rev() {
            for sum in rank..=total {
                ways[chosen][sum] += ways[chosen - 1][sum - rank];
            }
        }
    }
    let mean = m * (ranks.len() + 1);
    let (mut extreme, mut all) = (0.0, 0.0);
    for (other, count) in ways[m].iter().enumerate() {
        all += count;
        if other.abs_diff(mean) >= sum.abs_diff(mean) {
            extreme += count;
        }
    }
    extreme / all
}

fn normal_p(ranks: &[usize], m: usize, n: usize, statistic: f64) -> f64 {
    let ties =
        ranks.chunk_by(|a, b| a == b).map(|tie| (tie.len() as f64).powi(3) - tie.len() as f64);
    let (pairs, count) = ((m * n) as f64, (m + n) as f64);
    let spread = count + 1.0 - ties.sum::<f64>() / (count * (count - 1.0));
    let deviation = (pairs / 12.0 * spread).sqrt();
    let distance = (statistic - pairs / 2.0).abs() - 0.5;
    if deviation == 0.0 { 1.0 } else { (2.0 * normal_below(-distance / deviation)).min(1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: [f64; 10] = [31.2, 35.5, 29.9, 40.1, 33.3, 36.7, 30.8, 38.4, 34.6, 32.5];
    const SECOND: [f64; 10] = [38.9, 40.2, 41.0, 42.6, 37.1, 45.9, 39.3, 44.4, 36.8, 33.0];

    #[track_caller]
    fn assert_found(first: &[f64], second: &[f64], statistic: f64, p: f64) {
        let found = mann_whitney(first, second).unwrap();
        assert_eq!(found.statistic, statistic);
        approx::assert_relative_eq!(found.p, p, max_relative = 1e-9);
    }

    // scipy.stats.mannwhitneyu(FIRST, SECOND, method="exact")
    // scipy.stats.mannwhitneyu([1, 4, 5], [2, 3, 6, 7], method="exact")
    #[test]
    fn small_samples_are_scipys_exact_ones() {
        assert_found(&FIRST, &SECOND, 12.0, 0.002879473467708762);
        assert_found(&[1.0, 4.0, 5.0], &[2.0, 3.0, 6.0, 7.0], 4.0, 0.6285714285714286);
    }

    // a, b = numpy.array([1, 1, 2, 3, 3, 5]), numpy.array([2, 3, 3, 4, 6, 6, 7])
    // distance = lambda a, b: abs(scipy.stats.mannwhitneyu(a, b).statistic - len(a) * len(b) / 2)
    // scipy.stats.permutation_test((a, b), distance, alternative="greater", n_resamples=10**7)
    #[test]
    fn ties_are_exact_too_and_count_half() {
        let (a, b) = ([1.0, 1.0, 2.0, 3.0, 3.0, 5.0], [2.0, 3.0, 3.0, 4.0, 6.0, 6.0, 7.0]);
        assert_found(&a, &b, 8.5, 0.07342657342657342);
    }

    // u = [((i * 37) % 61) / 2 for i in range(30)]; v = [((i * 23) % 67) / 2 + 3 for i in range(40)]
    // scipy.stats.mannwhitneyu(u, v, method="asymptotic"), and of numpy.floor of both
    #[test]
    fn large_samples_are_scipys_normal_approximation() {
        let u: Vec<f64> = (0..30).map(|i| ((i * 37) % 61) as f64 / 2.0).collect();
        let v: Vec<f64> = (0..40).map(|i| ((i * 23) % 67) as f64 / 2.0 + 3.0).collect();
        assert_found(&u, &v, 478.0, 0.14925531681323723);
        let floor = |sample: &[f64]| -> Vec<f64> { sample.iter().map(|x| x.floor()).collect() };
        assert_found(&floor(&u), &floor(&v), 479.5, 0.15423702661808214);
    }

    #[test]
    fn equal_values_are_no_evidence_and_infinite_ones_are_ordered_like_others() {
        assert_found(&[1.0; 4], &[1.0; 5], 10.0, 1.0);
        assert_found(&[1.0; 40], &[1.0; 50], 1000.0, 1.0);
        assert_found(&[1.0, 2.0], &[3.0, f64::INFINITY, f64::INFINITY], 0.0, 0.2);
    }

    #[test]
    fn an_empty_sample_or_a_nan_is_no_test() {
        assert_eq!(mann_whitney(&[], &[1.0]), None);
        assert_eq!(mann_whitney(&[1.0], &[f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn exchanging_the_samples_only_turns_the_statistic(
            first in prop::collection::vec(-9..9_i32, 1..40),
            second in prop::collection::vec(-9..9_i32, 1..40),
        ) {
            let [first, second] =
                [first, second].map(|sample| sample.into_iter().map(f64::from).collect::<Vec<_>>());
            let there = mann_whitney(&first, &second).unwrap();
            let back = mann_whitney(&second, &first).unwrap();
            prop_assert!((there.p - back.p).abs() < 1e-9);
            let pairs = (first.len() * second.len()) as f64;
            prop_assert_eq!(there.statistic + back.statistic, pairs);
            prop_assert!((0.0..=1.0).contains(&there.p) && there.statistic >= 0.0);
        }
    }
}
