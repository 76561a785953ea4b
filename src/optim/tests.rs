//! The promises of the optimizers: held signs stay, fluid training is untouched, routes agree.

use proptest::prelude::*;
use tch::nn::OptimizerConfig;
use tch::{Device, Kind, Tensor, nn};

use super::{Adam, Eg, EgAdamW, Error, Frozen, FrozenAdam, Optimizer, Rule, Sgd};
use crate::random::Stream;
use crate::sign::{Reset, SignMask, Template};
use crate::transfer;

/// Lengths around the width of a mask's word.
const SHAPES: [[i64; 2]; 4] = [[3, 21], [8, 8], [5, 13], [40, 25]];

/// Variables `a.weight` to `d.weight` and a bias, the same values for the same seed.
fn variables(seed: u64, kind: Kind) -> nn::VarStore {
    let mut variables = nn::VarStore::new(Device::Cpu);
    for (shape, name) in SHAPES.iter().zip(["a", "b", "c", "d"]) {
        let values = random_tensor(&mut Stream::new(seed, name), shape);
        let _ = variables.root().sub(name).var_copy("weight", &values);
    }
    let _ = variables
        .root()
        .sub("a")
        .var_copy("bias", &random_tensor(&mut Stream::new(seed, "bias"), &[3]));
    if kind == Kind::Double {
        variables.double();
    }
    variables
}

fn random_tensor(stream: &mut Stream, shape: &[i64]) -> Tensor {
    let count: i64 = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| 0.1 * (stream.uniform() - 0.5)).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// Gives every variable a gradient that depends on the step alone.
fn set_gradients(variables: &nn::VarStore, step: u64) {
    for (name, tensor) in sorted(variables) {
        let wanted = random_tensor(&mut Stream::new(step, &name), &tensor.size());
        let loss = (&tensor * wanted.to_kind(tensor.kind())).sum(tensor.kind());
        loss.backward();
    }
}

