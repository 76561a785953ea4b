//! Runs a plan: what is finished stays, what is not runs, cells side by side.
//!
//! Cells that need few threads run at the same time, each on a thread of its own with its own network
//! and its own streams; which runs where and when does not change a bit. One thread, the caller's,
//! writes the store and reports progress.
//!
//! Two cells of the demo's AlexNet take 4.1 s side by side, and 4.4 s one after the other on two threads
//! (two cores; `demo.yaml` with one arm, two seeds, 16 steps, `train.threads` 1 and 2).

mod firsts;
mod part;
pub(super) mod pool;
mod shard;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::cell::Cell;
use super::plan::Plan;
use super::publish::{Published, publish_last};
use super::savepoint::{Keeping, SetAside};
use super::store::{self, Damage, Record, Store};
use super::study::{Computed, Failure, Ground, Job, News};
use crate::results::Timing;
use crate::train::Progress;
use crate::weights::Checkpoint;
pub use part::{Part, Task, TaskError};
use pool::Message;
pub use shard::Shard;

/// How to run a plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads in all; cells run side by side as far as they go.
    pub threads: usize,
    /// This run's part of the cells.
    pub part: Part,
    /// A cell to compute again although it is finished.
    pub redo: Option<String>,
    /// How long a cell runs until it is kept, to go on from there if it is cut off.
    pub keep_every: Duration,
}

/// What happens while a plan runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// Damaged lines were found and set aside; their cells run again.
    Damaged(&'a [Damage]),
    /// Damaged lines were found in segments that other runs write, and left to them; their cells count as
    /// not finished.
    DamagedElsewhere(&'a [Damage]),
    /// This many cells will run, of so many; the others are finished.
    Start {
        /// Cells that will run.
        left: usize,
        /// Cells of this run's part of the plan.
        cells: usize,
        /// How many of them run at once.
        workers: usize,
    },
    /// Another run trains this source, and this one waits for it.
    Waiting(&'a Cell),
    /// This source came to other weights than those that finished cells took, so they run again.
    OtherWeights(&'a Cell),
    /// A cell moved on.
    Step {
        /// The cell.
        cell: &'a Cell,
        /// Where it is.
        progress: Progress,
    },
    /// A cell goes on from what an earlier run kept of it after this step.
    Resumed {
        /// The cell.
        cell: &'a Cell,
        /// The step; of points, the epoch.
        step: u64,
    },
    /// What was kept of a cell cannot be gone on from, and lies in another file now.
    SetAside {
        /// The file.
        path: &'a Path,
        /// What is wrong with it.
        why: &'a str,
    },
    /// A cell could not be kept after this step; it goes on.
    NotKept {
        /// The cell.
        cell: &'a Cell,
        /// The step; of points, the epoch.
        step: u64,
        /// Why.
        why: &'a str,
    },
    /// A cell came to its end.
    End {
        /// The cell.
        cell: &'a Cell,
        /// What it came to.
        record: &'a Record,
    },
}

/// What a run did.
#[derive(Debug)]
pub struct Summary {
    /// Cells that failed, and why.
    pub failed: Vec<(String, String)>,
    /// Whether a signal ended the run early.
    pub interrupted: bool,
    /// What became of the tables; none after a task, which leaves them to the last job of its submission, and after
    /// a shard beside which others are still at work: the last of them writes them.
    pub published: Option<Published>,
}

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The results cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// `--redo` names no cell of the plan.
    #[error("--redo: `{0}` is no cell of this experiment; `polarity plan FILE --cells` lists them")]
    UnknownCell(String),
    /// `--redo` names a cell of another part.
    #[error("--redo: cell `{id}` is of part {part}; say `--shard {part}`, or leave `--shard` out")]
    OtherPart {
        /// The cell.
        id: String,
        /// The part that has it.
        part: Shard,
    },
    /// A task names what is no cell of the plan.
    #[error(
        "--task {task}: `{id}` is no cell of this experiment: the experiment was edited since it was submitted, or \
         the file was cut off; put the experiment back, or submit it again"
    )]
    UnknownTask {
        /// The file's name and the line.
        task: String,
        /// The first id that is unknown.
        id: String,
    },
}

