//! `polarity verify`: published numbers, recomputed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use indicatif::HumanDuration;
use serde_json::{Map, Value, json};

use super::device::DeviceArg;
use super::progress::Progress;
use super::run::{cores, watch_signals};
use super::say::say;
use super::{ExperimentArgs, Failure, print, print_bytes};
use crate::experiment;
use crate::experiment::Plan;
use crate::experiment::verify::{
    Check, Difference, Event, Options, Stated, TOLERANCE, Verdict, verify,
};
use crate::results::table::Trial;

/// Differences of a row that its line names; the JSON form has all.
const NAMED: usize = 3;

/// Recompute some of the published cells of an experiment, and compare them bit for bit
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity verify experiments/demo.yaml                  three finished cells of results/demo
  polarity verify experiments/demo.yaml --cells 30 --seed 1
  polarity verify experiments/demo.yaml results=/tmp/theirs    of tables that lie elsewhere
  polarity verify experiments/knowledge.yaml --cells 1 --json

What is published is enough: trials.csv, curves.csv and manifest.json. The file says how each cell is
computed; sources that a chosen cell takes from are trained again. Nothing is written.

On the same CPU and libtorch every value has to be the same, to the last bit. Elsewhere sums round
differently and training amplifies it: what differs is said, and values are held to a tolerance.

Exit codes: 0 no cell is different, 1 one is, 2 the tables are not of this experiment.")]
pub(super) struct VerifyCommand {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// How many finished cells to recompute
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    cells: u32,
    /// The seed that chooses them: the same seed, the same cells
    #[arg(long, value_name = "SEED", default_value = "0")]
    seed: u64,
    /// Where to compute: auto, cpu or cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// CPU threads in all; cells are computed side by side as far as they go [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print one JSON object in place of lines
    #[arg(long)]
    json: bool,
}

impl VerifyCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (stop, signal) = watch_signals().map_err(Failure::work)?;
        let mut plan = self.experiment.plan(self.device)?;
        let stated = Stated::read(&plan).map_err(Failure::input)?;
        let options = Options {
            cells: self.cells as usize,
            seed: self.seed,
            threads: self.threads.map_or_else(cores, usize::from),
        };
        let mut progress = Progress::new();
        let checks =
            verify(&mut plan, &stated, &options, &stop, &mut |event| show(&mut progress, event));
        progress.finish();
        let Some(checks) = checks else {
            return Err(Failure::Signal(signal.load(Ordering::Relaxed) as u8));
        };
        match self.json {
            true => print_bytes(
                format!("{:#}\n", object(&plan, &stated, &options, &checks)).as_bytes(),
            )?,
            false => print(&lines(&plan, &stated, &checks))?,
        }
        let bad: Vec<&Check> = checks.iter().filter(|check| !check.verdict.is_good()).collect();
        match bad.first() {
            None => Ok(()),
            Some(first) => Err(Failure::Work(anyhow!(
                "{} of {} cells are not what is published, cell {} first",
                bad.len(),
                checks.len(),
                first.published.key.id
            ))),
        }
    }
}

fn show(progress: &mut Progress, event: Event) {
    match event {
        Event::Sources { count, seconds } => {
            let time = seconds.map_or(String::new(), |seconds| {
                format!(", about {}", HumanDuration(Duration::from_secs_f64(seconds)))
            });
            let sources = if count == 1 { "1 source is" } else { &format!("{count} sources are") };
            say(&format!("{sources} trained first, in memory{time}"));
        }
        Event::Cells { chosen, finished } => {
            say(&format!("{chosen} of {finished} finished cells, computed again"));
            progress.expect(chosen);
        }
        Event::Step { cell, progress: at } => {
            progress.show(experiment::Event::Step { cell, progress: at });
        }
        Event::End(cell) => progress.count(cell),
    }
}

