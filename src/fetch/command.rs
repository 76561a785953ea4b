//! Runs a program of the system quietly, and says in one line why it failed.

use std::io;
use std::process::{Command, Stdio};

/// Runs `command` to its end.
pub(super) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output().map_err(|error| {
        match error.kind() {
            io::ErrorKind::NotFound => format!("`{program}` is not installed"),
            _ => format!("`{program}` cannot be run: {error}"),
        }
    })?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    // Package managers say what is wrong in the last line that is marked as an error, but npm in the
    // first.
    let lines = || complaint.lines().map(str::trim).filter(|line| !line.is_empty());
    let of_npm = |line: &&str| line.starts_with("npm error") || line.starts_with("npm ERR!");
    let marked = lines().rfind(|line| line.starts_with("E:") || line.starts_with("ERROR:"));
    let reason = marked.or(lines().find(of_npm)).or(lines().next_back());
    let reason = reason.unwrap_or("it did not say why");
    Err(format!("`{program}` failed ({}): {reason}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<(), String> {
        run(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_program_that_ends_well_says_nothing() {
        assert_eq!(shell("echo noise; echo noise >&2"), Ok(()));
    }

    #[test]
    fn a_failed_program_is_quoted_where_it_names_the_error() {
        let quoted = "`sh` failed (exit status: 3): E: no such package";
        assert_eq!(
            shell("(echo W: a; echo E: no such package; echo b) >&2; exit 3"),
            Err(quoted.into())
        );
        let first = "`sh` failed (exit status: 1): npm error code E404";
        assert_eq!(
            shell("(echo npm warn a; echo npm error code E404; echo npm error b) >&2; exit 1"),
            Err(first.into())
        );
        let last = "`sh` failed (exit status: 1): second";
        assert_eq!(shell("(echo first; echo second; echo) >&2; exit 1"), Err(last.into()));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(error, "`no-such-program` is not installed");
    }
}
