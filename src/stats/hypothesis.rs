//! Tests of a hypothesis: Wilcoxon's signed ranks for pairs, and Holm's correction for many tests.

use super::interval::normal_below;

/// Up to this many differences the null distribution is counted out; SciPy draws the same line.
const EXACT_UP_TO: usize = 50;

/// What Wilcoxon's signed-rank test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// Differences that are not zero, on which the test rests.
    pub pairs: usize,
    /// The smaller of the rank sums of the positive and of the negative differences.
    pub statistic: f64,
    /// The two-sided p value.
    pub p: f64,
    /// The matched-pairs rank-biserial correlation, the effect size of this test: the share of the
    /// rank sum that is above zero less the share below, in [−1, 1]; 0 without differences.
    pub effect: f64,
}

/// Wilcoxon's two-sided signed-rank test that paired differences are symmetric about zero. `None`
/// when there is no difference.
///
/// Differences are whole numbers, such as of wrong images, so that ties are ties; see
/// [`Counts`](super::Counts).
///
/// Zeros are dropped before ranking (Wilcoxon's own way, SciPy's default), and tied sizes share
/// their mean rank. Up to 50 differences p is exact, given the ties: the share of all 2ⁿ choices of
/// signs with a rank sum at least as extreme. Above, it is the normal approximation with
/// correction for ties and without correction for continuity. Differences that are all zero give
/// p = 1.
///
/// With n pairs no p is below 2¹⁻ⁿ: five pairs can never reach 0.05.
///
/// **Source:** F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1
/// (1945); ties after M. Hollander and D. A. Wolfe, *Nonparametric Statistical Methods* (1999),
/// section 3.1. Agrees with `scipy.stats.wilcoxon`, which leaves the exact distribution earlier when
/// there are ties or zeros. The effect size: D. S. Kerby, "The simple difference formula",
/// Comprehensive Psychology 3 (2014), (W₊ − W₋) / (W₊ + W₋).
pub fn signed_rank(differences: &[i64]) -> Option<SignedRank> {
    if differences.is_empty() {
        return None;
    }
    let mut ordered: Vec<i64> = differences.iter().copied().filter(|d| *d != 0).collect();
    ordered.sort_unstable_by_key(|difference| difference.unsigned_abs());
    let ranks = doubled_ranks(&ordered);
    let positive: usize =
        ordered.iter().zip(&ranks).filter(|(difference, _)| **difference > 0).map(|(_, r)| r).sum();
    let total: usize = ranks.iter().sum();
    let smaller = positive.min(total - positive);
    let effect = (2.0 * positive as f64 - total as f64) / total.max(1) as f64;
    let p = match ordered.len() {
        0 => 1.0,
        n if n <= EXACT_UP_TO => exact_p(&ranks, smaller),
        _ => normal_p(&ranks, smaller),
    };
    Some(SignedRank { pairs: ordered.len(), statistic: smaller as f64 / 2.0, p, effect })
}

