//! Reads CIFAR-10 in its binary format: six batches of 10,000 records, of which the last is the test
//! set.
//!
//! A record is 3,073 bytes: the label, then 32 rows of 32 pixels of each channel, red, green, blue.
//! The batches are read out of their folder, `cifar-10-batches-bin`, or out of the archive as it is
//! published; `pictures` makes them of another publisher's files.

mod pictures;

pub(super) use pictures::batch as batch_of_pictures;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{Images, Raw};
use crate::digest::sha256;

/// What each class shows.
pub(super) const CLASS_NAMES: &[&str] =
    &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The files, in the order of the images; the last has the test images.
pub(super) const BATCHES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// Records of a batch.
const RECORDS: usize = 10_000;

const CHANNELS: usize = 3;
const SIDE: usize = 32;
const RECORD: usize = 1 + CHANNELS * SIDE * SIDE;

/// The images to train and to test on, and the digest of the batches.
#[derive(Debug)]
pub(super) struct Cifar {
    pub train: Images,
    pub test: Images,
    pub digest: String,
}

/// CIFAR-10 from the folder or the archive at `path`.
pub(super) fn open(path: &Path) -> Result<Cifar, Error> {
    read(path, RECORDS)
}

/// CIFAR-10 from the bytes of the archive `path`, whose batches have so many records.
pub(super) fn from_archive_of(bytes: &[u8], path: &Path, records: usize) -> Result<Cifar, Error> {
    assemble(unpack(bytes, path, records)?, records)
}

/// CIFAR-10 from its six batches, the last of which is the test's.
pub(super) fn from_batches(batches: Vec<Raw>) -> Result<Cifar, Error> {
    assemble(batches, RECORDS)
}

fn read(path: &Path, records: usize) -> Result<Cifar, Error> {
    let within = |file: &Path| {
        let file = file.to_owned();
        move |cause| Error { file, problem: Problem::Read(cause) }
    };
    if !path.is_dir() {
        let bytes = fs::read(path).map_err(within(path))?;
        return assemble(unpack(&bytes, path, records)?, records);
    }
    let batch = |name: &str| {
        let path = path.join(name);
        let bytes = fs::read(&path).map_err(within(&path))?;
        Ok(Raw { path, bytes })
    };
    assemble(BATCHES.iter().map(|name| batch(name)).collect::<Result<_, _>>()?, records)
}

/// The six batches of the archive `bytes`.
fn unpack(bytes: &[u8], path: &Path, records: usize) -> Result<Vec<Raw>, Error> {
    let within = |problem| Error { file: path.to_owned(), problem };
    let damaged = |cause| within(Problem::Read(cause));
    let mut found: [Option<Raw>; BATCHES.len()] = Default::default();
    let mut archive = tar::Archive::new(GzDecoder::new(bytes));
    // Raw: what stands before an entry to give it a long name may be as long as it likes, and is read
    // whole by who asks for it.
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let entry = entry.map_err(damaged)?;
        let name = entry.header().path().map_err(damaged)?.into_owned();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(place) = BATCHES.iter().position(|batch| name.ends_with(batch)) else { continue };
        let mut bytes = Vec::new();
        // One byte too many is enough to know, however far a small archive may swell.
        let most = (records * RECORD + 1) as u64;
        entry.take(most).read_to_end(&mut bytes).map_err(damaged)?;
        found[place] = Some(Raw { path: path.join(name), bytes });
    }
    let all = found.into_iter().zip(BATCHES);
    all.map(|(batch, name)| batch.ok_or_else(|| within(Problem::Missing(name)))).collect()
}

fn assemble(batches: Vec<Raw>, records: usize) -> Result<Cifar, Error> {
    let digests: String =
        batches.iter().map(|batch| format!("{}\n", sha256(&batch.bytes))).collect();
    for batch in &batches {
        check(batch, records)?;
    }
    let (test, train) = batches.split_last().expect("there are six batches");
    Ok(Cifar {
        train: images(train),
        test: images(std::slice::from_ref(test)),
        digest: sha256(digests.as_bytes()),
    })
}

fn check(batch: &Raw, records: usize) -> Result<(), Error> {
    let refuse = |problem| Err(Error { file: batch.path.clone(), problem });
    let (expected, got) = (records * RECORD, batch.bytes.len());
    if got != expected {
        return refuse(Problem::Length { records, expected, got });
    }
    let labels = batch.bytes.iter().step_by(RECORD).copied();
    match labels.enumerate().find(|(_, label)| usize::from(*label) >= CLASS_NAMES.len()) {
        Some((record, got)) => refuse(Problem::Label { record, got }),
        None => Ok(()),
    }
}

fn images(batches: &[Raw]) -> Images {
    let records = || batches.iter().flat_map(|batch| batch.bytes.chunks_exact(RECORD));
    Images {
        channels: CHANNELS,
        height: SIDE,
        width: SIDE,
        pixels: records().flat_map(|record| &record[1..]).copied().collect(),
        labels: records().map(|record| record[0].into()).collect(),
        classes: CLASS_NAMES.len(),
    }
}

