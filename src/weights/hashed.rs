//! Where tensors come from: the name of a file and its digest, which is made while they are read.

use std::io;
use std::path::Path;
use std::thread::{self, JoinHandle};

use super::Problem;
use super::bytes::Bytes;
use crate::digest::Hashing;

/// Where tensors come from, in a line that is complete when all of the file has been read.
#[derive(Debug)]
pub struct Provenance {
    before: String,
    digest: Option<JoinHandle<io::Result<String>>>,
    after: String,
}

impl Provenance {
    /// What is known without a file.
    pub fn known(text: String) -> Self {
        Provenance { before: text, digest: None, after: String::new() }
    }

    /// The file at `path`, and the digest of it and of those that belong to it, one after the other.
    pub(super) fn of_files(path: &Path, files: Vec<Bytes>) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let before = match files.len() {
            0 | 1 => format!("{name}, sha256 "),
            several => format!("{name} and its {} files, sha256 of all ", several - 1),
        };
        let digest = thread::spawn(move || {
            let mut hash = Hashing::new(io::sink());
            let mut buffer = vec![0; 1 << 18];
            for file in files {
                let mut reader = file.reader();
                loop {
                    match io::Read::read(&mut reader, &mut buffer)? {
                        0 => break,
                        count => io::Write::write_all(&mut hash, &buffer[..count])?,
                    }
                }
            }
            Ok(hash.finish().1)
        });
        Provenance { before, digest: Some(digest), after: String::new() }
    }

    /// Adds what was done to the tensors.
    pub(super) fn note(&mut self, what: &str) {
        self.after += what;
    }

    /// The whole line.
    ///
    /// # Errors
    /// When the file could not be read.
    pub fn finish(self) -> Result<String, Problem> {
        let Provenance { before, digest, after } = self;
        let digest = match digest {
            None => String::new(),
            Some(digest) => {
                let digest = digest.join().expect("hashing does not panic");
                digest.map_err(Problem::Read)?
            }
        };
        Ok(format!("{before}{digest}{after}"))
    }
}
