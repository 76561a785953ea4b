//! `polarity report`: the results in numbers.

use clap::Args;

use super::shown::{Shown, ShownArgs};
use super::{Failure, print};
use crate::experiment::write_results;
use crate::results::{Report, Times};

/// Print results with intervals and tests
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity report experiments/demo.yaml           also written to results/demo/report.md
  polarity report experiments/demo.yaml baseline=frozen-random    printed only
  polarity report results/demo                    of a folder of results, without its file; printed only
  polarity report experiments/demo.yaml --json    one JSON object
  polarity report experiments/demo.yaml --times   where the time of the cells went")]
pub(super) struct ReportCommand {
    #[command(flatten)]
    shown: ShownArgs,
    /// Print one JSON object in place of the table
    #[arg(long)]
    json: bool,
    /// Print the seconds of the cells and of their parts in place of the table
    #[arg(long, conflicts_with = "json")]
    times: bool,
}

impl ReportCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Shown { folder, is_own, tables, .. } = self.shown.read()?;
        if self.times {
            let times = Times::read(&folder).map_err(Failure::input)?;
            return print(&times.to_markdown(&tables.about, &tables.trials));
        }
        let report = Report::new(&tables.about, &tables.trials, &tables.curves);
        let markdown = report.to_markdown();
        if is_own {
            write_results(&folder, "report.md", &markdown).map_err(Failure::work)?;
        }
        if self.json {
            let text = serde_json::to_string_pretty(&report.to_json()).map_err(Failure::work)?;
            return print(&format!("{text}\n"));
        }
        print(&markdown)
    }
}