/// Runs the cells of `plan` that are not finished, and publishes the tables, unless that is left to others; see
/// [`Summary::published`].
///
/// `stop` is looked at after every optimizer step: once it is set, cells under way are given up, what
/// is finished is kept, and the tables are written.
///
/// # Errors
/// When the results folder cannot be written; a cell that fails does not end the run.
pub fn run(
    plan: &mut Plan,
    options: &Options,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Event),
) -> Result<Summary, Error> {
    check_redo(plan, options)?;
    options.part.check(plan)?;
    let store = Store::open(&plan.results(), &options.part.writer(), options.redo.as_deref())?;
    if !store.set_aside().is_empty() {
        report(Event::Damaged(store.set_aside()));
    }
    if !store.records().damaged().is_empty() {
        report(Event::DamagedElsewhere(store.records().damaged()));
    }
    let workers = plan.workers(options.threads);
    let threads = plan.threads(options.threads);
    let ids = options.part.ids(plan);
    let Plan { cells, firsts, ground, .. } = plan;
    let is_ours = |cell: &Cell| ids.as_ref().is_none_or(|ids| ids.contains(&cell.id));
    let part: Vec<&Cell> = cells.iter().filter(|cell| is_ours(cell)).collect();
    let keeping = Keeping { work: store.work_folder(), every: options.keep_every };
    if let Some(id) = &options.redo {
        keeping.remove(id).map_err(kept(&keeping))?;
    }
    let mut session = Session {
        store,
        kept: keeping.cells().into_iter().collect(),
        keeping,
        threads,
        stop,
        report,
        failed: Vec::new(),
        interrupted: false,
        taken: HashMap::new(),
        dead: HashMap::new(),
    };
    let ended = session.run(&mut **ground, firsts, is_ours, &part, workers);
    let Session { store, failed, interrupted, .. } = session;
    let published = match options.part {
        // A run of all cells leaves nothing to others.
        Part::Shard(Shard::WHOLE) => publish_last(plan, store, |_| false),
        Part::Shard(_) => publish_last(plan, store, Shard::is_writer),
        Part::Task(_) => Ok(None),
    };
    // After the tables: others may have left them to this run.
    ended?;
    Ok(Summary { failed, interrupted, published: published? })
}

/// Whether the cell that is to be computed again is one of this run.
fn check_redo(plan: &Plan, options: &Options) -> Result<(), Error> {
    let Some(id) = &options.redo else { return Ok(()) };
    if plan.firsts.iter().any(|cell| cell.id == *id) {
        return Ok(());
    }
    let Part::Shard(shard) = options.part else { return Ok(()) };
    match shard.with(plan, id) {
        None => Err(Error::UnknownCell(id.clone())),
        Some(part) if part == shard => Ok(()),
        Some(part) => Err(Error::OtherPart { id: id.clone(), part }),
    }
}

/// What became of a source.
enum First {
    /// Its weights, and their digest.
    Ready(Checkpoint, String),
    /// It has none: why.
    Dead(String),
}

/// A run under way.
struct Session<'a, 'r> {
    store: Store,
    keeping: Keeping,
    /// Cells under which the state of a job is kept.
    kept: HashSet<String>,
    /// For sources, which may take another number of them than the other cells.
    threads: usize,
    stop: &'a AtomicBool,
    report: &'r mut dyn FnMut(Event),
    failed: Vec<(String, String)>,
    interrupted: bool,
    /// The digest of the weights that cells take from each source.
    taken: HashMap<String, String>,
    /// Why a source has no weights.
    dead: HashMap<String, String>,
}

