//! The training loop.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, TchError, Tensor, nn};

use super::{CurvePoint, Evaluation, ImageSet, TensorCounts};
use crate::models::{Mode, Network};
use crate::optim::{self, Counts, Frozen, Rule};
use crate::random::Stream;
use crate::transfer::constrained;

/// Images evaluated at once.
const EVALUATION_BATCH: usize = 100;

/// How long to train and when to look.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Images a step; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Steps after which the validation images are evaluated; 0 is before training.
    pub evaluate_at: BTreeSet<u64>,
    /// Whether to end with the weights of the least validation loss, not with the last.
    pub keep_best: bool,
    /// The last step after which held signs are held; none for all.
    pub release_at: Option<u64>,
}

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
    /// Held weights on the wrong side of zero after the last step.
    pub violations: u64,
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
    pub validation_error: Option<f64>,
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The callback asked for a stop.
    #[error("stopped")]
    Stopped,
    /// The optimizer failed.
    #[error(transparent)]
    Optimizer(#[from] optim::Error),
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// Trains the network of `task` by `optimizer`; `progress` is called after every step and evaluation.
///
/// # Errors
/// [`Error::Stopped`] when `progress` breaks, and what libtorch says.
pub fn fit<R: Rule>(
    task: &Task,
    optimizer: &mut Frozen<R>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Fit, Error> {
    let Task { net, variables, train, validation, schedule, seed } = *task;
    let mut run = Run { task, optimizer, seconds: Seconds::default() };
    let weights: BTreeSet<String> =
        constrained(variables).into_iter().map(|(name, _)| name).collect();
    let mut curve: Vec<CurvePoint> = Vec::new();
    let mut best = Best::default();
    let mut losses = Losses::default();
    let mut order = Order::new(train.len(), schedule.batch, seed);
    let mut step = 0;
    let mut diverged = false;
    loop {
        if schedule.evaluate_at.contains(&step) || step == schedule.steps {
            let start = Instant::now();
            let train_loss = losses.take_mean()?;
            let Evaluation { loss, error } = evaluate(net, validation)?;
            let (total, tensors) = counts(run.optimizer, &weights)?;
            curve.push(CurvePoint {
                step,
                train_loss: train_loss.filter(|loss| loss.is_finite()),
                validation_loss: Some(loss).filter(|loss| loss.is_finite()),
                validation_error: error,
                resets: total.resets,
                sign_flips: total.sign_flips,
                tensors,
            });
            diverged = !loss.is_finite() || train_loss.is_some_and(|loss| !loss.is_finite());
            if schedule.keep_best && !diverged && best.is_beaten_by(loss) {
                let is_last = step == schedule.steps;
                best.replace(loss, step, (!is_last).then_some(variables))?;
            }
            run.seconds.evaluation += start.elapsed().as_secs_f64();
        }
        let validation_error = curve.last().map(|point| point.validation_error);
        if progress(Progress { step, steps: schedule.steps, validation_error }).is_break() {
            return Err(Error::Stopped);
        }
        if step == schedule.steps || diverged {
            break;
        }
        step += 1;
        losses.add(run.step(step, &order.next_batch())?)?;
        if schedule.release_at == Some(step) {
            run.optimizer.release();
        }
    }
    let violations = run.optimizer.violations()?;
    let seconds = run.seconds;
    let best_step = if diverged { step } else { best.restore(variables)?.unwrap_or(step) };
    Ok(Fit { curve, best_step, steps: step, diverged, violations, seconds })
}

/// What the steps so far did to all tensors, and to each of `weights`; the counts are read once.
fn counts<R: Rule>(
    optimizer: &Frozen<R>,
    weights: &BTreeSet<String>,
) -> Result<(Counts, Vec<TensorCounts>), optim::Error> {
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

/// Loss and error of `net` on `set`, without dropout and without gradients.
///
/// # Errors
/// What libtorch says.
pub fn evaluate(net: &Network, set: &ImageSet) -> Result<Evaluation, TchError> {
    tch::no_grad(|| {
        let (mut loss, mut wrong) = (0.0, 0);
        for start in (0..set.len()).step_by(EVALUATION_BATCH) {
            let count = EVALUATION_BATCH.min(set.len() - start);
            let (images, labels) = set.slice(start, count)?;
            let logits = net.forward(&images, Mode::Evaluate)?;
            let total = cross_entropy(&logits, &labels, Reduction::Sum)?;
            loss += total.f_double_value(&[])?;
            wrong +=
                guesses(&logits)?.f_ne_tensor(&labels)?.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        }
        let count = set.len() as f64;
        Ok(Evaluation { loss: loss / count, error: wrong as f64 / count })
    })
}

/// The loss of `logits` `[n, classes]`; of `[n, 1]`, which are the log-odds of class 1 of two.
fn cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    reduction: Reduction,
) -> Result<Tensor, TchError> {
    if !is_binary(logits) {
        return logits.f_cross_entropy_loss(labels, None::<Tensor>, reduction, -100, 0.0);
    }
    let (logits, labels) = (logits.f_flatten(0, -1)?, labels.f_to_kind(Kind::Float)?);
    let none = None::<Tensor>;
    logits.f_binary_cross_entropy_with_logits(&labels, none.as_ref(), none.as_ref(), reduction)
}

/// The likeliest class of each row.
fn guesses(logits: &Tensor) -> Result<Tensor, TchError> {
    if !is_binary(logits) {
        return logits.f_argmax(-1, false);
    }
    logits.f_flatten(0, -1)?.f_gt(0.0)?.f_to_kind(Kind::Int64)
}

fn is_binary(logits: &Tensor) -> bool {
    logits.size().last() == Some(&1)
}

struct Run<'a, R> {
    task: &'a Task<'a>,
    optimizer: &'a mut Frozen<R>,
    seconds: Seconds,
}

impl<R: Rule> Run<'_, R> {
    /// One optimizer step; gives back the loss before it, still on its device.
    fn step(&mut self, step: u64, places: &[usize]) -> Result<Tensor, Error> {
        let Task { net, train, seed, .. } = *self.task;
        let mut clock = Instant::now();
        let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed();
        let (images, labels) = train.select(places)?;
        let data = lap();
        let mut dropout = Stream::new(seed, &format!("dropout/{step}"));
        let logits = net.forward(&images, Mode::Train(&mut dropout))?;
        let loss = cross_entropy(&logits, &labels, Reduction::Mean)?;
        let forward = lap();
        let gradients = self.optimizer.gradients(&loss)?;
        let backward = lap();
        self.optimizer.apply(gradients)?;
        let optimizer = lap();
        let add = |total: &mut f64, part: Duration| *total += part.as_secs_f64();
        add(&mut self.seconds.data, data);
        add(&mut self.seconds.forward, forward);
        add(&mut self.seconds.backward, backward);
        add(&mut self.seconds.optimizer, optimizer);
        Ok(loss.f_detach()?)
    }
}

