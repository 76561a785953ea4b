//! An experiment as its file says it: YAML text, overrides from the command line, typed values.
//!
//! Text → YAML value (duplicate keys refused) → `key.path=value` overrides → typed [`Experiment`].
//! Every type refuses unknown keys; an error names the file, the full key and the legal values.
//! What an arm can say is in [`Arm`]; whether the values make sense together is left to
//! [`Plan`](super::Plan).

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Device;

pub use super::cell::Evaluations;
pub use crate::data::subset::Subset;
use crate::data::xor;
use crate::models::{Model, Precision};
use crate::optim::Optimizer;
pub use crate::results::{Arm, Biases, Hold, Magnitudes, Signs, Until, Zeros};
pub use crate::results::{Faithful, Figure, Reference, Tabulated};
use crate::sign::Reset;
use crate::weights::Layout;

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
    /// Widths of an `mlp`'s hidden layer in place of `model.hidden`, each an own row of cells.
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
    /// How every arm is trained.
    pub train: Train,
    /// The seeds, each of which runs every arm.
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
    /// The folder for `<name>/trials.csv` and the rest.
    #[serde(default = "results_folder")]
    pub results: PathBuf,
    /// The folder for `<name>/*.png`.
    #[serde(default = "plots_folder")]
    pub plots: PathBuf,
}

/// The name of the source that arms take from unless they name another.
pub(super) const SOURCE: &str = "source";

/// The key of the source `name` in a file.
pub(super) fn source_key(name: &str) -> String {
    if name == SOURCE { name.into() } else { format!("sources.{name}") }
}

fn results_folder() -> PathBuf {
    "results".into()
}

fn plots_folder() -> PathBuf {
    "plots".into()
}

/// Images and how they are split and prepared.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// A registered data set (`polarity data list`), any name beside `files`, `cifar10` or `folder`, or
    /// `xor-5d`, whose points are drawn.
    pub name: String,
    /// The four IDX files of a data set of one's own.
    #[serde(default)]
    pub files: Option<IdxFiles>,
    /// CIFAR-10 of one's own: the folder `cifar-10-batches-bin`, or the archive that has it.
    #[serde(default)]
    pub cifar10: Option<PathBuf>,
    /// A folder of images of one's own.
    #[serde(default)]
    pub folder: Option<ImageFolder>,
    /// Side of the images after resizing, in pixels.
    #[serde(default = "image_size")]
    pub image_size: usize,
    /// Numbers of training images, each an own row of cells.
    pub train_sizes: Vec<usize>,
    /// Images split from the training set for curves and for choosing the best step.
    #[serde(default = "validation")]
    pub validation: usize,
    /// Test images used at the end: the first so many of the test set, by default all.
    #[serde(default)]
    pub test: Option<usize>,
    /// Labels to keep, renumbered in this order; by default all.
    #[serde(default)]
    pub classes: Option<Vec<u8>>,
    /// How training images are chosen.
    #[serde(default)]
    pub subset: Subset,
    /// Which mean and deviation the pixels are scaled by.
    #[serde(default)]
    pub normalise: Normalise,
    /// The order in which the network reads the channels of colour images.
    #[serde(default)]
    pub channels: ChannelOrder,
}

fn image_size() -> usize {
    28
}

fn validation() -> usize {
    500
}

/// A data set of one's own in MNIST's file format, plain or gzipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct IdxFiles {
    pub train_images: PathBuf,
    pub train_labels: PathBuf,
    pub test_images: PathBuf,
    pub test_labels: PathBuf,
}

/// A folder of images of one's own, PNG or JPEG, with a folder for each class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFolder {
    /// The folder: `train` and `test` in it have the classes, or else it has them itself.
    pub path: PathBuf,
    /// The share of each class that is set apart for the test, where there is no folder `test`.
    #[serde(default)]
    pub test_share: Option<f64>,
}

/// Mean and deviation that pixel values in [0, 1] are scaled by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "NormaliseText", into = "NormaliseText")]
pub enum Normalise {
    /// Those of the data set's own training images, which are what is published for the known ones.
    #[default]
    Dataset,
    /// torchvision's for ImageNet: what an ImageNet source was trained on.
    Imagenet,
    /// These, one number for each channel that the network reads, in its order, or one for all.
    Given(Moments),
}

