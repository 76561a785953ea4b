//! The finished cells of an experiment on disk.
//!
//! Cells lie in append-only segments `cells/<writer>.jsonl`: one writer, one file, one line a cell. A
//! writer locks its own segment and no other, so runs with segments of their own never wait for each
//! other, and nobody who reads is in a writer's way. What is damaged in one's own segment is set aside
//! in `<writer>.damaged`, and its cell is computed again.
//!
//! This room knows records only; the tables are made in [`publish`](super::publish).

mod contradiction;
mod lock;
mod record;
mod records;
mod segment;
mod writer;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use contradiction::Contradiction;
pub(crate) use lock::Turn;
pub use record::Record;
pub use records::Records;
pub use segment::Damage;
use segment::Segment;
use writer::Writer;

use crate::experiment::cell::Cell;
use crate::files;

/// Why results could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file cannot be made, read or written.
    #[error("{path}: {source}; {}, or choose another place with `results=DIR`", remedy(source))]
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
    /// The file system knows no locks, so nothing would keep two runs apart.
    #[error(
        "{path}: {source}: this file system knows no locks, and without them two runs would write into each \
         other's lines; choose a place that has them with `results=DIR`, a local disk for example, and copy \
         `cells/` afterwards"
    )]
    NoLocks {
        /// The file that could not be locked.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A segment is no longer where its writer opened it.
    #[error(
        "{path}: is no longer the file that this run writes; its folder was moved, removed or unmounted. What \
         is finished is where it went; put it back and run again"
    )]
    Gone {
        /// The segment.
        path: PathBuf,
    },
    /// A cell stands in the segments twice, with different results.
    #[error("{0}")]
    Contradiction(Box<Contradiction>),
}

/// How to mend what `error` says.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "what is finished is kept; make room and give the same command again"
        }
        _ => "mend it",
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// The results folder of one experiment, open for one writer.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    writer: Writer,
    records: Records,
    set_aside: Vec<Damage>,
    _lock: File,
}

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
        let writer = Writer::open(&segment.path)?;
        Ok(Store { folder: folder.to_owned(), writer, records, set_aside, _lock: lock })
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
        if self.records.is_new(&record)? {
            self.writer.add(&record.to_line(&cell.spec))?;
            self.records.keep(record);
        }
        Ok(())
    }

    /// Gives the segment up; says whether another one that `counts`, by its name, is being written.
    ///
    /// # Errors
    /// When the segments cannot be listed, or the file system knows no locks.
    pub(crate) fn leave_to_others(self, counts: impl Fn(&str) -> bool) -> Result<bool, Error> {
        let cells = self.folder.join("cells");
        drop(self);
        for segment in Segment::all(&cells)? {
            if counts(&segment.writer()) && segment.is_held()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Brings what was added to the disk.
    ///
    /// # Errors
    /// When the segment cannot be written.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.writer.sync()
    }
}

/// A file of the results folder, on the disk under a name of its own; see [`files::Staged`].
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    staged: files::Staged,
}

impl Staged {
    /// Writes `text`, which is meant for `folder/name`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn new(folder: &Path, name: &str, text: &str) -> Result<Self, Error> {
        let path = folder.join(name);
        let staged = files::Staged::new(&path, text.as_bytes()).map_err(io_error(&path))?;
        Ok(Staged { path, staged })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn commit(self) -> Result<(), Error> {
        self.staged.commit().map_err(io_error(&self.path))
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
