//! What the tables of an experiment are about: its arms, its settings, and what its report and figures
//! show.
//!
//! All of it stands in `manifest.json`, so a results folder can be read without the file that made it.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arm::Arm;
use super::claim::Claim;

/// The description of an experiment's tables.
#[derive(Clone, Debug)]
pub struct About {
    /// The experiment's name.
    pub name: String,
    /// What stands above the figures.
    pub title: String,
    /// The conditions, in the order of tables and figures.
    pub arms: IndexMap<String, Arm>,
    /// Swept settings and their values, in the order of the file; sources are not among them.
    pub swept: IndexMap<String, Vec<u64>>,
    /// What was claimed before the run.
    pub claims: Vec<Claim>,
    /// The digest of the claims that there were when the tables were written, if there were any.
    pub claims_digest: Option<String>,
    /// The arm that differences are taken to.
    pub baseline: Option<String>,
    /// What the report tabulates beside the test error.
    pub tabulated: Tabulated,
    /// The figures that are drawn.
    pub figures: Vec<Figure>,
    /// What figures show beside the results.
    pub reference: Option<Reference>,
    /// The error of guessing, 1 − 1 / classes, in [0, 1].
    pub chance: f64,
    /// Cells of the arms that the experiment has, finished or not.
    pub planned: usize,
    /// Images a step.
    pub batch: usize,
    /// Passes over the training data, where the file counts in epochs.
    pub epochs: Option<u64>,
    /// In which points a study of XOR does as the authors did.
    pub faithful: Vec<Faithful>,
    /// Test images that all cells share; none where it is the whole test set, or drawn for each cell.
    pub test: Option<usize>,
}

/// What a report tabulates beside the test error.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tabulated {
    /// Steps whose validation errors have a column each; 0 is before training.
    pub steps: Vec<u64>,
    /// Validation accuracies in (0, 1): how many cells reach each, and how soon.
    pub thresholds: Vec<f64>,
    /// Values of swept settings that the printed tables show, by name; by default all. The JSON form
    /// always has all.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub at: IndexMap<String, Vec<f64>>,
}

/// A figure: its kind alone, or its kind and the arms it shows, `{kind: weights, arms: [a, b]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "FigureText", into = "FigureText")]
pub struct Figure {
    /// The kind, which names the file too.
    pub kind: String,
    /// The arms it shows, in this order; by default all.
    pub arms: Option<Vec<String>>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a kind of figure, or `{kind: …, arms: […]}`")]
enum FigureText {
    Kind(String),
    OfArms(FigureOfArms),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FigureOfArms {
    kind: String,
    arms: Vec<String>,
}

impl From<FigureText> for Figure {
    fn from(text: FigureText) -> Self {
        match text {
            FigureText::Kind(kind) => Figure { kind, arms: None },
            FigureText::OfArms(FigureOfArms { kind, arms }) => Figure { kind, arms: Some(arms) },
        }
    }
}

impl From<Figure> for FigureText {
    fn from(figure: Figure) -> Self {
        match figure {
            Figure { kind, arms: None } => FigureText::Kind(kind),
            Figure { kind, arms: Some(arms) } => FigureText::OfArms(FigureOfArms { kind, arms }),
        }
    }
}

/// What figures show beside the results of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reference {
    /// The medians that the paper's authors published, beside our error of the same kind, where an arm has
    /// the name of one of theirs: `frozen-` or `fluid-` and `imagenet`, `random` or `weights`. For Fashion-MNIST only.
    Published,
}

/// What the authors' XOR study did, and ours does otherwise unless asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Faithful {
    /// One draw of the data and one batch order for all seeds, so that runs differ in their start alone;
    /// else each seed has its own.
    OneDraw,
    /// At the start, weights on the wrong side are put back by the run's reset rule; else they are
    /// flipped, which keeps their magnitudes.
    ResetAtStart,
    /// The first epoch has the number 0 in reports and figures; else 1.
    EpochsFromZero,
    /// Epochs to a threshold are those of the runs that reach it; else the others are counted as
    /// censored.
    SurvivorsOnly,
}

/// What of a manifest describes the tables.
#[derive(Deserialize)]
struct Manifest {
    classes: f64,
    data_digest: Option<String>,
    claims_digest: Option<String>,
    experiment: Experiment,
}

