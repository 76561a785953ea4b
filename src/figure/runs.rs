//! The rows of `trials.csv` as a figure needs them: by training size, arm and seed.

use crate::figure::{Error, Results};
use crate::results::table::{Key, SOURCE_SEED, Status, Trial};
use crate::results::{BySeed, CurveIndex, Measure, Paired, RunSeed};
use crate::stats::Interval;

/// The swept setting that figures know how to show.
pub(super) const TRAIN_SIZE: &str = "train_size";

/// The runs of one arm at one training size.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    /// Test errors by run, in [0, 1], of the runs that have one.
    pub(super) errors: BySeed,
    /// Runs in all.
    pub(super) count: usize,
    /// Runs that diverged.
    pub(super) diverged: usize,
}

impl Runs {
    /// The errors in %, in the order of their seeds.
    pub(super) fn values(&self) -> Vec<f64> {
        self.errors.values().map(|error| 100.0 * error.value()).collect()
    }

    /// How many seeds have an error here and in `other`, or sources where one takes from several.
    pub(super) fn pairs(&self, other: &Runs) -> usize {
        Paired::new(&self.errors, &other.errors).map_or(0, |paired| paired.pairs())
    }

    /// The median difference to `baseline` by seed, in points, with its interval: that of the errors
    /// in [0, 1], scaled last, so that it rounds as it does in the report.
    pub(super) fn difference_to(&self, baseline: &Runs) -> Option<Interval> {
        let paired = Paired::new(&self.errors, &baseline.errors)?;
        let Interval { estimate, low, high } = paired.median();
        Some(Interval { estimate: 100.0 * estimate, low: 100.0 * low, high: 100.0 * high })
    }
}

/// The runs of one training size, an entry an arm in the order of the arms.
#[derive(Clone, Debug)]
pub(super) struct AtSize {
    /// The number of training samples, where the experiment sweeps it.
    pub(super) size: Option<f64>,
    pub(super) arms: Vec<Runs>,
}

/// The trials of `results` by rising training size.
///
/// # Errors
/// When no trial of the arms has a test error, or when they differ in a setting other than
/// `train_size`, whose runs must not be pooled.
pub(super) fn by_size(results: &Results) -> Result<Vec<AtSize>, Error> {
    let known = |trial: &&Trial| results.arms.contains(&trial.key.arm);
    let trials: Vec<&Trial> = results.trials.iter().filter(known).collect();
    let mut sizes = sizes(results, trials.iter().map(|trial| &trial.key))?
        .into_iter()
        .map(|size| AtSize { size, arms: vec![Runs::default(); results.arms.len()] })
        .collect::<Vec<_>>();
    let no_curves = CurveIndex::new(&[]);
    for trial in trials {
        let size = trial.key.setting(TRAIN_SIZE);
        let at_size = sizes.iter_mut().find(|at_size| at_size.size == size);
        let arm = results.arms.iter().position(|arm| *arm == trial.key.arm);
        let (Some(at_size), Some(arm)) = (at_size, arm) else {
            continue;
        };
        let runs = &mut at_size.arms[arm];
        runs.count += 1;
        runs.diverged += usize::from(trial.outcome.status == Status::Diverged);
        if let Some(error) = Measure::TestError.exact(trial, &no_curves) {
            runs.errors.insert(RunSeed::of(&trial.key), error);
        }
    }
    sizes.retain(|at_size| at_size.arms.iter().any(|runs| !runs.errors.is_empty()));
    if sizes.is_empty() {
        return Err(Error::Empty { experiment: results.name.to_owned(), what: "test error" });
    }
    Ok(sizes)
}

/// The different training sizes of `keys`, rising.
///
/// # Errors
/// When the keys differ in a setting other than `train_size` and the source, or a size is not above 0.
pub(super) fn sizes<'a>(
    results: &Results,
    keys: impl Iterator<Item = &'a Key>,
) -> Result<Vec<Option<f64>>, Error> {
    let mut sizes: Vec<Option<f64>> = Vec::new();
    let mut first: Option<&Key> = None;
    let is_not_shown = |(name, _): &&(String, f64)| name != TRAIN_SIZE && name != SOURCE_SEED;
    for key in keys {
        for (setting, value) in key.settings.iter().filter(is_not_shown) {
            if first.get_or_insert(key).setting(setting) != Some(*value) {
                let experiment = results.name.to_owned();
                return Err(Error::Pooled { experiment, setting: setting.clone() });
            }
        }
        let size = key.setting(TRAIN_SIZE);
        if let Some(size) = size.filter(|size| !(size.is_finite() && *size > 0.0)) {
            return Err(Error::Size { experiment: results.name.to_owned(), size });
        }
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    sizes.sort_by(|a, b| a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0)));
    Ok(sizes)
}
