//! The specification of one training run, and the name that follows from it.
//!
//! A cell is named by what it computes: the digest of its specification, which holds every value that
//! the result depends on and none that it does not. The same cell keeps its name whatever the file
//! that asks for it, the machine that runs it or the order in which it runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::experiment::file::{ChannelOrder, Evaluations, Normalise, Select, Subset};
use crate::models::{Model, Precision};
use crate::optim::Optimizer;
use crate::random::Stream;
use crate::results::{Biases, Hold, Magnitudes, Signs, Zeros};
use crate::sign::Reset;
use crate::train::Rate;

/// Changes whenever the same specification would give other numbers.
pub const RESULTS_VERSION: u32 = 4;

/// Everything one training run depends on. What the seeds of a setting have in common is in memory once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// [`RESULTS_VERSION`].
    pub version: u32,
    /// `cpu` or `cuda`: the same operations round differently on each.
    pub device: String,
    /// What it learns from.
    pub data: Arc<DataSpec>,
    /// The network.
    pub model: Model,
    /// How it starts and what is held; none for a source, which starts from its own weights.
    pub arm: Option<Arc<ArmSpec>>,
    /// How it is trained.
    pub train: Arc<TrainSpec>,
    /// The seed; what is drawn under it, and what is not, says [`stream_seed`](Self::stream_seed).
    pub seed: u64,
}

/// What a cell learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DataSpec {
    /// Images.
    Images(ImageSpec),
    /// The points of XOR-5D.
    Xor(XorSpec),
}

/// The points of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct XorSpec {
    /// [`xor::NAME`](crate::data::xor::NAME).
    pub law: String,
    pub train_size: usize,
    pub validation: usize,
    pub test: usize,
    /// Whether all seeds share one draw and one batch order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_draw: bool,
}

/// The images of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ImageSpec {
    /// The data set's digest.
    pub digest: String,
    /// The part of the training set it comes from.
    pub share: Share,
    pub classes: Option<Vec<u16>>,
    pub image_size: usize,
    pub normalise: Normalise,
    #[serde(default, skip_serializing_if = "ChannelOrder::is_rgb")]
    pub channels: ChannelOrder,
    pub subset: Subset,
    /// Training images.
    pub train_size: usize,
    pub validation: usize,
    pub test: Option<usize>,
}

/// Which part of a training set a cell may use, so that fresh networks never see a source's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Share {
    /// All of it: no source was trained on it here.
    Whole,
    /// The first `images` of an order drawn from `seed`.
    Source { images: usize, seed: u64 },
    /// The others.
    Rest { images: usize, seed: u64 },
}

/// The start of a cell and what is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ArmSpec {
    pub signs: Signs,
    pub magnitudes: Magnitudes,
    /// Whether the source's biases are taken; none where they go as the magnitudes do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub biases: Option<Biases>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    #[serde(default, skip_serializing_if = "Zeros::is_free")]
    pub zeros: Zeros,
    pub hold: Hold,
    /// The last step after which signs are held; none where they are held throughout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_at: Option<u64>,
    /// The reset rule; none where nothing is held.
    pub reset: Option<Reset>,
    /// Whether the rule also puts weights on their side before the first step; else they are flipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset_at_start: bool,
    /// The source; none where the arm takes nothing from it.
    pub source: Option<SourceSpec>,
}

/// The identity of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct SourceSpec {
    /// The template's digest, the checkpoint's, or the id of the cell that trains it.
    pub digest: String,
    pub except: Vec<String>,
}

/// How a cell is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct TrainSpec {
    pub optimizer: Optimizer,
    pub batch: usize,
    pub steps: u64,
    /// The learning rate over the steps.
    #[serde(default, skip_serializing_if = "Rate::is_constant")]
    pub rate: Rate,
    pub evaluate_at: Evaluations,
    pub select: Select,
    pub threads: usize,
    pub precision: Precision,
}

impl ArmSpec {
    /// A fluid network as it is initialised.
    pub fn fresh() -> Self {
        ArmSpec {
            signs: Signs::Init,
            magnitudes: Magnitudes::Init,
            biases: None,
            only: Vec::new(),
            zeros: Zeros::Free,
            hold: Hold::None,
            release_at: None,
            reset: None,
            reset_at_start: false,
            source: None,
        }
    }
}

impl DataSpec {
    /// How many images or points it learns from.
    pub fn train_size(&self) -> usize {
        match self {
            DataSpec::Images(images) => images.train_size,
            DataSpec::Xor(points) => points.train_size,
        }
    }

    /// The images, where it learns from images.
    pub fn images(&self) -> Option<&ImageSpec> {
        match self {
            DataSpec::Images(images) => Some(images),
            DataSpec::Xor(_) => None,
        }
    }
}

impl Spec {
    /// The digest of the source that it takes something from.
    pub fn source(&self) -> Option<&str> {
        Some(&self.arm.as_ref()?.source.as_ref()?.digest)
    }

    /// The seed of every stream that the cell draws from. A source has one of its own: were it the same
    /// as a fresh network's, the network of that seed would start from the source's own initial weights.
    pub fn stream_seed(&self) -> u64 {
        match self.arm {
            Some(_) => self.seed,
            None => Stream::new(self.seed, "source").bits(),
        }
    }

    /// The cell's name: the first 16 hex digits of the SHA-256 of the specification as JSON, keys in
    /// the order of these structs.
    pub fn id(&self) -> String {
        let text = serde_json::to_string(self).expect("a specification holds only finite numbers");
        sha256(text.as_bytes())[..16].to_owned()
    }
}
