//! What was submitted: `results/<name>/slurm/<number>.json` beside the file of its tasks.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde::{Deserialize, Serialize};

use crate::cli::Failure;
use crate::experiment::Turn;
use crate::files::write_atomically;
use crate::slurm::queue::{self, States, Task};

/// One call of `polarity slurm submit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Submission {
    /// The name of its jobs.
    pub(super) name: String,
    /// The ids of the cells of each task.
    pub(super) tasks: Vec<Vec<String>>,
    /// Its job arrays.
    pub(super) arrays: Vec<Submitted>,
}

/// A job array: `count` tasks from the task `first` on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Submitted {
    pub(super) job: u64,
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Submission {
    /// All submissions of the results folder `results`, the newest last.
    pub(super) fn all(results: &Path) -> anyhow::Result<Vec<(u32, Self)>> {
        let folder = folder(results);
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.map_err(at(&folder))?.path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let strange = || anyhow!("{}: is no submission; move it away", path.display());
            let number = number.ok_or_else(strange)?;
            let text = std::fs::read_to_string(&path).map_err(at(&path))?;
            let one = serde_json::from_str(&text).map_err(|error| {
                anyhow!("{}: cut off or altered ({error}); remove it", path.display())
            })?;
            all.push((number, one));
        }
        all.sort_by_key(|(number, _)| *number);
        Ok(all)
    }

    /// The right to submit to the results folder, which one process has at a time.
    pub(super) fn turn(results: &Path) -> anyhow::Result<Option<Turn>> {
        let folder = folder(results);
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(Turn::wait(&folder.join("submit.lock"), || true)?)
    }

    /// The number of the next submission of the results folder: none that stands there, finished or begun.
    pub(super) fn next_number(results: &Path) -> u32 {
        let files = std::fs::read_dir(folder(results)).into_iter().flatten().flatten();
        let number = |path: PathBuf| path.file_stem()?.to_str()?.parse::<u32>().ok();
        files
            .filter_map(|entry| number(entry.path()))
            .max()
            .map_or(1, |last| last.saturating_add(1))
    }

    /// Keeps it as the submission `number` of the results folder.
    pub(super) fn write(&self, results: &Path, number: u32) -> anyhow::Result<()> {
        let path = folder(results).join(format!("{number}.json"));
        let text = serde_json::to_string_pretty(self)?;
        write_atomically(&path, text.as_bytes()).map_err(at(&path))
    }

    /// That Slurm refused the rest of it, which only the last job is where it has all its arrays.
    pub(super) fn cut_off(&self, error: queue::Error) -> Failure {
        let jobs = self.jobs();
        Failure::Work(match jobs.is_empty() {
            true => error.into(),
            false => anyhow!(
                "{error}; jobs {} are in the queue all the same, without one that writes the tables: `scancel` them, or \
                 once they have ended submit what is left, or say `polarity slurm merge`",
                listed(&jobs)
            ),
        })
    }

    /// The numbers of its arrays.
    pub(super) fn jobs(&self) -> Vec<u64> {
        self.arrays.iter().map(|array| array.job).collect()
    }

    /// The state of the task `index` in the queue; none where it has ended.
    pub(super) fn state<'s>(&self, index: usize, states: &'s States) -> Option<&'s str> {
        let array = self.array(index)?;
        states.get(&(array.job, index - array.first)).map(|task| task.state.as_str())
    }

    /// Whether the task `index` was put into the queue.
    pub(super) fn was_queued(&self, index: usize) -> bool {
        self.array(index).is_some()
    }

    fn array(&self, index: usize) -> Option<&Submitted> {
        let holds = |array: &&Submitted| {
            index.checked_sub(array.first).is_some_and(|place| place < array.count)
        };
        self.arrays.iter().find(holds)
    }

    /// How many of its tasks are in the queue.
    pub(super) fn queued(&self, states: &States) -> usize {
        (0..self.tasks.len()).filter(|index| self.state(*index, states).is_some()).count()
    }
}

/// The jobs in the queue that work for the results folder `results` and that none of its `submissions` notes: whoever
/// submitted them was cut off.
pub(super) fn strays(
    results: &Path,
    submissions: &[(u32, Submission)],
    states: &States,
) -> Vec<u64> {
    let Ok(place) = folder(results).canonicalize() else { return Vec::new() };
    let is_here = |task: &Task| {
        let of_task = task.folder.parent().map(Path::canonicalize);
        of_task.is_some_and(|found| found.is_ok_and(|found| found == place))
    };
    let noted: Vec<u64> =
        submissions.iter().flat_map(|(_, submission)| submission.jobs()).collect();
    let here = states.iter().filter(|(_, task)| is_here(task)).map(|((job, _), _)| *job);
    let mut jobs: Vec<u64> = here.filter(|job| !noted.contains(job)).collect();
    jobs.dedup();
    jobs
}

/// The numbers of `jobs` as `scancel` takes them.
pub(super) fn listed(jobs: &[u64]) -> String {
    let jobs: Vec<String> = jobs.iter().map(u64::to_string).collect();
    jobs.join(" ")
}

/// That cells are finished of which the table has no row.
pub(super) fn not_published(file: &Path) -> String {
    format!(
        "the tables lack some of them: the last job writes them; where it did not, `polarity slurm merge {}` does\n",
        file.display()
    )
}

/// What the system said of the file or folder at `path`.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> anyhow::Error + use<> {
    let path = path.to_owned();
    move |error| anyhow!("{}: {error}", path.display())
}

/// Where submissions are kept.
pub(super) fn folder(results: &Path) -> PathBuf {
    results.join("slurm")
}