/// A line a cell, and what they come to.
fn lines(plan: &Plan, stated: &Stated, checks: &[Check]) -> String {
    let mut text = format!("here: {}\nthere: {}\n", stated.here(), stated.there());
    for check in checks {
        text += &format!("  {}: {}: {}\n", check.published.key, errors(check), said(check));
    }
    let count = |verdict: &Verdict| checks.iter().filter(|check| check.verdict == *verdict).count();
    let (near, identical) = (count(&Verdict::WithinTolerance), count(&Verdict::Identical));
    let different = checks.len() - near - identical;
    let name = &plan.experiment().name;
    text += &format!("{name}: {} cells, {different} different", checks.len());
    if near > 0 {
        text += &format!(
            "; {identical} identical, {near} within the tolerance, because {}\ntolerance: {TOLERANCE}",
            stated.reasons().join(", and ")
        );
    }
    text += &match plan.all_cells().count() - stated.cells() {
        0 => String::new(),
        missing => format!("\nnot looked at: {missing} cells that have no row"),
    };
    text += &match stated.failed() {
        0 => String::new(),
        failed => format!(
            "\nnot looked at: {failed} rows of cells that failed; `polarity run` computes them again"
        ),
    };
    text + "\n"
}

/// The test errors of a row, published and here.
fn errors(check: &Check) -> String {
    let error = |trial: &Trial| match trial.outcome.test_error {
        Some(error) => format!("{:.2} %", 100.0 * error.value()),
        None => trial.outcome.status.name().to_owned(),
    };
    let published = error(&check.published);
    match &check.computed {
        Some(computed) => format!("test error {published} published, {} here", error(computed)),
        None => format!("test error {published} published"),
    }
}

fn said(check: &Check) -> String {
    match &check.verdict {
        Verdict::Identical => "identical".into(),
        Verdict::WithinTolerance => format!("within the tolerance ({})", named(&check.differences)),
        Verdict::Different => {
            let large = check.differences.iter().filter(|one| !one.is_small());
            let first: Vec<Difference> = large.cloned().collect();
            let differences = if first.is_empty() { &check.differences } else { &first };
            format!("different ({})", named(differences))
        }
        Verdict::NotComputed(why) => format!("not computed: {why}"),
    }
}

/// The first few of `differences`, and how many more there are.
fn named(differences: &[Difference]) -> String {
    let one = |it: &Difference| {
        let text =
            |value: &str| if value.is_empty() { "nothing".to_owned() } else { value.to_owned() };
        format!("{} {} published, {} here", it.of, text(&it.published), text(&it.computed))
    };
    let mut parts: Vec<String> = differences.iter().take(NAMED).map(one).collect();
    if differences.len() > NAMED {
        parts.push(format!("{} more values", differences.len() - NAMED));
    }
    parts.join("; ")
}

fn object(plan: &Plan, stated: &Stated, options: &Options, checks: &[Check]) -> Value {
    let different = checks.iter().filter(|check| !check.verdict.is_good()).count();
    json!({
        "name": plan.experiment().name,
        "seed": options.seed,
        "here": stated.here(),
        "there": stated.there(),
        "may_differ": stated.may_differ(),
        "reasons": stated.reasons(),
        "tolerance": TOLERANCE,
        "cells": checks.iter().map(cell).collect::<Vec<_>>(),
        "different": different,
    })
}

fn cell(check: &Check) -> Value {
    let key = &check.published.key;
    let mut object = Map::new();
    object.insert("id".into(), json!(key.id));
    object.insert("arm".into(), json!(key.arm));
    object.extend(key.settings.iter().map(|(name, value)| (name.clone(), json!(value))));
    object.insert("seed".into(), json!(key.seed));
    let error = |trial: &Trial| trial.outcome.test_error.map(|error| error.value());
    object.insert("published_test_error".into(), json!(error(&check.published)));
    object.insert("test_error".into(), json!(check.computed.as_ref().and_then(error)));
    let (verdict, why) = match &check.verdict {
        Verdict::Identical => ("identical", None),
        Verdict::WithinTolerance => ("within tolerance", None),
        Verdict::Different => ("different", None),
        Verdict::NotComputed(why) => ("not computed", Some(why)),
    };
    object.insert("verdict".into(), json!(verdict));
    object.extend(why.map(|why| ("why".to_owned(), json!(why))));
    let difference = |it: &Difference| json!({"of": it.of, "published": it.published, "computed": it.computed, "is_small": it.is_small()});
    let differences: Vec<Value> = check.differences.iter().map(difference).collect();
    object.insert("differences".into(), json!(differences));
    Value::Object(object)
}
