//! Computes one cell: a fresh network, its start, its training, its test.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tch::{Device, TchError, nn};

use super::knowledge::Knowledge;
use super::material::Material;
use super::start::{assign, draw, held};
use crate::data::subset::{self, Split};
use crate::experiment::cell::{ArmSpec, Cell, DataSpec, ImageSpec, Spec};
use crate::experiment::file::Select;
use crate::experiment::savepoint::Kept;
use crate::experiment::study::{Computed, Failure, Watch};
use crate::models::Network;
use crate::optim::{Frozen, Optimizer};
use crate::random::Stream;
use crate::results::table::{Outcome, Status};
use crate::sign::Template;
use crate::train::{self, Ended, ErrorCount, Fit, ImageSet, Rate, Run, Schedule, State, Task};
use crate::transfer;
use crate::weights::{Array, Checkpoint};

/// The most images that a rehearsal evaluates.
const REHEARSED: usize = 100;

/// Computes `cell` from `material` and, where its arm takes something from it, `source`; it goes on from
/// what is kept of it.
///
/// # Errors
/// When it is stopped, the source is missing or does not fit, or libtorch fails.
pub(crate) fn cell(
    cell: &Cell,
    material: &Material,
    source: Option<&Knowledge>,
    device: Device,
    watch: &Watch,
) -> Result<Computed, Failure> {
    let spec = &cell.spec;
    let schedule = Schedule {
        batch: spec.train.batch,
        steps: spec.train.steps,
        evaluate_at: spec.train.evaluate_at.steps().iter().copied().collect(),
        keep_best: spec.train.select == Select::Best,
        release_at: spec.arm.as_ref().and_then(|arm| arm.release_at),
        rate: spec.train.rate,
    };
    // The test has the room of the optimizer's moments.
    let (ready, ended) = loop {
        let (ready, mut optimizer) = Ready::new(spec, material, source, device)?;
        if let Some(ended) = to_the_end(cell, ready.task(&schedule), &mut optimizer, watch)? {
            break (ready, ended);
        }
    };
    let judge = Judge::new(&ready, material)?;
    let last = if ended.has_diverged() { None } else { Some(judge.errors()?) };
    let fitted = ended.choose()?;
    let outcome = judge.outcome(&fitted, last)?;
    let weights = spec.arm.is_none().then(|| checkpoint(&ready.variables)).transpose()?;
    Ok(Computed { outcome, curve: fitted.curve, seconds: fitted.seconds, weights })
}

/// Trains `cell` to its end, from its start on or from what is kept of it; none where that is of another
/// run: it is set aside then, and the network is no longer at its start.
fn to_the_end(
    cell: &Cell,
    task: Task,
    optimizer: &mut Frozen<Optimizer>,
    watch: &Watch,
) -> Result<Option<Ended>, Failure> {
    let mut run = match watch.latest(cell) {
        None => Run::new(task, optimizer)?,
        Some(Kept { step, notes, tensors, path }) => {
            match Run::resume(task, optimizer, &State { tensors, notes }) {
                Ok(run) => {
                    watch.resumed(cell, step);
                    run
                }
                Err(train::Error::Torch(error)) => return Err(error.into()),
                Err(error) => {
                    watch.refuse(cell, &path, error.to_string());
                    return Ok(None);
                }
            }
        }
    };
    let mut kept = run.progress().step;
    loop {
        let progress = run.progress();
        let goes_on = watch.step(cell, progress);
        if goes_on.is_continue() && run.is_over() {
            return Ok(Some(run.end()));
        }
        if progress.step > kept && watch.is_due(goes_on) {
            let state = run.state()?;
            watch.keep(cell, progress.step, &state.notes, &state.tensors);
            kept = progress.step;
        }
        if goes_on.is_break() {
            return Err(train::Error::Stopped.into());
        }
        run.advance()?;
    }
}

/// How fast a cell is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Seconds a step.
    pub(super) step: f64,
    /// Seconds an image that is evaluated.
    pub(super) image: f64,
}

