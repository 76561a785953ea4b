//! Jobs on threads of their own, side by side.
//!
//! Which cell runs where and when does not change a bit. One thread, the caller's, hears of all of them.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use crate::experiment::cell::Cell;
use crate::experiment::savepoint::{Keeping, Savepoint};
use crate::experiment::study::{Computed, Failure, Ground, Job, News, Watch};

/// A message from a worker.
pub(in crate::experiment) enum Message<'a> {
    /// Something of a cell under way.
    News(&'a Cell, News),
    /// A cell came to its end, after so many seconds.
    End(&'a Cell, Box<Result<Computed, Failure>>, f64),
}

/// Runs `jobs` on `workers` threads, kept as `keeping` says, until all are done or `stop` is set; `hear` is told of everything,
/// and an error of its ends the work.
///
/// # Errors
/// What `hear` says.
pub(in crate::experiment) fn work<'a, E>(
    ground: &dyn Ground,
    jobs: Vec<Job<'a>>,
    workers: usize,
    keeping: Option<&Keeping>,
    stop: &AtomicBool,
    mut hear: impl FnMut(Message<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let next = || queue.lock().expect("no worker panics while it takes a job").pop_front();
    std::thread::scope(|scope| {
        let (sender, messages) = mpsc::channel();
        for _ in 0..workers {
            let sender = sender.clone();
            let next = &next;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed)
                    && let Some(job) = next()
                {
                    if compute(ground, job, keeping, stop, &sender).is_break() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // Where `hear` fails the receiver is dropped here, and every worker sees that at its next word.
        messages.into_iter().try_for_each(&mut hear)
    })
}

/// Computes one job; breaks where nobody listens any more.
fn compute<'a>(
    ground: &dyn Ground,
    job: Job<'a>,
    keeping: Option<&Keeping>,
    stop: &AtomicBool,
    sender: &mpsc::Sender<Message<'a>>,
) -> ControlFlow<()> {
    let Some(first) = job.first() else { return ControlFlow::Continue(()) };
    let begun = Instant::now();
    let savepoint = keeping.map(|keeping| Mutex::new(Savepoint::new(keeping, &first.id)));
    let find = |cell: &Cell| job.iter().copied().find(|known| known.id == cell.id);
    let sender_of_steps = Mutex::new(sender.clone());
    let tell = |cell: &Cell, news| {
        let Some(cell) = find(cell) else { return ControlFlow::Continue(()) };
        let sender = sender_of_steps.lock().expect("no worker panics while it speaks");
        match sender.send(Message::News(cell, news)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let watch = Watch { stop, tell: &tell, savepoint: savepoint.as_ref() };
    let computed = ground.compute(&job, &watch);
    let kept = savepoint.map(|kept| kept.into_inner().expect("nobody panics while a job is kept"));
    let seconds = kept.map_or(begun.elapsed().as_secs_f64(), |kept| kept.seconds());
    let seconds = seconds / job.len() as f64;
    for (cell, computed) in job.iter().zip(computed) {
        if sender.send(Message::End(cell, Box::new(computed), seconds)).is_err() {
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}
