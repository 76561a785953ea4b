//! What a grid will cost here: a few real steps and one evaluation of every shape of cell, timed.
//!
//! Cells of one batch size that hold signs, or hold none, cost the same a step: they are one shape. A
//! cell takes its steps, its evaluations on the validation images, and one on its training and on the
//! test images. Nothing is written, and what a cell takes from a source is left out, since the numbers
//! in a network do not change its cost.
//!
//! The estimate knows one cell at a time. Cells side by side share the memory's bandwidth, so a grid may
//! take somewhat longer.

use std::collections::BTreeMap;

use super::cell::Cell;
use super::plan::Plan;
use super::study::{Failure, Pace, Work};
use crate::results::Hold;

/// Steps that are timed, after some that are not.
const STEPS: u64 = 4;

/// Cells that cost the same a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Images a step.
    pub batch: usize,
    /// Whether signs are held.
    pub holds: bool,
    /// How many of the cells that were asked for are such.
    pub cells: usize,
    /// Seconds a step.
    pub step: f64,
    /// Seconds an image that is evaluated.
    pub image: f64,
    /// Seconds of all its cells, one after the other.
    pub total: f64,
}

/// Times every shape among `cells` of `plan`.
///
/// # Errors
/// Where cells are computed many at a time, or what libtorch says, when memory runs out for example.
pub fn calibrate(plan: &Plan, cells: &[&Cell]) -> Result<Vec<Shape>, CalibrationError> {
    let mut shapes: BTreeMap<(usize, bool), Vec<(&Cell, Work)>> = BTreeMap::new();
    for cell in cells {
        let work = plan.ground.work(cell).ok_or(Failure::Together)?;
        shapes.entry((work.batch, holds(cell))).or_default().push((cell, work));
    }
    let timed = shapes.into_iter().map(|((batch, holds), cells)| {
        let (first, _) = cells[0];
        tch::set_num_threads(first.spec.train.threads as i32);
        let Pace { step, image } = plan.ground.pace(first, STEPS)?;
        let cost = |(cell, work): &(&Cell, Work)| {
            cell.spec.train.steps as f64 * step + work.evaluated as f64 * image
        };
        let total = cells.iter().map(cost).sum();
        Ok(Shape { batch, holds, cells: cells.len(), step, image, total })
    });
    timed.collect()
}

/// Why the steps could not be timed.
#[derive(Debug, thiserror::Error)]
#[error("the steps could not be timed: {0}")]
pub struct CalibrationError(#[from] Failure);

fn holds(cell: &Cell) -> bool {
    cell.spec.arm.as_ref().is_some_and(|arm| arm.hold != Hold::None)
}
