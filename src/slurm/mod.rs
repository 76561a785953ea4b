//! A grid as a Slurm job array: Slurm schedules, and our cells make it safe.
//!
//! Cells are independent, named by what they compute, and kept while they are under way, so a task may start
//! twice, die with its node or be put back into the queue at any time: what is done is what the results
//! folder says, never what an accounting database says. A script is a pure function of what is to run; Slurm's own
//! programs are called in [`queue`] alone. Which cells are left and how long they take is for others to say.

pub mod queue;
mod script;
mod settings;
mod time;

pub use script::{Array, Closing, Command};
pub use settings::{Settings, SettingsError};
pub use time::Walltime;
