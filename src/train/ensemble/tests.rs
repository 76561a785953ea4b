//! What an ensemble promises: each net is as if it were alone.

use std::ops::ControlFlow;

use tch::Device;

use super::*;
use crate::data::xor::{Purpose, informed_sign, points};

const COURSE: Course = Course {
    batch: 32,
    epochs: 100,
    adam: Adam {
        lr: 0.03,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-7,
        weight_decay: 0.0,
        decoupled: false,
    },
};

/// How far the validation losses of a net may differ from those of the same net alone: the two sum
/// in another order. Measured: 6·10⁻⁷.
const TOLERANCE: f64 = 1e-5;

/// The data of one seed.
struct Lesson {
    seed: u64,
    train: Vec<Point>,
    validation: Vec<Point>,
    orders: Orders,
}

impl Lesson {
    fn new(seed: u64, count: usize) -> Self {
        Lesson {
            seed,
            train: points(seed, Purpose::Train, count),
            validation: points(seed, Purpose::Validation, 200),
            orders: Orders::new(count, COURSE.epochs, seed),
        }
    }

    /// A net of this seed; held to informed signs or fluid.
    fn member(&self, width: usize, reset: Option<Reset>) -> Member<'_> {
        let mut start = Weights::draw(width, self.seed);
        for (unit, output) in start.hidden.iter().zip(&mut start.output) {
            *output = f32::from(informed_sign(unit)) * output.abs();
        }
        Member {
            hold: reset.map(|_| Signs::of(&start)),
            start,
            reset: reset.unwrap_or_default(),
            reset_seed: self.seed + 1000,
            train: &self.train,
            validation: &self.validation,
            orders: &self.orders,
        }
    }
}

fn trained(path: Path, members: &[Member], threads: usize) -> Vec<Trained> {
    train_on(path, members, &COURSE, threads, &AtomicBool::new(false)).unwrap()
}

fn rules() -> [Reset; 4] {
    [Reset::Zero, Reset::Flip, Reset::default(), Reset::constant(1e-3).unwrap()]
}

/// Ten nets, some held to informed signs by `rule`, some fluid.
fn mixed(lessons: &[Lesson], width: usize, rule: Reset) -> Vec<Member<'_>> {
    let held = |place: usize| (place % 3 != 2).then_some(rule);
    lessons.iter().enumerate().map(|(place, lesson)| lesson.member(width, held(place))).collect()
}

fn lessons(count: usize) -> Vec<Lesson> {
    (0..10).map(|seed| Lesson::new(seed, count)).collect()
}

#[test]
fn a_net_in_an_ensemble_learns_as_it_does_alone_through_libtorch() {
    for (width, count, rule) in
        [(3, 20, rules()[0]), (10, 60, rules()[1]), (64, 100, rules()[2]), (20, 40, rules()[3])]
    {
        let lessons = lessons(count);
        let members = &mixed(&lessons, width, rule)[..3];
        let together = trained(Path::best(), members, 1);
        for ((member, lesson), together) in members.iter().zip(&lessons).zip(together) {
            let go_on = &mut |_| ControlFlow::Continue(());
            let alone = alone(member, &COURSE, lesson.seed, Device::Cpu, go_on).unwrap();
            assert_eq!((together.curve.len(), alone.curve.len()), (100, 100));
            assert_eq!(together.best_step, alone.best_step);
            for (here, there) in together.curve.iter().zip(&alone.curve) {
                assert_eq!(here.step, there.step);
                let [a, b] = [here, there].map(|point| point.validation_loss.unwrap());
                let what = format!("width {width}, {rule}, step {}", here.step);
                assert!((a - b).abs() <= TOLERANCE, "{what}: {a} {b}");
                let [a, b] = [here, there].map(|point| point.validation_error.value());
                assert!((a - b).abs() < 0.006, "{what}");
            }
            let resets = [&together, &alone].map(|run| run.curve[99].resets);
            let most = resets.into_iter().max().unwrap() as f64;
            assert!(resets[0].abs_diff(resets[1]) as f64 <= 0.02 * most, "{rule}: {resets:?}");
            assert_eq!(resets[0] > 0, member.hold.is_some());
        }
    }
}

#[test]
fn a_net_is_the_same_bits_in_every_lane_block_thread_and_path() {
    for rule in rules() {
        let lessons = lessons(36);
        let members = mixed(&lessons, 6, rule);
        let expected = trained(Path::Portable, &members, 1);
        let turned: Vec<Member> = members.iter().rev().cloned().collect();
        for path in Path::ALL.into_iter().filter(|path| path.is_available()) {
            assert_eq!(trained(path, &members, 1), expected, "{path:?}");
            assert_eq!(trained(path, &members[..3], 1), expected[..3], "{path:?}");
            let mut found = trained(path, &turned, 3);
            found.reverse();
            assert_eq!(found, expected, "{path:?}, turned, three threads");
        }
    }
}

