//! What only a study of XOR-5D may say, and what it may not.

use crate::data::xor;
use crate::experiment::file::{
    Arm, Data, Experiment, IMAGE_SIZE, Magnitudes, PrecisionChoice, Select, Signs, Train, Zeros,
    limits,
};
use crate::experiment::problem::{Problem, Problems};
use crate::experiment::study::layers::Layers;
use crate::models::check::WIDEST;
use crate::models::{Mlp, Model};
use crate::optim::Optimizer;
use crate::results::claim::{AtStep, Claim, ClaimMeasure, Step};
use crate::train::Rate;

/// Adds every mistake in the values of `experiment`.
pub(crate) fn check(experiment: &Experiment, problems: &mut Problems) {
    let Experiment { data, model, widths, arms, train, .. } = experiment;
    check_data(data, problems);
    problems.once("widths", "a width", widths);
    for width in widths {
        problems.within("widths", *width as u64, &(1..=WIDEST as u64));
    }
    match model {
        Model::Mlp(mlp) => {
            let is_swept = !widths.is_empty() && *mlp != Mlp::default();
            problems.check(!is_swept, || {
                Problem::no_effect("model.hidden", "each of `widths` takes its place")
            });
            check_memory(experiment, mlp.hidden, problems);
        }
        _ => problems.add(no_mlp()),
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
    problems.check(experiment.report.thresholds.is_empty(), || {
        let why = "the milestone of points is an accuracy of 90 %";
        Problem::no_effect("report.thresholds", why)
    });
    check_claims(&experiment.claims, problems);
    let layers = Layers::of(&Model::Mlp(Mlp::default()));
    for (name, arm) in arms.iter().filter(|_| matches!(model, Model::Mlp(_))) {
        layers.check_hold(&format!("arms.{name}"), arm, problems);
    }
    for (name, arm) in arms {
        check_arm(&format!("arms.{name}"), arm, problems);
    }
}

/// Whether claims compare what points have.
fn check_claims(claims: &[Claim], problems: &mut Problems) {
    for claim in claims {
        let has_curves = matches!(
            claim.measure,
            ClaimMeasure::ValidationError(AtStep { step: Step::At(_) }) | ClaimMeasure::StepsTo(_)
        );
        problems.check(!has_curves, || {
            let why = "points have no curves; compare errors after the `chosen` or the `last` step, \
                       `{epochs_to_90: {}}` or `{learned: {}}`";
            Problem::unfit(format!("claims.{}.measure", claim.id), why)
        });
    }
}

/// The network cannot learn from points.
pub(super) fn no_mlp() -> Problem {
    Problem::unfit("model", format!("data `{}` and networks `mlp` go together", xor::NAME))
}

/// Whether batch orders and activations fit into memory.
fn check_memory(experiment: &Experiment, hidden: usize, problems: &mut Problems) {
    let Experiment { data, widths, train, .. } = experiment;
    let largest = |sizes: &[usize]| sizes.iter().max().map_or(0, |size| *size as u64);
    let ordered = largest(&data.train_sizes).saturating_mul(train.epochs.unwrap_or(0));
    problems.check(ordered <= limits::MOST_ORDERED, || {
        let expected = format!("at most {} points in all epochs", limits::MOST_ORDERED);
        Problem::value("train.epochs", expected, ordered)
    });
    let width = if widths.is_empty() { hidden as u64 } else { largest(widths) };
    let active = width.saturating_mul(train.batch as u64);
    problems.check(active <= limits::MOST_ACTIVE, || {
        let expected = format!("at most {} hidden units × points a step", limits::MOST_ACTIVE);
        Problem::value("train.batch", expected, active)
    });
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
        problems.check(size as u64 <= *limits::POINTS.end(), || {
            let expected = format!("at most {} points", limits::POINTS.end());
            Problem::value(key, expected, size)
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
        ("image_size", data.image_size != IMAGE_SIZE),
    ];
    for (key, _) in without_effect.into_iter().filter(|(_, is_said)| *is_said) {
        problems.add(Problem::no_effect(format!("data.{key}"), "points are no images"));
    }
}

fn check_training(train: &Train, problems: &mut Problems) {
    problems.once("train.faithful", "a switch", &train.faithful);
    problems.check(matches!(train.optimizer, Optimizer::Adam(_)), || {
        let why = "networks `mlp` are trained side by side by `adam` only";
        Problem::unfit("train.optimizer", why)
    });
    problems.check(train.epochs.is_some() && train.evaluate_at.is_none(), || {
        let why = "networks `mlp` are trained for `epochs`, and evaluated after each";
        Problem::unfit("train", why)
    });
    problems.check(train.precision == PrecisionChoice::Float32, || {
        Problem::unfit("train.precision", "networks `mlp` are computed in `float32`")
    });
    problems.check(train.rate == Rate::Constant, || {
        let why = "networks `mlp` are trained at one learning rate throughout";
        Problem::unfit("train.rate", why)
    });
    problems.check(train.select == Select::Best, || {
        Problem::unfit("train.select", "networks `mlp` are tested after their best epoch")
    });
}

fn check_arm(key: &str, arm: &Arm, problems: &mut Problems) {
    problems.check(arm.signs == Signs::Init || arm.signs.know_xor(), || {
        let why = "expected `init`, `informed` or `misinformed` for points";
        Problem::unfit(format!("{key}.signs"), why)
    });
    problems.check(matches!(arm.magnitudes, Magnitudes::Init | Magnitudes::Fresh), || {
        let why = "expected `init` or `fresh` for points";
        Problem::unfit(format!("{key}.magnitudes"), why)
    });
    let without_effect = [
        ("until", arm.until.is_some()),
        ("biases", arm.biases.is_some()),
        ("source", arm.source.is_some()),
        ("only", !arm.only.is_empty()),
        ("zeros", arm.zeros != Zeros::Free),
        ("lr", arm.lr.is_some()),
    ];
    for (said, _) in without_effect.into_iter().filter(|(_, is_said)| *is_said) {
        problems.add(Problem::no_effect(format!("{key}.{said}"), "points know no such thing"));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::experiment::{Checked, Experiment};

    const STUDY: &str = "
name: points
data: {name: xor-5d, train_sizes: [8], validation: 40, test: 40}
model: {name: mlp}
arms:
  frozen: {signs: informed, hold: all}
train: {optimizer: {adam: {lr: 0.03}}, batch: 8, epochs: 3}
seeds: 0..2
";

    fn refusal(text: &str) -> Option<String> {
        let file = Path::new("points.yaml");
        let experiment = Experiment::parse(STUDY, file, &[text.to_owned()]).unwrap();
        Checked::new(experiment, file).err().map(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_key_that_changes_nothing_of_a_study_of_points_is_refused_by_its_name() {
        for (key, value) in [
            ("source", "{template: alexnet-imagenet}"),
            ("sources.net", "{template: alexnet-imagenet}"),
            ("data.files", "{train_images: a, train_labels: b, test_images: c, test_labels: d}"),
            ("data.cifar10", "folder"),
            ("data.folder", "{path: folder}"),
            ("data.classes", "[0, 1]"),
            ("data.channels", "bgr"),
            ("data.normalise", "imagenet"),
            ("data.subset", "uniform"),
            ("data.image_size", "32"),
            ("report.steps", "[1]"),
            ("report.thresholds", "[0.8]"),
            ("reference", "published"),
            ("arms.frozen.until", "{step: 1}"),
            ("arms.frozen.biases", "init"),
            ("arms.frozen.source", "net"),
            ("arms.frozen.only", "[layers.0]"),
            ("arms.frozen.zeros", "held"),
            ("arms.frozen.lr", "0.1"),
            ("train.precision", "auto"),
            ("train.select", "last"),
            ("train.rate", "cosine"),
        ] {
            let said = refusal(&format!("{key}={value}")).unwrap_or_default();
            assert!(said.contains(&format!("points.yaml: {key}: ")), "{key}: {said}");
        }
        let refused = refusal("train.evaluate_at=every-epoch").unwrap();
        assert!(refused.contains("evaluated after each"), "{refused}");
        let widths = STUDY.replace("{name: mlp}", "{name: mlp, hidden: 8}\nwidths: [3]");
        let experiment = Experiment::parse(&widths, Path::new("points.yaml"), &[]).unwrap();
        let refused = Checked::new(experiment, Path::new("points.yaml")).unwrap_err().to_string();
        assert!(refused.contains("model.hidden: each of `widths`"), "{refused}");
    }

    #[test]
    fn a_key_that_is_written_with_its_default_is_no_mistake() {
        for written in [
            "data.image_size=28",
            "data.subset=balanced",
            "data.channels=rgb",
            "data.normalise=dataset",
            "data.classes=",
            "report.steps=[]",
            "report.thresholds=[]",
            "arms.frozen.zeros=free",
            "arms.frozen.only=[]",
            "train.precision=float32",
            "train.select=best",
            "train.rate=constant",
            "model.hidden=8",
            "model.hidden=64",
            "sources={}",
        ] {
            assert_eq!(refusal(written), None, "{written}");
        }
    }

    #[test]
    fn a_layer_that_is_mistyped_is_refused_with_the_nearest_one() {
        let said = refusal("arms.frozen.hold=[layer.0]").unwrap();
        assert!(said.contains("arms.frozen.hold: expected layers of the network"), "{said}");
        assert!(said.contains("did you mean `layers.0`?"), "{said}");
    }

    #[test]
    fn what_would_not_fit_into_memory_is_refused() {
        let said =
            refusal("train={optimizer: {adam: {}}, batch: 1000000, epochs: 100000}").unwrap();
        assert!(said.contains("train.batch: expected at most 10000000 hidden units"), "{said}");
        let said = refusal("data={name: xor-5d, train_sizes: [40000000], validation: 4, test: 4}");
        let said = said.unwrap();
        assert!(said.contains("data.train_sizes: expected at most 1000000 points"), "{said}");
        assert!(said.contains("train.epochs: expected at most 100000000 points in all"), "{said}");
    }
}
