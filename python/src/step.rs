//! What all steps share: reset rules, rows that are held, and the call without the interpreter.
//!
//! A tensor is a row: addresses of its slices, their one length, and what it is held to. Rows of one
//! group share their hyperparameters; all groups go in one parallel region.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use polarity_core::kernel::{Counts, Fused, Hold, ResetKey};
use polarity_core::sign;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::memory::{Place, Problem, Refusal};
use crate::signs::{LaidOut, Signs};

/// What replaces a violator.
#[pyclass(frozen, module = "polarity_torch._core")]
pub(crate) struct Reset(sign::Reset);

#[pymethods]
impl Reset {
    #[new]
    fn new(rule: &str, magnitude: f32) -> PyResult<Self> {
        let reset = match rule {
            "zero" => Ok(sign::Reset::Zero),
            "flip" => Ok(sign::Reset::Flip),
            "uniform" => sign::Reset::uniform(magnitude),
            "constant" => sign::Reset::constant(magnitude),
            other => {
                let legal = "`uniform`, `constant`, `zero` or `flip`";
                let text = format!("reset: expected {legal}, got `{other}`");
                return Err(PyValueError::new_err(text));
            }
        };
        reset.map(Reset).map_err(|error| PyValueError::new_err(format!("reset: {error}")))
    }
}

/// Signs to hold, with the number and the step that name a tensor's draws.
#[derive(FromPyObject)]
pub(crate) struct HeldRow<'py>(PyRef<'py, Signs>, u64, u64);

/// What all tensors of a call share: the reset rule, its seed, the threads to use.
#[derive(FromPyObject)]
pub(crate) struct Common<'py>(PyRef<'py, Reset>, u64, pub(crate) usize);

/// A held row that is free of Python.
pub(crate) struct Held {
    signs: Arc<LaidOut>,
    reset: sign::Reset,
    key: ResetKey,
}

impl Held {
    /// # Errors
    /// When there are more or fewer signs than weights.
    pub(crate) fn new(
        HeldRow(signs, tensor, step): HeldRow<'_>,
        common: &Common<'_>,
        place: Place,
        weights: usize,
    ) -> Result<Self, Refusal> {
        let signs = signs.laid_out.clone();
        if signs.mask.len() != weights {
            let problem = Problem::WrongMask { signs: signs.mask.len(), weights };
            return Err(Refusal::new(place, problem));
        }
        let key = ResetKey { seed: common.1, step, tensor };
        Ok(Held { signs, reset: common.0.0, key })
    }

    pub(crate) fn hold(&self) -> Hold<'_> {
        let LaidOut { mask, order } = &*self.signs;
        Hold { mask, reset: self.reset, key: self.key, order: order.as_ref() }
    }
}

/// Runs `work` without the interpreter, on at most `threads` threads.
pub(crate) fn run(
    py: Python<'_>,
    threads: usize,
    work: impl FnOnce(Fused) -> Vec<Counts> + Send,
) -> PyResult<Vec<(u64, u64)>> {
    let Some(threads) = NonZeroUsize::new(threads) else {
        return Err(PyValueError::new_err("threads: expected a number above 0, got `0`"));
    };
    let counts = py.detach(|| catch_unwind(AssertUnwindSafe(|| work(Fused::new(threads)))));
    match counts {
        Ok(counts) => Ok(counts.iter().map(|counts| (counts.resets, counts.sign_flips)).collect()),
        Err(_) => Err(PyRuntimeError::new_err(
            "polarity_torch: the step broke off half-way (what broke is on stderr); weights and state \
             may be partly updated: go on from a checkpoint",
        )),
    }
}
