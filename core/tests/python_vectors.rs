//! What this crate computes, written down for the Python package, whose tests compute it again: its
//! kernels through PyTorch's tensors, and its twin in PyTorch's operations.
//!
//! `python/tests/vectors/` is renewed with `UPDATE_GOLDEN=1 cargo test --release -p polarity-core --test
//! python_vectors`; a change there is a change of what networks become.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use polarity_core::kernel::{
    AdamStep, AdamTensor, Fused, Hold, Momentum, ProjectTensor, ResetKey, SgdStep, SgdTensor,
};
use polarity_core::random::Stream;
use polarity_core::sign::{Reset, RuleTensor, Rules, Shuffle, SignMask, Template};
use serde_json::{Value, json};

const SHAPE: [usize; 2] = [9, 15];
const WEIGHTS: usize = SHAPE[0] * SHAPE[1];
const STEPS: u64 = 3;
const NAME: &str = "layer.weight";
const SEED: u64 = 7;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/tests/vectors")
}

/// Compares with the file `name`, or writes it.
fn must_be(name: &str, bytes: &[u8]) {
    let path = folder().join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, bytes).unwrap();
    }
    let kept = fs::read(&path).unwrap_or_default();
    assert!(kept == bytes, "{}: is not what is computed now", path.display());
}

fn numbers(purpose: &str) -> Vec<f32> {
    let mut stream = Stream::new(1, purpose);
    (0..WEIGHTS).map(|_| stream.symmetric()).collect()
}

/// A third of the weights free.
fn mask() -> SignMask {
    let mut stream = Stream::new(1, "mask");
    let signs: Vec<i8> = (0..WEIGHTS).map(|_| stream.below(3) as i8 - 1).collect();
    SignMask::from_signs(&signs)
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Weights and what a rule keeps for them.
struct State([Vec<f32>; 3]);

/// Runs a rule for some steps and writes down what it comes to.
fn run(reset: Reset, mut step: impl FnMut(&mut State, &[f32], u64, Hold<'_>)) -> Value {
    let mask = mask();
    let mut state = State([numbers("weights"), vec![0.0; WEIGHTS], vec![0.0; WEIGHTS]]);
    let fused = Fused::new(NonZeroUsize::MIN);
    let hold = |reset, step| {
        let key = ResetKey { seed: SEED, step, tensor: ResetKey::number(NAME) };
        Hold { mask: &mask, reset, key, order: None }
    };
    // The start of every run: violators are flipped.
    fused.project(vec![ProjectTensor { weights: &mut state.0[0], hold: hold(Reset::Flip, 0) }]);
    for number in 1..=STEPS {
        step(&mut state, &numbers(&format!("gradient {number}")), number, hold(reset, number));
    }
    json!(bits(&state.0[0]))
}

fn adam(weight_decay: f64, decoupled: bool, multiplied: bool, reset: Reset) -> Value {
    run(reset, |State([weights, first_moment, second_moment]), gradient, step, hold| {
        let (lr, beta1, beta2, eps) = (0.1, 0.9, 0.999, 1e-8);
        let step = AdamStep { lr, beta1, beta2, eps, weight_decay, decoupled, step };
        let hold = Some(hold);
        let tensor = AdamTensor { weights, gradient, first_moment, second_moment, step, hold };
        let fused = Fused::new(NonZeroUsize::MIN);
        if multiplied {
            fused.eg_adam(vec![tensor])
        } else {
            fused.adam(vec![tensor])
        };
    })
}

fn sgd(momentum: f64, nesterov: bool, multiplied: bool, reset: Reset) -> Value {
    run(reset, |State([weights, buffer, _]), gradient, step, hold| {
        let momentum = (momentum != 0.0).then_some(Momentum {
            buffer,
            first: step == 1,
            momentum,
            dampening: 0.0,
            nesterov,
        });
        let step = SgdStep { lr: 0.5, weight_decay: 0.01 };
        let tensor = SgdTensor { weights, gradient, momentum, step, hold: Some(hold) };
        let fused = Fused::new(NonZeroUsize::MIN);
        if multiplied {
            fused.eg(vec![tensor])
        } else {
            fused.sgd(vec![tensor])
        };
    })
}

#[test]
fn steps_give_the_bits_that_are_written_down() {
    let uniform = Reset::default();
    let constant = Reset::constant(0.01).unwrap();
    let gradients: Vec<_> =
        (1..=STEPS).map(|number| bits(&numbers(&format!("gradient {number}")))).collect();
    let vectors = json!({
        "name": NAME,
        "shape": SHAPE,
        "seed": SEED,
        "signs": mask().to_signs(),
        "weights": bits(&numbers("weights")),
        "gradients": gradients,
        "results": {
            "adam uniform": adam(0.0, false, false, uniform),
            "adam flip": adam(0.1, false, false, Reset::Flip),
            "adamw zero": adam(0.1, true, false, Reset::Zero),
            "sgd constant": sgd(0.0, false, false, constant),
            "sgd momentum uniform": sgd(0.9, false, false, uniform),
            "sgd nesterov uniform": sgd(0.9, true, false, uniform),
            "eg momentum uniform": sgd(0.9, false, true, uniform),
            "eg-adamw uniform": adam(0.1, true, true, uniform),
        },
    });
    must_be("steps.json", format!("{vectors}\n").as_bytes());
}

#[test]
fn templates_have_the_bytes_that_are_written_down() {
    let mut template = Template::new("an example, sha256 none");
    template.insert("conv.weight", [6, 3, 3, 3], SignMask::free(162)).unwrap();
    template.insert(NAME, SHAPE, mask()).unwrap();
    template.insert("ünïcode \"quoted\"\n.weight", [2, 3], SignMask::from_signs(&[1; 6])).unwrap();
    let rules: Rules = serde_json::from_str(
        r#"{"*.bias": "free", "ff.*": "positive", "rec": {"dale": 0.8, "seed": 3},
            "rows": {"dale": [1, -1, 0], "axis": "row"}, "out": {"edges": [[0, 1, "+"], [2, 0, -1]]}}"#,
    )
    .unwrap();
    let tensors = [
        ("ff.0.weight", vec![4, 3]),
        ("ff.0.bias", vec![4]),
        ("rec", vec![10, 10]),
        ("rows", vec![3, 2, 2]),
        ("out", vec![2, 3]),
    ];
    let tensors = tensors.iter().map(|(name, shape)| RuleTensor { name, shape, weights: None });
    let (ruled, _) = rules.template(tensors, "an example").unwrap();
    let random = template.random_like(Some(0.3), 5);
    for (name, template) in [
        ("template", &template),
        ("random", &random),
        ("own-shares", &template.random_like(None, 5)),
        ("shuffled", &random.shuffled(Shuffle::Tensor, 11)),
        ("shuffled-filters", &random.shuffled(Shuffle::Filter, 11)),
        ("flipped", &random.flipped(0.25, 13)),
        ("opposite", &random.opposite()),
        ("filled", &template.filled_from(&random).unwrap()),
        ("ruled", &ruled),
    ] {
        must_be(&format!("{name}.safetensors"), &template.to_bytes());
    }
}
