//! Runs a plan: what is finished stays, what is not runs, cells side by side.
//!
//! Cells that need few threads run at the same time, each on a thread of its own with its own network
//! and its own streams; which runs where and when does not change a bit. One thread, the caller's,
//! writes the store and reports progress.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use super::cell::Spec;
use super::compute::{self, Computed, Knowledge};
use super::material::Material;
use super::plan::{Cell, Plan, PlannedSource};
use super::store::{self, Damage, Record, Store, Timing};
use super::table::{Outcome, Status};
use crate::files;
use crate::train::{self, Progress, Seconds};
use crate::weights::{self, Checkpoint};

/// How to run a plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads in all; cells run side by side as far as they go.
    pub threads: usize,
    /// This run's part of the cells, `(index, parts)`; the whole is `(0, 1)`.
    pub shard: (usize, usize),
    /// A cell to compute again although it is finished.
    pub redo: Option<String>,
}

/// What happens while a plan runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// Damaged lines were found; their cells run again.
    Damaged(&'a [Damage]),
    /// This many cells will run, of so many; the others are finished.
    Start {
        /// Cells that will run.
        left: usize,
        /// Cells of this run's part of the plan.
        cells: usize,
        /// How many of them run at once.
        workers: usize,
    },
    /// A cell moved on.
    Step {
        /// The cell.
        cell: &'a Cell,
        /// Where it is.
        progress: Progress,
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
#[derive(Debug, Default)]
pub struct Summary {
    /// Cells computed now.
    pub computed: usize,
    /// Cells that had been finished before.
    pub finished_before: usize,
    /// Cells that failed, and why.
    pub failed: Vec<(String, String)>,
    /// Whether a signal ended the run early.
    pub interrupted: bool,
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
    /// The trained source could not be written or read back.
    #[error("{path}: {what}")]
    Source {
        /// The file of its weights.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// A message from a worker.
enum Message<'a> {
    Step(&'a Cell, Progress),
    End(&'a Cell, Box<Result<Computed, compute::Error>>, f64),
}

/// Runs the cells of `plan` that are not finished, and rewrites the tables.
///
/// `stop` is looked at after every optimizer step: once it is set, cells under way are given up, what
/// is finished is kept, and the tables are written.
///
/// # Errors
/// When the results folder cannot be written; a cell that fails does not end the run.
pub fn run(
    plan: &Plan,
    options: &Options,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Event),
) -> Result<Summary, Error> {
    if let Some(id) = &options.redo
        && !plan.all_cells().any(|cell| cell.id == *id)
    {
        return Err(Error::UnknownCell(id.clone()));
    }
    let (index, parts) = options.shard;
    let writer = if parts == 1 { "main".into() } else { format!("shard-{index}-of-{parts}") };
    let mut store = Store::open(&plan.results(), &writer, options.redo.as_deref())?;
    let damaged = &store.records().damaged;
    if !damaged.is_empty() {
        report(Event::Damaged(damaged));
    }
    let part: Vec<&Cell> = plan.cells.iter().skip(index).step_by(parts).collect();
    let todo: Vec<&Cell> =
        part.iter().copied().filter(|cell| store.records().finished(&cell.id).is_none()).collect();
    let workers = plan.workers(options.threads).min(todo.len().max(1));
    let mut summary = Summary { finished_before: part.len() - todo.len(), ..Summary::default() };
    report(Event::Start { left: todo.len(), cells: part.len(), workers });

    let trained;
    let source = match &plan.source {
        PlannedSource::None => None,
        PlannedSource::Ready(knowledge) => Some(&**knowledge),
        PlannedSource::Train(cell, material) => {
            let needed = todo.iter().any(|cell| takes_from_source(&cell.spec))
                || store.records().finished(&cell.id).is_none();
            trained = match needed {
                true => train_source(plan, cell, material, &mut store, stop, report, &mut summary)?,
                false => None,
            };
            trained.as_ref()
        }
    };
    if !summary.interrupted && summary.failed.is_empty() {
        let pool = Pool { plan, material: &plan.material, source, stop };
        pool.run(&todo, workers, &mut store, report, &mut summary)?;
    }
    let unfinished = |cell: &&Cell| store.records().finished(&cell.id).is_none();
    summary.interrupted |= stop.load(Ordering::Relaxed) && todo.iter().any(unfinished);
    store.write_tables(plan)?;
    Ok(summary)
}

fn takes_from_source(spec: &Spec) -> bool {
    spec.arm.as_ref().is_some_and(|arm| arm.source.is_some())
}

/// The source that the experiment trains first: from its file if that is whole, else trained now.
fn train_source(
    plan: &Plan,
    cell: &Cell,
    material: &Material,
    store: &mut Store,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Event),
    summary: &mut Summary,
) -> Result<Option<Knowledge>, Error> {
    let path = store.work_file(&format!("source-{}.safetensors", cell.id))?;
    let wrong = |what: String| Error::Source { path: path.clone(), what };
    let provenance = format!("cell {} of experiment {}", cell.id, plan.experiment.name);
    let finished = store.records().finished(&cell.id).is_some();
    if finished && let Ok(weights) = weights::load(&path) {
        return Knowledge::of_weights(weights, &provenance)
            .map(Some)
            .map_err(|error| wrong(error.to_string()));
    }
    let pool = Pool { plan, material, source: None, stop };
    let mut keep = None;
    pool.run_keeping(&[cell], 1, store, report, summary, &mut |computed| {
        keep = Some(checkpoint(computed));
    })?;
    let Some(weights) = keep else { return Ok(None) };
    let weights = weights.map_err(|error| wrong(error.to_string()))?;
    files::write_atomically(&path, &weights::to_safetensors(&weights))
        .map_err(|error| wrong(error.to_string()))?;
    Knowledge::of_weights(weights, &provenance).map(Some).map_err(|error| wrong(error.to_string()))
}

fn checkpoint(computed: &Computed) -> Result<Checkpoint, tch::TchError> {
    let variables = computed.variables.variables();
    let arrays = variables.into_iter().map(|(name, tensor)| {
        let shape = tensor.size().iter().map(|&side| side as usize).collect();
        let values = Vec::<f32>::try_from(tensor.f_flatten(0, -1)?)?;
        let array = weights::Array::new(shape, values).expect("a tensor's values fill its shape");
        Ok((name, array))
    });
    arrays.collect()
}

/// What the workers share.
struct Pool<'a> {
    plan: &'a Plan,
    material: &'a Material,
    source: Option<&'a Knowledge>,
    stop: &'a AtomicBool,
}

impl Pool<'_> {
    fn run(
        &self,
        cells: &[&Cell],
        workers: usize,
        store: &mut Store,
        report: &mut dyn FnMut(Event),
        summary: &mut Summary,
    ) -> Result<(), Error> {
        self.run_keeping(cells, workers, store, report, summary, &mut |_| {})
    }

    /// Runs `cells` on `workers` threads; `keep` sees what each computed before it is dropped.
    fn run_keeping(
        &self,
        cells: &[&Cell],
        workers: usize,
        store: &mut Store,
        report: &mut dyn FnMut(Event),
        summary: &mut Summary,
        keep: &mut dyn FnMut(&Computed),
    ) -> Result<(), Error> {
        let Some(first) = cells.first() else { return Ok(()) };
        tch::set_num_threads(first.spec.train.threads as i32);
        let queue = Mutex::new(cells.iter().copied().collect::<VecDeque<_>>());
        let give_up = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (sender, messages) = mpsc::channel();
            for _ in 0..workers {
                let (sender, queue, give_up) = (sender.clone(), &queue, &give_up);
                scope.spawn(move || self.work(queue, give_up, &sender));
            }
            drop(sender);
            for message in messages {
                let ended = match message {
                    Message::Step(cell, progress) => {
                        report(Event::Step { cell, progress });
                        Ok(())
                    }
                    Message::End(cell, result, seconds) => {
                        self.end(cell, *result, seconds, store, report, summary, keep)
                    }
                };
                if let Err(error) = ended {
                    give_up.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(())
        })
    }

    fn work<'a>(
        &self,
        queue: &Mutex<VecDeque<&'a Cell>>,
        give_up: &AtomicBool,
        sender: &Sender<Message<'a>>,
    ) {
        let next = || queue.lock().expect("no worker panics while it takes a cell").pop_front();
        let stopped = || self.stop.load(Ordering::Relaxed) || give_up.load(Ordering::Relaxed);
        while !stopped()
            && let Some(cell) = next()
        {
            let start = Instant::now();
            let computed = compute::cell(
                &cell.spec,
                self.material,
                self.source,
                self.plan.device,
                &mut |progress| {
                    // The receiver is gone only when the run ends, and then the answer is the same.
                    let heard = sender.send(Message::Step(cell, progress)).is_ok();
                    if heard && !stopped() {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                },
            );
            let seconds = start.elapsed().as_secs_f64();
            if sender.send(Message::End(cell, Box::new(computed), seconds)).is_err() {
                return;
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn end(
        &self,
        cell: &Cell,
        result: Result<Computed, compute::Error>,
        seconds: f64,
        store: &mut Store,
        report: &mut dyn FnMut(Event),
        summary: &mut Summary,
        keep: &mut dyn FnMut(&Computed),
    ) -> Result<(), Error> {
        let record = match result {
            Err(compute::Error::Train(train::Error::Stopped)) => {
                summary.interrupted = true;
                return Ok(());
            }
            Err(error) => {
                summary.failed.push((cell.id.clone(), error.to_string()));
                failure(cell, error.to_string(), seconds)
            }
            Ok(computed) => {
                keep(&computed);
                summary.computed += 1;
                let Computed { outcome, curve, seconds: split, .. } = computed;
                let timing = Timing { total: seconds, split };
                let (id, spec) = (cell.id.clone(), cell.spec.clone());
                Record { id, spec, outcome, curve, reason: None, timing }
            }
        };
        report(Event::End { cell, record: &record });
        Ok(store.append(record)?)
    }
}

fn failure(cell: &Cell, reason: String, seconds: f64) -> Record {
    Record {
        id: cell.id.clone(),
        spec: cell.spec.clone(),
        outcome: Outcome {
            status: Status::Failed,
            test_error: None,
            validation_error: None,
            train_error: None,
            best_step: None,
            steps: 0,
            violations_after: 0,
            resets: 0,
            sign_flips: 0,
        },
        curve: Vec::new(),
        reason: Some(reason),
        timing: Timing { total: seconds, split: Seconds::default() },
    }
}
