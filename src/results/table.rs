//! The result tables: what a row of `trials.csv` and of `curves.csv` holds, and how it is read and
//! written.
//!
//! Columns are listed once, here; the files, the terminal table and the documentation follow the
//! list. Swept settings (`train_size`, …) stand between `arm` and `seed`, each under its own name.
//! Rows come from finished cells and hold no times, so the same cells give the same bytes.
//!
//! Where the files lie and when they are written is left to [`Store`](super::Store).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use crate::train::{CurvePoint, TensorCounts};

/// One column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name in the file's first line.
    pub name: &'static str,
    /// What one value says, with its unit.
    pub meaning: &'static str,
}

const fn column(name: &'static str, meaning: &'static str) -> Column {
    Column { name, meaning }
}

/// Columns before the swept settings, in every table.
const KEY: [Column; 2] = [
    column("id", "the cell: first 16 hex digits of the digest of its specification"),
    column("arm", "the experimental condition"),
];

/// Columns of `trials.csv` after the swept settings.
pub const TRIAL: [Column; 10] = [
    column("seed", "the seed, shared by all arms (pairs)"),
    column("status", "`done`, `diverged` (a loss or weight became non-finite) or `failed`"),
    column("test_error", "share of test images classified wrongly, in [0, 1], after `best_step`"),
    column("validation_error", "the same on the validation images, after `best_step`"),
    column("train_error", "the same on the training subset, after `best_step`"),
    column("best_step", "optimizer steps before the weights that were tested"),
    column("steps", "optimizer steps in all"),
    column(
        "violations_after",
        "weights at the end on the other side of zero than at the start; 0 where signs are held",
    ),
    column("resets", "times a weight was put back by the projection"),
    column("sign_flips", "times a weight or bias crossed zero in a step, projection included"),
];

/// Columns of `trials.csv` after those, where the experiment has such milestones.
pub const MILESTONES: [Column; 2] = [
    column("least_validation_error", "the least validation error after any epoch, in [0, 1]"),
    column(
        "epochs_to_90",
        "epochs until at most 10 % of the validation points were classified wrongly, from 1 on; empty \
         if that never was",
    ),
];

/// Columns of `curves.csv` after the swept settings.
pub const CURVE: [Column; 7] = [
    column("seed", "the seed, shared by all arms (pairs)"),
    column("step", "optimizer steps so far; 0 is before training"),
    column("train_loss", "mean cross-entropy over the batches since the row before, in nats"),
    column("validation_loss", "mean cross-entropy on the validation images, in nats"),
    column("validation_error", "share of validation images classified wrongly, in [0, 1]"),
    column("resets", "times a weight was put back so far"),
    column("sign_flips", "times a weight or bias crossed zero so far"),
];

/// Two columns a weight tensor that stand last in `curves.csv`: the start of their names, which the
/// tensor's name ends, and what they count.
pub const BY_TENSOR: [Column; 2] = [
    column("resets/", "`resets` of one tensor, `resets/features.0.weight` for example"),
    column("sign_flips/", "`sign_flips` of one tensor"),
];

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

/// What a row is about: the cell, its arm, its swept settings and its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The cell's id.
    pub id: String,
    /// The arm's name in the experiment file.
    pub arm: String,
    /// Swept settings by name, in the order of the columns.
    pub settings: Vec<(String, f64)>,
    /// The seed.
    pub seed: u64,
}

impl Key {
    /// The value of the swept setting `name`, if the experiment sweeps it.
    pub fn setting(&self, name: &str) -> Option<f64> {
        self.settings.iter().find(|(setting, _)| setting == name).map(|(_, value)| *value)
    }
}

/// One row of `trials.csv`: one cell. See [`TRIAL`] for what each value means.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Trial {
    pub key: Key,
    pub outcome: Outcome,
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

/// One row of `curves.csv`: one evaluation of one cell.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct CurveRow {
    pub key: Key,
    pub point: CurvePoint,
}

