//! One file out of a tar archive, plain or gzip.
//!
//! A name in an archive is compared and never becomes a path: nothing is unpacked but the bytes of the
//! file that is wanted, into a file that the caller names. So no entry, whatever it is called and
//! whatever it links to, can write anywhere else, and nothing in the archive is ever run.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The most bytes of an archive that are looked through, unpacked.
const LONGEST: u64 = 8 << 30;

/// Writes the first regular file of `archive` whose path ends in `wanted` to `into`, at most `most` bytes
/// of it; gives back whether there is one.
pub(super) fn take(archive: impl Read, wanted: &str, most: u64, into: &Path) -> io::Result<bool> {
    let mut archive = BufReader::new(archive);
    let is_gzip = io::BufRead::fill_buf(&mut archive)?.starts_with(&[0x1f, 0x8b]);
    match is_gzip {
        true => take_plain(MultiGzDecoder::new(archive), wanted, most, into),
        false => take_plain(archive, wanted, most, into),
    }
}

fn take_plain(archive: impl Read, wanted: &str, most: u64, into: &Path) -> io::Result<bool> {
    let mut archive = tar::Archive::new(archive.take(LONGEST));
    // Raw: what stands before an entry to give it a long name may be as long as it likes.
    for entry in archive.entries()?.raw(true) {
        let entry = entry?;
        let header = entry.header();
        if header.entry_type().is_file() && header.path()?.ends_with(wanted) {
            io::copy(&mut entry.take(most), &mut fs::File::create(into)?)?;
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{EntryType, Header};

    /// A tar archive of entries: what they are, their names as they stand, and their bytes.
    fn tar(entries: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, name, bytes) in entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_link_name("/etc").unwrap();
            }
            header.set_cksum();
            tar.append(&header, *bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        io::Write::write_all(&mut gzip, bytes).unwrap();
        gzip.finish().unwrap()
    }

    /// What is taken of `archive` for `wanted`, and the names of all files that there are then.
    fn taken(archive: &[u8], wanted: &str) -> (Option<Vec<u8>>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("inner/into");
        fs::create_dir(folder.path().join("inner")).unwrap();
        let found = take(archive, wanted, 100, &into).unwrap();
        let mut names = Vec::new();
        for inner in [folder.path(), &folder.path().join("inner")] {
            let entries = fs::read_dir(inner).unwrap();
            names.extend(entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()));
        }
        (found.then(|| fs::read(&into).unwrap()), names)
    }

    #[test]
    fn a_file_is_found_by_the_end_of_its_path_plain_or_compressed() {
        let file = EntryType::Regular;
        let plain = tar(&[(file, "a/net.ckpt", b"no"), (file, "a/b/weights/net.ckpt", b"yes")]);
        for archive in [plain.clone(), gzip(&plain)] {
            let (found, names) = taken(&archive, "weights/net.ckpt");
            assert_eq!(found.unwrap(), b"yes");
            assert_eq!(names, ["inner", "into"]);
        }
        assert_eq!(taken(&plain, "eights/net.ckpt").0, None);
    }

    #[test]
    fn names_that_lead_elsewhere_write_nothing_elsewhere() {
        let file = EntryType::Regular;
        for name in ["../../net.ckpt", "/net.ckpt", "../net.ckpt", "inner/../../net.ckpt"] {
            let archive = tar(&[(file, "../out", b"out"), (file, name, b"yes")]);
            let (found, names) = taken(&archive, "net.ckpt");
            assert_eq!((found.unwrap().as_slice(), names.len()), (&b"yes"[..], 2), "{name}");
        }
    }

    #[test]
    fn links_and_devices_are_passed_over() {
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Directory] {
            let archive =
                tar(&[(kind, "net.ckpt", b""), (EntryType::Regular, "a/net.ckpt", b"yes")]);
            assert_eq!(taken(&archive, "net.ckpt").0.unwrap(), b"yes");
        }
    }

    #[test]
    fn no_more_is_taken_than_is_wanted_and_a_long_name_takes_no_memory() {
        let long = vec![b'x'; 1 << 20];
        let archive = tar(&[
            (EntryType::GNULongName, "././@LongLink", &long),
            (EntryType::Regular, "net.ckpt", &[1; 1000]),
        ]);
        assert_eq!(taken(&gzip(&archive), "net.ckpt").0.unwrap().len(), 100);
    }

    #[test]
    fn an_archive_that_is_cut_off_is_an_error_or_holds_no_such_file() {
        let archive = tar(&[(EntryType::Regular, "net.ckpt", b"yes")]);
        let folder = tempfile::tempdir().unwrap();
        for cut in 0..512 + 3 {
            let found = take(&archive[..cut], "net.ckpt", 100, &folder.path().join("into"));
            let whole = found.is_ok_and(|found| {
                found && fs::read(folder.path().join("into")).unwrap() == b"yes"
            });
            assert!(!whole, "{cut}");
        }
    }
}
