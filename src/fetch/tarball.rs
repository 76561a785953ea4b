//! A gzipped tar out of a web server, whole and checked before anything in it is looked at.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::download::{Agent, download, megabytes};
use super::{File, State, place};

/// Where `archive` lies, which has its digest: in `folder`, when somebody has put it there or an earlier
/// fetch was stopped behind it, or else downloaded into it from the server `base`.
pub(super) fn bring(
    base: &str,
    archive: &File,
    folder: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, String> {
    if let Some(path) = kept(archive, folder) {
        return Ok(path);
    }
    let part = part(archive, folder);
    progress(&format!("getting {}, {}", archive.name, megabytes(archive.bytes)));
    let url = format!("{base}{}", archive.name);
    download(&Agent::usual()?, &url, &part, archive.bytes, progress)?;
    let checked = check(archive, &part);
    if checked.is_err() {
        fs::remove_file(&part).map_err(|error| format!("{}: {error}", part.display()))?;
    }
    checked.map(|()| part)
}

/// Where `archive` lies in `folder` already, whole.
pub(super) fn kept(archive: &File, folder: &Path) -> Option<PathBuf> {
    let places = [folder.join(archive.name), part(archive, folder)];
    places.into_iter().find(|path| check(archive, path).is_ok())
}

/// Whether the file at `path` is `archive`.
pub(super) fn check(archive: &File, path: &Path) -> Result<(), String> {
    match place::state(path, archive).map_err(|error| format!("{}: {error}", path.display()))? {
        State::Ready => Ok(()),
        State::Missing => Err(format!("there is no {}", archive.name)),
        State::Damaged => Err(format!(
            "{}: expected {} bytes with sha256 {}, got others",
            archive.name, archive.bytes, archive.sha256
        )),
    }
}

/// Unpacks the archive at `path`, which has its digest, into the folder `target`.
pub(super) fn unpack(path: &Path, target: &Path) -> Result<(), String> {
    let unpacked = fs::File::open(path)
        .and_then(|file| tar::Archive::new(GzDecoder::new(BufReader::new(file))).unpack(target));
    unpacked.map_err(|error| format!("{}: cannot be unpacked: {error}", path.display()))
}

fn part(archive: &File, folder: &Path) -> PathBuf {
    folder.join(format!("{}.part", archive.name))
}
