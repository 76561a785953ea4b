//! Published tables, recomputed: some finished cells are trained again and held against their rows.
//!
//! What is needed is the experiment file and the three files that are published, `trials.csv`,
//! `curves.csv` and `manifest.json`. No segment is read and nothing is written: the weights of sources that
//! chosen cells take from are trained again too, and stay in memory.
//!
//! Which cells are chosen is a function of the seed and the table alone, so two people who name the same
//! seed check the same cells.

mod difference;
mod stated;

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cell::Cell;
use super::estimate::Estimate;
use super::plan::Plan;
use super::run::pool::{self, Message};
use super::study::{Computed, Failure, News};
use crate::results::table::{CurvePoint, CurveRow, Status, Trial};
use crate::train::Progress;
use difference::differences;
pub use difference::{Difference, TOLERANCE};
pub use stated::{Error, Stated};

/// What to recompute, and how.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many finished cells are chosen, where there are so many.
    pub cells: usize,
    /// The seed that chooses them.
    pub seed: u64,
    /// Threads in all; cells are computed side by side as far as they go.
    pub threads: usize,
}

/// What happens meanwhile.
#[derive(Debug)]
pub enum Event<'a> {
    /// Sources have to be trained before the cells.
    Sources {
        /// How many.
        count: usize,
        /// The seconds that they will take one after the other, where a few steps could be timed.
        seconds: Option<f64>,
    },
    /// The chosen cells are computed now, of so many finished ones.
    Cells {
        /// How many were chosen.
        chosen: usize,
        /// How many there are.
        finished: usize,
    },
    /// A cell moved on.
    Step {
        /// The cell.
        cell: &'a Cell,
        /// Where it is.
        progress: Progress,
    },
    /// A cell came to its end.
    End(&'a Cell),
}

/// A row that was recomputed.
#[derive(Debug)]
pub struct Check {
    /// The row as it is published.
    pub published: Trial,
    /// The row as it came out; none where it could not be computed.
    pub computed: Option<Trial>,
    /// Where the two differ, their curves included.
    pub differences: Vec<Difference>,
    /// What follows.
    pub verdict: Verdict,
}

/// What the comparison of a row came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every value of the row and of its curve is the same, to the last bit.
    Identical,
    /// Numbers differ by no more than rounding may, where it may.
    WithinTolerance,
    /// Numbers differ.
    Different,
    /// There is nothing to compare: why.
    NotComputed(String),
}

impl Verdict {
    /// Whether the row stands.
    pub fn is_good(&self) -> bool {
        matches!(self, Verdict::Identical | Verdict::WithinTolerance)
    }
}

/// What some cells came to.
type Outcomes = HashMap<String, Result<Computed, Failure>>;

/// Computes cells of `plan` that `options` chooses among the rows of `stated`, and compares them; none if
/// `stop` was set before that was done.
pub fn verify(
    plan: &mut Plan,
    stated: &Stated,
    options: &Options,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Event),
) -> Option<Vec<Check>> {
    let chosen = stated.chosen(options);
    let ids: BTreeSet<&str> = chosen.iter().map(|row| row.key.id.as_str()).collect();
    let is_chosen = |cell: &&Cell| ids.contains(cell.id.as_str());
    let needed: BTreeSet<String> = plan
        .cells
        .iter()
        .filter(is_chosen)
        .filter_map(|cell| cell.spec.source())
        .map(str::to_owned)
        .collect();
    let is_wanted = |cell: &&Cell| is_chosen(cell) || needed.contains(&cell.id);
    let sources: Vec<Cell> = plan.firsts.iter().filter(is_wanted).cloned().collect();
    let cells: Vec<Cell> = plan.cells.iter().filter(is_chosen).cloned().collect();
    if !sources.is_empty() {
        let all: Vec<&Cell> = sources.iter().collect();
        let estimate = Estimate::rehearsed(plan, &all).ok();
        let seconds = estimate.map(|(_, shapes)| shapes.iter().map(|shape| shape.total).sum());
        report(Event::Sources { count: sources.len(), seconds });
    }
    let mut outcomes = computed(plan, &sources, options, stop, report);
    for source in &sources {
        learn(plan, source, &mut outcomes);
    }
    report(Event::Cells { chosen: chosen.len(), finished: stated.finished() });
    outcomes.extend(computed(plan, &cells, options, stop, report));
    if stop.load(Ordering::Relaxed) {
        return None;
    }
    let places: HashMap<&str, &Cell> =
        plan.all_cells().map(|cell| (cell.id.as_str(), cell)).collect();
    let check = |row: &&Trial| {
        let outcome = outcomes.remove(&row.key.id);
        let cell = places[row.key.id.as_str()];
        let takes_from_training = cell.spec.source().is_some_and(|id| places.contains_key(id));
        check(stated, row, cell, outcome, takes_from_training)
    };
    Some(chosen.iter().map(check).collect())
}

