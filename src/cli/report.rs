//! `polarity report`: the results in numbers.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use serde_json::Value;

use super::shown::{Shown, ShownArgs};
use super::{Failure, print, print_bytes};
use crate::experiment::write_results;
use crate::results::claim::{Answer, answers};
use crate::results::report::claims_table;
use crate::results::{Report, Times};

/// Print results with intervals and tests
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity report experiments/demo.yaml           also written to results/demo/report.md
  polarity report experiments/demo.yaml baseline=frozen-random    printed only
  polarity report results/demo                    of a folder of results, without its file; printed only
  polarity report experiments/demo.yaml --json    one JSON object
  polarity report experiments/demo.yaml --times   where the time of the cells went
  polarity report --claims                        the claims of every study in results/
  polarity report --claims results/demo           those of one study, or of several")]
pub(super) struct ReportCommand {
    #[command(flatten)]
    shown: Option<ShownArgs>,
    /// Print one JSON object in place of the table
    #[arg(long)]
    json: bool,
    /// Print the seconds of the cells and of their parts in place of the table
    #[arg(long, conflicts_with = "json")]
    times: bool,
    /// Print only the claims of these studies, by default of all in `results`, as one table
    #[arg(long, num_args = 0.., value_name = "FILE|DIR", exclusive = true)]
    claims: Option<Vec<PathBuf>>,
}

impl ReportCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(shown) = self.shown else { return print(&claims(self.claims.as_deref())?) };
        let Shown { folder, is_own, tables, .. } = shown.read()?;
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
            return print_bytes(format!("{text}\n").as_bytes());
        }
        print(&markdown)
    }
}

/// The claims of the studies at `places`, by default of all folders of `results`, as a table.
fn claims(places: Option<&[PathBuf]>) -> Result<String, Failure> {
    let places = match places {
        None | Some([]) => published(Path::new("results"))?,
        Some(places) => places.to_vec(),
    };
    let mut studies: Vec<(String, Vec<Answer>)> = Vec::new();
    for place in places {
        let Shown { tables, .. } = ShownArgs::of(place).read()?;
        let found = answers(&tables.about, &tables.trials, &tables.curves);
        studies.push((tables.about.name, found));
    }
    Ok(claims_table(&studies))
}

/// The results folders in `folder` that have claims, by name. Others are left alone: they may be of an
/// earlier version.
fn published(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unread = |error| Failure::Input(anyhow!("{}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let manifest = std::fs::read_to_string(path.join("manifest.json")).unwrap_or_default();
        let manifest: Value = serde_json::from_str(&manifest).unwrap_or_default();
        if manifest["experiment"]["claims"].is_array() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