#[test]
fn held_nets_end_without_violations_after_real_resets() {
    for rule in rules() {
        let lessons = lessons(20);
        let members = mixed(&lessons, 8, rule);
        for (member, trained) in members.iter().zip(trained(Path::best(), &members, 1)) {
            let start = Signs::of(&member.start);
            let last = trained.curve.last().unwrap();
            assert_eq!(start.violations(&trained.weights) == 0, member.hold.is_some(), "{rule}");
            assert_eq!(last.resets > 0, member.hold.is_some(), "{rule}");
        }
    }
}

#[test]
fn the_weights_kept_are_those_of_the_least_validation_loss() {
    let lessons = lessons(20);
    let members = mixed(&lessons, 8, Reset::default());
    let trained = trained(Path::best(), &members, 1);
    let pairs: Vec<_> =
        trained.iter().zip(&members).map(|(run, m)| (&run.weights, m.validation)).collect();
    for (run, found) in trained.iter().zip(evaluate(&pairs)) {
        let least = run.curve.iter().filter_map(|point| point.validation_loss);
        assert_eq!(found.loss, least.fold(f64::INFINITY, f64::min));
        let best = run.curve.iter().find(|point| point.step == run.best_step).unwrap();
        assert_eq!((best.validation_loss, best.validation_error), (Some(found.loss), found.error));
    }
}

#[test]
fn a_net_whose_loss_becomes_infinite_ends_there_and_disturbs_no_other() {
    let lessons = lessons(20);
    let members = mixed(&lessons, 8, Reset::default());
    let expected = trained(Path::best(), &members, 1);
    let mut broken = members.clone();
    broken[1].start.output_bias = f32::NAN;
    for (place, (found, expected)) in
        trained(Path::best(), &broken, 1).iter().zip(&expected).enumerate()
    {
        if place == 1 {
            assert!(found.diverged && found.curve.len() == 1 && found.best_step == 1);
        } else {
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_net_with_a_weight_that_is_not_finite_ends_although_its_loss_is() {
    let lessons = lessons(20);
    let members = mixed(&lessons, 8, Reset::default());
    let expected = trained(Path::best(), &members, 1);
    let mut broken = members.clone();
    // A hidden unit that is silent, whatever it sees.
    broken[4].start.hidden_bias[0] = f32::NEG_INFINITY;
    let found = trained(Path::best(), &broken, 1);
    let net = &found[4];
    assert!(net.curve[0].validation_loss.is_some(), "{:?}", net.curve);
    assert!(net.diverged && net.curve.len() == 1 && net.best_step == 1);
    let others = |nets: &[Trained]| [&nets[..4], &nets[5..]].concat();
    assert_eq!(others(&found), others(&expected));
    let go_on = &mut |_| ControlFlow::Continue(());
    let alone = alone(&broken[4], &COURSE, lessons[4].seed, Device::Cpu, go_on).unwrap();
    assert!(alone.diverged && alone.curve.len() == 1);
}

#[test]
fn a_stopped_ensemble_gives_nothing() {
    let lessons = lessons(20);
    let members = mixed(&lessons, 3, Reset::default());
    assert_eq!(train(&members, &COURSE, 2, &AtomicBool::new(true)), None);
}

#[test]
#[should_panic(expected = "adam.lr: ")]
fn an_optimizer_out_of_its_range_is_no_course() {
    let lessons = lessons(20);
    let course = Course { adam: Adam { lr: f64::NAN, ..COURSE.adam }, ..COURSE };
    train(&[lessons[0].member(2, None)], &course, 1, &AtomicBool::new(false));
}

#[test]
fn a_rehearsal_runs_the_steps_it_says() {
    let rehearsal = Rehearsal::new(3, 4, 2);
    assert_eq!(rehearsal.steps(), 16);
    rehearsal.run(2);
    rehearsal.run_alone().unwrap();
}

#[test]
fn paused_nets_go_on_bit_for_bit_and_without_their_moments_they_do_not() {
    const SHORT: Course = Course { epochs: 20, ..COURSE };
    for rule in rules() {
        let lessons = lessons(40);
        let members = &mixed(&lessons, 5, rule)[..8];
        let mut paused = Vec::new();
        let whole = train_block(members, &SHORT, None, &mut |epoch, state| {
            assert_eq!(epoch, state().epoch);
            paused.push(state());
            ControlFlow::Continue(())
        });
        assert_eq!(paused.len(), 20);
        let go_on = |from: &Paused| {
            train_block(members, &SHORT, Some(from), &mut |_, _| ControlFlow::Continue(()))
        };
        for from in &paused {
            assert_eq!(go_on(from), whole, "{rule}, epoch {}", from.epoch);
        }
        let mut cold = paused.swap_remove(10);
        let zeros = Weights::of_values(&[0.0; 5 * 7 + 1]).unwrap();
        cold.nets.iter_mut().for_each(|net| net.moments = [zeros.clone(), zeros.clone()]);
        assert_ne!(go_on(&cold), whole, "{rule}");
    }
}
