//! What can go wrong with a package, and what the user can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::File;

/// A file of a package that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// The file is not there.
    #[error("{}: missing; get it with `polarity data fetch {name}`", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// Its package.
        name: &'static str,
    },
    /// The file has other bytes than it should have.
    #[error(
        "{}: expected sha256 {expected}, got {got}; get it again with `polarity data fetch {name}`",
        path.display()
    )]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// The digest that it should have.
        expected: &'static str,
        /// The digest that it has.
        got: String,
        /// Its package.
        name: &'static str,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// A source that did not give all that was asked for.
#[derive(Debug)]
pub struct Attempt {
    /// The source.
    pub source: String,
    /// Why it failed.
    pub reason: String,
}

/// Why a fetch did not bring every file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The package's folder in the cache cannot be made, read or written.
    #[error(
        "{}: cannot be used as cache: {cause}; choose another place with POLARITY_CACHE=DIR",
        folder.display()
    )]
    Cache {
        /// The package's folder.
        folder: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Every source failed.
    #[error("{name}: no source gave {}", Files { folder, missing, archives, attempts })]
    Sources {
        /// The package.
        name: &'static str,
        /// Its folder.
        folder: PathBuf,
        /// The files that are still missing.
        missing: Vec<&'static File>,
        /// The archives that have them.
        archives: Vec<&'static File>,
        /// What was tried.
        attempts: Vec<Attempt>,
    },
}

/// The body of [`FetchError::Sources`]: what is missing, what was tried, what a user can do.
struct Files<'e> {
    folder: &'e Path,
    missing: &'e [&'static File],
    archives: &'e [&'static File],
    attempts: &'e [Attempt],
}

impl fmt::Display for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.missing.iter().map(|file| file.name).collect();
        writeln!(f, "{}", names.join(", "))?;
        for Attempt { source, reason } in self.attempts {
            writeln!(f, "  {source}: {reason}")?;
        }
        let list = |f: &mut fmt::Formatter<'_>, files: &[&File]| {
            files.iter().try_for_each(|file| {
                let path = self.folder.join(file.name);
                write!(f, "\n  {}  with sha256 {}", path.display(), file.sha256)
            })
        };
        if !self.archives.is_empty() {
            write!(f, "or put one of these by hand, as it is published, and fetch again")?;
            list(f, self.archives)?;
            writeln!(f)?;
        }
        write!(f, "or put by hand, decompressed")?;
        list(f, self.missing)
    }
}
