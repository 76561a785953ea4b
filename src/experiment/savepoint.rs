//! Jobs under way, kept on disk now and then: what was cut off goes on from there.
//!
//! The state of a job lies in `work/run-<cell>-<step>.safetensors`, under the first of its cells. The newest
//! and the one before stay, so one of them is whole whenever the power fails. What is in it and how a job
//! goes on from it is left to the job.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::tensors;

/// Where jobs are kept, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// The folder, made when it is needed.
    pub(crate) work: PathBuf,
    /// How long a job runs until it is kept again.
    pub(crate) every: Duration,
}

impl Keeping {
    /// Removes what is kept of the job of the cell `id`.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        files_of(&self.work, id)?.into_iter().try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// The cells under which something is kept.
    pub(crate) fn cells(&self) -> Vec<String> {
        let paths = fs::read_dir(&self.work).into_iter().flatten().flatten();
        paths.filter_map(|entry| Some(parse(&entry.path())?.0)).collect()
    }
}

/// What is kept of one job.
#[derive(Debug)]
pub(crate) struct Savepoint {
    keeping: Keeping,
    id: String,
    begun: Instant,
    kept: Instant,
    /// Seconds that earlier runs spent on the job, up to what is kept.
    earlier: f64,
}

/// The state of a job.
#[derive(Debug)]
pub(crate) struct Kept<N> {
    /// Steps done.
    pub(crate) step: u64,
    /// What is no tensor.
    pub(crate) notes: N,
    /// By name.
    pub(crate) tensors: Vec<(String, Tensor)>,
    /// Its file.
    pub(crate) path: PathBuf,
}

/// A file that cannot be gone on from, where it lies now, and why.
#[derive(Debug)]
pub(crate) struct SetAside {
    pub(crate) path: PathBuf,
    pub(crate) why: String,
}

/// The notes of a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes<N> {
    cell: String,
    seconds: f64,
    job: N,
}

impl Savepoint {
    /// That of the job of the cell `id`, which begins now.
    pub(crate) fn new(keeping: &Keeping, id: &str) -> Self {
        let now = Instant::now();
        let (keeping, id) = (keeping.clone(), id.to_owned());
        Savepoint { keeping, id, begun: now, kept: now, earlier: 0.0 }
    }

    /// Seconds spent on the job, by earlier runs too.
    pub(crate) fn seconds(&self) -> f64 {
        self.earlier + self.begun.elapsed().as_secs_f64()
    }

    /// Whether it is time to keep the job.
    pub(crate) fn is_due(&self) -> bool {
        self.kept.elapsed() >= self.keeping.every
    }

    /// The newest state that is whole; what is damaged is set aside, and told to `tell`.
    pub(crate) fn latest<N: DeserializeOwned>(
        &mut self,
        tell: &mut dyn FnMut(SetAside),
    ) -> Option<Kept<N>> {
        for (step, path) in files_of(&self.keeping.work, &self.id).ok()? {
            match tensors::read::<Notes<N>>(&path) {
                Ok((notes, tensors)) if notes.cell == self.id => {
                    self.earlier = notes.seconds;
                    return Some(Kept { step, notes: notes.job, tensors, path });
                }
                Ok((notes, _)) => tell(set_aside(&path, format!("of the cell {}", notes.cell))),
                Err(error) => tell(set_aside(&path, error.to_string())),
            }
        }
        None
    }

    /// Sets a state aside that the job cannot go on from.
    pub(crate) fn refuse(&mut self, path: &Path, why: String) -> SetAside {
        self.earlier = 0.0;
        set_aside(path, why)
    }

    /// Keeps the job as it is after `step` steps; the state before the one before is removed.
    ///
    /// # Errors
    /// When it cannot be written; what was kept before stays.
    pub(crate) fn keep(
        &mut self,
        step: u64,
        job: impl Serialize,
        tensors: &[(String, Tensor)],
    ) -> Result<(), tensors::Error> {
        self.kept = Instant::now();
        let Keeping { work, .. } = &self.keeping;
        fs::create_dir_all(work)?;
        let path = work.join(format!("run-{}-{step}.safetensors", self.id));
        let notes = Notes { cell: self.id.clone(), seconds: self.seconds(), job };
        tensors::write(&path, &notes, tensors)?;
        for (_, old) in files_of(work, &self.id)?.into_iter().skip(2) {
            fs::remove_file(old)?;
        }
        Ok(())
    }
}

