//! The program `polarity`: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use polarity::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
