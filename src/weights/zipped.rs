//! Checkpoints in zip archives: PyTorch's `.pth` and `.pt`, NumPy's `.npz`.

use std::sync::Arc;

use super::archive::Archive;
use super::bytes::Bytes;
use super::data::Data;
use super::left::Kind;
use super::stored::Storages;
use super::tree::Group;
use super::value::Pickle;
use super::{Problem, npy, stranger, walk};

/// What the zip archive `bytes` holds; a tensor that is alone there is called `name`.
pub(super) fn parse(bytes: &Bytes, name: &str) -> Result<Group, Problem> {
    let archive = Archive::open(bytes)?;
    if let Some(stranger) = stranger::in_archive(archive.parts().map(|(name, _)| name)) {
        return Err(stranger.into());
    }
    match folder(&archive)? {
        Some(folder) => torch(&archive, &folder, name),
        None => arrays(&archive),
    }
}

/// The folder of PyTorch's pickle, with its slash.
fn folder(archive: &Archive) -> Result<Option<String>, Problem> {
    let mut folders = archive.parts().filter_map(|(name, _)| {
        let folder = name.strip_suffix("data.pkl")?;
        (folder.is_empty() || folder.ends_with('/')).then_some(folder)
    });
    let (first, second) = (folders.next(), folders.next());
    match second {
        Some(second) => Err(Problem::archive(&format!("{second}data.pkl"), "is the second pickle")),
        None => Ok(first.map(str::to_owned)),
    }
}

/// The pickle in `folder`, whose storages are beside it.
fn torch(archive: &Archive, folder: &str, name: &str) -> Result<Group, Problem> {
    let part = format!("{folder}data.pkl");
    let data = archive.part(&part).expect("its folder was made from its name");
    let bytes = data.open_words().map_err(|error| Problem::archive(&part, error))?;
    walk::tree(&Pickle::parse(&bytes)?, &Storages::in_archive(archive, folder)?, name)
}

/// An array, or a dict of arrays, in each part.
fn arrays(archive: &Archive) -> Result<Group, Problem> {
    let mut group = Group::default();
    let mut other = None;
    for (part, data) in archive.parts() {
        match part.strip_suffix(".npy") {
            Some(name) => group.add(name, member(data, part, name)?),
            None => {
                group.left.add(Kind::File);
                other = other.or(Some(part));
            }
        }
    }
    match other {
        Some(part) if group.members.is_empty() => Err(Problem::archive(
            part,
            "expected `data.pkl` (PyTorch) or `.npy` files (NumPy); unpack the archive if a checkpoint \
             is in it",
        )),
        _ => Ok(group),
    }
}

fn member(data: &Arc<Data>, part: &str, name: &str) -> Result<super::tree::Node, Problem> {
    npy::node(data, name).map_err(|problem| match problem {
        Problem::Read(error) => Problem::archive(part, error),
        problem => problem,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::weights::testing::{read, read_views, refusal, zipped};

    // Written by `testdata/make.py`.
    const STORED: &[u8] = include_bytes!("testdata/net.npz");
    const DEFLATED: &[u8] = include_bytes!("testdata/net-compressed.npz");

    /// An `.npy` file of `count` zeros of four bytes.
    fn zeros(count: usize) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, 1), }}");
        let length = (header.len() as u16).to_le_bytes();
        [&b"\x93NUMPY\x01\0"[..], &length, header.as_bytes(), &vec![0; 4 * count]].concat()
    }

    #[test]
    fn an_archive_of_numpy_arrays_is_read_stored_or_compressed() {
        let stored = read(STORED, "").unwrap();
        assert_eq!(stored, read(DEFLATED, "").unwrap());
        assert!(stored.contains_key("features.0.weight"));
    }

    #[test]
    fn an_archive_with_something_behind_its_end_is_read() {
        for padding in [&[0; 700][..], b"\r\n"] {
            let padded = [STORED, padding].concat();
            assert_eq!(read(&padded, "").unwrap(), read(STORED, "").unwrap());
        }
        assert!(refusal(&STORED[..STORED.len() - 40]).starts_with("is cut off: a zip archive"));
    }

    #[test]
    fn an_archive_of_something_else_is_refused_with_what_it_holds() {
        let error = refusal(&zipped(&[("word/document.xml", b"<x/>")]));
        assert!(error.starts_with("`word/document.xml`: expected `data.pkl` (PyTorch)"), "{error}");
        let two = zipped(&[("a/data.pkl", b"}."), ("b/data.pkl", b"}.")]);
        assert_eq!(refusal(&two), "`b/data.pkl`: is the second pickle");
    }

    #[test]
    fn a_file_beside_the_arrays_is_counted() {
        let file = zipped(&[("w.npy", &zeros(3)), ("readme.txt", b"words")]);
        let (views, account) = read_views(&file, "").unwrap();
        assert_eq!((views.len(), account.left.to_string()), (1, "1 other file".into()));
    }

    #[test]
    fn a_compressed_checkpoint_of_zeros_is_no_bomb() {
        let file = zipped(&[("w.npy", &zeros(8 << 20))]);
        assert!(file.len() < 100_000, "{} bytes", file.len());
        let signs = read_views(&file, "").unwrap().0["w"].signs().unwrap();
        assert_eq!((signs.len(), signs.held_count()), (8 << 20, 0));
    }

    #[test]
    fn parts_that_lie_over_each_other_are_refused() {
        let mut file = zipped(&[("a.npy", &zeros(3)), ("b.npy", &zeros(3))]);
        assert_eq!(read(&file, "").unwrap().len(), 2);
        // Where the second part begins, in the central directory.
        let at = file.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap() + 42;
        file[at..at + 4].fill(0);
        assert_eq!(refusal(&file), "`b.npy`: lies over another part");
    }

    #[test]
    fn a_pickle_that_is_a_bomb_is_refused_before_it_is_unpacked() {
        let refused = refusal(&zipped(&[("x/data.pkl", &vec![b'N'; 8 << 20])]));
        assert!(refused.starts_with("`x/data.pkl`: unpacks to 8388608 bytes from "), "{refused}");
        let order = zipped(&[("x/data.pkl", b"N."), ("x/byteorder", &vec![0; 8 << 20])]);
        assert!(refusal(&order).starts_with("`x/byteorder`: unpacks to 8388608 bytes from "));
    }

    #[test]
    fn a_part_that_does_not_unpack_to_what_it_declares_is_refused() {
        let whole = zipped(&[("w.npy", &zeros(1000))]);
        let lie = |size: u32| {
            // The size in the central directory, which readers go by.
            let at = whole.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap() + 24;
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
            refusal(&bytes)
        };
        assert!(lie(900).starts_with("w: expected 4000 bytes for shape [1000, 1], got "));
        assert!(lie(u32::MAX - 1).starts_with("w: expected 4000 bytes for shape [1000, 1], got "));
        let mut damaged = whole.clone();
        let at = whole.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap() + 16;
        damaged[at] ^= 1;
        let refused = refusal(&damaged);
        assert!(
            refused.contains("w: its values cannot be read: has another checksum"),
            "{refused}"
        );
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in any::<prop::sample::Index>()) {
            for bytes in [STORED, DEFLATED] {
                prop_assert!(read(&bytes[..cut.index(bytes.len())], "").is_err());
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
                let _ = read(&bytes, "");
            }
        }
    }
}
