//! One measure over the runs of an experiment: a value a run, by training size and arm.

use std::collections::BTreeSet;

use super::sizes::{TRAIN_SIZE, sizes};
use super::{Error, Results};
use crate::results::table::{SOURCE_SEED, Status, Trial};
use crate::results::{BySeed, CurveIndex, Measure, Paired, by_seed, counted};
use crate::stats::{Interval, Ratio};

/// What errors are where arms take from several sources.
const OVER_SOURCES: &str = "An arm that takes from several sources has an error for each of them, the mean \
    over its runs, and differences are over sources. ";

/// Values of runs, in the order of the table.
pub(super) type Values = Vec<f64>;

/// The runs of an experiment that came to an end, ready to be measured.
pub(super) struct Runs<'a> {
    /// The training sizes, rising; one nameless where none is swept.
    pub(super) sizes: Vec<Option<f64>>,
    /// The steps after which any run was evaluated, rising.
    pub(super) steps: Vec<f64>,
    trials: Vec<&'a Trial>,
    curves: CurveIndex<'a>,
    arms: Vec<String>,
}

impl<'a> Runs<'a> {
    /// The runs of the arms of `results`.
    ///
    /// # Errors
    /// When none has a test error, or when they differ in a setting other than `train_size`, whose runs must
    /// not be pooled.
    pub(super) fn new(results: &Results<'a>) -> Result<Self, Error> {
        let known = |trial: &&Trial| {
            results.arms.contains(&trial.key.arm) && trial.outcome.status != Status::Failed
        };
        let trials: Vec<&Trial> = results.trials.iter().filter(known).collect();
        let sizes = sizes(results, trials.iter().map(|trial| &trial.key))?;
        if sizes.is_empty() {
            return Err(Error::Empty { experiment: results.name.to_owned(), what: "test error" });
        }
        let of_arms = results.curves.iter().filter(|row| results.arms.contains(&row.key.arm));
        let steps: BTreeSet<u64> = of_arms.map(|row| row.point.step).collect();
        Ok(Runs {
            sizes,
            steps: steps.into_iter().map(|step| step as f64).collect(),
            trials,
            curves: CurveIndex::new(results.curves),
            arms: results.arms.clone(),
        })
    }

    /// The values of `measure` by training size and arm: of errors what is [counted], of times and shares
    /// those of the runs; a time that never came is infinite.
    pub(super) fn values(&self, measure: Measure) -> Vec<Vec<Values>> {
        if !measure.is_error() {
            return self.by_size_and_arm(|trial| measure.of(trial, &self.curves));
        }
        let values = |runs: &BySeed| -> Values {
            counted(runs).unwrap_or_default().into_iter().map(Ratio::value).collect()
        };
        self.compared(measure).iter().map(|at| at.iter().map(values).collect()).collect()
    }

    /// The exact values that pairs are compared by, by training size and arm; see [`Measure::exact`].
    pub(super) fn compared(&self, measure: Measure) -> Vec<Vec<BySeed>> {
        let of = |size, arm: &String| by_seed(self.at(size, arm), measure, &self.curves);
        let at = |size| self.arms.iter().map(|arm| of(size, arm)).collect();
        self.sizes.iter().map(at).collect()
    }

    /// The runs of `arm` at `size`.
    fn at(&self, size: &Option<f64>, arm: &str) -> impl Iterator<Item = &'a Trial> {
        let is_here =
            |trial: &&&Trial| trial.key.arm == *arm && trial.key.setting(TRAIN_SIZE) == *size;
        self.trials.iter().filter(is_here).copied()
    }

    /// How many runs chose step 0, by training size and arm.
    pub(super) fn untrained(&self) -> Vec<Vec<Untrained>> {
        let chosen = self.by_size_and_arm(|trial| trial.outcome.best_step.map(|step| step as f64));
        let count = |steps: &Values| Untrained {
            runs: steps.iter().filter(|step| **step == 0.0).count(),
            of: steps.len(),
        };
        chosen.iter().map(|at| at.iter().map(count).collect()).collect()
    }

    /// The fewest and the most runs of an arm at a size, of the arms that have any.
    pub(super) fn counts(&self) -> Vec<usize> {
        let counts = self.by_size_and_arm(|_| Some(0.0));
        counts.iter().flatten().map(Vec::len).filter(|count| *count > 0).collect()
    }

    /// What an error is where arms take from several sources; nothing where none does.
    pub(super) fn about_sources(&self) -> &'static str {
        let has_sources = self.trials.iter().any(|trial| trial.key.setting(SOURCE_SEED).is_some());
        if has_sources { OVER_SOURCES } else { "" }
    }

    /// Which arms had diverged runs, and how many; nothing when none did.
    pub(super) fn about_diverged(&self) -> String {
        let counts = self.arms.iter().filter_map(|arm| {
            let all = self.trials.iter().filter(|trial| trial.key.arm == *arm);
            let diverged = all.clone().filter(|t| t.outcome.status == Status::Diverged).count();
            (diverged > 0).then(|| format!("{arm} {diverged} of {}", all.count()))
        });
        match counts.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => none,
            counts => format!(" Diverged: {counts}; what such a run did not come to is left out."),
        }
    }

    fn by_size_and_arm(&self, value: impl Fn(&Trial) -> Option<f64>) -> Vec<Vec<Values>> {
        let run = |trial: &Trial| value(trial).filter(|value| !value.is_nan());
        let of = |size, arm: &String| self.at(size, arm).filter_map(run).collect();
        let at = |size| self.arms.iter().map(|arm| of(size, arm)).collect();
        self.sizes.iter().map(at).collect()
    }
}

/// How many of some runs chose step 0: they have the weights that they began with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Untrained {
    pub(super) runs: usize,
    pub(super) of: usize,
}

impl Untrained {
    /// Whether at least half of the runs are such, and so is their median.
    pub(super) fn are_most(self) -> bool {
        self.runs > 0 && 2 * self.runs >= self.of
    }
}

/// The median of `first − second` over their pairs, in units of `1 / scale`, with its interval.
pub(super) fn difference(first: &BySeed, second: &BySeed, scale: f64) -> Option<Interval> {
    Some(scaled(Paired::new(first, second)?.median(), scale))
}

/// The interval in units of `1 / scale`.
pub(super) fn scaled(Interval { estimate, low, high }: Interval, scale: f64) -> Interval {
    Interval { estimate: scale * estimate, low: scale * low, high: scale * high }
}
