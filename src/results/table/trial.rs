//! `trials.csv`: a row a cell.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::column::{Column, Error, Keyed, optional, put, put_optional, read, write};
use super::key::Key;

/// How a cell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Trained to its end.
    Done,
    /// Stopped at a non-finite loss or weight: kept, counted, shown.
    Diverged,
    /// Stopped by an error; `polarity run` tries it again.
    Failed,
}

impl Status {
    const ALL: [Status; 3] = [Status::Done, Status::Diverged, Status::Failed];

    /// The word for it in tables.
    pub fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Diverged => "diverged",
            Status::Failed => "failed",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Status::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// One row of `trials.csv`: one cell. See [`TRIAL`] for what each value means.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Trial {
    pub key: Key,
    pub outcome: Outcome,
    /// Why the cell failed, if it did.
    pub reason: Option<String>,
}

/// How one training run ended. See [`TRIAL`] for what each value means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Outcome {
    pub status: Status,
    pub test_error: Option<f64>,
    pub validation_error: Option<f64>,
    pub train_error: Option<f64>,
    pub best_step: Option<u64>,
    pub steps: u64,
    pub violations_after: u64,
    pub resets: u64,
    pub sign_flips: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestones: Option<Milestones>,
}

/// What a run reached on its way. See [`MILESTONES`] for what each value means.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Milestones {
    pub least_validation_error: f64,
    pub epochs_to_90: Option<u64>,
}

impl Outcome {
    /// That of a cell that failed: nothing is known of it.
    pub(crate) fn failed() -> Self {
        Outcome {
            status: Status::Failed,
            test_error: None,
            validation_error: None,
            train_error: None,
            best_step: None,
            steps: 0,
            violations_after: 0,
            resets: 0,
            sign_flips: 0,
            milestones: None,
        }
    }
}

impl Keyed for Trial {
    fn key(&self) -> &Key {
        &self.key
    }

    fn key_mut(&mut self) -> &mut Key {
        &mut self.key
    }
}

impl Trial {
    fn blank() -> Self {
        Trial { key: Key::blank(), outcome: Outcome::failed(), reason: None }
    }
}

/// Columns of `trials.csv` after the seed.
pub const TRIAL: [Column<Trial>; 9] = [
    Column {
        name: "status",
        meaning: "`done`, `diverged` (a loss or weight became non-finite) or `failed`",
        write: |trial| trial.outcome.status.name().to_owned(),
        read: |trial, text| {
            trial.outcome.status = Status::named(text)?;
            Some(())
        },
    },
    Column {
        name: "test_error",
        meaning: "share of test images classified wrongly, in [0, 1], after `best_step`",
        write: |trial| optional(trial.outcome.test_error),
        read: |trial, text| put_optional(&mut trial.outcome.test_error, text),
    },
    Column {
        name: "validation_error",
        meaning: "the same on the validation images, after `best_step`",
        write: |trial| optional(trial.outcome.validation_error),
        read: |trial, text| put_optional(&mut trial.outcome.validation_error, text),
    },
    Column {
        name: "train_error",
        meaning: "the same on the training subset, after `best_step`",
        write: |trial| optional(trial.outcome.train_error),
        read: |trial, text| put_optional(&mut trial.outcome.train_error, text),
    },
    Column {
        name: "best_step",
        meaning: "optimizer steps before the weights that were tested",
        write: |trial| optional(trial.outcome.best_step),
        read: |trial, text| put_optional(&mut trial.outcome.best_step, text),
    },
    Column {
        name: "steps",
        meaning: "optimizer steps in all",
        write: |trial| trial.outcome.steps.to_string(),
        read: |trial, text| put(&mut trial.outcome.steps, text),
    },
    Column {
        name: "violations_after",
        meaning: "weights at the end on the other side of zero than at the start; 0 where signs are held",
        write: |trial| trial.outcome.violations_after.to_string(),
        read: |trial, text| put(&mut trial.outcome.violations_after, text),
    },
    Column {
        name: "resets",
        meaning: "times a weight was put back by the projection",
        write: |trial| trial.outcome.resets.to_string(),
        read: |trial, text| put(&mut trial.outcome.resets, text),
    },
    Column {
        name: "sign_flips",
        meaning: "times a weight or bias crossed zero in a step, projection included",
        write: |trial| trial.outcome.sign_flips.to_string(),
        read: |trial, text| put(&mut trial.outcome.sign_flips, text),
    },
];

/// Columns of `trials.csv` after those, where a row has such milestones.
pub const MILESTONES: [Column<Trial>; 2] = [
    Column {
        name: "least_validation_error",
        meaning: "the least validation error after any epoch, in [0, 1]",
        write: |trial| {
            optional(trial.outcome.milestones.map(|reached| reached.least_validation_error))
        },
        read: |trial, text| {
            let mut least = None;
            put_optional(&mut least, text)?;
            let milestones =
                |least_validation_error| Milestones { least_validation_error, epochs_to_90: None };
            trial.outcome.milestones = least.map(milestones);
            Some(())
        },
    },
    Column {
        name: "epochs_to_90",
        meaning: "epochs until at most 10 % of the validation points were classified wrongly, from 1 on; \
                  empty if that never was",
        write: |trial| optional(trial.outcome.milestones.and_then(|reached| reached.epochs_to_90)),
        read: |trial, text| {
            let mut epochs = None;
            put_optional(&mut epochs, text)?;
            if let Some(milestones) = &mut trial.outcome.milestones {
                milestones.epochs_to_90 = epochs;
            }
            Some(())
        },
    },
];

/// The last column of `trials.csv`, where a cell failed.
pub const REASON: Column<Trial> = Column {
    name: "reason",
    meaning: "why the cell failed; `polarity run` tries it again",
    write: |trial| optional(trial.reason.as_ref()),
    read: |trial, text| put_optional(&mut trial.reason, text),
};

/// `trials.csv` as text, rows in the order given.
pub fn write_trials(settings: &[String], trials: &[Trial]) -> String {
    let has_milestones = trials.iter().any(|trial| trial.outcome.milestones.is_some());
    let has_failed = trials.iter().any(|trial| trial.reason.is_some());
    let mut columns: Vec<&Column<Trial>> = TRIAL.iter().collect();
    columns.extend(MILESTONES.iter().filter(|_| has_milestones));
    columns.extend(Some(&REASON).filter(|_| has_failed));
    write(settings, &columns, &[], trials, |_| Vec::new())
}

/// Reads `trials.csv`.
///
/// # Errors
/// When the file cannot be read, lacks a column, or has a value that is no number.
pub fn read_trials(path: &Path) -> Result<Vec<Trial>, Error> {
    let [least, epochs] = MILESTONES;
    read(path, Trial::blank, &TRIAL, &[least, epochs, REASON], |_, _| Ok(()))
}

/// The ids of the cells of `trials.csv`, and nothing else of it.
///
/// # Errors
/// When the file cannot be read, or is no table of cells.
pub fn read_ids(path: &Path) -> Result<Vec<String>, Error> {
    let rows = read(path, Trial::blank, &[], &[], |_, _| Ok(()))?;
    Ok(rows.into_iter().map(|trial| trial.key.id).collect())
}
