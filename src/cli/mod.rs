//! The command line: words to and from people, and exit codes.
//!
//! One file a subcommand. What a library user would need is in the other rooms; nothing but this one
//! prints. Results go to stdout, progress and errors to stderr.

mod bench;
mod check;
mod data;
mod device;
mod doctor;
mod failure;
mod plan;
mod plot;
mod progress;
mod reading;
mod report;
mod run;
mod say;
mod shown;
mod slurm;
mod template;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use tch::Device;

pub use failure::Failure;

use crate::experiment::{Checked, Experiment, Plan};
use crate::fetch;

/// Train networks whose weights keep their sign, and transfer only the signs.
#[derive(Debug, Parser)]
#[command(name = "polarity", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  polarity data fetch fashion-mnist            get a data set
  polarity run experiments/demo.yaml           train what is not done yet
  polarity run experiments/demo.yaml seeds=0..2 train.batch=50 results=/tmp/try
  polarity report experiments/demo.yaml        the table
  polarity plot experiments/demo.yaml          the figures
  polarity verify experiments/demo.yaml        three published cells, computed again and compared
  polarity template info alexnet-imagenet      what a template holds
  polarity check model.pth alexnet-imagenet    whether a checkpoint keeps its signs

Exit codes: 0 done, 1 failed while working, 2 the input was wrong, 128 + n stopped by signal n.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Train what an experiment has not finished yet, and rewrite its tables
    Run(run::Run),
    /// Say what an experiment would run; trains nothing
    Plan(plan::PlanCommand),
    /// Draw the figures of an experiment from its tables
    Plot(plot::Plot),
    /// Print the results of an experiment with intervals and tests
    Report(report::ReportCommand),
    /// Recompute some of the published cells of an experiment, and compare them bit for bit
    Verify(verify::VerifyCommand),
    /// Make and inspect templates, the sign masks of a network
    #[command(subcommand)]
    Template(template::TemplateCommand),
    /// Check that a checkpoint keeps every sign of a template
    Check(check::Check),
    /// Get and list data sets and source weights
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Run an experiment on a Slurm cluster
    #[command(subcommand)]
    Slurm(slurm::SlurmCommand),
    /// Measure the optimizers and a training step beside libtorch's own
    Bench(bench::BenchCommand),
    /// Check libtorch, devices and data, and say how to mend what is missing
    Doctor,
}

impl Cli {
    /// Does what the command line asks.
    ///
    /// # Errors
    /// When it could not; the failure knows its exit code.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Run(command) => command.run(),
            Command::Plan(command) => command.run(),
            Command::Plot(command) => command.run(),
            Command::Report(command) => command.run(),
            Command::Verify(command) => command.run(),
            Command::Template(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Data(command) => command.run(),
            Command::Slurm(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Doctor => doctor::run(),
        }
    }
}

/// An experiment file and changes to it, which most subcommands take.
#[derive(Debug, Args)]
struct ExperimentArgs {
    /// The experiment, a YAML file
    file: PathBuf,
    /// Values to use in place of the file's, for example `train.batch=50` or `seeds=0..3`
    #[arg(value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
}

impl ExperimentArgs {
    fn plan(&self, device: device::DeviceArg) -> Result<Plan, Failure> {
        self.plan_for(device.resolve()?)
    }

    /// The plan for a device that need not be here.
    fn plan_for(&self, device: Device) -> Result<Plan, Failure> {
        let experiment = load(&self.file, &self.overrides)?;
        let checked = Checked::new(experiment, &self.file).map_err(Failure::input)?;
        let cache = match checked.needs_cache() {
            true => fetch::cache_dir().map_err(Failure::input)?,
            false => PathBuf::new(),
        };
        let plan = Plan::new(checked, &self.file, device, &cache).map_err(Failure::input)?;
        for note in plan.notes() {
            say::say(&format!("{}: {note}", self.file.display()));
        }
        Ok(plan)
    }
}

fn load(file: &Path, overrides: &[String]) -> Result<Experiment, Failure> {
    Experiment::load(file, overrides).map_err(Failure::input)
}

/// Writes words to stdout; a reader that has left is no failure.
fn print(text: &str) -> Result<(), Failure> {
    print_bytes(say::plain(text).as_bytes())
}

/// The same for what is for programs, as it is.
fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Work(anyhow::anyhow!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}