/// A mean and a deviation for each channel, or one for all, of pixel values in [0, 1].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Moments {
    pub mean: Vec<f32>,
    pub deviation: Vec<f32>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected `dataset`, `imagenet` or `{mean: [0.5], deviation: [0.25]}`"
)]
enum NormaliseText {
    Word(NormaliseWord),
    Given(Moments),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NormaliseWord {
    Dataset,
    Imagenet,
}

impl From<NormaliseText> for Normalise {
    fn from(text: NormaliseText) -> Self {
        match text {
            NormaliseText::Word(NormaliseWord::Dataset) => Normalise::Dataset,
            NormaliseText::Word(NormaliseWord::Imagenet) => Normalise::Imagenet,
            NormaliseText::Given(moments) => Normalise::Given(moments),
        }
    }
}

impl From<Normalise> for NormaliseText {
    fn from(normalise: Normalise) -> Self {
        match normalise {
            Normalise::Dataset => NormaliseText::Word(NormaliseWord::Dataset),
            Normalise::Imagenet => NormaliseText::Word(NormaliseWord::Imagenet),
            Normalise::Given(moments) => NormaliseText::Given(moments),
        }
    }
}

/// The order in which a network reads the channels of colour images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelOrder {
    /// Red, green, blue, as PyTorch's networks do.
    #[default]
    Rgb,
    /// Blue, green, red, as Caffe's networks do.
    Bgr,
}

impl ChannelOrder {
    /// Whether it is the usual one, which a cell's name does not mention.
    pub fn is_rgb(&self) -> bool {
        *self == ChannelOrder::Rgb
    }
}

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
    /// Passes over its images; after 0 it is a network as it was initialised, which knows nothing.
    pub epochs: u64,
    /// Images a step.
    #[serde(default)]
    pub batch: Option<usize>,
    /// The update rule.
    #[serde(default)]
    pub optimizer: Option<Optimizer>,
    /// Threads of libtorch; part of what is computed, since sums depend on it.
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
    /// Labels to keep, renumbered in this order; by default all.
    #[serde(default)]
    pub classes: Option<Vec<u8>>,
    /// Images of the training set that are the source's, whatever their class. The experiment's own
    /// subsets and validation images come from those that are no source's.
    pub images: usize,
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The update rule.
    pub optimizer: Optimizer,
    /// Images a step; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// Passes over the training subset; or give `steps`.
    #[serde(default)]
    pub epochs: Option<u64>,
    /// Optimizer steps; or give `epochs`.
    #[serde(default)]
    pub steps: Option<u64>,
    /// What replaces a weight that left its side.
    #[serde(default)]
    pub reset: Reset,
    /// Steps at which the validation images are evaluated, besides the first and the last, or
    /// `every-epoch`; by default late powers of two, as many as cost a tenth of the training, and those
    /// that the report tabulates. Data `xor-5d` are evaluated after every epoch.
    #[serde(default)]
    pub evaluate_at: Option<Evaluations>,
    /// Which weights are tested.
    #[serde(default)]
    pub select: Select,
    /// Threads of libtorch; part of what is computed, since sums depend on it.
    #[serde(default = "one")]
    pub threads: usize,
    /// What activations and products are computed in.
    #[serde(default)]
    pub precision: PrecisionChoice,
    /// In which points a study of data `xor-5d` does as the authors did; by default in none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faithful: Vec<Faithful>,
}

fn one() -> usize {
    1
}

/// A precision, or the one that is fastest where the experiment runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionChoice {
    /// 32-bit floating point: the same cells on every machine.
    #[default]
    Float32,
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