fn sorted(variables: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut tensors: Vec<_> = variables.variables().into_iter().collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

fn values(variables: &nn::VarStore) -> Vec<Vec<f32>> {
    let flat = |tensor: Tensor| Vec::try_from(tensor.to_kind(Kind::Float).flatten(0, -1)).unwrap();
    sorted(variables).into_iter().map(|(_, tensor)| flat(tensor)).collect()
}

fn take_steps<R: Rule>(optimizer: &mut Frozen<R>, variables: &nn::VarStore, steps: u64) {
    for step in 0..steps {
        optimizer.zero_grad().unwrap();
        set_gradients(variables, step);
        optimizer.step().unwrap();
    }
}

fn all_free(variables: &nn::VarStore) -> Template {
    let mut template = Template::new("free");
    for (name, tensor) in transfer::constrained(variables) {
        let shape: Vec<usize> = tensor.size().iter().map(|side| *side as usize).collect();
        template.insert(name, shape, SignMask::free(tensor.numel())).unwrap();
    }
    template
}

fn rules() -> [Optimizer; 7] {
    [
        Optimizer::Adam(Adam { lr: 0.01, ..Adam::default() }),
        Optimizer::Adam(Adam { lr: 0.01, weight_decay: 0.1, decoupled: true, ..Adam::default() }),
        Optimizer::Sgd(Sgd { lr: 0.5, ..Sgd::default() }),
        Optimizer::Sgd(Sgd { lr: 0.1, momentum: 0.9, nesterov: true, ..Sgd::default() }),
        Optimizer::Eg(Eg { lr: 5.0, weight_decay: 0.01, ..Eg::default() }),
        Optimizer::Eg(Eg { lr: 1.0, momentum: 0.9, nesterov: true, ..Eg::default() }),
        Optimizer::EgAdamW(EgAdamW { lr: 0.05, ..EgAdamW::default() }),
    ]
}

/// Whether a rule multiplies held weights, so that none of them ever crosses zero.
fn multiplies(rule: &Optimizer) -> bool {
    matches!(rule, Optimizer::Eg(_) | Optimizer::EgAdamW(_))
}

#[test]
fn a_share_of_the_learning_rate_is_a_rule_with_that_rate_on_both_routes() {
    for rule in rules() {
        for fused in [true, false] {
            let ends = [0.25, 1.0].map(|share| {
                let variables = variables(1, Kind::Float);
                let rule = if share < 1.0 { rule.clone() } else { rule.at_rate(0.25) };
                let mut optimizer = Frozen::new(&variables, all_free(&variables), rule).unwrap();
                if !fused {
                    optimizer.fused = None;
                }
                optimizer.set_rate(share);
                take_steps(&mut optimizer, &variables, 3);
                values(&variables)
            });
            assert_eq!(ends[0], ends[1], "{rule:?}");
        }
    }
}

#[test]
fn an_all_free_template_trains_bit_for_bit_like_none() {
    for rule in rules() {
        let [held, fluid] = [variables(1, Kind::Float), variables(1, Kind::Float)];
        let mut frozen = Frozen::new(&held, all_free(&held), rule.clone()).unwrap();
        let mut plain = Frozen::new(&fluid, Template::new("none"), rule).unwrap();
        take_steps(&mut frozen, &held, 50);
        take_steps(&mut plain, &fluid, 50);
        assert_eq!(values(&held), values(&fluid));
        assert_eq!(frozen.counts().unwrap(), plain.counts().unwrap());
        assert!(plain.counts().unwrap().sign_flips > 0);
    }
}

fn resets() -> [Reset; 4] {
    [Reset::Zero, Reset::Flip, Reset::default(), Reset::constant(0.01).unwrap()]
}

#[test]
fn no_held_weight_violates_after_any_step_by_any_rule() {
    for rule in rules() {
        for reset in resets() {
            let variables = variables(2, Kind::Float);
            let template = transfer::own_signs(&variables).unwrap();
            let optimizer = Frozen::new(&variables, template.clone(), rule.clone()).unwrap();
            let mut optimizer = optimizer.with_reset(reset);
            for step in 0..20 {
                optimizer.zero_grad().unwrap();
                set_gradients(&variables, step);
                optimizer.step().unwrap();
                assert_eq!(optimizer.violations().unwrap(), 0);
                assert_eq!(transfer::violations(&template, &variables).unwrap(), 0);
            }
            assert_eq!(optimizer.counts().unwrap().resets == 0, multiplies(&rule), "{rule:?}");
        }
    }
}

#[test]
fn the_fused_pass_and_tensor_operations_agree() {
    for rule in rules() {
        let [one, other] = [variables(3, Kind::Float), variables(3, Kind::Float)];
        let template = transfer::own_signs(&one).unwrap();
        let mut fused = Frozen::new(&one, template.clone(), rule.clone()).unwrap().with_seed(7);
        let mut plain = Frozen::new(&other, template, rule).unwrap().with_seed(7);
        plain.fused = None;
        take_steps(&mut fused, &one, 1);
        take_steps(&mut plain, &other, 1);
        // From the same weights the same weights violate, and they draw the same numbers.
        assert_eq!(fused.counts_by_tensor().unwrap(), plain.counts_by_tensor().unwrap());
        for (fused, plain) in values(&one).concat().iter().zip(values(&other).concat()) {
            // One rounding of a weight of at most 0.05 and of a step of at most 0.05.
            assert!((fused - plain).abs() <= 2e-8, "{fused} {plain}");
        }
    }
}

#[test]
fn float64_weights_are_trained_and_held_too() {
    let variables = variables(4, Kind::Double);
    let template = transfer::own_signs(&variables).unwrap();
    let mut optimizer = FrozenAdam::new(&variables, template, Adam::default()).unwrap();
    take_steps(&mut optimizer, &variables, 60);
    assert_eq!(optimizer.violations().unwrap(), 0);
    assert!(optimizer.counts().unwrap().resets > 0);
}

#[test]
fn weights_that_lie_column_by_column_are_held_where_their_signs_say() {
    let [rows, columns] = [variables(5, Kind::Float), variables(5, Kind::Float)];
    for (_, mut weight) in transfer::constrained(&columns) {
        let permuted = weight.detach().tr().contiguous().tr();
        assert!(!permuted.is_contiguous());
        weight.set_data(&permuted);
    }
    let template = transfer::own_signs(&rows).unwrap();
    for vs in [&rows, &columns] {
        let mut optimizer = FrozenAdam::new(vs, template.clone(), Adam::default()).unwrap();
        take_steps(&mut optimizer, vs, 60);
        assert_eq!(optimizer.violations().unwrap(), 0);
        assert!(optimizer.counts().unwrap().resets > 0);
    }
    for (one, other) in values(&rows).concat().iter().zip(values(&columns).concat()) {
        // Sixty steps of 0.001, each with a rounding of its own.
        assert!((one - other).abs() < 1e-5, "{one} {other}");
    }
}

#[test]
fn empty_and_scalar_variables_are_no_trouble() {
    let variables = nn::VarStore::new(Device::Cpu);
    let _ = variables.root().var_copy("scalar", &Tensor::from(1f32));
    let _ = variables.root().var_copy("weight", &Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)));
    let template = transfer::own_signs(&variables).unwrap();
    let adam = Adam { lr: 0.25, ..Adam::default() };
    let mut optimizer = FrozenAdam::new(&variables, template, adam).unwrap();
    let tensors = variables.variables();
    let loss = &tensors["scalar"] + tensors["weight"].sum(Kind::Float);
    optimizer.backward_step(&loss).unwrap();
    assert_eq!(values(&variables), [vec![0.75], vec![]]);
}

