//! What a report measures on a cell, and the statistic that says it for an arm.

use serde_json::{Value, json};

use crate::results::About;
use crate::results::table::{CurvePoint, ErrorCount, Status, Trial};
use crate::results::unit::{BySeed, RunSeed, counted};
use crate::results::{CurveIndex, Epochs};
use crate::stats::proportion::{chance_of_at_most, wilson};
use crate::stats::quantile::median_by_order;
use crate::stats::{Counts, Interval, Ratio};

/// What is measured on a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The test error after the last step.
    TestErrorLast,
    /// The test error after the step that the validation loss chose.
    TestError,
    /// The step that the validation loss chose: 0 where the network is best untrained.
    ChosenStep,
    /// The validation error after the last step.
    ValidationErrorLast,
    /// The validation error after the chosen step.
    ValidationError,
    /// The validation error after so many steps.
    ValidationErrorAt(u64),
    /// Whether the validation accuracy ever reaches this.
    Reached(f64),
    /// Optimizer steps until it first does, among the steps that are evaluated; a run in which it
    /// never does counts as infinitely many (censored).
    StepsTo(f64),
    /// The same in passes over the training images, those begun included.
    EpochsTo {
        /// The accuracy.
        accuracy: f64,
        /// Images a step.
        batch: usize,
    },
    /// Whether the cell's milestones say that it was right on 90 % of the validation points after any
    /// epoch.
    Learned,
    /// The epochs that took, a cell that never was counting as censored.
    EpochsTo90(Epochs),
}

/// A measure over the cells of one arm at one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    /// The median over the cells.
    Median(Interval),
    /// The share of the cells.
    Share(Interval),
}

impl Measure {
    /// Its name in reports.
    pub fn name(&self) -> String {
        match self {
            Measure::TestErrorLast => "test_error_last".into(),
            Measure::TestError => "test_error".into(),
            Measure::ChosenStep => "best_step".into(),
            Measure::ValidationErrorLast => "validation_error_last".into(),
            Measure::ValidationError => "validation_error".into(),
            Measure::ValidationErrorAt(step) => format!("validation_error_at_{step}"),
            Measure::Reached(accuracy) => format!("reached_{accuracy}"),
            Measure::StepsTo(accuracy) => format!("steps_to_{accuracy}"),
            Measure::EpochsTo { accuracy, .. } => format!("epochs_to_{accuracy}"),
            Measure::Learned => "learned".into(),
            Measure::EpochsTo90(_) => "epochs_to_90".into(),
        }
    }

    /// Whether it is an error, written in percent; else it is counted.
    pub(crate) fn is_error(&self) -> bool {
        matches!(
            self,
            Measure::TestErrorLast
                | Measure::TestError
                | Measure::ValidationErrorLast
                | Measure::ValidationError
                | Measure::ValidationErrorAt(_)
        )
    }

    /// Whether arms are compared by it.
    pub(super) fn is_compared(&self) -> bool {
        self.is_error() || matches!(self, Measure::StepsTo(_) | Measure::EpochsTo90(_))
    }

    /// Whether the cell has no value because it diverged. It took fewer steps than the others, so what it
    /// came to by then is no error and no time of theirs; of a share it is a cell like any.
    fn leaves_out(&self, trial: &Trial) -> bool {
        let is_share = matches!(self, Measure::Reached(_) | Measure::Learned);
        trial.outcome.status == Status::Diverged && !is_share
    }

    /// Its value on one cell, if the cell has one.
    pub(crate) fn of(&self, trial: &Trial, curves: &CurveIndex) -> Option<f64> {
        if self.leaves_out(trial) {
            return None;
        }
        let points = curves.points(&trial.key.id);
        match *self {
            Measure::Reached(accuracy) => {
                steps_to(accuracy, points).map(|steps| f64::from(steps.is_finite()))
            }
            Measure::StepsTo(accuracy) => steps_to(accuracy, points),
            Measure::EpochsTo { accuracy, batch } => {
                let an_epoch = (trial.key.setting("train_size")? / batch as f64).ceil();
                steps_to(accuracy, points).map(|steps| (steps / an_epoch).ceil())
            }
            Measure::ChosenStep => trial.outcome.best_step.map(|step| step as f64),
            Measure::Learned => {
                let milestones = trial.outcome.milestones?;
                Some(f64::from(u8::from(milestones.epochs_to_90.is_some())))
            }
            Measure::EpochsTo90(epochs) => epochs.of(trial),
            error => error.error(trial, curves).map(Ratio::value),
        }
    }

