//! Studies of images: fresh networks that take signs or weights from a source, on few images.

mod cells;
mod check;
mod compute;
mod ground;
mod knowledge;
mod material;
mod schedule;
mod sources;
mod start;

use std::collections::BTreeSet;

use tch::{Device, nn};

use super::{Opened, Place, Study};
use crate::data::{self, DataSet};
use crate::experiment::cell::{Cell, TrainSpec};
use crate::experiment::checked::Checked;
use crate::experiment::file::{ChannelOrder, Data, Experiment, ImageFolder};
use crate::experiment::problem::{Problem, Problems};
use crate::memory;
use crate::results::table::SOURCE_SEED;
use crate::train::EVALUATION_BATCH;
use ground::ImageGround;
use material::Material;
use sources::{Found, PlannedSource};

/// The kind of study.
#[derive(Debug)]
pub(crate) struct Image;

impl Study for Image {
    fn settings(&self, experiment: &Experiment) -> &'static [&'static str] {
        let has_seeds = experiment.source_seeds().next().is_some();
        if has_seeds { &["train_size", SOURCE_SEED] } else { &["train_size"] }
    }

    fn check(&self, experiment: &Experiment, problems: &mut Problems) {
        check::check(experiment, problems);
    }

    /// What is missing is looked for everywhere before anything is given up, so that all of it is said
    /// at once.
    fn open(&self, checked: &Checked, place: &Place) -> Result<Opened, Problems> {
        let mut problems = Problems::default();
        let set = problems.take(load("data", &checked.experiment().data, place));
        let found = Found::new(checked, place, &mut problems);
        let courses = cells::courses(checked, place, &mut problems);
        match set {
            Some(set) => opened(&Draft { checked, set: &set, place }, found, &courses, problems),
            None => Err(problems),
        }
    }
}

/// What the cells of one training size have in common.
struct Course {
    size: usize,
    train: TrainSpec,
    /// The last step at which each arm holds its signs, where it lets them go.
    releases: Vec<Option<u64>>,
}

/// The study that `draft` comes to, with what was `found` of its sources.
fn opened(
    draft: &Draft,
    found: Found,
    courses: &[Course],
    mut problems: Problems,
) -> Result<Opened, Problems> {
    let Experiment { data, model, .. } = draft.checked.experiment();
    let classes = data.classes.as_deref();
    let are_legal = check_classes("data.classes", classes, draft.set, &mut problems);
    draft.check_channels(&mut problems);
    draft.check_memory(&mut problems);
    let of_set = draft.set.notes.iter().map(|note| format!("data: {note}"));
    let notes = of_set.chain(found.notes().iter().cloned()).collect();
    let sources = draft.sources(found, &mut problems);
    let share = draft.share();
    let input = material::input(draft.set, data, model.channels());
    let material =
        Material::new(draft.set, share, classes, data.test, input).in_order(data.channels);
    if are_legal {
        draft.check_sizes(&material, &mut problems);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let cells = draft.cells(share, &sources, courses);
    let firsts: Vec<Cell> =
        sources.values().flatten().filter_map(PlannedSource::cell).cloned().collect();
    let digest = |name: &str, source: &PlannedSource| {
        let seed = source.seed.map(|seed| format!("/{seed}")).unwrap_or_default();
        (format!("{name}{seed}"), source.spec.digest.clone())
    };
    let digests =
        sources.iter().flat_map(|(name, of_seeds)| of_seeds.iter().map(|one| digest(name, one)));
    let source_digests = digests.collect();
    Ok(Opened {
        cells,
        firsts,
        data_digest: Some(draft.set.digest.clone()),
        source_digests,
        notes,
        classes: material.train.classes,
        ground: Box::new(ImageGround::new(draft.place.device, material, sources)),
    })
}

/// What the parts of a study are made from.
struct Draft<'a> {
    checked: &'a Checked,
    set: &'a DataSet,
    place: &'a Place<'a>,
}

