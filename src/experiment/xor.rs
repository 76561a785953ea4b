//! The cells of a study of XOR-5D: what they are, which are computed together, and how.
//!
//! A cell stays a cell, with an id and a line of its own. Cells of one width and training size are only
//! *computed* side by side, as many as the CPU has lanes; which of them share a block changes no bit, so
//! resuming and sharding know nothing of blocks.
//!
//! Points depend on a seed alone and are cheap, so they are drawn again at every run. The training itself
//! is left to [`train::ensemble`](crate::train::ensemble).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use tch::Device;

use super::cell::{
    ArmSpec, DataSpec, Evaluations, EvaluationsWord, RESULTS_VERSION, Spec, TrainSpec, XorSpec,
};
use super::compute::{Computed, Error};
use super::config::{Experiment, Faithful};
use super::plan::Cell;
use super::start;
use crate::data::xor::{NAME, Point, Purpose, informed_sign, points};
use crate::models::mlp::{self, HIDDEN_WEIGHT, OUTPUT_WEIGHT, Weights};
use crate::models::{Mlp, Model, Precision};
use crate::optim::Optimizer;
use crate::optim::fused::ResetKey;
use crate::random::Stream;
use crate::results::table::{Milestones, Outcome, Status};
use crate::results::{Hold, Signs};
use crate::sign::{Reset, is_below};
use crate::train::ensemble::{self, Course, Member, Orders, Trained};
use crate::train::{self, Seconds};

/// The validation error up to which a network counts as having learned XOR.
const LEARNED: f64 = 0.10;

/// The seed that all cells share for what `one-draw` draws once.
const ONE_DRAW: u64 = 0;

/// The cells of `experiment`, checked before, by training size, width, arm and seed.
pub(super) fn cells(experiment: &Experiment, device: &str) -> Vec<Cell> {
    let Experiment { data, model, widths, arms, train, seeds, .. } = experiment;
    let Model::Mlp(Mlp { hidden }) = model else { unreachable!("checked: points need an `mlp`") };
    let widths = if widths.is_empty() { std::slice::from_ref(hidden) } else { widths };
    let is_faithful = |point| train.faithful.contains(&point);
    let mut cells = Vec::new();
    for &train_size in &data.train_sizes {
        let epoch = train_size.div_ceil(train.batch) as u64;
        for &hidden in widths {
            for (name, arm) in arms {
                let holds = arm.hold != Hold::None;
                let arm = ArmSpec {
                    signs: arm.signs,
                    magnitudes: arm.magnitudes,
                    hold: arm.hold.clone(),
                    reset: holds.then_some(arm.reset.unwrap_or(train.reset)),
                    reset_at_start: holds && is_faithful(Faithful::ResetAtStart),
                    ..ArmSpec::fresh()
                };
                for &seed in &seeds.0 {
                    let spec = Spec {
                        version: RESULTS_VERSION,
                        device: device.into(),
                        data: DataSpec::Xor(XorSpec {
                            law: NAME.into(),
                            train_size,
                            validation: data.validation,
                            test: data.test.unwrap_or(data.validation),
                            one_draw: is_faithful(Faithful::OneDraw),
                        }),
                        model: Model::Mlp(Mlp { hidden }),
                        arm: Some(arm.clone()),
                        train: TrainSpec {
                            optimizer: train.optimizer.clone(),
                            batch: train.batch,
                            steps: train.epochs.unwrap_or(0) * epoch,
                            evaluate_at: Evaluations::Word(EvaluationsWord::EveryEpoch),
                            select: train.select,
                            threads: train.threads,
                            precision: Precision::Float32,
                        },
                        seed,
                    };
                    let settings = [("train_size", train_size as f64), ("width", hidden as f64)];
                    let settings = settings.map(|(name, value)| (name.to_owned(), value));
                    cells.push(Cell::new(name, settings.to_vec(), spec));
                }
            }
        }
    }
    cells
}

