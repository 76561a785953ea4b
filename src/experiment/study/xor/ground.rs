//! Computes cells of XOR-5D, many at a time.
//!
//! The training itself is left to [`train::ensemble`](crate::train::ensemble).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tch::Device;

use super::lessons::{Given, Lessons, start_of};
use super::paused;
use crate::data::xor::Point;
use crate::experiment::cell::{Cell, Spec, XorSpec};
use crate::experiment::savepoint::Kept;
use crate::experiment::study::{Computed, Failure, Ground, Job, Watch};
use crate::models::mlp::Weights;
use crate::results::table::{Milestones, Outcome, Status};
use crate::train::ensemble::{self, Course, Member, Paused, Trained};
use crate::train::{self, ErrorCount, Seconds};
use crate::weights::Checkpoint;

/// The validation error up to which a network counts as having learned XOR.
const LEARNED: f64 = 0.10;

/// Epochs that are timed to know how fast cells are.
const REHEARSED_EPOCHS: u64 = 50;

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
            Device::Cpu => side_by_side(cells, &members, &first.course, watch)?,
            _ => one_by_one(&members, &given, self.device, watch)?,
        };
        let mut outcomes: Vec<Outcome> = given.iter().zip(&trained).map(judged).collect();
        let test: Vec<&[Point]> = given.iter().map(|given| self.lessons.test(given)).collect();
        let train: Vec<&[Point]> = members.iter().map(|member| member.train).collect();
        let chosen: Vec<&Weights> = trained.iter().map(|trained| &trained.weights).collect();
        let last: Vec<&Weights> = trained.iter().map(|trained| &trained.last).collect();
        note(&mut outcomes, errors(&chosen, &test), |outcome| &mut outcome.test_error);
        note(&mut outcomes, errors(&chosen, &train), |outcome| &mut outcome.train_error);
        note(&mut outcomes, errors(&last, &test), |outcome| &mut outcome.test_error_last);
        note(&mut outcomes, errors(&last, &train), |outcome| &mut outcome.train_error_last);
        let computed = |outcome| {
            let (curve, seconds) = (Vec::new(), Seconds::default());
            Computed { outcome, curve, seconds, weights: None }
        };
        Ok(outcomes.into_iter().map(computed).collect())
    }
}

impl Ground for XorGround {
    fn jobs<'a>(&self, cells: &[&'a Cell]) -> Vec<Job<'a>> {
        groups(cells, ensemble::lanes())
    }

    /// As many as any CPU has lanes.
    fn bundles<'a>(&self, cells: &[&'a Cell]) -> Vec<Job<'a>> {
        groups(cells, ensemble::MOST_LANES)
    }

    /// Points through hidden units: thrice in a step, once in an evaluation.
    fn cost(&self, cell: &Cell) -> f64 {
        let Ok(given) = Given::new(&cell.spec) else { return 0.0 };
        let XorSpec { train_size, validation, .. } = given.data;
        (given.course.epochs * (3 * train_size + validation) as u64) as f64 * given.width() as f64
    }

    /// A lane without a cell takes as long as one with.
    fn cost_here(&self, bundle: &[&Cell]) -> f64 {
        let lanes = bundle.len().next_multiple_of(ensemble::lanes());
        bundle.first().map_or(0.0, |cell| self.cost(cell) * lanes as f64)
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

    fn rounds_by_machine(&self) -> bool {
        self.device != Device::Cpu
    }

    /// Of cells that fill the CPU's lanes, like `cell` but for fewer epochs.
    fn pace(&self, cell: &Cell) -> Result<f64, Failure> {
        let mut like = cell.clone();
        let given = Given::new(&cell.spec)?;
        let epochs = given.course.epochs.min(REHEARSED_EPOCHS);
        Arc::make_mut(&mut like.spec.train).steps =
            epochs * (cell.spec.train.steps / given.course.epochs);
        let cells = vec![&like; ensemble::lanes()];
        let lessons = Lessons::new(&cells);
        let given = Given::new(&like.spec)?;
        let members: Vec<Member> = cells.iter().map(|_| lessons.member(&given)).collect();
        let begun = Instant::now();
        let go_on = &mut |_, _: &dyn Fn() -> Paused| ControlFlow::Continue(());
        ensemble::train_block(&members, &given.course, None, go_on).ok_or(train::Error::Stopped)?;
        Ok(begun.elapsed().as_secs_f64() / (cells.len() as f64 * self.cost(&like)))
    }
}

