//! `polarity report`: the results in numbers.

use clap::Args;

use super::{ExperimentArgs, Failure, print};
use crate::experiment::{Report, Tables, Times, write_results};

/// Print the results of an experiment with intervals and tests
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity report experiments/demo.yaml           also written to results/demo/report.md
  polarity report experiments/demo.yaml --json    one JSON object
  polarity report experiments/demo.yaml --times   where the time of the cells went")]
pub(super) struct ReportCommand {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Print one JSON object in place of the table
    #[arg(long)]
    json: bool,
    /// Print the seconds of the cells and of their parts in place of the table
    #[arg(long, conflicts_with = "json")]
    times: bool,
}

impl ReportCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let experiment = self.experiment.load()?;
        let tables = Tables::read(&experiment).map_err(Failure::input)?;
        if self.times {
            let times = Times::read(&experiment).map_err(Failure::input)?;
            return print(&times.to_markdown(&experiment, &tables.trials));
        }
        let report = Report::new(&experiment, &tables.trials, &tables.curves, tables.chance);
        let markdown = report.to_markdown();
        write_results(&experiment.results_folder(), "report.md", &markdown)
            .map_err(Failure::work)?;
        if self.json {
            let text = serde_json::to_string_pretty(&report.to_json()).map_err(Failure::work)?;
            return print(&format!("{text}\n"));
        }
        print(&markdown)
    }
}
