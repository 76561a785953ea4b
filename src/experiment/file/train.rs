//! What an experiment says of training.

use serde::{Deserialize, Serialize};
use tch::Device;

use super::one;
use crate::models::Precision;
use crate::optim::Optimizer;
use crate::results::Faithful;
use crate::sign::Reset;
use crate::train::Rate;

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The update rule.
    pub optimizer: Optimizer,
    /// Images a step, 1 to 1,000,000; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// Passes over the training subset, 1 to 100,000; or give `steps`.
    #[serde(default)]
    pub epochs: Option<u64>,
    /// Optimizer steps, 1 to 1,000,000,000; or give `epochs`.
    #[serde(default)]
    pub steps: Option<u64>,
    /// The learning rate over the steps: the optimizer's throughout, or falling from it to almost 0.
    /// Images only.
    #[serde(default, skip_serializing_if = "Rate::is_constant")]
    pub rate: Rate,
    /// What replaces a weight that left its side.
    #[serde(default)]
    pub reset: Reset,
    /// Steps at which the validation images are evaluated, besides the first and the last, or
    /// `every-epoch`; by default late powers of two, as many as cost a tenth of the training, and those
    /// that the report tabulates. At most 10,000 of them, none after the last step. Data `xor-5d` are
    /// evaluated after every epoch.
    #[serde(default)]
    pub evaluate_at: Option<Evaluations>,
    /// Which weights are tested.
    #[serde(default)]
    pub select: Select,
    /// Threads of libtorch, 1 to 1,024; part of what is computed, since sums depend on it.
    #[serde(default = "one")]
    pub threads: usize,
    /// What activations and products are computed in.
    #[serde(default)]
    pub precision: PrecisionChoice,
    /// In which points a study of data `xor-5d` does as the authors did; by default in none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faithful: Vec<Faithful>,
}

/// A precision, or the one that is fastest where the experiment runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionChoice {
    /// 32-bit floating point: the same cells on every machine.
    #[default]
    Float32,
    /// float32 whose products a GPU rounds to TF32.
    Tf32,
    /// bfloat16 products under float32 weights.
    Bf16,
    /// bfloat16 where the device has arithmetic for it, else float32.
    Auto,
}

impl PrecisionChoice {
    /// The precision on `device`.
    pub fn on(self, device: Device) -> Precision {
        match self {
            PrecisionChoice::Float32 => Precision::Float32,
            PrecisionChoice::Tf32 => Precision::Tf32,
            PrecisionChoice::Bf16 => Precision::Bf16,
            PrecisionChoice::Auto => Precision::fastest(device),
        }
    }
}

/// Which weights of a run are tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// Those with the least validation loss among the steps evaluated.
    #[default]
    Best,
    /// Those after the last step.
    Last,
}

/// When the validation data are evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected steps, `[0, 10, 100]`, or `every-epoch`")]
#[allow(missing_docs)]
pub enum Evaluations {
    /// After these steps; 0 is before training.
    Steps(Vec<u64>),
    /// As the word says.
    Word(EvaluationsWord),
}

/// See [`Evaluations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvaluationsWord {
    /// After each epoch.
    EveryEpoch,
}

impl Evaluations {
    /// The steps that are named.
    pub(crate) fn steps(&self) -> &[u64] {
        match self {
            Evaluations::Steps(steps) => steps,
            Evaluations::Word(EvaluationsWord::EveryEpoch) => &[],
        }
    }
}
