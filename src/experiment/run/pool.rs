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
use crate::experiment::study::{Computed, Failure, Ground, Job, Watch};
use crate::train::Progress;

/// A message from a worker.
pub(in crate::experiment) enum Message<'a> {
    /// A cell moved on.
    Step(&'a Cell, Progress),
    /// A cell came to its end, after so many seconds.
    End(&'a Cell, Box<Result<Computed, Failure>>, f64),
}

/// Runs `jobs` on `workers` threads until all are done or `stop` is set; `hear` is told of everything,
/// and an error of its ends the work.
///
/// # Errors
/// What `hear` says.
pub(in crate::experiment) fn work<'a, E>(
    ground: &dyn Ground,
    jobs: Vec<Job<'a>>,
    workers: usize,
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
                    if compute(ground, job, stop, &sender).is_break() {
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
    stop: &AtomicBool,
    sender: &mpsc::Sender<Message<'a>>,
) -> ControlFlow<()> {
    let start = Instant::now();
    let find = |cell: &Cell| job.iter().copied().find(|known| known.id == cell.id);
    let sender_of_steps = Mutex::new(sender.clone());
    let tell = |cell: &Cell, progress| {
        let Some(cell) = find(cell) else { return ControlFlow::Continue(()) };
        let sender = sender_of_steps.lock().expect("no worker panics while it speaks");
        match sender.send(Message::Step(cell, progress)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let computed = ground.compute(&job, &Watch { stop, tell: &tell });
    let seconds = start.elapsed().as_secs_f64() / job.len() as f64;
    for (cell, computed) in job.iter().zip(computed) {
        if sender.send(Message::End(cell, Box::new(computed), seconds)).is_err() {
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}
