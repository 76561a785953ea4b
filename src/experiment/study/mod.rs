//! Kinds of study: what one may ask for, what its cells are, and how they are computed.
//!
//! A kind is a folder with a [`Study`]; the rest of the room knows a study by that trait alone. To add
//! one, write its folder and name it in [`kind`].

pub(crate) mod image;
mod layers;
#[cfg(test)]
mod streams;
pub(crate) mod xor;

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use indexmap::IndexMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, TchError, Tensor};

use super::cell::{ArmSpec, Cell};
use super::checked::Checked;
use super::file::Experiment;
use super::problem::{Problem, Problems};
use super::savepoint::{Kept, Savepoint, SetAside};
use crate::data::xor::NAME;
use crate::optim;
use crate::random::Stream;
use crate::results::Magnitudes;
use crate::results::table::Outcome;
use crate::sign::TemplateError;
use crate::train::{self, CurvePoint, Progress, Seconds};
use crate::transfer;
use crate::weights::Checkpoint;

/// The kind of study that `experiment` is.
pub(crate) fn kind(experiment: &Experiment) -> &'static dyn Study {
    if experiment.data.name == NAME { &xor::Xor } else { &image::Image }
}

/// A kind of study.
pub(crate) trait Study: Sync {
    /// Names of the swept settings of `experiment`, in the order of the columns.
    fn settings(&self, experiment: &Experiment) -> &'static [&'static str];

    /// Adds the mistakes of `experiment` that only this kind has rules for.
    fn check(&self, experiment: &Experiment, problems: &mut Problems);

    /// Reads data and sources, and lays out the cells.
    ///
    /// # Errors
    /// Everything in them that is missing or does not fit.
    fn open(&self, checked: &Checked, place: &Place) -> Result<Opened, Problems>;
}

/// Where a study is computed, and where its data lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// What computes.
    pub(crate) device: Device,
    /// The folder of fetched data.
    pub(crate) cache: &'a Path,
}

/// `cpu` or `cuda`, as specifications have it.
pub(crate) fn device_name(device: Device) -> &'static str {
    if device.is_cuda() { "cuda" } else { "cpu" }
}

/// A study with its data at hand.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The cells of the arms, in the order of the tables.
    pub(crate) cells: Vec<Cell>,
    /// Cells whose networks others take from: they run first.
    pub(crate) firsts: Vec<Cell>,
    /// What the cells learn from.
    pub(crate) ground: Box<dyn Ground>,
    /// The digest of the data set; none of data that are drawn.
    pub(crate) data_digest: Option<String>,
    /// What tells each source from every other, by its name.
    pub(crate) source_digests: IndexMap<String, String>,
    /// What of the files was not taken, a sentence each.
    pub(crate) notes: Vec<String>,
    /// Classes of the labels.
    pub(crate) classes: usize,
}

/// Cells that are computed together.
pub(crate) type Job<'a> = Vec<&'a Cell>;

/// What cells learn from, and how they do.
pub(crate) trait Ground: Debug + Send + Sync {
    /// `cells` in jobs, in their order.
    fn jobs<'a>(&self, cells: &[&'a Cell]) -> Vec<Job<'a>>;

    /// `cells` in bundles that are best computed by one run, in their order; the same on every machine.
    fn bundles<'a>(&self, cells: &[&'a Cell]) -> Vec<Job<'a>>;

    /// What `cell` costs in a unit of the study, by its specification alone: cells take about as long as
    /// they cost.
    fn cost(&self, cell: &Cell) -> f64;

    /// What the cells of a bundle cost together on this machine.
    fn cost_here(&self, bundle: &[&Cell]) -> f64;

    /// Draws or prepares what `cells` need; called once before they are computed.
    fn prepare(&mut self, cells: &[&Cell]);

    /// Gives the cells that take from the cell `first` the `weights` that it came to.
    ///
    /// # Errors
    /// When the weights are no source, not being numbers for example.
    fn learn(&mut self, first: &Cell, weights: Checkpoint) -> Result<(), Failure>;

    /// Computes a job: what each of its cells came to, in order. A job that fails as a whole has one
    /// failure, and its other cells stay unfinished.
    fn compute(&self, job: &[&Cell], watch: &Watch) -> Vec<Result<Computed, Failure>>;

    /// Whether numbers depend on the machine by the rounding of sums: not where all that computes gives the
    /// same bits on every CPU.
    fn rounds_by_machine(&self) -> bool;

    /// Seconds a unit of cost, of cells like `cell`, from a few steps that are timed now.
    ///
    /// # Errors
    /// When libtorch fails.
    fn pace(&self, cell: &Cell) -> Result<f64, Failure>;
}

