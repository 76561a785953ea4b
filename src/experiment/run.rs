//! Runs a plan: what is finished stays, what is not runs, cells side by side.
//!
//! Cells that need few threads run at the same time, each on a thread of its own with its own network
//! and its own streams; which runs where and when does not change a bit. One thread, the caller's,
//! writes the store and reports progress.
//!
//! Two cells of the demo's AlexNet take 4.1 s side by side, and 4.4 s one after the other on two threads
//! (two cores; `demo.yaml` with one arm, two seeds, 16 steps, `train.threads` 1 and 2).

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Instant;

use tch::{TchError, nn};

use super::cell::Spec;
use super::compute::{self, Computed, Knowledge};
use super::material::Material;
use super::plan::{Cell, Plan};
use super::sources::SourceState;
use super::store::{self, Damage, Record, Store};
use super::xor::{self, Lessons};
use crate::files;
use crate::results::Timing;
use crate::results::table::{Outcome, Status};
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
    /// Damaged lines were found and set aside; their cells run again.
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
    let store = Store::open(&plan.results(), &writer, options.redo.as_deref())?;
    if !store.set_aside().is_empty() {
        report(Event::Damaged(store.set_aside()));
    }
    let part: Vec<&Cell> = plan.cells.iter().skip(index).step_by(parts).collect();
    let unfinished = |store: &Store, cell: &Cell| store.records().finished(&cell.id).is_none();
    let todo: Vec<&Cell> = part.iter().copied().filter(|cell| unfinished(&store, cell)).collect();
    let jobs = jobs(plan, &todo);
    let workers = plan.workers(options.threads).min(jobs.len().max(1));
    report(Event::Start { left: todo.len(), cells: part.len(), workers });

    let finished_before = part.len() - todo.len();
    let summary = Summary { finished_before, ..Summary::default() };
    let mut session = Session { plan, store, stop, report, summary };
    let trained = session.trained_sources(&todo)?;
    if !session.summary.interrupted && session.summary.failed.is_empty() {
        let ready = plan.sources.values().filter_map(|source| match &source.state {
            SourceState::Ready(knowledge) => Some((source.spec.digest.as_str(), &**knowledge)),
            SourceState::Train(..) => None,
        });
        let trained = trained.iter().map(|(digest, knowledge)| (*digest, knowledge));
        let ground = match &plan.material {
            Some(material) => Ground::Images(material, ready.chain(trained).collect()),
            None => Ground::Points(Lessons::new(todo.iter().copied())),
        };
        let shared = Shared { plan, ground, stop };
        session.run(&shared, jobs, workers, &mut |_| {})?;
    }
    let Session { mut store, mut summary, .. } = session;
    summary.interrupted |=
        stop.load(Ordering::Relaxed) && todo.iter().any(|cell| unfinished(&store, cell));
    store.write_tables(plan)?;
    Ok(summary)
}

/// The cells of `todo`, those that are computed together in one job.
fn jobs<'a>(plan: &Plan, todo: &[&'a Cell]) -> Vec<Vec<&'a Cell>> {
    match plan.material {
        Some(_) => todo.iter().map(|cell| vec![*cell]).collect(),
        None => xor::groups(todo),
    }
}

/// What the calling thread holds while cells run.
struct Session<'a, 'r> {
    plan: &'a Plan,
    store: Store,
    stop: &'a AtomicBool,
    report: &'r mut dyn FnMut(Event),
    summary: Summary,
}

/// What the workers share.
struct Shared<'a> {
    plan: &'a Plan,
    ground: Ground<'a>,
    stop: &'a AtomicBool,
}

/// What cells learn from.
enum Ground<'a> {
    /// Images, and the sources that some arms take from, by digest.
    Images(&'a Material, HashMap<&'a str, &'a Knowledge>),
    /// The points of XOR-5D.
    Points(Lessons),
}

