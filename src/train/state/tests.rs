//! What a saved run promises: it goes on as if it had never been cut off.

use std::collections::BTreeSet;

use tch::{Device, Tensor, nn};

use super::*;
use crate::data::Images;
use crate::models::{AlexNetMini, Network};
use crate::optim::{Adam, Optimizer, Sgd};
use crate::sign::Template;
use crate::train::{Fit, ImageSet, Input, Rate};
use crate::transfer;

/// A network with dropout, its images, and a schedule in which everything happens.
struct Lesson {
    net: Network,
    variables: nn::VarStore,
    train: ImageSet,
    validation: ImageSet,
    schedule: Schedule,
    template: Template,
    rule: Optimizer,
}

impl Lesson {
    fn new(rule: Optimizer) -> Self {
        let side = AlexNetMini::IMAGE;
        let images = Images {
            channels: 1,
            height: side,
            width: side,
            pixels: (0..16 * side * side).map(|place| (place * 31 % 251) as u8).collect(),
            labels: (0..16).map(|image| image % 4).collect(),
            classes: 4,
        };
        let input = Input { channels: 1, size: side, mean: vec![0.5], deviation: vec![0.3] };
        let set = |places: Vec<usize>| ImageSet::new(&images, &places, &input, Device::Cpu);
        let variables = nn::VarStore::new(Device::Cpu);
        let net = AlexNetMini { hidden: 8, dropout: 0.4 }.build(&variables.root(), 4);
        net.initialise(1).unwrap();
        Lesson {
            template: transfer::own_signs(&variables).unwrap(),
            net,
            variables,
            // The last batch of an epoch of ten is smaller.
            train: set((0..10).collect()).unwrap(),
            validation: set((10..16).collect()).unwrap(),
            schedule: Schedule {
                batch: 4,
                steps: 8,
                evaluate_at: BTreeSet::from([0, 3, 4, 6]),
                keep_best: true,
                release_at: Some(5),
                rate: Rate::Cosine,
            },
            rule,
        }
    }

    fn task(&self) -> Task<'_> {
        let Lesson { net, variables, train, validation, schedule, .. } = self;
        Task { net, variables, train, validation, schedule, seed: 3 }
    }

    fn optimizer(&self) -> Frozen<Optimizer> {
        let frozen = Frozen::new(&self.variables, self.template.clone(), self.rule.clone());
        frozen.unwrap().with_seed(7)
    }
}

type Change = dyn Fn(&mut Lesson, &mut State);

fn rules() -> [Optimizer; 2] {
    [
        Optimizer::Adam(Adam { lr: 0.01, ..Adam::default() }),
        Optimizer::Sgd(Sgd { lr: 0.05, momentum: 0.9, ..Sgd::default() }),
    ]
}

/// The state as files bring it back.
fn through_files(state: &State) -> State {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.safetensors");
    Tensor::write_safetensors(&state.tensors, &file).unwrap();
    let notes = serde_json::to_string(&state.notes).unwrap();
    State {
        tensors: Tensor::read_safetensors(&file).unwrap(),
        notes: serde_json::from_str(&notes).unwrap(),
    }
}

/// Kind, shape and bytes of every tensor, by name.
fn bits(tensors: impl IntoIterator<Item = (String, Tensor)>) -> BTreeMap<String, Vec<u64>> {
    let bits = |(name, tensor): (String, Tensor)| {
        let values = Vec::<f64>::try_from(tensor.detach().to_kind(Kind::Double).flatten(0, -1));
        (name, values.unwrap().into_iter().map(f64::to_bits).collect())
    };
    tensors.into_iter().map(bits).collect()
}

/// All that the end of a run has: what it came to, its state before the end, and the network's weights.
type End = (Vec<CurvePoint>, [u64; 2], BTreeMap<String, Vec<u64>>, BTreeMap<String, Vec<u64>>);

