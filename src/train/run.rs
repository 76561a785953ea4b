//! A training run as a value: it goes on step by step, and can be saved between any two.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tch::{Reduction, TchError, Tensor, nn};

use super::best::{Best, Least};
use super::evaluate::cross_entropy;
use super::losses::Losses;
use super::order::Order;
use super::{CurvePoint, ErrorCount, Evaluation, ImageSet, Schedule, TensorCounts, evaluate};
use crate::models::{Mode, Network};
use crate::optim::{self, Counts, Frozen, Rule};
use crate::random::Stream;
use crate::transfer::constrained;

/// What is to be trained, and on what.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The network.
    pub net: &'a Network,
    /// Its weights.
    pub variables: &'a nn::VarStore,
    /// Images to learn from; at least one.
    pub train: &'a ImageSet,
    /// Images to choose by; at least one.
    pub validation: &'a ImageSet,
    /// How long to train and when to look.
    pub schedule: &'a Schedule,
    /// The seed of the batch order, drawn anew each epoch, and of the dropout masks.
    pub seed: u64,
}

/// A run that is over. The network has the weights of the last step until others are chosen, and the
/// optimizer is free to go.
#[derive(Debug)]
pub struct Ended {
    variables: HashMap<String, Tensor>,
    best: Best,
    fit: Fit,
}

impl Ended {
    /// Whether a loss or weight became non-finite, which ended the run.
    pub fn has_diverged(&self) -> bool {
        self.fit.diverged
    }

    /// Gives the network the weights that the schedule chooses; those of a run that diverged stay.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn choose(self) -> Result<Fit, TchError> {
        let Ended { variables, best, mut fit } = self;
        if !fit.diverged {
            fit.best_step = best.restore(variables)?.unwrap_or(fit.steps);
        }
        Ok(fit)
    }
}

/// What a run came to; the network has the chosen weights.
#[derive(Clone, Debug)]
pub struct Fit {
    /// One point an evaluation.
    pub curve: Vec<CurvePoint>,
    /// The step whose weights the network has.
    pub best_step: u64,
    /// Steps taken.
    pub steps: u64,
    /// Whether a loss or weight became non-finite, which ended the run.
    pub diverged: bool,
    /// Where the time went.
    pub seconds: Seconds,
}

/// Where the time of a run went, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Seconds {
    pub data: f64,
    pub forward: f64,
    pub backward: f64,
    pub optimizer: f64,
    pub evaluation: f64,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps taken.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Validation error of the newest evaluation.
    pub validation_error: Option<ErrorCount>,
}

