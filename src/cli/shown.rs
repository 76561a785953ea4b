//! What `report` and `plot` show: the results of an experiment file, or those in a folder.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::{Failure, load};
use crate::experiment::{Checked, FileError, apply_overrides, check_shown};
use crate::results::Tables;

/// What of an experiment says how its results are shown; of a folder of results, all that can be changed.
const SHOWN: [&str; 6] = ["title", "baseline", "figures", "reference", "report", "plots"];

/// An experiment file and changes to it, or a results folder.
#[derive(Debug, Args)]
pub(super) struct ShownArgs {
    /// The experiment, a YAML file, or a folder of results
    #[arg(value_name = "FILE|DIR")]
    target: PathBuf,
    /// Values to use in place of the file's, for example `baseline=fluid-random`
    #[arg(value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
}

/// Results that were read.
pub(super) struct Shown {
    /// The folder that has them.
    pub(super) folder: PathBuf,
    /// Whether a report of them belongs into that folder, too.
    pub(super) is_own: bool,
    /// Where its figures belong.
    pub(super) plots: PathBuf,
    /// The tables.
    pub(super) tables: Tables,
}

impl ShownArgs {
    /// The results at `target` as they are.
    pub(super) fn of(target: PathBuf) -> Self {
        ShownArgs { target, overrides: Vec::new() }
    }

    pub(super) fn read(&self) -> Result<Shown, Failure> {
        if self.target.is_dir() { self.of_folder() } else { self.of_file() }
    }

    /// The results of an experiment file. A report with other values than the file's is not the file's
    /// report: it belongs into the folder only where that is named as well.
    fn of_file(&self) -> Result<Shown, Failure> {
        let experiment = load(&self.target, &self.overrides)?;
        let checked = Checked::new(experiment, &self.target).map_err(Failure::input)?;
        let experiment = checked.experiment();
        let folder = experiment.results_folder();
        let described = serde_json::to_value(experiment).map_err(Failure::work)?;
        let tables = Tables::read_as(&folder, |it| *it = described).map_err(Failure::input)?;
        let names_folder = self.overrides.iter().any(|text| key(text) == "results");
        let is_own = self.overrides.is_empty() || names_folder;
        Ok(Shown { folder, is_own, plots: experiment.plots_folder(), tables })
    }

    /// The results in a folder, which may be somebody else's: nothing is written there.
    fn of_folder(&self) -> Result<Shown, Failure> {
        let refused = |text: &str, what: &str| {
            let (text, what) = (text.to_owned(), what.to_owned());
            Failure::input(FileError::Override { text, what })
        };
        for text in &self.overrides {
            if !SHOWN.contains(&key(text)) {
                let keys = SHOWN.join("`, `");
                let what = format!("of a folder of results only `{keys}` can be changed");
                return Err(refused(text, &what));
            }
        }
        let mut plots = PathBuf::from("plots");
        let mut result = Ok(());
        let change = |experiment: &mut Value| {
            // Where its maker put the figures is no place of ours.
            let _ = experiment.as_object_mut().map(|keys| keys.remove("plots"));
            result = apply_overrides(experiment, &self.overrides);
            if let Some(folder) = experiment["plots"].as_str() {
                plots = Path::new(folder).to_owned();
            }
        };
        let tables = Tables::read_as(&self.target, change);
        result.map_err(Failure::input)?;
        let tables = tables.map_err(Failure::input)?;
        check_shown(&tables.about, &self.target).map_err(Failure::input)?;
        let plots = plots.join(&tables.about.name);
        Ok(Shown { folder: self.target.clone(), is_own: false, plots, tables })
    }
}

/// The first key of the path of an override.
fn key(text: &str) -> &str {
    text.split(['=', '.']).next().unwrap_or(text)
}