    /// The exact value that pairs are compared by: a time that was never reached counts as the run's last
    /// step or epoch, the least it can be, so that every difference is a number.
    pub(crate) fn exact(&self, trial: &Trial, curves: &CurveIndex) -> Option<Ratio> {
        let at_most = |last: f64| {
            let value = self.of(trial, curves)?;
            Some(Ratio::whole(value.min(last) as u64))
        };
        match self {
            Measure::Reached(_) | Measure::Learned => at_most(1.0),
            Measure::ChosenStep | Measure::StepsTo(_) | Measure::EpochsTo { .. } => {
                at_most(trial.outcome.steps as f64)
            }
            Measure::EpochsTo90(epochs) => at_most(epochs.last() as f64),
            error => error.error(trial, curves),
        }
    }

    /// The error that it is, if the cell has it.
    fn error(&self, trial: &Trial, curves: &CurveIndex) -> Option<Ratio> {
        let outcome = &trial.outcome;
        if self.leaves_out(trial) {
            return None;
        }
        let found = match *self {
            Measure::TestErrorLast => outcome.test_error_last,
            Measure::TestError => outcome.test_error,
            Measure::ValidationErrorLast => outcome.validation_error_last,
            Measure::ValidationError => outcome.validation_error,
            Measure::ValidationErrorAt(step) => {
                curves.at(&trial.key.id, step).map(|point| point.validation_error)
            }
            _ => None,
        };
        found.and_then(|ErrorCount { wrong, of }| Ratio::new(wrong.try_into().ok()?, of))
    }

    /// The statistic of its values over the cells of an arm; none without values.
    pub(super) fn over(&self, trials: &[&Trial], curves: &CurveIndex) -> Option<Estimate> {
        let values =
            || -> Vec<f64> { trials.iter().filter_map(|trial| self.of(trial, curves)).collect() };
        match self {
            Measure::Reached(_) | Measure::Learned => {
                let values = values();
                let reached = values.iter().filter(|reached| **reached > 0.5).count();
                wilson(reached as u64, values.len() as u64).map(Estimate::Share)
            }
            Measure::ChosenStep | Measure::StepsTo(_) | Measure::EpochsTo { .. } => {
                median_by_order(&values()).map(Estimate::Median)
            }
            Measure::EpochsTo90(epochs) => epochs.median(&values()).map(Estimate::Median),
            _ => {
                let error =
                    |trial: &&Trial| Some((RunSeed::of(&trial.key), self.exact(trial, curves)?));
                let errors: BySeed = trials.iter().filter_map(error).collect();
                Counts::new(&counted(&errors)?)?.median().map(Estimate::Median)
            }
        }
    }
}

impl Estimate {
    /// The estimate and its ends.
    pub fn interval(&self) -> Interval {
        match self {
            Estimate::Median(interval) | Estimate::Share(interval) => *interval,
        }
    }

    /// As JSON; an end or a time without bound is `null`.
    pub(super) fn to_json(self) -> Value {
        let Interval { estimate, low, high } = self.interval();
        match self {
            Estimate::Median(_) => json!({"median": estimate, "low": low, "high": high}),
            Estimate::Share(_) => json!({"share": estimate, "low": low, "high": high}),
        }
    }
}

