//! What a grid will cost: how long cells take, from those that are finished or from a few real steps.
//!
//! Cells take about as long as they [cost](super::bundle), so one number says how long all of them take:
//! seconds a unit of cost. That of finished cells is the median of what they took, here or wherever they ran.
//! Without them a few steps and an evaluation are timed; nothing is written then, and what a cell takes from a
//! source is left out, since the numbers in a network do not change how long it takes.
//!
//! A rehearsal knows one cell at a time. Cells side by side share the memory's bandwidth, so a grid may take
//! somewhat longer.

use std::collections::BTreeMap;

use super::bundle::{Bundle, bundles};
use super::cell::Cell;
use super::plan::Plan;
use super::store::Records;
use super::study::Failure;
use crate::results::Hold;
use crate::stats::quantile::median;

/// How long cells take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Seconds a unit of cost.
    pace: f64,
    /// What it is made from.
    pub basis: Basis,
}

/// What an estimate is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// So many finished cells.
    Finished(usize),
    /// A few steps, timed now.
    Rehearsed,
}

/// Cells that cost the same a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Images or points a step.
    pub batch: usize,
    /// Whether signs are held.
    pub holds: bool,
    /// How many of the cells that were asked for are such.
    pub cells: usize,
    /// Seconds of all its cells, one after the other.
    pub total: f64,
}

impl Estimate {
    /// That from the finished cells of `plan`, if there are any.
    pub fn of_finished(plan: &Plan, records: &Records) -> Option<Self> {
        let pace = |cell: &Cell| {
            let cost = plan.ground.cost(cell);
            let seconds = records.finished(cell)?.timing.total;
            (cost > 0.0).then_some(seconds / cost)
        };
        let paces: Vec<f64> = plan.cells.iter().filter_map(pace).collect();
        Some(Estimate { pace: median(&paces)?, basis: Basis::Finished(paces.len()) })
    }

    /// That of `cells` from a few steps of each shape of cell, timed now, and the shapes.
    ///
    /// # Errors
    /// What libtorch says, when memory runs out for example.
    pub fn rehearsed(plan: &Plan, cells: &[&Cell]) -> Result<(Self, Vec<Shape>), CalibrationError> {
        let mut alike: BTreeMap<(usize, bool), Vec<&Cell>> = BTreeMap::new();
        for cell in cells {
            alike.entry((cell.spec.train.batch, holds(cell))).or_default().push(cell);
        }
        let mut shapes = Vec::new();
        for ((batch, holds), cells) in alike {
            tch::set_num_threads(cells[0].spec.train.threads as i32);
            let pace = plan.ground.pace(cells[0])?;
            let total = pace * cost_of(plan, &cells);
            shapes.push(Shape { batch, holds, cells: cells.len(), total });
        }
        let seconds: f64 = shapes.iter().map(|shape| shape.total).sum();
        let cost = cost_of(plan, cells);
        let pace = if cost > 0.0 { seconds / cost } else { 0.0 };
        Ok((Estimate { pace, basis: Basis::Rehearsed }, shapes))
    }

    /// Seconds of a bundle, its cells one after the other.
    pub fn seconds_of(&self, bundle: &Bundle) -> f64 {
        self.pace * bundle.cost_here
    }
}

/// `cells` of `plan` in bundles that are best computed by one run.
pub fn bundled<'a>(plan: &Plan, cells: &[&'a Cell]) -> Vec<Bundle<'a>> {
    bundles(&*plan.ground, cells)
}

/// Why the steps could not be timed.
#[derive(Debug, thiserror::Error)]
#[error("the steps could not be timed: {0}")]
pub struct CalibrationError(#[from] Failure);

/// What `cells` cost on this machine, bundle by bundle.
fn cost_of(plan: &Plan, cells: &[&Cell]) -> f64 {
    bundled(plan, cells).iter().map(|bundle| bundle.cost_here).sum()
}

fn holds(cell: &Cell) -> bool {
    cell.spec.arm.as_ref().is_some_and(|arm| arm.hold != Hold::None)
}