fn to_the_end(mut run: Run<Optimizer>) -> End {
    while !run.is_over() {
        run.advance().unwrap();
    }
    let variables = run.task.variables;
    let last = bits(run.save().unwrap().tensors);
    let Fit { curve, best_step, steps, .. } = run.finish().unwrap();
    (curve, [best_step, steps], last, bits(variables.variables()))
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one_bit_for_bit_and_a_cold_restart_is_not() {
    for rule in rules() {
        let lesson = Lesson::new(rule.clone());
        let mut optimizer = lesson.optimizer();
        let whole = to_the_end(Run::new(lesson.task(), &mut optimizer).unwrap());
        assert!(whole.0[1].resets > 0 && whole.0[4].sign_flips > whole.0[1].sign_flips);

        let lesson = Lesson::new(rule.clone());
        let mut optimizer = lesson.optimizer();
        let mut run = Run::new(lesson.task(), &mut optimizer).unwrap();
        for cut in 0..=lesson.schedule.steps {
            let state = through_files(&run.save().unwrap());
            assert_eq!(state.notes.step, cut);

            let fresh = Lesson::new(rule.clone());
            let mut optimizer = fresh.optimizer();
            let resumed = Run::resume(fresh.task(), &mut optimizer, &state).unwrap();
            assert!(to_the_end(resumed) == whole, "{rule:?}, cut after step {cut}");

            if (1..lesson.schedule.steps).contains(&cut) {
                let cold = cold_restart(Lesson::new(rule.clone()), &state);
                assert!(cold != whole.2, "{rule:?}, cold after step {cut}");
            }
            run.advance().unwrap();
        }
    }
}

/// The state at the end where only the weights were kept.
fn cold_restart(mut lesson: Lesson, state: &State) -> BTreeMap<String, Vec<u64>> {
    lesson.schedule.steps -= state.notes.step;
    let mut optimizer = lesson.optimizer();
    for (name, mut weight) in lesson.variables.variables() {
        let saved = state.tensors.iter().find(|(known, _)| *known == format!("{WEIGHTS}{name}"));
        tch::no_grad(|| weight.copy_(&saved.unwrap().1));
    }
    to_the_end(Run::new(lesson.task(), &mut optimizer).unwrap()).2
}

#[test]
fn a_diverged_run_is_over_when_it_is_resumed() {
    let rule = Optimizer::Sgd(Sgd { lr: 1e30, ..Sgd::default() });
    let lesson = Lesson::new(rule);
    let mut optimizer = lesson.optimizer();
    let mut run = Run::new(lesson.task(), &mut optimizer).unwrap();
    run.advance().unwrap();
    run.advance().unwrap();
    // Not known yet: the sum of the losses is not finite, which a file must hold too.
    assert!(!run.is_over());
    let state = through_files(&run.save().unwrap());
    let mut optimizer = lesson.optimizer();
    let mut run = Run::resume(lesson.task(), &mut optimizer, &state).unwrap();
    run.advance().unwrap();
    assert!(run.is_over());
    let state = through_files(&run.save().unwrap());
    let mut optimizer = lesson.optimizer();
    let run = Run::resume(lesson.task(), &mut optimizer, &state).unwrap();
    assert!(run.is_over());
    let fit = run.finish().unwrap();
    assert!(fit.diverged && fit.steps == 3 && fit.best_step == 3);
}

#[test]
fn a_weight_that_is_not_finite_ends_a_run_although_its_loss_is() {
    for value in [f64::NEG_INFINITY, f64::NAN] {
        let lesson = Lesson::new(rules()[0].clone());
        let mut optimizer = lesson.optimizer();
        let mut run = Run::new(lesson.task(), &mut optimizer).unwrap();
        run.advance().unwrap();
        assert!(!run.is_over());
        // One hidden unit that is silent, whatever it sees.
        let bias = lesson.variables.variables().remove("classifier.1.bias").unwrap();
        let _ = tch::no_grad(|| bias.narrow(0, 0, 1).f_fill_(value)).unwrap();
        while !run.is_over() {
            run.advance().unwrap();
        }
        let fit = run.finish().unwrap();
        let last = fit.curve.last().unwrap();
        assert!(fit.diverged && fit.steps == 3 && fit.best_step == 3, "{value}: {fit:?}");
        assert_eq!(fit.curve.len(), 2, "step 0 and the end");
        assert_eq!(last.validation_loss.is_some(), value.is_infinite(), "{last:?}");
    }
}

fn remove(state: &mut State, name: &str) {
    let before = state.tensors.len();
    state.tensors.retain(|(known, _)| known != name);
    assert_eq!(state.tensors.len(), before - 1, "{name}");
}

#[test]
fn a_state_of_another_run_is_refused_by_name_and_nothing_is_changed() {
    let [rule, _] = rules();
    let lesson = Lesson::new(rule.clone());
    let mut optimizer = lesson.optimizer();
    let mut run = Run::new(lesson.task(), &mut optimizer).unwrap();
    run.advance().unwrap();

    let refuse = |change: &Change| {
        let mut state = run.save().unwrap();
        let mut other = Lesson::new(rule.clone());
        change(&mut other, &mut state);
        let before = bits(other.variables.variables());
        let mut optimizer = other.optimizer();
        let moments = bits(optimizer.state().unwrap());
        let message = Run::resume(other.task(), &mut optimizer, &state).unwrap_err().to_string();
        assert!(bits(other.variables.variables()) == before, "{message}");
        assert!(bits(optimizer.state().unwrap()) == moments, "{message}");
        message
    };
    let faults: [(&str, &Change); 15] = [
        ("seed: expected 3, got 4", &|_, state| state.notes.seed = 4),
        ("images: expected 10, got 11", &|_, state| state.notes.images = 11),
        ("schedule.batch: expected 5, got 4", &|lesson, _| lesson.schedule.batch = 5),
        ("schedule.steps: expected 9, got 8", &|lesson, _| lesson.schedule.steps = 9),
        ("schedule.evaluate_at", &|lesson, _| {
            lesson.schedule.evaluate_at.insert(2);
        }),
        ("schedule.keep_best: expected false", &|lesson, _| lesson.schedule.keep_best = false),
        ("schedule.release_at: expected None", &|lesson, _| lesson.schedule.release_at = None),
        ("schedule.rate: expected Constant, got Cosine", &|lesson, _| {
            lesson.schedule.rate = Rate::Constant
        }),
        ("step: expected at most 8 steps, got 9", &|_, state| state.notes.step = 9),
        ("weights/classifier.4.bias: missing", &|_, state| {
            remove(state, "weights/classifier.4.bias")
        }),
        ("best/classifier.4.bias: expected (Float, [4]), got (Float, [1])", &|_, state| {
            remove(state, "best/classifier.4.bias");
            state.tensors.push(("best/classifier.4.bias".into(), Tensor::from_slice(&[1_f32])));
        }),
        ("losses/sum: missing", &|_, state| remove(state, "losses/sum")),
        ("weights/other: unknown to this run, in the saved state", &|_, state| {
            state.tensors.push(("weights/other".into(), Tensor::from(1_f32)));
        }),
        ("classifier.4.weight.exp_avg: missing", &|_, state| {
            remove(state, "optimizer/classifier.4.weight.exp_avg")
        }),
        // The other rule misses its buffer first.
        ("classifier.1.bias.momentum_buffer: missing", &|lesson, _| {
            lesson.rule = rules()[1].clone()
        }),
    ];
    for (words, change) in faults {
        let message = refuse(change);
        assert!(message.starts_with(words), "{message}\n{words}");
    }
}

#[test]
fn saved_weights_without_the_signs_that_are_held_are_refused() {
    let [rule, _] = rules();
    let mut lesson = Lesson::new(rule);
    let mut optimizer = lesson.optimizer();
    let state = Run::new(lesson.task(), &mut optimizer).unwrap().save().unwrap();
    lesson.template = lesson.template.opposite();
    let mut optimizer = lesson.optimizer();
    let message = Run::resume(lesson.task(), &mut optimizer, &state).unwrap_err().to_string();
    assert!(message.contains("have not the signs held in the saved state"), "{message}");
}