impl Session<'_, '_> {
    /// Runs what of `part` is not finished, after the `firsts` that it needs and those that are of it. Cells of a
    /// source that another run is at come last.
    fn run(
        &mut self,
        ground: &mut dyn Ground,
        firsts: &[Cell],
        is_ours: impl Fn(&Cell) -> bool,
        part: &[&Cell],
        workers: usize,
    ) -> Result<(), Error> {
        for first in firsts {
            if let Some(weights) = self.store.records().in_use(&first.id) {
                self.taken.insert(first.id.clone(), weights.to_owned());
            }
        }
        let todo = self.begin(ground, part, workers);
        let is_wanted = |first: &&Cell| {
            let is_needed = todo.iter().any(|cell| cell.spec.source() == Some(&first.id));
            is_needed || is_ours(first) && self.store.records().finished(first).is_none()
        };
        let wanted: Vec<&Cell> = firsts.iter().filter(is_wanted).collect();
        let busy = self.take_from(ground, &wanted, false)?;
        // A source may have come to other weights than those that finished cells took.
        let todo = match self.unfinished(part) {
            more if more.len() > todo.len() => self.begin(ground, part, workers),
            todo => todo,
        };
        let of_busy = |cell: &&Cell| busy.iter().any(|first| cell.spec.source() == Some(&first.id));
        let (later, now): (Vec<&Cell>, Vec<&Cell>) = todo.into_iter().partition(of_busy);
        self.work_off(ground, now, workers)?;
        if !busy.is_empty() && !self.is_stopped() {
            self.take_from(ground, &busy, true)?;
            self.work_off(ground, later, workers)?;
        }
        self.interrupted |= self.is_stopped() && !self.unfinished(part).is_empty();
        Ok(self.store.sync()?)
    }

    /// Runs `cells`, but for those whose source has no weights: they fail.
    fn work_off(
        &mut self,
        ground: &mut dyn Ground,
        cells: Vec<&Cell>,
        workers: usize,
    ) -> Result<(), Error> {
        let (ready, orphans): (Vec<&Cell>, Vec<&Cell>) =
            cells.into_iter().partition(|cell| self.reason_against(cell).is_none());
        for cell in orphans {
            let reason = self.reason_against(cell).cloned().unwrap_or_default();
            self.end(cell, Record::failed(cell, reason, 0.0))?;
        }
        if self.is_stopped() {
            return Ok(());
        }
        ground.prepare(&ready);
        let jobs = ground.jobs(&ready);
        let workers = workers.min(jobs.len().max(1));
        self.work(ground, jobs, workers)
    }

