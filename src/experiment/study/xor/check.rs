//! What only a study of XOR-5D may say, and what it may not.

use crate::data::xor;
use crate::experiment::check::{at_least_one, once};
use crate::experiment::file::{
    Arm, Data, Experiment, Magnitudes, PrecisionChoice, Select, Signs, Train,
};
use crate::experiment::problem::{Problem, Problems};
use crate::optim::Optimizer;

/// Adds every mistake in the values of `experiment`.
pub(crate) fn check(experiment: &Experiment, problems: &mut Problems) {
    let Experiment { data, widths, arms, train, .. } = experiment;
    check_data(data, problems);
    once("widths", "a width", widths, problems);
    for width in widths {
        at_least_one("widths", *width as u64, problems);
    }
    check_training(train, problems);
    problems.check(experiment.source.is_none(), || no_source("source"));
    for name in experiment.sources.keys() {
        problems.add(no_source(&format!("sources.{name}")));
    }
    problems.check(experiment.report.steps.is_empty(), || {
        let why = "points have milestones and no curves";
        Problem::no_effect("report.steps", why)
    });
    for (name, arm) in arms {
        check_arm(&format!("arms.{name}"), arm, problems);
    }
}

fn no_source(key: &str) -> Problem {
    Problem::no_effect(key, "networks of points take nothing from a source")
}

fn check_data(data: &Data, problems: &mut Problems) {
    let sizes = data.train_sizes.iter().map(|size| ("data.train_sizes", *size));
    let sizes = sizes.chain([("data.validation", data.validation)]);
    for (key, size) in sizes.chain(data.test.map(|size| ("data.test", size))) {
        problems.check(size.is_multiple_of(xor::QUAD), || {
            Problem::value(key, "multiples of 4, one point a quadrant", size)
        });
    }
    problems.check(data.test.is_some(), || Problem::missing("data.test", "a number of points"));
    let without_effect = [
        ("files", data.files.is_some()),
        ("cifar10", data.cifar10.is_some()),
        ("folder", data.folder.is_some()),
        ("classes", data.classes.is_some()),
        ("channels", !data.channels.is_rgb()),
        ("normalise", data.normalise != Default::default()),
        ("subset", data.subset != Default::default()),
    ];
    for (key, _) in without_effect.into_iter().filter(|(_, is_said)| *is_said) {
        problems.add(Problem::no_effect(format!("data.{key}"), "points are no images"));
    }
}

fn check_training(train: &Train, problems: &mut Problems) {
    once("train.faithful", "a switch", &train.faithful, problems);
    problems.check(matches!(train.optimizer, Optimizer::Adam(_)), || {
        let why = "networks `mlp` are trained side by side by `adam` only";
        Problem::conflict("train.optimizer", why)
    });
    problems.check(train.epochs.is_some() && train.evaluate_at.is_none(), || {
        let why = "networks `mlp` are trained for `epochs`, and evaluated after each";
        Problem::conflict("train", why)
    });
    problems.check(train.precision == PrecisionChoice::Float32, || {
        Problem::conflict("train.precision", "networks `mlp` are computed in `float32`")
    });
    problems.check(train.select == Select::Best, || {
        Problem::conflict("train.select", "networks `mlp` are tested after their best epoch")
    });
}

fn check_arm(key: &str, arm: &Arm, problems: &mut Problems) {
    problems.check(arm.signs == Signs::Init || arm.signs.know_xor(), || {
        let why = "expected `init`, `informed` or `misinformed` for points";
        Problem::conflict(format!("{key}.signs"), why)
    });
    problems.check(matches!(arm.magnitudes, Magnitudes::Init | Magnitudes::Fresh), || {
        let why = "expected `init` or `fresh` for points";
        Problem::conflict(format!("{key}.magnitudes"), why)
    });
    let without_effect = [
        ("until", arm.until.is_some()),
        ("biases", arm.biases.is_some()),
        ("source", arm.source.is_some()),
        ("only", !arm.only.is_empty()),
    ];
    for (said, _) in without_effect.into_iter().filter(|(_, is_said)| *is_said) {
        problems.add(Problem::no_effect(format!("{key}.{said}"), "points know no such thing"));
    }
}
