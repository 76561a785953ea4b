//! Zip archives, as checkpoints come in them.
//!
//! A zip archive may say little and unpack to more than any memory has. The sizes that it declares
//! are added up before anything is unpacked, and no part may unpack to more than it declared.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::Problem;

/// What a zip file begins with.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// Weights hardly shrink; zeros do. Each byte of an archive may stand for this many.
const MOST_EXPANSION: u64 = 64;

/// What any archive may unpack to, however small it is.
pub(super) const ALLOWANCE: u64 = 16 << 20;

/// A zip archive in memory.
pub(super) struct Archive<'a>(ZipArchive<Cursor<&'a [u8]>>);

impl<'a> Archive<'a> {
    /// The archive `bytes`, whose parts together are of a size that its own allows.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
        let unsound = |error: zip::result::ZipError| Problem::Zip(error.to_string());
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(unsound)?;
        let mut total = 0_u64;
        for index in 0..archive.len() {
            total = total.saturating_add(archive.by_index_raw(index).map_err(unsound)?.size());
        }
        let most = ALLOWANCE.saturating_add(MOST_EXPANSION.saturating_mul(bytes.len() as u64));
        if total > most {
            return Err(Problem::Bomb { declared: total, most });
        }
        Ok(Archive(archive))
    }

    /// The names of the parts, in name order; folders are no parts.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.0.file_names().filter(|name| !name.ends_with('/'));
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        names.sort();
        names
    }

    /// The part `name`, unpacked and with the checksum that the archive has for it.
    pub(super) fn read(&mut self, name: &str) -> Result<Vec<u8>, Problem> {
        let problem =
            |what: String| Problem::Archive { part: name.escape_debug().to_string(), what };
        let mut part = self.0.by_name(name).map_err(|error| problem(error.to_string()))?;
        let declared = part.size();
        let mut bytes = Vec::new();
        let got = part.by_ref().take(declared + 1).read_to_end(&mut bytes);
        let got = got.map_err(|error| problem(error.to_string()))? as u64;
        if got != declared {
            let more = if got > declared { "more" } else { "fewer" };
            return Err(problem(format!("unpacks to {more} than its {declared} bytes")));
        }
        Ok(bytes)
    }
}
