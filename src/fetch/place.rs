//! Puts a file into the cache whole and checked, or not at all.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::{File, SCRATCH, State};
use crate::digest::{Hashing, sha256_of_file};

/// Why a file was not placed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("expected {expected} bytes once decompressed, got {}", more(*got, *expected))]
    Size { expected: u64, got: u64 },
    #[error("expected sha256 {expected} once decompressed, got {got}")]
    Digest { expected: &'static str, got: String },
}

fn more(got: u64, expected: u64) -> String {
    if got > expected { "more".into() } else { got.to_string() }
}

/// Puts the contents of `raw` into `folder` as `file`, decompressed if it is gzip.
///
/// The bytes go to a temporary file beside their place, are checked and synced, and then renamed:
/// nobody ever sees half a file, and a file that was there is replaced only by a right one.
pub(super) fn place(raw: &Path, file: &File, folder: &Path) -> Result<(), PlaceError> {
    place_from(decompressed(raw)?, file, folder)
}

/// The same for what `source` gives, as it is.
pub(super) fn place_from(source: impl Read, file: &File, folder: &Path) -> Result<(), PlaceError> {
    let target = tempfile::Builder::new()
        .prefix(SCRATCH)
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    let mut target = Hashing::new(target);
    // One byte more than expected is enough to know, however far a small file may swell.
    let got = io::copy(&mut source.take(file.bytes + 1), &mut target)?;
    let (mut target, sha256) = target.finish();
    if got != file.bytes {
        return Err(PlaceError::Size { expected: file.bytes, got });
    }
    if sha256 != file.sha256 {
        return Err(PlaceError::Digest { expected: file.sha256, got: sha256 });
    }
    target.flush()?;
    target.as_file().sync_all()?;
    target.persist(folder.join(file.name)).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// What is at `path` of `file`.
pub(super) fn state(path: &Path, file: &File) -> io::Result<State> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Missing),
        Err(error) => Err(error),
        Ok(found) if found.len() != file.bytes => Ok(State::Damaged),
        Ok(_) if sha256_of_file(path)? != file.sha256 => Ok(State::Damaged),
        Ok(_) => Ok(State::Ready),
    }
}

fn decompressed(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut magic = [0; 2];
    let gzip = fs::File::open(path)?.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let file = BufReader::new(fs::File::open(path)?);
    Ok(if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    const ABC: File = File {
        name: "abc",
        bytes: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Places `bytes` over a file that says `old`; gives what is there afterwards.
    fn placed(bytes: &[u8]) -> (Result<(), PlaceError>, String) {
        let folder = tempfile::tempdir().unwrap();
        let place_of_abc = folder.path().join("abc");
        fs::write(&place_of_abc, "old").unwrap();
        let raw = tempfile::NamedTempFile::new().unwrap();
        fs::write(raw.path(), bytes).unwrap();
        let result = place(raw.path(), &ABC, folder.path());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
        (result, fs::read_to_string(place_of_abc).unwrap())
    }

    #[test]
    fn plain_and_compressed_bytes_give_the_same_file() {
        for bytes in [b"abc".to_vec(), gzip(b"abc")] {
            let (result, content) = placed(&bytes);
            result.unwrap();
            assert_eq!(content, "abc");
        }
    }

    #[test]
    fn bytes_with_another_digest_leave_what_was_there() {
        for bytes in [b"abd".to_vec(), gzip(b"abd")] {
            let (result, content) = placed(&bytes);
            assert!(matches!(result, Err(PlaceError::Digest { .. })));
            assert_eq!(content, "old");
        }
    }

    #[test]
    fn a_small_file_that_swells_is_given_up_at_once() {
        let (result, _) = placed(&gzip(&vec![b'a'; 50_000_000]));
        let message = result.unwrap_err().to_string();
        assert_eq!(message, "expected 3 bytes once decompressed, got more");
    }

    #[test]
    fn a_truncated_archive_is_refused() {
        let whole = gzip(b"abc");
        let (result, content) = placed(&whole[..whole.len() - 4]);
        assert!(matches!(result, Err(PlaceError::Io(_))));
        assert_eq!(content, "old");
    }

    #[test]
    fn a_placed_file_is_readable_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("raw");
        fs::write(&raw, "abc").unwrap();
        let usual = fs::metadata(&raw).unwrap().permissions();
        place(&raw, &ABC, folder.path()).unwrap();
        assert_eq!(fs::metadata(folder.path().join("abc")).unwrap().permissions(), usual);
    }

    #[test]
    fn the_state_of_a_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        assert_eq!(state(&path, &ABC).unwrap(), State::Missing);
        for (content, expected) in
            [("ab", State::Damaged), ("abd", State::Damaged), ("abc", State::Ready)]
        {
            fs::write(&path, content).unwrap();
            assert_eq!(state(&path, &ABC).unwrap(), expected);
        }
    }
}
