//! Signs of one network into another, held while it learns: polarity in a training loop of one's own.

use std::error::Error;

use polarity::optim::{Adam, FrozenAdam};
use polarity::transfer;
use tch::{Device, Kind, Tensor, nn, nn::Module};

/// Any network will do, and any names: tensors meet by the path of their layer.
fn network(root: &nn::Path) -> impl Module + use<> {
    nn::seq()
        .add(nn::linear(root / "hidden", 2, 32, Default::default()))
        .add_fn(|hidden| hidden.relu())
        .add(nn::linear(root / "head", 32, 2, Default::default()))
}

/// Points of a square, and whether their two coordinates have the same sign.
fn points(count: i64) -> (Tensor, Tensor) {
    let points = Tensor::rand([count, 2], (Kind::Float, Device::Cpu)) * 2 - 1;
    let labels = points.prod_dim_int(1, false, Kind::Float).gt(0).to_kind(Kind::Int64);
    (points, labels)
}

fn accuracy(net: &impl Module) -> f64 {
    let (points, labels) = points(1000);
    tch::no_grad(|| net.forward(&points).accuracy_for_logits(&labels)).double_value(&[])
}

fn main() -> Result<(), Box<dyn Error>> {
    tch::manual_seed(0);

    // A source that learns with its signs free …
    let source_vs = nn::VarStore::new(Device::Cpu);
    let source = network(&source_vs.root());
    let mut opt = nn::OptimizerConfig::build(nn::Adam::default(), &source_vs, 0.01)?;
    for _ in 0..300 {
        let (points, labels) = points(64);
        opt.backward_step(&source.forward(&points).cross_entropy_for_logits(&labels));
    }

    // … gives its signs, and nothing else, to a fresh network.
    let vs = nn::VarStore::new(Device::Cpu);
    let net = network(&vs.root());
    let signs = transfer::own_signs(&source_vs)?;
    let report = transfer::signs(&signs, &vs, &transfer::Options::default())?;
    for taken in &report.taken {
        println!("{}: {} of {} signs changed", taken.name, taken.changed, taken.weights);
    }

    // The two lines that differ from a loop of tch: the optimizer, and `?` after its step.
    let mut opt = FrozenAdam::new(&vs, report.template, Adam { lr: 0.01, ..Adam::default() })?;
    for _ in 0..100 {
        let (points, labels) = points(64);
        opt.backward_step(&net.forward(&points).cross_entropy_for_logits(&labels))?;
    }

    println!("source: {:.1} % right", 100.0 * accuracy(&source));
    println!("fresh network under its signs, 100 steps: {:.1} % right", 100.0 * accuracy(&net));
    let (resets, violations) = (opt.counts()?.resets, opt.violations()?);
    println!("{resets} resets, {violations} signs violated");
    Ok(())
}
