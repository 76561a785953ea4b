//! What can be wrong with a template file: one variant for each rule of the format.

use std::io;

use safetensors::SafeTensorError;
use thiserror::Error;

use super::{FORMAT, REQUIRED_METADATA};
use crate::nearest::hint;

/// A template file that cannot be used, and why.
#[derive(Debug, Error)]
#[error("{file}: {flaw}")]
pub struct FileError {
    file: String,
    flaw: Flaw,
}

impl FileError {
    pub(in crate::sign) fn new(file: &str, flaw: Flaw) -> Self {
        FileError { file: file.to_string(), flaw }
    }

    /// The file, as its user named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What is wrong with it.
    pub fn flaw(&self) -> &Flaw {
        &self.flaw
    }
}

/// What is wrong with a template file. The numbers are those of the rules in the [format](super).
#[derive(Debug, Error)]
pub enum Flaw {
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// Neither a file nor the name of a built-in template.
    #[error(
        "neither a file nor a built-in template; expected a path or one of [{}]{}",
        legal.join(", "), hint(nearest)
    )]
    Unknown {
        /// The names of the built-in templates.
        legal: Vec<String>,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// The system refuses to read the file.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// The system refuses to write the file.
    #[error("cannot be written: {0}")]
    Unwritable(io::Error),
    /// Rule 1: it is no safetensors file, or a damaged one.
    #[error("no whole safetensors file: {0}; copy or make it again")]
    Container(SafeTensorError),
    /// Rule 2: a key of the metadata is missing.
    #[error(
        "metadata `{key}`: missing; expected {}; a checkpoint becomes a template with `polarity \
         template extract`",
        REQUIRED_METADATA.join(", ")
    )]
    MissingMetadata {
        /// The key.
        key: &'static str,
    },
    /// Rule 2: the metadata has a key that the format does not know.
    #[error("metadata `{key}`: unknown; expected {}", REQUIRED_METADATA.join(", "))]
    UnknownMetadata {
        /// The key.
        key: String,
    },
    /// Rule 3: another format, or a later version of this one.
    #[error("metadata `format`: expected `{FORMAT}`, got `{got}`; a newer program may read it")]
    UnknownFormat {
        /// The format that the file names.
        got: String,
    },
    /// Rule 4: the shapes are no JSON object of names and lists of sizes.
    #[error("metadata `shapes`: expected a JSON object of names and lists of sizes: {0}")]
    Shapes(serde_json::Error),
    /// Rule 5: a layer has more weights than can be counted.
    #[error("{layer}: expected a shape with fewer than 2^64 weights, got {shape:?}")]
    ShapeOverflow {
        /// The layer.
        layer: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Rule 6: a layer has a shape and no signs.
    #[error("{layer}: has a shape but no signs; expected a tensor `{layer}.sign`")]
    ShapeWithoutSign {
        /// The layer.
        layer: String,
    },
    /// Rule 6: a layer has signs and no shape.
    #[error("{layer}.sign: has no shape; expected `{layer}` in the metadata `shapes`")]
    SignWithoutShape {
        /// The layer.
        layer: String,
    },
    /// Rule 7: a layer has held bits and no signs.
    #[error("{layer}.held: has no signs; expected a tensor `{layer}.sign`")]
    HeldWithoutSign {
        /// The layer.
        layer: String,
    },
    /// Rule 8: held bits that say nothing.
    #[error("{layer}.held: all weights are held; expected no such tensor then")]
    HeldEverywhere {
        /// The layer.
        layer: String,
    },
    /// Rule 9: a tensor that is neither `.sign` nor `.held`.
    #[error("{tensor}: unknown tensor; expected a name that ends in `.sign` or `.held`")]
    UnknownTensor {
        /// The tensor.
        tensor: String,
    },
    /// Rule 10: a tensor of another type.
    #[error("{tensor}: expected type U8, got {got}")]
    WrongType {
        /// The tensor.
        tensor: String,
        /// Its type.
        got: String,
    },
    /// Rule 11: a tensor that is longer, shorter or of more dimensions than its layer asks for.
    #[error("{tensor}: expected shape [{expected}] for {weights} weights, got {got:?}")]
    WrongLength {
        /// The tensor.
        tensor: String,
        /// How many weights its layer has.
        weights: usize,
        /// How many bytes they need.
        expected: usize,
        /// The tensor's shape.
        got: Vec<usize>,
    },
    /// Rule 12: an unused bit is set.
    #[error("{tensor}: expected 0 in the unused bits of the last byte, got `{got:#010b}`")]
    Padding {
        /// The tensor.
        tensor: String,
        /// The unused bits, in place.
        got: u8,
    },
    /// Rule 13: a free weight has a sign.
    #[error("{layer}.sign: expected sign bit 0 for weight {index}, which is free, got 1")]
    SignOfFree {
        /// The layer.
        layer: String,
        /// The first such weight, in row-major order.
        index: usize,
    },
    /// Rule 14: the bits are not those that were written.
    #[error(
        "metadata `digest`: expected `{expected}`, got `{got}` from the tensors; copy or make the \
         file again"
    )]
    WrongDigest {
        /// What the metadata says.
        expected: String,
        /// What the bits give.
        got: String,
    },
    /// Rule 15: the metadata is not that which was written.
    #[error(
        "metadata `seal`: expected `{expected}`, got `{got}` from the metadata; copy or make the \
         file again"
    )]
    WrongSeal {
        /// What the seal says.
        expected: String,
        /// What the metadata gives.
        got: String,
    },
}
