//! How a network does on a set of images, and the loss that it learns by.

use tch::{Kind, Reduction, TchError, Tensor};

use super::{ErrorCount, Evaluation, ImageSet};
use crate::models::{Mode, Network};

/// Images evaluated at once.
pub(crate) const EVALUATION_BATCH: usize = 100;

/// Loss and error of `net` on `set`, without dropout and without gradients.
///
/// # Errors
/// What libtorch says.
pub fn evaluate(net: &Network, set: &ImageSet) -> Result<Evaluation, TchError> {
    tch::no_grad(|| {
        let (mut loss, mut wrong) = (0.0, 0);
        for start in (0..set.len()).step_by(EVALUATION_BATCH) {
            let count = EVALUATION_BATCH.min(set.len() - start);
            let (images, labels) = set.slice(start, count)?;
            let logits = net.forward(&images, Mode::Evaluate)?;
            let total = cross_entropy(&logits, &labels, Reduction::Sum)?;
            loss += total.f_double_value(&[])?;
            wrong +=
                guesses(&logits)?.f_ne_tensor(&labels)?.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        }
        let error = ErrorCount { wrong: wrong as u64, of: set.len() as u64 };
        Ok(Evaluation { loss: loss / set.len() as f64, error })
    })
}

/// The loss of `logits` `[n, classes]`; of `[n, 1]`, which are the log-odds of class 1 of two.
pub(super) fn cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    reduction: Reduction,
) -> Result<Tensor, TchError> {
    if !is_binary(logits) {
        return logits.f_cross_entropy_loss(labels, None::<Tensor>, reduction, -100, 0.0);
    }
    let (logits, labels) = (logits.f_flatten(0, -1)?, labels.f_to_kind(Kind::Float)?);
    let none = None::<Tensor>;
    logits.f_binary_cross_entropy_with_logits(&labels, none.as_ref(), none.as_ref(), reduction)
}

/// The likeliest class of each row.
fn guesses(logits: &Tensor) -> Result<Tensor, TchError> {
    if !is_binary(logits) {
        return logits.f_argmax(-1, false);
    }
    logits.f_flatten(0, -1)?.f_gt(0.0)?.f_to_kind(Kind::Int64)
}

fn is_binary(logits: &Tensor) -> bool {
    logits.size().last() == Some(&1)
}
