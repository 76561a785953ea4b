//! Cells: single training runs, each named by what it computes.
//!
//! How a cell is computed is left to its kind of study.

mod spec;

pub use spec::{
    ArmSpec, DataSpec, ImageSpec, RESULTS_VERSION, Share, SourceSpec, Spec, TrainSpec, XorSpec,
};

use crate::results::table::Key;

/// One training run of a plan.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its name, the digest of `spec`.
    pub id: String,
    /// Its place in the tables.
    pub key: Key,
    /// What it computes.
    pub spec: Spec,
}

impl Cell {
    /// The cell of `arm` at `settings` that computes `spec`.
    pub(crate) fn new(arm: &str, settings: Vec<(String, f64)>, spec: Spec) -> Self {
        let id = spec.id();
        Cell { key: Key { id: id.clone(), arm: arm.into(), settings, seed: spec.seed }, id, spec }
    }
}
