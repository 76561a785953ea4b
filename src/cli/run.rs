//! `polarity run`: trains what is not finished.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use super::device::DeviceArg;
use super::progress::Progress;
use super::say::say;
use super::{ExperimentArgs, Failure};
use crate::experiment::{self, Part, Published, RunError, RunOptions, Shard, Task};

/// Train what an experiment has not finished yet, and rewrite its tables
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity run experiments/demo.yaml
  polarity run experiments/demo.yaml seeds=0..2 train.batch=50 results=/tmp/try
  polarity run experiments/demo.yaml --shard 0/4     one of four parts, for one of four machines
  polarity run experiments/xor5d-epsilon.yaml 'arms.\"frozen-0.001\".reset=flip'

KEY.PATH=VALUE replaces a value of the file or adds one: keys with dots between them, and a YAML
value, or nothing for `null`. A key that has dots itself stands in double quotes, which single ones
keep from the shell. A list is replaced as a whole.

Finished cells are never run again. A cell that is cut off goes on from where it was kept last: on
INT (Ctrl-C), TERM, USR1 and USR2 at once, else every ten minutes. A second Ctrl-C ends at once.")]
pub(super) struct Run {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Run part I of N of the cells, I from 0 on; parts cost about the same
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    shard: Shard,
    /// Run the cells of line N of a file, from 0 on, as `polarity slurm submit` writes it
    #[arg(long, value_name = "FILE:N", value_parser = task, conflicts_with_all = ["shard", "redo"])]
    task: Option<(PathBuf, usize)>,
    /// Where to compute: auto, cpu or cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// CPU threads in all; cells run side by side as far as they go [default: all cores, or
    /// SLURM_CPUS_PER_TASK]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Minutes that a cell trains until it is kept, to go on from there if it is cut off; 0: every step
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0, value_parser = minutes)]
    checkpoint_every: f64,
    /// Compute this cell again although it is finished
    #[arg(long, value_name = "ID")]
    redo: Option<String>,
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (stop, signal) = watch_signals().map_err(Failure::work)?;
        let part = match &self.task {
            Some((file, line)) => Part::Task(Task::read(file, *line).map_err(Failure::input)?),
            None => Part::Shard(self.shard),
        };
        let mut plan = self.experiment.plan(self.device)?;
        let options = RunOptions {
            threads: self.threads.map_or_else(cores, usize::from),
            part,
            redo: self.redo,
            keep_every: Duration::from_secs_f64(60.0 * self.checkpoint_every),
        };
        let mut progress = Progress::new();
        let summary =
            experiment::run(&mut plan, &options, &stop, &mut |event| progress.show(event));
        progress.finish();
        let summary = summary.map_err(|error| match error {
            RunError::UnknownCell(_)
            | RunError::OtherPart { .. }
            | RunError::UnknownTask { .. } => Failure::input(error),
            other => Failure::work(other),
        })?;
        let table = plan.results().join("trials.csv");
        let table = table.display();
        match summary.published {
            None | Some(Published::Written { replaced: 0 }) => {}
            Some(Published::Written { replaced }) => {
                say(&format!(
                    "{table}: {replaced} rows of cells that this experiment does not have were replaced"
                ));
            }
            Some(Published::Kept { rows }) => say(&format!(
                "{table}: left as it is, since {rows} of its rows are cells that have not run here; it \
                 is written anew when all have"
            )),
        }
        if summary.interrupted {
            say(
                "stopped; what is finished and what was under way is kept, and the same command goes on from here",
            );
            return Err(Failure::Signal(signal.load(Ordering::Relaxed) as u8));
        }
        if let Some((id, reason)) = summary.failed.first() {
            let count = summary.failed.len();
            let file = self.experiment.file.display();
            return Err(Failure::Work(anyhow!(
                "{count} cells failed, cell {id} first: {reason}; `polarity run {file}` tries them again"
            )));
        }
        say(&match summary.published {
            Some(_) => format!("results: {table}"),
            None if self.task.is_some() => {
                "all cells of the task are finished; `polarity slurm merge` writes the tables"
                    .into()
            }
            None => format!(
                "all cells of part {} are finished; the last part that ends writes the tables",
                self.shard
            ),
        });
        Ok(())
    }
}

/// A flag that INT, TERM, USR1 and USR2 set, and the number of the signal that did. A second INT
/// ends the program at once; a second TERM does not, since Slurm sends it to a task's shell, which sends it on, and to the
/// program as well.
pub(super) fn watch_signals() -> std::io::Result<(Arc<AtomicBool>, Arc<AtomicUsize>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let number = Arc::new(AtomicUsize::new(0));
    signal_hook::flag::register_conditional_shutdown(SIGINT, 128 + SIGINT, stop.clone())?;
    for signal in [SIGINT, SIGTERM, SIGUSR1, SIGUSR2] {
        signal_hook::flag::register_usize(signal, number.clone(), signal as usize)?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok((stop, number))
}

fn task(text: &str) -> Result<(PathBuf, usize), String> {
    let parts =
        text.rsplit_once(':').and_then(|(file, line)| Some((file.into(), line.parse().ok()?)));
    parts.ok_or_else(|| "expected FILE:N with N from 0 on, for example tasks/1.txt:7".into())
}

fn minutes(text: &str) -> Result<f64, String> {
    const MOST: f64 = 60.0 * 24.0 * 365.0;
    let minutes = text.parse().ok().filter(|minutes| (0.0..=MOST).contains(minutes));
    minutes.ok_or_else(|| format!("expected minutes from 0 to {MOST}, a year"))
}

/// The cores that this process may use: those that Slurm gave it, where it says so.
pub(super) fn cores() -> usize {
    let given = std::env::var("SLURM_CPUS_PER_TASK").ok().and_then(|cores| cores.parse().ok());
    given.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}