/// Is told how far cells are, keeps them and stops them.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    /// Cells under way are given up once this is set.
    pub(crate) stop: &'a AtomicBool,
    /// Is told of a cell; breaks when nobody wants to know any more.
    pub(crate) tell: &'a (dyn Fn(&Cell, News) -> ControlFlow<()> + Sync),
    /// Where the job is kept, if it is.
    pub(crate) savepoint: Option<&'a Mutex<Savepoint>>,
}

/// What there is to tell of a cell under way.
#[derive(Debug)]
pub(crate) enum News {
    /// It moved on.
    Step(Progress),
    /// It goes on from what was kept after this step.
    Resumed(u64),
    /// What was kept of it cannot be gone on from.
    SetAside(SetAside),
    /// It was kept.
    Kept,
    /// It could not be kept after this step, and why.
    NotKept(u64, String),
}

impl Watch<'_> {
    /// Tells where `cell` is, and says whether it may go on.
    pub(crate) fn step(&self, cell: &Cell, progress: Progress) -> ControlFlow<()> {
        (self.tell)(cell, News::Step(progress))?;
        self.check()
    }

    /// The newest whole state that is kept of the job of `cell`.
    pub(crate) fn latest<N: DeserializeOwned>(&self, cell: &Cell) -> Option<Kept<N>> {
        self.savepoint()?.latest(&mut |file| self.say(cell, News::SetAside(file)))
    }

    /// Says that the job of `cell` goes on from a state after `step`.
    pub(crate) fn resumed(&self, cell: &Cell, step: u64) {
        self.say(cell, News::Resumed(step));
    }

    /// Sets a state aside that the job of `cell` cannot go on from.
    pub(crate) fn refuse(&self, cell: &Cell, path: &Path, why: String) {
        if let Some(mut savepoint) = self.savepoint() {
            self.say(cell, News::SetAside(savepoint.refuse(path, why)));
        }
    }

    /// Whether the job is to be kept now, where it `goes_on` or is given up.
    pub(crate) fn is_due(&self, goes_on: ControlFlow<()>) -> bool {
        self.savepoint().is_some_and(|savepoint| goes_on.is_break() || savepoint.is_due())
    }

    /// Keeps the job of `cell` as it is after `step`; where that fails, it is said, and the job goes on.
    pub(crate) fn keep(
        &self,
        cell: &Cell,
        step: u64,
        notes: &impl Serialize,
        tensors: &[(String, Tensor)],
    ) {
        let Some(mut savepoint) = self.savepoint() else { return };
        self.say(
            cell,
            match savepoint.keep(step, notes, tensors) {
                Ok(()) => News::Kept,
                Err(error) => News::NotKept(step, error.to_string()),
            },
        );
    }

    fn savepoint(&self) -> Option<MutexGuard<'_, Savepoint>> {
        Some(self.savepoint?.lock().expect("nobody panics while a job is kept"))
    }

    /// Tells of `cell` where it goes on whoever listens.
    fn say(&self, cell: &Cell, news: News) {
        let _ = (self.tell)(cell, news);
    }

    /// Says whether to go on.
    pub(crate) fn check(&self) -> ControlFlow<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// What a cell came to.
#[derive(Debug)]
pub(crate) struct Computed {
    /// The row of `trials.csv`.
    pub(crate) outcome: Outcome,
    /// The rows of `curves.csv`.
    pub(crate) curve: Vec<CurvePoint>,
    /// Where the time went.
    pub(crate) seconds: Seconds,
    /// The network at the end, of a cell that others take from.
    pub(crate) weights: Option<Checkpoint>,
}

/// Why a cell could not be computed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub(crate) enum Failure {
    #[error(transparent)]
    Train(#[from] train::Error),
    #[error(transparent)]
    Transfer(#[from] transfer::Error),
    #[error(transparent)]
    Optimizer(#[from] optim::Error),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
    /// The source that the cell takes from is not there.
    #[error("its source, cell {0}, is not there")]
    NoSource(String),
    /// The source has not what the cell takes.
    #[error("its source has no {0}")]
    Lacks(&'static str),
    /// The cell is of another kind of study.
    #[error("a cell of another kind of study")]
    OtherKind,
}

impl Failure {
    /// Whether the run was stopped, which is no fault of the cell.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self, Failure::Train(train::Error::Stopped))
    }
}

/// The seed of the initial weights of a network that has `arm` and draws under `seed`.
pub(crate) fn initial_seed(arm: Option<&ArmSpec>, seed: u64) -> u64 {
    match arm.map(|arm| arm.magnitudes) {
        Some(Magnitudes::Fresh) => Stream::new(seed, "fresh").bits(),
        _ => seed,
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        let mut problems = Problems::default();
        problems.add(problem);
        problems
    }
}
