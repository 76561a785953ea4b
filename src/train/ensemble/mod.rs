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
mod block;
mod logistic;
mod nets;
mod rehearsal;
#[cfg(test)]
mod tests;
mod vector;

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

pub use alone::alone;
use block::Training;
pub use block::{Paused, Underway, Watch};
use nets::{Nets, Points};
pub use rehearsal::Rehearsal;
pub use vector::MOST_LANES;
use vector::{Job, Vector};

use super::order::epoch_order;
use super::{CurvePoint, ErrorCount, Evaluation};
use crate::data::xor::Point;
use crate::models::mlp::{Signs, Weights};
use crate::optim::fused::Path;
use crate::optim::{Adam, Rule};
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
/// When members differ in width, numbers of points or reset rule, or have no points, or when a
/// hyperparameter of the optimizer is out of its range.
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
    check(members, course);
    let train_block = |block: &[Member]| {
        let watch = &mut |_: u64, _: &dyn Fn() -> Paused| match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        vector::run(path, Training { block, course, from: None, watch })
    };
    in_blocks(members, vector::lanes(path), threads, train_block)
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(|blocks| blocks.into_iter().flatten().collect())
}

/// # Panics
/// As [`train`].
fn check(members: &[Member], course: &Course) {
    let shape = |member: &Member| {
        (member.start.width(), member.train.len(), member.validation.len(), member.orders.0.len())
    };
    let Some(first) = members.first().map(shape) else { return };
    assert!(members.iter().all(|member| shape(member) == first), "members of one shape");
    assert!(first.1 > 0 && first.2 > 0 && course.batch > 0, "members with points to learn from");
    assert!(first.3 as u64 >= course.epochs, "an order for every epoch");
    if let Err(value) = course.adam.check() {
        panic!("{value}");
    }
    let mut rules = members.iter().filter(|member| member.hold.is_some()).map(|m| m.reset);
    let rule = rules.next();
    assert!(rules.all(|other| Some(other) == rule), "members of one reset rule");
}

/// Trains `members`, at most [`lanes`] of them, on this thread: from their starts on, or from where they
/// were [`Paused`], to the same bits. `watch` is called before every epoch with its number, from 0 on, and
/// with what gives the state there; none is given back if it breaks.
///
/// # Panics
/// As [`train`], and when there are no members, too many, or others than were paused.
pub fn train_block(
    members: &[Member],
    course: &Course,
    from: Option<&Paused>,
    watch: Watch,
) -> Option<Vec<Trained>> {
    check(members, course);
    assert!((1..=lanes()).contains(&members.len()), "as many members as there are lanes");
    let of_these = |paused: &Paused| {
        let widths = paused.nets.iter().map(|net| net.trained.last.width());
        widths.eq(members.iter().map(|member| member.start.width()))
    };
    assert!(from.is_none_or(of_these), "paused nets of these members");
    vector::run(Path::best(), Training { block: members, course, from, watch })
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