/// libtorch's own optimizer on the same gradients.
fn libtorch(config: impl OptimizerConfig, variables: &nn::VarStore, lr: f64) -> nn::Optimizer {
    config.build(variables, lr).unwrap()
}

/// The largest distance between ours and theirs at any of 200 steps, ‖ours − theirs‖ / ‖theirs‖.
fn drift(rule: Optimizer, theirs: impl Fn(&nn::VarStore) -> nn::Optimizer) -> f64 {
    let [ours, other] = [variables(5, Kind::Float), variables(5, Kind::Float)];
    let mut optimizer = Frozen::new(&ours, Template::new("none"), rule).unwrap();
    let mut reference = theirs(&other);
    let norm = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let mut worst: f64 = 0.0;
    for step in 0..200 {
        optimizer.zero_grad().unwrap();
        set_gradients(&ours, step);
        optimizer.step().unwrap();
        reference.zero_grad();
        set_gradients(&other, step);
        reference.step();
        let (ours, theirs) = (values(&ours).concat(), values(&other).concat());
        let apart: Vec<f32> =
            ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs).collect();
        worst = worst.max(norm(&apart) / norm(&theirs));
    }
    worst
}

#[test]
fn fluid_steps_agree_with_libtorch_over_two_hundred_steps() {
    let adam = Adam { lr: 0.01, ..Adam::default() };
    let worst = drift(Optimizer::Adam(adam), |vs| libtorch(nn::Adam::default(), vs, 0.01));
    assert!(worst < 1e-6, "adam {worst}");

    let adamw = Adam { lr: 0.01, weight_decay: 0.01, decoupled: true, ..Adam::default() };
    let worst = drift(Optimizer::Adam(adamw), |vs| libtorch(nn::AdamW::default(), vs, 0.01));
    assert!(worst < 1e-6, "adamw {worst}");

    let sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01, dampening: 0.0 };
    let config = nn::Sgd { momentum: 0.9, dampening: 0.0, wd: 0.01, nesterov: true };
    let worst = drift(Optimizer::Sgd(sgd), |vs| libtorch(config, vs, 0.1));
    assert!(worst < 1e-6, "sgd {worst}");
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let variables = nn::VarStore::new(Device::Cpu);
        let weight = random_tensor(&mut Stream::new(1, "w"), &[300, 1001]);
        let _ = variables.root().sub("large").var_copy("weight", &weight);
        let template = transfer::own_signs(&variables).unwrap();
        let optimizer = FrozenAdam::new(&variables, template, Adam { lr: 0.05, ..Adam::default() });
        let mut optimizer = optimizer.unwrap().with_threads(threads.try_into().unwrap());
        take_steps(&mut optimizer, &variables, 5);
        (values(&variables), optimizer.counts().unwrap())
    };
    let one = run(1);
    assert!(one.1.resets > 0);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
