//! Why rules make no template: one variant for each way to be wrong.

use thiserror::Error;

use super::dale::DaleError;
use super::edges::EdgesError;
use crate::nearest::hint;
use crate::sign::mask::NotANumber;
use crate::sign::template::TemplateError;

/// Why rules make no template of a network.
#[derive(Debug, Error)]
pub enum RuleError {
    /// A pattern that is there already.
    #[error("pattern `{pattern}`: is there already; expected each pattern once")]
    Duplicate {
        /// The pattern.
        pattern: String,
    },
    /// A pattern that matches no tensor.
    #[error(
        "pattern `{pattern}`: matches no tensor; expected one of {}, or a pattern of one (`*` is any \
         characters, `?` one){}", legal.join(", "), hint(nearest)
    )]
    UnknownPattern {
        /// The pattern.
        pattern: String,
        /// The names of all tensors.
        legal: Vec<String>,
        /// The nearest of them.
        nearest: Option<String>,
    },
    /// A pattern whose tensors an earlier one takes, all of them.
    #[error(
        "pattern `{pattern}`: decides no tensor, since `{earlier}` comes first and matches `{name}` \
         and all else that it would; put `{pattern}` above it, or leave it out"
    )]
    Hidden {
        /// The pattern.
        pattern: String,
        /// The earlier one.
        earlier: String,
        /// A tensor that both match.
        name: String,
    },
    /// The signs that a tensor has are asked for, and only its shape is known.
    #[error(
        "{name}: `own` takes the signs that the weights have, but only names and shapes are known; \
         give the weights too, or another rule"
    )]
    NoWeights {
        /// The tensor.
        name: String,
    },
    /// More or fewer weights than the shape says.
    #[error("{name}: expected as many weights as shape {shape:?} has, got {got}")]
    WrongLength {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many weights were given.
        got: usize,
    },
    /// The product of a shape cannot be counted.
    #[error("{name}: expected a shape with fewer than 2^64 weights, got {shape:?}")]
    Overflow {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A weight without a sign.
    #[error("{name}: {error}")]
    NotANumber {
        /// The tensor.
        name: String,
        /// Which weight.
        error: NotANumber,
    },
    /// Units that do not fit the tensor.
    #[error("{name}: {error}")]
    Dale {
        /// The tensor.
        name: String,
        /// What does not fit.
        error: DaleError,
    },
    /// Edges that do not fit the tensor.
    #[error("{name}: {error}")]
    Edges {
        /// The tensor.
        name: String,
        /// What does not fit.
        error: EdgesError,
    },
    /// A template could not be put together.
    #[error(transparent)]
    Template(#[from] TemplateError),
}
