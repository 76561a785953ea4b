//! The numbers a network computes with.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

/// What activations and products are computed in. Weights, gradients and the optimizer's state are
/// float32 always, so signs are held on the same bits in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floating point throughout.
    #[default]
    Float32,
    /// As float32, but a GPU rounds the factors of products to TF32; CPUs have no such arithmetic.
    Tf32,
    /// Weights are rounded to bfloat16 where they are used, sums come back rounded to it.
    Bf16,
}

impl Precision {
    /// bfloat16 where `device` has arithmetic for it (a CUDA device, or a CPU with AVX512-BF16, which
    /// every CPU with AMX has), else float32: emulated, bfloat16 is the slower one.
    pub fn fastest(device: Device) -> Self {
        match device {
            Device::Cpu if !cpu_has_bf16() => Precision::Float32,
            _ => Precision::Bf16,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Precision::Float32 | Precision::Tf32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }
}

/// Whether the CPU multiplies bfloat16 numbers itself.
fn cpu_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
