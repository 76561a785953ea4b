//! Reads IDX, the format of the MNIST family: arrays of unsigned bytes.
//!
//! Two zero bytes, the element type (8 for unsigned bytes), the number of dimensions, each extent as
//! a big-endian 32-bit number, then the values in row-major order, and nothing after them.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::memory;

const UNSIGNED_BYTE: u8 = 8;

/// An array of bytes; its values always fill its shape.
#[derive(Debug, PartialEq)]
pub struct Idx {
    /// The extent of each dimension.
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub values: Vec<u8>,
}

impl Idx {
    /// The array in the IDX file `bytes`.
    ///
    /// # Errors
    /// When a byte is missing or too many, or the values are no unsigned bytes.
    pub fn parse(mut bytes: Vec<u8>) -> Result<Idx, Problem> {
        let Some((&[zero, also_zero, kind, rank], rest)) = bytes.split_first_chunk() else {
            return Err(Problem::Header { expected: 4, got: bytes.len() });
        };
        if [zero, also_zero, kind] != [0, 0, UNSIGNED_BYTE] {
            return Err(Problem::Magic { rank, got: [zero, also_zero, kind, rank] });
        }
        let header = 4 + 4 * usize::from(rank);
        let Some(extents) = rest.get(..header - 4) else {
            return Err(Problem::Header { expected: header, got: bytes.len() });
        };
        let shape: Vec<usize> = extents
            .as_chunks()
            .0
            .iter()
            .map(|&extent| u32::from_be_bytes(extent) as usize)
            .collect();

        let expected =
            shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        let got = bytes.len() - header;
        if expected != Some(got) {
            return Err(Problem::Length { shape, got });
        }
        bytes.drain(..header);
        Ok(Idx { shape, values: bytes })
    }
}

/// The bytes of the file at `path`, decompressed if they are gzip.
///
/// # Errors
/// When the file cannot be read, or its compressed form is damaged.
pub fn decompressed(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || plain(fs::read(path)?);
    read().map_err(|cause| Error { file: path.to_owned(), problem: Problem::Read(cause) })
}

/// The bytes of the file `bytes`, decompressed if they are gzip: as many as its header declares and one
/// more, which is enough to see that there are too many, however far a small file may swell.
///
/// # Errors
/// When the compressed form is damaged, or declares more than the memory holds.
pub fn plain(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut reader = MultiGzDecoder::new(bytes.as_slice());
    let mut plain = Vec::new();
    reader.by_ref().take(LONGEST_HEADER).read_to_end(&mut plain)?;
    let Some(length) = declared(&plain) else { return Ok(plain) };
    memory::check(length).map_err(io::Error::other)?;
    let most = length + 1;
    plain.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    reader.take(most - plain.len() as u64).read_to_end(&mut plain)?;
    Ok(plain)
}

/// The longest header: 255 extents of four bytes.
const LONGEST_HEADER: u64 = 4 + 4 * 255;

/// How long the file is that begins with `head`, if that is a header.
fn declared(head: &[u8]) -> Option<u64> {
    let (&[0, 0, UNSIGNED_BYTE, rank], rest) = head.split_first_chunk()? else { return None };
    let (extents, _) = rest.get(..4 * usize::from(rank))?.as_chunks();
    let values = extents.iter().try_fold(1_u64, |product, &extent| {
        product.checked_mul(u64::from(u32::from_be_bytes(extent)))
    });
    values?.checked_add(4 + 4 * u64::from(rank))
}

/// An IDX file that cannot be used: which one, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with an IDX file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be opened, read or decompressed.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// It ends within its header.
    #[error("expected an IDX header of {expected} bytes, got a file of {got}")]
    Header {
        /// The header's length.
        expected: usize,
        /// The file's length.
        got: usize,
    },
    /// It does not begin as an IDX file of unsigned bytes.
    #[error(
        "expected an IDX file of unsigned bytes, which begins with 0x000008{rank:02x}, got 0x{}",
        got.map(|byte| format!("{byte:02x}")).concat()
    )]
    Magic {
        /// The file's fourth byte, which may be anything.
        rank: u8,
        /// The file's first four bytes.
        got: [u8; 4],
    },
    /// Its values do not fill its shape, or there are more.
    #[error("expected {} for shape {shape:?}, got {got}", needed(shape))]
    Length {
        /// The declared shape.
        shape: Vec<usize>,
        /// The bytes behind the header.
        got: usize,
    },
}

