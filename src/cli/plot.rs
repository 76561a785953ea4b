//! `polarity plot`: the figures.

use anyhow::anyhow;
use clap::Args;

use super::{ExperimentArgs, Failure, print};
use crate::experiment::Tables;
use crate::figure;

/// Draw the figures of an experiment from its tables
#[derive(Debug, Args)]
#[command(after_help = "Example:
  polarity plot experiments/demo.yaml    writes plots/demo/*.png")]
pub(super) struct Plot {
    #[command(flatten)]
    experiment: ExperimentArgs,
}

impl Plot {
    pub(super) fn run(self) -> Result<(), Failure> {
        let experiment = self.experiment.load()?;
        let tables = Tables::read(&experiment).map_err(Failure::input)?;
        let folder = experiment.plots_folder();
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::Work(anyhow!("{}: {error}", folder.display())))?;
        let arms: Vec<String> = experiment.arms.keys().cloned().collect();
        let title = experiment.title();
        let results = figure::Results {
            name: &experiment.name,
            title: &title,
            arms: &arms,
            baseline: experiment.baseline.as_deref(),
            chance: tables.chance,
            trials: &tables.trials,
            curves: &tables.curves,
        };
        for kind in &experiment.figures {
            let path = figure::draw(kind, &results, &folder).map_err(Failure::work)?;
            print(&format!("{}\n", path.display()))?;
        }
        Ok(())
    }
}
