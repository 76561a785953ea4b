//! One pass over weights, gradients and state: update, project against the packed mask, write.
//!
//! Holding signs costs an optimizer nothing but the mask's bit: a step of Adam reads a weight, its
//! gradient and its two moments and writes three of them back, 28 bytes, and memory is what it
//! waits for. The projection and the telemetry are done while the weights are in the innermost
//! cache.
//!
//! [`Fused`] runs a step over *all* tensors of a model as one parallel region: the tensors are cut
//! into chunks, and the threads take chunk after chunk, so that sixteen tensors cost one fork and a
//! thread that shares its core with somebody else does less.
//!
//! # The same bits everywhere
//! For given inputs, weights, state and [`Counts`] are the same bits for any number of threads, any
//! chunking, any order of tensors and any [`Path`]:
//! - a weight's new value depends on nothing but its own weight, gradient, state, mask and index;
//! - every path is the same Rust source compiled for other instructions, and uses only operations
//!   that IEEE 754 rounds correctly (+, −, ×, ÷, √), in one order, never fused;
//! - random resets come from a counter-based generator ([`ResetKey`]), not from a stream;
//! - counts are integers.
//!
//! Only the payload of a NaN is left open, and the floating-point environment is taken to be the
//! default one (subnormals not flushed).
//!
//! # Violators
//! A held weight with `w · mask < 0` after the update is replaced by the reset rule. Zero, −0 and
//! NaN are no violators; a free weight is never touched.
//!
//! This room knows slices only: tensors, their names and their devices are left to the optimizers of
//! `polarity`.

mod adam;
mod block;
mod draw;
mod eg;
mod hold;
mod order;
mod parallel;
mod path;
mod project;
mod sgd;
mod sides;
#[cfg(test)]
mod testing;
mod update;
mod violators;

pub use adam::{AdamScalars, AdamStep, AdamTensor};
pub use draw::{Draws, ResetKey};
pub use eg::{EG_FLOOR, EG_LIMIT};
pub use hold::{Counts, Hold};
pub use order::{NotDense, Order};
pub use path::Path;
pub use project::ProjectTensor;
pub use sgd::{Momentum, SgdStep, SgdTensor};

use std::num::NonZeroUsize;

/// How to run the fused kernels: on how many threads, with which instructions.
#[derive(Clone, Copy, Debug)]
pub struct Fused {
    threads: NonZeroUsize,
    path: Path,
}

impl Fused {
    /// Kernels on at most `threads` threads, the caller's included, with the best instructions this
    /// CPU has. A model too small to be worth a second thread stays on the caller's.
    pub fn new(threads: NonZeroUsize) -> Self {
        Fused { threads, path: Path::best() }
    }

    /// The same kernels with the instructions of `path`, for tests and benchmarks.
    ///
    /// # Panics
    /// When this CPU has no such instructions.
    #[must_use]
    pub fn with_path(self, path: Path) -> Self {
        assert!(path.is_available(), "this CPU cannot run the {path:?} path");
        Fused { path, ..self }
    }

    /// The instructions in use.
    pub fn path(self) -> Path {
        self.path
    }
}
