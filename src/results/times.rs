//! Where the time of an experiment went, by arm.
//!
//! Times differ from run to run, so they stand in `timings.csv` beside the tables, are not published,
//! and are in no report but this one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::about::About;
use super::report::{groups, markdown_table};
use super::table::{Timing, Trial, read_timings};
use crate::stats::quantile::median;

/// The file of the cells' times.
pub const TIMINGS: &str = "timings.csv";

/// The times of the cells, by id.
#[derive(Debug)]
pub struct Times(BTreeMap<String, Timing>);

/// Why there are no times.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there.
    #[error("{path}: not here; only the machine that ran the cells has their times")]
    Missing {
        /// `timings.csv`.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("{path}: {what}; `polarity run` writes it anew")]
    Malformed {
        /// `timings.csv`.
        path: PathBuf,
        /// The line, and what is wrong with it.
        what: String,
    },
}

/// A column of the table: its name and its part of a cell's time.
type Part = (&'static str, fn(&Timing) -> f64);

impl Times {
    /// Reads the times in the results folder `folder`.
    ///
    /// # Errors
    /// When there are none, or the file is damaged.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(TIMINGS);
        if !path.exists() {
            return Err(Error::Missing { path });
        }
        let malformed = |what| Error::Malformed { path: path.clone(), what };
        let text = std::fs::read_to_string(&path).map_err(|error| malformed(error.to_string()))?;
        let rows = read_timings(&text).map_err(malformed)?;
        Ok(Times(rows.into_iter().map(|row| (row.id, row.timing)).collect()))
    }

    /// A Markdown table: median seconds of a cell and of its parts, one line an arm and setting.
    pub fn to_markdown(&self, about: &About, trials: &[Trial]) -> String {
        const PARTS: [Part; 6] = [
            ("seconds", |timing| timing.total),
            ("data", |timing| timing.split.data),
            ("forward", |timing| timing.split.forward),
            ("backward", |timing| timing.split.backward),
            ("optimizer", |timing| timing.split.optimizer),
            ("evaluation", |timing| timing.split.evaluation),
        ];
        let mut lines = Vec::new();
        for group in groups(about, trials) {
            let timings: Vec<&Timing> =
                group.trials.iter().filter_map(|trial| self.0.get(&trial.key.id)).collect();
            if lines.is_empty() {
                let settings = group.settings.iter().map(|(name, _)| name.as_str());
                let names = settings.chain(["arm", "cells"]).chain(PARTS.map(|(name, _)| name));
                lines.push(names.map(str::to_owned).collect::<Vec<_>>());
            }
            let settings = group.settings.iter().map(|(_, value)| value.to_string());
            let mut line: Vec<String> = settings.collect();
            line.extend([group.arm.to_owned(), timings.len().to_string()]);
            line.extend(PARTS.map(|(_, part)| {
                let seconds: Vec<f64> = timings.iter().map(|timing| part(timing)).collect();
                median(&seconds).map_or("-".into(), |seconds| format!("{seconds:.2}"))
            }));
            lines.push(line);
        }
        format!(
            "Seconds a cell, medians; the rest of a cell is its start and its test.\n\n{}",
            markdown_table(&lines)
        )
    }
}
