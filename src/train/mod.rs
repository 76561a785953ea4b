//! One training run: images in, a curve and trained weights out.
//!
//! A run is a function of the network's start, the images and a seed: batch order and dropout come
//! from streams of their own, and nothing is drawn from libtorch's generator. Weights are chosen by
//! validation images; the test set is for the caller to touch, once, afterwards.
//!
//! A [`Run`] is a value that advances step by step and can be saved between any two; [`fit`] is the loop
//! for those who only want its end. [`ensemble`] trains many small networks at once. Experiments, files
//! and printing are left to others.
//!
//! # Examples
//! Sixteen images, of which the left or the right half is white, and a network that is saved after three
//! steps:
//! ```
//! use std::collections::BTreeSet;
//!
//! use polarity::data::Images;
//! use polarity::models::AlexNetMini;
//! use polarity::optim::{Adam, FrozenAdam};
//! use polarity::train::{ImageSet, Input, Rate, Run, Schedule, Task};
//! use polarity::transfer;
//! use tch::{Device, nn};
//!
//! let (count, side, classes) = (16, 28, 2);
//! let white = |place: usize| (place % side >= side / 2) == (place / (side * side) % 2 == 1);
//! let images = Images {
//!     channels: 1,
//!     height: side,
//!     width: side,
//!     pixels: (0..count * side * side).map(|place| if white(place) { 255 } else { 0 }).collect(),
//!     labels: (0..count).map(|image| (image % 2) as u16).collect(),
//!     classes,
//! };
//! let input = Input { channels: 1, size: side, mean: vec![0.5], deviation: vec![0.5] };
//! let set = |places: &[usize]| ImageSet::new(&images, places, &input, Device::Cpu);
//! let (train, validation) = (set(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])?, set(&[12, 13, 14, 15])?);
//!
//! let variables = nn::VarStore::new(Device::Cpu);
//! let net = AlexNetMini::default().build(&variables.root(), classes);
//! net.initialise(1)?;
//! let signs = transfer::own_signs(&variables)?;
//! let mut optimizer = FrozenAdam::new(&variables, signs.clone(), Adam::default())?;
//!
//! let schedule = Schedule {
//!     batch: 4,
//!     steps: 6,
//!     evaluate_at: BTreeSet::from([0, 3]),
//!     keep_best: true,
//!     release_at: None,
//!     rate: Rate::Constant,
//! };
//! let (net, variables, train, validation) = (&net, &variables, &train, &validation);
//! let task = Task { net, variables, train, validation, schedule: &schedule, seed: 1 };
//! let mut run = Run::new(task, &mut optimizer)?;
//! while run.advance()?.is_none() {}
//! let state = run.save()?; // after step 3, the first with an evaluation
//! assert_eq!(state.notes.step, 3);
//!
//! let mut run = Run::resume(task, &mut optimizer, &state)?;
//! while !run.is_over() {
//!     run.advance()?;
//! }
//! let fit = run.finish()?;
//! assert_eq!(fit.curve.iter().map(|point| point.step).collect::<Vec<_>>(), [0, 3, 6]);
//! assert_eq!(transfer::violations(&signs, variables)?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod best;
pub mod ensemble;
mod error_count;
mod evaluate;
mod images;
mod losses;
mod order;
mod run;
mod schedule;
mod state;

pub use best::Least;
pub use error_count::ErrorCount;
pub(crate) use evaluate::EVALUATION_BATCH;
pub use evaluate::evaluate;
pub use images::{ImageSet, Input};
pub use run::{Ended, Error, Fit, Progress, Run, Seconds, Task, fit, to_the_end};
pub use schedule::{Rate, Schedule};
pub use state::{Notes, State};

use serde::{Deserialize, Serialize};

/// The state of a training run at one step: one evaluation. Its error is an `E`: a count, or a share as
/// files have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint<E = ErrorCount> {
    /// Optimizer steps so far; 0 is before training.
    pub step: u64,
    /// Mean cross-entropy over the batches since the point before, in nats.
    pub train_loss: Option<f64>,
    /// Mean cross-entropy on the validation images, in nats; none if it is not finite.
    pub validation_loss: Option<f64>,
    /// Validation images classified wrongly.
    pub validation_error: E,
    /// Times a weight was put back so far.
    pub resets: u64,
    /// Times a weight or bias crossed zero so far.
    pub sign_flips: u64,
    /// The same of each weight tensor, in name order; empty where a run does not tell them apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tensors: Vec<TensorCounts>,
}

impl<E> CurvePoint<E> {
    /// The same point with its error as another kind has it.
    pub(crate) fn with_error<F>(&self, validation_error: F) -> CurvePoint<F> {
        let CurvePoint { step, train_loss, validation_loss, resets, sign_flips, .. } = *self;
        let tensors = self.tensors.clone();
        CurvePoint {
            step,
            train_loss,
            validation_loss,
            validation_error,
            resets,
            sign_flips,
            tensors,
        }
    }
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
    /// Images classified wrongly.
    pub error: ErrorCount,
}
