//! The bytes of a file, or a part of them, read when and where they are wanted.
//!
//! A checkpoint may be larger than it is good to hold: what lies on a disk is read tensor by tensor,
//! and only what came through a pipe is kept in memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::memory;

/// A run of bytes of a file; a clone is another look at the same ones.
#[derive(Clone)]
pub(super) struct Bytes {
    store: Arc<Store>,
    start: u64,
    length: u64,
}

enum Store {
    Disk(File),
    Memory(Vec<u8>),
}

impl Bytes {
    /// All bytes of `file`: a regular file is read when it is needed, anything else now and once.
    pub(super) fn of_file(mut file: File) -> io::Result<Self> {
        let about = file.metadata()?;
        if about.is_file() && about.len() > 0 {
            let store = Arc::new(Store::Disk(file));
            return Ok(Bytes { store, start: 0, length: about.len() });
        }
        let mut all = Vec::new();
        file.read_to_end(&mut all)?;
        Ok(all.into())
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Where they begin in their file.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Whether they are the same of the same file.
    pub(super) fn is_same(&self, other: &Bytes) -> bool {
        Arc::ptr_eq(&self.store, &other.store)
            && (self.start, self.length) == (other.start, other.length)
    }

    /// `length` of them from `offset` on, if there are as many.
    pub(super) fn part(&self, offset: u64, length: u64) -> Option<Bytes> {
        let end = offset.checked_add(length)?;
        let store = self.store.clone();
        (end <= self.length).then(|| Bytes { store, start: self.start + offset, length })
    }

    /// All from `offset` on; none where that is behind the end.
    pub(super) fn after(&self, offset: u64) -> Bytes {
        let length = self.length.saturating_sub(offset);
        self.part(self.length - length, length).expect("it ends where this ends")
    }

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// When there are not as many, or the disk fails.
    pub(super) fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let part = self
            .part(offset, into.len() as u64)
            .ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        match &*self.store {
            Store::Disk(file) => file.read_exact_at(into, part.start),
            Store::Memory(all) => {
                let start = part.start as usize;
                into.copy_from_slice(&all[start..start + into.len()]);
                Ok(())
            }
        }
    }

    /// The first of them, at most `most`.
    pub(super) fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut head = vec![0; most.min(usize::try_from(self.length).unwrap_or(most))];
        self.read_at(0, &mut head)?;
        Ok(head)
    }

    /// All of them, in memory.
    ///
    /// # Errors
    /// When that is more memory than there is, or the disk fails.
    pub(super) fn all(&self) -> io::Result<Vec<u8>> {
        memory::check(self.length).map_err(io::Error::other)?;
        self.head(usize::MAX)
    }

    /// A reader from the first of them on.
    pub(super) fn reader(&self) -> Reader {
        Reader { bytes: self.clone(), at: 0 }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(all: Vec<u8>) -> Self {
        let length = all.len() as u64;
        Bytes { store: Arc::new(Store::Memory(all)), start: 0, length }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes from {}", self.length, self.start)
    }
}

/// Reads bytes one after the other.
pub(super) struct Reader {
    bytes: Bytes,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.bytes.length.saturating_sub(self.at);
        let count = into.len().min(usize::try_from(left).unwrap_or(into.len()));
        if count == 0 {
            return Ok(0);
        }
        self.bytes.read_at(self.at, &mut into[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, distance) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::End(distance) => (self.bytes.length, distance),
            SeekFrom::Current(distance) => (self.at, distance),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "before the first byte");
        self.at = base.checked_add_signed(distance).ok_or_else(before)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn both(content: &[u8]) -> [Bytes; 2] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        [Bytes::of_file(file).unwrap(), content.to_vec().into()]
    }

    #[test]
    fn a_part_of_a_part_is_read_where_it_lies() {
        for bytes in both(b"0123456789") {
            let part = bytes.part(2, 6).unwrap();
            assert_eq!(part.all().unwrap(), b"234567");
            assert_eq!(part.part(1, 2).unwrap().all().unwrap(), b"34");
            assert_eq!(part.after(4).all().unwrap(), b"67");
            assert_eq!(part.after(9).len(), 0);
            assert_eq!(part.head(3).unwrap(), b"234");
            assert!(part.part(1, 6).is_none() && part.part(u64::MAX, 2).is_none());
            assert!(part.read_at(5, &mut [0; 2]).is_err(), "the file has it, the part has not");
        }
    }

    #[test]
    fn a_reader_goes_where_it_is_sent_and_ends_with_its_part() {
        for bytes in both(b"0123456789") {
            let mut reader = bytes.part(1, 5).unwrap().reader();
            let mut rest = |from| {
                let at = reader.seek(from).unwrap();
                let mut rest = String::new();
                reader.read_to_string(&mut rest).unwrap();
                (at, rest)
            };
            assert_eq!(rest(SeekFrom::Start(3)), (3, "45".into()));
            assert_eq!(rest(SeekFrom::End(-1)), (4, "5".into()));
            assert_eq!(rest(SeekFrom::Start(9)), (9, String::new()));
            assert!(reader.seek(SeekFrom::End(-6)).is_err());
        }
    }

    #[test]
    fn what_is_no_regular_file_is_read_once() {
        let (mut write, read) = {
            let (reader, writer) = io::pipe().unwrap();
            (File::from(std::os::fd::OwnedFd::from(writer)), std::os::fd::OwnedFd::from(reader))
        };
        write.write_all(b"through a pipe").unwrap();
        drop(write);
        let bytes = Bytes::of_file(File::from(read)).unwrap();
        assert_eq!(bytes.after(8).all().unwrap(), b"a pipe");
        assert_eq!(bytes.all().unwrap(), b"through a pipe");
    }
}