/// Computes `cells`, each by itself, which changes no bit.
fn computed(
    plan: &mut Plan,
    cells: &[Cell],
    options: &Options,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Event),
) -> Outcomes {
    let Some(first) = cells.first() else { return Outcomes::new() };
    let threads = first.spec.train.threads;
    let workers = (plan.threads(options.threads) / threads).clamp(1, cells.len());
    let cells: Vec<&Cell> = cells.iter().collect();
    plan.ground.prepare(&cells);
    let jobs = cells.iter().map(|cell| vec![*cell]).collect();
    tch::set_num_threads(threads as i32);
    let mut outcomes = Outcomes::new();
    let Ok(()) = pool::work(&*plan.ground, jobs, workers, None, stop, |message| {
        match message {
            Message::News(cell, News::Step(progress)) => report(Event::Step { cell, progress }),
            Message::News(..) => {}
            Message::End(cell, outcome, _) => {
                report(Event::End(cell));
                outcomes.insert(cell.id.clone(), *outcome);
            }
        }
        Ok::<(), Infallible>(())
    });
    outcomes
}

/// Lets cells take from the source that was trained again, if it came to something.
fn learn(plan: &mut Plan, source: &Cell, outcomes: &mut Outcomes) {
    let Some(Ok(computed)) = outcomes.get_mut(&source.id) else { return };
    let is_done = computed.outcome.status == Status::Done;
    let Some(weights) = computed.weights.take().filter(|_| is_done) else { return };
    // A source that is none leaves its cells without one, which they say.
    if let Err(failure) = plan.ground.learn(source, weights) {
        outcomes.insert(source.id.clone(), Err(failure));
    }
}

/// Holds what `cell` came to against its `row`.
fn check(
    stated: &Stated,
    row: &Trial,
    cell: &Cell,
    outcome: Option<Result<Computed, Failure>>,
    takes_from_training: bool,
) -> Check {
    let published = row.clone();
    let Computed { outcome, curve, .. } = match outcome {
        Some(Ok(computed)) => computed,
        other => {
            let why = match other {
                Some(Err(failure)) => failure.to_string(),
                _ => "it was not reached".to_owned(),
            };
            let verdict = Verdict::NotComputed(why);
            return Check { published, computed: None, differences: Vec::new(), verdict };
        }
    };
    let computed = Trial { key: cell.key.clone(), outcome, reason: None };
    let rows = |curve: &[CurvePoint]| -> Vec<CurveRow> {
        let row = |point: &CurvePoint| CurveRow { key: cell.key.clone(), point: point.clone() };
        curve.iter().map(row).collect()
    };
    let curves = [rows(stated.curve(&row.key.id)), rows(&curve)];
    let differences = differences([&published, &computed], curves, takes_from_training);
    let verdict = match differences.is_empty() {
        true => Verdict::Identical,
        false if stated.may_differ() && differences.iter().all(Difference::is_small) => {
            Verdict::WithinTolerance
        }
        false => Verdict::Different,
    };
    Check { published, computed: Some(computed), differences, verdict }
}
