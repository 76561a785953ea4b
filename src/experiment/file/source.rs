//! What an experiment says of the sources of its signs.

use serde::{Deserialize, Serialize};

use super::one;
use crate::optim::Optimizer;
use crate::train::Rate;
use crate::weights::Layout;

/// Where the signs come from: exactly one of `template`, `weights` and `train`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A template file, or the name of a built-in template.
    #[serde(default)]
    pub template: Option<String>,
    /// A checkpoint with the weights themselves: a file, or a name of `polarity data list`.
    #[serde(default)]
    pub weights: Option<String>,
    /// How the file `weights` names and lays out its arrays.
    #[serde(default)]
    pub layout: Layout,
    /// A network that the experiment trains first.
    #[serde(default)]
    pub train: Option<SourceTraining>,
    /// Layers left fresh although the source has them, by the prefix of their name.
    #[serde(default)]
    pub except: Vec<String>,
}

/// How a source is trained here. What is not said is as in the experiment's own `train`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceTraining {
    /// What it learns from; the fresh networks never see these images in training or validation.
    pub data: SourceData,
    /// Passes over its images, 0 to 10,000; after 0 it is a network as it was initialised, which knows
    /// nothing.
    pub epochs: u64,
    /// Images a step, 1 to 1,000,000.
    #[serde(default)]
    pub batch: Option<usize>,
    /// The update rule.
    #[serde(default)]
    pub optimizer: Option<Optimizer>,
    /// The learning rate over its steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Threads of libtorch, 1 to 1,024; part of what is computed, since sums depend on it.
    #[serde(default = "one")]
    pub threads: usize,
    /// The seed of its initial weights and batch order; that of the first source that learns from the
    /// experiment's own data also chooses the images that are for sources.
    #[serde(default)]
    pub seed: u64,
}

/// The images a source learns from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceData {
    /// A registered data set; by default the experiment's.
    #[serde(default)]
    pub name: Option<String>,
    /// Labels to keep, 0 to 255, renumbered in this order; by default all.
    #[serde(default)]
    pub classes: Option<Vec<u8>>,
    /// Images of the training set that are the source's, whatever their class, 1 to as many as there
    /// are. The experiment's own
    /// subsets and validation images come from those that are no source's.
    pub images: usize,
}
