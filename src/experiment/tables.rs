//! The published tables of an experiment, read back.

use std::path::PathBuf;

use super::config::Experiment;
use super::table::{self, CurveRow, Trial};

/// What `results/<name>/` says.
#[derive(Debug)]
pub struct Tables {
    /// `trials.csv`.
    pub trials: Vec<Trial>,
    /// `curves.csv`.
    pub curves: Vec<CurveRow>,
    /// The error of guessing, 1 − 1 / classes, in [0, 1].
    pub chance: f64,
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
    /// Reads the tables of `experiment`.
    ///
    /// # Errors
    /// When the experiment has not run, or a file is damaged.
    pub fn read(experiment: &Experiment) -> Result<Self, Error> {
        let folder = experiment.results_folder();
        let trials = folder.join("trials.csv");
        if !trials.exists() {
            return Err(Error::Missing { folder });
        }
        let path = folder.join("manifest.json");
        let malformed = |what: String| Error::Manifest { path: path.clone(), what };
        let text = std::fs::read_to_string(&path).map_err(|error| malformed(error.to_string()))?;
        let manifest: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let classes = manifest["classes"].as_f64().filter(|classes| *classes >= 2.0);
        let classes = classes.ok_or_else(|| malformed("no number of `classes`".into()))?;
        Ok(Tables {
            trials: table::read_trials(&trials)?,
            curves: table::read_curves(&folder.join("curves.csv"))?,
            chance: 1.0 - 1.0 / classes,
        })
    }
}
