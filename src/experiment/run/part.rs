//! Which cells a run computes.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Error;
use super::shard::Shard;
use crate::experiment::plan::Plan;

/// Which cells a run computes.
#[derive(Clone, Debug)]
pub enum Part {
    /// A share of all cells, by what they cost.
    Shard(Shard),
    /// The cells of a list.
    Task(Task),
}

/// A list of cells, sources among them: a line of a file, their ids with spaces between.
#[derive(Clone, Debug)]
pub struct Task {
    /// The name of the file without its ending, and the line from 0 on.
    name: (String, usize),
    ids: HashSet<String>,
}

/// Why there is no task.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The file cannot be read.
    #[error("{path}: {what}; is the folder shared by this machine?")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        what: String,
    },
    /// The file has no such line.
    #[error("{path}: has {tasks} tasks, counted from 0, and no task {line}")]
    NoLine {
        /// The file.
        path: PathBuf,
        /// The line that was asked for.
        line: usize,
        /// How many lines it has.
        tasks: usize,
    },
}

impl Task {
    /// The task of the line `line` of the file at `path`, from 0 on.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(path: &Path, line: usize) -> Result<Self, TaskError> {
        let text = fs::read_to_string(path).map_err(|error| TaskError::Unreadable {
            path: path.to_owned(),
            what: error.to_string(),
        })?;
        let found = text.lines().nth(line).ok_or_else(|| TaskError::NoLine {
            path: path.to_owned(),
            line,
            tasks: text.lines().count(),
        })?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let ids = found.split_whitespace().map(str::to_owned).collect();
        Ok(Task { name: (stem, line), ids })
    }
}

impl Part {
    /// The name of the segment that this part's run writes.
    pub(super) fn writer(&self) -> String {
        match self {
            Part::Shard(shard) => shard.writer(),
            Part::Task(Task { name: (file, line), .. }) => format!("task-{file}-{line}"),
        }
    }

    /// # Errors
    /// When a task names what is no cell of `plan`, or nothing.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), Error> {
        let Part::Task(Task { name: (file, line), ids }) = self else { return Ok(()) };
        let known: HashSet<&str> = plan.all_cells().map(|cell| cell.id.as_str()).collect();
        let mut unknown: Vec<&String> =
            ids.iter().filter(|id| !known.contains(id.as_str())).collect();
        unknown.sort();
        let id = match unknown.first() {
            None if !ids.is_empty() => return Ok(()),
            first => first.map_or_else(String::new, |id| id.to_string()),
        };
        Err(Error::UnknownTask { task: format!("{file}:{line}"), id })
    }

    /// The ids of the cells of `plan` that are of this part, sources that it names among them; none where
    /// all are.
    pub(super) fn ids(&self, plan: &Plan) -> Option<HashSet<String>> {
        match self {
            Part::Shard(Shard::WHOLE) => None,
            Part::Shard(shard) => Some(shard.part(plan)),
            Part::Task(task) => Some(task.ids.clone()),
        }
    }
}
