//! What counts as one observation: a run, or a source where arms take from several.
//!
//! Runs that take from one source share whatever that source happened to learn, so they say nothing of
//! another. Where cells say which of several sources they take from, the mean over the runs of a source
//! stands for it, and sources are counted.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Key, SOURCE_SEED};
use crate::stats::Ratio;

/// Which run of an arm it is, at one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunSeed {
    /// The seed of the source that it takes from, where that is one of several.
    pub source: Option<u64>,
    /// Its own.
    pub seed: u64,
}

/// Exact values by run, of one arm at one setting.
pub type BySeed = BTreeMap<RunSeed, Ratio>;

impl RunSeed {
    /// Which run the row of `key` is.
    pub fn of(key: &Key) -> Self {
        RunSeed { source: key.setting(SOURCE_SEED).map(|seed| seed as u64), seed: key.seed }
    }

    /// The value of the run; that of an arm that takes from no source is the same beside every source.
    fn value_in(self, values: &BySeed) -> Option<Ratio> {
        values.get(&self).or_else(|| values.get(&RunSeed { source: None, ..self })).copied()
    }
}

impl From<u64> for RunSeed {
    /// A run that takes from no source of several.
    fn from(seed: u64) -> Self {
        RunSeed { source: None, seed }
    }
}

/// What is counted of `values`: each of them, or the mean over each source; none where a mean has too
/// many digits.
pub(crate) fn counted(values: &BySeed) -> Option<Vec<Ratio>> {
    Some(pairs(values, values)?.into_iter().map(|[value, _]| value).collect())
}

/// The pairs that are counted of two arms: the values of each seed that both have; or, where one of them
/// takes from several sources, the two means over such seeds for each source. None where a mean has too
/// many digits.
pub(super) fn pairs(first: &BySeed, second: &BySeed) -> Option<Vec<[Ratio; 2]>> {
    let all: BTreeSet<RunSeed> = first.keys().chain(second.keys()).copied().collect();
    let pair = |run: &RunSeed| Some([run.value_in(first)?, run.value_in(second)?]);
    let sources: BTreeSet<u64> = all.iter().filter_map(|run| run.source).collect();
    if sources.is_empty() {
        return Some(all.iter().filter_map(pair).collect());
    }
    let of_source = |source: u64| -> Vec<[Ratio; 2]> {
        all.iter().filter(|run| run.source == Some(source)).filter_map(pair).collect()
    };
    let mean = |pairs: &[[Ratio; 2]], arm: usize| Ratio::mean(pairs.iter().map(|pair| pair[arm]));
    let means = sources.into_iter().map(of_source).filter(|pairs| !pairs.is_empty());
    means.map(|pairs| Some([mean(&pairs, 0)?, mean(&pairs, 1)?])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(runs: &[(Option<u64>, u64, u64)]) -> BySeed {
        let run = |&(source, seed, value)| (RunSeed { source, seed }, Ratio::whole(value));
        runs.iter().map(run).collect()
    }

    fn whole(pairs: &[[u64; 2]]) -> Option<Vec<[Ratio; 2]>> {
        Some(pairs.iter().map(|pair| pair.map(Ratio::whole)).collect())
    }

    #[test]
    fn runs_without_sources_are_paired_by_their_seed() {
        let first = values(&[(None, 0, 1), (None, 1, 2), (None, 2, 3)]);
        let second = values(&[(None, 1, 5), (None, 0, 4), (None, 7, 6)]);
        assert_eq!(pairs(&first, &second), whole(&[[1, 4], [2, 5]]));
        assert_eq!(counted(&first), Some([1, 2, 3].map(Ratio::whole).to_vec()));
    }

    #[test]
    fn a_source_counts_once_and_pairs_with_the_arm_without_one_by_seed() {
        let first = values(&[
            (Some(8), 0, 1),
            (Some(8), 1, 3),
            (Some(9), 0, 5),
            (Some(9), 1, 9),
            (Some(9), 2, 100),
        ]);
        let second = values(&[(None, 0, 10), (None, 1, 30)]);
        assert_eq!(counted(&first), Some([2, 38].map(Ratio::whole).to_vec()));
        assert_eq!(pairs(&first, &second), whole(&[[2, 20], [7, 20]]));
        assert_eq!(pairs(&second, &first), whole(&[[20, 2], [20, 7]]));
        let other = values(&[(Some(8), 0, 2), (Some(9), 1, 3)]);
        assert_eq!(pairs(&first, &other), whole(&[[1, 2], [9, 3]]), "each with its own source");
    }
}
