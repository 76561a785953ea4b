//! Computes cells of XOR-5D, many at a time.
//!
//! The training itself is left to [`train::ensemble`](crate::train::ensemble).

use std::collections::BTreeMap;

use tch::Device;

use super::lessons::{Given, Lessons, start_of};
use crate::data::xor::Point;
use crate::experiment::cell::{Cell, Spec};
use crate::experiment::study::{Computed, Failure, Ground, Job, Pace, Watch, Work};
use crate::models::mlp;
use crate::results::table::{Milestones, Outcome, Status};
use crate::train::ensemble::{self, Member, Trained};
use crate::train::{self, Seconds};
use crate::weights::Checkpoint;

/// The validation error up to which a network counts as having learned XOR.
const LEARNED: f64 = 0.10;

/// The points and batch orders of the cells that run.
#[derive(Debug)]
pub(super) struct XorGround {
    device: Device,
    lessons: Lessons,
}

impl XorGround {
    pub(super) fn new(device: Device) -> Self {
        XorGround { device, lessons: Lessons::default() }
    }

    fn together(&self, cells: &[&Cell], watch: &Watch) -> Result<Vec<Computed>, Failure> {
        let given: Vec<Given> =
            cells.iter().map(|cell| Given::new(&cell.spec)).collect::<Result<_, _>>()?;
        let members: Vec<Member> = given.iter().map(|given| self.lessons.member(given)).collect();
        let Some(first) = given.first() else { return Ok(Vec::new()) };
        let trained = match self.device {
            Device::Cpu => ensemble::train(&members, &first.course, 1, watch.stop)
                .ok_or(train::Error::Stopped)?,
            _ => one_by_one(&members, &given, self.device, watch)?,
        };
        let test = given.iter().map(|given| self.lessons.test(given));
        let tested = errors(trained.iter().zip(test));
        let trained_on = errors(trained.iter().zip(members.iter().map(|member| member.train)));
        let computed = given.iter().zip(&trained).enumerate().map(|(place, (given, trained))| {
            let mut outcome =
                judged(trained, &start_of(given), given.data.train_size, given.course.batch);
            if !trained.diverged {
                outcome.test_error = Some(tested[place]);
                outcome.train_error = Some(trained_on[place]);
            }
            Computed { outcome, curve: Vec::new(), seconds: Seconds::default(), weights: None }
        });
        Ok(computed.collect())
    }
}

impl Ground for XorGround {
    fn jobs<'a>(&self, cells: &[&'a Cell]) -> Vec<Job<'a>> {
        groups(cells)
    }

    fn prepare(&mut self, cells: &[&Cell]) {
        self.lessons = Lessons::new(cells);
    }

    fn learn(&mut self, first: &Cell, _: Checkpoint) -> Result<(), Failure> {
        Err(Failure::NoSource(first.id.clone()))
    }

    fn compute(&self, job: &[&Cell], watch: &Watch) -> Vec<Result<Computed, Failure>> {
        match self.together(job, watch) {
            Ok(computed) => computed.into_iter().map(Ok).collect(),
            Err(failure) => vec![Err(failure)],
        }
    }

    fn pace(&self, _: &Cell, _: u64) -> Result<Pace, Failure> {
        Err(Failure::Together)
    }

    fn work(&self, _: &Cell) -> Option<Work> {
        None
    }
}

/// `cells` in groups that are computed together, in their order.
fn groups<'a>(cells: &[&'a Cell]) -> Vec<Vec<&'a Cell>> {
    let mut alike: BTreeMap<String, Vec<&Cell>> = BTreeMap::new();
    let mut order = Vec::new();
    for &cell in cells {
        let Spec { data, model, train, arm, .. } = &cell.spec;
        let rule = arm.as_ref().and_then(|arm| arm.reset);
        let key = serde_json::to_string(&(data, model, train, rule))
            .expect("a specification holds only finite numbers");
        let group = alike.entry(key.clone()).or_default();
        if group.is_empty() {
            order.push(key);
        }
        group.push(cell);
    }
    let lanes = ensemble::lanes();
    order.iter().flat_map(|key| alike[key].chunks(lanes).map(<[_]>::to_vec)).collect()
}

fn one_by_one(
    members: &[Member],
    given: &[Given],
    device: Device,
    watch: &Watch,
) -> Result<Vec<Trained>, Failure> {
    let mut all = Vec::new();
    for (member, given) in members.iter().zip(given) {
        let progress = &mut |_| watch.check();
        all.push(ensemble::alone(member, &given.course, given.data_seed(), device, progress)?);
    }
    Ok(all)
}

fn errors<'a>(nets: impl Iterator<Item = (&'a Trained, &'a [Point])>) -> Vec<f64> {
    let nets: Vec<_> = nets.map(|(trained, points)| (&trained.weights, points)).collect();
    ensemble::evaluate(&nets).into_iter().map(|evaluation| evaluation.error).collect()
}

/// The row of `trials.csv`, but for the errors on points that training does not see.
fn judged(trained: &Trained, start: &mlp::Signs, train_size: usize, batch: usize) -> Outcome {
    let Trained { curve, best_step, weights, diverged } = trained;
    let last = curve.last().expect("a course has at least one epoch");
    let best = curve.iter().find(|point| point.step == *best_step).filter(|_| !diverged);
    let epoch = train_size.div_ceil(batch) as u64;
    let learned = curve.iter().find(|point| point.validation_error <= LEARNED);
    let least = curve.iter().map(|point| point.validation_error).fold(1.0, f64::min);
    Outcome {
        status: if *diverged { Status::Diverged } else { Status::Done },
        test_error: None,
        validation_error: best.map(|point| point.validation_error),
        train_error: None,
        best_step: best.map(|point| point.step),
        steps: last.step,
        violations_after: start.violations(weights),
        resets: last.resets,
        sign_flips: last.sign_flips,
        milestones: Some(Milestones {
            least_validation_error: least,
            epochs_to_90: learned.map(|point| point.step / epoch),
        }),
    }
}
