//! The training of one block of nets, which can be paused between two epochs.

use std::ops::ControlFlow;

use super::nets::{Nets, Points};
use super::vector::{Job, Vector};
use super::{Course, Member, Trained};
use crate::models::mlp::Weights;
use crate::optim::fused::AdamScalars;
use crate::train::{CurvePoint, ErrorCount};

/// The nets of a block between two epochs: all that their next epochs depend on, beside what they learn
/// from.
#[derive(Clone, Debug, PartialEq)]
pub struct Paused {
    /// Epochs done.
    pub epoch: u64,
    /// The nets, in the order of the members.
    pub nets: Vec<Underway>,
}

/// A net between two epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct Underway {
    /// What it came to so far; `last` are its weights now.
    pub trained: Trained,
    /// Adam's first and second moment of every weight.
    pub moments: [Weights; 2],
}

/// Is told before every epoch which it is, and how to get the state; breaks to end the training.
pub type Watch<'a> = &'a mut dyn FnMut(u64, &dyn Fn() -> Paused) -> ControlFlow<()>;

/// The training of one block.
pub(super) struct Training<'a> {
    pub(super) block: &'a [Member<'a>],
    pub(super) course: &'a Course,
    pub(super) from: Option<&'a Paused>,
    pub(super) watch: Watch<'a>,
}

impl Job for Training<'_> {
    type Output = Option<Vec<Trained>>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Self::Output {
        let Training { block, course, from, watch } = self;
        let mut nets = Nets::<V>::new(block[0].start.width(), course.batch);
        for (lane, member) in block.iter().enumerate() {
            nets.set(lane, &member.start);
            if let Some(signs) = &member.hold {
                nets.hold(lane, signs, member.reset, member.reset_seed);
            }
        }
        let mut validation = vec![Points::<V>::empty(); block[0].validation.len()];
        for (lane, member) in block.iter().enumerate() {
            for (points, point) in validation.iter_mut().zip(member.validation) {
                points.set(lane, point);
            }
        }
        let mut runs: Vec<Run> = block.iter().map(|member| Run::new(&member.start)).collect();
        let mut batch = vec![Points::<V>::empty(); course.batch];
        let count = block[0].train.len();
        let mut step = 0;
        let mut first = 0;
        if let Some(paused) = from {
            (first, step) = (paused.epoch, paused.epoch * count.div_ceil(course.batch) as u64);
            nets.go_on_after(step);
            for (lane, net) in paused.nets.iter().enumerate() {
                nets.set(lane, &net.trained.last);
                nets.set_moments(lane, &net.moments);
                if let Some(point) = net.trained.curve.last() {
                    nets.set_tally(lane, point.resets, point.sign_flips);
                }
                runs[lane] = Run::of(net);
            }
        }
        for epoch in first..course.epochs {
            let state = || {
                let underway = |(lane, run): (usize, &Run)| {
                    let trained = Trained { last: nets.get(lane), ..run.trained.clone() };
                    Underway { trained, moments: nets.moments(lane) }
                };
                Paused { epoch, nets: runs.iter().enumerate().map(underway).collect() }
            };
            if watch(epoch, &state).is_break() {
                return None;
            }
            for from in (0..count).step_by(course.batch) {
                let size = course.batch.min(count - from);
                for (lane, member) in block.iter().enumerate() {
                    let places = &member.orders.0[epoch as usize][from..from + size];
                    for (points, place) in batch.iter_mut().zip(places) {
                        points.set(lane, &member.train[*place as usize]);
                    }
                }
                step += 1;
                nets.step(&batch[..size], &AdamScalars::new(&course.adam.at(step)));
            }
            let scores = nets.evaluate(&validation);
            let tally = *nets.tally();
            let finite = nets.are_finite();
            for (lane, run) in runs.iter_mut().enumerate() {
                let point = CurvePoint {
                    step,
                    train_loss: None,
                    validation_loss: Some(scores.losses[lane]).filter(|loss| loss.is_finite()),
                    validation_error: ErrorCount { wrong: scores.wrong[lane], of: scores.of },
                    resets: tally.resets[lane],
                    sign_flips: tally.flips[lane],
                    tensors: Vec::new(),
                };
                if run.add(point, finite[lane]) {
                    run.trained.weights = nets.get(lane);
                }
            }
        }
        let ended = |(lane, run): (usize, Run)| run.ended(nets.get(lane));
        Some(runs.into_iter().enumerate().map(ended).collect())
    }
}

/// A net under way.
struct Run {
    trained: Trained,
    least: f64,
}

impl Run {
    fn new(start: &Weights) -> Self {
        let trained = Trained {
            curve: Vec::new(),
            best_step: 0,
            weights: start.clone(),
            last: start.clone(),
            diverged: false,
        };
        Run { trained, least: f64::INFINITY }
    }

    /// That of a net that was paused.
    fn of(net: &Underway) -> Self {
        let trained = net.trained.clone();
        let best = trained.curve.iter().find(|point| point.step == trained.best_step);
        let least = best.and_then(|point| point.validation_loss).unwrap_or(f64::INFINITY);
        Run { trained, least }
    }

    /// What became of a net that has the weights `last` when its block is done; one that diverged has
    /// come to an end before.
    fn ended(self, last: Weights) -> Trained {
        let mut trained = self.trained;
        trained.last = if trained.diverged { trained.weights.clone() } else { last };
        trained
    }

    /// Notes an evaluation of weights that `are_finite` or not; says whether they are to be kept.
    fn add(&mut self, point: CurvePoint, are_finite: bool) -> bool {
        let trained = &mut self.trained;
        if trained.diverged {
            return false;
        }
        let step = point.step;
        let keep = match point.validation_loss.filter(|_| are_finite) {
            Some(loss) if loss < self.least => {
                self.least = loss;
                true
            }
            Some(_) => false,
            None => {
                trained.diverged = true;
                true
            }
        };
        if keep {
            trained.best_step = step;
        }
        trained.curve.push(point);
        keep
    }
}
