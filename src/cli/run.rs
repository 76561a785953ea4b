//! `polarity run`: trains what is not finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::anyhow;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use super::device::DeviceArg;
use super::progress::Progress;
use super::say::say;
use super::{ExperimentArgs, Failure};
use crate::experiment::{self, Published, RunError, RunOptions, Shard};

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

Finished cells are never run again; Ctrl-C keeps them.")]
pub(super) struct Run {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Run part I of N of the cells, I from 0 on
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    shard: Shard,
    /// Where to compute: auto, cpu or cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// CPU threads in all; cells run side by side as far as they go [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Compute this cell again although it is finished
    #[arg(long, value_name = "ID")]
    redo: Option<String>,
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (stop, signal) = watch_signals().map_err(Failure::work)?;
        let mut plan = self.experiment.plan(self.device)?;
        let options = RunOptions {
            threads: self.threads.map_or_else(cores, usize::from),
            shard: self.shard,
            redo: self.redo,
        };
        let mut progress = Progress::new();
        let summary =
            experiment::run(&mut plan, &options, &stop, &mut |event| progress.show(event));
        progress.finish();
        let summary = summary.map_err(|error| match error {
            RunError::UnknownCell(_) | RunError::OtherPart { .. } => Failure::input(error),
            other => Failure::work(other),
        })?;
        let table = plan.results().join("trials.csv");
        let table = table.display();
        match summary.published {
            Published::Written { replaced: 0 } => {}
            Published::Written { replaced } => {
                say(&format!(
                    "{table}: {replaced} rows of cells that this experiment does not have were replaced"
                ));
            }
            Published::Kept { rows } => say(&format!(
                "{table}: left as it is, since {rows} of its rows are cells that have not run here; it \
                 is written anew when all have"
            )),
        }
        if summary.interrupted {
            say("stopped; what is finished is kept, and the same command goes on from here");
            return Err(Failure::Signal(signal.load(Ordering::Relaxed) as u8));
        }
        if let Some((id, reason)) = summary.failed.first() {
            let count = summary.failed.len();
            let file = self.experiment.file.display();
            return Err(Failure::Work(anyhow!(
                "{count} cells failed, cell {id} first: {reason}; `polarity run {file}` tries them again"
            )));
        }
        say(&format!("results: {table}"));
        Ok(())
    }
}

/// A flag that INT, TERM, USR1 and USR2 set, and the number of the signal that did. A second signal
/// ends the program at once.
pub(super) fn watch_signals() -> std::io::Result<(Arc<AtomicBool>, Arc<AtomicUsize>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let number = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM, SIGUSR1, SIGUSR2] {
        let exit_code = 128 + signal;
        signal_hook::flag::register_conditional_shutdown(signal, exit_code, stop.clone())?;
        signal_hook::flag::register_usize(signal, number.clone(), signal as usize)?;
        signal_hook::flag::register(signal, stop.clone())?;
    }
    Ok((stop, number))
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