/// A file of CIFAR-10 that cannot be used: which one, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct Error {
    /// The batch, or the archive.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a file of CIFAR-10.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be opened, read or unpacked.
    #[error("cannot be read: {0}; expected the folder `cifar-10-batches-bin` or its `.tar.gz`")]
    Read(io::Error),
    /// A batch is not in the archive.
    #[error("holds no `{0}`; expected the archive of the binary version")]
    Missing(&'static str),
    /// A batch has a record too few or too many.
    #[error("expected {records} records of {RECORD} bytes, {expected} in all, got {}", more(*got, *expected))]
    Length {
        /// The records that it should have.
        records: usize,
        /// The bytes that it should have.
        expected: usize,
        /// The bytes that it has, as far as they were read.
        got: usize,
    },
    /// A label is none of the ten classes.
    #[error("record {record}: expected a label of 0 to 9, got {got}")]
    Label {
        /// Which record of the batch, from 0.
        record: usize,
        /// The label.
        got: u8,
    },
}

fn more(got: usize, expected: usize) -> String {
    if got > expected { "more".into() } else { got.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    /// Two records of batch `number`: labels and pixels tell which one is which.
    fn batch(number: u8) -> Vec<u8> {
        let record = |index: u8| {
            let mut record = vec![number * 10 + index; RECORD];
            record[0] = number + index;
            record
        };
        [record(0), record(1)].concat()
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (number, name) in (0..).zip(BATCHES) {
            fs::write(folder.path().join(name), batch(number)).unwrap();
        }
        folder
    }

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (number, name) in (0..).zip(names) {
            let mut header = tar::Header::new_gnu();
            header.set_size(batch(number).len() as u64);
            header.set_mode(0o644);
            let path = format!("cifar-10-batches-bin/{name}");
            tar.append_data(&mut header, path, batch(number).as_slice()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn error(path: &Path) -> String {
        read(path, 2).unwrap_err().to_string()
    }

    #[test]
    fn five_batches_are_for_training_and_the_sixth_is_for_the_test() {
        let folder = folder();
        let cifar = read(folder.path(), 2).unwrap();
        assert_eq!(cifar.train.labels, [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]);
        assert_eq!(cifar.test.labels, [5, 6]);
        assert_eq!(cifar.train.pixels.len(), 10 * 3 * 32 * 32);
        assert_eq!((cifar.train.pixels[0], cifar.test.pixels[3 * 32 * 32]), (0, 51));
        assert_eq!((cifar.test.channels, cifar.test.height, cifar.test.width), (3, 32, 32));
    }

    #[test]
    fn the_archive_holds_the_same_as_the_folder_in_whatever_order() {
        let folder = folder();
        let path = folder.path().join("cifar-10-binary.tar.gz");
        fs::write(&path, archive(&BATCHES)).unwrap();
        let [unpacked, packed] = [folder.path(), &path].map(|path| read(path, 2).unwrap());
        assert_eq!((&packed.train, &packed.test), (&unpacked.train, &unpacked.test));
        assert_eq!(packed.digest, unpacked.digest);
    }

    #[test]
    fn a_truncated_batch_is_refused_by_name() {
        let folder = folder();
        let path = folder.path().join("data_batch_3.bin");
        let whole = batch(2);
        for (bytes, got) in [(&whole[..RECORD], "3073"), (&[&whole[..], &[0]].concat(), "more")] {
            fs::write(&path, bytes).unwrap();
            let expected = format!(
                "{}: expected 2 records of 3073 bytes, 6146 in all, got {got}",
                path.display()
            );
            assert_eq!(error(folder.path()), expected);
        }
    }

    #[test]
    fn a_label_that_is_no_class_is_refused_by_name() {
        let folder = folder();
        let path = folder.path().join("test_batch.bin");
        let mut bytes = batch(5);
        bytes[RECORD] = 10;
        fs::write(&path, bytes).unwrap();
        let expected = format!("{}: record 1: expected a label of 0 to 9, got 10", path.display());
        assert_eq!(error(folder.path()), expected);
    }

    #[test]
    fn a_missing_batch_is_named() {
        let folder = folder();
        fs::remove_file(folder.path().join("data_batch_5.bin")).unwrap();
        assert!(error(folder.path()).contains("data_batch_5.bin: cannot be read"));
        let path = folder.path().join("five.tar.gz");
        fs::write(&path, archive(&BATCHES[..5])).unwrap();
        assert!(error(&path).contains("five.tar.gz: holds no `test_batch.bin`"));
    }

    #[test]
    fn a_damaged_archive_is_refused_by_name() {
        let folder = folder();
        let path = folder.path().join("cut.tar.gz");
        let whole = archive(&BATCHES);
        for bytes in [&whole[..whole.len() / 2], b"no archive"] {
            fs::write(&path, bytes).unwrap();
            assert!(error(&path).contains("cut.tar.gz: "), "{}", error(&path));
        }
    }
}