/// The files of the job of the cell `id`, by their steps, the newest first.
fn files_of(work: &Path, id: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(work) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some((_, step)) = parse(&path).filter(|(cell, _)| cell == id) {
            files.push((step, path));
        }
    }
    files.sort_by(|a, b| b.cmp(a));
    Ok(files)
}

/// The cell and the step that a file is named by.
fn parse(path: &Path) -> Option<(String, u64)> {
    let name = path.file_name()?.to_str()?;
    let (cell, step) = name.strip_prefix("run-")?.strip_suffix(".safetensors")?.rsplit_once('-')?;
    Some((cell.to_owned(), step.parse().ok()?))
}

/// Renames a file that cannot be gone on from, so that nobody tries it again.
fn set_aside(path: &Path, why: String) -> SetAside {
    let aside = path.with_extension("damaged");
    let path = match fs::rename(path, &aside) {
        Ok(()) => aside,
        Err(_) => path.to_owned(),
    };
    SetAside { path, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeping(folder: &Path) -> Keeping {
        Keeping { work: folder.join("work"), every: Duration::ZERO }
    }

    fn latest(keeping: &Keeping, id: &str) -> (Option<(u64, u32)>, Vec<SetAside>) {
        let mut aside = Vec::new();
        let kept = Savepoint::new(keeping, id).latest::<u32>(&mut |file| aside.push(file));
        (kept.map(|kept| (kept.step, kept.notes)), aside)
    }

    fn keep(keeping: &Keeping, id: &str, step: u64) {
        let tensors = [("weights".to_owned(), Tensor::from_slice(&[step as f32; 100]))];
        Savepoint::new(keeping, id).keep(step, step as u32 * 10, &tensors).unwrap();
    }

    #[test]
    fn the_newest_state_is_gone_on_from_and_the_one_before_stays() {
        let folder = tempfile::tempdir().unwrap();
        let keeping = keeping(folder.path());
        assert_eq!(latest(&keeping, "a").0, None);
        [2, 9, 10].into_iter().for_each(|step| keep(&keeping, "a", step));
        keep(&keeping, "b", 5);
        assert_eq!(latest(&keeping, "a").0, Some((10, 100)));
        let kept = files_of(&keeping.work, "a").unwrap();
        assert_eq!(kept.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [10, 9]);
        keeping.remove("a").unwrap();
        assert_eq!(latest(&keeping, "a").0, None);
        assert_eq!(keeping.cells(), ["b"]);
    }

    #[test]
    fn a_damaged_state_is_named_and_set_aside_and_the_one_before_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let keeping = keeping(folder.path());
        [1, 2].into_iter().for_each(|step| keep(&keeping, "a", step));
        let newest = keeping.work.join("run-a-2.safetensors");
        let bytes = fs::read(&newest).unwrap();
        fs::write(&newest, &bytes[..bytes.len() - 3]).unwrap();
        let (kept, aside) = latest(&keeping, "a");
        assert_eq!(kept, Some((1, 10)));
        assert_eq!(aside[0].path, keeping.work.join("run-a-2.damaged"));
        assert!(aside[0].why.contains("cut off or altered"), "{}", aside[0].why);
        assert!(latest(&keeping, "a").1.is_empty());
    }

    #[test]
    fn the_state_of_another_cell_under_a_wrong_name_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let keeping = keeping(folder.path());
        keep(&keeping, "a", 1);
        let [from, to] = ["a", "b"].map(|id| keeping.work.join(format!("run-{id}-1.safetensors")));
        fs::rename(from, to).unwrap();
        let (kept, aside) = latest(&keeping, "b");
        assert_eq!(kept, None);
        assert_eq!(aside[0].why, "of the cell a");
    }
}
