//! Slurm's own programs: what is in the queue, and putting something into it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Why Slurm could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not there.
    #[error(
        "`{0}` is not on the PATH: is this a login node of a Slurm cluster? `module load slurm` may bring it"
    )]
    Missing(&'static str),
    /// A program could not be run.
    #[error("{program}: {source}")]
    Io {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program refused.
    #[error("{program} refused: {said}")]
    Refused {
        /// The program.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// A program said something else than expected.
    #[error("{program} said `{said}`, which is not understood")]
    Unread {
        /// The program.
        program: &'static str,
        /// What it said.
        said: String,
    },
}

/// What tasks of arrays are doing, by array and task.
pub type States = BTreeMap<(u64, usize), Task>;

/// A task in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// `PENDING`, `RUNNING` and the like.
    pub state: String,
    /// The folder that it works in, by which it is known whose it is.
    pub folder: PathBuf,
}

/// Arrays that Slurm allows no more tasks in than this, where it does not say.
const USUAL_ARRAY_SIZE: usize = 1001;

/// How many tasks one array may have.
///
/// # Errors
/// When Slurm cannot be asked.
pub fn largest_array() -> Result<usize, Error> {
    let said = ask("scontrol", &["show", "config"], "")?;
    let size = said.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "MaxArraySize").then(|| value.trim().parse().ok())?
    });
    Ok(size.unwrap_or(USUAL_ARRAY_SIZE).max(1))
}

/// Whether every node of the cluster is this machine, which shares all its folders with itself.
pub fn is_one_machine() -> bool {
    let is_here = |address: &str| address == "localhost" || address.starts_with("127.");
    let said = ask("sinfo", &["--noheader", "--Node", "--format=%o"], "");
    said.is_ok_and(|said| !said.is_empty() && said.lines().all(|line| is_here(line.trim())))
}

/// Whether the cluster would take `script`.
///
/// # Errors
/// When it would not, with its reason, a partition that is not there for example.
pub fn would_take(script: &str) -> Result<(), Error> {
    ask("sbatch", &["--test-only"], script).map(drop)
}

/// Puts `script` into the queue once all jobs of `after` have ended, however they did; gives back its number.
///
/// # Errors
/// When the cluster refuses it.
pub fn submit(script: &str, after: &[u64]) -> Result<u64, Error> {
    let mut arguments = vec!["--parsable".to_owned()];
    if !after.is_empty() {
        let after: Vec<String> = after.iter().map(|job| format!(":{job}")).collect();
        arguments.push(format!("--dependency=afterany{}", after.concat()));
        arguments.push("--kill-on-invalid-dep=yes".into());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = ask("sbatch", &arguments, script)?;
    // With several clusters it is NUMBER;CLUSTER.
    let number = said.trim().split(';').next().and_then(|number| number.parse().ok());
    number.ok_or(Error::Unread { program: "sbatch", said })
}

/// What the tasks of all jobs of the name `name` are doing now, of whatever results folder and user; those that have
/// ended are not there.
///
/// # Errors
/// When Slurm cannot be asked.
pub fn states(name: &str) -> Result<States, Error> {
    let arguments = ["--noheader", "--array", "--format=%F %K %T %Z", &format!("--name={name}")];
    parse(&ask("squeue", &arguments, "")?)
}

fn parse(said: &str) -> Result<States, Error> {
    let mut states = States::new();
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        let unread = || Error::Unread { program: "squeue", said: line.into() };
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [job, task, state, folder] = words[..] else { return Err(unread()) };
        // A job that is no array has no task.
        let task = if task == "N/A" { "0" } else { task };
        let (job, task) = (job.parse(), task.parse());
        let what = Task { state: state.into(), folder: folder.into() };
        states.insert((job.map_err(|_| unread())?, task.map_err(|_| unread())?), what);
    }
    Ok(states)
}

/// What `program` says on stdout, with `input` on its stdin.
fn ask(program: &'static str, arguments: &[&str], input: &str) -> Result<String, Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Error::Missing(program),
        _ => Error::Io { program, source },
    };
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        // A user's own way to look at the queue would hide tasks of it.
        if name.to_string_lossy().starts_with("SQUEUE_") {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read what it was given says why itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(Error::Refused {
            program,
            said: match text(&output.stderr) {
                nothing if nothing.is_empty() => output.status.to_string(),
                said => said,
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_read_task_by_task() {
        let states = parse("12 0 RUNNING /a\n12 3 PENDING /a b\n\n13 N/A PENDING /\n").unwrap();
        let of = |job, task| states.get(&(job, task)).map(|task| task.state.as_str());
        assert_eq!(of(12, 0), Some("RUNNING"));
        assert_eq!((of(12, 3), of(13, 0), of(12, 1)), (Some("PENDING"), Some("PENDING"), None));
        assert_eq!(states[&(12, 3)].folder, PathBuf::from("/a b"));
        for wrong in ["12 x RUNNING /a", "12 0 RUNNING", "12 RUNNING"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
