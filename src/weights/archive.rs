//! Reads the zip archives that checkpoints come in: PyTorch's `.pth` and `.pt`, NumPy's `.npz`.
//!
//! A zip archive may say little and unpack to more than any memory has. The sizes that it declares
//! are added up before anything is unpacked, and no part may unpack to more than it declared.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::{Checkpoint, Problem, npy, torch};

/// What a zip file begins with.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

/// Weights hardly shrink; zeros do. Each byte of an archive may stand for this many.
const MOST_EXPANSION: u64 = 64;

/// What any archive may unpack to, however small it is.
const ALLOWANCE: u64 = 16 << 20;

/// The checkpoint in the zip archive `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Checkpoint, Problem> {
    let mut archive = Archive::open(bytes)?;
    let names = archive.names();
    if let Some(pickle) = names.iter().find(|name| is_pickle_of_torch(name)) {
        let folder = pickle.strip_suffix("data.pkl").expect("its name was just looked at");
        return torch::parse_zip(&mut archive, folder);
    }
    let mut checkpoint = Checkpoint::new();
    for part in &names {
        let name = part.strip_suffix(".npy").ok_or_else(|| Problem::Archive {
            part: part.escape_debug().to_string(),
            what: "expected `data.pkl` in a folder (PyTorch) or `.npy` files only (NumPy)".into(),
        })?;
        let array = npy::array(&archive.read(part)?, name)?;
        if checkpoint.insert(name.to_owned(), array).is_some() {
            return Err(Problem::Duplicate { array: name.into() });
        }
    }
    Ok(checkpoint)
}

fn is_pickle_of_torch(name: &str) -> bool {
    name.strip_suffix("/data.pkl").is_some_and(|folder| !folder.contains('/'))
}

/// A zip archive in memory.
pub(super) struct Archive<'a>(ZipArchive<Cursor<&'a [u8]>>);

impl<'a> Archive<'a> {
    /// The archive `bytes`, whose parts together are of a size that its own allows.
    fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
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
    fn names(&self) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use zip::CompressionMethod;
    use zip::write::{FileOptions, ZipWriter};

    // Written by `testdata/make.py`.
    const STORED: &[u8] = include_bytes!("testdata/net.npz");
    const DEFLATED: &[u8] = include_bytes!("testdata/net-compressed.npz");

    fn zipped(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = FileOptions::default().compression_method(CompressionMethod::Deflated);
        for (name, bytes) in parts {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn an_archive_of_numpy_arrays_is_read_stored_or_compressed() {
        let stored = parse(STORED).unwrap();
        assert_eq!(stored, parse(DEFLATED).unwrap());
        assert!(stored.contains_key("features.0.weight"));
    }

    #[test]
    fn an_archive_of_something_else_is_refused_with_what_it_holds() {
        let error = parse(&zipped(&[("word/document.xml", b"<x/>")])).unwrap_err().to_string();
        assert!(
            error.starts_with("`word/document.xml`: expected `data.pkl` in a folder"),
            "{error}"
        );
    }

    #[test]
    fn an_archive_that_unpacks_to_far_more_than_it_is_is_refused() {
        let zeros = vec![0; usize::try_from(ALLOWANCE).unwrap() + (1 << 21)];
        let error = parse(&zipped(&[("w.npy", &zeros)])).unwrap_err();
        assert!(matches!(error, Problem::Bomb { declared, .. } if declared == zeros.len() as u64));
    }

    #[test]
    fn a_part_that_unpacks_to_more_than_it_declares_is_refused() {
        let whole = zipped(&[("w.npy", &[7; 1000])]);
        let lie = |size: u32| {
            // The size in the central directory, which readers go by.
            let at = whole.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap() + 24;
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
            parse(&bytes).unwrap_err().to_string()
        };
        assert!(lie(900).contains("unpacks to more than its 900 bytes"), "{}", lie(900));
        assert!(lie(1100).starts_with("`w.npy`: "), "{}", lie(1100));
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in any::<prop::sample::Index>()) {
            for bytes in [STORED, DEFLATED] {
                prop_assert!(parse(&bytes[..cut.index(bytes.len())]).is_err());
            }
        }

        #[test]
        fn any_damage_is_read_or_refused_but_never_a_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            for bytes in [STORED, DEFLATED] {
                let mut bytes = bytes.to_vec();
                for (at, byte) in &damage {
                    *at.get_mut(&mut bytes) = *byte;
                }
                let _ = parse(&bytes);
            }
        }
    }
}
