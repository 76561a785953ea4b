//! An experiment that has been checked: everything it will compute, before anything is trained.
//!
//! Making a plan reads the data and the sources, and creates nothing. All mistakes of a file are
//! found together, each named by its key. Only a plan can be run.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::json;
use tch::Device;

use super::cell::{
    ArmSpec, DataSpec, Evaluations, ImageSpec, RESULTS_VERSION, Share, SourceSpec, Spec, TrainSpec,
};
use super::check;
use super::config::{self, Arm, Experiment, Hold, Until};
use super::material::{self, Material};
use super::schedule;
use super::sources::PlannedSource;
use super::store::{Record, Records};
use super::xor;
use crate::data::{self, DataSet};
use crate::results::table::Key;

/// A checked experiment.
#[derive(Debug)]
pub struct Plan {
    /// The experiment, defaults filled in.
    pub experiment: Experiment,
    /// Where it runs.
    pub device: Device,
    /// The training runs, in the order of the tables.
    pub cells: Vec<Cell>,
    /// Where signs come from, by name; none that no arm needs and that would have to be trained.
    pub sources: IndexMap<String, PlannedSource>,
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
            let (sources, material) = (IndexMap::new(), None);
            return Ok(Plan { experiment, device, cells, sources, material });
        }
        let set = load(&experiment.data, cache).map_err(|problem| problems.push(problem));
        let Some(set) = set.ok().filter(|_| problems.is_empty()) else {
            return Err(refuse(problems));
        };
        let draft = Draft { experiment: &experiment, set: &set, device, cache };
        let layout = draft.sources().and_then(|sources| {
            let share = draft.share();
            let input = material::input(&set, &experiment.data, experiment.model.channels());
            let classes = experiment.data.classes.as_deref();
            let material = Material::new(&set, share, classes, experiment.data.test, input)
                .in_order(experiment.data.channels);
            draft.check_sizes(&material)?;
            let cells = draft.cells(share, &sources)?;
            Ok((sources, material, cells))
        });
        match layout {
            Ok((sources, material, cells)) => {
                Ok(Plan { experiment, device, cells, sources, material: Some(material) })
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

    /// All cells, the sources that are trained first among them.
    pub fn all_cells(&self) -> impl Iterator<Item = &Cell> {
        self.sources.values().filter_map(PlannedSource::cell).chain(&self.cells)
    }

    /// The plan's cells that came to an end, in the order of the tables.
    pub fn ended<'a>(&self, records: &'a Records) -> Vec<(Key, &'a Record)> {
        let find = |cell: &Cell| Some((cell.key.clone(), records.cells.get(&cell.id)?));
        self.all_cells().filter_map(find).collect()
    }

    /// What tells each source from every other, by its name.
    fn digests(&self) -> IndexMap<&str, &str> {
        let named = self.sources.iter();
        named.map(|(name, source)| (name.as_str(), source.spec.digest.as_str())).collect()
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
            "source_digests": self.digests(),
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
pub(super) fn device_name(device: Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}

pub(super) fn load(data: &config::Data, cache: &Path) -> Result<DataSet, String> {
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
pub(super) struct Draft<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) set: &'a DataSet,
    pub(super) device: Device,
    pub(super) cache: &'a Path,
}

impl Draft<'_> {
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

    fn cells(
        &self,
        share: Share,
        sources: &IndexMap<String, PlannedSource>,
    ) -> Result<Vec<Cell>, String> {
        let Experiment { data, arms, seeds, .. } = self.experiment;
        let mut cells = Vec::new();
        for &size in &data.train_sizes {
            let train = self.train(size)?;
            for (name, arm) in arms {
                let release_at = arm.until.map(|until| self.release(name, until, size, &train));
                let release_at = release_at.transpose()?;
                let source = self.experiment.source_of(arm).and_then(|(name, _)| sources.get(name));
                let source = source.map(|source| &source.spec);
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
                        arm: Some(self.arm(arm, source, release_at)),
                        train: train.clone(),
                        seed,
                    };
                    cells.push(Cell::new(name, vec![("train_size".into(), size as f64)], spec));
                }
            }
        }
        Ok(cells)
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
        let evaluate_at = schedule::evaluations(self.experiment, size)?;
        Ok(TrainSpec {
            optimizer: train.optimizer.clone(),
            batch: train.batch,
            steps: schedule::steps(train, size),
            evaluate_at: Evaluations::Steps(evaluate_at.into_iter().collect()),
            select: train.select,
            threads: train.threads,
            precision: train.precision.on(self.device),
        })
    }
}

impl Cell {
    pub(super) fn new(arm: &str, settings: Vec<(String, f64)>, spec: Spec) -> Self {
        let id = spec.id();
        Cell { key: Key { id: id.clone(), arm: arm.into(), settings, seed: spec.seed }, id, spec }
    }
}