/// Why a run did not come to its end, or could not be resumed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The callback asked for a stop.
    #[error("stopped")]
    Stopped,
    /// A saved state that belongs to another run, or is damaged.
    #[error("{name}: {what} in the saved state; resume with the task that it was saved from")]
    State {
        /// The tensor or note of the state.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The optimizer failed.
    #[error(transparent)]
    Optimizer(#[from] optim::Error),
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// Trains the network of `task` by `optimizer` to the end of its schedule, and chooses weights; `progress`
/// is called before the first step and after every step, with the evaluation that is due there behind it.
///
/// # Errors
/// [`Error::Stopped`] when `progress` breaks, and what libtorch says.
///
/// # Panics
/// As [`Run::new`].
pub fn fit<R: Rule>(
    task: &Task,
    optimizer: &mut Frozen<R>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Fit, Error> {
    Ok(to_the_end(task, optimizer, progress)?.choose()?)
}

/// As [`fit`], but leaves the network with the weights of the last step, to be looked at before others
/// are chosen.
///
/// # Errors
/// As [`fit`].
///
/// # Panics
/// As [`Run::new`].
pub fn to_the_end<R: Rule>(
    task: &Task,
    optimizer: &mut Frozen<R>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Ended, Error> {
    let mut run = Run::new(*task, optimizer)?;
    while progress(run.progress()).is_continue() {
        if run.is_over() {
            return Ok(run.end());
        }
        run.advance()?;
    }
    Err(Error::Stopped)
}

/// A training run between two of its steps.
///
/// Nothing of it is hidden elsewhere: batch order, dropout and random resets are functions of the seed and
/// the step, so [`save`](Self::save) and [`resume`](Self::resume) give the same bits as going on.
#[derive(Debug)]
pub struct Run<'a, R> {
    pub(super) task: Task<'a>,
    pub(super) optimizer: &'a mut Frozen<R>,
    order: Order,
    pub(super) step: u64,
    pub(super) losses: Losses,
    pub(super) best: Best,
    pub(super) curve: Vec<CurvePoint>,
    pub(super) diverged: bool,
    pub(super) seconds: Seconds,
}

impl<'a, R: Rule> Run<'a, R> {
    /// A run at its start, with the evaluation of step 0 where the schedule has one.
    ///
    /// # Errors
    /// What libtorch says.
    ///
    /// # Panics
    /// When there is no training image, or the schedule's batch is 0.
    pub fn new(task: Task<'a>, optimizer: &'a mut Frozen<R>) -> Result<Self, Error> {
        let mut run = Run::unseen(task, optimizer);
        if task.schedule.looks_at(0) {
            run.look()?;
        }
        Ok(run)
    }

    /// A run at its start, before any evaluation.
    pub(super) fn unseen(task: Task<'a>, optimizer: &'a mut Frozen<R>) -> Self {
        Run {
            order: Order::new(task.train.len(), task.schedule.batch, task.seed),
            task,
            optimizer,
            step: 0,
            losses: Losses::default(),
            best: Best::default(),
            curve: Vec::new(),
            diverged: false,
            seconds: Seconds::default(),
        }
    }

    /// Takes one step, and evaluates where the schedule says so: gives back that point of the curve. Does
    /// nothing when the run [is over](Self::is_over).
    ///
    /// # Errors
    /// What libtorch says.
    pub fn advance(&mut self) -> Result<Option<&CurvePoint>, Error> {
        if self.is_over() {
            return Ok(None);
        }
        let loss = self.take_step(self.step + 1)?;
        self.step += 1;
        self.losses.add(loss)?;
        if self.task.schedule.release_at == Some(self.step) {
            self.optimizer.release();
        }
        if !self.task.schedule.looks_at(self.step) {
            return Ok(None);
        }
        self.look()?;
        Ok(self.curve.last())
    }

    /// Whether all steps are taken, or a loss or weight became non-finite.
    pub fn is_over(&self) -> bool {
        self.diverged || self.step >= self.task.schedule.steps
    }

    /// Where the run is.
    pub fn progress(&self) -> Progress {
        Progress {
            step: self.step,
            steps: self.task.schedule.steps,
            validation_error: self.curve.last().map(|point| point.validation_error),
        }
    }

    /// The evaluations so far.
    pub fn curve(&self) -> &[CurvePoint] {
        &self.curve
    }

    /// Ends the run, at the latest here: the network gets the weights that the schedule chooses.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn finish(self) -> Result<Fit, Error> {
        Ok(self.end().choose()?)
    }

    /// Ends the run, at the latest here, with the weights that the network has.
    pub fn end(self) -> Ended {
        let Run { task, step, best, curve, diverged, seconds, .. } = self;
        let fit = Fit { curve, best_step: step, steps: step, diverged, seconds };
        Ended { variables: task.variables.variables(), best, fit }
    }

    /// One optimizer step; gives back the loss before it, still on its device.
    fn take_step(&mut self, step: u64) -> Result<Tensor, Error> {
        let Task { net, train, seed, schedule, .. } = self.task;
        let mut clock = Instant::now();
        let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed();
        let (images, labels) = train.select(self.order.batch(step))?;
        let data = lap();
        let mut dropout = Stream::new(seed, &format!("dropout/{step}"));
        let logits = net.forward(&images, Mode::Train(&mut dropout))?;
        let loss = cross_entropy(&logits, &labels, Reduction::Mean)?;
        let forward = lap();
        let gradients = self.optimizer.gradients(&loss)?;
        let backward = lap();
        self.optimizer.set_rate(schedule.rate.share(step, schedule.steps));
        self.optimizer.apply(gradients)?;
        let optimizer = lap();
        let add = |total: &mut f64, part: Duration| *total += part.as_secs_f64();
        add(&mut self.seconds.data, data);
        add(&mut self.seconds.forward, forward);
        add(&mut self.seconds.backward, backward);
        add(&mut self.seconds.optimizer, optimizer);
        Ok(loss.f_detach()?)
    }

    /// Evaluates the validation images, and keeps the weights if they are the best so far.
    fn look(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        let train_loss = self.losses.take_mean()?;
        let Evaluation { loss, error } = evaluate(self.task.net, self.task.validation)?;
        let point = self.point(train_loss, loss, error)?;
        self.curve.push(point);
        let has_finite_losses = loss.is_finite() && train_loss.is_none_or(f64::is_finite);
        self.diverged = !has_finite_losses || !are_finite(self.task.variables)?;
        self.choose(loss)?;
        self.seconds.evaluation += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// The point of the curve at this step.
    fn point(&self, train: Option<f64>, loss: f64, error: ErrorCount) -> Result<CurvePoint, Error> {
        let (total, tensors) = counts(self.optimizer, self.task.variables)?;
        let finite = |loss: f64| Some(loss).filter(|loss| loss.is_finite());
        Ok(CurvePoint {
            step: self.step,
            train_loss: train.and_then(finite),
            validation_loss: finite(loss),
            validation_error: error,
            resets: total.resets,
            sign_flips: total.sign_flips,
            tensors,
        })
    }

    /// Keeps the weights of this step if `loss` is the least so far and the schedule asks for them.
    fn choose(&mut self, loss: f64) -> Result<(), TchError> {
        let Task { schedule, variables, .. } = self.task;
        if !schedule.keep_best || self.diverged || !self.best.is_beaten_by(loss) {
            return Ok(());
        }
        let is_last = self.step == schedule.steps;
        self.best.replace(Least { step: self.step, loss }, (!is_last).then_some(variables))
    }
}

/// Whether every weight is a finite number. A loss may be finite where one is not: a unit whose bias is
/// −∞ is silent.
fn are_finite(variables: &nn::VarStore) -> Result<bool, TchError> {
    for tensor in variables.variables().values() {
        // One pass without a copy; no number among the values is one of the two.
        let (least, most) = tensor.f_aminmax(None, false)?;
        if !least.f_double_value(&[])?.is_finite() || !most.f_double_value(&[])?.is_finite() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the steps so far did to all tensors, and to each of the constrained ones of `variables`; the
/// counts are read once.
fn counts<R: Rule>(
    optimizer: &Frozen<R>,
    variables: &nn::VarStore,
) -> Result<(Counts, Vec<TensorCounts>), optim::Error> {
    let weights: BTreeSet<String> =
        constrained(variables).into_iter().map(|(name, _)| name).collect();
    let (mut total, mut tensors) = (Counts::default(), Vec::new());
    for (name, counts) in optimizer.counts_by_tensor()? {
        total += counts;
        if weights.contains(name) {
            let Counts { resets, sign_flips } = counts;
            tensors.push(TensorCounts { name: name.into(), resets, sign_flips });
        }
    }
    Ok((total, tensors))
}
