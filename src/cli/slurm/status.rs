//! `polarity slurm status`: what became of the cells, by our own files and the queue.

use std::collections::HashMap;

use clap::Args;

use super::submission::{Submission, listed, not_published, strays};
use crate::cli::device::DeviceArg;
use crate::cli::{ExperimentArgs, Failure, print};
use crate::experiment::{Cell, Records, is_published};
use crate::slurm::queue::{self, States};

/// Say which cells are done, running, queued, failed and lost
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity slurm status experiments/xor5d.yaml

Done and failed is what the results folder says; running and queued are cells of tasks that `squeue`
has. A cell that was submitted, has not ended and is in no queue is lost: its node died, or the job
was cancelled. `polarity slurm submit` submits failed and lost cells again, and
finished ones never.")]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// What the cells are computed on: auto, cpu or cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
}

/// What became of a cell, in the order in which it is said.
const STATES: [&str; 6] = ["done", "running", "queued", "failed", "lost", "not submitted"];

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let plan = self.experiment.plan_for(self.device.planned(false))?;
        let records = Records::read(&plan.results()).map_err(Failure::work)?;
        let submissions = Submission::all(&plan.results()).map_err(Failure::Work)?;
        let states = match submissions.last() {
            None => States::new(),
            Some((_, newest)) => queue::states(&newest.name).map_err(Failure::work)?,
        };
        let tasks = tasks_of(&submissions);
        let state = |cell: &Cell| match records.ended(cell) {
            Some(record) if record.is_finished() => "done",
            ended => match tasks.get(cell.id.as_str()) {
                None if ended.is_some() => "failed",
                None => "not submitted",
                Some((submission, index)) => match submission.state(*index, &states) {
                    Some("RUNNING" | "COMPLETING") => "running",
                    Some(_) => "queued",
                    None if ended.is_some() => "failed",
                    None => "lost",
                },
            },
        };
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for cell in plan.all_cells() {
            *counts.entry(state(cell)).or_default() += 1;
        }
        let said: Vec<String> = STATES
            .iter()
            .filter_map(|state| Some(format!("{} {state}", counts.get(state)?)))
            .collect();
        let (name, all) = (&plan.experiment().name, plan.all_cells().count());
        let mut text = format!("{name}: {all} cells: {}\n", said.join(", "));
        for (number, submission) in &submissions {
            let (queued, all) = (submission.queued(&states), submission.tasks.len());
            if queued > 0 {
                text += &format!("submission {number}: {queued} of {all} tasks in the queue\n");
            }
        }
        let strays = strays(&plan.results(), &submissions, &states);
        if !strays.is_empty() {
            text += &format!(
                "a submission was cut off before it noted its jobs, and {0} are in the queue: `scancel {0}`, or wait for \
                 them\n",
                listed(&strays)
            );
        }
        let again: usize =
            ["failed", "lost", "not submitted"].iter().filter_map(|state| counts.get(state)).sum();
        if again > 0 {
            let file = self.experiment.file.display();
            text += &format!("{again} cells are to be submitted: `polarity slurm submit {file}`\n");
        }
        if counts.get("done") == Some(&all) && !is_published(&plan) {
            text += &not_published(&self.experiment.file);
        }
        print(&text)
    }
}

/// The newest task of every cell that was submitted.
fn tasks_of(submissions: &[(u32, Submission)]) -> HashMap<&str, (&Submission, usize)> {
    let mut tasks = HashMap::new();
    for (_, submission) in submissions {
        for (index, cells) in submission.tasks.iter().enumerate() {
            if submission.was_queued(index) {
                tasks.extend(cells.iter().map(|id| (id.as_str(), (submission, index))));
            }
        }
    }
    tasks
}
