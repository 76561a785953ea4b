//! The values of an array as a file has them: as they are, compressed, or written as text.
//!
//! They are checked and unpacked when they are wanted and given up again, so that one array at a time
//! takes memory.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, OnceLock};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::bytes::Bytes;
use super::latin1;
use crate::memory;

/// How many bytes a byte can unpack to, at most (deflate).
const DENSEST: u64 = 1032;

/// Values in a file.
#[derive(Debug)]
pub(super) struct Data {
    packed: Bytes,
    coding: Coding,
    /// Bytes of the values themselves.
    size: u64,
    /// What the archive says of them.
    checksum: Option<u32>,
    /// Whether the checksum has been found right.
    checked: OnceLock<()>,
    unpacked: Arc<Unpacked>,
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Coding {
    /// As they are.
    Plain,
    /// Compressed, in a zip archive.
    Deflated,
    /// Compressed in a way that is not read.
    Unknown,
    /// Each byte a code point of a text; how the pickle's protocol 2 writes bytes.
    Latin1,
}

/// The part of an archive that was unpacked last: tensors that share a storage come one after the other.
#[derive(Default)]
pub(super) struct Unpacked(Mutex<Option<(u64, Bytes)>>);

impl fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unpacked")
    }
}

impl Data {
    /// Values that are in the file as they are.
    pub(super) fn plain(bytes: Bytes) -> Self {
        Data {
            size: bytes.len(),
            packed: bytes,
            coding: Coding::Plain,
            checksum: None,
            checked: OnceLock::new(),
            unpacked: Arc::default(),
        }
    }

    /// Values that are written as text; none where the text is not of bytes.
    pub(super) fn latin1(text: Bytes) -> io::Result<Option<Self>> {
        let size = latin1::length(text.reader())?;
        Ok(size.map(|size| Data { coding: Coding::Latin1, size, ..Data::plain(text) }))
    }

    /// A part of an archive that says its `size` and `checksum`.
    pub(super) fn in_archive(
        packed: Bytes,
        coding: Coding,
        size: u64,
        checksum: Option<u32>,
        unpacked: Arc<Unpacked>,
    ) -> Self {
        Data { packed, coding, size, checksum, checked: OnceLock::new(), unpacked }
    }

    /// Whether they are the same bytes of the same file.
    pub(super) fn is_same(&self, other: &Data) -> bool {
        self.coding == other.coding && self.packed.is_same(&other.packed)
    }

    /// Bytes of the values.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The values, in the file or in memory.
    ///
    /// # Errors
    /// When they do not have their size or checksum, are more than the memory holds, or cannot be read.
    pub(super) fn open(&self) -> io::Result<Bytes> {
        if self.coding == Coding::Plain {
            if self.checked.get().is_none() {
                self.check()?;
                let _ = self.checked.set(());
            }
            return Ok(self.packed.clone());
        }
        if self.coding == Coding::Latin1 {
            return Ok(self.unpack()?.into());
        }
        let mut last = self.unpacked.0.lock().expect("nothing panics while it is held");
        if let Some((start, bytes)) = &*last
            && *start == self.packed.start()
        {
            return Ok(bytes.clone());
        }
        // What was unpacked before is given up first.
        *last = None;
        let bytes = Bytes::from(self.unpack()?);
        *last = Some((self.packed.start(), bytes.clone()));
        Ok(bytes)
    }

    /// The same where they are no values of tensors but words about them, which people write and which
    /// do not shrink to nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where they unpack to what no words do.
    pub(super) fn open_words(&self) -> io::Result<Bytes> {
        const ALWAYS: u64 = 1 << 20;
        const DENSEST_WORDS: u64 = 64;
        if self.size > ALWAYS.saturating_add(self.packed.len().saturating_mul(DENSEST_WORDS)) {
            let what = format!("unpacks to {} bytes from {}", self.size, self.packed.len());
            return Err(io::Error::other(format!("{what}, as no checkpoint's pickle does")));
        }
        self.open()
    }

    /// The first of them, at most `most`, unchecked.
    pub(super) fn head(&self, most: u64) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.reader()?.take(most).read_to_end(&mut head)?;
        Ok(head)
    }

    fn reader(&self) -> io::Result<Box<dyn Read>> {
        let packed = io::BufReader::with_capacity(1 << 18, self.packed.reader());
        Ok(match self.coding {
            Coding::Plain => Box::new(packed),
            Coding::Deflated => Box::new(DeflateDecoder::new(packed)),
            Coding::Latin1 => Box::new(latin1::Decoder::new(packed)),
            Coding::Unknown => {
                let how = "is compressed in a way that is not read; pack it again with `zip`";
                return Err(io::Error::other(how));
            }
        })
    }

    fn unpack(&self) -> io::Result<Vec<u8>> {
        memory::check(self.size).map_err(io::Error::other)?;
        let most = self.packed.len().saturating_mul(DENSEST);
        let mut bytes = Vec::with_capacity(self.size.min(most) as usize);
        self.reader()?.take(self.size + 1).read_to_end(&mut bytes)?;
        let mut sum = Crc::new();
        sum.update(&bytes);
        self.compare(bytes.len() as u64, &sum)?;
        Ok(bytes)
    }

    fn check(&self) -> io::Result<()> {
        if self.checksum.is_none() && self.size == self.packed.len() {
            return Ok(());
        }
        let (mut reader, mut sum, mut size) = (self.packed.reader(), Crc::new(), 0);
        let mut buffer = vec![0; 1 << 18];
        loop {
            match reader.read(&mut buffer)? {
                0 => return self.compare(size, &sum),
                count => {
                    sum.update(&buffer[..count]);
                    size += count as u64;
                }
            }
        }
    }

    fn compare(&self, got: u64, sum: &Crc) -> io::Result<()> {
        let declared = self.size;
        if got != declared {
            let more = if got > declared { "more" } else { "fewer" };
            return Err(io::Error::other(format!("unpacks to {more} than its {declared} bytes")));
        }
        match self.checksum {
            Some(checksum) if checksum != sum.sum() => {
                Err(io::Error::other("has another checksum than the archive says; it is damaged"))
            }
            _ => Ok(()),
        }
    }
}
