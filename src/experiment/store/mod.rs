//! The finished cells of an experiment on disk.
//!
//! Cells lie in append-only segments `cells/<writer>.jsonl`: one writer, one file, one line a cell. A
//! writer locks its own segment and no other, so runs with segments of their own never wait for each
//! other, and nobody who reads is in a writer's way. What is damaged in one's own segment is set aside
//! in `<writer>.damaged`, and its cell is computed again.
//!
//! This room knows records only; the tables are made in [`publish`](super::publish).

mod lock;
mod record;
mod records;
mod segment;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use lock::Turn;
pub use record::Record;
pub use records::Records;
pub use segment::Damage;
use segment::Segment;

use crate::experiment::cell::Cell;
use crate::files;

/// Why results could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file cannot be made, read or written.
    #[error("{path}: {source}; mend it, or choose another place with `results=DIR`")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run holds the segment.
    #[error(
        "{path}: another run of this experiment is writing here; wait until it ends, or give each run its part with `--shard i/N`"
    )]
    Locked {
        /// The segment.
        path: PathBuf,
    },
    /// A cell stands in the segments twice, with different results.
    #[error(
        "{folder}: cell {id} has two different results; keep one and remove the other, or compute it again with `--redo {id}`"
    )]
    Contradiction {
        /// The folder of the segments.
        folder: PathBuf,
        /// The cell.
        id: String,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// The results folder of one experiment, open for one writer.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    segment: Segment,
    file: File,
    synced: Instant,
    records: Records,
    set_aside: Vec<Damage>,
    _lock: File,
}

/// Finished cells reach the disk at least this often.
const SYNC_EVERY: Duration = Duration::from_secs(1);

impl Store {
    /// Opens `folder` for the segment `writer`, making it if need be, and reads what is there.
    ///
    /// Damaged lines of that segment are set aside first, and the lines of the cell `redo` in all.
    ///
    /// # Errors
    /// When the folder cannot be written, another run holds a segment that is to be changed, or two
    /// segments contradict each other.
    pub fn open(folder: &Path, writer: &str, redo: Option<&str>) -> Result<Self, Error> {
        let cells = folder.join("cells");
        fs::create_dir_all(&cells).map_err(io_error(&cells))?;
        let segment = Segment { path: cells.join(format!("{writer}.jsonl")) };
        let lock = segment.lock()?;
        let set_aside = segment.set_aside(redo)?;
        if let Some(id) = redo {
            for other in Segment::all(&cells)?.iter().filter(|other| other.path != segment.path) {
                other.take_back(id)?;
            }
        }
        let records = Records::read(folder)?;
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(&segment.path);
        let file = file.map_err(io_error(&segment.path))?;
        let folder = folder.to_owned();
        let synced = Instant::now();
        Ok(Store { folder, segment, file, synced, records, set_aside, _lock: lock })
    }

    /// What the folder held when it was opened or read again, and what was added since.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The damaged lines that were set aside when the folder was opened.
    pub fn set_aside(&self) -> &[Damage] {
        &self.set_aside
    }

    /// The folder for files that may be made again, such as the weights of a trained source; it need not
    /// be there.
    pub(crate) fn work_folder(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// The file of the lock `name`.
    pub(crate) fn lock_file(&self, name: &str) -> PathBuf {
        self.folder.join("cells").join(name).with_extension("lock")
    }

    /// Looks at what other writers have added.
    ///
    /// # Errors
    /// When a segment cannot be read, or two of them contradict each other.
    pub(crate) fn read_again(&mut self) -> Result<(), Error> {
        self.records = Records::read(&self.folder)?;
        Ok(())
    }

    /// Adds the end of `cell`.
    ///
    /// # Errors
    /// When the segment cannot be written, or the same cell is there with another result.
    pub fn append(&mut self, cell: &Cell, record: Record) -> Result<(), Error> {
        let line = record.to_line(&cell.spec);
        if self.records.add(record)? {
            self.file.write_all(line.as_bytes()).map_err(io_error(&self.segment.path))?;
        }
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Brings what was added to the disk.
    ///
    /// # Errors
    /// When the segment cannot be written.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(io_error(&self.segment.path))
    }
}

/// Writes `folder/name`, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let path = folder.join(name);
    files::write_atomically(&path, text.as_bytes()).map_err(io_error(&path))
}
