//! `timings.csv`: the seconds of each cell, which differ from run to run.

use serde::{Deserialize, Serialize};

use super::column::{Column, put, to_csv};
use crate::train::Seconds;

/// The time of a cell, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Timing {
    pub total: f64,
    /// Where it went, of cells that are computed one at a time.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub split: Seconds,
}

fn is_unknown(split: &Seconds) -> bool {
    *split == Seconds::default()
}

/// One row of `timings.csv`: the time of one cell.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct CellTime {
    pub id: String,
    pub timing: Timing,
}

/// The columns of `timings.csv`.
pub const TIMING: [Column<CellTime>; 7] = [
    Column {
        name: "id",
        meaning: "the cell",
        write: |row| row.id.clone(),
        read: |row, text| put(&mut row.id, text),
    },
    Column {
        name: "seconds",
        meaning: "in all",
        write: |row| seconds(row.timing.total),
        read: |row, text| put(&mut row.timing.total, text),
    },
    Column {
        name: "data",
        meaning: "preparing batches",
        write: |row| seconds(row.timing.split.data),
        read: |row, text| put(&mut row.timing.split.data, text),
    },
    Column {
        name: "forward",
        meaning: "the forward pass",
        write: |row| seconds(row.timing.split.forward),
        read: |row, text| put(&mut row.timing.split.forward, text),
    },
    Column {
        name: "backward",
        meaning: "the backward pass",
        write: |row| seconds(row.timing.split.backward),
        read: |row, text| put(&mut row.timing.split.backward, text),
    },
    Column {
        name: "optimizer",
        meaning: "the step and the projection",
        write: |row| seconds(row.timing.split.optimizer),
        read: |row, text| put(&mut row.timing.split.optimizer, text),
    },
    Column {
        name: "evaluation",
        meaning: "looking at validation images",
        write: |row| seconds(row.timing.split.evaluation),
        read: |row, text| put(&mut row.timing.split.evaluation, text),
    },
];

fn seconds(value: f64) -> String {
    format!("{value:.3}")
}

/// `timings.csv` as text, rows in the order given.
pub fn write_timings(rows: impl Iterator<Item = CellTime>) -> String {
    let header = TIMING.iter().map(|column| column.name.to_owned()).collect();
    let line = |row: CellTime| TIMING.iter().map(|column| (column.write)(&row)).collect();
    to_csv(header, rows.map(line))
}

/// The rows of `timings.csv`.
///
/// # Errors
/// The line and column of what is no such table.
pub fn read_timings(text: &str) -> Result<Vec<CellTime>, String> {
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let header = table.headers().map_err(|error| error.to_string())?.clone();
    let place = |column: &Column<CellTime>| {
        let place = header.iter().position(|name| name == column.name);
        place.ok_or_else(|| format!("no column `{}`", column.name))
    };
    let places: Vec<usize> = TIMING.iter().map(place).collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for (index, values) in table.records().enumerate() {
        let values = values.map_err(|error| error.to_string())?;
        let mut row = CellTime::default();
        for (column, place) in TIMING.iter().zip(&places) {
            let text = values.get(*place).unwrap_or_default();
            (column.read)(&mut row, text).ok_or_else(|| {
                format!("line {}: `{text}` is no value of `{}`", index + 2, column.name)
            })?;
        }
        rows.push(row);
    }
    Ok(rows)
}
