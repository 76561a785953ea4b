//! The end of a segment, where its one writer adds lines: each whole or not at all.
//!
//! A disk that fills takes the first part of a line and refuses the rest. That part is taken back, so that
//! whatever is added later begins on a line of its own.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Error, io_error};

/// Lines reach the disk at least this often.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// A segment that is open at its end.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    end: u64,
    /// Whether something stands behind them that could not be taken back.
    is_torn: bool,
    synced: Instant,
}

impl Writer {
    /// Opens the segment at `path`, which is made if need be, and has whole lines only.
    ///
    /// # Errors
    /// When it cannot be opened or its folder not be brought to the disk.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(io_error(path))?;
        let end = file.metadata().map_err(io_error(path))?.len();
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(folder))?;
        let path = path.to_owned();
        Ok(Writer { path, file, end, is_torn: false, synced: Instant::now() })
    }

    /// Adds `line`, which has its end, and brings it to the disk unless that was done a moment ago.
    ///
    /// # Errors
    /// When it cannot be written, or the segment is no longer where it was; nothing of the line is there
    /// then.
    pub(super) fn add(&mut self, line: &str) -> Result<(), Error> {
        self.check_place()?;
        let gap = if self.is_torn { "\n" } else { "" };
        let bytes = format!("{gap}{line}");
        if let Err(error) = self.file.write_all(bytes.as_bytes()) {
            self.is_torn = self.file.set_len(self.end).is_err();
            return Err(io_error(&self.path)(error));
        }
        if std::mem::take(&mut self.is_torn) {
            self.end = self.file.metadata().map_err(io_error(&self.path))?.len();
        } else {
            self.end += bytes.len() as u64;
        }
        match self.synced.elapsed() >= SYNC_EVERY {
            true => self.sync(),
            false => Ok(()),
        }
    }

    /// Brings what was added to the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(io_error(&self.path))
    }

    /// Whether the file that is written is still the one that readers will find.
    fn check_place(&self) -> Result<(), Error> {
        let gone = || Error::Gone { path: self.path.clone() };
        let there = fs::metadata(&self.path).map_err(|_| gone())?;
        let own = self.file.metadata().map_err(io_error(&self.path))?;
        let is_same = (there.dev(), there.ino()) == (own.dev(), own.ino());
        if is_same { Ok(()) } else { Err(gone()) }
    }
}

impl Drop for Writer {
    /// A run that ends by an error keeps what it finished, as far as the disk goes.
    fn drop(&mut self) {
        let _ = self.file.sync_data();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_behind_those_that_stand_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.jsonl");
        for line in ["one\n", "two\n"] {
            Writer::open(&path).unwrap().add(line).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_part_of_a_line_that_cannot_be_taken_back_ends_before_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.jsonl");
        let mut writer = Writer::open(&path).unwrap();
        writer.add("one\n").unwrap();
        fs::write(&path, "one\nto").unwrap();
        writer.is_torn = true;
        writer.add("two\n").unwrap();
        writer.add("three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nto\ntwo\nthree\n");
        assert_eq!(writer.end, fs::metadata(&path).unwrap().len());
    }

    #[test]
    fn a_segment_that_was_moved_away_or_replaced_takes_no_more_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("main.jsonl");
        let mut writer = Writer::open(&path).unwrap();
        writer.add("one\n").unwrap();
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert!(matches!(writer.add("two\n"), Err(Error::Gone { .. })));
        fs::write(&path, "another\n").unwrap();
        assert!(matches!(writer.add("two\n"), Err(Error::Gone { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "another\n");
    }
}