fn a_saved_state_goes_on_as_if_nothing_had_happened() {
    let with_state = rules().into_iter().filter(|rule| !rule.buffers().is_empty());
    for rule in with_state {
        let [whole, resumed, cold] = [0; 3].map(|_| variables(6, Kind::Float));
        let template = transfer::own_signs(&whole).unwrap();
        let new = |vs: &nn::VarStore| Frozen::new(vs, template.clone(), rule.clone()).unwrap();
        let mut optimizer = new(&whole);
        take_steps(&mut optimizer, &whole, 5);
        let state = optimizer.state().unwrap();
        let copy = |to: &nn::VarStore| {
            for ((_, from), (_, mut to)) in sorted(&whole).into_iter().zip(sorted(to)) {
                tch::no_grad(|| to.copy_(&from));
            }
        };
        copy(&resumed);
        copy(&cold);
        take_steps(&mut optimizer, &whole, 3);
        let mut warm = new(&resumed);
        warm.set_state(&state).unwrap();
        take_steps(&mut warm, &resumed, 3);
        take_steps(&mut new(&cold), &cold, 3);
        assert_eq!(values(&whole), values(&resumed), "{rule:?}");
        assert_ne!(values(&whole), values(&cold), "{rule:?}");
    }
}

type State = Vec<(String, Tensor)>;

#[test]
fn a_state_of_another_network_is_refused_by_name() {
    let variables = variables(6, Kind::Float);
    let mut optimizer =
        FrozenAdam::new(&variables, Template::new("none"), Adam::default()).unwrap();
    let mut refuse = |change: &dyn Fn(&mut State)| {
        let before = optimizer.state().unwrap();
        let mut state = optimizer.state().unwrap();
        change(&mut state);
        // What comes before the fault would be taken up.
        state.iter_mut().for_each(|(_, tensor)| drop(tensor.f_add_scalar_(1).unwrap()));
        let message = optimizer.set_state(&state).unwrap_err().to_string();
        for ((_, before), (name, after)) in before.iter().zip(optimizer.state().unwrap()) {
            assert!(before.equal(&after), "{name} after {message}");
        }
        message
    };
    let message = refuse(&|state| state.retain(|(name, _)| name != "b.weight.exp_avg"));
    assert_eq!(message, "b.weight.exp_avg: missing in the saved state");
    let message = refuse(&|state| state.push(("b.weight.momentum_buffer".into(), 1.into())));
    assert_eq!(
        message,
        "b.weight.momentum_buffer: unknown to this rule and network, in the saved state"
    );
    let change = |name: &'static str, tensor: fn() -> Tensor| {
        move |state: &mut State| {
            state.iter_mut().find(|(known, _)| known == name).unwrap().1 = tensor();
        }
    };
    let message = refuse(&change("d.weight.exp_avg", || Tensor::from_slice(&[1f32])));
    assert_eq!(
        message,
        "d.weight.exp_avg: expected Float [40, 25], got Float [1] in the saved state"
    );
    let message = refuse(&change("d.weight.step", || Tensor::from(1f32)));
    assert_eq!(message, "d.weight.step: expected Int64 [], got Float [] in the saved state");
    let message = refuse(&change("d.weight.released", || Tensor::from(-2_i64)));
    assert_eq!(
        message,
        "d.weight.released: expected a number of at least 0, got `-1` in the saved state"
    );
}

