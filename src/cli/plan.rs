//! `polarity plan`: what would run.

use std::time::Duration;

use clap::Args;
use indicatif::HumanDuration;

use super::device::DeviceArg;
use super::{ExperimentArgs, Failure, print};
use crate::experiment::{Basis, Cell, Estimate, Plan, Records, Shape, bundled};
use crate::results::Status;
use crate::train::Rate;

/// Say what an experiment would run; trains nothing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity plan experiments/demo.yaml
  polarity plan experiments/demo.yaml --cells    every cell with its id and state
  polarity plan experiments/demo.yaml --calibrate    what is left, estimated from a few real steps")]
pub(super) struct PlanCommand {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Where it would compute: auto, cpu or cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// List every cell with its id and state
    #[arg(long)]
    cells: bool,
    /// Time a few steps of each shape of cell, and estimate from them what is left
    #[arg(long)]
    calibrate: bool,
}

impl PlanCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let plan = self.experiment.plan(self.device)?;
        let records = Records::read(&plan.results()).map_err(Failure::work)?;
        let mut text = summary(&plan, &records);
        if self.calibrate {
            text += &calibration(&plan, &records)?;
        }
        if self.cells {
            text.extend(plan.all_cells().map(|cell| line(cell, &records)));
        }
        print(&text)
    }
}

fn summary(plan: &Plan, records: &Records) -> String {
    let total = plan.all_cells().count();
    let left = records.unfinished(plan.all_cells());
    let (name, done) = (&plan.experiment().name, total - left.len());
    let mut text = format!("{name}: {total} cells, {done} done, {} left\n", left.len());
    for (arm, spec) in &plan.experiment().arms {
        text += &format!("  {arm}: {}\n", spec.explain());
    }
    let rate = plan.experiment().train.rate;
    for (name, source) in plan.experiment().all_sources() {
        let training = source.train.as_ref();
        text.extend(training.map(|it| format!("source `{name}`: {}\n", it.explain(rate))));
    }
    if rate == Rate::Cosine {
        text += "the learning rate falls along a cosine\n";
    }
    match Estimate::of_finished(plan, records) {
        _ if left.is_empty() => {}
        Some(estimate) => {
            let bundles = bundled(plan, &left);
            let seconds = bundles.iter().map(|bundle| estimate.seconds_of(bundle)).sum();
            text += &said(plan, seconds, estimate.basis);
        }
        None => {
            text +=
                "no cell has run yet, so the time is not known; `--calibrate` times a few steps\n"
        }
    }
    match records.of_other_versions() {
        0 => {}
        passed => text += &format!("cells of other results versions, passed over: {passed}\n"),
    }
    for damage in records.damaged() {
        let path = damage.path.display();
        text += &format!("{path}:{}: damaged; its cell will run again\n", damage.line);
    }
    text
}

/// What is left, from a few steps of each shape of cell.
fn calibration(plan: &Plan, records: &Records) -> Result<String, Failure> {
    let cells = records.unfinished(plan.all_cells());
    let (estimate, shapes) = Estimate::rehearsed(plan, &cells).map_err(Failure::work)?;
    let mut text = String::new();
    for Shape { batch, holds, cells, total } in &shapes {
        let (hold, each) = (if *holds { "held" } else { "free" }, total / *cells as f64);
        text += &format!("  {cells} cells, batches of {batch}, signs {hold}: {each:.1} s a cell\n");
    }
    let seconds = shapes.iter().map(|shape| shape.total).sum();
    Ok(text + &said(plan, seconds, estimate.basis))
}

/// That cells of `seconds` in all are left, and how that is known.
fn said(plan: &Plan, seconds: f64, basis: Basis) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = plan.workers(cores);
    let rest = duration(seconds / workers as f64);
    let basis = match basis {
        Basis::Finished(cells) => format!("from {cells} finished cells"),
        Basis::Rehearsed => "from a few steps that were timed now".into(),
    };
    format!("about {rest} left, {workers} cells at a time; {basis}\n")
}

/// `seconds` in words; what is too long to count is as long as can be counted.
fn duration(seconds: f64) -> HumanDuration {
    HumanDuration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn line(cell: &Cell, records: &Records) -> String {
    let state = match records.ended(cell) {
        None => "left".to_owned(),
        Some(record) => match (&record.reason, record.outcome.status) {
            (Some(reason), Status::Failed) => format!("failed: {reason}"),
            (_, status) => status.name().to_owned(),
        },
    };
    let settings: String =
        cell.key.settings.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{} {}{settings} seed={} {state}\n", cell.id, cell.key.arm, cell.key.seed)
}
