//! `trials.csv`: a row a cell.

use std::convert::Infallible;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ErrorCount;
use super::column::{Column, Error, Keyed, Line, optional, put, put_optional, read, write};
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

/// One row of `trials.csv`: one cell. See [`TRIAL`] for what each value means. Its errors are `E`s: counts,
/// or shares as files have them.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Trial<E = ErrorCount> {
    pub key: Key,
    pub outcome: Outcome<E>,
    /// Why the cell failed, if it did.
    pub reason: Option<String>,
}

/// How one training run ended. See [`TRIAL`] for what each value means. Its errors are `E`s: counts, or
/// shares as files have them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Outcome<E = ErrorCount> {
    pub status: Status,
    pub test_error: Option<E>,
    pub validation_error: Option<E>,
    pub train_error: Option<E>,
    pub best_step: Option<u64>,
    pub test_error_last: Option<E>,
    pub validation_error_last: Option<E>,
    pub train_error_last: Option<E>,
    pub validation_images: Option<u64>,
    pub test_images: Option<u64>,
    pub steps: u64,
    pub violations_after: u64,
    pub resets: u64,
    pub sign_flips: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milestones: Option<Milestones<E>>,
}

/// What a run reached on its way. See [`MILESTONES`] for what each value means.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Milestones<E = ErrorCount> {
    pub least_validation_error: E,
    pub epochs_to_90: Option<u64>,
}

impl<E> Outcome<E> {
    /// That of a cell that failed: nothing is known of it.
    pub(crate) fn failed() -> Self {
        Outcome {
            status: Status::Failed,
            test_error: None,
            validation_error: None,
            train_error: None,
            best_step: None,
            test_error_last: None,
            validation_error_last: None,
            train_error_last: None,
            validation_images: None,
            test_images: None,
            steps: 0,
            violations_after: 0,
            resets: 0,
            sign_flips: 0,
            milestones: None,
        }
    }
}

impl<E: Copy> Outcome<E> {
    /// The same with each error as `make` has it, given of how many images it is, where that is known;
    /// `train_images` says it of the training images.
    fn with_errors<F, X>(
        &self,
        train_images: Option<u64>,
        make: impl Fn(E, Option<u64>) -> Result<F, X>,
    ) -> Result<Outcome<F>, X> {
        let Outcome { status, best_step, validation_images, test_images, .. } = *self;
        let Outcome { steps, violations_after, resets, sign_flips, .. } = *self;
        let made = |error: Option<E>, of| error.map(|error| make(error, of)).transpose();
        let milestones = |reached: Milestones<E>| {
            let least_validation_error = make(reached.least_validation_error, validation_images)?;
            Ok(Milestones { least_validation_error, epochs_to_90: reached.epochs_to_90 })
        };
        Ok(Outcome {
            status,
            test_error: made(self.test_error, test_images)?,
            validation_error: made(self.validation_error, validation_images)?,
            train_error: made(self.train_error, train_images)?,
            best_step,
            test_error_last: made(self.test_error_last, test_images)?,
            validation_error_last: made(self.validation_error_last, validation_images)?,
            train_error_last: made(self.train_error_last, train_images)?,
            validation_images,
            test_images,
            steps,
            violations_after,
            resets,
            sign_flips,
            milestones: self.milestones.map(milestones).transpose()?,
        })
    }
}

impl Outcome {
    /// The same with errors as files have them.
    pub(crate) fn shares(&self) -> Outcome<f64> {
        let share = |error: ErrorCount, _| Ok::<_, Infallible>(error.value());
        let Ok(shares) = self.with_errors(None, share);
        shares
    }
}

impl Outcome<f64> {
    /// The same with errors as counts, those on training images of `train_images`.
    ///
    /// # Errors
    /// The share that is no whole number of its images.
    pub(crate) fn counts(&self, train_images: Option<u64>) -> Result<Outcome, String> {
        self.with_errors(train_images, counted)
    }
}

/// The count whose share of so many images is `share`.
///
/// # Errors
/// When there is no such count.
pub(crate) fn counted(share: f64, of: Option<u64>) -> Result<ErrorCount, String> {
    let of =
        of.ok_or_else(|| format!("the error {share} does not say of how many images it is"))?;
    ErrorCount::of_share(share, of)
        .ok_or_else(|| format!("the error {share} is no whole number of {of} images"))
}

impl<E> Keyed for Trial<E> {
    fn key(&self) -> &Key {
        &self.key
    }

    fn key_mut(&mut self) -> &mut Key {
        &mut self.key
    }
}

impl<E> Trial<E> {
    fn blank() -> Self {
        Trial { key: Key::blank(), outcome: Outcome::failed(), reason: None }
    }
}

