//! Two arms in pairs: the one comparison of reports, claims and figures.
//!
//! Arms share all but their condition seed by seed, so they are compared by the differences under each
//! seed that both have: their median with its interval, and Wilcoxon's signed-rank test. Values are exact
//! [ratios](Ratio), so that equal differences are ties.

use super::report::Measure;
use super::table::{CurveIndex, Trial};
use super::unit::{BySeed, RunSeed, pairs};
use crate::stats::hypothesis::SignedRank;
use crate::stats::{Counts, Interval, Ratio};

/// The values that `measure` compares `trials` of one arm and setting by.
pub fn by_seed<'a>(
    trials: impl IntoIterator<Item = &'a Trial>,
    measure: Measure,
    curves: &CurveIndex,
) -> BySeed {
    let of = |trial: &Trial| Some((RunSeed::of(&trial.key), measure.exact(trial, curves)?));
    trials.into_iter().filter_map(of).collect()
}

/// The differences of two arms under each seed that both have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paired {
    differences: Counts,
}

impl Paired {
    /// `first` less `second`; none where they share no seed. Where one takes from several sources, these are
    /// the pairs, by their means over the seeds that both have.
    pub fn new(first: &BySeed, second: &BySeed) -> Option<Self> {
        let twins = pairs(first, second)?.into_iter();
        let differences: Option<Vec<Ratio>> = twins.map(|[own, other]| own.minus(other)).collect();
        let differences = Counts::new(&differences?)?;
        (!differences.is_empty()).then_some(Paired { differences })
    }

    /// How many pairs there are, at least one.
    pub fn pairs(&self) -> usize {
        self.differences.len()
    }

    /// The median of the differences, in units of the measure.
    pub fn median(&self) -> Interval {
        self.differences.median().expect("there are pairs")
    }

    /// The mean of the differences; none where there are too many different ones.
    pub fn mean(&self) -> Option<Interval> {
        self.differences.mean()
    }

    /// The test that they are symmetric about zero.
    pub fn test(&self) -> SignedRank {
        self.differences.signed_rank().expect("there are pairs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(wrong: &[(u64, i64)]) -> BySeed {
        wrong
            .iter()
            .map(|(seed, wrong)| ((*seed).into(), Ratio::new(*wrong, 500).unwrap()))
            .collect()
    }

    #[test]
    fn only_seeds_that_both_arms_have_are_pairs() {
        let paired =
            Paired::new(&errors(&[(0, 10), (1, 20), (4, 90)]), &errors(&[(0, 5), (1, 25), (2, 0)]));
        let paired = paired.unwrap();
        assert_eq!((paired.pairs(), paired.median().estimate), (2, 0.0));
        assert_eq!(paired.test().p, 1.0);
        assert_eq!(Paired::new(&errors(&[(0, 1)]), &errors(&[(1, 1)])), None);
    }
}
