//! `curves.csv`: a row a cell and evaluation.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::column::{Column, Error, Keyed, Line, optional, put, put_optional, read, write};
use super::key::Key;
use super::trial::{Trial, counted};
use super::{CurvePoint, ErrorCount, TensorCounts};

/// One row of `curves.csv`: one evaluation of one cell. See [`CURVE`] for what each value means. Its error
/// is an `E`: a count, or a share as files have it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct CurveRow<E = ErrorCount> {
    pub key: Key,
    pub point: CurvePoint<E>,
}

impl<E> Keyed for CurveRow<E> {
    fn key(&self) -> &Key {
        &self.key
    }

    fn key_mut(&mut self) -> &mut Key {
        &mut self.key
    }
}

impl CurveRow {
    /// What `curves.csv` says behind the seed, by the names of the columns.
    pub(crate) fn values(&self) -> Vec<(String, String)> {
        let row = self.clone().shares();
        let mut values: Vec<_> =
            CURVE.iter().map(|column| (column.name.to_owned(), (column.write)(&row))).collect();
        let mut tensors = row.point.tensors;
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        for counts in &tensors {
            let value = |column: &Column<TensorCounts>| {
                (format!("{}{}", column.name, counts.name), (column.write)(counts))
            };
            values.extend(BY_TENSOR.each_ref().map(value));
        }
        values
    }

    fn shares(self) -> CurveRow<f64> {
        let point = self.point.with_error(self.point.validation_error.value());
        CurveRow { key: self.key, point }
    }
}

impl CurveRow<f64> {
    fn blank() -> Self {
        let point = CurvePoint {
            step: 0,
            train_loss: None,
            validation_loss: None,
            validation_error: 0.0,
            resets: 0,
            sign_flips: 0,
            tensors: Vec::new(),
        };
        CurveRow { key: Key::blank(), point }
    }
}

/// Columns of `curves.csv` after the seed.
pub const CURVE: [Column<CurveRow<f64>>; 6] = [
    Column {
        name: "step",
        meaning: "optimizer steps so far; 0 is before training",
        write: |row| row.point.step.to_string(),
        read: |row, text| put(&mut row.point.step, text),
    },
    Column {
        name: "train_loss",
        meaning: "mean cross-entropy over the batches since the row before, in nats",
        write: |row| optional(row.point.train_loss),
        read: |row, text| put_optional(&mut row.point.train_loss, text),
    },
    Column {
        name: "validation_loss",
        meaning: "mean cross-entropy on the validation images, in nats",
        write: |row| optional(row.point.validation_loss),
        read: |row, text| put_optional(&mut row.point.validation_loss, text),
    },
    Column {
        name: "validation_error",
        meaning: "share of validation images classified wrongly, in [0, 1]",
        write: |row| row.point.validation_error.to_string(),
        read: |row, text| put(&mut row.point.validation_error, text),
    },
    Column {
        name: "resets",
        meaning: "times a weight was put back so far",
        write: |row| row.point.resets.to_string(),
        read: |row, text| put(&mut row.point.resets, text),
    },
    Column {
        name: "sign_flips",
        meaning: "times a weight or bias crossed zero so far",
        write: |row| row.point.sign_flips.to_string(),
        read: |row, text| put(&mut row.point.sign_flips, text),
    },
];

/// Two columns a weight tensor that stand last in `curves.csv`: the start of their names, which the
/// tensor's name ends, and what they count.
pub const BY_TENSOR: [Column<TensorCounts>; 2] = [
    Column {
        name: "resets/",
        meaning: "`resets` of one tensor, `resets/features.0.weight` for example",
        write: |counts| counts.resets.to_string(),
        read: |counts, text| put(&mut counts.resets, text),
    },
    Column {
        name: "sign_flips/",
        meaning: "`sign_flips` of one tensor",
        write: |counts| counts.sign_flips.to_string(),
        read: |counts, text| put(&mut counts.sign_flips, text),
    },
];

/// `curves.csv` as text, rows in the order given. The columns of `tensors` stand in name order, however
/// often and in what order they are named.
pub fn write_curves<'a>(
    settings: &[String],
    tensors: impl Iterator<Item = &'a str>,
    curves: impl Iterator<Item = CurveRow>,
) -> String {
    let tensors: BTreeSet<&str> = tensors.collect();
    let more: Vec<String> = tensors
        .iter()
        .flat_map(|tensor| BY_TENSOR.map(|column| column.name.to_owned() + tensor))
        .collect();
    let more_of = |row: &CurveRow<f64>| -> Vec<String> {
        let of_tensor = |tensor: &&str| {
            let counts = row.point.tensors.iter().find(|counts| counts.name == *tensor);
            BY_TENSOR.map(|column| counts.map(column.write).unwrap_or_default())
        };
        tensors.iter().flat_map(of_tensor).collect()
    };
    write(settings, &CURVE.each_ref(), &more, curves.map(CurveRow::shares), more_of)
}

/// Reads the `curves.csv` that stands beside `trials`, which say of how many images its errors are.
///
/// # Errors
/// When the file cannot be read, lacks a column, or has a value that is no number, or an error that is no
/// whole number of its images.
pub fn read_curves(path: &Path, trials: &[Trial]) -> Result<Vec<CurveRow>, Error> {
    let images: HashMap<&str, u64> = trials
        .iter()
        .filter_map(|trial| Some((trial.key.id.as_str(), trial.outcome.validation_images?)))
        .collect();
    let finish = |mut row: CurveRow<f64>, line: &Line| {
        row.point.tensors = read_tensors(line)?;
        let of = images.get(row.key.id.as_str()).copied();
        let error = counted(row.point.validation_error, of).map_err(|what| line.says(what))?;
        Ok(CurveRow { point: row.point.with_error(error), key: row.key })
    };
    read(path, CurveRow::blank, &CURVE, &[], finish)
}

/// The counts by tensor that the line has.
fn read_tensors(line: &Line) -> Result<Vec<TensorCounts>, String> {
    let mut tensors = Vec::new();
    for tensor in line.names().filter_map(|name| name.strip_prefix(BY_TENSOR[0].name)) {
        let mut counts = TensorCounts { name: tensor.to_owned(), resets: 0, sign_flips: 0 };
        let texts = BY_TENSOR.each_ref().map(|column| {
            let name = format!("{}{tensor}", column.name);
            (column, line.text(&name).unwrap_or_default().to_owned(), name)
        });
        if texts[0].1.is_empty() {
            continue;
        }
        for (column, text, name) in texts {
            (column.read)(&mut counts, &text).ok_or_else(|| line.wrong(&name, &text))?;
        }
        tensors.push(counts);
    }
    Ok(tensors)
}
