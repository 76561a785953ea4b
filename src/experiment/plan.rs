//! An experiment that has been checked: everything it will compute, before anything is trained.
//!
//! Making a plan reads the data and the source, and creates nothing. All mistakes of a file are
//! found together, each named by its key. Only a plan can be run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use tch::{Device, nn};

use super::cell::{
    ArmSpec, DataSpec, Evaluations, ImageSpec, RESULTS_VERSION, Share, SourceSpec, Spec, TrainSpec,
};
use super::check;
use super::compute::Knowledge;
use super::config::{self, Arm, Experiment, Hold, SourceTraining, Until};
use super::material::{self, Material};
use super::start;
use super::store::{Record, Records};
use super::table::Key;
use super::xor;
use crate::data::{self, DataSet};
use crate::sign::Template;
use crate::transfer;
use crate::weights::sources::{self, Opened};

/// The arm under which a source trained here stands in the tables.
pub(super) const SOURCE_ARM: &str = "source";

/// A checked experiment.
#[derive(Debug)]
pub struct Plan {
    /// The experiment, defaults filled in.
    pub experiment: Experiment,
    /// Where it runs.
    pub device: Device,
    /// The training runs, in the order of the tables.
    pub cells: Vec<Cell>,
    /// Where signs come from.
    pub source: PlannedSource,
    /// The images of the fresh networks; none for data that are drawn.
    pub material: Option<Material>,
}

/// One training run of a plan.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its name, the digest of `spec`.
    pub id: String,
    /// Its place in the tables.
    pub key: Key,
    /// What it computes.
    pub spec: Spec,
}

/// Where a plan's signs come from.
#[derive(Debug)]
pub enum PlannedSource {
    /// No arm needs a source.
    None,
    /// It is here already.
    Ready(Box<Knowledge>),
    /// A cell that must run first, and its images.
    Train(Box<Cell>, Box<Material>),
}

/// The mistakes of an experiment file.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.iter().map(|problem| format!("{}: {problem}", .file.display())).collect::<Vec<_>>().join("\n"))]
pub struct Error {
    /// The experiment file.
    pub file: PathBuf,
    /// What is wrong: key, what was expected, what was found.
    pub problems: Vec<String>,
}

impl Plan {
    /// Checks `experiment`, read from `file`, and lays out its cells for `device`; data are looked for
    /// in `cache`.
    ///
    /// # Errors
    /// Every mistake in the file: values out of range, impossible combinations, data or sources that
    /// are missing or do not fit.
    pub fn new(
        experiment: Experiment,
        file: &Path,
        device: Device,
        cache: &Path,
    ) -> Result<Self, Error> {
        let refuse = |problems| Error { file: file.to_owned(), problems };
        let mut problems = check::problems(&experiment);
        if experiment.is_xor() {
            if !problems.is_empty() {
                return Err(refuse(problems));
            }
            let cells = xor::cells(&experiment, device_name(device));
            let (source, material) = (PlannedSource::None, None);
            return Ok(Plan { experiment, device, cells, source, material });
        }
        let set = load(&experiment.data, cache).map_err(|problem| problems.push(problem));
        let Some(set) = set.ok().filter(|_| problems.is_empty()) else {
            return Err(refuse(problems));
        };
        let draft = Draft { experiment: &experiment, set: &set, device, cache };
        let layout = draft.source().and_then(|source| {
            let share = draft.share();
            let input = material::input(&set, &experiment.data, experiment.model.channels());
            let classes = experiment.data.classes.as_deref();
            let material = Material::new(&set, share, classes, experiment.data.test, input)
                .in_order(experiment.data.channels);
            draft.check_sizes(&material)?;
            let cells = draft.cells(share, &source)?;
            Ok((source, material, cells))
        });
        match layout {
            Ok((source, material, cells)) => {
                Ok(Plan { experiment, device, cells, source, material: Some(material) })
            }
            Err(problem) => Err(refuse(vec![problem])),
        }
    }

    /// The folder of the results.
    pub fn results(&self) -> PathBuf {
        self.experiment.results_folder()
    }

    /// How many cells run at once on `threads` threads.
    pub fn workers(&self, threads: usize) -> usize {
        match self.device {
            Device::Cpu => (threads / self.experiment.train.threads).max(1),
            _ => 1,
        }
    }

    /// Names of the swept settings, in the order of the columns.
    pub fn settings(&self) -> Vec<String> {
        let width = self.experiment.is_xor().then(|| "width".to_owned());
        std::iter::once("train_size".into()).chain(width).collect()
    }

