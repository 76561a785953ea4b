//! Checkpoints in zip archives: PyTorch's `.pth` and `.pt`, NumPy's `.npz`.

use super::archive::Archive;
use super::{Checkpoint, Problem, npy, torch};

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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::archive::ALLOWANCE;
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
