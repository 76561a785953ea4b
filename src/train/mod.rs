//! One training run: images in, a curve and trained weights out.
//!
//! A run is a function of the network's start, the images and a seed: batch order and dropout come
//! from streams of their own, and nothing is drawn from libtorch's generator. Weights are chosen by
//! validation images; the test set is for the caller to touch, once, afterwards.
//!
//! [`ensemble`] trains many small networks at once. Experiments, files and printing are left to others; progress goes through a callback, which may
//! also stop the run.

pub mod ensemble;
mod fit;
mod images;

pub use fit::{Error, Fit, Progress, Schedule, Seconds, Task, evaluate, fit};
pub use images::{ImageSet, Input};

use serde::{Deserialize, Serialize};

/// The state of a training run at one step: one evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Optimizer steps so far; 0 is before training.
    pub step: u64,
    /// Mean cross-entropy over the batches since the point before, in nats.
    pub train_loss: Option<f64>,
    /// Mean cross-entropy on the validation images, in nats; none if it is not finite.
    pub validation_loss: Option<f64>,
    /// Share of validation images classified wrongly, in [0, 1].
    pub validation_error: f64,
    /// Times a weight was put back so far.
    pub resets: u64,
    /// Times a weight or bias crossed zero so far.
    pub sign_flips: u64,
    /// The same of each weight tensor, in name order; empty where a run does not tell them apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tensors: Vec<TensorCounts>,
}

/// What the steps so far did to one weight tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorCounts {
    /// The tensor, `features.0.weight` for example.
    pub name: String,
    /// Times one of its weights was put back.
    pub resets: u64,
    /// Times one of its weights crossed zero.
    pub sign_flips: u64,
}

/// How a network does on a set of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Share of images classified wrongly, in [0, 1].
    pub error: f64,
}
