//! What `report` and `plot` show: the results of an experiment file, or those in a folder.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, load};
use crate::results::Tables;

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
    /// Where its figures belong.
    pub(super) plots: PathBuf,
    /// The tables.
    pub(super) tables: Tables,
}

impl ShownArgs {
    pub(super) fn read(&self) -> Result<Shown, Failure> {
        if self.target.is_dir() {
            let tables = Tables::read(&self.target).map_err(Failure::input)?;
            let plots = PathBuf::from("plots").join(&tables.about.name);
            return Ok(Shown { folder: self.target.clone(), plots, tables });
        }
        let experiment = load(&self.target, &self.overrides)?;
        let folder = experiment.results_folder();
        let described = serde_json::to_value(&experiment).map_err(Failure::work)?;
        let tables = Tables::read_as(&folder, described).map_err(Failure::input)?;
        Ok(Shown { folder, plots: experiment.plots_folder(), tables })
    }
}
