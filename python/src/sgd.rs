//! A step of stochastic gradient descent, or of exponentiated gradient along its direction.

use polarity_core::kernel::{Counts, Fused, Momentum, SgdStep, SgdTensor};
use pyo3::prelude::*;

use crate::memory::{Claims, Floats, Place};
use crate::step::{Common, Held, HeldRow, run};

/// Learning rate, weight decay, momentum, dampening, Nesterov; and the tensors.
#[derive(FromPyObject)]
pub(crate) struct Group<'py>(f64, f64, f64, f64, bool, Vec<Row<'py>>);

/// Weights, gradient, the momentum's buffer and whether it is new, length, what is held.
#[derive(FromPyObject)]
struct Row<'py>(usize, usize, Option<(usize, bool)>, usize, Option<HeldRow<'py>>);

/// A row that is free of Python.
struct Slices {
    weights: Floats,
    gradient: Floats,
    momentum: Option<Buffer>,
    step: SgdStep,
    held: Option<Held>,
}

/// A [`Momentum`] whose buffer is no slice yet.
struct Buffer {
    buffer: Floats,
    first: bool,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
}

/// A step of SGD in all groups: for each tensor its resets and sign flips.
#[pyfunction]
pub(crate) fn sgd(
    py: Python<'_>,
    groups: Vec<Group<'_>>,
    common: Common<'_>,
) -> PyResult<Vec<(u64, u64)>> {
    step(py, groups, &common, Fused::sgd)
}

/// The same, multiplied into held weights.
#[pyfunction]
pub(crate) fn eg(
    py: Python<'_>,
    groups: Vec<Group<'_>>,
    common: Common<'_>,
) -> PyResult<Vec<(u64, u64)>> {
    step(py, groups, &common, Fused::eg)
}

fn step(
    py: Python<'_>,
    groups: Vec<Group<'_>>,
    common: &Common<'_>,
    rule: fn(Fused, Vec<SgdTensor<'_>>) -> Vec<Counts>,
) -> PyResult<Vec<(u64, u64)>> {
    let mut claims = Claims::default();
    let mut tensors = Vec::new();
    for Group(lr, weight_decay, momentum, dampening, nesterov, rows) in groups {
        for Row(weights, gradient, buffer, length, held) in rows {
            let place = |part| Place { row: tensors.len(), part };
            let held = held.map(|held| Held::new(held, common, place("signs"), length));
            let momentum = buffer.map(|(address, first)| {
                let buffer = Floats::new(address, length);
                Buffer { buffer, first, momentum, dampening, nesterov }
            });
            let slices = Slices {
                weights: Floats::new(weights, length),
                gradient: Floats::new(gradient, length),
                momentum,
                step: SgdStep { lr, weight_decay },
                held: held.transpose()?,
            };
            claims.write(place("weights"), slices.weights)?;
            claims.read(place("gradient"), slices.gradient)?;
            if let Some(Buffer { buffer, .. }) = slices.momentum {
                claims.write(place("momentum_buffer"), buffer)?;
            }
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
    unsafe fn tensor(&self) -> SgdTensor<'_> {
        // SAFETY: as this function's.
        unsafe {
            SgdTensor {
                weights: self.weights.write(),
                gradient: self.gradient.read(),
                momentum: self.momentum.as_ref().map(|buffer| buffer.momentum()),
                step: self.step,
                hold: self.held.as_ref().map(Held::hold),
            }
        }
    }
}

impl Buffer {
    /// # Safety
    /// As [`Floats::write`].
    unsafe fn momentum(&self) -> Momentum<'_> {
        let Buffer { buffer, first, momentum, dampening, nesterov } = *self;
        // SAFETY: as this function's.
        Momentum { buffer: unsafe { buffer.write() }, first, momentum, dampening, nesterov }
    }
}
