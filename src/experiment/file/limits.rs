//! The ranges of the whole numbers of an experiment.
//!
//! They are far beyond any study, and close enough that no product of them overflows and nothing of
//! absurd size is allocated on the way to a plan. The doc comment of each key says its own.

use std::ops::RangeInclusive;

/// Side of an image in pixels.
pub(crate) const IMAGE_SIZE: RangeInclusive<u64> = 1..=2048;

/// Images of one kind: as many as a data set has, but no more than this.
pub(crate) const IMAGES: RangeInclusive<u64> = 1..=100_000_000;

/// Points of one kind, which are drawn and kept in memory.
pub(crate) const POINTS: RangeInclusive<u64> = 1..=1_000_000;

/// Samples a step.
pub(crate) const BATCH: RangeInclusive<u64> = 1..=1_000_000;

/// Passes over the training data.
pub(crate) const EPOCHS: RangeInclusive<u64> = 1..=100_000;

/// Passes of a trained source over its images; it is evaluated after each.
pub(crate) const SOURCE_EPOCHS: RangeInclusive<f64> = 0.0..=MOST_EVALUATIONS as f64;

/// The seed of one of several sources, which is a swept setting too, and so a number of 64-bit floating
/// point.
pub(crate) const SOURCE_SEED: RangeInclusive<u64> = 0..=1 << 53;

/// Optimizer steps.
pub(crate) const STEPS: RangeInclusive<u64> = 1..=1_000_000_000;

/// Evaluations of one cell, each of which stands in its specification.
pub(crate) const MOST_EVALUATIONS: u64 = 10_000;

/// Threads of libtorch.
pub(crate) const THREADS: RangeInclusive<u64> = 1..=1024;

/// Cells of a grid: sizes × widths × arms × seeds.
pub(crate) const MOST_CELLS: u64 = 1_000_000;

/// Points × epochs of a study of points: the orders of all epochs are kept, 4 bytes a point.
pub(crate) const MOST_ORDERED: u64 = 100_000_000;

/// Hidden units × points a step of a study of points: their activations are kept, 64 bytes a unit where 16
/// networks are trained side by side.
pub(crate) const MOST_ACTIVE: u64 = 10_000_000;
