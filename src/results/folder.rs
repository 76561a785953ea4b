//! The published tables of an experiment, read back.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::about::About;
use super::table::{self, CurveRow, Trial};

/// What `results/<name>/` says.
#[derive(Debug)]
pub struct Tables {
    /// `trials.csv`.
    pub trials: Vec<Trial>,
    /// `curves.csv`.
    pub curves: Vec<CurveRow>,
    /// What they are about.
    pub about: About,
}

/// Why the tables could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The experiment has not run.
    #[error("{folder}: no results yet; `polarity run` makes them")]
    Missing {
        /// The folder of the results.
        folder: PathBuf,
    },
    /// A table is damaged.
    #[error(transparent)]
    Table(#[from] table::Error),
    /// The manifest is damaged.
    #[error("{path}: {what}; `polarity run` writes it anew")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl Tables {
    /// Reads the tables in `folder`; what they are about is as its manifest says.
    ///
    /// # Errors
    /// When the experiment has not run, or a file is damaged.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        Self::read_as(folder, |_| {})
    }

    /// Reads the tables in `folder`; what they are about is as its manifest says after `change` was made to
    /// the experiment that it has.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_as(folder: &Path, change: impl FnOnce(&mut Value)) -> Result<Self, Error> {
        let trials = folder.join("trials.csv");
        if !trials.exists() {
            return Err(Error::Missing { folder: folder.to_owned() });
        }
        let path = folder.join("manifest.json");
        let malformed = |what: String| Error::Manifest { path: path.clone(), what };
        let text = std::fs::read_to_string(&path).map_err(|error| malformed(error.to_string()))?;
        let about = About::read(&text, change).map_err(malformed)?;
        let trials = table::read_trials(&trials)?;
        let curves = table::read_curves(&folder.join("curves.csv"), &trials)?;
        Ok(Tables { trials, curves, about })
    }
}