/// The seeds of an experiment: `0..20` (the end excluded) or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SeedsText", into = "Vec<u64>")]
pub struct Seeds(pub Vec<u64>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a range like `0..20` or a list like `[0, 1, 2]`")]
enum SeedsText {
    Range(String),
    List(Vec<u64>),
}

impl TryFrom<SeedsText> for Seeds {
    type Error = String;

    fn try_from(text: SeedsText) -> Result<Self, String> {
        let range = match text {
            SeedsText::List(seeds) => return Ok(Seeds(seeds)),
            SeedsText::Range(range) => range,
        };
        let ends = range.split_once("..").and_then(|(from, to)| {
            Some((from.trim().parse::<u64>().ok()?, to.trim().parse::<u64>().ok()?))
        });
        match ends {
            Some((from, to)) if from < to && to - from <= 1_000_000 => {
                Ok(Seeds((from..to).collect()))
            }
            _ => Err(format!(
                "expected a range like `0..20` or a list like `[0, 1, 2]`, got `{range}`"
            )),
        }
    }
}

impl From<Seeds> for Vec<u64> {
    fn from(seeds: Seeds) -> Self {
        seeds.0
    }
}

/// Why an experiment file was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The experiment file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is no YAML, or says a key twice.
    #[error("{file}: {what}")]
    Yaml {
        /// The experiment file.
        file: PathBuf,
        /// What and where.
        what: String,
    },
    /// A key or value is not one an experiment has.
    #[error("{file}: {key}: {what}")]
    Value {
        /// The experiment file.
        file: PathBuf,
        /// The full key.
        key: String,
        /// What was expected and what was found.
        what: String,
    },
    /// An override is not `key.path=value`.
    #[error("`{text}`: {what}; an override is `key.path=value`, for example `train.batch=50`")]
    Override {
        /// The override as typed.
        text: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Experiment {
    /// Whether it is a study of XOR-5D: its data are points and its networks an `mlp`.
    pub fn is_xor(&self) -> bool {
        self.data.name == xor::NAME
    }

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

    /// Reads `file` and applies `overrides`, each `key.path=value` with a YAML value.
    ///
    /// # Errors
    /// When the file cannot be read, is no YAML, or has an unknown key or a value of a wrong type.
    pub fn load(file: &Path, overrides: &[String]) -> Result<Self, Error> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| Error::Read { file: file.to_owned(), source })?;
        Self::parse(&text, file, overrides)
    }

    /// [`load`](Self::load) for text that is already in memory; `file` names it in errors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, file: &Path, overrides: &[String]) -> Result<Self, Error> {
        let yaml = |error: serde_yaml::Error| Error::Yaml {
            file: file.to_owned(),
            what: error.to_string(),
        };
        let document: serde_yaml::Value = serde_yaml::from_str(text).map_err(yaml)?;
        let mut document =
            to_json(document).map_err(|what| Error::Yaml { file: file.to_owned(), what })?;
        for text in overrides {
            apply(&mut document, text)?;
        }
        serde_path_to_error::deserialize(document).map_err(|error| Error::Value {
            file: file.to_owned(),
            key: error.path().to_string(),
            what: error.inner().to_string(),
        })
    }
}

/// YAML's values as JSON's, which serde reads enums like `{adam: {…}}` from.
fn to_json(value: serde_yaml::Value) -> Result<Value, String> {
    match value {
        serde_yaml::Value::Null => Ok(Value::Null),
        serde_yaml::Value::Bool(flag) => Ok(flag.into()),
        serde_yaml::Value::String(text) => Ok(text.into()),
        serde_yaml::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(natural), _) => Ok(natural.into()),
            (_, Some(integer)) => Ok(integer.into()),
            _ => serde_json::Number::from_f64(number.as_f64().unwrap_or(f64::NAN))
                .map(Value::Number)
                .ok_or(format!("expected a finite number, got `{number}`")),
        },
        serde_yaml::Value::Sequence(items) => {
            items.into_iter().map(to_json).collect::<Result<_, _>>().map(Value::Array)
        }
        serde_yaml::Value::Mapping(entries) => entries
            .into_iter()
            .map(|(key, value)| match key {
                serde_yaml::Value::String(key) => {
                    let value = to_json(value).map_err(|what| format!("{key}: {what}"))?;
                    Ok((key, value))
                }
                other => Err(format!("expected keys that are words, got `{other:?}`")),
            })
            .collect::<Result<_, _>>()
            .map(Value::Object),
        serde_yaml::Value::Tagged(tagged) => {
            Err(format!("expected no tag, got `{}`; write `{{adam: {{…}}}}`", tagged.tag))
        }
    }
}