    /// The cells of `part` that are to run, said.
    fn begin<'c>(
        &mut self,
        ground: &dyn Ground,
        part: &[&'c Cell],
        workers: usize,
    ) -> Vec<&'c Cell> {
        let todo = self.unfinished(part);
        let workers = workers.min(ground.jobs(&todo).len().max(1));
        (self.report)(Event::Start { left: todo.len(), cells: part.len(), workers });
        todo
    }

    fn unfinished<'c>(&self, cells: &[&'c Cell]) -> Vec<&'c Cell> {
        let is_finished = |cell: &Cell| {
            let ended = self.store.records().ended_with(cell, self.weights_for(cell));
            ended.is_some_and(Record::is_finished)
        };
        cells.iter().copied().filter(|cell| !is_finished(cell)).collect()
    }

    /// The weights that `cell` takes from a source trained here.
    fn weights_for(&self, cell: &Cell) -> Option<&str> {
        self.taken.get(cell.spec.source()?).map(String::as_str)
    }

    /// Why the source of `cell` cannot be taken from.
    fn reason_against(&self, cell: &Cell) -> Option<&String> {
        self.dead.get(cell.spec.source()?)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Lets the cells that need one of the sources `firsts` take from it; gives back those that another run is
    /// at, unless this one is to wait for them.
    fn take_from<'c>(
        &mut self,
        ground: &mut dyn Ground,
        firsts: &[&'c Cell],
        waits: bool,
    ) -> Result<Vec<&'c Cell>, Error> {
        let (there, busy) = self.sources(ground, firsts, waits)?;
        for (cell, first) in there {
            match first {
                First::Dead(reason) => {
                    self.dead.insert(cell.id.clone(), reason);
                }
                First::Ready(weights, digest) => {
                    let before = self.taken.insert(cell.id.clone(), digest.clone());
                    if before.is_some_and(|before| before != digest) {
                        (self.report)(Event::OtherWeights(cell));
                    }
                    if let Err(failure) = ground.learn(cell, weights) {
                        self.dead.insert(cell.id.clone(), failure.to_string());
                    }
                }
            }
        }
        Ok(busy)
    }

    /// Runs `jobs` and keeps what they come to.
    fn work(&mut self, ground: &dyn Ground, jobs: Vec<Job>, workers: usize) -> Result<(), Error> {
        self.pool(ground, jobs, workers, |session, cell, result, seconds| {
            let Some((record, _)) = record(cell, result, seconds) else {
                session.interrupted = true;
                return Ok(());
            };
            let weights = session.weights_for(cell).filter(|_| record.is_finished());
            let weights = weights.map(str::to_owned);
            session.end(cell, Record { weights, ..record })
        })
    }

    /// Runs `jobs` on `workers` threads; `end` hears how each cell ended.
    fn pool<'c>(
        &mut self,
        ground: &dyn Ground,
        jobs: Vec<Job<'c>>,
        workers: usize,
        mut end: impl FnMut(&mut Self, &'c Cell, Result<Computed, Failure>, f64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(first) = jobs.first().and_then(|job| job.first()) else { return Ok(()) };
        tch::set_num_threads(first.spec.train.threads as i32);
        let keeping = self.keeping.clone();
        pool::work(ground, jobs, workers, Some(&keeping), self.stop, |message| match message {
            Message::News(cell, news) => {
                self.hear(cell, &news);
                Ok(())
            }
            Message::End(cell, result, seconds) => end(self, cell, *result, seconds),
        })
    }

    fn hear(&mut self, cell: &Cell, news: &News) {
        (self.report)(match news {
            News::Step(progress) => Event::Step { cell, progress: *progress },
            News::Resumed(step) => Event::Resumed { cell, step: *step },
            News::SetAside(SetAside { path, why }) => Event::SetAside { path, why },
            News::NotKept(step, why) => Event::NotKept { cell, step: *step, why },
            News::Kept => {
                self.kept.insert(cell.id.clone());
                return;
            }
        });
    }

    /// Adds the end of `cell` to the store, and says it once it is there. What was kept of it goes once its end is on the disk.
    fn end(&mut self, cell: &Cell, record: Record) -> Result<(), Error> {
        let is_finished = record.is_finished();
        if let Some(reason) = &record.reason {
            self.failed.push((cell.id.clone(), reason.clone()));
        }
        self.store.append(cell, record.clone())?;
        (self.report)(Event::End { cell, record: &record });
        if is_finished && self.kept.remove(&cell.id) {
            self.store.sync()?;
            self.keeping.remove(&cell.id).map_err(kept(&self.keeping))?;
        }
        Ok(())
    }
}

/// The error of a folder in which jobs are kept.
fn kept(keeping: &Keeping) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = keeping.work.clone();
    move |source| Error::Store(store::Error::Io { path, source })
}

/// What a cell came to, and the weights of one that others take from; none if it was stopped.
fn record(
    cell: &Cell,
    result: Result<Computed, Failure>,
    seconds: f64,
) -> Option<(Record, Option<Checkpoint>)> {
    match result {
        Err(failure) if failure.is_stop() => None,
        Err(failure) => Some((Record::failed(cell, failure.to_string(), seconds), None)),
        Ok(Computed { outcome, curve, seconds: split, weights }) => {
            let timing = Timing { total: seconds, split };
            Some((Record::new(cell, outcome, curve, timing), weights))
        }
    }
}
