//! The projection by tensor operations, for devices that the fused pass does not reach.
//!
//! The same violators, the same draws and the same counts as the fused pass, on any device and for
//! any float kind; nothing is copied to the host.

use tch::{Kind, TchError, Tensor};

use super::fused::ResetKey;
use crate::sign::{Reset, SignMask};

/// A mask where its weights are: one byte a weight, −1, 0 (free) or +1, in the weights' shape.
pub(super) fn mask_like(mask: &SignMask, weight: &Tensor) -> Result<Tensor, TchError> {
    let signs = Tensor::f_from_slice(&mask.to_signs())?;
    signs.f_reshape(weight.size())?.f_to_device(weight.device())
}

/// How many violators `weight` has.
pub(super) fn violators(mask: &SignMask, weight: &Tensor) -> Result<usize, TchError> {
    let violators = weight.f_mul(&mask_like(mask, weight)?)?.f_lt(0.0)?;
    Ok(violators.f_sum(Kind::Int64)?.f_int64_value(&[])? as usize)
}

/// Replaces every violator of `weight`; gives back how many there were, as a tensor on its device.
pub(super) fn project(
    weight: &mut Tensor,
    mask: &Tensor,
    reset: Reset,
    key: ResetKey,
) -> Result<Tensor, TchError> {
    let violators = weight.f_mul(mask)?.f_lt(0.0)?;
    let replacement = match reset {
        Reset::Zero => weight.f_zeros_like()?,
        Reset::Flip => weight.f_neg()?,
        Reset::Constant(magnitude) => mask.f_mul_scalar(f64::from(magnitude.get()))?,
        Reset::Uniform(max) => {
            let draws = uniform(key, weight)?.f_mul_scalar(f64::from(max.get()))?;
            mask.f_mul(&draws)?
        }
    };
    let replacement = replacement.f_to_kind(weight.kind())?;
    let _ = replacement.f_where_self_out(weight, &violators, weight)?;
    violators.f_sum(Kind::Int64)
}

/// The uniform numbers that `key` gives the weights, in [0, 1): what `kernel::draw` defines. Integers of 32
/// bits wrap around as it asks for; their shifts to the right are signed, so the bits that come in are cleared.
fn uniform(key: ResetKey, weight: &Tensor) -> Result<Tensor, TchError> {
    let count = weight.numel() as i64;
    if count > i64::from(i32::MAX) {
        return Err(TchError::Kind(format!("a tensor of {count} weights, more than 2³¹ − 1")));
    }
    // One key for all indices below 2³².
    let mixed = key.mixed(0);
    let (low, high) = (mixed as u32, (mixed >> 32) as u32);
    let signed = |bits: u32| i64::from(bits as i32);
    let shifted = |x: &Tensor, bits: u32| {
        let mut x = x.f_bitwise_right_shift_tensor_scalar(i64::from(bits))?;
        x.f_bitwise_and_(signed(u32::MAX >> bits))
    };
    let mut x = Tensor::f_arange(count, (Kind::Int, weight.device()))?;
    let _ = x.f_add_scalar_(signed(low))?;
    for (bits, key, factor) in [(17, 0, 0xed5a_d4bb), (11, high, 0xac4c_1b51), (15, 0, 0x3184_8bab)]
    {
        let _ = x.f_bitwise_xor_tensor_(&shifted(&x, bits)?)?;
        if key != 0 {
            let _ = x.f_bitwise_xor_(signed(key))?;
        }
        let _ = x.f_mul_scalar_(signed(factor))?;
    }
    let _ = x.f_bitwise_xor_tensor_(&shifted(&x, 14)?)?;
    shifted(&x, 8)?.f_mul_scalar(1.0 / f64::from(1 << 24))?.f_reshape(weight.size())
}

/// How many weights are strictly on one side of zero in `before` and on the other in `after`.
pub(super) fn sign_flips(before: &Tensor, after: &Tensor) -> Result<Tensor, TchError> {
    before.f_sign()?.f_mul(&after.f_sign()?)?.f_lt(0.0)?.f_sum(Kind::Int64)
}

/// The same values in memory of their own, on the same device.
pub(crate) fn copy_of(tensor: &Tensor) -> Result<Tensor, TchError> {
    let tensor = tensor.f_detach()?;
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(&tensor)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tch::{CModule, Device};

    use super::*;

    /// What a view, a device's name or a conversion to the kind that is there already is called: no kernel.
    const NO_KERNEL: [&str; 3] = ["device", "reshape", "to"];

    /// The kernels of a projection, as TorchScript traces its operations.
    fn kernels(reset: Reset) -> Vec<String> {
        let mask = Tensor::from_slice(&[1_i8, -1, 0, 1]).reshape([2, 2]);
        let weight = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        let mut traced = |inputs: &[Tensor]| {
            let key = ResetKey { seed: 1, tensor: 2, step: 3 };
            let mut weight = inputs[0].shallow_clone();
            vec![tch::no_grad(|| project(&mut weight, &inputs[1], reset, key)).unwrap()]
        };
        let inputs = [weight, mask];
        let module = CModule::create_by_tracing("Projection", "forward", &inputs, &mut traced);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("projection.pt");
        module.unwrap().save(&path).unwrap();
        let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
        let named = |name: &&str| name.ends_with("__torch__.py");
        let name = archive.file_names().find(named).unwrap().to_owned();
        let mut code = String::new();
        archive.by_name(&name).unwrap().read_to_string(&mut code).unwrap();
        let calls = code.split("torch.").skip(1);
        let names = calls.map(|call| call.split('(').next().unwrap().to_owned());
        names.filter(|name| !NO_KERNEL.contains(&name.as_str())).collect()
    }

    #[test]
    fn a_projection_is_five_kernels_and_its_draws_are_twenty_two_more() {
        let count = |reset| kernels(reset).len();
        assert_eq!(count(Reset::Flip), 5, "{:?}", kernels(Reset::Flip));
        assert_eq!(count(Reset::default()), 27, "{:?}", kernels(Reset::default()));
    }
}