impl Trial {
    /// What `trials.csv` says of the cell behind its seed, by the names of the columns.
    pub(crate) fn values(&self) -> Vec<(String, String)> {
        let row = self.clone().shares();
        let columns = TRIAL.iter().chain(&MILESTONES);
        columns.map(|column| (column.name.to_owned(), (column.write)(&row))).collect()
    }

    fn shares(self) -> Trial<f64> {
        Trial { key: self.key, outcome: self.outcome.shares(), reason: self.reason }
    }
}

impl Trial<f64> {
    fn counts(self) -> Result<Trial, String> {
        let train_images = self.key.setting("train_size").map(|size| size as u64);
        let outcome = self.outcome.counts(train_images)?;
        Ok(Trial { key: self.key, outcome, reason: self.reason })
    }
}

/// Columns of `trials.csv` after the seed.
pub const TRIAL: [Column<Trial<f64>>; 14] = [
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
        meaning: "the same on the `train_size` training images, after `best_step`",
        write: |trial| optional(trial.outcome.train_error),
        read: |trial, text| put_optional(&mut trial.outcome.train_error, text),
    },
    Column {
        name: "best_step",
        meaning: "optimizer steps before the weights that the schedule chooses, by the least validation loss or the last",
        write: |trial| optional(trial.outcome.best_step),
        read: |trial, text| put_optional(&mut trial.outcome.best_step, text),
    },
    Column {
        name: "test_error_last",
        meaning: "as `test_error`, after the last step",
        write: |trial| optional(trial.outcome.test_error_last),
        read: |trial, text| put_optional(&mut trial.outcome.test_error_last, text),
    },
    Column {
        name: "validation_error_last",
        meaning: "as `validation_error`, after the last step",
        write: |trial| optional(trial.outcome.validation_error_last),
        read: |trial, text| put_optional(&mut trial.outcome.validation_error_last, text),
    },
    Column {
        name: "train_error_last",
        meaning: "as `train_error`, after the last step",
        write: |trial| optional(trial.outcome.train_error_last),
        read: |trial, text| put_optional(&mut trial.outcome.train_error_last, text),
    },
    Column {
        name: "validation_images",
        meaning: "of how many images validation errors are a share, in `curves.csv` too; empty where a cell failed",
        write: |trial| optional(trial.outcome.validation_images),
        read: |trial, text| put_optional(&mut trial.outcome.validation_images, text),
    },
    Column {
        name: "test_images",
        meaning: "of how many images test errors are a share; empty where nothing was tested",
        write: |trial| optional(trial.outcome.test_images),
        read: |trial, text| put_optional(&mut trial.outcome.test_images, text),
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
pub const MILESTONES: [Column<Trial<f64>>; 2] = [
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
pub const REASON: Column<Trial<f64>> = Column {
    name: "reason",
    meaning: "why the cell failed; `polarity run` tries it again",
    write: |trial| optional(trial.reason.as_ref()),
    read: |trial, text| put_optional(&mut trial.reason, text),
};

/// `trials.csv` as text, rows in the order given.
pub fn write_trials(settings: &[String], trials: impl Iterator<Item = Trial> + Clone) -> String {
    let has_milestones = trials.clone().any(|trial| trial.outcome.milestones.is_some());
    let has_failed = trials.clone().any(|trial| trial.reason.is_some());
    let mut columns: Vec<&Column<Trial<f64>>> = TRIAL.iter().collect();
    columns.extend(MILESTONES.iter().filter(|_| has_milestones));
    columns.extend(Some(&REASON).filter(|_| has_failed));
    write(settings, &columns, &[], trials.map(Trial::shares), |_| Vec::new())
}

/// Reads `trials.csv`.
///
/// # Errors
/// When the file cannot be read, lacks a column, or has a value that is no number, or an error that is no
/// whole number of its images.
pub fn read_trials(path: &Path) -> Result<Vec<Trial>, Error> {
    let [least, epochs] = MILESTONES;
    let counts = |trial: Trial<f64>, line: &Line| trial.counts().map_err(|what| line.says(what));
    read(path, Trial::blank, &TRIAL, &[least, epochs, REASON], counts)
}

/// The ids of the cells of `trials.csv`, and nothing else of it.
///
/// # Errors
/// When the file cannot be read, or is no table of cells.
pub fn read_ids(path: &Path) -> Result<Vec<String>, Error> {
    let rows = read(path, Trial::<f64>::blank, &[], &[], |trial, _| Ok(trial))?;
    Ok(rows.into_iter().map(|trial| trial.key.id).collect())
}
