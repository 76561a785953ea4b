//! Zip archives, as checkpoints come in them.
//!
//! A zip archive may say little and unpack to more than any memory has. Nothing is unpacked before it is
//! wanted, no part to more than it declares, and none that the memory does not hold (`data.rs`).

use std::collections::BTreeMap;
use std::io::BufReader;
use std::sync::Arc;

use zip::{CompressionMethod, ZipArchive};

use super::Problem;
use super::bytes::Bytes;
use super::data::{Coding, Data, Unpacked};

/// What the first part of a zip file begins with.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// What its last record begins with, and how long that is without the comment at its end.
const LAST: (&[u8], usize) = (b"PK\x05\x06", 22);

/// The parts of a zip archive by name.
pub(super) struct Archive {
    parts: BTreeMap<String, Arc<Data>>,
}

impl Archive {
    /// The archive `bytes`; folders are no parts.
    pub(super) fn open(bytes: &Bytes) -> Result<Self, Problem> {
        let bytes = whole(bytes)?;
        let unsound = |error: zip::result::ZipError| Problem::Zip(error.to_string());
        let reader = BufReader::with_capacity(1 << 10, bytes.reader());
        let mut archive = ZipArchive::new(reader).map_err(unsound)?;
        let unpacked = Arc::new(Unpacked::default());
        let (mut parts, mut places) = (BTreeMap::new(), Vec::new());
        for index in 0..archive.len() {
            let part = archive.by_index_raw(index).map_err(unsound)?;
            let name = part.name().to_owned();
            if name.ends_with('/') || name.starts_with("__MACOSX/") {
                continue;
            }
            let damaged = |what: &str| Problem::archive(&name, what);
            let coding = match part.compression() {
                CompressionMethod::Stored => Coding::Plain,
                CompressionMethod::Deflated => Coding::Deflated,
                _ => Coding::Unknown,
            };
            let packed = bytes.part(part.data_start(), part.compressed_size());
            let packed = packed.ok_or_else(|| damaged("reaches beyond the end of the file"))?;
            places.push((packed.start(), packed.len(), name.clone()));
            // PyTorch leaves the checksum out where it is told to save the time.
            let checksum = Some(part.crc32()).filter(|sum| *sum != 0);
            let data = Data::in_archive(packed, coding, part.size(), checksum, unpacked.clone());
            if parts.insert(name.clone(), Arc::new(data)).is_some() {
                return Err(damaged("appears twice"));
            }
        }
        check_places(places)?;
        Ok(Archive { parts })
    }

    /// The parts, in name order.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&str, &Arc<Data>)> {
        self.parts.iter().map(|(name, data)| (name.as_str(), data))
    }

    /// The part `name`, if there is one.
    pub(super) fn part(&self, name: &str) -> Option<&Arc<Data>> {
        self.parts.get(name)
    }

    /// All of the part `name`, unpacked, if there is one.
    pub(super) fn small(&self, name: &str) -> Result<Option<Vec<u8>>, Problem> {
        let Some(data) = self.part(name) else { return Ok(None) };
        let bytes = data.open_words().and_then(|bytes| bytes.all());
        bytes.map(Some).map_err(|error| Problem::archive(name, error))
    }
}

/// Refuses parts that share bytes, of which a small archive could have a great many large ones.
fn check_places(mut places: Vec<(u64, u64, String)>) -> Result<(), Problem> {
    places.retain(|(_, length, _)| *length > 0);
    places.sort();
    match places.windows(2).find(|two| two[1].0 - two[0].0 < two[0].1) {
        Some([_, (.., name)]) => Err(Problem::archive(name, "lies over another part")),
        _ => Ok(()),
    }
}

/// The archive without what was appended to it: files are padded to whole blocks, or with line ends.
fn whole(bytes: &Bytes) -> Result<Bytes, Problem> {
    const FURTHEST: u64 = 1 << 20;
    let (magic, length) = LAST;
    let start = bytes.len().saturating_sub(FURTHEST);
    let tail = bytes.after(start).all().map_err(Problem::Read)?;
    let last = tail.windows(length).rposition(|record| {
        let comment = usize::from(u16::from_le_bytes([record[length - 2], record[length - 1]]));
        record.starts_with(magic) && comment < FURTHEST as usize
    });
    let at = last.ok_or(Problem::CutOff("a zip archive without its last part"))?;
    let comment = u16::from_le_bytes([tail[at + length - 2], tail[at + length - 1]]);
    let end = start + (at + length) as u64 + u64::from(comment);
    bytes.part(0, end).ok_or(Problem::CutOff("a zip archive without all of its last part"))
}
