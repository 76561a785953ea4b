//! The template file, `polarity-template/1`: one bit a weight, in a file that any Python user can
//! open.
//!
//! 1. The file is a [safetensors](https://github.com/huggingface/safetensors) file: the header's
//!    length as 8 little-endian bytes, the header as JSON, the data; without holes, without
//!    trailing bytes.
//! 2. Its metadata has `format`, `shapes`, `digest`, `source`, `created_by`, and no other key than
//!    `seal`.
//! 3. `format` is `polarity-template/1`.
//! 4. `shapes` is a JSON object that gives each layer's name, once, a list of sizes (OIHW or
//!    `[out, in]`).
//! 5. The product of the sizes, the layer's number of weights *n*, can be counted in 64 bits.
//! 6. For each layer `NAME` there is a tensor `NAME.sign`, and each `NAME.sign` has a layer.
//! 7. Where some weights of a layer are free there is also `NAME.held`, beside its `NAME.sign`.
//! 8. Where all weights are held there is no `NAME.held`: it would be all ones.
//! 9. There are no other tensors.
//! 10. Every tensor's type is `U8`.
//! 11. Every tensor's shape is `[ceil(n / 8)]`: bit `i % 8` of byte `i / 8`, counted from the least
//!     significant, is weight `i` in row-major order; 1 is positive in `sign`, held in `held`.
//! 12. The unused bits of the last byte are 0.
//! 13. The sign bit of a free weight is 0.
//! 14. `digest` is the SHA-256 of all tensors' bytes, in the order of the tensors' names, in
//!     lower-case hexadecimal.
//! 15. `seal`, which may be missing, is the SHA-256 of a line `KEY=VALUE\n` for every other key of
//!     the metadata, in the order of the keys. `digest` guards the signs, `seal` guards shapes and
//!     provenance: with both, no single damaged bit goes unseen.
//! 16. `source` says what the signs were taken from, where that came from, and its SHA-256;
//!     `created_by` names the program. Both are free text.
//!
//! Our writer always seals, and writes metadata, shapes and tensors in the order of their names and
//! pads the header with spaces to a multiple of 8 bytes: the same template gives the same bytes.
//! Reading is strict: each rule has a [`Flaw`] of its own.
//!
//! ```python
//! from safetensors.numpy import load_file
//! import numpy as np
//!
//! bits = np.unpackbits(load_file("t.safetensors")["features.0.weight.sign"], bitorder="little")
//! ```

mod flaw;
mod read;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use sha2::{Digest, Sha256};

pub use self::flaw::{FileError, Flaw};
use super::template::Template;
use crate::digest::hexadecimal;
use crate::files;

/// The one format version that is written and read.
pub const FORMAT: &str = "polarity-template/1";

const REQUIRED_METADATA: [&str; 5] = ["format", "shapes", "digest", "source", "created_by"];
const SEAL: &str = "seal";
const SIGN: &str = "sign";
const HELD: &str = "held";

impl Template {
    /// Reads the template file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read or breaks a rule of the [format](self).
    pub fn load(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let bytes = fs::read(path).map_err(|error| {
            let flaw = match error.kind() {
                ErrorKind::NotFound => Flaw::NotFound,
                _ => Flaw::Unreadable(error),
            };
            FileError::new(&origin, flaw)
        })?;
        Self::from_bytes(&bytes, &origin)
    }

    /// Writes the template file to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), FileError> {
        let path = path.as_ref();
        files::write_atomically(path, &self.to_bytes())
            .map_err(|error| FileError::new(&path.display().to_string(), Flaw::Unwritable(error)))
    }

    /// Reads a template from the bytes of its file; `origin` names the file in errors.
    ///
    /// # Errors
    /// When the bytes break a rule of the [format](self).
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Self, FileError> {
        read::template(bytes).map_err(|flaw| FileError::new(origin, flaw))
    }

    /// The bytes of the template's file: the same for equal templates.
    pub fn to_bytes(&self) -> Vec<u8> {
        write::template(self)
    }

    /// The file's digest, the SHA-256 of all bits. It does not cover names, shapes and provenance.
    pub fn digest(&self) -> String {
        digest(write::tensors(self).values().map(Vec::as_slice))
    }
}

fn digest<'a>(tensors: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    tensors.for_each(|bytes| hash.update(bytes));
    hexadecimal(&hash.finalize())
}

fn seal(metadata: &BTreeMap<&str, &str>) -> String {
    let mut hash = Sha256::new();
    for (key, value) in metadata.iter().filter(|(key, _)| **key != SEAL) {
        hash.update(format!("{key}={value}\n"));
    }
    hexadecimal(&hash.finalize())
}

#[cfg(test)]
mod tests;
