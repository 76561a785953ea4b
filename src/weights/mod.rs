//! Other people's checkpoints as named float32 arrays.
//!
//! [`load`] tells the format by a file's first bytes, never by its name, and nothing in a file is
//! ever executed: a pickle's calls are recognised or refused (`pickle.rs`). Memory is proportional to
//! the file, whatever it claims. One file here reads one format; a further format is one more reader
//! and one more line in `Format`.
//!
//! Integers without dimensions, in which networks count the batches that they have seen, are no
//! weights and left out; all else must be floating-point arrays. [`Layout`] turns names and order of
//! other libraries into ours, [`sources`] has the checkpoints that polarity knows by name. What the
//! names mean for a network is left to `transfer`.

mod archive;
mod array;
mod fault;
mod floats;
mod layout;
mod npy;
mod numpy;
mod pickle;
mod safetensors;
pub mod sources;
mod torch;
mod tree;
mod write;
mod zipped;

pub use array::Array;
pub use fault::Fault as PickleFault;
pub use layout::Layout;
pub use write::{digest, to_safetensors};

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A checkpoint: its arrays by name, in name order.
pub type Checkpoint = BTreeMap<String, Array>;

/// The arrays of the file at `path`, each converted to float32. The one array of an `.npy` file has
/// the name of the file.
///
/// # Errors
/// When the file cannot be read, is of no known format, is damaged, or holds something that is not
/// an array of floating-point numbers. The error names the file and the array.
pub fn load(path: &Path) -> Result<Checkpoint, Error> {
    let within = |problem| Error { file: path.to_owned(), problem };
    let bytes = fs::read(path).map_err(|cause| within(Problem::Read(cause)))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    parse(&bytes, &stem).map_err(within)
}

