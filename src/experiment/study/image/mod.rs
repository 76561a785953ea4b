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

use tch::{Device, nn};

use super::{Opened, Place, Study};
use crate::data::{self, DataSet};
use crate::experiment::cell::Cell;
use crate::experiment::check::Checked;
use crate::experiment::file::{Data, Experiment, ImageFolder};
use crate::experiment::problem::{Problem, Problems};
use ground::ImageGround;
use material::Material;
use sources::PlannedSource;

/// The kind of study.
#[derive(Debug)]
pub(crate) struct Image;

impl Study for Image {
    fn settings(&self) -> &'static [&'static str] {
        &["train_size"]
    }

    fn check(&self, experiment: &Experiment, problems: &mut Problems) {
        check::check(experiment, problems);
    }

    fn open(&self, checked: &Checked, place: &Place) -> Result<Opened, Problems> {
        let set =
            load(&checked.experiment().data, place).map_err(|what| Problem::unfit("data", what))?;
        Draft { checked, set: &set, place }.open()
    }
}

/// What the parts of a study are made from.
struct Draft<'a> {
    checked: &'a Checked,
    set: &'a DataSet,
    place: &'a Place<'a>,
}

impl Draft<'_> {
    fn open(&self) -> Result<Opened, Problems> {
        let mut problems = Problems::default();
        let Experiment { data, model, .. } = self.checked.experiment();
        check_classes("data.classes", data.classes.as_deref(), self.set, &mut problems);
        self.check_channels(&mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let sources = self.sources(&mut problems);
        let share = self.share();
        let input = material::input(self.set, data, model.channels());
        let classes = data.classes.as_deref();
        let material =
            Material::new(self.set, share, classes, data.test, input).in_order(data.channels);
        self.check_sizes(&material, &mut problems);
        let cells = self.cells(share, &sources, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let firsts: Vec<Cell> = sources.values().filter_map(PlannedSource::cell).cloned().collect();
        let source_digests = sources
            .iter()
            .map(|(name, source)| (name.clone(), source.spec.digest.clone()))
            .collect();
        Ok(Opened {
            cells,
            firsts,
            data_digest: Some(self.set.digest.clone()),
            source_digests,
            classes: material.train.classes,
            ground: Box::new(ImageGround::new(self.place.device, material, sources)),
        })
    }

    fn check_channels(&self, problems: &mut Problems) {
        let (given, wanted) = (self.set.train.channels, self.checked.experiment().model.channels());
        problems.check(given == 1 || given == wanted, || {
            Problem::conflict("model", format!("takes {wanted} channel, the images have {given}"))
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

    /// A network of the study with all weights 0, to look at names and shapes.
    fn network(&self) -> nn::VarStore {
        let variables = nn::VarStore::new(Device::Cpu);
        let Experiment { data, model, .. } = self.checked.experiment();
        let classes = data.classes.as_ref().map_or(self.set.train.classes, Vec::len);
        model.assemble(&variables.root(), classes);
        variables
    }
}

/// Adds a problem where the labels to keep are not some of those of `set`.
fn check_classes(key: &str, classes: Option<&[u8]>, set: &DataSet, problems: &mut Problems) {
    let Some(classes) = classes else { return };
    let known = set.train.classes;
    let mut different = classes.to_vec();
    different.sort_unstable();
    different.dedup();
    let is_legal = classes.iter().all(|&class| usize::from(class) < known);
    problems.check(classes.len() >= 2 && different.len() == classes.len() && is_legal, || {
        let expected = format!("at least two different labels of 0 to {}", known - 1);
        Problem::value(key, expected, format!("{classes:?}"))
    });
}

/// The data set that `data` names.
fn load(data: &Data, place: &Place) -> Result<DataSet, data::Error> {
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
    data::load(&spec, place.cache)
}