/// `cells` in groups that are computed together, in their order.
pub(super) fn groups<'a>(cells: &[&'a Cell]) -> Vec<Vec<&'a Cell>> {
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

/// What a cell learns from, and the law of it: a function of the seed and the specification of the data.
struct Given<'a> {
    spec: &'a Spec,
    data: &'a XorSpec,
    width: usize,
    course: Course,
}

impl<'a> Given<'a> {
    fn new(spec: &'a Spec) -> Self {
        let DataSpec::Xor(data) = &spec.data else { unreachable!("checked: a cell of points") };
        let Model::Mlp(Mlp { hidden }) = &spec.model else {
            unreachable!("checked: points need an `mlp`")
        };
        let Optimizer::Adam(adam) = &spec.train.optimizer else {
            unreachable!("checked: ensembles are trained by Adam")
        };
        let batch = spec.train.batch;
        let epochs = spec.train.steps / data.train_size.div_ceil(batch) as u64;
        let course = Course { batch, epochs, adam: *adam };
        Given { spec, data, width: *hidden, course }
    }

    /// The seed of the points and of their order.
    fn data_seed(&self) -> u64 {
        if self.data.one_draw { ONE_DRAW } else { self.spec.seed }
    }

    /// What its batch order depends on.
    fn orders(&self) -> (usize, u64, u64) {
        (self.data.train_size, self.course.epochs, self.data_seed())
    }

    /// What its points depend on.
    fn points(&self) -> [u64; 4] {
        let XorSpec { train_size, validation, test, .. } = self.data;
        [self.data_seed(), *train_size as u64, *validation as u64, *test as u64]
    }
}

/// The points and batch orders of many cells.
pub(super) struct Lessons {
    points: BTreeMap<[u64; 4], Points>,
    orders: BTreeMap<(usize, u64, u64), Orders>,
}

struct Points {
    train: Vec<Point>,
    validation: Vec<Point>,
    test: Vec<Point>,
}

impl Lessons {
    /// Those of `cells`.
    pub(super) fn new<'a>(cells: impl Iterator<Item = &'a Cell>) -> Self {
        let given: Vec<Given> = cells.map(|cell| Given::new(&cell.spec)).collect();
        let draw = |[seed, sizes @ ..]: [u64; 4]| {
            let [train, validation, test] = sizes.map(|size| size as usize);
            Points {
                train: points(seed, Purpose::Train, train),
                validation: points(seed, Purpose::Validation, validation),
                test: points(seed, Purpose::Test, test),
            }
        };
        let all_points: BTreeSet<_> = given.iter().map(Given::points).collect();
        let all_orders: BTreeSet<_> = given.iter().map(Given::orders).collect();
        Lessons {
            points: all_points.into_iter().map(|key| (key, draw(key))).collect(),
            orders: all_orders
                .into_iter()
                .map(|key| (key, Orders::new(key.0, key.1, key.2)))
                .collect(),
        }
    }

    fn member(&self, given: &Given) -> Member<'_> {
        let Given { spec, .. } = given;
        let arm = spec.arm.as_ref().expect("checked: a study of points trains no source");
        let drawn = Weights::draw(given.width, start::seed(spec));
        let reset_seed = Stream::new(spec.seed, "reset").bits();
        let signs = signs_of(arm.signs, &drawn);
        let points = &self.points[&given.points()];
        Member {
            start: started(drawn, &signs, arm, reset_seed),
            hold: held(signs, &arm.hold),
            reset: arm.reset.unwrap_or_default(),
            reset_seed,
            train: &points.train,
            validation: &points.validation,
            orders: &self.orders[&given.orders()],
        }
    }

    /// Computes a group of cells; none if it was stopped.
    ///
    /// # Errors
    /// What libtorch says, where it computes: elsewhere than on the CPU.
    pub(super) fn compute(
        &self,
        cells: &[&Cell],
        device: Device,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Computed>>, Error> {
        let given: Vec<Given> = cells.iter().map(|cell| Given::new(&cell.spec)).collect();
        let members: Vec<Member> = given.iter().map(|given| self.member(given)).collect();
        let trained = match device {
            Device::Cpu => ensemble::train(&members, &given[0].course, 1, stop),
            _ => one_by_one(&members, &given, device, stop)?,
        };
        let Some(trained) = trained else { return Ok(None) };
        let test = given.iter().map(|given| &*self.points[&given.points()].test);
        let tested = errors(trained.iter().zip(test));
        let train = members.iter().map(|member| member.train);
        let trained_on = errors(trained.iter().zip(train));
        let computed = given.iter().zip(&trained).enumerate().map(|(place, (given, trained))| {
            let arm = given.spec.arm.as_ref().expect("it was there before");
            let drawn = Weights::draw(given.width, start::seed(given.spec));
            let start = signs_of(arm.signs, &drawn);
            let mut outcome = judged(trained, &start, given.data.train_size, given.course.batch);
            if !trained.diverged {
                outcome.test_error = Some(tested[place]);
                outcome.train_error = Some(trained_on[place]);
            }
            Computed { outcome, curve: Vec::new(), seconds: Seconds::default(), variables: None }
        });
        Ok(Some(computed.collect()))
    }
}

