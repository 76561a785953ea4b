//! Progress of a run on stderr: a bar on a terminal, a line every few seconds elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::say::{plain, say};
use crate::experiment::{Cell, Event, Record};
use crate::results::Status;
use crate::train;

/// Plain lines come no more often than this.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Of more cells than this, not every end has a line of its own.
const MANY: usize = 1000;

/// Shows the events of one run.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    /// When the first cell that is counted began.
    start: Option<Instant>,
    /// When the cells began, for those that say nothing before they end.
    begun: Instant,
    spoken: Instant,
    left: usize,
    ended: usize,
    /// Share done of the cells under way, by id.
    under_way: BTreeMap<String, f64>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let under_way = BTreeMap::new();
        Progress { bar: None, start: None, begun: now, spoken: now, left: 0, ended: 0, under_way }
    }

    pub(super) fn show(&mut self, event: Event) {
        match event {
            Event::Damaged(lines) => {
                for line in lines {
                    let path = line.path.display();
                    self.say(&format!("{path}:{}: damaged; its cell runs again", line.line));
                }
            }
            Event::DamagedElsewhere(lines) => {
                for line in lines {
                    let path = line.path.display();
                    self.say(&format!(
                        "{path}:{}: damaged, in another run's segment; its cell counts as not finished",
                        line.line
                    ));
                }
            }
            Event::Start { left, cells, workers } => self.begin(left, cells, workers),
            Event::Waiting(cell) => {
                self.say(&format!("{}: another run trains it; waiting", name(cell)));
            }
            Event::OtherWeights(cell) => self.say(&format!(
                "{}: came to other weights here than those that finished cells took; they run again",
                name(cell)
            )),
            Event::Resumed { cell, step } => {
                self.say(&format!("{}: goes on from {} {step}", cell.key, unit(cell)));
            }
            Event::SetAside { path, why } => self.say(&format!(
                "{}: {why}; set aside, and the one before is taken if there is one",
                path.display()
            )),
            Event::NotKept { cell, step, why } => {
                self.say(&format!(
                    "{}: could not be kept at {} {step} ({why}); it goes on",
                    cell.key,
                    unit(cell)
                ));
            }
            Event::Step { cell, progress } => self.step(cell, progress),
            Event::End { cell, record } => self.end(cell, record),
        }
    }

    fn begin(&mut self, left: usize, cells: usize, workers: usize) {
        self.expect(left);
        let done = cells - left;
        self.say(&format!("{cells} cells: {done} finished, {left} to run, {workers} at a time"));
        if std::io::stderr().is_terminal() && left > 0 {
            let style = ProgressStyle::with_template("{bar:30} {msg}")
                .expect("the template has no unknown key");
            let bar = ProgressBar::new(1000 * left as u64).with_style(style);
            // A terminal that cannot move its cursor gets lines.
            self.bar = Some(bar).filter(|bar| !bar.is_hidden());
        }
    }

    fn step(&mut self, cell: &Cell, progress: train::Progress) {
        // A source trained first is one long cell before the others: no measure of their time.
        if cell.spec.arm.is_some() {
            self.start.get_or_insert_with(Instant::now);
            let share = progress.step as f64 / progress.steps.max(1) as f64;
            self.under_way.insert(cell.id.clone(), share);
        }
        let error = progress.validation_error.map_or(String::new(), |error| {
            format!(", validation error {:.1} %", 100.0 * error.value())
        });
        let (key, step, steps) = (&cell.key, progress.step, progress.steps);
        self.update(&format!("{key}, step {step} of {steps}{error}"));
    }

    fn end(&mut self, cell: &Cell, record: &Record) {
        self.count(cell);
        let Record { outcome, reason, timing, .. } = record;
        let what = match (outcome.status, outcome.test_error, reason) {
            (Status::Failed, _, Some(reason)) => format!("failed: {reason}"),
            (_, Some(error), _) => format!("test error {:.2} %", 100.0 * error.value()),
            (status, ..) => status.name().to_owned(),
        };
        let line = format!("{}: {what} ({:.1} s)", cell.key, timing.total);
        match self.left > MANY && outcome.status != Status::Failed {
            true => {
                self.start.get_or_insert(self.begun);
                self.update(&line);
            }
            false => self.say(&line),
        }
    }

    /// Gets ready for so many cells.
    pub(super) fn expect(&mut self, cells: usize) {
        self.left = cells;
        self.begun = Instant::now();
    }

    /// Counts a cell that came to its end.
    pub(super) fn count(&mut self, cell: &Cell) {
        self.under_way.remove(&cell.id);
        self.ended += usize::from(cell.spec.arm.is_some());
    }

    fn update(&mut self, now: &str) {
        let (ended, left) = (self.ended, self.left);
        let done = ended as f64 + self.under_way.values().sum::<f64>();
        if self.bar.is_none() && self.spoken.elapsed() < LINE_EVERY {
            return;
        }
        let elapsed = self.start.map_or(0.0, |start| start.elapsed().as_secs_f64());
        let rest = elapsed * (left as f64 / done.max(1e-3) - 1.0).max(0.0);
        let message = match done >= 0.05 {
            true => {
                let rest = HumanDuration(Duration::from_secs_f64(rest));
                format!("{ended}/{left} cells, {rest} left; {now}")
            }
            false => format!("{ended}/{left} cells; {now}"),
        };
        match &self.bar {
            Some(bar) => {
                bar.set_position((1000.0 * done) as u64);
                bar.set_message(plain(&message).into_owned());
            }
            None => self.say(&message),
        }
    }

    fn say(&mut self, line: &str) {
        self.spoken = Instant::now();
        match &self.bar {
            Some(bar) => bar.println(plain(line)),
            None => say(line),
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What the progress of a cell is counted in.
fn unit(cell: &Cell) -> &'static str {
    if cell.spec.data.images().is_some() { "step" } else { "epoch" }
}

fn name(cell: &Cell) -> String {
    let settings: String =
        cell.key.settings.iter().map(|(name, value)| format!(", {name} {value}")).collect();
    format!("{}{settings}", cell.key.arm)
}