/// How fast the cell `spec` is, timed over
/// `steps` steps after some that are not. The arm takes nothing from a source, which costs the same.
///
/// # Errors
/// What libtorch says, when memory runs out for example.
pub(super) fn rehearse(
    spec: &Spec,
    material: &Material,
    device: Device,
    steps: u64,
) -> Result<Pace, Failure> {
    let mut spec = spec.clone();
    let mut data = images(&spec)?.clone();
    data.validation = data.validation.min(REHEARSED);
    let validation = data.validation;
    data.train_size = data.train_size.min(spec.train.batch);
    spec.data = Arc::new(DataSpec::Images(data));
    let plain =
        |arm: &ArmSpec| ArmSpec { hold: arm.hold.clone(), reset: arm.reset, ..ArmSpec::fresh() };
    spec.arm = spec.arm.as_deref().map(plain).map(Arc::new);
    let (ready, mut optimizer) = Ready::new(&spec, material, None, device)?;
    let mut run = |steps| -> Result<(f64, f64), Failure> {
        let start = Instant::now();
        let schedule = Schedule {
            batch: spec.train.batch,
            steps,
            evaluate_at: BTreeSet::new(),
            keep_best: false,
            release_at: None,
            rate: Rate::Constant,
        };
        let task = ready.task(&schedule);
        let fitted = train::fit(&task, &mut optimizer, &mut |_| ControlFlow::Continue(()))?;
        Ok((start.elapsed().as_secs_f64(), fitted.seconds.evaluation))
    };
    run(1)?;
    let (one, evaluation) = run(1)?;
    let (more, _) = run(1 + steps)?;
    let step = (more - one).max(0.0) / steps as f64;
    Ok(Pace { step, image: evaluation / validation as f64 })
}

/// A network at its start, and the images it will see.
struct Ready {
    /// That of every stream the cell draws from.
    seed: u64,
    variables: nn::VarStore,
    net: Network,
    start: Template,
    train: ImageSet,
    validation: ImageSet,
}

impl Ready {
    /// The start of the cell `spec`, and its optimizer.
    fn new(
        spec: &Spec,
        material: &Material,
        source: Option<&Knowledge>,
        device: Device,
    ) -> Result<(Self, Frozen<Optimizer>), Failure> {
        let seed = spec.stream_seed();
        let variables = nn::VarStore::new(device);
        let net = spec
            .model
            .assemble(&variables.root(), material.train.classes)
            .with_precision(spec.train.precision);
        draw(&net, spec.arm.as_deref(), seed)?;
        let start = match &spec.arm {
            Some(arm) => assign(arm, source, &variables, seed)?,
            None => transfer::own_signs(&variables)?,
        };
        let threads = NonZeroUsize::new(spec.train.threads).unwrap_or(NonZeroUsize::MIN);
        let held = held(spec.arm.as_deref(), &start);
        let optimizer = Frozen::new(&variables, held, spec.train.optimizer.clone())?
            .with_reset(spec.arm.as_ref().and_then(|arm| arm.reset).unwrap_or_default())
            .with_seed(Stream::new(seed, "reset").bits())
            .with_threads(threads);
        let (train, validation) = split(images(spec)?, seed, material, device)?;
        Ok((Ready { seed, variables, net, start, train, validation }, optimizer))
    }

    fn task<'a>(&'a self, schedule: &'a Schedule) -> Task<'a> {
        let Ready { seed, variables, net, train, validation, .. } = self;
        Task { net, variables, train, validation, schedule, seed: *seed }
    }
}

/// The images of a cell.
pub(crate) fn images(spec: &Spec) -> Result<&ImageSpec, Failure> {
    spec.data.images().ok_or(Failure::OtherKind)
}

/// The weights of a network.
fn checkpoint(variables: &nn::VarStore) -> Result<Checkpoint, TchError> {
    let arrays = variables.variables().into_iter().map(|(name, tensor)| {
        let shape = tensor.size().iter().map(|&side| side as usize).collect();
        let values = Vec::<f32>::try_from(tensor.detach().f_flatten(0, -1)?)?;
        let array = Array::new(shape, values).expect("a tensor's values fill its shape");
        Ok((name, array))
    });
    arrays.collect()
}

