//! Locks that processes share: a file of its own beside what it guards, locked as long as it is open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{Error, io_error};

/// How long to wait before the lock is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// A turn that processes wait for, held as long as the value lives.
#[derive(Debug)]
pub(crate) struct Turn {
    _file: File,
}

impl Turn {
    /// Waits for the lock of the file at `path`, asking `go_on` whether to; none if it said no.
    ///
    /// # Errors
    /// When the file cannot be made, or the file system knows no locks.
    pub(crate) fn wait(path: &Path, go_on: impl FnMut() -> bool) -> Result<Option<Self>, Error> {
        Ok(locked(path, go_on)?.map(|file| Turn { _file: file }))
    }
}

/// Whether a process has locked the file at `path`. Those that only ask are not in each other's way.
///
/// # Errors
/// When the file cannot be read, or the file system knows no locks.
pub(super) fn is_held(path: &Path) -> Result<bool, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(io_error(path))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(Error::NoLocks { path: path.to_owned(), source }),
    }
}

/// The file at `path`, locked as soon as nobody else has locked it; none once `go_on` says no.
///
/// The system takes the lock from a process that ends, however it ends; the file stays and means nothing.
/// A file system without locks is refused: two runs that write one segment there would write into each
/// other's lines.
///
/// # Errors
/// When the file cannot be made, or the file system knows no locks.
pub(super) fn locked(path: &Path, mut go_on: impl FnMut() -> bool) -> Result<Option<File>, Error> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.map_err(io_error(path))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if go_on() => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => {
                return Err(Error::NoLocks { path: path.to_owned(), source });
            }
        }
    }
}