/// The signs an arm gives a network that was drawn as `drawn`.
fn signs_of(signs: Signs, drawn: &Weights) -> mlp::Signs {
    let mut own = mlp::Signs::of(drawn);
    let factor = match signs {
        Signs::Informed => 1,
        Signs::Misinformed => -1,
        _ => return own,
    };
    for (sign, unit) in own.output.iter_mut().zip(&drawn.hidden) {
        *sign = factor * informed_sign(unit);
    }
    own
}

/// `drawn` with the weights that `signs` would have on the other side put there.
fn started(drawn: Weights, signs: &mlp::Signs, arm: &ArmSpec, seed: u64) -> Weights {
    let rule = arm.reset.filter(|_| arm.reset_at_start).unwrap_or(Reset::Flip);
    let mut start = drawn;
    let kernels = [
        (HIDDEN_WEIGHT, start.hidden.as_flattened_mut(), signs.hidden.as_flattened()),
        (OUTPUT_WEIGHT, &mut start.output, &signs.output),
    ];
    for (name, weights, signs) in kernels {
        let key = ResetKey { seed, step: 0, tensor: ResetKey::number(name) };
        for (index, (weight, sign)) in weights.iter_mut().zip(signs).enumerate() {
            let sign = f32::from(*sign);
            if *weight * sign < 0.0 {
                *weight = rule.apply(*weight, sign, key.uniform(index as u64));
            }
        }
    }
    start
}

/// The part of `signs` that training must keep.
fn held(mut signs: mlp::Signs, hold: &Hold) -> Option<mlp::Signs> {
    let is_free = |name: &str| match hold {
        Hold::All => false,
        Hold::None => true,
        Hold::Layers(held) => !held.iter().any(|layer| is_below(name, layer)),
        Hold::Except(free) => free.iter().any(|layer| is_below(name, layer)),
    };
    if is_free(HIDDEN_WEIGHT) {
        signs.hidden.as_flattened_mut().fill(0);
    }
    if is_free(OUTPUT_WEIGHT) {
        signs.output.fill(0);
    }
    (*hold != Hold::None).then_some(signs)
}

fn one_by_one(
    members: &[Member],
    given: &[Given],
    device: Device,
    stop: &AtomicBool,
) -> Result<Option<Vec<Trained>>, Error> {
    let mut all = Vec::new();
    for (member, given) in members.iter().zip(given) {
        let progress = &mut |_| match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        match ensemble::alone(member, &given.course, given.data_seed(), device, progress) {
            Err(train::Error::Stopped) => return Ok(None),
            trained => all.push(trained?),
        }
    }
    Ok(Some(all))
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
