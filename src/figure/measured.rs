//! One measure over the runs of an experiment: a value a seed, by training size and arm.

use std::collections::BTreeMap;

use super::runs::{TRAIN_SIZE, sizes};
use super::text::OVER_SOURCES;
use super::{Error, Results};
use crate::results::table::{SOURCE_SEED, Status, Trial};
use crate::results::{self, CurveIndex, Measure, RunSeed, by_seed};

/// Values by seed, and by source where there are several.
pub(super) type BySeed = BTreeMap<RunSeed, f64>;

/// The runs of an experiment that came to an end, ready to be measured.
pub(super) struct Runs<'a> {
    /// The training sizes, rising; one nameless where none is swept.
    pub(super) sizes: Vec<Option<f64>>,
    trials: Vec<&'a Trial>,
    curves: CurveIndex<'a>,
    arms: Vec<String>,
}

impl<'a> Runs<'a> {
    /// The runs of the arms of `results`.
    ///
    /// # Errors
    /// When there is none, or when they differ in a setting other than `train_size`, whose runs must
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
        Ok(Runs {
            sizes,
            trials,
            curves: CurveIndex::new(results.curves),
            arms: results.arms.clone(),
        })
    }

    /// The values of `measure` by training size and arm; a time that never came is infinite.
    pub(super) fn values(&self, measure: Measure) -> Vec<Vec<BySeed>> {
        self.by_size_and_arm(|trial| measure.of(trial, &self.curves))
    }

    /// The exact values that pairs are compared by, by training size and arm; see [`Measure::exact`].
    pub(super) fn compared(&self, measure: Measure) -> Vec<Vec<results::BySeed>> {
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

    /// The most steps of a run.
    pub(super) fn last_step(&self) -> f64 {
        self.trials.iter().map(|trial| trial.outcome.steps).max().unwrap_or(0) as f64
    }

    /// The fewest and the most runs of an arm at a size, of the arms that have any.
    pub(super) fn counts(&self) -> Vec<usize> {
        let counts = self.by_size_and_arm(|_| Some(0.0));
        counts.iter().flatten().map(BySeed::len).filter(|count| *count > 0).collect()
    }

    /// What differences are, where arms take from several sources; nothing where none does.
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
            counts => format!(" Diverged: {counts}."),
        }
    }

    fn by_size_and_arm(&self, value: impl Fn(&Trial) -> Option<f64>) -> Vec<Vec<BySeed>> {
        let seeded = |trial: &Trial| {
            Some((RunSeed::of(&trial.key), value(trial).filter(|value| !value.is_nan())?))
        };
        let of = |size, arm: &String| self.at(size, arm).filter_map(seeded).collect();
        let at = |size| self.arms.iter().map(|arm| of(size, arm)).collect();
        self.sizes.iter().map(at).collect()
    }
}

/// All values.
pub(super) fn all(values: &BySeed) -> Vec<f64> {
    values.values().copied().collect()
}