#[test]
fn a_saved_state_brings_back_counts_and_whether_signs_were_released() {
    for fused in [true, false] {
        let variables = variables(10, Kind::Float);
        let template = transfer::own_signs(&variables).unwrap();
        let new = || {
            let rule = Adam { lr: 0.01, ..Adam::default() };
            let mut optimizer = FrozenAdam::new(&variables, template.clone(), rule).unwrap();
            optimizer.fused = optimizer.fused.filter(|_| fused);
            optimizer
        };
        let mut first = new();
        take_steps(&mut first, &variables, 5);
        let held = first.state().unwrap();
        let counts = first.counts_by_tensor().unwrap();
        assert!(first.counts().unwrap().resets > 0);

        let mut other = new();
        other.set_state(&held).unwrap();
        assert_eq!(other.counts_by_tensor().unwrap(), counts);
        // Counts go on from there.
        take_steps(&mut other, &variables, 5);
        assert!(other.counts().unwrap().resets > first.counts().unwrap().resets);

        first.release();
        let released = first.state().unwrap();
        let mut other = new();
        other.set_state(&released).unwrap();
        take_steps(&mut other, &variables, 5);
        assert_eq!(other.counts().unwrap().resets, first.counts().unwrap().resets);
        assert!(transfer::violations(&template, &variables).unwrap() > 0);
        assert_eq!(other.violations().unwrap(), 0, "nothing is held");

        // And signs that are held in the state are held again.
        other.set_state(&held).unwrap();
        assert!(other.violations().unwrap() > 0);
        take_steps(&mut other, &variables, 1);
        assert_eq!(other.violations().unwrap(), 0);
    }
}

#[test]
fn weights_that_violate_at_the_start_are_flipped() {
    let variables = variables(7, Kind::Float);
    let before = values(&variables);
    let template = transfer::own_signs(&variables).unwrap().opposite();
    let optimizer = FrozenAdam::new(&variables, template, Adam::default()).unwrap();
    assert_eq!(optimizer.violations().unwrap(), 0);
    assert_eq!(optimizer.counts().unwrap(), Default::default());
    let magnitudes =
        |values: Vec<Vec<f32>>| values.concat().iter().map(|w| w.abs()).collect::<Vec<_>>();
    assert_eq!(magnitudes(values(&variables)), magnitudes(before));
}

#[test]
fn a_template_that_does_not_fit_is_refused_by_name() {
    let variables = variables(8, Kind::Float);
    let refuse = |name: &str, shape: &[usize]| {
        let mut template = Template::new("test");
        let count = shape.iter().product();
        template.insert(name, shape.to_vec(), SignMask::from_signs(&vec![1; count])).unwrap();
        FrozenAdam::new(&variables, template, Adam::default()).unwrap_err()
    };
    assert!(matches!(refuse("e.weight", &[2, 2]), Error::UnknownTensor { .. }));
    let message = refuse("a.weight", &[21, 3]).to_string();
    assert_eq!(message, "a.weight: the network has shape [3, 21], the template [21, 3]");
}

#[test]
fn a_bias_is_held_where_the_template_names_it() {
    for rule in rules() {
        let variables = variables(8, Kind::Float);
        let mut template = Template::new("test");
        template.insert("a.bias", [3], SignMask::from_signs(&[1, -1, 0])).unwrap();
        let mut optimizer = Frozen::new(&variables, template.clone(), rule.clone()).unwrap();
        let bias = Vec::<f32>::try_from(&variables.variables()["a.bias"]).unwrap();
        assert!(bias[0] >= 0.0 && bias[1] <= 0.0, "{bias:?}");
        take_steps(&mut optimizer, &variables, 20);
        assert_eq!(optimizer.violations().unwrap(), 0, "{rule:?}");
        assert_eq!(transfer::violations(&template, &variables).unwrap(), 0, "{rule:?}");
    }
}