/// Training and validation images.
fn split(
    data: &ImageSpec,
    seed: u64,
    material: &Material,
    device: Device,
) -> Result<(ImageSet, ImageSet), TchError> {
    let mut stream = Stream::new(seed, "subset");
    let Split { training, validation } =
        subset::split(&material.train.labels, data.validation, data.subset, &mut stream);
    let training = &training[..data.train_size];
    let set = |places| ImageSet::new(&material.train, places, &material.input, device);
    Ok((set(training)?, set(&validation)?))
}

/// Looks at a network as it is: the test images are looked at here, and nowhere else.
struct Judge<'a> {
    ready: &'a Ready,
    test: ImageSet,
}

/// The errors of a network with its weights of one step.
#[derive(Clone, Copy)]
struct Errors {
    test: ErrorCount,
    train: ErrorCount,
}

impl<'a> Judge<'a> {
    fn new(ready: &'a Ready, material: &Material) -> Result<Self, TchError> {
        let all: Vec<usize> = (0..material.test.len()).collect();
        let device = ready.variables.device();
        let test = ImageSet::new(&material.test, &all, &material.input, device)?;
        Ok(Judge { ready, test })
    }

    /// The errors with the weights that the network has now.
    fn errors(&self) -> Result<Errors, TchError> {
        let Ready { net, train, .. } = self.ready;
        let error = |set| train::evaluate(net, set).map(|evaluation| evaluation.error);
        Ok(Errors { test: error(&self.test)?, train: error(train)? })
    }

