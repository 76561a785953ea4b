//! Where to compute: `auto`, `cpu` or `cuda:N`.

use std::str::FromStr;

use anyhow::anyhow;
use tch::Device;

use super::Failure;
use crate::cuda;

/// A device as typed; whether it is there is looked at by [`resolve`](Self::resolve).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeviceArg {
    Auto,
    Cpu,
    Cuda(usize),
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("auto", _) => Ok(DeviceArg::Auto),
            ("cpu", _) => Ok(DeviceArg::Cpu),
            ("cuda", _) => Ok(DeviceArg::Cuda(0)),
            (_, Some(Ok(index))) => Ok(DeviceArg::Cuda(index)),
            _ => Err("expected `auto`, `cpu` or `cuda:0`".into()),
        }
    }
}

impl DeviceArg {
    /// What is planned for, here or elsewhere; nothing is looked at but for `auto`, which is a GPU where
    /// one is asked for or is here.
    pub(super) fn planned(self, asks_for_gpu: bool) -> Device {
        match self {
            DeviceArg::Auto if asks_for_gpu || cuda::devices().is_ok() => Device::Cuda(0),
            DeviceArg::Auto | DeviceArg::Cpu => Device::Cpu,
            DeviceArg::Cuda(index) => Device::Cuda(index),
        }
    }

    pub(super) fn resolve(self) -> Result<Device, Failure> {
        match self {
            DeviceArg::Auto | DeviceArg::Cpu => Ok(self.planned(false)),
            DeviceArg::Cuda(index) => match cuda::devices() {
                Ok(there) if index < there => Ok(Device::Cuda(index)),
                Ok(there) => Err(Failure::Input(anyhow!(
                    "--device cuda:{index}: there are {there} CUDA devices, from cuda:0 on"
                ))),
                Err(lack) => Err(Failure::Input(anyhow!(
                    "--device cuda:{index}: {lack}; `--device cpu` goes without"
                ))),
            },
        }
    }
}
