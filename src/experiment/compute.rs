//! Computes one cell: a fresh network, its start, its training, its test.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use tch::{Device, TchError, nn};

use super::cell::{ArmSpec, Spec};
use super::config::{Hold, Magnitudes, Select, Signs};
use super::material::Material;
use super::table::{Outcome, Status};
use crate::data::subset;
use crate::models::{Network, init};
use crate::optim::{self, Frozen};
use crate::random::Stream;
use crate::sign::{Template, TemplateError, is_below};
use crate::train::{
    self, CurvePoint, Evaluation, Fit, ImageSet, Progress, Schedule, Seconds, Task,
};
use crate::transfer::{self, Options};
use crate::weights::Checkpoint;

/// Test images prepared and evaluated at once, so that a large test set need not fit in memory.
const TEST_BATCH: usize = 1000;

/// What a source knows.
#[derive(Debug)]
pub struct Knowledge {
    /// Its signs.
    pub template: Template,
    /// Its weights, unless only the signs came.
    pub weights: Option<Checkpoint>,
}

impl Knowledge {
    /// The knowledge of a checkpoint called `provenance`.
    ///
    /// # Errors
    /// When a weight is not a number.
    pub fn of_weights(weights: Checkpoint, provenance: &str) -> Result<Self, transfer::Error> {
        let template = transfer::signs_of(&weights, provenance)?;
        Ok(Knowledge { template, weights: Some(weights) })
    }

    /// The digest of all it knows.
    pub fn digest(&self) -> String {
        match &self.weights {
            None => self.template.digest(),
            Some(weights) => crate::weights::digest(weights),
        }
    }
}

/// What a cell came to.
#[derive(Debug)]
pub(super) struct Computed {
    /// The row of `trials.csv`.
    pub outcome: Outcome,
    /// The rows of `curves.csv`.
    pub curve: Vec<CurvePoint>,
    /// Where the time went.
    pub seconds: Seconds,
    /// The network at the end, for a source.
    pub variables: nn::VarStore,
}

/// Why a cell could not be computed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub(super) enum Error {
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
}

