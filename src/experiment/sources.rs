//! The sources of an experiment: opened and checked against the network, or laid out as cells that are
//! trained first.
//!
//! Sources that learn from the experiment's own data share one part of its training images, which the
//! fresh networks never see: the first so many of one order, of which each source takes as many as it
//! asks for.

use indexmap::IndexMap;
use tch::{Device, nn};

use super::cell::{
    DataSpec, Evaluations, ImageSpec, RESULTS_VERSION, Share, SourceSpec, Spec, TrainSpec,
};
use super::check;
use super::compute::Knowledge;
use super::config::{self, Experiment, Source, SourceTraining};
use super::material::{self, Material};
use super::plan::{Cell, Draft, device_name, load};
use super::schedule;
use super::start;
use crate::sign::Template;
use crate::transfer;
use crate::weights::sources::{self, Opened};

/// Where signs come from.
#[derive(Debug)]
pub struct PlannedSource {
    /// Its identity, which every arm that takes something from it shares.
    pub spec: SourceSpec,
    /// What is there of it.
    pub state: SourceState,
}

/// What is there of a source.
#[derive(Debug)]
pub enum SourceState {
    /// All.
    Ready(Box<Knowledge>),
    /// A cell that must run first, and its images.
    Train(Box<Cell>, Box<Material>),
}

impl PlannedSource {
    /// The cell that trains it, if it is trained.
    pub fn cell(&self) -> Option<&Cell> {
        match &self.state {
            SourceState::Ready(_) => None,
            SourceState::Train(cell, _) => Some(cell),
        }
    }
}

/// The arm under which the source `name`, if it is trained, stands in the tables.
pub(super) fn arm_name(name: &str) -> String {
    if name == config::SOURCE { name.into() } else { format!("source-{name}") }
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
        let trained = self.experiment.all_sources().filter_map(|(_, source)| source.train.as_ref());
        let own: Vec<_> = trained.filter(|train| self.is_own(train.data.name.as_deref())).collect();
        Some((own.iter().map(|train| train.data.images).max()?, own.first()?.seed))
    }

    /// Whether `name` is the data set of the experiment itself.
    fn is_own(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| name == self.experiment.data.name)
    }

    /// All sources by name, but those that no arm needs and that would have to be trained.
    ///
    /// # Errors
    /// The first that is missing or does not fit, by its key.
    pub(super) fn sources(&self) -> Result<IndexMap<String, PlannedSource>, String> {
        let Experiment { arms, .. } = self.experiment;
        let is_needed = |name| {
            arms.values().any(|arm| {
                arm.needs_source()
                    && self.experiment.source_of(arm).is_some_and(|(known, _)| known == name)
            })
        };
        let mut planned = IndexMap::new();
        for (name, source) in self.experiment.all_sources() {
            let found = match &source.train {
                None => self.opened(name, source)?,
                Some(train) if is_needed(name) => self.trained(name, source, train)?,
                Some(_) => continue,
            };
            planned.insert(name.to_owned(), found);
        }
        Ok(planned)
    }

    /// A source that is there already.
    fn opened(&self, name: &str, source: &Source) -> Result<PlannedSource, String> {
        let key = config::source_key(name);
        let knowledge = match (&source.template, &source.weights) {
            (Some(template), _) => Knowledge {
                template: Template::open(template)
                    .map_err(|error| format!("{key}.template: {error}"))?,
                weights: None,
            },
            (_, Some(weights)) => {
                let Opened { weights, provenance } =
                    sources::open(weights, source.layout, self.cache)
                        .map_err(|error| format!("{key}.weights: {error}"))?;
                Knowledge::of_weights(weights, &provenance)
                    .map_err(|error| format!("{key}.weights: {error}"))?
            }
            _ => return Err(format!("{key}: expected one of `template`, `weights` and `train`")),
        };
        self.check_fit(name, source, &knowledge)?;
        let spec = SourceSpec { digest: knowledge.digest(), except: source.except.clone() };
        Ok(PlannedSource { spec, state: SourceState::Ready(Box::new(knowledge)) })
    }

    /// Whether the network can take the signs, in the layers of each arm.
    fn check_fit(&self, name: &str, source: &Source, known: &Knowledge) -> Result<(), String> {
        let variables = nn::VarStore::new(Device::Cpu);
        let classes = self.experiment.data.classes.as_deref();
        let classes = classes.map_or(self.set.train.classes, <[u8]>::len);
        self.experiment.model.assemble(&variables.root(), classes);
        let options = transfer::Options { except: source.except.clone(), ..Default::default() };
        let fits = |template: &Template| transfer::signs(template, &variables, &options);
        let key = config::source_key(name);
        fits(&known.template).map_err(|error| format!("{key}: {error}"))?;
        for (arm_name, arm) in self.experiment.arms.iter().filter(|(_, arm)| !arm.only.is_empty()) {
            if self.experiment.source_of(arm).is_some_and(|(of_arm, _)| of_arm == name) {
                fits(&start::in_layers(&known.template, &arm.only))
                    .map_err(|error| format!("arms.{arm_name}.only: {error}"))?;
            }
        }
        Ok(())
    }

    /// A source that must be trained first.
    fn trained(
        &self,
        name: &str,
        source: &Source,
        train: &SourceTraining,
    ) -> Result<PlannedSource, String> {
        let Experiment { data, model, train: own, .. } = self.experiment;
        let key = config::source_key(name);
        let other;
        let is_own = self.is_own(train.data.name.as_deref());
        let set = if is_own {
            self.set
        } else {
            let name = train.data.name.clone().unwrap_or_else(|| data.name.clone());
            let wanted =
                config::Data { name, files: None, cifar10: None, folder: None, ..data.clone() };
            other = load(&wanted, self.cache).map_err(|what| format!("{key}.train.{what}"))?;
            &other
        };
        let there = set.train.len();
        if train.data.images > there {
            let got = train.data.images;
            return Err(format!(
                "{key}.train.data.images: expected at most the {there} training images, got {got}"
            ));
        }
        let classes = train.data.classes.as_deref();
        check::classes(&format!("{key}.train.data.classes"), classes, set.train.classes)?;
        let order = self.own_part().filter(|_| is_own).map_or(train.seed, |(_, seed)| seed);
        let share = Share::Source { images: train.data.images, seed: order };
        let input = material::input(set, data, model.channels());
        let material = Material::new(set, share, classes, None, input).in_order(data.channels);
        let Some(size) = material.train.len().checked_sub(data.validation).filter(|size| *size > 0)
        else {
            return Err(format!(
                "{key}.train.data.images: leave {} images of these classes, of which {} are for \
                 validation",
                material.train.len(),
                data.validation
            ));
        };
        let batch = train.batch.unwrap_or(own.batch);
        let steps = train.epochs * size.div_ceil(batch) as u64;
        let spec = Spec {
            version: RESULTS_VERSION,
            device: device_name(self.device).into(),
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
                evaluate_at: Evaluations::Steps(
                    schedule::every_epoch(steps, size, batch).collect(),
                ),
                select: config::Select::Last,
                threads: train.threads,
                precision: own.precision.on(self.device),
            },
            seed: train.seed,
        };
        let settings = vec![("train_size".into(), size as f64)];
        let cell = Cell::new(&arm_name(name), settings, spec);
        let spec = SourceSpec { digest: cell.id.clone(), except: source.except.clone() };
        Ok(PlannedSource { spec, state: SourceState::Train(Box::new(cell), Box::new(material)) })
    }
}
