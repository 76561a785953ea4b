//! The projection alone.

use polarity_core::kernel::ProjectTensor;
use pyo3::prelude::*;

use crate::memory::{Claims, Floats, Place};
use crate::step::{Common, Held, HeldRow, run};

/// Weights, length, what is held.
#[derive(FromPyObject)]
pub(crate) struct Row<'py>(usize, usize, HeldRow<'py>);

/// A row that is free of Python.
struct Slices {
    weights: Floats,
    held: Held,
}

/// Replaces every violator: for each tensor its resets and sign flips.
#[pyfunction]
pub(crate) fn project(
    py: Python<'_>,
    rows: Vec<Row<'_>>,
    common: Common<'_>,
) -> PyResult<Vec<(u64, u64)>> {
    let mut claims = Claims::default();
    let mut tensors = Vec::new();
    for (row, Row(weights, length, held)) in rows.into_iter().enumerate() {
        let weights = Floats::new(weights, length);
        claims.write(Place { row, part: "weights" }, weights)?;
        tensors.push(Slices {
            weights,
            held: Held::new(held, &common, Place { row, part: "signs" }, length)?,
        });
    }
    claims.check()?;
    run(py, common.2, |fused| {
        // SAFETY: the claims on all slices were accepted, each tensor is made once, and Python keeps
        // their storages until the call returns.
        fused.project(tensors.iter().map(|slices| unsafe { slices.tensor() }).collect())
    })
}

impl Slices {
    /// # Safety
    /// As [`Floats::write`].
    unsafe fn tensor(&self) -> ProjectTensor<'_> {
        // SAFETY: as this function's.
        ProjectTensor { weights: unsafe { self.weights.write() }, hold: self.held.hold() }
    }
}
