//! One file of finished cells: one writer, one line a cell, only ever added to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::record::{Line, Record};
use super::{Error, io_error, lock};
use crate::files;

/// How long a writer waits for its segment, which others hold only to mend it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A line of a segment that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub path: PathBuf,
    /// The line, from 1 on.
    pub line: usize,
}

/// One file of finished cells.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
}

impl Segment {
    /// The segments in `folder`, in name order.
    pub(super) fn all(folder: &Path) -> Result<Vec<Segment>, Error> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io_error(folder))?,
        };
        let mut segments = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                segments.push(Segment { path });
            }
        }
        segments.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(segments)
    }

    /// The name of its one writer.
    pub(super) fn writer(&self) -> String {
        self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether a run holds it now.
    ///
    /// # Errors
    /// When its lock cannot be asked.
    pub(super) fn is_held(&self) -> Result<bool, Error> {
        lock::is_held(&self.path.with_extension("lock"))
    }

    /// Takes the segment for oneself, as long as the file given back lives. The lock is a file of its
    /// own, because a segment that is mended is replaced.
    ///
    /// # Errors
    /// When another run writes it.
    pub(super) fn lock(&self) -> Result<File, Error> {
        let path = self.path.with_extension("lock");
        let start = Instant::now();
        let file = lock::locked(&path, || start.elapsed() < PATIENCE)?;
        file.ok_or_else(|| Error::Locked { path: self.path.clone() })
    }

    /// Hands every whole line to `take`, with its number from 1 on; a last line without an end is left
    /// out.
    ///
    /// # Errors
    /// When the segment cannot be read, or what `take` says.
    pub(super) fn each_line(
        &self,
        mut take: impl FnMut(usize, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let bytes = fs::read(&self.path).map_err(io_error(&self.path))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n');
        for (index, line) in lines.enumerate() {
            take(index + 1, line)?;
        }
        Ok(())
    }

    /// Moves damaged lines, an unfinished last one among them, and the lines of the cell `redo` to
    /// `<segment>.damaged`; gives back which were damaged. For the holder of the lock.
    pub(super) fn set_aside(&self, redo: Option<&str>) -> Result<Vec<Damage>, Error> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            bytes => bytes.map_err(io_error(&self.path))?,
        };
        let (mut kept, mut aside, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let found = Line::of(line);
            let is_damaged = matches!(found, Line::Damaged);
            if !is_damaged && !redo.is_some_and(|id| found.is_of(id)) {
                kept.extend_from_slice(line);
                continue;
            }
            if is_damaged {
                damaged.push(Damage { path: self.path.clone(), line: index + 1 });
            }
            aside.extend_from_slice(line.trim_ascii_end());
            aside.push(b'\n');
        }
        if aside.is_empty() {
            return Ok(damaged);
        }
        let path = self.path.with_extension("damaged");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let mut file = file.map_err(io_error(&path))?;
        // What was set aside is on the disk before the segment is without it.
        file.write_all(&aside).and_then(|()| file.sync_all()).map_err(io_error(&path))?;
        files::write_atomically(&self.path, &kept).map_err(io_error(&self.path))?;
        Ok(damaged)
    }

    /// The lines that say what `record` does, from 1 on.
    ///
    /// # Errors
    /// When the segment cannot be read.
    pub(super) fn lines_of(&self, record: &Record) -> Result<Vec<usize>, Error> {
        let mut lines = Vec::new();
        self.each_line(|number, line| {
            if let Line::Cell(found) = Line::of(line) {
                lines.extend(found.is_twin_of(record).then_some(number));
            }
            Ok(())
        })?;
        Ok(lines)
    }

    /// Sets the cell `redo` aside in a segment that is another's.
    ///
    /// # Errors
    /// When its writer is at work.
    pub(super) fn take_back(&self, redo: &str) -> Result<(), Error> {
        let mut is_there = false;
        self.each_line(|_, line| {
            is_there |= Line::of(line).is_of(redo);
            Ok(())
        })?;
        if is_there {
            let _lock = self.lock()?;
            self.set_aside(Some(redo))?;
        }
        Ok(())
    }
}
