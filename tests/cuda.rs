//! What a GPU computes agrees with the CPU's kernels. Where there is no device each test says so and passes over:
//! `make test-cuda` prints why.

mod common;

use common::Laboratory;
use polarity::optim::{Adam, Eg, EgAdamW, Frozen, Optimizer, Sgd};
use polarity::random::Stream;
use polarity::results::table::{Status, read_trials};
use polarity::sign::{Reset, SignMask, Template};
use tch::{Device, Kind, Tensor, nn};

/// A device of CUDA, or a line that says why there is none.
fn device() -> Option<Device> {
    match polarity::cuda::devices() {
        Ok(_) => Some(Device::Cuda(0)),
        Err(lack) => {
            eprintln!("skipped: no device: {lack}");
            None
        }
    }
}

const SHAPE: [i64; 2] = [37, 53];

fn values(purpose: &str) -> Tensor {
    let mut stream = Stream::new(1, purpose);
    let count = SHAPE.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|_| 0.1 * (stream.uniform() - 0.5)).collect();
    Tensor::from_slice(&values).reshape(SHAPE)
}

/// Signs of which every third is free.
fn template() -> Template {
    let count = SHAPE.iter().product::<i64>() as usize;
    let signs: Vec<i8> = (0..count).map(|index| [1, -1, 0][index % 3]).collect();
    let mut template = Template::new("every third is free");
    template
        .insert("layer.weight", SHAPE.map(|side| side as usize), SignMask::from_signs(&signs))
        .unwrap();
    template
}

/// The weights after some steps on `device`, and how many were reset.
fn trained(device: Device, kind: Kind, rule: &Optimizer, reset: Reset) -> (Vec<f64>, u64) {
    let variables = nn::VarStore::new(device);
    let _ = (variables.root() / "layer").var_copy("weight", &values("start").to_device(device));
    let mut variables = variables;
    if kind == Kind::Double {
        variables.double();
    }
    let frozen = Frozen::new(&variables, template(), rule.clone()).unwrap();
    let mut frozen = frozen.with_reset(reset).with_seed(3);
    let weight = variables.variables()["layer.weight"].shallow_clone();
    for step in 0..20 {
        let wanted = values(&format!("gradient {step}")).to_device(device).to_kind(kind);
        frozen.backward_step(&(&weight * wanted).sum(kind)).unwrap();
        assert_eq!(frozen.violations().unwrap(), 0);
    }
    let end = weight.to_device(Device::Cpu).to_kind(Kind::Double).flatten(0, -1);
    (Vec::try_from(end).unwrap(), frozen.counts().unwrap().resets)
}

#[test]
fn every_optimizer_and_reset_comes_to_the_cpus_weights_but_for_rounding() {
    let Some(device) = device() else { return };
    let rules = [
        Optimizer::Adam(Adam { lr: 0.01, ..Adam::default() }),
        Optimizer::Adam(Adam { lr: 0.01, weight_decay: 0.1, decoupled: true, ..Adam::default() }),
        Optimizer::Sgd(Sgd { lr: 0.5, momentum: 0.9, ..Sgd::default() }),
        Optimizer::Eg(Eg { lr: 1.0, ..Eg::default() }),
        Optimizer::EgAdamW(EgAdamW { lr: 0.05, ..EgAdamW::default() }),
    ];
    let resets = [Reset::Zero, Reset::Flip, Reset::default(), Reset::constant(1e-3).unwrap()];
    for rule in &rules {
        for reset in resets {
            for kind in [Kind::Float, Kind::Double] {
                let (there, on_gpu) = trained(device, kind, rule, reset);
                let (here, on_cpu) = trained(Device::Cpu, kind, rule, reset);
                // A weight that ends next to zero may be reset on one and not on the other.
                let far = |(a, b): &(&f64, &f64)| (*a - *b).abs() > 1e-4;
                let apart = here.iter().zip(&there).filter(far).count();
                let what = format!("{rule:?}, {reset}, {kind:?}");
                assert!(apart <= here.len() / 200, "{what}: {apart} of {} weights", here.len());
                assert!(on_gpu.abs_diff(on_cpu) <= on_cpu / 100 + 2, "{what}: {on_gpu} {on_cpu}");
            }
        }
    }
}

#[test]
fn random_resets_are_the_cpus_draws_bit_for_bit() {
    let Some(device) = device() else { return };
    // Steps that put every held weight on the other side, so that all of them are drawn.
    let rule = Optimizer::Sgd(Sgd { lr: 1e3, ..Sgd::default() });
    let [there, here] = [device, Device::Cpu].map(|device| {
        let (weights, _) = trained(device, Kind::Float, &rule, Reset::default());
        weights
            .into_iter()
            .filter(|weight| weight.abs() < 1e-3)
            .map(f64::to_bits)
            .collect::<Vec<_>>()
    });
    assert!(here.len() > 100, "{}", here.len());
    assert_eq!(there, here);
}

#[test]
fn a_small_study_runs_and_goes_on_on_the_gpu() {
    if device().is_none() {
        return;
    }
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab.run_and_interrupt(&["--device", "cuda:0", "train.steps=60"]);
    lab.run(&["--device", "cuda:0", "train.steps=60"]);
    let trials = read_trials(&lab.path("results/tiny/trials.csv")).unwrap();
    assert!(trials.len() > 18 && trials.iter().all(|trial| trial.outcome.status == Status::Done));
    let held = trials.iter().filter(|trial| trial.key.arm == "frozen");
    assert!(held.into_iter().all(|trial| trial.outcome.violations_after == 0));
}