impl<'a> Session<'a, '_> {
    /// The sources that the plan trains first, by digest, until one fails or the run is stopped.
    fn trained_sources(&mut self, todo: &[&Cell]) -> Result<Vec<(&'a str, Knowledge)>, Error> {
        let mut trained = Vec::new();
        for source in self.plan.sources.values() {
            let SourceState::Train(cell, material) = &source.state else { continue };
            if let Some(knowledge) = self.trained_source(cell, material, todo)? {
                trained.push((source.spec.digest.as_str(), knowledge));
            }
            if self.summary.interrupted || !self.summary.failed.is_empty() {
                break;
            }
        }
        Ok(trained)
    }

    /// What `cell` learns from `material`, if a cell of `todo` needs it or it is not finished: from its
    /// file if that is whole, else trained now.
    fn trained_source(
        &mut self,
        cell: &Cell,
        material: &Material,
        todo: &[&Cell],
    ) -> Result<Option<Knowledge>, Error> {
        let is_finished = self.store.records().finished(&cell.id).is_some();
        if is_finished && !todo.iter().any(|other| source_of(&other.spec) == Some(&cell.id)) {
            return Ok(None);
        }
        let path = self.store.work_file(&format!("source-{}.safetensors", cell.id))?;
        let wrong = |what: String| Error::Source { path: path.clone(), what };
        let weights = match weights::load(&path) {
            Ok(weights) if is_finished => weights,
            _ => {
                let Some(weights) = self.train_source(cell, material)? else { return Ok(None) };
                let weights = weights.map_err(|error| wrong(error.to_string()))?;
                files::write_atomically(&path, &weights::to_safetensors(&weights))
                    .map_err(|error| wrong(error.to_string()))?;
                weights
            }
        };
        let provenance = format!("cell {} of experiment {}", cell.id, self.plan.experiment.name);
        let knowledge = Knowledge::of_weights(weights, &provenance);
        knowledge.map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// The weights of the source, trained now; none if that failed or was stopped.
    fn train_source(
        &mut self,
        cell: &Cell,
        material: &Material,
    ) -> Result<Option<Result<Checkpoint, TchError>>, Error> {
        let ground = Ground::Images(material, HashMap::new());
        let shared = Shared { plan: self.plan, ground, stop: self.stop };
        let mut weights = None;
        let keep = &mut |computed: &Computed| {
            weights = computed.variables.as_ref().map(checkpoint);
        };
        self.run(&shared, vec![vec![cell]], 1, keep)?;
        Ok(weights)
    }

    /// Runs `jobs` on `workers` threads; `keep` sees what each cell computed before it is dropped.
    fn run(
        &mut self,
        shared: &Shared,
        jobs: Vec<Vec<&Cell>>,
        workers: usize,
        keep: &mut dyn FnMut(&Computed),
    ) -> Result<(), Error> {
        let Some(first) = jobs.first().and_then(|job| job.first()) else { return Ok(()) };
        tch::set_num_threads(first.spec.train.threads as i32);
        let queue = Mutex::new(VecDeque::from(jobs));
        let give_up = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (sender, messages) = mpsc::channel();
            for _ in 0..workers {
                let (sender, queue, give_up) = (sender.clone(), &queue, &give_up);
                scope.spawn(move || shared.work(queue, give_up, &sender));
            }
            drop(sender);
            for message in messages {
                let heard = match message {
                    Message::Step(cell, progress) => {
                        (self.report)(Event::Step { cell, progress });
                        Ok(())
                    }
                    Message::End(cell, result, seconds) => self.end(cell, *result, seconds, keep),
                };
                if let Err(error) = heard {
                    give_up.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(())
        })
    }

    fn end(
        &mut self,
        cell: &Cell,
        result: Result<Computed, compute::Error>,
        seconds: f64,
        keep: &mut dyn FnMut(&Computed),
    ) -> Result<(), Error> {
        let record = match result {
            Err(compute::Error::Train(train::Error::Stopped)) => {
                self.summary.interrupted = true;
                return Ok(());
            }
            Err(error) => {
                self.summary.failed.push((cell.id.clone(), error.to_string()));
                failure(cell, error.to_string(), seconds)
            }
            Ok(computed) => {
                keep(&computed);
                self.summary.computed += 1;
                let Computed { outcome, curve, seconds: split, .. } = computed;
                let timing = Timing { total: seconds, split };
                let (id, spec) = (cell.id.clone(), cell.spec.clone());
                Record { id, spec, outcome, curve, reason: None, timing }
            }
        };
        (self.report)(Event::End { cell, record: &record });
        Ok(self.store.append(record)?)
    }
}

impl Shared<'_> {
    /// Takes one job after the other until none is left or the run is stopped.
    fn work<'a>(
        &self,
        queue: &Mutex<VecDeque<Vec<&'a Cell>>>,
        give_up: &AtomicBool,
        sender: &Sender<Message<'a>>,
    ) {
        let next = || queue.lock().expect("no worker panics while it takes a job").pop_front();
        let stopped = || self.stop.load(Ordering::Relaxed) || give_up.load(Ordering::Relaxed);
        while !stopped()
            && let Some(cells) = next()
        {
            let start = Instant::now();
            let computed = match &self.ground {
                Ground::Images(material, sources) => {
                    let cell = cells[0];
                    let source = source_of(&cell.spec).map(|digest| sources[digest.as_str()]);
                    let progress = &mut |progress| {
                        // The receiver is gone only when the run ends, and then the answer is the same.
                        let heard = sender.send(Message::Step(cell, progress)).is_ok();
                        match heard && !stopped() {
                            true => ControlFlow::Continue(()),
                            false => ControlFlow::Break(()),
                        }
                    };
                    let device = self.plan.device;
                    vec![compute::cell(&cell.spec, material, source, device, progress)]
                }
                Ground::Points(lessons) => self.together(lessons, &cells),
            };
            let seconds = start.elapsed().as_secs_f64() / cells.len() as f64;
            for (cell, computed) in cells.into_iter().zip(computed) {
                if sender.send(Message::End(cell, Box::new(computed), seconds)).is_err() {
                    return;
                }
            }
        }
    }

    /// The cells of one group; where it failed, its first with the reason, and the others stay unfinished.
    fn together(
        &self,
        lessons: &Lessons,
        cells: &[&Cell],
    ) -> Vec<Result<Computed, compute::Error>> {
        match lessons.compute(cells, self.plan.device, self.stop) {
            Ok(Some(computed)) => computed.into_iter().map(Ok).collect(),
            Ok(None) => vec![Err(compute::Error::Train(train::Error::Stopped))],
            Err(error) => vec![Err(error)],
        }
    }
}

/// The digest of the source that a cell takes from.
fn source_of(spec: &Spec) -> Option<&String> {
    Some(&spec.arm.as_ref()?.source.as_ref()?.digest)
}

fn checkpoint(variables: &nn::VarStore) -> Result<Checkpoint, TchError> {
    let arrays = variables.variables().into_iter().map(|(name, tensor)| {
        let shape = tensor.size().iter().map(|&side| side as usize).collect();
        let values = Vec::<f32>::try_from(tensor.f_flatten(0, -1)?)?;
        let array = weights::Array::new(shape, values).expect("a tensor's values fill its shape");
        Ok((name, array))
    });
    arrays.collect()
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
            milestones: None,
        },
        curve: Vec::new(),
        reason: Some(reason),
        timing: Timing { total: seconds, split: Seconds::default() },
    }
}
