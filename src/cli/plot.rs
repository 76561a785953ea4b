//! `polarity plot`: the figures.

use anyhow::anyhow;
use clap::Args;

use super::{ExperimentArgs, Failure, print};
use crate::experiment::{Arm, Epochs, Figure, Reference, Tables};
use crate::figure;

/// Draw the figures of an experiment from its tables
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(super) struct Plot {
    #[command(flatten)]
    experiment: ExperimentArgs,
}

/// An example, and every kind of figure.
fn after_help() -> String {
    let mut text = "Example:\n  polarity plot experiments/demo.yaml    writes plots/demo/*.png\n\n\
                    Figures (`figures` in the experiment file):\n"
        .to_owned();
    for figure::Kind { name, help, .. } in figure::kinds() {
        text += &format!("  {name:<18}{help}\n");
    }
    text
}

impl Plot {
    pub(super) fn run(self) -> Result<(), Failure> {
        let experiment = self.experiment.load()?;
        let tables = Tables::read(&experiment).map_err(Failure::input)?;
        let folder = experiment.plots_folder();
        std::fs::create_dir_all(&folder)
            .map_err(|error| Failure::Work(anyhow!("{}: {error}", folder.display())))?;
        let title = experiment.title();
        for Figure { kind, arms } in &experiment.figures {
            let arms = arms.clone().unwrap_or_else(|| experiment.arms.keys().cloned().collect());
            let dose = |arm: &String| experiment.arms.get(arm).and_then(Arm::dose);
            let doses: Vec<Option<f64>> = arms.iter().map(dose).collect();
            let results = figure::Results {
                name: &experiment.name,
                title: &title,
                arms: &arms,
                baseline: experiment
                    .baseline
                    .as_deref()
                    .filter(|name| arms.iter().any(|a| a == name)),
                chance: tables.chance,
                epochs: Epochs::new(&experiment, &tables.trials),
                thresholds: &experiment.report.thresholds,
                steps: &experiment.report.steps,
                doses: &doses,
                published: experiment.reference == Some(Reference::Published),
                trials: &tables.trials,
                curves: &tables.curves,
            };
            let path = figure::draw(kind, &results, &folder).map_err(Failure::work)?;
            print(&format!("{}\n", path.display()))?;
        }
        Ok(())
    }
}