/// `cells` in groups of at most `size` that are computed together, in their order.
fn groups<'a>(cells: &[&'a Cell], size: usize) -> Vec<Vec<&'a Cell>> {
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
    order.iter().flat_map(|key| alike[key].chunks(size).map(<[_]>::to_vec)).collect()
}

/// Trains the `members` of the cells of `job` at the same time, from where they were paused.
fn side_by_side(
    job: &[&Cell],
    members: &[Member],
    course: &Course,
    watch: &Watch,
) -> Result<Vec<Trained>, Failure> {
    let (first, width) = (job[0], members[0].start.width());
    let mut from = None;
    while let Some(Kept { step, notes, tensors, path }) = watch.latest(first) {
        match paused::read(job, width, notes, &tensors) {
            Ok(paused) => {
                watch.resumed(first, step);
                from = Some(paused);
                break;
            }
            Err(why) => watch.refuse(first, &path, why),
        }
    }
    let mut kept = from.as_ref().map_or(0, |paused| paused.epoch);
    let mut failure = None;
    let watching = &mut |epoch, state: &dyn Fn() -> Paused| {
        let goes_on = watch.check();
        if epoch > kept && watch.is_due(goes_on) {
            kept = epoch;
            match paused::written(job, &state()) {
                Ok((notes, tensors)) => watch.keep(first, epoch, &notes, &tensors),
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        goes_on
    };
    let trained = ensemble::train_block(members, course, from.as_ref(), watching);
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(trained.ok_or(train::Error::Stopped)?),
    }
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

/// The error of each net on the points beside it.
fn errors(nets: &[&Weights], points: &[&[Point]]) -> Vec<ErrorCount> {
    let pairs: Vec<_> = nets.iter().copied().zip(points.iter().copied()).collect();
    ensemble::evaluate(&pairs).into_iter().map(|evaluation| evaluation.error).collect()
}

/// Puts each error into its `place` of the outcome, unless the net diverged.
fn note(
    outcomes: &mut [Outcome],
    errors: Vec<ErrorCount>,
    place: fn(&mut Outcome) -> &mut Option<ErrorCount>,
) {
    for (outcome, error) in outcomes.iter_mut().zip(errors) {
        if outcome.status == Status::Done {
            *place(outcome) = Some(error);
        }
    }
}

/// The row of `trials.csv`, but for the errors on points that are no validation points.
fn judged((given, trained): (&Given, &Trained)) -> Outcome {
    let Trained { curve, best_step, weights, diverged, .. } = trained;
    let last = curve.last().expect("a course has at least one epoch");
    let best = curve.iter().find(|point| point.step == *best_step).filter(|_| !diverged);
    let epoch = given.data.train_size.div_ceil(given.course.batch) as u64;
    let learned = curve.iter().find(|point| point.validation_error.value() <= LEARNED);
    let errors = curve.iter().map(|point| point.validation_error);
    let least = errors.min_by_key(|error| error.wrong);
    Outcome {
        status: if *diverged { Status::Diverged } else { Status::Done },
        validation_error: best.map(|point| point.validation_error),
        best_step: best.map(|point| point.step),
        validation_error_last: (!diverged).then_some(last.validation_error),
        validation_images: Some(given.data.validation as u64),
        test_images: (!diverged).then_some(given.data.test as u64),
        steps: last.step,
        violations_after: start_of(given).violations(weights),
        resets: last.resets,
        sign_flips: last.sign_flips,
        milestones: least.map(|least_validation_error| Milestones {
            least_validation_error,
            epochs_to_90: learned.map(|point| point.step / epoch),
        }),
        ..Outcome::failed()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::experiment::{Checked, Experiment, Plan, bundled};

    use super::*;

    #[test]
    fn a_bundle_that_leaves_lanes_empty_takes_as_long_as_one_that_fills_them() {
        let file = Path::new("experiments/xor5d.yaml");
        let experiment = Experiment::load(file, &["seeds=0..16".into()]).unwrap();
        let checked = Checked::new(experiment, file).unwrap();
        let plan = Plan::new(checked, file, Device::Cpu, Path::new("no-cache")).unwrap();
        let cells: Vec<&Cell> = plan.cells().iter().collect();
        let cells = bundled(&plan, &cells).swap_remove(0).cells;
        assert_eq!(cells.len(), 16);
        let here = |count: usize| bundled(&plan, &cells[..count])[0].cost_here;
        let lanes = ensemble::lanes();
        assert_eq!((here(1), here(lanes - 1)), (here(lanes), here(lanes)));
        assert_eq!(here(lanes), bundled(&plan, &cells[..lanes])[0].cost);
    }
}