/// Why a table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The table.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not such a table.
    #[error("{path}: {what}; `polarity run` writes it anew")]
    Malformed {
        /// The table.
        path: PathBuf,
        /// The line or column, and what was expected there.
        what: String,
    },
}

/// `trials.csv` as text, rows in the order given.
pub fn write_trials(settings: &[String], trials: &[Trial]) -> String {
    let has_milestones = trials.iter().any(|trial| trial.outcome.milestones.is_some());
    let more = if has_milestones { &MILESTONES[..] } else { &[] };
    let columns = [&TRIAL, more].concat();
    let rows = trials.iter().map(|Trial { key, outcome }| {
        let values = [
            key.seed.to_string(),
            outcome.status.name().to_owned(),
            optional(outcome.test_error),
            optional(outcome.validation_error),
            optional(outcome.train_error),
            optional(outcome.best_step),
            outcome.steps.to_string(),
            outcome.violations_after.to_string(),
            outcome.resets.to_string(),
            outcome.sign_flips.to_string(),
        ];
        let reached = outcome.milestones;
        let more = [
            optional(reached.map(|reached| reached.least_validation_error)),
            optional(reached.and_then(|reached| reached.epochs_to_90)),
        ];
        let more = if has_milestones { more.to_vec() } else { Vec::new() };
        (key, [values.to_vec(), more].concat())
    });
    write(settings, names(&columns), rows)
}

/// `curves.csv` as text, rows in the order given.
pub fn write_curves(settings: &[String], curves: &[CurveRow]) -> String {
    let tensors = tensors(curves);
    let by_tensor = tensors.iter().flat_map(|tensor| BY_TENSOR.map(|c| c.name.to_owned() + tensor));
    let columns = names(&CURVE).into_iter().chain(by_tensor).collect();
    let rows = curves.iter().map(|CurveRow { key, point }| {
        let mut values = vec![
            key.seed.to_string(),
            point.step.to_string(),
            optional(point.train_loss),
            optional(point.validation_loss),
            point.validation_error.to_string(),
            point.resets.to_string(),
            point.sign_flips.to_string(),
        ];
        for tensor in &tensors {
            let counts = point.tensors.iter().find(|counts| counts.name == *tensor);
            values.push(optional(counts.map(|counts| counts.resets)));
            values.push(optional(counts.map(|counts| counts.sign_flips)));
        }
        (key, values)
    });
    write(settings, columns, rows)
}

/// The weight tensors of all `curves`, each once, in name order.
fn tensors(curves: &[CurveRow]) -> BTreeSet<&str> {
    let counts = curves.iter().flat_map(|row| &row.point.tensors);
    counts.map(|counts| counts.name.as_str()).collect()
}

fn names(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| column.name.to_owned()).collect()
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn write<'a>(
    settings: &[String],
    columns: Vec<String>,
    rows: impl Iterator<Item = (&'a Key, Vec<String>)>,
) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    let promise = "a table in memory takes every row of the header's length";
    table.write_record([names(&KEY), settings.to_vec(), columns].concat()).expect(promise);
    for (key, values) in rows {
        let start = vec![key.id.clone(), key.arm.clone()];
        let swept = key.settings.iter().map(|(_, value)| value.to_string()).collect();
        table.write_record([start, swept, values].concat()).expect(promise);
    }
    String::from_utf8(table.into_inner().expect(promise)).expect("every value was text")
}

