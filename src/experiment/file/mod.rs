//! An experiment as its file says it; nothing here looks at data.
//!
//! Every type refuses unknown keys, and every number has its range in the comment of its key. What an arm can say is in [`Arm`]; whether the values make sense
//! together is left to `check`.

mod data;
pub(crate) mod limits;
mod misfit;
mod overrides;
mod parse;
mod seeds;
mod size;
mod source;
mod train;
mod values;

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use crate::data::subset::Subset;
use crate::models::Model;
pub use crate::results::claim::Claim;
pub use crate::results::{
    Arm, Biases, Faithful, Figure, Hold, Magnitudes, Reference, Signs, Tabulated, Until, Zeros,
};
use crate::slurm::Settings;
pub(crate) use data::IMAGE_SIZE;
pub use data::{ChannelOrder, Data, IdxFiles, ImageFolder, Moments, Normalise};
pub use parse::{Error, apply_overrides};
pub use seeds::Seeds;
pub use source::{Source, SourceData, SourceTraining};
pub use train::{Evaluations, EvaluationsWord, PrecisionChoice, Select, Train};

/// A whole experiment file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an experiment: `name`, `data`, `model`, `arms`, …")]
pub struct Experiment {
    /// Names the folders below `results` and `plots`.
    pub name: String,
    /// Stands above the figures; by default data, network and image size.
    #[serde(default)]
    pub title: Option<String>,
    /// What the fresh networks learn from.
    pub data: Data,
    /// The architecture of the fresh networks, and of a source trained here.
    pub model: Model,
    /// Widths of an `mlp`'s hidden layer in place of `model.hidden`, 1 to 16,384, each an own row of
    /// cells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widths: Vec<usize>,
    /// Where signs (and magnitudes) come from.
    #[serde(default)]
    pub source: Option<Source>,
    /// More of them by name, for arms that say `source: NAME`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub sources: IndexMap<String, Source>,
    /// The conditions, in the order of tables and figures.
    pub arms: IndexMap<String, Arm>,
    /// The arm that differences are taken to.
    #[serde(default)]
    pub baseline: Option<String>,
    /// What is claimed before the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// How every arm is trained.
    pub train: Train,
    /// The seeds, each of which runs every arm; all cells together are at most 1,000,000.
    pub seeds: Seeds,
    /// The figures that `polarity plot` draws.
    #[serde(default)]
    pub figures: Vec<Figure>,
    /// What figures show beside the results.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// What `polarity report` tabulates beside the test error.
    #[serde(default)]
    pub report: Tabulated,
    /// What tasks ask of a Slurm cluster; no result depends on it.
    #[serde(default, skip_serializing)]
    pub slurm: Settings,
    /// The folder for `<name>/trials.csv` and the rest.
    #[serde(default = "results_folder")]
    pub results: PathBuf,
    /// The folder for `<name>/*.png`.
    #[serde(default = "plots_folder")]
    pub plots: PathBuf,
}

/// The name of the source that arms take from unless they name another.
pub(crate) const SOURCE: &str = "source";

/// The key of the source `name` in a file.
pub(crate) fn source_key(name: &str) -> String {
    if name == SOURCE { name.into() } else { format!("sources.{name}") }
}

fn results_folder() -> PathBuf {
    "results".into()
}

fn plots_folder() -> PathBuf {
    "plots".into()
}

impl Experiment {
    /// All sources by name: that of `source`, called `source`, and those of `sources`.
    pub fn all_sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        let named = self.sources.iter().map(|(name, source)| (name.as_str(), source));
        self.source.iter().map(|source| (SOURCE, source)).chain(named)
    }

    /// The source that `arm` takes from, if it takes anything.
    pub fn source_of(&self, arm: &Arm) -> Option<(&str, &Source)> {
        let wanted = arm.source.as_deref().unwrap_or(SOURCE);
        self.all_sources().find(|(name, _)| *name == wanted)
    }

    /// The seeds of the source that `arm` takes from, where it takes from one that has several: it has a
    /// cell for each.
    pub(crate) fn seeds_of_source(&self, arm: &Arm) -> Option<&Seeds> {
        let (_, source) = self.source_of(arm).filter(|_| arm.needs_source())?;
        source.train.as_ref()?.seeds.as_ref()
    }

    /// The seeds of all sources that have several.
    pub(crate) fn source_seeds(&self) -> impl Iterator<Item = u64> {
        let seeds =
            self.all_sources().filter_map(|(_, source)| source.train.as_ref()?.seeds.as_ref());
        seeds.flat_map(|Seeds(seeds)| seeds.iter().copied())
    }

    /// The folder of its results.
    pub fn results_folder(&self) -> PathBuf {
        self.results.join(&self.name)
    }

    /// The folder of its figures.
    pub fn plots_folder(&self) -> PathBuf {
        self.plots.join(&self.name)
    }
}

fn one() -> usize {
    1
}
