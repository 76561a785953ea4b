//! Initial weights drawn from a run's own streams.
//!
//! libtorch has one generator for all threads, and its numbers differ between devices; ours depend
//! on the seed and the tensor's name alone, so arms with the same seed start from the same bits.

use tch::{TchError, Tensor, nn};

use crate::random::Stream;

/// Draws every weight and bias of `variables` anew: U(±1/√fan-in), PyTorch's default for
/// convolutions and linear layers (`kaiming_uniform_` with a = √5).
///
/// A bias has the fan-in of the weight beside it; a tensor of one dimension without a weight beside
/// it keeps its values. No draw is 0, so every weight has a sign.
///
/// # Errors
/// What libtorch says when a copy fails.
pub fn torch_default(variables: &nn::VarStore, seed: u64) -> Result<(), TchError> {
    let tensors = variables.variables();
    for (name, tensor) in &tensors {
        let weight = match name.strip_suffix("bias") {
            Some(layer) => tensors.get(&format!("{layer}weight")),
            None => Some(tensor),
        };
        let Some(fan_in) = weight.and_then(fan_in) else {
            continue;
        };
        let bound = 1.0 / (fan_in as f32).sqrt();
        let mut stream = Stream::new(seed, &format!("init/{name}"));
        let values: Vec<f32> = (0..tensor.numel()).map(|_| bound * stream.symmetric()).collect();
        let fresh = Tensor::f_from_slice(&values)?.f_reshape(tensor.size())?;
        tch::no_grad(|| tensor.shallow_clone().f_copy_(&fresh))?;
    }
    Ok(())
}

/// Inputs to one output unit of an OIHW or `[out, in]` weight.
fn fan_in(weight: &Tensor) -> Option<i64> {
    let shape = weight.size();
    (shape.len() >= 2).then(|| shape[1..].iter().product())
}
