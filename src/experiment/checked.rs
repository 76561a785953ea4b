//! An experiment without mistakes but those that its data may show.
//!
//! Fields are private, and length and sources are parsed, so nothing behind a [`Checked`] asks again. The
//! rules are in [`check`](super::check) and with the kinds of study.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use indexmap::IndexMap;

use super::file::{Data, Experiment, Source, SourceTraining, Train, limits, source_key};
use super::problem::{Problem, Problems};
use crate::data::xor;
use crate::weights::{Layout, sources};

/// An experiment that has no mistakes but those that its data may show.
#[derive(Clone, Debug)]
pub struct Checked {
    experiment: Experiment,
    length: Length,
    sources: IndexMap<String, CheckedSource>,
}

/// How long a cell trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// So many passes over the training data.
    Epochs(NonZeroU64),
    /// So many optimizer steps.
    Steps(NonZeroU64),
}

/// A source of which exactly one origin is said.
#[derive(Clone, Debug)]
pub(crate) struct CheckedSource {
    /// Where its signs come from.
    pub(crate) origin: Origin,
    /// Layers left fresh although the source has them.
    pub(crate) except: Vec<String>,
    /// Pairs of beginnings of names, there and here.
    pub(crate) rename: Vec<(String, String)>,
}

/// Where the signs of a source come from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A template file, or a built-in template.
    Template(String),
    /// A checkpoint, laid out so; the dict in it that is the network.
    Weights(String, Layout, Option<String>),
    /// A network that is trained first.
    Training(SourceTraining),
}

impl Checked {
    /// `experiment` with its length and sources parsed, where all other rules are kept.
    pub(super) fn of(experiment: Experiment, mut problems: Problems) -> Result<Self, Problems> {
        let length = problems.take(Length::of(&experiment.train));
        let sources = checked_sources(&experiment, &mut problems);
        match length.filter(|_| problems.is_empty()) {
            Some(length) => Ok(Checked { experiment, length, sources }),
            None => Err(problems),
        }
    }

    /// The experiment as it is written, defaults filled in.
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// Whether its data or sources are known by name and lie in the cache.
    pub fn needs_cache(&self) -> bool {
        let is_drawn_or_own = |data: &Data| {
            let own = data.files.is_some() || data.cifar10.is_some() || data.folder.is_some();
            own || data.name == xor::NAME
        };
        let is_known = |source: &CheckedSource| match &source.origin {
            Origin::Template(_) => false,
            Origin::Weights(weights, ..) => sources::find(weights).is_some(),
            Origin::Training(train) => {
                train.data.name.as_ref().is_some_and(|name| *name != self.experiment.data.name)
            }
        };
        !is_drawn_or_own(&self.experiment.data) || self.sources.values().any(is_known)
    }

    pub(crate) fn length(&self) -> Length {
        self.length
    }

    /// The sources by name.
    pub(crate) fn sources(&self) -> &IndexMap<String, CheckedSource> {
        &self.sources
    }
}

impl Length {
    fn of(train: &Train) -> Result<Self, Problem> {
        let within = |key: &str, value, range: RangeInclusive<u64>| {
            let legal = NonZeroU64::new(value).filter(|_| range.contains(&value));
            let expected = format!("at least 1 and at most {}", range.end());
            legal.ok_or_else(|| Problem::value(format!("train.{key}"), expected, value))
        };
        match (train.epochs, train.steps) {
            (Some(epochs), None) => within("epochs", epochs, limits::EPOCHS).map(Length::Epochs),
            (None, Some(steps)) => within("steps", steps, limits::STEPS).map(Length::Steps),
            _ => Err(Problem::missing("train", "exactly one of `epochs` and `steps`")),
        }
    }

    /// Optimizer steps on `size` samples, `batch` a step.
    pub(crate) fn steps(self, size: usize, batch: usize) -> u64 {
        match self {
            Length::Epochs(epochs) => epochs.get().saturating_mul(size.div_ceil(batch) as u64),
            Length::Steps(steps) => steps.get(),
        }
    }
}

/// The sources of which exactly one origin is said.
fn checked_sources(
    experiment: &Experiment,
    problems: &mut Problems,
) -> IndexMap<String, CheckedSource> {
    let checked = experiment.all_sources().filter_map(|(name, source)| {
        let origin = problems.take(origin(&source_key(name), source))?;
        let (except, rename) = (source.except.clone(), source.rename.clone());
        let rename = rename.into_iter().collect();
        Some((name.to_owned(), CheckedSource { origin, except, rename }))
    });
    checked.collect()
}

fn origin(key: &str, source: &Source) -> Result<Origin, Problem> {
    let Source { template, weights, layout, key: inner, rename, train, .. } = source;
    if *layout != Layout::default() && weights.is_none() {
        let why = format!("`{layout}` says how a file of `{key}.weights` is laid out");
        return Err(Problem::unfit(format!("{key}.layout"), why));
    }
    if inner.is_some() && weights.is_none() {
        let why = format!("it names a dict in a file of `{key}.weights`");
        return Err(Problem::unfit(format!("{key}.key"), why));
    }
    if !rename.is_empty() && train.is_some() {
        let why = "a network that is trained here has the names of the fresh one";
        return Err(Problem::unfit(format!("{key}.rename"), why));
    }
    match (template, weights, train) {
        (Some(template), None, None) => Ok(Origin::Template(template.clone())),
        (None, Some(weights), None) => Ok(Origin::Weights(weights.clone(), *layout, inner.clone())),
        (None, None, Some(train)) => Ok(Origin::Training(train.clone())),
        _ => Err(Problem::missing(key, "exactly one of `template`, `weights` and `train`")),
    }
}