fn needed(shape: &[usize]) -> String {
    let product: u128 = shape.iter().fold(1, |product, &n| product.saturating_mul(n as u128));
    format!("{product} bytes of data")
}

/// An IDX file.
#[cfg(test)]
pub(crate) fn encode(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, UNSIGNED_BYTE, u8::try_from(shape.len()).unwrap()];
    bytes.extend(shape.iter().flat_map(|extent| extent.to_be_bytes()));
    bytes.extend(values);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(bytes: &[u8]) -> String {
        Idx::parse(bytes.to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn an_array_is_read_with_its_shape() {
        let idx = Idx::parse(encode(&[2, 1, 3], &[1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!(idx, Idx { shape: vec![2, 1, 3], values: vec![1, 2, 3, 4, 5, 6] });
    }

    #[test]
    fn a_truncated_file_is_refused() {
        assert_eq!(error(b"\0\0\x08"), "expected an IDX header of 4 bytes, got a file of 3");
        let whole = encode(&[2, 3], &[0; 6]);
        assert_eq!(error(&whole[..11]), "expected an IDX header of 12 bytes, got a file of 11");
        assert_eq!(error(&whole[..17]), "expected 6 bytes of data for shape [2, 3], got 5");
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&[2], &[0; 2]);
        bytes.push(0);
        assert_eq!(error(&bytes), "expected 2 bytes of data for shape [2], got 3");
    }

    #[test]
    fn a_wrong_magic_is_refused() {
        let mut bytes = encode(&[1, 1, 1], &[0]);
        bytes[2] = 0x0d;
        assert_eq!(
            error(&bytes),
            "expected an IDX file of unsigned bytes, which begins with 0x00000803, got 0x00000d03"
        );
    }

    #[test]
    fn a_shape_beyond_counting_is_refused() {
        let bytes = encode(&[u32::MAX; 5], &[0]);
        assert!(error(&bytes).ends_with(", got 1"));
        let zero = encode(&[u32::MAX, u32::MAX, u32::MAX, 0], &[]);
        assert!(Idx::parse(zero).is_err());
    }

    #[test]
    fn a_truncated_archive_is_refused_by_name() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        io::Write::write_all(&mut gzip, &encode(&[2], &[1, 2])).unwrap();
        let whole = gzip.finish().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &whole).unwrap();
        assert_eq!(decompressed(file.path()).unwrap(), encode(&[2], &[1, 2]));
        fs::write(file.path(), &whole[..whole.len() - 5]).unwrap();
        let error = decompressed(file.path()).unwrap_err().to_string();
        let expected = format!("{}: cannot be read: ", file.path().display());
        assert!(error.starts_with(&expected), "{error}");
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        io::Write::write_all(&mut gzip, bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn a_small_archive_that_swells_is_read_no_further_than_its_header_says() {
        let swollen = gzip(&encode(&[2, 3], &vec![0; 8 << 20]));
        assert_eq!(plain(swollen).unwrap().len(), 12 + 6 + 1);
        let no_idx = gzip(&vec![7; 8 << 20]);
        assert_eq!(plain(no_idx).unwrap().len() as u64, LONGEST_HEADER);
        let huge = plain(gzip(&encode(&[1 << 31, 1 << 30], &[0]))).unwrap_err().to_string();
        assert!(huge.starts_with("takes 2305843009213693964 bytes of memory"), "{huge}");
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in 0_usize..100) {
            let whole = encode(&[2, 3], &[7; 6]);
            prop_assert!(Idx::parse(whole[..cut % whole.len()].to_vec()).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused_but_never_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60)
        ) {
            let _ = Idx::parse(bytes);
        }
    }
}
