//! The sources of a study of images: opened and checked against the network, or laid out as cells that
//! are trained first.
//!
//! Sources that learn from the experiment's own data share one part of its training images, which the
//! fresh networks never see: the first so many of one order, of which each source takes as many as it
//! asks for.

use std::sync::Arc;

use indexmap::IndexMap;

use super::knowledge::Knowledge;
use super::material::{self, Material};
use super::{Draft, Place, check_classes, load, schedule, start};
use crate::data::DataSet;
use crate::experiment::cell::{
    Cell, DataSpec, ImageSpec, RESULTS_VERSION, Share, SourceSpec, Spec, TrainSpec,
};
use crate::experiment::checked::{Checked, CheckedSource, Origin};
use crate::experiment::file::{
    Data, Evaluations, Experiment, SOURCE, Select, SourceTraining, source_key,
};
use crate::experiment::problem::{Problem, Problems};
use crate::experiment::study::device_name;
use crate::experiment::study::layers::Layers;
use crate::nearest::{hint, nearest};
use crate::results::table::SOURCE_SEED;
use crate::sign::Template;
use crate::transfer;
use crate::weights::{Account, Contents, Naming, Wanted, sources};

/// Where signs come from.
#[derive(Debug)]
pub(super) struct PlannedSource {
    /// Its seed, where it is one of several.
    pub(super) seed: Option<u64>,
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
    Train(Box<Cell>, Arc<Material>),
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

/// The swept settings of a cell; one that takes from no source of several has none.
pub(super) fn settings(size: usize, source_seed: Option<u64>) -> Vec<(String, f64)> {
    let source_seed = source_seed.map(|seed| (SOURCE_SEED.into(), seed as f64));
    [("train_size".into(), size as f64)].into_iter().chain(source_seed).collect()
}

/// What the sources of an experiment are made of, before it is known whether it fits.
pub(super) struct Found {
    /// What the sources know that are there already, by name.
    known: IndexMap<String, Knowledge>,
    /// The data sets that sources learn from beside the experiment's, by name.
    sets: IndexMap<String, DataSet>,
    /// What of the files was not taken, a sentence each.
    notes: Vec<String>,
}

impl Found {
    /// Opens the sources of `checked`, and the data sets of those that have to be trained. What is
    /// missing or damaged is added to `problems`.
    pub(super) fn new(checked: &Checked, place: &Place, problems: &mut Problems) -> Self {
        let mut found = Found { known: IndexMap::new(), sets: IndexMap::new(), notes: Vec::new() };
        let network = Layers::of(&checked.experiment().model);
        for (name, source) in checked.sources() {
            let key = source_key(name);
            match &source.origin {
                Origin::Training(train) => {
                    let is_needed = is_needed(checked, name);
                    let other = train.data.name.as_ref().filter(|name| !is_own(checked, name));
                    let Some(name) = other.filter(|_| is_needed) else { continue };
                    if !found.sets.contains_key(name) {
                        let set = problems.take(other_set(checked, place, &key, name));
                        found.sets.extend(set.map(|set| (name.clone(), set)));
                    }
                }
                origin => {
                    let naming = Naming {
                        strip: Vec::new(),
                        rename: source.rename.clone(),
                        network: network.names().to_vec(),
                    };
                    let wants_weights = wants_weights(checked, name);
                    let known = opened(&key, origin, naming, wants_weights, place);
                    let (known, account) = problems.take(known).unzip();
                    let account = account.unwrap_or_default().to_string();
                    let told = account.lines().map(|line| format!("{key}.weights: {line}"));
                    found.notes.extend(told);
                    found.known.extend(known.map(|known| (name.clone(), known)));
                }
            }
        }
        found
    }
}

impl Found {
    /// What of the files of sources was not taken.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Whether an arm takes something from the source `name`.
fn is_needed(checked: &Checked, name: &str) -> bool {
    let experiment = checked.experiment();
    experiment.arms.values().any(|arm| {
        let source = experiment.source_of(arm);
        arm.needs_source() && source.is_some_and(|(known, _)| known == name)
    })
}

/// Whether an arm takes magnitudes or biases of the source `name`.
fn wants_weights(checked: &Checked, name: &str) -> bool {
    let experiment = checked.experiment();
    experiment.arms.values().any(|arm| {
        let source = experiment.source_of(arm);
        arm.needs_weights() && source.is_some_and(|(known, _)| known == name)
    })
}

/// Whether `name` is the data set of the experiment itself.
fn is_own(checked: &Checked, name: &str) -> bool {
    name == checked.experiment().data.name
}

/// A data set that is not the experiment's, prepared as its own.
fn other_set(checked: &Checked, place: &Place, key: &str, name: &str) -> Result<DataSet, Problem> {
    let data = &checked.experiment().data;
    let wanted =
        Data { name: name.into(), files: None, cifar10: None, folder: None, ..data.clone() };
    load(&format!("{key}.train.data"), &wanted, place)
}

/// What a source knows that is there already, under the names of the network, and what else its file has.
fn opened(
    key: &str,
    origin: &Origin,
    naming: Naming,
    wants_weights: bool,
    place: &Place,
) -> Result<(Knowledge, Account), Problem> {
    match origin {
        Origin::Template(template) => {
            let key = format!("{key}.template");
            let template = Template::open(template).map_err(|error| Problem::unfit(&key, error))?;
            let template =
                transfer::named(&template, &naming).map_err(|error| Problem::unfit(&key, error))?;
            Ok((Knowledge { template, weights: None }, Account::default()))
        }
        Origin::Weights(weights, layout, inner) => {
            let key = format!("{key}.weights");
            let meant = || hint(&meant(weights));
            let wanted = Wanted { key: inner.clone(), naming };
            let Contents { views, provenance, account } =
                sources::open(weights, *layout, &wanted, place.cache)
                    .map_err(|error| Problem::unfit(&key, format!("{error}{}", meant())))?;
            let known = Knowledge::of_views(&views, provenance, wants_weights)
                .map_err(|problem| Problem::unfit(&key, format!("{weights}: {problem}")))?;
            Ok((known, account))
        }
        Origin::Training(_) => Err(Problem::unfit(key, "has to be trained")),
    }
}

/// The known checkpoint that `weights` may have meant, where it is no file.
fn meant(weights: &str) -> Option<String> {
    let names = sources::PRETRAINED.iter().map(|known| known.package.name);
    let is_file = std::path::Path::new(weights).exists() || sources::find(weights).is_some();
    nearest(weights, names).filter(|_| !is_file).map(str::to_owned)
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
        let own: Vec<_> = trained.filter(|train| self.is_own(train)).collect();
        Some((own.iter().map(|train| train.data.images).max()?, own.first()?.seed_of_images()))
    }

