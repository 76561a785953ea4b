//! How a command failed, and the exit code that says so.

use super::say::say;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The user's input was wrong: exit code 2.
    Input(anyhow::Error),
    /// Something failed while working: exit code 1.
    Work(anyhow::Error),
    /// A signal of this number stopped it, and its state is saved: exit code 128 + the number.
    Signal(u8),
}

impl Failure {
    pub(super) fn input(error: impl Into<anyhow::Error>) -> Self {
        Failure::Input(error.into())
    }

    pub(super) fn work(error: impl Into<anyhow::Error>) -> Self {
        Failure::Work(error.into())
    }

    /// Says on stderr what happened, and gives back the exit code.
    pub fn report(self) -> u8 {
        let (error, code) = match self {
            Failure::Input(error) => (error, 2),
            Failure::Work(error) => (error, 1),
            Failure::Signal(number) => return 128 + number,
        };
        say(&format!("polarity: {error}"));
        code
    }
}