/// ```python
/// from math import exp
/// w, g, s, b = [0.5, -0.25, 0.0, 2.0], [1, 1, -1, 3], [1, -1, 1, 0], [0] * 4
/// for _ in range(3):                       # momentum 0.9, lr 0.5, decay 0.1; the last weight is free
///     for i in range(4):
///         b[i] = 0.9 * b[i] + g[i] + 0.1 * (s[i] or w[i])
///         held = w[i] * exp(-0.5 * s[i] * b[i])
///         w[i] = (held if s[i] * held >= 1e-8 else 1e-8 * s[i]) if s[i] else w[i] - 0.5 * b[i]
/// print(w)
/// ```
#[test]
fn exponentiated_gradient_steps_as_its_definition_says_on_both_routes() {
    let expected = [0.022853587299284883, -3.121162844269179, 7.960565181207653e-08, -6.596];
    for (fused, kind) in [(true, Kind::Float), (false, Kind::Float), (false, Kind::Double)] {
        let vs = nn::VarStore::new(Device::Cpu);
        let start = Tensor::from_slice(&[0.5f32, -0.25, 0.0, 2.0]).to_kind(kind);
        let weight = vs.root().var_copy("weight", &start);
        let mut template = Template::new("test");
        template.insert("weight", [4], SignMask::from_signs(&[1, -1, 1, 0])).unwrap();
        let rule = Eg { lr: 0.5, momentum: 0.9, weight_decay: 0.1, ..Eg::default() };
        let mut optimizer = Frozen::new(&vs, template, rule).unwrap();
        optimizer.fused = optimizer.fused.filter(|_| fused);
        for _ in 0..3 {
            let gradient = Tensor::from_slice(&[1f32, 1.0, -1.0, 3.0]).to_kind(kind);
            optimizer.backward_step(&(&weight * gradient).sum(kind)).unwrap();
        }
        let got = Vec::<f64>::try_from(weight.detach().to_kind(Kind::Double)).unwrap();
        for (got, expected) in got.iter().zip(expected) {
            // Three steps, each of a factor within an ulp or two and of a product.
            assert!((got - expected).abs() <= 1e-6 * expected.abs(), "{got} {expected} {kind:?}");
        }
    }
}

#[test]
fn half_weights_under_exponentiated_gradient_leave_zero_too() {
    for kind in [Kind::Half, Kind::BFloat16] {
        let vs = nn::VarStore::new(Device::Cpu);
        let weight = vs.root().var_copy("weight", &Tensor::zeros([2, 2], (kind, Device::Cpu)));
        let mut template = Template::new("test");
        template.insert("weight", [2, 2], SignMask::from_signs(&[1, -1, 1, -1])).unwrap();
        let rule = EgAdamW { lr: 0.5, ..EgAdamW::default() };
        let mut optimizer = Frozen::new(&vs, template, rule).unwrap();
        for _ in 0..40 {
            let away = Tensor::from_slice(&[-1f32, 1.0, -1.0, 1.0]).reshape([2, 2]).to_kind(kind);
            optimizer.backward_step(&(&weight * away).sum(kind)).unwrap();
        }
        let got =
            Vec::<f32>::try_from(weight.detach().to_kind(Kind::Float).flatten(0, -1)).unwrap();
        assert!(got.iter().all(|weight| weight.abs() > 1.0), "{got:?} {kind:?}");
        assert_eq!(optimizer.violations().unwrap(), 0);
    }
}