    /// Whether a source learns from the data set of the experiment itself.
    fn is_own(&self, train: &SourceTraining) -> bool {
        train.data.name.as_ref().is_none_or(|name| is_own(self.checked, name))
    }

    /// All sources by name, of each seed one, but those that no arm needs and that would have to be
    /// trained. What does not fit is added to `problems`.
    pub(super) fn sources(
        &self,
        mut found: Found,
        problems: &mut Problems,
    ) -> IndexMap<String, Vec<PlannedSource>> {
        let (mut planned, mut lessons) = (IndexMap::new(), Lessons::default());
        for (name, source) in self.checked.sources() {
            let made = match &source.origin {
                Origin::Training(train) => {
                    let lesson = self.lesson(name, train, &found, &mut lessons, problems);
                    lesson.map(|lesson| self.trained(name, source, train, &lesson))
                }
                _ => found.known.shift_remove(name).and_then(|known| {
                    problems.take(self.check_fit(name, source, &known))?;
                    let except = source.except.clone();
                    let spec = SourceSpec { digest: known.digest(), except };
                    let state = SourceState::Ready(Box::new(known));
                    Some(vec![PlannedSource { seed: None, spec, state }])
                }),
            };
            planned.extend(made.map(|made| (name.clone(), made)));
        }
        planned
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

    /// What a source that must be trained learns from; none where no arm takes from it, or where it does
    /// not fit. Sources of the same images have them once.
    fn lesson(
        &self,
        name: &str,
        train: &SourceTraining,
        found: &Found,
        lessons: &mut Lessons,
        problems: &mut Problems,
    ) -> Option<Lesson> {
        let Experiment { data, model, .. } = self.checked.experiment();
        let is_own = self.is_own(train);
        let set = match &train.data.name {
            Some(name) if !is_own => found.sets.get(name)?,
            _ => self.set,
        };
        let key = source_key(name);
        let are_there = problems.take(check_images(name, train, set));
        let classes = train.data.classes.as_deref();
        let are_legal = check_classes(&format!("{key}.train.data.classes"), classes, set, problems);
        if are_there.is_none() || !are_legal || !is_needed(self.checked, name) {
            return None;
        }
        let own = self.own_part().filter(|_| is_own);
        let order = own.map_or(train.seed_of_images(), |(_, seed)| seed);
        let share = Share::Source { images: train.data.images, seed: order };
        let part = (set.digest.clone(), share, train.data.classes.clone());
        let material = lessons.material(part, || {
            let input = material::input(set, data, model.channels());
            Material::new(set, share, classes, data.test, input).in_order(data.channels)
        });
        let there = material.train.len();
        let Some(size) = there.checked_sub(data.validation).filter(|size| *size > 0) else {
            let why = format!(
                "leave {there} images of these classes, of which {} are for validation",
                data.validation
            );
            problems.add(Problem::unfit(format!("{key}.train.data.images"), why));
            return None;
        };
        Some(Lesson { images: self.learnt_from(train, set, share, size), material, size })
    }

    /// The sources `name`, of each seed one, each a cell that must run first.
    fn trained(
        &self,
        name: &str,
        source: &CheckedSource,
        train: &SourceTraining,
        lesson: &Lesson,
    ) -> Vec<PlannedSource> {
        let of_seed = |(seed, source_seed)| {
            let settings = settings(lesson.size, source_seed);
            let cell = Cell::new(&arm_name(name), settings, self.spec(train, lesson, seed));
            let spec = SourceSpec { digest: cell.id.clone(), except: source.except.clone() };
            let state = SourceState::Train(Box::new(cell), lesson.material.clone());
            PlannedSource { seed: source_seed, spec, state }
        };
        train.each_seed().into_iter().map(of_seed).collect()
    }

    /// The `share` of the images of `set`, of which a source learns from `train_size`.
    fn learnt_from(
        &self,
        train: &SourceTraining,
        set: &DataSet,
        share: Share,
        train_size: usize,
    ) -> ImageSpec {
        let data = &self.checked.experiment().data;
        ImageSpec {
            digest: set.digest.clone(),
            share,
            classes: train.data.classes.clone(),
            image_size: data.image_size,
            normalise: data.normalise.clone(),
            channels: data.channels,
            subset: data.subset,
            train_size,
            validation: data.validation,
            test: data.test,
        }
    }

    /// What the cell of a source of this `seed` computes.
    fn spec(&self, train: &SourceTraining, lesson: &Lesson, seed: u64) -> Spec {
        let Experiment { model, train: own, .. } = self.checked.experiment();
        let batch = train.batch.unwrap_or(own.batch);
        let steps = train.steps(lesson.size.div_ceil(batch) as u64);
        let mut evaluate_at: Vec<u64> = schedule::every_epoch(steps, lesson.size, batch).collect();
        evaluate_at.extend(Some(steps).filter(|last| evaluate_at.last() != Some(last)));
        Spec {
            version: RESULTS_VERSION,
            device: device_name(self.place.device).into(),
            data: Arc::new(DataSpec::Images(lesson.images.clone())),
            model: model.clone(),
            arm: None,
            train: Arc::new(TrainSpec {
                optimizer: train.optimizer.clone().unwrap_or_else(|| own.optimizer.clone()),
                batch,
                steps,
                rate: train.rate.unwrap_or(own.rate),
                evaluate_at: Evaluations::Steps(evaluate_at),
                select: Select::Last,
                threads: train.threads,
                precision: own.precision.on(self.place.device),
            }),
            seed,
        }
    }
}

/// What a source learns from.
struct Lesson {
    images: ImageSpec,
    material: Arc<Material>,
    /// Images that it is trained on.
    size: usize,
}

/// What of which data set, of which classes.
type Part = (String, Share, Option<Vec<u16>>);

/// The images of the sources so far.
#[derive(Default)]
struct Lessons(Vec<(Part, Arc<Material>)>);

impl Lessons {
    /// The images of `part`, by `made` where no source had them before.
    fn material(&mut self, part: Part, made: impl FnOnce() -> Material) -> Arc<Material> {
        if let Some((_, material)) = self.0.iter().find(|(known, _)| *known == part) {
            return material.clone();
        }
        let material = Arc::new(made());
        self.0.push((part, material.clone()));
        material
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