/// Twice the rank of each size, so that the mean rank of a tie is whole too.
fn doubled_ranks(ordered: &[i64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(ordered.len());
    for tie in ordered.chunk_by(|a, b| a.unsigned_abs() == b.unsigned_abs()) {
        let before = ranks.len();
        ranks.resize(before + tie.len(), 2 * before + 1 + tie.len());
    }
    ranks
}

/// The share of sign choices whose smaller rank sum is at most `smaller`.
fn exact_p(ranks: &[usize], smaller: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    // ways[s] counts the choices with rank sum s; at most 2⁵⁰, so each is exact in a float.
    let mut ways = vec![0.0; total + 1];
    ways[0] = 1.0;
    for &rank in ranks {
        for sum in (rank..=total).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let tail: f64 = ways[..=smaller].iter().sum();
    (2.0 * tail / 2.0_f64.powi(ranks.len() as i32)).min(1.0)
}

fn normal_p(ranks: &[usize], smaller: usize) -> f64 {
    let ranks = ranks.iter().map(|&rank| rank as f64 / 2.0);
    let mean = ranks.clone().sum::<f64>() / 2.0;
    // Mean ranks in place of ranks are the correction for ties.
    let deviation = (ranks.map(|rank| rank * rank).sum::<f64>() / 4.0).sqrt();
    (2.0 * normal_below((smaller as f64 / 2.0 - mean) / deviation)).min(1.0)
}

/// Holm's adjusted p values, in the order given: rejecting those up to α keeps the chance of any
/// false rejection in the family at α or below. `None` when one is outside [0, 1].
///
/// **Source:** S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
/// Journal of Statistics 6 (1979).
///
/// # Examples
/// ```
/// use polarity::stats::hypothesis::holm;
/// assert_eq!(holm(&[0.25, 0.0625]), Some(vec![0.25, 0.125]));
/// ```
pub fn holm(p: &[f64]) -> Option<Vec<f64>> {
    if !p.iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let mut by_size: Vec<usize> = (0..p.len()).collect();
    by_size.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (rejected, &test) in by_size.iter().enumerate() {
        largest = largest.max(p[test] * (p.len() - rejected) as f64).min(1.0);
        adjusted[test] = largest;
    }
    Some(adjusted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn assert_found(differences: &[i64], pairs: usize, statistic: f64, p: f64) {
        let found = signed_rank(differences).unwrap();
        assert_eq!((found.pairs, found.statistic), (pairs, statistic));
        approx::assert_relative_eq!(found.p, p, max_relative = 1e-9);
    }

    // scipy.stats.wilcoxon(differences)
    #[test]
    fn small_samples_are_scipys_exact_ones() {
        assert_found(&[12, -3, 21, 7, -16, 33, 4, 28], 8, 6.0, 0.109375);
        let all_below = [-77, -47, -111, -25, -38, -92, -85, -60, -22, -112];
        assert_found(&all_below, 10, 0.0, 0.001953125);
    }

    // d = numpy.array([1, 1, -1, 2, 2, 3, -4, 0, 5, 5])
    // scipy.stats.wilcoxon(d[d != 0], method=scipy.stats.PermutationMethod(n_resamples=10**6))
    #[test]
    fn ties_are_exact_too_and_zeros_dropped() {
        let tied = [1, 1, -1, 2, 2, 3, -4, 0, 5, 5];
        assert_found(&tied, 9, 9.0, 0.12890625);
    }

    // d = numpy.array([(i * 37) % 61 - 24 for i in range(60)])
    // scipy.stats.wilcoxon(d), scipy.stats.wilcoxon(d // 2)
    #[test]
    fn large_samples_are_scipys_normal_approximation() {
        let differences: Vec<i64> = (0..60).map(|i| (i * 37) % 61 - 24).collect();
        let zeros = differences.iter().filter(|d| **d == 0).count();
        assert_found(&differences, 60 - zeros, 588.0, 0.01606480657445704);
        let floored: Vec<i64> = differences.iter().map(|d| d.div_euclid(2)).collect();
        assert_found(&floored, 59, 588.0, 0.024913113392647797);
    }

    // r = scipy.stats.rankdata(abs(d)); (r[d > 0].sum() - r[d < 0].sum()) / r.sum()
    #[test]
    fn the_effect_is_the_difference_of_the_rank_sums() {
        let effect = |differences: &[i64]| signed_rank(differences).unwrap().effect;
        let mostly_above = effect(&[12, -3, 21, 7, -16, 33, 4, 28]);
        approx::assert_relative_eq!(mostly_above, 0.6666666666666666, max_relative = 1e-12);
        let tied = effect(&[1, 1, -1, 2, 2, 3, -4, 0, 5, 5]);
        approx::assert_relative_eq!(tied, 0.6, max_relative = 1e-12);
        assert_eq!([effect(&[-1, -2]), effect(&[0])], [-1.0, 0.0]);
    }

    #[test]
    fn differences_that_are_all_zero_are_no_evidence() {
        assert_found(&[0, 0], 0, 0.0, 1.0);
    }

    #[test]
    fn no_difference_is_no_test() {
        assert_eq!(signed_rank(&[]), None);
    }

    // statsmodels.stats.multitest.multipletests(p, method="holm")[1]
    #[test]
    fn holms_values_are_statsmodels() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005, 0.6]).unwrap();
        for (adjusted, expected) in adjusted.into_iter().zip([0.04, 0.09, 0.09, 0.025, 0.6]) {
            approx::assert_relative_eq!(adjusted, expected, max_relative = 1e-12);
        }
    }

    #[test]
    fn holm_refuses_what_is_no_probability() {
        assert_eq!(holm(&[]), Some(vec![]));
        assert_eq!(holm(&[0.1, f64::NAN]), None);
        assert_eq!(holm(&[1.1]), None);
    }

    proptest! {
        #[test]
        fn the_test_ignores_order_and_direction(
            differences in prop::collection::vec(-9..9_i64, 1..70),
        ) {
            let turned: Vec<i64> = differences.iter().rev().map(|d| -d).collect();
            let found = signed_rank(&differences).unwrap();
            let other = signed_rank(&turned).unwrap();
            prop_assert_eq!(found, SignedRank { effect: -other.effect, ..other });
            prop_assert!((0.0..=1.0).contains(&found.p));
        }

        #[test]
        fn holm_never_lowers_a_p_value_and_keeps_their_order(
            p in prop::collection::vec(0.0..=1.0_f64, 1..20),
        ) {
            let adjusted = holm(&p).unwrap();
            for i in 0..p.len() {
                prop_assert!(p[i] <= adjusted[i] && adjusted[i] <= 1.0);
                prop_assert!((0..p.len()).all(|j| p[i] > p[j] || adjusted[i] <= adjusted[j]));
            }
        }
    }
}
