//! The mean loss of the batches between two evaluations.

use tch::{Kind, TchError, Tensor};

/// The mean loss since it was last asked for, summed where the losses are.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// A float64 scalar.
    pub(super) sum: Option<Tensor>,
    pub(super) count: u64,
}

impl Losses {
    pub(super) fn add(&mut self, loss: Tensor) -> Result<(), TchError> {
        let loss = loss.f_to_kind(Kind::Double)?;
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum.f_add(&loss)?,
            None => loss,
        });
        self.count += 1;
        Ok(())
    }

    pub(super) fn take_mean(&mut self) -> Result<Option<f64>, TchError> {
        let count = std::mem::take(&mut self.count) as f64;
        let sum = self.sum.take().map(|sum| sum.f_double_value(&[])).transpose()?;
        Ok(sum.map(|sum| sum / count))
    }
}
