//! A step of Adam or AdamW, or of exponentiated gradient along theirs.

use polarity_core::kernel::{AdamStep, AdamTensor, Counts, Fused};
use pyo3::prelude::*;

use crate::memory::{Claims, Floats, Place};
use crate::step::{Common, Held, HeldRow, run};

/// Learning rate, decays of the moments, eps, weight decay, whether it is decoupled; and the tensors.
#[derive(FromPyObject)]
pub(crate) struct Group<'py>(f64, f64, f64, f64, f64, bool, Vec<Row<'py>>);

/// Weights, gradient, first and second moment, length, step, what is held.
#[derive(FromPyObject)]
struct Row<'py>(usize, usize, usize, usize, usize, u64, Option<HeldRow<'py>>);

/// A row that is free of Python.
struct Slices {
    weights: Floats,
    gradient: Floats,
    first_moment: Floats,
    second_moment: Floats,
    step: AdamStep,
    held: Option<Held>,
}

/// A step of Adam in all groups: for each tensor its resets and sign flips.
#[pyfunction]
pub(crate) fn adam(
    py: Python<'_>,
    groups: Vec<Group<'_>>,
    common: Common<'_>,
) -> PyResult<Vec<(u64, u64)>> {
    step(py, groups, &common, Fused::adam)
}

/// The same, multiplied into held weights.
#[pyfunction]
pub(crate) fn eg_adam(
    py: Python<'_>,
    groups: Vec<Group<'_>>,
    common: Common<'_>,
) -> PyResult<Vec<(u64, u64)>> {
    step(py, groups, &common, Fused::eg_adam)
}

fn step(
    py: Python<'_>,
    groups: Vec<Group<'_>>,
    common: &Common<'_>,
    rule: fn(Fused, Vec<AdamTensor<'_>>) -> Vec<Counts>,
) -> PyResult<Vec<(u64, u64)>> {
    let mut claims = Claims::default();
    let mut tensors = Vec::new();
    for Group(lr, beta1, beta2, eps, weight_decay, decoupled, rows) in groups {
        for Row(weights, gradient, first, second, length, step, held) in rows {
            let place = |part| Place { row: tensors.len(), part };
            let held = held.map(|held| Held::new(held, common, place("signs"), length));
            let slices = Slices {
                weights: Floats::new(weights, length),
                gradient: Floats::new(gradient, length),
                first_moment: Floats::new(first, length),
                second_moment: Floats::new(second, length),
                step: AdamStep { lr, beta1, beta2, eps, weight_decay, decoupled, step },
                held: held.transpose()?,
            };
            claims.write(place("weights"), slices.weights)?;
            claims.read(place("gradient"), slices.gradient)?;
            claims.write(place("exp_avg"), slices.first_moment)?;
            claims.write(place("exp_avg_sq"), slices.second_moment)?;
            tensors.push(slices);
        }
    }
    claims.check()?;
    run(py, common.2, |fused| {
        // SAFETY: the claims on all slices were accepted, each tensor is made once, and Python keeps
        // their storages until the call returns.
        rule(fused, tensors.iter().map(|slices| unsafe { slices.tensor() }).collect())
    })
}

impl Slices {
    /// # Safety
    /// As [`Floats::read`] and [`Floats::write`].
    unsafe fn tensor(&self) -> AdamTensor<'_> {
        // SAFETY: as this function's.
        unsafe {
            AdamTensor {
                weights: self.weights.write(),
                gradient: self.gradient.read(),
                first_moment: self.first_moment.write(),
                second_moment: self.second_moment.write(),
                step: self.step,
                hold: self.held.as_ref().map(Held::hold),
            }
        }
    }
}
