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

use super::compute::{self, Error};
use super::material::Material;
use super::plan::{Cell, Plan};
use super::sources::SourceState;
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
/// What libtorch says, when memory runs out for example.
pub fn calibrate(plan: &Plan, cells: &[&Cell]) -> Result<Vec<Shape>, CalibrationError> {
    if plan.material.is_none() {
        let what = "cells of points are computed many at a time; run some, and the plan knows";
        return Err(CalibrationError(what.into()));
    }
    let mut shapes: BTreeMap<(usize, bool), Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        shapes.entry((batch(plan, cell), holds(cell))).or_default().push(cell);
    }
    let timed = shapes.into_iter().map(|((batch, holds), cells)| {
        let first = cells[0];
        tch::set_num_threads(first.spec.train.threads as i32);
        let material = material(plan, first);
        let (step, image) = compute::rehearse(&first.spec, material, plan.device, STEPS)?;
        let cost = |cell: &&Cell| {
            cell.spec.train.steps as f64 * step + evaluated(plan, cell) as f64 * image
        };
        let total = cells.iter().map(cost).sum();
        Ok(Shape { batch, holds, cells: cells.len(), step, image, total })
    });
    timed.collect::<Result<_, Error>>().map_err(|error| CalibrationError(error.to_string()))
}

/// Why the steps could not be timed.
#[derive(Debug, thiserror::Error)]
#[error("the steps could not be timed: {0}")]
pub struct CalibrationError(String);

fn holds(cell: &Cell) -> bool {
    cell.spec.arm.as_ref().is_some_and(|arm| arm.hold != Hold::None)
}

/// Images of a full batch.
fn batch(plan: &Plan, cell: &Cell) -> usize {
    cell.spec.train.batch.min(trained(plan, cell))
}

/// Images the cell learns from.
fn trained(plan: &Plan, cell: &Cell) -> usize {
    let rest = || material(plan, cell).train.len() - cell.spec.images().validation;
    cell.spec.images().train_size.unwrap_or_else(rest)
}

/// Images the cell is evaluated on in all.
fn evaluated(plan: &Plan, cell: &Cell) -> usize {
    let evaluations = cell.spec.train.evaluate_at.steps().len() * cell.spec.images().validation;
    evaluations + trained(plan, cell) + material(plan, cell).test.len()
}

/// The images of the cell.
fn material<'a>(plan: &'a Plan, cell: &Cell) -> &'a Material {
    let of_source = plan.sources.values().find_map(|source| match &source.state {
        SourceState::Train(source, material) if source.id == cell.id => Some(&**material),
        _ => None,
    });
    let own = plan.material.as_ref();
    of_source.or(own).expect("only plans with images are timed")
}
