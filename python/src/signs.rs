//! The signs of one tensor, laid out as its weights are.

use std::sync::Arc;

use polarity_core::kernel::{Order, ResetKey};
use polarity_core::sign::SignMask;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The signs of one tensor, and how its weights lie in memory.
#[pyclass(frozen, module = "polarity_torch._core")]
pub(crate) struct Signs {
    shape: Vec<usize>,
    /// In row-major order.
    mask: Arc<SignMask>,
    pub(crate) laid_out: Arc<LaidOut>,
}

/// What a kernel needs.
pub(crate) struct LaidOut {
    /// As the weights lie.
    pub(crate) mask: Arc<SignMask>,
    pub(crate) order: Option<Order>,
}

impl Signs {
    pub(crate) fn new(shape: &[usize], mask: &SignMask) -> Self {
        let mask = Arc::new(mask.clone());
        let laid_out = LaidOut { mask: mask.clone(), order: None };
        Signs { shape: shape.to_vec(), mask, laid_out: Arc::new(laid_out) }
    }
}

#[pymethods]
impl Signs {
    /// The same signs for weights that lie in memory with these strides, in weights.
    fn laid_out(&self, strides: Vec<usize>) -> PyResult<Self> {
        let order = Order::of(&self.shape, &strides)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let mask = match &order {
            None => self.mask.clone(),
            Some(order) => Arc::new(order.lay_out(&self.mask)),
        };
        let (shape, laid_out) = (self.shape.clone(), Arc::new(LaidOut { mask, order }));
        Ok(Signs { shape, mask: self.mask.clone(), laid_out })
    }

    /// The entries in row-major order as int8: 1, −1, or 0 where a weight is free.
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        PyBytes::new_with(py, self.mask.len(), |bytes| {
            for (byte, sign) in bytes.iter_mut().zip(self.mask.iter()) {
                *byte = sign as u8;
            }
            Ok(())
        })
    }
}

/// The number that names the tensor `name` to the random resets.
#[pyfunction]
pub(crate) fn number(name: &str) -> u64 {
    ResetKey::number(name)
}