    /// All cells, a source that is trained first among them.
    pub fn all_cells(&self) -> impl Iterator<Item = &Cell> {
        let source = match &self.source {
            PlannedSource::Train(cell, _) => Some(&**cell),
            _ => None,
        };
        source.into_iter().chain(&self.cells)
    }

    /// The plan's cells that came to an end, in the order of the tables.
    pub fn ended<'a>(&self, records: &'a Records) -> Vec<(Key, &'a Record)> {
        let find = |cell: &Cell| Some((cell.key.clone(), records.cells.get(&cell.id)?));
        self.all_cells().filter_map(find).collect()
    }

    /// What was run and with what, as JSON.
    pub fn manifest(&self) -> String {
        let manifest = json!({
            "name": self.experiment.name,
            "polarity": env!("CARGO_PKG_VERSION"),
            "results_version": RESULTS_VERSION,
            "libtorch": crate::LIBTORCH,
            "device": device_name(self.device),
            "data_digest": self.cells.first().and_then(|cell| cell.spec.data.digest()),
            "source_digest": self.cells.iter().find_map(|cell| {
                Some(&cell.spec.arm.as_ref()?.source.as_ref()?.digest)
            }),
            "classes": self.material.as_ref().map_or(2, |material| material.train.classes),
            "cells": self.all_cells().count(),
            "equality": "the same bytes on CPUs with the same vector instructions and on the same \
                         kind of device; elsewhere sums round differently, and single cells differ \
                         while medians agree",
            "experiment": self.experiment,
        });
        let text = serde_json::to_string_pretty(&manifest).expect("a plan has finite numbers only");
        format!("{text}\n")
    }
}

impl Experiment {
    /// What stands above its figures.
    pub fn title(&self) -> String {
        let Experiment { data, model, .. } = self;
        let size = data.image_size;
        self.title.clone().unwrap_or_else(|| match self.is_xor() {
            true => data.name.clone(),
            false => format!("{}, {} at {size} px", data.name, model.name()),
        })
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

/// `cpu` or `cuda`.
fn device_name(device: Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}

fn load(data: &config::Data, cache: &Path) -> Result<DataSet, String> {
    let name = data.name.clone();
    let spec = match (&data.files, &data.cifar10, &data.folder) {
        (Some(files), ..) => data::Spec::Idx {
            name,
            files: data::Files {
                train_images: files.train_images.clone(),
                train_labels: files.train_labels.clone(),
                test_images: files.test_images.clone(),
                test_labels: files.test_labels.clone(),
            },
            class_names: None,
        },
        (_, Some(path), _) => data::Spec::Cifar10 { name, path: path.clone() },
        (.., Some(config::ImageFolder { path, test_share })) => data::Spec::Folder {
            name,
            path: path.clone(),
            test_share: *test_share,
            side: data.image_size,
        },
        (None, None, None) => data::Spec::Registered(name),
    };
    data::load(&spec, cache).map_err(|error| format!("data: {error}"))
}

/// What the parts of a plan are made from.
struct Draft<'a> {
    experiment: &'a Experiment,
    set: &'a DataSet,
    device: Device,
    cache: &'a Path,
}

impl Draft<'_> {
    /// The part of the training set for the fresh networks.
    fn share(&self) -> Share {
        let trained = self.experiment.source.as_ref().and_then(|source| source.train.as_ref());
        match trained {
            Some(SourceTraining { data, seed, .. }) if self.is_own(data.name.as_deref()) => {
                Share::Rest { images: data.images, seed: *seed }
            }
            _ => Share::Whole,
        }
    }