/// Computes the cell `spec` from `material` and, where its arm takes something from it, `source`.
///
/// # Errors
/// When `progress` breaks, the source does not fit, or libtorch fails.
///
/// # Panics
/// When the arm needs a source and there is none: a plan does not allow that.
pub(super) fn cell(
    spec: &Spec,
    material: &Material,
    source: Option<&Knowledge>,
    device: Device,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Computed, Error> {
    let mut variables = nn::VarStore::new(device);
    let net = spec
        .model
        .build(&variables.root(), material.train.classes)
        .with_precision(spec.train.precision);
    init::torch_default(&variables, spec.seed)?;
    let start = match &spec.arm {
        Some(arm) => assign(arm, source, &variables, spec.seed)?,
        None => transfer::own_signs(&variables)?,
    };
    let threads = NonZeroUsize::new(spec.train.threads).unwrap_or(NonZeroUsize::MIN);
    let mut optimizer =
        Frozen::new(&variables, held(spec.arm.as_ref(), &start), spec.train.optimizer.clone())?
            .with_reset(spec.arm.as_ref().and_then(|arm| arm.reset).unwrap_or_default())
            .with_seed(Stream::new(spec.seed, "reset").bits())
            .with_threads(threads);

    let (train_set, validation) = split(spec, material, device)?;
    let schedule = Schedule {
        batch: spec.train.batch,
        steps: spec.train.steps,
        evaluate_at: spec.train.evaluate_at.iter().copied().collect(),
        keep_best: spec.train.select == Select::Best,
    };
    let task = Task {
        net: &net,
        variables: &variables,
        train: &train_set,
        validation: &validation,
        schedule: &schedule,
        seed: spec.seed,
    };
    let fitted = train::fit(&task, &mut optimizer, progress)?;
    let outcome = judge(&task, &fitted, &start, material)?;
    variables.freeze();
    Ok(Computed { outcome, curve: fitted.curve, seconds: fitted.seconds, variables })
}

/// Gives a fresh network the magnitudes and signs of its arm; gives back its signs, as a template.
fn assign(
    arm: &ArmSpec,
    source: Option<&Knowledge>,
    variables: &nn::VarStore,
    seed: u64,
) -> Result<Template, Error> {
    let except = arm.source.as_ref().map(|source| source.except.clone()).unwrap_or_default();
    let options = Options { except, ..Options::default() };
    let known = || source.expect("a plan has a source for every arm that needs one");
    let signs_of_source = || &known().template;
    if arm.magnitudes == Magnitudes::Source {
        let weights = known().weights.as_ref().expect("a plan has weights for such an arm");
        transfer::weights(weights, variables, true, &options)?;
    }
    let signs = match arm.signs {
        Signs::Init => return Ok(transfer::own_signs(variables)?),
        Signs::Random => {
            let random = transfer::own_signs(variables)?.random_like(Some(0.5), seed);
            return Ok(transfer::signs(&random, variables, &Options::default())?.template);
        }
        Signs::Source => signs_of_source().clone(),
        Signs::Shuffled(kind) => signs_of_source().shuffled(kind, seed),
        Signs::Flipped(fraction) => signs_of_source().flipped(fraction, seed),
        Signs::Opposite => signs_of_source().opposite(),
    };
    Ok(transfer::signs(&signs, variables, &options)?.template)
}

/// The part of the starting signs that training must keep.
fn held(arm: Option<&ArmSpec>, start: &Template) -> Template {
    match arm.map(|arm| &arm.hold) {
        None | Some(Hold::None) => Template::new("nothing held"),
        Some(Hold::All) => start.clone(),
        Some(Hold::Layers(layers)) => {
            start.subset(|name| layers.iter().any(|layer| is_below(name, layer)))
        }
    }
}

/// Training and validation images: the beginning and the end of one order.
fn split(
    spec: &Spec,
    material: &Material,
    device: Device,
) -> Result<(ImageSet, ImageSet), TchError> {
    let mut stream = Stream::new(spec.seed, "subset");
    let order = subset::order(&material.train.labels, spec.data.subset, &mut stream);
    let rest = order.len() - spec.data.validation;
    let training = &order[..spec.data.train_size.unwrap_or(rest)];
    let prepare = |places| ImageSet::prepare(&material.train, places, &material.input, device);
    Ok((prepare(training)?, prepare(&order[rest..])?))
}

/// The row of `trials.csv`: how the network does with the weights it was left with.
fn judge(
    task: &Task,
    fitted: &Fit,
    start: &Template,
    material: &Material,
) -> Result<Outcome, Error> {
    let Task { net, variables, train: train_set, .. } = *task;
    let last = fitted.curve.last();
    let mut outcome = Outcome {
        status: if fitted.diverged { Status::Diverged } else { Status::Done },
        test_error: None,
        validation_error: None,
        train_error: None,
        best_step: None,
        steps: fitted.steps,
        violations_after: transfer::violations(start, variables)?,
        resets: last.map_or(0, |point| point.resets),
        sign_flips: last.map_or(0, |point| point.sign_flips),
    };
    if !fitted.diverged {
        let chosen = fitted.curve.iter().find(|point| point.step == fitted.best_step);
        outcome.validation_error = chosen.map(|point| point.validation_error);
        outcome.best_step = Some(fitted.best_step);
        outcome.train_error = Some(train::evaluate(net, train_set)?.error);
        outcome.test_error = Some(test_error(net, material, variables.device())?);
    }
    Ok(outcome)
}

/// The error on the test images, looked at here for the first and only time.
fn test_error(net: &Network, material: &Material, device: Device) -> Result<f64, TchError> {
    let test = &material.test;
    let all: Vec<usize> = (0..test.len()).collect();
    let mut wrong = 0.0;
    for part in all.chunks(TEST_BATCH) {
        let set = ImageSet::prepare(test, part, &material.input, device)?;
        let Evaluation { error, .. } = train::evaluate(net, &set)?;
        wrong += (error * part.len() as f64).round();
    }
    Ok(wrong / test.len() as f64)
}