    /// The row of `trials.csv` of a run that came to `fitted`, whose weights the network has now, and had
    /// the errors `last` with those of its last step; it had none if it diverged.
    fn outcome(&self, fitted: &Fit, last: Option<Errors>) -> Result<Outcome, Failure> {
        let Ready { variables, start, validation, .. } = self.ready;
        let end = fitted.curve.last();
        let mut outcome = Outcome {
            status: Status::Diverged,
            validation_images: Some(validation.len() as u64),
            steps: fitted.steps,
            violations_after: transfer::violations(start, variables)?,
            resets: end.map_or(0, |point| point.resets),
            sign_flips: end.map_or(0, |point| point.sign_flips),
            ..Outcome::failed()
        };
        if let Some(last) = last {
            let is_last = fitted.best_step == fitted.steps;
            let chosen = if is_last { last } else { self.errors()? };
            let at = |step| fitted.curve.iter().find(|point| point.step == step);
            let validation_error = |step| at(step).map(|point| point.validation_error);
            outcome.status = Status::Done;
            outcome.test_error = Some(chosen.test);
            outcome.validation_error = validation_error(fitted.best_step);
            outcome.train_error = Some(chosen.train);
            outcome.best_step = Some(fitted.best_step);
            outcome.test_error_last = Some(last.test);
            outcome.validation_error_last = validation_error(fitted.steps);
            outcome.train_error_last = Some(last.train);
            outcome.test_images = Some(self.test.len() as u64);
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::data::Images;
    use crate::experiment::cell::{RESULTS_VERSION, Share};
    use crate::experiment::file::Evaluations;
    use crate::optim::Sgd;
    use crate::train::Input;
    use tch::Tensor;

    const SIDE: usize = 28;

    fn material() -> Material {
        let images = |count: usize| Images {
            channels: 1,
            height: SIDE,
            width: SIDE,
            pixels: (0..count * SIDE * SIDE).map(|place| (place * 31 % 251) as u8).collect(),
            labels: (0..count).map(|image| (image % 4) as u16).collect(),
            classes: 4,
        };
        let input = Input { channels: 1, size: SIDE, mean: vec![0.5], deviation: vec![0.3] };
        Material { train: images(60), test: images(4), input }
    }

    fn spec(arm: &str, seed: u64) -> Spec {
        let arm: serde_json::Value = serde_yaml::from_str(arm).unwrap();
        let model: serde_json::Value = serde_yaml::from_str("{name: alexnet-mini}").unwrap();
        let train: serde_json::Value = serde_yaml::from_str(
            "{optimizer: {adam: {lr: 0.001}}, batch: 4, steps: 2, evaluate_at: [0, 2], select: last, \
             threads: 1, precision: float32}",
        )
        .unwrap();
        Spec {
            version: RESULTS_VERSION,
            device: "cpu".into(),
            data: Arc::new(DataSpec::Images(ImageSpec {
                digest: String::new(),
                share: Share::Whole,
                classes: None,
                image_size: SIDE,
                normalise: Default::default(),
                channels: Default::default(),
                subset: Default::default(),
                train_size: 12,
                validation: 8,
                test: None,
            })),
            model: serde_json::from_value(model).unwrap(),
            arm: Some(serde_json::from_value(arm).unwrap()),
            train: serde_json::from_value(train).unwrap(),
            seed,
        }
    }

    fn bits(set: &ImageSet) -> (Vec<u32>, Vec<i64>) {
        let (images, labels) = set.slice(0, set.len()).unwrap();
        let flat = |tensor: Tensor| tensor.flatten(0, -1);
        let images = Vec::<f32>::try_from(flat(images)).unwrap();
        (images.iter().map(|x| x.to_bits()).collect(), Vec::try_from(flat(labels)).unwrap())
    }

    const FRESH: &str = "{signs: init, magnitudes: init, hold: none}";

    /// The weight tensors that the cell `spec` starts from.
    fn start(spec: &Spec) -> Vec<Vec<f32>> {
        let (ready, _) = Ready::new(spec, &material(), None, Device::Cpu).unwrap();
        let tensors = transfer::constrained(&ready.variables).into_iter();
        tensors.map(|(_, tensor)| Vec::try_from(tensor.flatten(0, -1)).unwrap()).collect()
    }

    #[test]
    fn a_source_starts_from_other_weights_than_the_fresh_network_of_its_seed() {
        for seed in 0..3 {
            let fresh = start(&spec(FRESH, seed));
            let source = start(&Spec { arm: None, ..spec(FRESH, seed) });
            for (fresh, source) in fresh.iter().zip(&source) {
                let as_large = |(a, b): &(&f32, &f32)| a.abs() == b.abs();
                let same = fresh.iter().zip(source).filter(as_large).count();
                assert!(same <= fresh.len() / 1000, "seed {seed}: {same} of {}", fresh.len());
            }
        }
    }

    /// The row of `spec` after `steps` steps.
    fn outcome(mut spec: Spec, steps: u64, select: Select) -> Outcome {
        let train = Arc::make_mut(&mut spec.train);
        train.steps = steps;
        train.evaluate_at = Evaluations::Steps((0..=steps).collect());
        train.select = select;
        let watch = Watch {
            stop: &AtomicBool::new(false),
            tell: &|_, _| ControlFlow::Continue(()),
            savepoint: None,
        };
        let of_arm = Cell::new("arm", Vec::new(), spec);
        cell(&of_arm, &material(), None, Device::Cpu, &watch).unwrap().outcome
    }

    /// Errors on test, validation and training images, after the chosen and after the last step.
    fn errors(outcome: &Outcome) -> [[Option<ErrorCount>; 3]; 2] {
        let Outcome { test_error, validation_error, train_error, .. } = *outcome;
        let Outcome { test_error_last, validation_error_last, train_error_last, .. } = *outcome;
        [
            [test_error, validation_error, train_error],
            [test_error_last, validation_error_last, train_error_last],
        ]
    }

    #[test]
    fn errors_after_the_chosen_and_the_last_step_are_those_of_runs_that_end_there() {
        const STEPS: u64 = 6;
        let mut seen = BTreeSet::new();
        for seed in 0..20 {
            let spec = || spec(FRESH, seed);
            let best = outcome(spec(), STEPS, Select::Best);
            let chosen = best.best_step.unwrap();
            if chosen == STEPS || !seen.insert(chosen) {
                continue;
            }
            let [short, long] = [chosen, STEPS].map(|steps| outcome(spec(), steps, Select::Last));
            assert_eq!(errors(&best), [errors(&short)[1], errors(&long)[1]], "seed {seed}");
            assert_eq!(errors(&long)[0], errors(&long)[1]);
            assert_eq!((best.steps, long.best_step), (STEPS, Some(STEPS)));
            assert_eq!((best.validation_images, best.test_images), (Some(8), Some(4)));
        }
        assert!(seen.contains(&0) && seen.len() > 1, "steps chosen: {seen:?}");
    }

    #[test]
    fn a_run_that_diverged_is_tested_nowhere_and_says_what_its_curve_is_of() {
        let mut spec = spec(FRESH, 0);
        Arc::make_mut(&mut spec.train).optimizer =
            Optimizer::Sgd(Sgd { lr: 1e30, ..Sgd::default() });
        let outcome = outcome(spec, 4, Select::Best);
        assert_eq!(outcome.status, Status::Diverged);
        assert_eq!((errors(&outcome), outcome.test_images), ([[None; 3]; 2], None));
        assert_eq!(outcome.validation_images, Some(8));
    }

    #[test]
    fn the_validation_images_of_a_seed_are_the_same_at_every_training_size() {
        let validation = |train_size| {
            let mut spec = images(&spec(FRESH, 3)).unwrap().clone();
            spec.train_size = train_size;
            bits(&split(&spec, 3, &material(), Device::Cpu).unwrap().1)
        };
        assert_eq!(validation(12), validation(40));
    }

    #[test]
    fn arms_of_a_seed_have_the_same_images_bit_for_bit() {
        let images = |arm: &str, seed| {
            let (train, validation) =
                split(images(&spec(arm, seed)).unwrap(), seed, &material(), Device::Cpu).unwrap();
            [bits(&train), bits(&validation)]
        };
        let first = images(FRESH, 3);
        for arm in [
            "{signs: source, magnitudes: source, hold: all, reset: flip}",
            "{signs: {shuffled: tensor}, magnitudes: init, only: [features], hold: all}",
            "{signs: random, magnitudes: {shuffled: filter}, hold: {except: [classifier]}}",
        ] {
            assert_eq!(images(arm, 3), first, "{arm}");
        }
        assert_ne!(images(FRESH, 4), first);
    }

    /// Weights and biases by name at the start of an arm that takes nothing from a source.
    fn started(arm: &str, seed: u64) -> BTreeMap<String, Vec<f32>> {
        let (ready, _) = Ready::new(&spec(arm, seed), &material(), None, Device::Cpu).unwrap();
        let values = |tensor: Tensor| Vec::try_from(tensor.detach().flatten(0, -1)).unwrap();
        let tensors = ready.variables.variables().into_iter();
        tensors.map(|(name, tensor)| (name, values(tensor))).collect()
    }

    #[test]
    fn normal_magnitudes_are_those_of_every_arm_of_a_seed_under_signs_and_biases_of_its_own() {
        let own = started("{signs: init, magnitudes: init, hold: none}", 3);
        let normal = started("{signs: init, magnitudes: normal, hold: none}", 3);
        let random = started("{signs: random, magnitudes: normal, hold: all}", 3);
        let other = started("{signs: init, magnitudes: normal, hold: none}", 4);
        let map = |values: &[f32], of: fn(&f32) -> f32| values.iter().map(of).collect::<Vec<_>>();
        let magnitudes = |values: &[f32]| map(values, |x| x.abs());
        let signs = |values: &[f32]| map(values, |x| x.signum());
        for (name, values) in &normal {
            if name.ends_with("bias") {
                assert_eq!((values, &random[name]), (&own[name], &own[name]), "{name}");
                continue;
            }
            assert_eq!(signs(values), signs(&own[name]), "{name}");
            assert_eq!(magnitudes(values), magnitudes(&random[name]), "{name}");
            assert_ne!(signs(values), signs(&random[name]), "{name}");
            assert_ne!(magnitudes(values), magnitudes(&own[name]), "{name}");
            assert_ne!(magnitudes(values), magnitudes(&other[name]), "{name}");
        }
    }
}