    /// Whether `name` is the data set of the experiment itself.
    fn is_own(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| name == self.experiment.data.name)
    }

    fn check_sizes(&self, material: &Material) -> Result<(), String> {
        let data = &self.experiment.data;
        check::classes("data.classes", data.classes.as_deref(), self.set.train.classes)?;
        let largest = data.train_sizes.iter().max().copied().unwrap_or(0);
        let there = material.train.len();
        if largest + data.validation > there {
            return Err(format!(
                "data.train_sizes: {largest} training and {} validation images were asked for, {there} \
                 are there",
                data.validation
            ));
        }
        if material.test.is_empty() || data.test.is_some_and(|test| test > material.test.len()) {
            let there = material.test.len();
            return Err(format!("data.test: there are {there} test images, more were asked for"));
        }
        let channels = self.experiment.model.channels();
        if self.set.train.channels != 1 && self.set.train.channels != channels {
            let given = self.set.train.channels;
            return Err(format!("model: takes {channels} channel, the images have {given}"));
        }
        Ok(())
    }

    fn source(&self) -> Result<PlannedSource, String> {
        let Some(source) = &self.experiment.source else { return Ok(PlannedSource::None) };
        let knowledge = match (&source.template, &source.weights, &source.train) {
            (Some(template), ..) => Knowledge {
                template: Template::open(template)
                    .map_err(|error| format!("source.template: {error}"))?,
                weights: None,
            },
            (_, Some(weights), _) => {
                let Opened { weights, provenance } =
                    sources::open(weights, source.layout, self.cache)
                        .map_err(|error| format!("source.weights: {error}"))?;
                Knowledge::of_weights(weights, &provenance)
                    .map_err(|error| format!("source.weights: {error}"))?
            }
            (.., Some(train)) if self.experiment.arms.values().any(Arm::needs_source) => {
                return self.trained_source(train);
            }
            (.., Some(_)) => return Ok(PlannedSource::None),
            _ => unreachable!("check_source wants one of the three"),
        };
        let variables = nn::VarStore::new(Device::Cpu);
        let classes = self.experiment.data.classes.as_deref();
        let classes = classes.map_or(self.set.train.classes, <[u8]>::len);
        self.experiment.model.assemble(&variables.root(), classes);
        let options = transfer::Options { except: source.except.clone(), ..Default::default() };
        let fits = |template: &Template| transfer::signs(template, &variables, &options);
        fits(&knowledge.template).map_err(|error| format!("source: {error}"))?;
        for (name, arm) in self.experiment.arms.iter().filter(|(_, arm)| !arm.only.is_empty()) {
            fits(&start::in_layers(&knowledge.template, &arm.only))
                .map_err(|error| format!("arms.{name}.only: {error}"))?;
        }
        Ok(PlannedSource::Ready(Box::new(knowledge)))
    }

    fn trained_source(&self, train: &SourceTraining) -> Result<PlannedSource, String> {
        let Experiment { data, model, train: own, .. } = self.experiment;
        let other;
        let set = if self.is_own(train.data.name.as_deref()) {
            self.set
        } else {
            let name = train.data.name.clone().unwrap_or_else(|| data.name.clone());
            let wanted =
                config::Data { name, files: None, cifar10: None, folder: None, ..data.clone() };
            other = load(&wanted, self.cache).map_err(|what| format!("source.train.{what}"))?;
            &other
        };
        let there = set.train.len();
        if train.data.images > there {
            let got = train.data.images;
            return Err(format!(
                "source.train.data.images: expected at most the {there} training images, got {got}"
            ));
        }
        let classes = train.data.classes.as_deref();
        check::classes("source.train.data.classes", classes, set.train.classes)?;
        let share = Share::Source { images: train.data.images, seed: train.seed };
        let input = material::input(set, data, model.channels());
        let material = Material::new(set, share, classes, None, input).in_order(data.channels);
        let Some(size) = material.train.len().checked_sub(data.validation).filter(|size| *size > 0)
        else {
            return Err(format!(
                "source.train.data.images: leave {} images of these classes, of which {} are for \
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
                evaluate_at: Evaluations::Steps(every_epoch(train.epochs, steps)),
                select: config::Select::Last,
                threads: train.threads,
                precision: own.precision.on(self.device),
            },
            seed: train.seed,
        };
        let settings = vec![("train_size".into(), size as f64)];
        let cell = Cell::new(SOURCE_ARM, settings, spec);
        Ok(PlannedSource::Train(Box::new(cell), Box::new(material)))
    }

    fn cells(&self, share: Share, source: &PlannedSource) -> Result<Vec<Cell>, String> {
        let Experiment { data, arms, seeds, .. } = self.experiment;
        let source = self.source_spec(source);
        let mut cells = Vec::new();
        for &size in &data.train_sizes {
            let train = self.train(size)?;
            for (name, arm) in arms {
                let release_at = arm.until.map(|until| self.release(name, until, size, &train));
                let release_at = release_at.transpose()?;
                for &seed in &seeds.0 {
                    let spec = Spec {
                        version: RESULTS_VERSION,
                        device: device_name(self.device).into(),
                        data: DataSpec::Images(ImageSpec {
                            digest: self.set.digest.clone(),
                            share,
                            classes: data.classes.clone(),
                            image_size: data.image_size,
                            normalise: data.normalise.clone(),
                            channels: data.channels,
                            subset: data.subset,
                            train_size: Some(size),
                            validation: data.validation,
                            test: data.test,
                        }),
                        model: self.experiment.model.clone(),
                        arm: Some(self.arm(arm, source.as_ref(), release_at)),
                        train: train.clone(),
                        seed,
                    };
                    cells.push(Cell::new(name, vec![("train_size".into(), size as f64)], spec));
                }
            }
        }
        Ok(cells)
    }

    /// The identity of the source, which every arm that takes something from it shares.
    fn source_spec(&self, source: &PlannedSource) -> Option<SourceSpec> {
        let digest = match source {
            PlannedSource::Train(cell, _) => cell.id.clone(),
            PlannedSource::Ready(knowledge) => knowledge.digest(),
            PlannedSource::None => return None,
        };
        let except = self.experiment.source.as_ref()?.except.clone();
        Some(SourceSpec { digest, except })
    }

    fn arm(&self, arm: &Arm, source: Option<&SourceSpec>, release_at: Option<u64>) -> ArmSpec {
        let rule = arm.reset.unwrap_or(self.experiment.train.reset);
        let usual = Arm { biases: None, ..arm.clone() };
        ArmSpec {
            signs: arm.signs,
            magnitudes: arm.magnitudes,
            biases: arm.biases.filter(|_| arm.takes_biases() != usual.takes_biases()),
            only: arm.only.clone(),
            zeros: arm.zeros,
            hold: arm.hold.clone(),
            release_at,
            reset: (arm.hold != Hold::None).then_some(rule),
            reset_at_start: false,
            source: source.filter(|_| arm.needs_source()).cloned(),
        }
    }

    /// The last step at which the arm `name` holds its signs.
    fn release(
        &self,
        name: &str,
        until: Until,
        size: usize,
        train: &TrainSpec,
    ) -> Result<u64, String> {
        let steps_an_epoch = size.div_ceil(train.batch) as u64;
        let step = until.step(steps_an_epoch);
        if (1..train.steps).contains(&step) {
            return Ok(step);
        }
        let last = train.steps - 1;
        let legal = match until {
            Until::Step(_) => format!("a step of 1 to {last}"),
            Until::Epoch(_) => format!("an epoch of 1 to {}", last / steps_an_epoch),
        };
        let got = match until {
            Until::Step(number) | Until::Epoch(number) => number,
        };
        Err(format!(
            "arms.{name}.until: expected {legal} (with {size} images there are {} steps), got `{got}`",
            train.steps
        ))
    }

    fn train(&self, size: usize) -> Result<TrainSpec, String> {
        let train = &self.experiment.train;
        let steps = match (train.epochs, train.steps) {
            (Some(epochs), _) => epochs * size.div_ceil(train.batch) as u64,
            (_, steps) => steps.unwrap_or(0),
        };
        let mut evaluate_at: BTreeSet<u64> = match &train.evaluate_at {
            Some(given) => given.iter().copied().collect(),
            None => (0..64).map(|power| 1 << power).filter(|step| *step < steps).collect(),
        };
        if let Some(late) = evaluate_at.iter().find(|step| **step > steps) {
            return Err(format!(
                "train.evaluate_at: expected steps of at most {steps} (with {size} images), got `{late}`"
            ));
        }
        evaluate_at.extend([0, steps]);
        let tabulated = &self.experiment.report.steps;
        if let Some(step) = tabulated.iter().find(|step| !evaluate_at.contains(step)) {
            return Err(format!(
                "report.steps: expected steps that are evaluated ({evaluate_at:?}), got `{step}`"
            ));
        }
        Ok(TrainSpec {
            optimizer: train.optimizer.clone(),
            batch: train.batch,
            steps,
            evaluate_at: Evaluations::Steps(evaluate_at.into_iter().collect()),
            select: train.select,
            threads: train.threads,
            precision: train.precision.on(self.device),
        })
    }
}

/// The steps at which an epoch ends, and 0.
fn every_epoch(epochs: u64, steps: u64) -> Vec<u64> {
    (0..=epochs).map(|epoch| epoch * (steps / epochs.max(1))).collect()
}

impl Cell {
    pub(super) fn new(arm: &str, settings: Vec<(String, f64)>, spec: Spec) -> Self {
        let id = spec.id();
        Cell { key: Key { id: id.clone(), arm: arm.into(), settings, seed: spec.seed }, id, spec }
    }
}
