//! Other people's checkpoints as named float32 arrays.
//!
//! [`load`] tells the format by a file's first bytes, never by its name, and nothing in a file is
//! ever executed. One file here reads one format; a further format is one more reader and one more
//! line in `Format`. What the names mean for a network is left to `transfer`; the checkpoints
//! that polarity knows by name are in [`sources`].

mod array;
mod floats;
mod numpy;
mod pickle;
mod safetensors;
pub mod sources;
mod write;

pub use array::Array;
pub use pickle::Fault as PickleFault;
pub use write::{digest, to_safetensors};

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A checkpoint: its arrays by name, in name order.
pub type Checkpoint = BTreeMap<String, Array>;

/// The arrays of the file at `path`, each converted to float32.
///
/// # Errors
/// When the file cannot be read, is of no known format, is damaged, or holds something that is not
/// an array of floating-point numbers. The error names the file and the array.
pub fn load(path: &Path) -> Result<Checkpoint, Error> {
    let within = |problem| Error { file: path.to_owned(), problem };
    let bytes = fs::read(path).map_err(|cause| within(Problem::Read(cause)))?;
    parse(&bytes).map_err(within)
}

fn parse(bytes: &[u8]) -> Result<Checkpoint, Problem> {
    let checkpoint = match Format::of(bytes)? {
        Format::Safetensors => safetensors::parse(bytes)?,
        Format::Pickle => numpy::arrays(&pickle::Pickle::parse(bytes)?)?,
    };
    if checkpoint.is_empty() {
        return Err(Problem::Empty);
    }
    Ok(checkpoint)
}

/// The formats that can be read.
#[derive(Debug, PartialEq)]
enum Format {
    /// An 8-byte length, then a JSON object.
    Safetensors,
    /// A Python pickle of nested dicts of NumPy arrays, protocol 2 to 5.
    Pickle,
}

impl Format {
    fn of(bytes: &[u8]) -> Result<Format, Problem> {
        match bytes {
            [0x80, 2..=5, ..] => Ok(Format::Pickle),
            [_, _, _, _, _, _, _, _, b'{', ..] => Ok(Format::Safetensors),
            _ => {
                let start = &bytes[..bytes.len().min(8)];
                Err(Problem::Format { start: start.escape_ascii().to_string() })
            }
        }
    }
}

/// A checkpoint that cannot be used: which file, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct Error {
    /// The checkpoint's file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// The first bytes are those of no format that can be read.
    #[error(
        "unknown format; expected safetensors or a pickle (protocol 2 to 5) of NumPy arrays, got a \
         file that starts with `{start}`; PyTorch's `safetensors.torch.save_file` writes safetensors"
    )]
    Format {
        /// The file's first bytes, escaped.
        start: String,
    },
    /// The file holds no array at all.
    #[error("holds no array; expected at least one")]
    Empty,
    /// The file breaks a rule of the safetensors format.
    #[error("not a sound safetensors file: {0}")]
    Safetensors(::safetensors::SafeTensorError),
    /// The file breaks a rule of the pickle format, or needs a part of it that is not read.
    #[error("not a sound pickle: byte {offset}: {fault}")]
    Pickle {
        /// Where in the file.
        offset: usize,
        /// The rule.
        fault: PickleFault,
    },
    /// A value is neither a dict nor a NumPy array.
    #[error("{name}: expected a dict or a NumPy array, got {got}")]
    Object {
        /// The value's place, dict keys joined by dots.
        name: String,
        /// What it is.
        got: String,
    },
    /// A dict's key cannot be part of a name.
    #[error(
        "{parent}: expected keys that are text without control characters, of at most {max} bytes \
         with their parents', got {got}"
    )]
    Key {
        /// The dict's place.
        parent: String,
        /// The greatest length of a full name.
        max: usize,
        /// What the key is.
        got: String,
    },
    /// Dicts inside dicts inside dicts…
    #[error("{name}: dicts are nested more than {max} deep")]
    Depth {
        /// The place of the innermost dict.
        name: String,
        /// The greatest depth.
        max: usize,
    },
    /// Two names mean the same object, so a small file could describe a huge checkpoint.
    #[error("{name}: the same object as {first}; expected every array once")]
    Shared {
        /// The second name.
        name: String,
        /// The first name.
        first: String,
    },
    /// Two arrays have the same name.
    #[error("{array}: appears twice")]
    Duplicate {
        /// The array's name.
        array: String,
    },
    /// A NumPy array whose parts are not what NumPy writes.
    #[error("{array}: malformed NumPy array; expected {expected}, got {got}")]
    Malformed {
        /// The array's name.
        array: String,
        /// What NumPy writes there.
        expected: &'static str,
        /// What is there.
        got: String,
    },
    /// An array's element type is not one that can be read.
    #[error("{array}: expected {expected}, got `{got}`")]
    Dtype {
        /// The array's name.
        array: String,
        /// The types that can be read.
        expected: &'static str,
        /// The type in the file.
        got: String,
    },
    /// An array is stored column by column.
    #[error(
        "{array}: expected row-major (C) order, got column-major (Fortran) order; save \
         `numpy.ascontiguousarray(x)`"
    )]
    ColumnMajor {
        /// The array's name.
        array: String,
    },
    /// An array's data do not fill its shape.
    #[error("{array}: expected {expected} bytes for shape {shape:?}, got {got}")]
    Length {
        /// The array's name.
        array: String,
        /// The declared shape.
        shape: Vec<usize>,
        /// The bytes that the shape needs, or that it needs more than can be counted.
        expected: String,
        /// The bytes in the file.
        got: usize,
    },
    /// A float64 that is not zero is zero or infinite as a float32.
    #[error("{array}: `{value:e}` does not fit a float32; its polarity or size would be lost")]
    Range {
        /// The array's name.
        array: String,
        /// The value.
        value: f64,
    },
    /// An array that must be turned to another layout has another number of dimensions.
    #[error("{array}: expected {expected} dimensions, got shape {shape:?}")]
    Rank {
        /// The array's name.
        array: String,
        /// The dimensions that the layout has.
        expected: usize,
        /// The array's shape.
        shape: Vec<usize>,
    },
    /// A known checkpoint lacks an array.
    #[error("{array}: missing; the file is not the checkpoint that it is taken for")]
    Missing {
        /// The array's name in the file.
        array: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_told_by_the_first_bytes() {
        assert_eq!(Format::of(b"\x80\x04\x95").unwrap(), Format::Pickle);
        assert_eq!(Format::of(b"\x40\0\0\0\0\0\0\0{}").unwrap(), Format::Safetensors);
    }

    #[test]
    fn an_unknown_format_is_refused_with_its_first_bytes() {
        let zip = parse(b"PK\x03\x04and more").unwrap_err().to_string();
        assert!(zip.contains(r"got a file that starts with `PK\x03\x04and `"), "{zip}");
        assert!(matches!(parse(b""), Err(Problem::Format { .. })));
        assert!(matches!(parse(b"\x80\x01"), Err(Problem::Format { .. })));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("no/such.ckpt")).unwrap_err().to_string();
        assert!(error.starts_with("no/such.ckpt: cannot be read: "), "{error}");
    }

    #[test]
    fn a_checkpoint_without_an_array_is_refused() {
        assert!(matches!(parse(b"\x80\x02}."), Err(Problem::Empty)));
    }
}
