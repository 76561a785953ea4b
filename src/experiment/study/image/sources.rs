//! The sources of a study of images: opened and checked against the network, or laid out as cells that
//! are trained first.
//!
//! Sources that learn from the experiment's own data share one part of its training images, which the
//! fresh networks never see: the first so many of one order, of which each source takes as many as it
//! asks for.

use indexmap::IndexMap;

use super::knowledge::Knowledge;
use super::material::{self, Material};
use super::{Draft, check_classes, load, schedule, start};
use crate::data::DataSet;
use crate::experiment::cell::{
    Cell, DataSpec, ImageSpec, RESULTS_VERSION, Share, SourceSpec, Spec, TrainSpec,
};
use crate::experiment::check::{CheckedSource, Origin};
use crate::experiment::file::{
    Data, Evaluations, Experiment, SOURCE, Select, SourceTraining, source_key,
};
use crate::experiment::problem::{Problem, Problems};
use crate::experiment::study::device_name;
use crate::sign::Template;
use crate::transfer;
use crate::weights::sources::{self, Opened};

/// Where signs come from.
#[derive(Debug)]
pub(super) struct PlannedSource {
    /// Its identity, which every arm that takes something from it shares.
    pub(super) spec: SourceSpec,
    /// What is there of it.
    pub(super) state: SourceState,
}

/// What is there of a source.
#[derive(Debug)]
pub(super) enum SourceState {
    /// All.
    Ready(Box<Knowledge>),
    /// A cell that must run first, and its images.
    Train(Box<Cell>, Box<Material>),
}

impl PlannedSource {
    /// The cell that trains it, if it is trained.
    pub(super) fn cell(&self) -> Option<&Cell> {
        match &self.state {
            SourceState::Ready(_) => None,
            SourceState::Train(cell, _) => Some(cell),
        }
    }
}

/// The arm under which the source `name`, if it is trained, stands in the tables.
pub(super) fn arm_name(name: &str) -> String {
    if name == SOURCE { name.into() } else { format!("source-{name}") }
}