/// What of an experiment describes its tables.
#[derive(Deserialize)]
struct Experiment {
    name: String,
    title: Option<String>,
    data: Data,
    model: Model,
    #[serde(default)]
    widths: Vec<usize>,
    source: Option<Source>,
    #[serde(default)]
    sources: IndexMap<String, Source>,
    arms: IndexMap<String, Arm>,
    baseline: Option<String>,
    train: Train,
    seeds: Vec<u64>,
    figures: Vec<Figure>,
    reference: Option<Reference>,
    report: Tabulated,
    #[serde(default)]
    claims: Vec<Claim>,
}

#[derive(Deserialize)]
struct Data {
    name: String,
    image_size: usize,
    train_sizes: Vec<usize>,
    test: Option<usize>,
}

#[derive(Deserialize)]
struct Source {
    train: Option<SourceTraining>,
}

#[derive(Deserialize)]
struct SourceTraining {
    seeds: Option<Vec<u64>>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
}

#[derive(Deserialize)]
struct Train {
    batch: usize,
    epochs: Option<u64>,
    #[serde(default)]
    faithful: Vec<Faithful>,
}

impl About {
    /// The description in `manifest`, the text of a `manifest.json`, after `change` was made to the
    /// experiment that it has.
    ///
    /// # Errors
    /// What is wrong with it, and under which key.
    pub fn read(manifest: &str, change: impl FnOnce(&mut Value)) -> Result<Self, String> {
        let mut manifest: Value =
            serde_json::from_str(manifest).map_err(|error| error.to_string())?;
        let experiment = manifest.get_mut("experiment");
        change(experiment.ok_or("expected an object with an `experiment`")?);
        let manifest: Manifest = serde_path_to_error::deserialize(manifest)
            .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
        let Manifest { classes, data_digest, claims_digest, experiment } = manifest;
        if classes.is_nan() || classes < 2.0 {
            return Err(format!("classes: expected at least 2, got `{classes}`"));
        }
        // Data without a digest are drawn, by seed: their chance is in the intervals.
        let is_drawn = data_digest.is_none();
        let about = experiment.about(1.0 - 1.0 / classes, is_drawn);
        Ok(About { claims_digest, ..about })
    }

    /// Whether it does as the authors did in `point`.
    pub fn is_faithful(&self, point: Faithful) -> bool {
        self.faithful.contains(&point)
    }
}

impl Experiment {
    /// How many sources the arm takes from, each by cells of its own; 1 where it takes from none.
    fn sources_of(&self, arm: &Arm) -> usize {
        let source = match &arm.source {
            Some(name) => self.sources.get(name),
            None => self.source.as_ref(),
        };
        let training = source.filter(|_| arm.needs_source()).and_then(|it| it.train.as_ref());
        training.and_then(|training| training.seeds.as_ref()).map_or(1, Vec::len)
    }

    fn about(self, chance: f64, is_drawn: bool) -> About {
        let of_arms: usize = self.arms.values().map(|arm| self.sources_of(arm)).sum();
        let Experiment { data, widths, arms, seeds, train, .. } = self;
        let title = self.title.unwrap_or_else(|| match is_drawn {
            true => data.name.clone(),
            false => format!("{}, {} at {} px", data.name, self.model.name, data.image_size),
        });
        About {
            name: self.name,
            title,
            swept: swept(&data.train_sizes, &widths),
            claims: self.claims,
            claims_digest: None,
            planned: of_arms * seeds.len() * data.train_sizes.len() * widths.len().max(1),
            arms,
            baseline: self.baseline,
            tabulated: self.report,
            figures: self.figures,
            reference: self.reference,
            chance,
            batch: train.batch,
            epochs: train.epochs,
            faithful: train.faithful,
            test: data.test.filter(|_| !is_drawn),
        }
    }
}

/// The settings that are swept, by the names of their columns.
fn swept(train_sizes: &[usize], widths: &[usize]) -> IndexMap<String, Vec<u64>> {
    let whole =
        |values: &[usize]| -> Vec<u64> { values.iter().map(|value| *value as u64).collect() };
    let settings = [("train_size", train_sizes), ("width", widths)];
    let swept = settings.into_iter().filter(|(_, values)| !values.is_empty());
    swept.map(|(name, values)| (name.to_owned(), whole(values))).collect()
}
