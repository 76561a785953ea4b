//! One fetch of a package at a time, across processes.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Holds the lock of `folder` until the value is dropped or the process ends, however it ends.
///
/// Calls `waiting` once if another fetch holds it.
pub(super) fn hold(folder: &Path, waiting: &mut dyn FnMut()) -> io::Result<File> {
    let path = folder.join(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            waiting();
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_second_holder_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = hold(folder.path(), &mut || panic!("nobody holds it")).unwrap();
        let (say, hear) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                hold(folder.path(), &mut || say.send("waiting").unwrap()).unwrap();
                say.send("held").unwrap();
            });
            assert_eq!(hear.recv().unwrap(), "waiting");
            assert!(hear.try_recv().is_err());
            drop(first);
            assert_eq!(hear.recv().unwrap(), "held");
        });
    }
}
