//! `polarity slurm`: a grid as a Slurm job array, and what became of it.

mod merge;
mod status;
mod submission;
mod submit;
mod work;

use clap::Subcommand;

use super::Failure;

#[derive(Debug, Subcommand)]
pub(super) enum SlurmCommand {
    /// Submit what an experiment has not finished yet as a job array
    Submit(Box<submit::Submit>),
    /// Say which cells are done, running, queued, failed and lost
    Status(status::Status),
    /// Write the tables of what there is, and say what is missing
    Merge(merge::Merge),
}

impl SlurmCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            SlurmCommand::Submit(command) => command.run(),
            SlurmCommand::Status(command) => command.run(),
            SlurmCommand::Merge(command) => command.run(),
        }
    }
}