#[test]
fn hyperparameters_out_of_range_are_refused_by_name() {
    let adam = |change: fn(&mut Adam)| {
        let mut adam = Adam::default();
        change(&mut adam);
        Optimizer::Adam(adam)
    };
    let sgd = |change: fn(&mut Sgd)| {
        let mut sgd = Sgd::default();
        change(&mut sgd);
        Optimizer::Sgd(sgd)
    };
    for (rule, words) in [
        (adam(|adam| adam.lr = 0.0), "adam.lr: expected a number above 0"),
        (adam(|adam| adam.lr = -0.1), "adam.lr: expected a number above 0"),
        (adam(|adam| adam.lr = f64::INFINITY), "adam.lr"),
        (adam(|adam| adam.lr = 1e39), "adam.lr"),
        (adam(|adam| adam.beta1 = 1.0), "adam.beta1: expected a number in [0, 1), got `1`"),
        (adam(|adam| adam.beta1 = -0.1), "adam.beta1"),
        (adam(|adam| adam.beta2 = f64::NAN), "adam.beta2"),
        (adam(|adam| adam.eps = f64::NAN), "adam.eps"),
        (adam(|adam| adam.eps = 1e-50), "adam.eps: expected a number above 0"),
        (adam(|adam| adam.weight_decay = -1.0), "adam.weight_decay: expected a number of at least"),
        (adam(|adam| adam.weight_decay = 1e39), "adam.weight_decay"),
        (sgd(|sgd| sgd.lr = f64::NAN), "sgd.lr: expected a number above 0"),
        (sgd(|sgd| sgd.lr = 1e-50), "sgd.lr"),
        (sgd(|sgd| sgd.momentum = f64::INFINITY), "sgd.momentum"),
        (sgd(|sgd| sgd.momentum = -0.5), "sgd.momentum"),
        (sgd(|sgd| sgd.dampening = 1.5), "sgd.dampening"),
        (sgd(|sgd| sgd.weight_decay = f64::INFINITY), "sgd.weight_decay"),
        (sgd(|sgd| sgd.nesterov = true), "sgd.nesterov: expected `false`, or a momentum"),
        (Optimizer::Eg(Eg { lr: 0.0, ..Eg::default() }), "eg.lr: expected a number above 0"),
        (
            Optimizer::EgAdamW(EgAdamW { beta1: 1.0, ..EgAdamW::default() }),
            "eg-adamw.beta1: expected a number in [0, 1), got `1`",
        ),
    ] {
        let variables = variables(1, Kind::Float);
        let refused = Frozen::new(&variables, Template::new("none"), rule.clone());
        let error = refused.err().unwrap_or_else(|| panic!("{rule:?} was accepted"));
        assert!(matches!(error, Error::Hyperparameter(_)), "{error}");
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

#[test]
fn an_eps_that_float32_holds_keeps_unmoved_weights_numbers() {
    let variables = variables(1, Kind::Float);
    let smallest = Adam { eps: f64::from(f32::from_bits(1)), ..Adam::default() };
    let mut optimizer = FrozenAdam::new(&variables, Template::new("none"), smallest).unwrap();
    for (_, tensor) in variables.variables() {
        (&tensor * 0.0).sum(tensor.kind()).backward();
    }
    let before = values(&variables);
    optimizer.step().unwrap();
    assert_eq!(values(&variables), before);
}

#[test]
fn a_variable_without_a_gradient_is_left_as_it_is() {
    let variables = variables(9, Kind::Float);
    let before = values(&variables);
    let mut optimizer =
        FrozenAdam::new(&variables, Template::new("none"), Adam::default()).unwrap();
    let loss = variables.variables()["b.weight"].sum(Kind::Float);
    optimizer.backward_step(&loss).unwrap();
    let changed: Vec<bool> =
        values(&variables).iter().zip(&before).map(|(after, before)| after != before).collect();
    // In name order: a.bias, a.weight, b.weight, c.weight, d.weight.
    assert_eq!(changed, [false, false, true, false, false]);
}

proptest! {
    #[test]
    fn resets_by_tensor_operations_are_those_of_the_plain_projection(
        weights in proptest::collection::vec(-1.0f32..1.0, 1..200),
        signs in proptest::collection::vec(-1i8..=1, 200),
        which in 0..3usize,
    ) {
        let reset = [Reset::Zero, Reset::Flip, Reset::constant(0.5).unwrap()][which];
        let mask = SignMask::from_signs(&signs[..weights.len()]);
        let mut expected = weights.clone();
        let resets =
            crate::sign::project(&mut expected, &mask, reset, &mut Stream::new(0, "unused"));
        let mut weight = Tensor::from_slice(&weights);
        let tensor = super::tensor_ops::mask_like(&mask, &weight).unwrap();
        let key = super::fused::ResetKey { seed: 0, step: 1, tensor: 2 };
        let count = super::tensor_ops::project(&mut weight, &tensor, reset, key).unwrap();
        prop_assert_eq!(count.int64_value(&[]), resets as i64);
        prop_assert_eq!(Vec::<f32>::try_from(weight).unwrap(), expected);
    }
}
