//! Many small networks trained side by side, one a lane of the CPU's vectors.
//!
//! The networks of XOR-5D are so small that libtorch spends its time on everything but arithmetic.
//! They also do the same thing at the same time: the nets of a block differ in their data, weights,
//! batch order and signs, and in nothing that a branch could depend on. So a block holds as many nets
//! as a vector has lanes, and one function does their forward pass, backward pass, Adam, projection and
//! counts, with all of it in the innermost caches. Blocks run on threads of their own.
//!
//! A net's numbers are the same bits in whatever lane, block or thread it is trained, and with
//! whatever instructions. [`alone`] trains the same net from the same streams through libtorch: the two
//! round differently, and agree within 10⁻⁵ in every validation loss of 100 epochs (a test says so).
//!
//! What the nets are for, and what is written down of them, is left to the caller.

mod alone;
mod logistic;
mod nets;
mod rehearsal;
#[cfg(test)]
mod tests;
mod vector;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

pub use alone::alone;
use nets::{Nets, Points};
pub use rehearsal::Rehearsal;
use vector::{Job, Vector};

use super::order::epoch_order;
use super::{CurvePoint, ErrorCount, Evaluation};
use crate::data::xor::Point;
use crate::models::mlp::{Signs, Weights};
use crate::optim::Adam;
use crate::optim::fused::{AdamScalars, Path};
use crate::sign::Reset;

/// A net to train, and all that distinguishes it.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Its weights before the first step.
    pub start: Weights,
    /// The signs it is held to; a fluid net has none.
    pub hold: Option<Signs>,
    /// What replaces a violator; the same in all held members of an ensemble.
    pub reset: Reset,
    /// The seed of random resets.
    pub reset_seed: u64,
    /// Points to learn from; as many in all members of an ensemble, at least one.
    pub train: &'a [Point],
    /// Points to choose by; as many in all members of an ensemble, at least one.
    pub validation: &'a [Point],
    /// The order of its batches.
    pub orders: &'a Orders,
}

/// How all nets of an ensemble are trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// Points a step; the last batch of an epoch may be smaller.
    pub batch: usize,
    /// Passes over the training points; the nets are evaluated after each.
    pub epochs: u64,
    /// The optimizer.
    pub adam: Adam,
}

/// The places of the training points in the order of every epoch.
///
/// The same orders as [`fit`](super::fit) draws; nets with the same seed and as many points share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders(Vec<Vec<u32>>);

impl Orders {
    /// The orders of `points` points in `epochs` epochs under `seed`.
    pub fn new(points: usize, epochs: u64, seed: u64) -> Self {
        let order =
            |epoch| epoch_order(points, epoch, seed).into_iter().map(|p| p as u32).collect();
        Orders((1..=epochs).map(order).collect())
    }
}

/// What became of a net.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// One evaluation an epoch. It ends early where a loss or weight became non-finite.
    pub curve: Vec<CurvePoint>,
    /// The step of the least validation loss, the first of equal ones.
    pub best_step: u64,
    /// The weights after that step; where the net diverged, those after the last.
    pub weights: Weights,
    /// The weights after the last step.
    pub last: Weights,
    /// Whether a loss or weight became non-finite.
    pub diverged: bool,
}

/// Trains `members` on `threads` threads; none if `stop` was set before they were done.
///
/// # Panics
/// When members differ in width, numbers of points or reset rule, or have no points.
pub fn train(
    members: &[Member],
    course: &Course,
    threads: usize,
    stop: &AtomicBool,
) -> Option<Vec<Trained>> {
    train_on(Path::best(), members, course, threads, stop)
}

/// How many nets are trained side by side by the best instructions this CPU has.
pub fn lanes() -> usize {
    vector::lanes(Path::best())
}

fn train_on(
    path: Path,
    members: &[Member],
    course: &Course,
    threads: usize,
    stop: &AtomicBool,
) -> Option<Vec<Trained>> {
    let shape = |member: &Member| {
        (member.start.width(), member.train.len(), member.validation.len(), member.orders.0.len())
    };
    let first = members.first().map(shape)?;
    assert!(members.iter().all(|member| shape(member) == first), "members of one shape");
    assert!(first.1 > 0 && first.2 > 0 && course.batch > 0, "members with points to learn from");
    assert!(first.3 as u64 >= course.epochs, "an order for every epoch");
    let mut rules = members.iter().filter(|member| member.hold.is_some()).map(|m| m.reset);
    let rule = rules.next();
    assert!(rules.all(|other| Some(other) == rule), "members of one reset rule");
    let train_block = |block: &[Member]| vector::run(path, Training { block, course, stop });
    in_blocks(members, vector::lanes(path), threads, train_block)
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(|blocks| blocks.into_iter().flatten().collect())
}

/// Loss and error of each net on the points beside it.
///
/// # Panics
/// When nets differ in width or points in number.
pub fn evaluate(nets: &[(&Weights, &[Point])]) -> Vec<Evaluation> {
    let path = Path::best();
    let evaluate_block = |block: &[(&Weights, &[Point])]| vector::run(path, Judging { block });
    in_blocks(nets, vector::lanes(path), 1, evaluate_block).into_iter().flatten().collect()
}

/// What `work` makes of each block of `items`, in their order.
fn in_blocks<T: Sync, R: Send>(
    items: &[T],
    size: usize,
    threads: usize,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    let queue = Mutex::new(items.chunks(size).enumerate());
    let next = || queue.lock().expect("no thread panics while it takes a block").next();
    let work_off = || {
        let mut done = Vec::new();
        while let Some((number, block)) = next() {
            done.push((number, work(block)));
        }
        done
    };
    let helpers = threads.min(items.len().div_ceil(size)).saturating_sub(1);
    let mut done = std::thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work_off)).collect();
        let mut done = work_off();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The training of one block.
struct Training<'a> {
    block: &'a [Member<'a>],
    course: &'a Course,
    stop: &'a AtomicBool,
}

impl Job for Training<'_> {
    type Output = Option<Vec<Trained>>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Self::Output {
        let Training { block, course, stop } = self;
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
        for epoch in 0..course.epochs as usize {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            for from in (0..count).step_by(course.batch) {
                let size = course.batch.min(count - from);
                for (lane, member) in block.iter().enumerate() {
                    let places = &member.orders.0[epoch][from..from + size];
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

/// The evaluation of one block.
struct Judging<'a> {
    block: &'a [(&'a Weights, &'a [Point])],
}

impl Job for Judging<'_> {
    type Output = Vec<Evaluation>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Self::Output {
        let (first, count) = (self.block[0].0, self.block[0].1.len());
        let mut nets = Nets::<V>::new(first.width(), 0);
        let mut points = vec![Points::<V>::empty(); count];
        for (lane, (weights, own)) in self.block.iter().enumerate() {
            assert!(weights.width() == first.width() && own.len() == count, "nets of one shape");
            nets.set(lane, weights);
            for (points, point) in points.iter_mut().zip(*own) {
                points.set(lane, point);
            }
        }
        let scores = nets.evaluate(&points);
        let of_lane = |lane: usize| Evaluation {
            loss: scores.losses[lane],
            error: ErrorCount { wrong: scores.wrong[lane], of: scores.of },
        };
        (0..self.block.len()).map(of_lane).collect()
    }
}
