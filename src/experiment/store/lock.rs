//! Locks that processes share: a file of its own beside what it guards, locked as long as it is open.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::{Error, io_error};

/// How long to wait before the lock is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// A turn that processes wait for, held as long as the value lives.
#[derive(Debug)]
pub(crate) struct Turn {
    _file: Option<File>,
}

impl Turn {
    /// Waits for the lock of the file at `path`, asking `go_on` whether to; none if it said no. Where the
    /// file system knows no locks there is nothing to wait for.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn wait(path: &Path, go_on: impl FnMut() -> bool) -> Result<Option<Self>, Error> {
        match locked(path, go_on)? {
            Ok(file) => Ok(Some(Turn { _file: Some(file) })),
            Err(TryLockError::Error(_)) => Ok(Some(Turn { _file: None })),
            Err(TryLockError::WouldBlock) => Ok(None),
        }
    }
}

/// The file at `path`, locked as soon as nobody else has locked it; or why it is not, once `go_on` says
/// no or the file system knows no locks.
///
/// # Errors
/// When the file cannot be made.
pub(super) fn locked(
    path: &Path,
    mut go_on: impl FnMut() -> bool,
) -> Result<Result<File, TryLockError>, Error> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.map_err(io_error(path))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Ok(file)),
            Err(TryLockError::WouldBlock) if go_on() => std::thread::sleep(PAUSE),
            Err(error) => return Ok(Err(error)),
        }
    }
}
