//! The program `polarity`: parse, dispatch, exit code.

use clap::Parser;
use polarity::cli::Cli;

fn main() {
    let code = match Cli::parse().run() {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    };
    // All is written and dropped by now. Taking down libtorch's tables one by one, which a return would
    // do, takes longer than most commands.
    signal_hook::low_level::exit(code.into())
}