/// Reads `trials.csv`.
///
/// # Errors
/// When the file cannot be read, lacks a column, or has a value that is no number.
pub fn read_trials(path: &Path) -> Result<Vec<Trial>, Error> {
    read(path, &TRIAL, |row| {
        Ok(Outcome {
            status: {
                let text = row.text("status")?;
                Status::named(text).ok_or_else(|| row.wrong("status", text))?
            },
            test_error: row.optional("test_error")?,
            validation_error: row.optional("validation_error")?,
            train_error: row.optional("train_error")?,
            best_step: row.optional("best_step")?,
            steps: row.number("steps")?,
            violations_after: row.number("violations_after")?,
            resets: row.number("resets")?,
            sign_flips: row.number("sign_flips")?,
            milestones: row.milestones()?,
        })
    })
    .map(|rows| rows.into_iter().map(|(key, outcome)| Trial { key, outcome }).collect())
}

/// The ids of the cells of `trials.csv`, and nothing else of it.
///
/// # Errors
/// When the file cannot be read, or is no table.
pub fn read_ids(path: &Path) -> Result<Vec<String>, Error> {
    read(path, &[], |_| Ok(())).map(|rows| rows.into_iter().map(|(key, ())| key.id).collect())
}

/// Reads `curves.csv`.
///
/// # Errors
/// When the file cannot be read, lacks a column, or has a value that is no number.
pub fn read_curves(path: &Path) -> Result<Vec<CurveRow>, Error> {
    read(path, &CURVE, |row| {
        Ok(CurvePoint {
            step: row.number("step")?,
            train_loss: row.optional("train_loss")?,
            validation_loss: row.optional("validation_loss")?,
            validation_error: row.number("validation_error")?,
            resets: row.number("resets")?,
            sign_flips: row.number("sign_flips")?,
            tensors: row.tensors()?,
        })
    })
    .map(|rows| rows.into_iter().map(|(key, point)| CurveRow { key, point }).collect())
}

fn read<T>(
    path: &Path,
    columns: &[Column],
    parse: impl Fn(&Row) -> Result<T, String>,
) -> Result<Vec<(Key, T)>, Error> {
    let malformed = |what| Error::Malformed { path: path.to_owned(), what };
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let header = table.headers().map_err(|error| malformed(error.to_string()))?.clone();
    for column in KEY.iter().chain(columns) {
        if !header.iter().any(|name| name == column.name) {
            return Err(malformed(format!("no column `{}`", column.name)));
        }
    }
    let mut rows = Vec::new();
    for (index, values) in table.records().enumerate() {
        let values = values.map_err(|error| malformed(error.to_string()))?;
        let row = Row { line: index + 2, header: &header, values: &values };
        let both = row.key().and_then(|key| Ok((key, parse(&row)?)));
        rows.push(both.map_err(malformed)?);
    }
    Ok(rows)
}

/// One line of a table being read.
struct Row<'a> {
    line: usize,
    header: &'a csv::StringRecord,
    values: &'a csv::StringRecord,
}