/// The mean loss since it was last asked for, summed where the losses are.
#[derive(Default)]
struct Losses {
    sum: Option<Tensor>,
    count: u64,
}

impl Losses {
    fn add(&mut self, loss: Tensor) -> Result<(), TchError> {
        let loss = loss.f_to_kind(Kind::Double)?;
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum.f_add(&loss)?,
            None => loss,
        });
        self.count += 1;
        Ok(())
    }

    fn take_mean(&mut self) -> Result<Option<f64>, TchError> {
        let count = std::mem::take(&mut self.count) as f64;
        let sum = self.sum.take().map(|sum| sum.f_double_value(&[])).transpose()?;
        Ok(sum.map(|sum| sum / count))
    }
}

/// The weights of the least validation loss so far; the earlier of two equal ones.
#[derive(Default)]
struct Best {
    loss: Option<f64>,
    step: u64,
    /// Copies of the weights; none of those that the network has.
    weights: Vec<(String, Tensor)>,
}

impl Best {
    /// Keeps the weights of `variables`; those that the network will end with where none are given.
    fn replace(
        &mut self,
        loss: f64,
        step: u64,
        variables: Option<&nn::VarStore>,
    ) -> Result<(), TchError> {
        self.weights.clear();
        for (name, weight) in variables.map(nn::VarStore::variables).into_iter().flatten() {
            let mut copy = weight.f_detach()?.f_empty_like()?;
            copy.f_copy_(&weight)?;
            self.weights.push((name, copy));
        }
        (self.loss, self.step) = (Some(loss), step);
        Ok(())
    }

    fn is_beaten_by(&self, loss: f64) -> bool {
        self.loss.is_none_or(|least| loss < least)
    }

    /// Puts the weights back and says which step they are of.
    fn restore(self, variables: &nn::VarStore) -> Result<Option<u64>, TchError> {
        let Some(_) = self.loss else { return Ok(None) };
        let mut places = variables.variables();
        for (name, weight) in &self.weights {
            let place = places.get_mut(name).expect("a network keeps its variables");
            tch::no_grad(|| place.f_copy_(weight))?;
        }
        Ok(Some(self.step))
    }
}

/// The order in which an epoch, from 1 on, takes `images` images.
pub(super) fn epoch_order(images: usize, epoch: u64, seed: u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..images).collect();
    Stream::new(seed, &format!("order/{epoch}")).shuffle(&mut places);
    places
}

/// Batches of places, in an order drawn anew each epoch.
struct Order {
    batch: usize,
    seed: u64,
    epoch: u64,
    places: Vec<usize>,
    next: usize,
}

impl Order {
    fn new(images: usize, batch: usize, seed: u64) -> Self {
        assert!(images > 0 && batch > 0, "a run without images has no batches");
        Order { batch, seed, epoch: 0, places: (0..images).collect(), next: images }
    }

    fn next_batch(&mut self) -> Vec<usize> {
        if self.next >= self.places.len() {
            self.epoch += 1;
            self.places = epoch_order(self.places.len(), self.epoch, self.seed);
            self.next = 0;
        }
        let end = (self.next + self.batch).min(self.places.len());
        let batch = self.places[self.next..end].to_vec();
        self.next = end;
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_sees_every_image_once_and_keeps_the_partial_batch() {
        let mut order = Order::new(5, 2, 1);
        let mut epochs = Vec::new();
        for _ in 0..2 {
            let batches = [order.next_batch(), order.next_batch(), order.next_batch()];
            assert_eq!(batches.each_ref().map(Vec::len), [2, 2, 1]);
            epochs.push(batches.concat());
        }
        for epoch in &mut epochs {
            epoch.sort_unstable();
            assert_eq!(*epoch, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn the_batch_order_depends_on_the_seed_and_the_epoch() {
        let epoch = |seed| Order::new(100, 100, seed).next_batch();
        assert_eq!(epoch(1), epoch(1));
        assert_ne!(epoch(1), epoch(2));
        let mut order = Order::new(100, 100, 1);
        assert_ne!(order.next_batch(), order.next_batch());
    }
}
