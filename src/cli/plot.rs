//! `polarity plot`: the figures.

use anyhow::anyhow;
use clap::Args;

use super::shown::{Shown, ShownArgs};
use super::{Failure, print};
use crate::figure;

/// Draw the figures of results from their tables
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(super) struct Plot {
    #[command(flatten)]
    shown: ShownArgs,
}

/// An example, and every kind of figure.
fn after_help() -> String {
    let mut text =
        "Examples:\n  polarity plot experiments/demo.yaml    writes plots/demo/*.png\n  \
                    polarity plot results/demo             the same, without the file\n\n\
                    Figures (`figures` in the experiment file):\n"
            .to_owned();
    for figure::Kind { name, help, .. } in figure::kinds() {
        text += &format!("  {name:<18}{help}\n");
    }
    text
}

/// What cannot be written failed; what cannot be drawn was asked for wrongly.
fn failure(error: figure::Error) -> Failure {
    match error {
        figure::Error::Write { .. } => Failure::work(error),
        _ => Failure::input(error),
    }
}

impl Plot {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Shown { plots, tables, .. } = self.shown.read()?;
        std::fs::create_dir_all(&plots)
            .map_err(|error| Failure::Work(anyhow!("{}: {error}", plots.display())))?;
        for figure in &tables.about.figures {
            let results = figure::Results::new(&tables, figure.arms.as_deref());
            let path = figure::draw(&figure.kind, &results, &plots).map_err(failure)?;
            print(&format!("{}\n", path.display()))?;
        }
        Ok(())
    }
}