impl Draft<'_> {
    /// The part of the training set for the fresh networks.
    pub(super) fn share(&self) -> Share {
        match self.own_part() {
            Some((images, seed)) => Share::Rest { images, seed },
            None => Share::Whole,
        }
    }

    /// How many training images are the sources', and the seed of their order.
    fn own_part(&self) -> Option<(usize, u64)> {
        let trained = self.checked.sources().values().filter_map(|source| match &source.origin {
            Origin::Training(train) => Some(train),
            Origin::Template(_) | Origin::Weights(..) => None,
        });
        let own: Vec<_> = trained.filter(|train| self.is_own(train.data.name.as_deref())).collect();
        Some((own.iter().map(|train| train.data.images).max()?, own.first()?.seed))
    }

    /// Whether `name` is the data set of the experiment itself.
    fn is_own(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| name == self.checked.experiment().data.name)
    }

    /// All sources by name, but those that no arm needs and that would have to be trained. What is
    /// missing or does not fit is added to `problems`.
    pub(super) fn sources(&self, problems: &mut Problems) -> IndexMap<String, PlannedSource> {
        let mut planned = IndexMap::new();
        for (name, source) in self.checked.sources() {
            let found = match &source.origin {
                Origin::Training(train) => {
                    problems.take(self.check_images(name, train));
                    if !self.is_needed(name) || !problems.is_empty() {
                        continue;
                    }
                    self.trained(name, source, train, problems)
                }
                Origin::Template(_) | Origin::Weights(..) => {
                    problems.take(self.opened(name, source))
                }
            };
            planned.extend(found.map(|found| (name.clone(), found)));
        }
        planned
    }

    /// Whether an arm takes something from the source `name`.
    fn is_needed(&self, name: &str) -> bool {
        let experiment = self.checked.experiment();
        experiment.arms.values().any(|arm| {
            let source = experiment.source_of(arm);
            arm.needs_source() && source.is_some_and(|(known, _)| known == name)
        })
    }

    /// A source that is there already.
    fn opened(&self, name: &str, source: &CheckedSource) -> Result<PlannedSource, Problem> {
        let key = source_key(name);
        let knowledge = match &source.origin {
            Origin::Template(template) => {
                let template = Template::open(template)
                    .map_err(|error| Problem::unfit(format!("{key}.template"), error))?;
                Knowledge { template, weights: None }
            }
            Origin::Weights(weights, layout) => {
                let key = format!("{key}.weights");
                let Opened { weights, provenance } =
                    sources::open(weights, *layout, self.place.cache)
                        .map_err(|error| Problem::unfit(&key, error))?;
                Knowledge::of_weights(weights, &provenance)
                    .map_err(|error| Problem::unfit(&key, error))?
            }
            Origin::Training(_) => return Err(Problem::conflict(key, "has to be trained")),
        };
        self.check_fit(name, source, &knowledge)?;
        let spec = SourceSpec { digest: knowledge.digest(), except: source.except.clone() };
        Ok(PlannedSource { spec, state: SourceState::Ready(Box::new(knowledge)) })
    }

    /// Whether the network can take the signs, in the layers of each arm.
    fn check_fit(
        &self,
        name: &str,
        source: &CheckedSource,
        known: &Knowledge,
    ) -> Result<(), Problem> {
        let experiment = self.checked.experiment();
        let variables = self.network();
        let options = transfer::Options { except: source.except.clone(), ..Default::default() };
        let fits = |template: &Template| transfer::signs(template, &variables, &options);
        fits(&known.template).map_err(|error| Problem::unfit(source_key(name), error))?;
        for (arm_name, arm) in experiment.arms.iter().filter(|(_, arm)| !arm.only.is_empty()) {
            if experiment.source_of(arm).is_some_and(|(of_arm, _)| of_arm == name) {
                fits(&start::in_layers(&known.template, &arm.only))
                    .map_err(|error| Problem::unfit(format!("arms.{arm_name}.only"), error))?;
            }
        }
        Ok(())
    }

    /// Whether there are as many images as the source `name` asks for of the experiment's own.
    fn check_images(&self, name: &str, train: &SourceTraining) -> Result<(), Problem> {
        match self.is_own(train.data.name.as_deref()) {
            true => check_images(name, train, self.set),
            false => Ok(()),
        }
    }

    /// A source that must be trained first.
    fn trained(
        &self,
        name: &str,
        source: &CheckedSource,
        train: &SourceTraining,
        problems: &mut Problems,
    ) -> Option<PlannedSource> {
        let Experiment { data, model, .. } = self.checked.experiment();
        let key = source_key(name);
        let is_own = self.is_own(train.data.name.as_deref());
        let other;
        let set = match &train.data.name {
            Some(name) if !is_own => {
                other = problems.take(self.other_set(&key, name))?;
                &other
            }
            _ => self.set,
        };
        problems.take(check_images(name, train, set))?;
        let classes = train.data.classes.as_deref();
        check_classes(&format!("{key}.train.data.classes"), classes, set, problems);
        if !problems.is_empty() {
            return None;
        }
        let order = self.own_part().filter(|_| is_own).map_or(train.seed, |(_, seed)| seed);
        let share = Share::Source { images: train.data.images, seed: order };
        let input = material::input(set, data, model.channels());
        let material = Material::new(set, share, classes, None, input).in_order(data.channels);
        let there = material.train.len();
        let Some(size) = there.checked_sub(data.validation).filter(|size| *size > 0) else {
            let why = format!(
                "leave {there} images of these classes, of which {} are for validation",
                data.validation
            );
            problems.add(Problem::unfit(format!("{key}.train.data.images"), why));
            return None;
        };
        let settings = vec![("train_size".into(), size as f64)];
        let cell = Cell::new(&arm_name(name), settings, self.spec(train, set, share, size));
        let spec = SourceSpec { digest: cell.id.clone(), except: source.except.clone() };
        Some(PlannedSource { spec, state: SourceState::Train(Box::new(cell), Box::new(material)) })
    }

    /// A data set that is not the experiment's, prepared as its own.
    fn other_set(&self, key: &str, name: &str) -> Result<DataSet, Problem> {
        let data = &self.checked.experiment().data;
        let wanted =
            Data { name: name.into(), files: None, cifar10: None, folder: None, ..data.clone() };
        load(&wanted, self.place)
            .map_err(|error| Problem::unfit(format!("{key}.train.data"), error))
    }

    /// What the cell of a source computes, from `size` images.
    fn spec(&self, train: &SourceTraining, set: &DataSet, share: Share, size: usize) -> Spec {
        let Experiment { data, model, train: own, .. } = self.checked.experiment();
        let batch = train.batch.unwrap_or(own.batch);
        let steps = train.epochs.saturating_mul(size.div_ceil(batch) as u64);
        let evaluate_at = schedule::every_epoch(steps, size, batch).collect();
        Spec {
            version: RESULTS_VERSION,
            device: device_name(self.place.device).into(),
            data: DataSpec::Images(ImageSpec {
                digest: set.digest.clone(),
                share,
                classes: train.data.classes.clone(),
                image_size: data.image_size,
                normalise: data.normalise.clone(),
                channels: data.channels,
                subset: data.subset,
                train_size: None,
                validation: data.validation,
                test: None,
            }),
            model: model.clone(),
            arm: None,
            train: TrainSpec {
                optimizer: train.optimizer.clone().unwrap_or_else(|| own.optimizer.clone()),
                batch,
                steps,
                evaluate_at: Evaluations::Steps(evaluate_at),
                select: Select::Last,
                threads: train.threads,
                precision: own.precision.on(self.place.device),
            },
            seed: train.seed,
        }
    }
}

fn check_images(name: &str, train: &SourceTraining, set: &DataSet) -> Result<(), Problem> {
    let (there, got) = (set.train.len(), train.data.images);
    if got <= there {
        return Ok(());
    }
    let key = format!("{}.train.data.images", source_key(name));
    Err(Problem::value(key, format!("at most the {there} training images"), got))
}
