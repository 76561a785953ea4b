//! What an experiment says of the sources of its signs.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize, Serializer};

use super::{Seeds, one};
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
    /// Which of the dicts in the file `weights` is the network, its keys joined by dots; by default the
    /// one that has its names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The beginnings of names in the file, and what stands for them in the network.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub rename: IndexMap<String, String>,
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
    /// Passes over its images, 0 to 10,000, 0.25 for example: rounded to whole steps, of which there is one
    /// at least; after 0 it is a network as it was initialised, which knows nothing.
    #[serde(serialize_with = "as_written")]
    pub epochs: f64,
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
    /// The seed of its initial weights, batch order and dropout, 0 by default; that of the first source
    /// that learns from the experiment's own data also chooses the images that are for sources.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Several seeds in place of `seed`, `0..5` or a list, each at most 2^53: as many sources, that share
    /// the images that are for sources, those of seed 0 whatever the list. An arm that takes from it is a
    /// cell for each of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Seeds>,
}

/// A whole number without a point, as files have it.
fn as_written<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match number.fract() == 0.0 && (0.0..1e15).contains(number) {
        true => serializer.serialize_u64(*number as u64),
        false => serializer.serialize_f64(*number),
    }
}

impl SourceTraining {
    /// Its optimizer steps, where an epoch has so many.
    pub(crate) fn steps(&self, an_epoch: u64) -> u64 {
        let steps = (self.epochs * an_epoch as f64).round() as u64;
        steps.max(u64::from(self.epochs > 0.0))
    }

    /// What is trained, in a sentence; `own` is the experiment's own rate.
    pub fn explain(&self, own: Rate) -> String {
        let SourceTraining { data, epochs, rate, seeds, .. } = self;
        let set = data.name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        let mut text = format!("trained here for {epochs} epochs on {} images{set}", data.images);
        if rate.unwrap_or(own) == Rate::Cosine {
            text += ", at a rate that falls along a cosine";
        }
        if let Some(Seeds(seeds)) = seeds {
            text += &format!(", once for each of the seeds {seeds:?}");
        }
        text
    }

    /// The seed of the order of all images, of which the first are for sources.
    pub(crate) fn seed_of_images(&self) -> u64 {
        self.seed.unwrap_or(0)
    }

    /// The seeds of its sources, one each, with the value of the swept setting `source_seed`.
    pub(crate) fn each_seed(&self) -> Vec<(u64, Option<u64>)> {
        match &self.seeds {
            None => vec![(self.seed.unwrap_or(0), None)],
            Some(Seeds(seeds)) => seeds.iter().map(|&seed| (seed, Some(seed))).collect(),
        }
    }
}

/// The images a source learns from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceData {
    /// A registered data set; by default the experiment's.
    #[serde(default)]
    pub name: Option<String>,
    /// Labels to keep, 0 to 65,535, renumbered in this order; by default all.
    #[serde(default)]
    pub classes: Option<Vec<u16>>,
    /// Images of the training set that are the source's, whatever their class, 1 to as many as there
    /// are. The experiment's own
    /// subsets and validation images come from those that are no source's.
    pub images: usize,
}