/// The arrays of the file `bytes`; an array without a name is called `name`.
fn parse(bytes: &[u8], name: &str) -> Result<Checkpoint, Problem> {
    let checkpoint = match Format::of(bytes)? {
        Format::Safetensors => safetensors::parse(bytes)?,
        Format::Zip => zipped::parse(bytes)?,
        Format::Torch => torch::parse_legacy(bytes)?,
        Format::Npy => npy::parse(bytes, name)?,
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
    /// A zip archive: PyTorch's since 1.6, or NumPy's `.npz`.
    Zip,
    /// PyTorch's before 1.6: pickles and storages one after the other.
    Torch,
    /// NumPy's `.npy`.
    Npy,
    /// A Python pickle of dicts and lists of NumPy arrays, protocol 2 to 5.
    Pickle,
}

impl Format {
    fn of(bytes: &[u8]) -> Result<Format, Problem> {
        match bytes {
            _ if bytes.starts_with(archive::MAGIC) => Ok(Format::Zip),
            _ if bytes.starts_with(torch::LEGACY_MAGIC) => Ok(Format::Torch),
            _ if bytes.starts_with(npy::MAGIC) => Ok(Format::Npy),
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
        "unknown format; expected safetensors, PyTorch's `.pth`, NumPy's `.npy` or `.npz`, or a pickle \
         of NumPy arrays, got a file that starts with `{start}`"
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
    /// A value is no array, and holds none.
    #[error("{name}: expected a dict, a list or an array, got {got}")]
    Object {
        /// The value's place, dict keys joined by dots.
        name: String,
        /// What it is.
        got: String,
    },
    /// The outermost value is no dict, so the arrays would have no names.
    #[error("expected a dict of arrays, such as `model.state_dict()`, got {got}")]
    Root {
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
    /// An array whose parts are not what its library writes.
    #[error("{array}: malformed array; expected {expected}, got {got}")]
    Malformed {
        /// The array's name.
        array: String,
        /// What its library writes there.
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
    /// The file is no zip archive.
    #[error("not a sound zip archive: {0}")]
    Zip(String),
    /// A part of a zip archive is not what it should be.
    #[error("`{part}`: {what}")]
    Archive {
        /// The part's name.
        part: String,
        /// What is wrong with it.
        what: String,
    },
    /// A zip archive declares sizes that no checkpoint of its size has.
    #[error("unpacks to {declared} bytes; expected at most {most} from a file of this size")]
    Bomb {
        /// The sum of the sizes.
        declared: u64,
        /// What is allowed.
        most: u64,
    },
    /// PyTorch's file is from a machine that writes the high byte first.
    #[error("expected little-endian values, got big-endian ones")]
    ByteOrder,
    /// PyTorch's old format has another version.
    #[error("expected version 1001 of PyTorch's old format, got another one")]
    LegacyVersion,
    /// A tensor's values are not in the file.
    #[error("storage {key}: missing; the file is cut off or was put together by hand")]
    Storage {
        /// The name of the values.
        key: String,
    },
    /// There is something behind the last values.
    #[error("expected the end of the file, got {bytes} more bytes")]
    Trailing {
        /// How much.
        bytes: usize,
    },
    /// Views of a few values would make a huge network.
    #[error(
        "{array}: with it the tensors hold more values than the file has bytes; expected every value \
         about once"
    )]
    Swollen {
        /// The first array that is too much.
        array: String,
    },
    /// A kernel that should have two groups has an odd number of outputs, or none.
    #[error("{array}: expected two groups, got {outputs} outputs")]
    Groups {
        /// The array's name.
        array: String,
        /// The number of outputs.
        outputs: usize,
    },
    /// A dense kernel has not the inputs of the image that it should lie over.
    #[error(
        "{array}: expected the inputs of an image of [rows, columns, channels] {image:?}, got {got}"
    )]
    Image {
        /// The array's name.
        array: String,
        /// The image.
        image: [usize; 3],
        /// The inputs that there are.
        got: usize,
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

impl Problem {
    /// `array` of `shape` needs `expected` bytes, if that can be counted, and has `got`.
    fn length(array: &str, shape: Vec<usize>, expected: Option<usize>, got: usize) -> Self {
        let expected = expected.map_or("uncountably many".into(), |needed| needed.to_string());
        Problem::Length { array: array.into(), shape, expected, got }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Written by `testdata/make.py`: the same two layers by every library.
    const NET: [(&str, &[u8]); 6] = [
        ("safetensors", include_bytes!("testdata/net.safetensors")),
        ("pth", include_bytes!("testdata/net.pth")),
        ("legacy pth", include_bytes!("testdata/net-legacy.pth")),
        ("parameters", include_bytes!("testdata/net-parameters.pth")),
        ("npz", include_bytes!("testdata/net.npz")),
        ("compressed npz", include_bytes!("testdata/net-compressed.npz")),
    ];

    #[test]
    fn every_format_of_the_same_network_gives_the_same_weights() {
        let [(_, first), ..] = NET;
        let expected = parse(first, "").unwrap();
        assert_eq!(expected.len(), 4);
        for (format, bytes) in NET {
            assert_eq!(parse(bytes, "").unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn the_signs_are_those_that_numpy_sees() {
        // testdata/make.py: b"".join(np.sign(w).astype("i1").tobytes() for w in kernels, by name)
        let signs = include_bytes!("testdata/net.signs").map(|sign| sign as i8);
        for (format, bytes) in NET {
            let kernels =
                parse(bytes, "").unwrap().into_iter().filter(|(_, w)| w.shape().len() > 1);
            let ours: Vec<i8> = kernels
                .flat_map(|(_, array)| array.into_values())
                .map(|w| if w == 0.0 { 0 } else { w.signum() as i8 })
                .collect();
            assert_eq!(ours, signs, "{format}");
        }
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in any::<prop::sample::Index>()) {
            for (format, bytes) in NET {
                prop_assert!(parse(&bytes[..cut.index(bytes.len())], "").is_err(), "{}", format);
            }
        }

        #[test]
        fn any_damage_is_read_or_refused_but_never_a_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            for (_, bytes) in NET {
                let mut bytes = bytes.to_vec();
                for (at, byte) in &damage {
                    *at.get_mut(&mut bytes) = *byte;
                }
                let _ = parse(&bytes, "");
            }
        }
    }

    #[test]
    fn the_format_is_told_by_the_first_bytes() {
        assert_eq!(Format::of(b"\x80\x04\x95").unwrap(), Format::Pickle);
        assert_eq!(Format::of(b"\x40\0\0\0\0\0\0\0{}").unwrap(), Format::Safetensors);
    }

    #[test]
    fn an_unknown_format_is_refused_with_its_first_bytes() {
        let png = parse(b"\x89PNG\r\n\x1a\n", "").unwrap_err().to_string();
        assert!(png.contains(r"got a file that starts with `\x89PNG\r\n\x1a\n`"), "{png}");
        assert!(matches!(parse(b"", ""), Err(Problem::Format { .. })));
        assert!(matches!(parse(b"\x80\x01", ""), Err(Problem::Format { .. })));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("no/such.ckpt")).unwrap_err().to_string();
        assert!(error.starts_with("no/such.ckpt: cannot be read: "), "{error}");
    }

    #[test]
    fn a_checkpoint_without_an_array_is_refused() {
        assert!(matches!(parse(b"\x80\x02}.", ""), Err(Problem::Empty)));
    }
}
