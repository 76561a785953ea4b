//! The rows of `curves.csv` as a figure needs them: over the seeds, by training size and arm.

use std::collections::{BTreeMap, BTreeSet};

use super::sizes::{TRAIN_SIZE, sizes};
use super::{Error, Results};
use crate::results::RunSeed;
use crate::results::table::CurveRow;
use crate::stats::quantile::{Quartiles, quartiles};

/// How the validation error of one arm goes, over its seeds.
#[derive(Clone, Debug, Default)]
pub(super) struct Curve {
    /// Steps with the quartiles of the validation error in %, by rising step.
    pub(super) points: Vec<(f64, Quartiles)>,
    /// Runs, one a seed.
    pub(super) runs: usize,
    /// Runs that were last evaluated before the last step of `points`.
    pub(super) ended_early: usize,
}

/// The curves of one training size, an entry an arm in the order of the arms.
#[derive(Clone, Debug)]
pub(super) struct Curves {
    /// The number of training samples, where the experiment sweeps it.
    pub(super) size: Option<f64>,
    pub(super) arms: Vec<Curve>,
}

/// The curves of `results` by rising training size.
///
/// # Errors
/// When no row of the arms has a validation error, or when rows differ in a setting other than
/// `train_size`, whose runs must not be pooled.
pub(super) fn by_size(results: &Results) -> Result<Vec<Curves>, Error> {
    let known = |row: &&CurveRow| results.arms.contains(&row.key.arm);
    let rows: Vec<&CurveRow> = results.curves.iter().filter(known).collect();
    let sizes = sizes(results, rows.iter().map(|row| &row.key))?;
    if sizes.is_empty() {
        return Err(Error::Empty { experiment: results.name.to_owned(), what: "learning curve" });
    }
    let curves = |size: Option<f64>| {
        let at_size: Vec<&CurveRow> =
            rows.iter().copied().filter(|row| row.key.setting(TRAIN_SIZE) == size).collect();
        let arms = results
            .arms
            .iter()
            .map(|arm| over_seeds(at_size.iter().copied().filter(|row| row.key.arm == *arm)));
        Curves { size, arms: arms.collect() }
    };
    Ok(sizes.into_iter().map(curves).collect())
}

/// The quartiles at every step at which any run was evaluated.
///
/// A run keeps its last value until its next one, and after its end: runs that stop early must not
/// leave the median to the others.
fn over_seeds<'a>(rows: impl Iterator<Item = &'a CurveRow>) -> Curve {
    let mut runs: BTreeMap<RunSeed, BTreeMap<u64, f64>> = BTreeMap::new();
    let mut steps = BTreeSet::new();
    for CurveRow { key, point } in rows {
        runs.entry(RunSeed::of(key))
            .or_default()
            .insert(point.step, 100.0 * point.validation_error.value());
        steps.insert(point.step);
    }
    let at = |step: u64| -> Option<(f64, Quartiles)> {
        let values: Vec<f64> = runs
            .values()
            .filter_map(|run| run.range(..=step).next_back())
            .map(|(_, error)| *error)
            .collect();
        Some((step as f64, quartiles(&values)?))
    };
    let ended = |run: &&BTreeMap<u64, f64>| run.keys().last() < steps.last();
    Curve {
        points: steps.iter().filter_map(|step| at(*step)).collect(),
        runs: runs.len(),
        ended_early: runs.values().filter(ended).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::table::{CurvePoint, ErrorCount, Key};

    fn row(seed: u64, step: u64, validation_error: f64) -> CurveRow {
        let key = Key { id: String::new(), arm: "arm".into(), settings: vec![], seed };
        let point = CurvePoint {
            step,
            train_loss: None,
            validation_loss: None,
            validation_error: ErrorCount::about(validation_error, 10),
            resets: 0,
            sign_flips: 0,
            tensors: Vec::new(),
        };
        CurveRow { key, point }
    }

    #[test]
    fn a_run_that_ends_early_keeps_its_last_value() {
        let rows = [row(0, 0, 0.9), row(0, 1, 0.8), row(1, 0, 0.9), row(1, 1, 0.4), row(1, 2, 0.2)];
        let curve = over_seeds(rows.iter());
        let medians: Vec<_> = curve.points.iter().map(|(step, q)| (*step, q.median)).collect();
        assert_eq!((curve.runs, curve.ended_early), (2, 1));
        for (found, expected) in medians.iter().zip([(0.0, 90.0), (1.0, 60.0), (2.0, 50.0)]) {
            assert_eq!(found.0, expected.0);
            approx::assert_relative_eq!(found.1, expected.1);
        }
    }
}
