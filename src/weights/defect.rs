//! Why a tensor cannot be used whose place and shape are sound.

use std::io;

use crate::memory::TooMuch;
use crate::sign::NotANumber;

/// Why a tensor's values cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// A weight has no sign.
    #[error(transparent)]
    NotANumber(#[from] NotANumber),
    /// A float64 that is not zero is zero or infinite as a float32.
    #[error("`{0:e}` does not fit a float32; its polarity or size would be lost")]
    Range(f64),
    /// They cannot be read.
    #[error("its values cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A few values are shown over and over.
    #[error(
        "shows {shown} values of {stored} that the file holds; save it as it is, `w.contiguous()`"
    )]
    Spread {
        /// How many the shape has.
        shown: u64,
        /// How many there are.
        stored: u64,
    },
    /// They take more memory than there is.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}