impl Row<'_> {
    fn text(&self, name: &str) -> Result<&str, String> {
        let place = self.header.iter().position(|column| column == name);
        place.and_then(|i| self.values.get(i)).ok_or(format!("line {}: no `{name}`", self.line))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.text(name)?;
        text.parse().map_err(|_| self.wrong(name, text))
    }

    fn optional<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        if self.text(name)?.is_empty() { Ok(None) } else { self.number(name).map(Some) }
    }

    /// The counts by tensor that the row has.
    fn tensors(&self) -> Result<Vec<TensorCounts>, String> {
        let [resets, sign_flips] = BY_TENSOR.map(|column| column.name);
        let tensors = self.header.iter().filter_map(|name| name.strip_prefix(resets));
        let counts = tensors.map(|tensor| {
            let Some(resets) = self.optional(&format!("{resets}{tensor}"))? else {
                return Ok(None);
            };
            let sign_flips = self.number(&format!("{sign_flips}{tensor}"))?;
            Ok(Some(TensorCounts { name: tensor.into(), resets, sign_flips }))
        });
        counts.filter_map(Result::transpose).collect()
    }

    /// None in tables without such columns, and in rows of cells that failed.
    fn milestones(&self) -> Result<Option<Milestones>, String> {
        let [least, epochs] = MILESTONES.map(|column| column.name);
        if !self.header.iter().any(|name| name == least) || self.text(least)?.is_empty() {
            return Ok(None);
        }
        Ok(Some(Milestones {
            least_validation_error: self.number(least)?,
            epochs_to_90: self.optional(epochs)?,
        }))
    }

    fn wrong(&self, name: &str, text: &str) -> String {
        format!("line {}: `{text}` is no value of `{name}`", self.line)
    }

    fn key(&self) -> Result<Key, String> {
        let swept = self.header.iter().skip(KEY.len()).take_while(|name| *name != "seed");
        let settings = swept.map(|name| Ok((name.to_owned(), self.number(name)?)));
        Ok(Key {
            id: self.text("id")?.to_owned(),
            arm: self.text("arm")?.to_owned(),
            settings: settings.collect::<Result<_, String>>()?,
            seed: self.number("seed")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial() -> Trial {
        let settings = vec![("train_size".to_owned(), 100.0)];
        Trial {
            key: Key { id: "00ff".into(), arm: "frozen, odd".into(), settings, seed: 3 },
            outcome: Outcome {
                status: Status::Done,
                test_error: Some(0.125),
                validation_error: Some(1.0 / 3.0),
                train_error: None,
                best_step: Some(40),
                steps: 48,
                violations_after: 0,
                resets: 17,
                sign_flips: 0,
                milestones: None,
            },
        }
    }

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.csv");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn trials_survive_being_written_and_read() {
        let text = write_trials(&["train_size".into()], &[trial()]);
        let (_folder, path) = written(&text);
        assert_eq!(read_trials(&path).unwrap(), [trial()]);
    }

    #[test]
    fn milestones_have_columns_where_a_row_has_some() {
        let mut reached = trial();
        let milestones = Milestones { least_validation_error: 0.25, epochs_to_90: None };
        reached.outcome.milestones = Some(milestones);
        let text = write_trials(&["train_size".into()], &[reached.clone(), trial()]);
        assert!(text.starts_with("id,arm,train_size,seed,status,"), "{text}");
        assert!(text.lines().next().unwrap().ends_with(",least_validation_error,epochs_to_90"));
        let (_folder, path) = written(&text);
        assert_eq!(read_trials(&path).unwrap(), [reached, trial()]);
    }

    #[test]
    fn curves_survive_being_written_and_read() {
        let point = CurvePoint {
            step: 0,
            train_loss: None,
            validation_loss: Some(1.0 / 3.0),
            validation_error: 0.9,
            resets: 0,
            sign_flips: 0,
            tensors: Vec::new(),
        };
        let plain = CurveRow { key: trial().key, point };
        let mut told_apart = plain.clone();
        let counts = |name: &str| TensorCounts { name: name.into(), resets: 3, sign_flips: 1 };
        told_apart.point.tensors = vec![counts("a.weight"), counts("b.weight")];
        let text = write_curves(&["train_size".into()], &[plain.clone(), told_apart.clone()]);
        let header = text.lines().next().unwrap();
        assert!(header.ends_with(",resets/b.weight,sign_flips/b.weight"), "{header}");
        let (_folder, path) = written(&text);
        assert_eq!(read_curves(&path).unwrap(), [plain, told_apart]);
    }

    #[test]
    fn a_damaged_table_is_refused_with_line_and_column() {
        let text = write_trials(&["train_size".into()], &[trial()]).replace("0.125", "much");
        let (_folder, path) = written(&text);
        let message = read_trials(&path).unwrap_err().to_string();
        assert!(message.contains("line 2: `much` is no value of `test_error`"), "{message}");
    }

    #[test]
    fn a_table_without_a_column_is_refused_by_its_name() {
        let (_folder, path) = written("id,arm,seed\n");
        let message = read_trials(&path).unwrap_err().to_string();
        assert!(message.contains("no column `status`"), "{message}");
    }
}
