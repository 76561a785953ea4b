//! What the cells of a study of XOR-5D learn from: points and batch orders by seed, and how each network
//! starts.
//!
//! Points depend on a seed alone and are cheap, so they are drawn again at every run.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::xor::{Point, Purpose, informed_sign, points};
use crate::experiment::cell::{ArmSpec, Cell, DataSpec, Spec, XorSpec};
use crate::experiment::file::{Hold, Signs};
use crate::experiment::study::{Failure, initial_seed};
use crate::models::mlp::{self, HIDDEN_WEIGHT, OUTPUT_WEIGHT, Weights};
use crate::models::{Mlp, Model};
use crate::optim::Optimizer;
use crate::optim::fused::ResetKey;
use crate::random::Stream;
use crate::sign::{Reset, is_below};
use crate::train::ensemble::{Course, Member, Orders};

/// The seed that all cells share for what `one-draw` draws once.
const ONE_DRAW: u64 = 0;

/// What a cell learns from, and the law of it: a function of the seed and the specification of the data.
pub(super) struct Given<'a> {
    pub(super) spec: &'a Spec,
    pub(super) arm: &'a ArmSpec,
    pub(super) data: &'a XorSpec,
    width: usize,
    pub(super) course: Course,
}

impl<'a> Given<'a> {
    /// # Errors
    /// When the cell is of another kind of study.
    pub(super) fn new(spec: &'a Spec) -> Result<Self, Failure> {
        let Spec { data, model, train, arm, .. } = spec;
        let (DataSpec::Xor(data), Model::Mlp(Mlp { hidden }), Optimizer::Adam(adam), Some(arm)) =
            (&**data, model, &train.optimizer, arm)
        else {
            return Err(Failure::OtherKind);
        };
        let batch = spec.train.batch;
        let epochs = spec.train.steps / data.train_size.div_ceil(batch) as u64;
        let course = Course { batch, epochs, adam: *adam };
        Ok(Given { spec, arm, data, width: *hidden, course })
    }

    /// Hidden units.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The seed of the points and of their order.
    pub(super) fn data_seed(&self) -> u64 {
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
#[derive(Debug, Default)]
pub(super) struct Lessons {
    points: BTreeMap<[u64; 4], Points>,
    orders: BTreeMap<(usize, u64, u64), Orders>,
}

/// The points of one draw.
#[derive(Debug)]
struct Points {
    train: Vec<Point>,
    validation: Vec<Point>,
    test: Vec<Point>,
}

impl Lessons {
    /// Those of `cells`.
    pub(super) fn new(cells: &[&Cell]) -> Self {
        let given: Vec<Given> =
            cells.iter().filter_map(|cell| Given::new(&cell.spec).ok()).collect();
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

    /// The points that a cell is tested on.
    pub(super) fn test(&self, given: &Given) -> &[Point] {
        &self.points[&given.points()].test
    }

    /// A network at its start, and what it learns from.
    ///
    /// # Panics
    /// When the lessons are not those of the cell.
    pub(super) fn member(&self, given: &Given) -> Member<'_> {
        let Given { spec, arm, .. } = given;
        let drawn = Weights::draw(given.width, initial_seed(Some(arm), spec.seed));
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
}

/// The signs with which a cell starts.
pub(super) fn start_of(given: &Given) -> mlp::Signs {
    let seed = initial_seed(Some(given.arm), given.spec.seed);
    let drawn = Weights::draw(given.width, seed);
    signs_of(given.arm.signs, &drawn)
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