/// Puts the value of `key.path=value` in its place, making the maps on the way to it.
fn apply(document: &mut Value, text: &str) -> Result<(), Error> {
    let wrong = |what: String| Error::Override { text: text.to_owned(), what };
    let (path, value) = text.split_once('=').ok_or(wrong("no `=` in it".into()))?;
    let value = serde_yaml::from_str(value).map_err(|error| wrong(error.to_string()))?;
    let value = to_json(value).map_err(wrong)?;
    let mut place = document;
    for key in path.split('.') {
        if key.is_empty() {
            return Err(wrong("an empty key".into()));
        }
        if place.is_null() {
            *place = Value::Object(serde_json::Map::new());
        }
        let Value::Object(map) = place else {
            return Err(wrong(format!("`{key}` is inside something that has no keys")));
        };
        place = map.entry(key).or_insert(Value::Null);
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "
name: tiny
data: {name: fashion-mnist, train_sizes: [10]}
model: {name: alexnet-mini}
arms:
  b: {signs: init, hold: none}
  a: {signs: init, hold: all}
train: {optimizer: {adam: {lr: 0.001}}, batch: 5, epochs: 2}
seeds: 0..3
";

    fn parse(text: &str, overrides: &[&str]) -> Result<Experiment, Error> {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        Experiment::parse(text, Path::new("tiny.yaml"), &overrides)
    }

    fn refusal(text: &str, overrides: &[&str]) -> String {
        parse(text, overrides).unwrap_err().to_string()
    }

    #[test]
    fn arms_keep_the_order_of_the_file() {
        let experiment = parse(MINIMAL, &[]).unwrap();
        assert_eq!(experiment.arms.keys().collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    fn a_figure_is_a_kind_or_a_kind_with_arms() {
        let text = MINIMAL.to_owned() + "figures: [fig2, {kind: weights, arms: [a]}]\n";
        let experiment = parse(&text, &[]).unwrap();
        let arms = Some(vec!["a".to_owned()]);
        let [fig2, weights] = [("fig2", None), ("weights", arms)]
            .map(|(kind, arms)| Figure { kind: kind.into(), arms });
        assert_eq!(experiment.figures, [fig2, weights]);
        let written = serde_json::to_string(&experiment.figures).unwrap();
        assert_eq!(written, r#"["fig2",{"kind":"weights","arms":["a"]}]"#);
        assert!(refusal(&text, &["figures=[3]"]).contains("expected a kind of figure"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_path_and_the_legal_ones() {
        let message = refusal(&MINIMAL.replace("batch: 5", "batsh: 5"), &[]);
        assert!(message.starts_with("tiny.yaml: train.batsh: unknown field `batsh`"), "{message}");
        assert!(message.contains("`batch`"), "{message}");
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_path() {
        let message = refusal(MINIMAL, &["data.train_sizes=[10, many]"]);
        assert!(message.starts_with("tiny.yaml: data.train_sizes[1]: invalid type"), "{message}");
    }

    #[test]
    fn a_key_said_twice_is_refused() {
        let message = refusal(&format!("{MINIMAL}name: again\n"), &[]);
        assert!(message.contains("duplicate entry with key \"name\""), "{message}");
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused() {
        let message = refusal(MINIMAL, &["train.optimizer.adam.lr=.nan"]);
        assert!(message.contains("expected a finite number"), "{message}");
    }

    #[test]
    fn an_override_replaces_a_value_or_adds_a_legal_key() {
        let experiment =
            parse(MINIMAL, &["train.batch=7", "train.threads=2", "seeds=[4]"]).unwrap();
        assert_eq!((experiment.train.batch, experiment.train.threads), (7, 2));
        assert_eq!(experiment.seeds, Seeds(vec![4]));
    }

    #[test]
    fn an_override_of_an_unknown_key_or_without_a_value_is_refused() {
        assert!(refusal(MINIMAL, &["train.speed=9"]).contains("unknown field `speed`"));
        assert!(refusal(MINIMAL, &["train.batch"]).contains("`key.path=value`"));
        assert!(refusal(MINIMAL, &["name.x=1"]).contains("`x` is inside something"));
    }

    #[test]
    fn seeds_are_a_range_or_a_list_and_nothing_else() {
        assert_eq!(parse(MINIMAL, &["seeds=2..4"]).unwrap().seeds, Seeds(vec![2, 3]));
        for wrong in ["4..2", "x", "0...3", "-1..3", "{}"] {
            let message = refusal(MINIMAL, &[&format!("seeds={wrong}")]);
            assert!(message.contains("range like `0..20`"), "{message}");
        }
    }
}