/// The first of the evaluated steps with at least this validation accuracy, infinite if there is none;
/// nothing for a cell without a curve.
fn steps_to(accuracy: f64, points: &[&CurvePoint]) -> Option<f64> {
    // 350 of 500 is the same number as 0.7 is, while 1 - 0.7 is not that of 150 of 500.
    let right = |ErrorCount { wrong, of }| of.saturating_sub(wrong) as f64 / of as f64;
    let reaches = |point: &&&CurvePoint| right(point.validation_error) >= accuracy;
    let first = points.iter().find(reaches).map_or(f64::INFINITY, |point| point.step as f64);
    (!points.is_empty()).then_some(first)
}

/// Whether a cell that came to its end never got better than guessing.
///
/// An evaluation shows learning when guessing would make as few mistakes on the validation images with a
/// probability below 0.1 %, shared out over the cell's evaluations (Bonferroni), so that the best of many
/// is not taken for learning. Cells without a curve were evaluated after every epoch, and their milestones
/// have the best.
pub(super) fn is_collapsed(trial: &Trial, points: &[&CurvePoint], about: &About) -> bool {
    const LEVEL: f64 = 0.001;
    if trial.outcome.status != Status::Done {
        return false;
    }
    let milestones = trial.outcome.milestones;
    let looks = match milestones {
        Some(_) => about.epochs.unwrap_or(1).max(1) as f64,
        None => points.len().max(1) as f64,
    };
    let evaluated = points.iter().map(|point| point.validation_error);
    let best = evaluated
        .chain(trial.outcome.validation_error)
        .chain(milestones.map(|milestones| milestones.least_validation_error))
        .min_by_key(|error| error.wrong);
    let by_guessing = best.and_then(|best| chance_of_at_most(best.wrong, best.of, about.chance));
    by_guessing.is_some_and(|p| p >= LEVEL / looks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::table::{CurveRow, Key, Milestones, Outcome};

    fn trial(status: Status) -> Trial {
        let settings = vec![("train_size".into(), 10.0)];
        let outcome = Outcome { status, steps: 8, ..Outcome::failed() };
        let key = Key { id: "a".into(), arm: "arm".into(), settings, seed: 0 };
        Trial { key, outcome, reason: None }
    }

    fn curve(errors: &[(u64, f64)]) -> Vec<CurveRow> {
        curve_of(1000, errors)
    }

    fn curve_of(images: u64, errors: &[(u64, f64)]) -> Vec<CurveRow> {
        let row = |(step, validation_error): &(u64, f64)| {
            let point = CurvePoint {
                step: *step,
                train_loss: None,
                validation_loss: None,
                validation_error: ErrorCount::about(*validation_error, images),
                resets: 0,
                sign_flips: 0,
                tensors: Vec::new(),
            };
            CurveRow { key: trial(Status::Done).key, point }
        };
        errors.iter().map(row).collect()
    }

    #[test]
    fn the_first_evaluation_at_or_above_the_threshold_counts() {
        // 1 − 0.7 is a little above 0.3 in floating point.
        let rows = curve(&[(0, 0.9), (2, 0.4), (4, 0.3), (8, 0.2)]);
        let (index, trial) = (CurveIndex::new(&rows), trial(Status::Done));
        let of = |measure: Measure| measure.of(&trial, &index);
        assert_eq!(of(Measure::StepsTo(0.7)), Some(4.0));
        assert_eq!(
            of(Measure::EpochsTo { accuracy: 0.7, batch: 4 }),
            Some(2.0),
            "three steps an epoch"
        );
        assert_eq!(of(Measure::Reached(0.7)), Some(1.0));
        assert_eq!(of(Measure::Reached(0.81)), Some(0.0));
        assert_eq!(of(Measure::StepsTo(0.81)), Some(f64::INFINITY));
        assert_eq!(Measure::StepsTo(0.81).exact(&trial, &index), Some(Ratio::whole(8)));
        assert_eq!(Measure::StepsTo(0.1).of(&trial, &CurveIndex::new(&[])), None);
    }

    #[test]
    fn a_cell_that_diverged_is_in_no_median_and_no_difference_and_counts_in_shares() {
        let rows = curve(&[(0, 0.9), (2, 0.3), (4, 0.9)]);
        let (index, trial) = (CurveIndex::new(&rows), trial(Status::Diverged));
        let epochs = Epochs { most: 9, from_zero: false, survivors_only: false };
        for measure in [
            Measure::ValidationErrorAt(0),
            Measure::StepsTo(0.7),
            Measure::StepsTo(0.99),
            Measure::EpochsTo { accuracy: 0.7, batch: 4 },
            Measure::ChosenStep,
            Measure::EpochsTo90(epochs),
        ] {
            assert_eq!(measure.of(&trial, &index), None, "{measure:?}");
            assert_eq!(measure.exact(&trial, &index), None, "{measure:?}");
        }
        assert_eq!(Measure::Reached(0.7).of(&trial, &index), Some(1.0));
        assert_eq!(Measure::Reached(0.99).of(&trial, &index), Some(0.0));
    }

    #[test]
    fn a_median_time_is_infinite_when_half_of_the_cells_never_got_there() {
        let rows = [curve(&[(0, 0.9), (2, 0.1)]), curve(&[(0, 0.9)]), curve(&[(0, 0.9)])].concat();
        let over = |measure: Measure, cells: &[&str]| {
            let of = |id: &&str| {
                let mut trial = trial(Status::Done);
                trial.key.id = (*id).to_owned();
                trial
            };
            let mut rows = rows.clone();
            for (row, id) in rows.iter_mut().zip(["early", "early", "late", "later"]) {
                row.key.id = id.into();
            }
            let trials: Vec<Trial> = cells.iter().map(of).collect();
            measure.over(&trials.iter().collect::<Vec<_>>(), &CurveIndex::new(&rows)).unwrap()
        };
        let steps = over(Measure::StepsTo(0.8), &["early", "late", "later"]);
        assert_eq!(steps.interval().estimate, f64::INFINITY);
        assert!(steps.to_json()["median"].is_null());
        let share = over(Measure::Reached(0.8), &["early", "late"]);
        assert_eq!(share.to_json()["share"], 0.5);
    }

    fn about(chance: f64) -> About {
        let experiment = serde_json::json!({
            "name": "tiny",
            "data": {"name": "drawn", "image_size": 28, "train_sizes": [10]},
            "model": {"name": "mlp"},
            "arms": {}, "seeds": [0], "figures": [], "report": {},
            "train": {"batch": 5, "epochs": 100},
        });
        let classes = 1.0 / (1.0 - chance);
        let manifest = format!(r#"{{"classes": {classes}, "experiment": {{}}}}"#);
        About::read(&manifest, |it| *it = experiment).unwrap()
    }

    #[test]
    fn a_cell_that_never_beats_guessing_is_collapsed() {
        let collapsed = |errors: &[(u64, f64)], validation| {
            let rows = curve_of(validation, errors);
            let index = CurveIndex::new(&rows);
            is_collapsed(&trial(Status::Done), index.points("a"), &about(0.9))
        };
        // scipy.stats.binom.ppf(0.001 / 2, 500, 0.9) / 500 is 0.854.
        assert!(collapsed(&[(0, 0.9), (8, 0.86)], 500));
        assert!(!collapsed(&[(0, 0.9), (8, 0.85)], 500));
        // The same error on few images is no evidence.
        assert!(collapsed(&[(0, 0.9), (8, 0.85)], 40));
        assert!(!is_collapsed(&trial(Status::Diverged), &[], &about(0.9)));
    }

    #[test]
    fn the_best_of_a_hundred_epochs_is_not_taken_for_learning() {
        let collapsed = |least_validation_error| {
            let mut trial = trial(Status::Done);
            trial.outcome.validation_error = Some(ErrorCount::about(0.5, 1000));
            let least_validation_error = ErrorCount::about(least_validation_error, 1000);
            trial.outcome.milestones =
                Some(Milestones { least_validation_error, epochs_to_90: None });
            is_collapsed(&trial, &[], &about(0.5))
        };
        // scipy.stats.binom.ppf([0.001, 0.001 / 100], 1000, 0.5) is 451, 433.
        assert!(collapsed(0.445), "one look would have taken it for learning");
        assert!(!collapsed(0.43));
    }
}