impl Draft<'_> {
    fn check_channels(&self, problems: &mut Problems) {
        let (given, wanted) = (self.set.train.channels, self.checked.experiment().model.channels());
        problems.check(given == 1 || given == wanted, || {
            let grey = if wanted == 1 { "; `data.channels: grey` takes their luma" } else { "" };
            let why = format!("takes {wanted} channel, the images have {given}{grey}");
            Problem::unfit("model", why)
        });
    }

    fn check_sizes(&self, material: &Material, problems: &mut Problems) {
        let Data { train_sizes, validation, test, .. } = &self.checked.experiment().data;
        let largest = train_sizes.iter().max().copied().unwrap_or(0);
        let there = material.train.len();
        problems.check(largest.saturating_add(*validation) <= there, || {
            let why = format!(
                "{largest} training and {validation} validation images were asked for, {there} are there"
            );
            Problem::unfit("data.train_sizes", why)
        });
        let there = material.test.len();
        problems.check(there > 0 && test.is_none_or(|test| test <= there), || {
            let why = format!("there are {there} test images, more were asked for");
            Problem::unfit("data.test", why)
        });
    }

    /// Whether one cell fits the memory: at least a batch of its images, as pixels, scaled, and after a
    /// layer, and its weights with their gradients and two moments.
    fn check_memory(&self, problems: &mut Problems) {
        let Experiment { data, model, train, .. } = self.checked.experiment();
        let largest = data.train_sizes.iter().max().copied().unwrap_or(1);
        let images = train.batch.min(largest).max(EVALUATION_BATCH) as u64;
        let pixels = images * model.channels() as u64 * (data.image_size as u64).pow(2);
        let network = self.network().variables();
        let weights: u64 = network.values().map(|weights| weights.numel() as u64).sum();
        let bytes = 12 * pixels + 16 * weights;
        if let Err(cause) = memory::check(bytes) {
            let why = format!("a cell with {images} images at a time {cause}");
            problems.add(Problem::unfit("data.image_size", why));
        }
    }

    /// A network of the study with all weights 0, to look at names and shapes.
    fn network(&self) -> nn::VarStore {
        let variables = nn::VarStore::new(Device::Cpu);
        let Experiment { data, model, .. } = self.checked.experiment();
        let classes = data.classes.as_ref().map_or(self.set.train.classes, Vec::len).max(2);
        model.assemble(&variables.root(), classes);
        variables
    }
}

/// Whether the labels to keep are some of those of `set`; adds a problem where they are not.
fn check_classes(
    key: &str,
    classes: Option<&[u16]>,
    set: &DataSet,
    problems: &mut Problems,
) -> bool {
    let Some(classes) = classes else { return true };
    let known = set.train.classes;
    let different: BTreeSet<u16> = classes.iter().copied().collect();
    let are_known = classes.iter().all(|&class| usize::from(class) < known);
    let are_legal = classes.len() >= 2 && different.len() == classes.len() && are_known;
    problems.check(are_legal, || {
        let expected = format!("at least two different labels of 0 to {}", known - 1);
        Problem::value(key, expected, format!("{classes:?}"))
    });
    are_legal
}

/// The data set that `data` names; mistakes stand under `key`.
fn load(key: &str, data: &Data, place: &Place) -> Result<DataSet, Problem> {
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
        (.., Some(ImageFolder { path, test_share })) => data::Spec::Folder {
            name,
            path: path.clone(),
            test_share: *test_share,
            side: data.image_size,
        },
        (None, None, None) => data::Spec::Registered(name),
    };
    let set = data::load(&spec, place.cache).map_err(|error| match error {
        data::Error::Unknown { got, known } => Problem::unknown(format!("{key}.name"), &got, known),
        other => Problem::unfit(key, other),
    })?;
    Ok(if data.channels == ChannelOrder::Grey { set.in_grey() } else { set })
}
