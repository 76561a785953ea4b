//! What can be wrong with a checkpoint: a variant a rule, each with a way out where there is one.

use std::fmt;
use std::io;

use super::defect::Defect;
use super::fault::Fault as PickleFault;
use super::left::LeftOut;
use super::stranger::Stranger;
use crate::memory::TooMuch;
use crate::nearest::hint;

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
    /// The file is of a kind that is known and not read.
    #[error(transparent)]
    Stranger(#[from] Stranger),
    /// The path is a folder's.
    #[error("is a folder; name the checkpoint in it")]
    Folder,
    /// The file has no byte.
    #[error("is empty; get the file again")]
    Nothing,
    /// The file ends too early.
    #[error("is cut off: {0}; get the file again")]
    CutOff(&'static str),
    /// The file holds no array of floating-point numbers at all.
    #[error("holds no array of floating-point numbers; expected at least one{}", got(left))]
    Empty {
        /// What it holds.
        left: LeftOut,
    },
    /// Several dicts could be the network.
    #[error(
        "holds several networks: {}; choose one with `--key` (`key` of a source in an experiment)",
        quoted(keys)
    )]
    Several {
        /// Their keys.
        keys: Vec<String>,
    },
    /// There is no dict with this key.
    #[error("holds no dict `{key}`{}{}", has(keys), hint(nearest))]
    NoSuchKey {
        /// The key.
        key: String,
        /// Those that there are.
        keys: Vec<String>,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// A beginning of names that begins none.
    #[error("no tensor's name begins with `{prefix}`{}", hint(nearest))]
    NoSuchPrefix {
        /// The beginning.
        prefix: String,
        /// The nearest that there is.
        nearest: Option<String>,
    },
    /// Two tensors come to the same name.
    #[error("{array}: `{second}` comes to this name, and another tensor too")]
    SameName {
        /// The name.
        array: String,
        /// What one of them was called.
        second: String,
    },
    /// The file breaks a rule of the safetensors format.
    #[error("not a sound safetensors file: {0}")]
    Safetensors(::safetensors::SafeTensorError),
    /// The file breaks a rule of the pickle format, or needs a part of it that is not read.
    #[error("not a sound pickle: byte {offset}: {fault}")]
    Pickle {
        /// Where in the file.
        offset: u64,
        /// The rule.
        fault: PickleFault,
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
    /// The same few objects over and over.
    #[error("{name}: the file comes to the same objects without end")]
    Endless {
        /// Where it became too much.
        name: String,
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
    /// A tensor of a kind that is not read: sparse, quantised, without values.
    #[error(
        "{array}: a tensor that is not read, made by `{got}`; save a dense one, `w.to_dense()`"
    )]
    Unreadable {
        /// The tensor.
        array: String,
        /// What it is.
        got: String,
    },
    /// A tensor's values cannot be used.
    #[error("{array}: {defect}")]
    Defect {
        /// The tensor.
        array: String,
        /// Why.
        defect: Defect,
    },
    /// All tensors together take more memory than there is.
    #[error("all its tensors as float32: {0}")]
    TooMuch(TooMuch),
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
        bytes: u64,
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
        got: u64,
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
    pub(super) fn length(array: &str, shape: &[usize], expected: Option<u64>, got: u64) -> Self {
        let expected = expected.map_or("uncountably many".into(), |needed| needed.to_string());
        Problem::Length { array: array.into(), shape: shape.to_vec(), expected, got }
    }

    /// A part of an archive is not what it should be.
    pub(super) fn archive(part: &str, what: impl fmt::Display) -> Self {
        Problem::Archive { part: part.escape_debug().to_string(), what: what.to_string() }
    }
}

/// Names in backticks.
fn quoted(names: &[String]) -> String {
    let quoted = |name: &String| format!("`{}`", name.escape_debug());
    names.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn has(keys: &[String]) -> String {
    match keys {
        [] => "; it has no dict in its outermost one".into(),
        keys => format!("; it has {}", quoted(keys)),
    }
}

fn got(left: &LeftOut) -> String {
    if left.is_empty() { String::new() } else { format!(", got {left}") }
}
