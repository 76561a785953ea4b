//! What can be wrong with an experiment's values before its data are looked at.
//!
//! Every mistake is a line that begins with its key and says what was expected; all are found
//! together. Whether data and source fit is left to [`plan`](super::plan).

use std::collections::BTreeSet;

use tch::{Device, nn};

use super::config::{
    self, Arm, Data, Experiment, Figure, Hold, Magnitudes, Moments, Normalise, PrecisionChoice,
    Select, Signs, Source, SourceTraining, Zeros,
};
use super::sources;
use crate::data::xor;
use crate::figure;
use crate::models::Model;
use crate::optim::{Optimizer, Rule};
use crate::sign::is_below;
use crate::transfer;
use crate::weights::Layout;

/// Every mistake in the values of `experiment`.
pub(super) fn problems(experiment: &Experiment) -> Vec<String> {
    let mut problems = Problems::default();
    check_values(experiment, &mut problems);
    check_arms(experiment, &mut problems);
    problems.check(!experiment.sources.contains_key(config::SOURCE), || {
        let name = config::SOURCE;
        format!("sources.{name}: this name is that of `{name}`; choose another")
    });
    for (name, source) in experiment.all_sources() {
        check_source(experiment, name, source, &mut problems);
    }
    check_figures(experiment, &mut problems);
    check_points(experiment, &mut problems);
    problems.0
}

/// Checks the labels to keep of `known` classes.
pub(super) fn classes(key: &str, classes: Option<&[u8]>, known: usize) -> Result<(), String> {
    let Some(classes) = classes else { return Ok(()) };
    let legal = classes.iter().all(|&class| usize::from(class) < known);
    if classes.len() >= 2 && unique(classes) && legal {
        return Ok(());
    }
    let last = known - 1;
    Err(format!("{key}: expected at least two different labels of 0 to {last}, got {classes:?}"))
}

/// Mistakes found so far: key, what was expected, what was found.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn check(&mut self, legal: bool, problem: impl FnOnce() -> String) {
        if !legal {
            self.0.push(problem());
        }
    }

    fn at_least_one(&mut self, key: &str, value: u64) {
        self.check(value >= 1, || format!("{key}: expected at least 1, got `{value}`"));
    }

    fn take<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.0.push(problem)).ok()
    }
}

fn check_values(experiment: &Experiment, problems: &mut Problems) {
    let Experiment { name, data, model, train, seeds, .. } = experiment;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    problems.check(!name.is_empty() && name.chars().all(plain), || {
        format!("name: expected letters, digits, `-` and `_`, got `{name}`")
    });
    problems.check(!data.train_sizes.is_empty(), || {
        "data.train_sizes: expected at least one size, got none".into()
    });
    for &size in &data.train_sizes {
        problems.at_least_one("data.train_sizes", size as u64);
    }
    problems.check(unique(&data.train_sizes), || "data.train_sizes: a size stands twice".into());
    problems.at_least_one("data.validation", data.validation as u64);
    if let Some(test) = data.test {
        problems.at_least_one("data.test", test as u64);
    }
    check_data(data, model.channels(), problems);
    problems.take(model.check(data.image_size));
    problems.check(experiment.is_xor() == matches!(model, Model::Mlp(_)), || {
        format!("model: data `{}` and networks `mlp` go together only", xor::NAME)
    });
    problems.check(!seeds.0.is_empty(), || "seeds: expected at least one seed, got none".into());
    problems.check(unique(&seeds.0), || "seeds: a seed stands twice".into());
    problems.take(train.optimizer.check().map_err(|what| format!("train.optimizer.{what}")));
    problems.at_least_one("train.batch", train.batch as u64);
    problems.at_least_one("train.threads", train.threads as u64);
    match (train.epochs, train.steps) {
        (Some(epochs), None) => problems.at_least_one("train.epochs", epochs),
        (None, Some(steps)) => problems.at_least_one("train.steps", steps),
        _ => problems.0.push("train: expected exactly one of `epochs` and `steps`".into()),
    }
    for &accuracy in &experiment.report.thresholds {
        problems.check(accuracy > 0.0 && accuracy < 1.0, || {
            format!("report.thresholds: expected accuracies above 0 and below 1, got `{accuracy}`")
        });
    }
}

fn check_figures(experiment: &Experiment, problems: &mut Problems) {
    let Experiment { arms, baseline, figures, reference, report, .. } = experiment;
    let kinds: Vec<&str> = figures.iter().map(|figure| figure.kind.as_str()).collect();
    problems.check(unique(&kinds), || "figures: a kind stands twice".into());
    for Figure { kind, arms: shown } in figures {
        let Some(known) = figure::kinds().iter().find(|known| known.name == kind) else {
            let known: Vec<_> = figure::kinds().iter().map(|kind| kind.name).collect();
            let known = known.join("`, `");
            problems.0.push(format!("figures: expected some of `{known}`, got `{kind}`"));
            continue;
        };
        if let Some(arm) = shown.iter().flatten().find(|arm| !arms.contains_key(*arm)) {
            let known = arms.keys().map(String::as_str).collect::<Vec<_>>().join("`, `");
            problems
                .0
                .push(format!("figures.{kind}.arms: expected some of `{known}`, got `{arm}`"));
        }
        problems.check(!known.needs_threshold || !report.thresholds.is_empty(), || {
            format!("figures.{kind}: shows what reaches an accuracy; give `report.thresholds`")
        });
        let shows = |arm: &String| shown.as_ref().is_none_or(|shown| shown.contains(arm));
        problems.check(!known.needs_baseline || baseline.as_ref().is_some_and(shows), || {
            format!("figures.{kind}: shows differences; give a `baseline` that is among its arms")
        });
    }
    problems.check(reference.is_none() || experiment.data.name == "fashion-mnist", || {
        let name = &experiment.data.name;
        format!("reference: `published` is of fashion-mnist, the data are `{name}`; take it out")
    });
}

fn check_data(data: &Data, channels: usize, problems: &mut Problems) {
    let own = [data.files.is_some(), data.cifar10.is_some(), data.folder.is_some()];
    problems.check(own.into_iter().filter(|given| *given).count() <= 1, || {
        "data: expected at most one of `files`, `cifar10` and `folder`".into()
    });
    if let Some(share) = data.folder.as_ref().and_then(|folder| folder.test_share) {
        problems.check(share > 0.0 && share < 1.0, || {
            format!("data.folder.test_share: expected a share in (0, 1), got `{share}`")
        });
    }
    problems.check(data.channels.is_rgb() || channels == 3, || {
        "data.channels: `bgr` needs a network for colour images".into()
    });
    match &data.normalise {
        Normalise::Dataset => {}
        Normalise::Imagenet => problems.check(channels == 3, || {
            "data.normalise: `imagenet` needs a network for colour images; use `dataset`".into()
        }),
        Normalise::Given(Moments { mean, deviation }) => {
            for (key, values) in [("mean", mean), ("deviation", deviation)] {
                problems.check([1, channels].contains(&values.len()), || {
                    let got = values.len();
                    format!(
                        "data.normalise.{key}: expected one number, or one for each of {channels} \
                         channels, got {got}"
                    )
                });
            }
            problems.check(deviation.iter().all(|value| *value > 0.0), || {
                format!("data.normalise.deviation: expected numbers above 0, got {deviation:?}")
            });
        }
    }
}

fn check_arms(experiment: &Experiment, problems: &mut Problems) {
    let Experiment { arms, baseline, .. } = experiment;
    problems.check(!arms.is_empty(), || "arms: expected at least one arm, got none".into());
    if let Some(baseline) = baseline {
        problems.check(arms.contains_key(baseline), || {
            let known = arms.keys().map(String::as_str).collect::<Vec<_>>().join("`, `");
            format!("baseline: expected one of the arms `{known}`, got `{baseline}`")
        });
    }
    for (name, arm) in arms {
        let key = format!("arms.{name}");
        let mut sources = experiment.all_sources();
        problems.check(sources.all(|(source, _)| *name != sources::arm_name(source)), || {
            format!("{key}: this name is kept for a source that is trained here")
        });
        check_start(experiment, &key, arm, problems);
        check_hold(experiment, &key, arm, problems);
    }
}

/// Whether an arm can start as it says.
fn check_start(experiment: &Experiment, key: &str, arm: &Arm, problems: &mut Problems) {
    let source = experiment.source_of(arm).map(|(_, source)| source);
    let named = || {
        let names: Vec<_> = experiment.sources.keys().map(String::as_str).collect();
        names.join("`, `")
    };
    if let Some(name) = &arm.source {
        problems.check(arm.needs_source(), || {
            format!("{key}.source: nothing is taken from it; take it out")
        });
        problems.check(source.is_some() && *name != config::SOURCE, || {
            format!("{key}.source: expected one of the `sources` `{}`, got `{name}`", named())
        });
    } else {
        problems.check(!arm.needs_source() || source.is_some(), || {
            match experiment.sources.is_empty() {
                true => {
                    format!("{key}.signs: come from a source, but the experiment has no `source`")
                }
                false => format!("{key}.source: expected one of the `sources` `{}`", named()),
            }
        });
    }
    if let Signs::Flipped(fraction) = arm.signs {
        problems.check((0.0..=1.0).contains(&fraction), || {
            format!("{key}.signs.flipped: expected a share in [0, 1], got `{fraction}`")
        });
    }
    let has_weights = source.is_some_and(|source| source.template.is_none());
    problems.check(!arm.needs_weights() || has_weights, || {
        let what = if arm.biases.is_some() { "biases" } else { "magnitudes" };
        format!(
            "{key}.{what}: `source` needs a source with weights (`source.weights` or \
             `source.train`); a template has only signs; use `init`"
        )
    });
    problems.check(arm.only.is_empty() || arm.needs_source(), || {
        format!("{key}.only: nothing is taken from the source; take it out")
    });
    problems.take(check_layers(experiment, &format!("{key}.only"), &arm.only));
    problems.check(arm.zeros == Zeros::Free || arm.signs.need_source(), || {
        format!("{key}.zeros: the signs do not come from the source; take it out")
    });
}

/// Whether an arm can hold what it says.
fn check_hold(experiment: &Experiment, key: &str, arm: &Arm, problems: &mut Problems) {
    let holds_nothing = arm.hold == Hold::None;
    problems.check(!holds_nothing || arm.reset.is_none(), || {
        format!("{key}.reset: nothing is held, so nothing is reset; take it out")
    });
    problems.check(!holds_nothing || arm.until.is_none(), || {
        format!("{key}.until: nothing is held, so nothing is let go; take it out")
    });
    problems.check(!holds_nothing || arm.zeros == Zeros::Free, || {
        format!("{key}.zeros: nothing is held; use `free`")
    });
    let (key, layers) = match &arm.hold {
        Hold::All | Hold::None => return,
        Hold::Layers(layers) => (format!("{key}.hold"), layers),
        Hold::Except(layers) => (format!("{key}.hold.except"), layers),
    };
    problems.check(!layers.is_empty(), || format!("{key}: expected at least one layer, got none"));
    problems.take(check_layers(experiment, &key, layers));
}

fn check_source(experiment: &Experiment, name: &str, source: &Source, problems: &mut Problems) {
    let Source { template, weights, layout, train, except } = source;
    let key = config::source_key(name);
    let given = [template.is_some(), weights.is_some(), train.is_some()];
    problems.check(given.into_iter().filter(|given| *given).count() == 1, || {
        format!("{key}: expected exactly one of `template`, `weights` and `train`")
    });
    problems.check(*layout == Layout::default() || weights.is_some(), || {
        format!("{key}.layout: `{layout}` says how a file of `{key}.weights` is laid out")
    });
    problems.take(check_layers(experiment, &format!("{key}.except"), except));
    if let Some(SourceTraining { data, batch, optimizer, threads, .. }) = train {
        problems.at_least_one(&format!("{key}.train.data.images"), data.images as u64);
        problems.at_least_one(&format!("{key}.train.threads"), *threads as u64);
        problems.at_least_one(&format!("{key}.train.batch"), batch.unwrap_or(1) as u64);
        if let Some(optimizer) = optimizer {
            let checked = optimizer.check();
            problems.take(checked.map_err(|what| format!("{key}.train.optimizer.{what}")));
        }
    }
}

/// What only a study of points may say, and what it may not.
fn check_points(experiment: &Experiment, problems: &mut Problems) {
    let Experiment { data, widths, arms, train, .. } = experiment;
    if !experiment.is_xor() {
        problems.check(widths.is_empty(), || "widths: only networks `mlp` are swept".into());
        problems.check(train.faithful.is_empty(), || {
            format!("train.faithful: only data `{}` have such switches", xor::NAME)
        });
        for (name, _) in arms.iter().filter(|(_, arm)| arm.signs.know_xor()) {
            let law = xor::NAME;
            problems.0.push(format!("arms.{name}.signs: only data `{law}` have informed signs"));
        }
        return;
    }
    let sizes = data.train_sizes.iter().map(|size| ("data.train_sizes", *size));
    let sizes = sizes.chain([("data.validation", data.validation)]);
    for (key, size) in sizes.chain(data.test.map(|size| ("data.test", size))) {
        problems.check(size.is_multiple_of(xor::QUAD), || {
            format!("{key}: expected multiples of 4, one point a quadrant, got `{size}`")
        });
    }
    problems.check(data.test.is_some(), || "data.test: expected a number of points".into());
    problems.check(unique(widths), || "widths: a width stands twice".into());
    for width in widths {
        problems.at_least_one("widths", *width as u64);
    }
    problems.check(unique(&train.faithful), || "train.faithful: a switch stands twice".into());
    problems.check(matches!(train.optimizer, Optimizer::Adam(_)), || {
        "train.optimizer: networks `mlp` are trained side by side by `adam` only".into()
    });
    problems.check(train.epochs.is_some() && train.evaluate_at.is_none(), || {
        "train: networks `mlp` are trained for `epochs`, and evaluated after each".into()
    });
    problems.check(train.precision == PrecisionChoice::Float32, || {
        "train.precision: networks `mlp` are computed in `float32`".into()
    });
    problems.check(train.select == Select::Best, || {
        "train.select: networks `mlp` are tested after their best epoch".into()
    });
    for (name, arm) in arms {
        problems.check(arm.signs == Signs::Init || arm.signs.know_xor(), || {
            format!("arms.{name}.signs: expected `init`, `informed` or `misinformed` for points")
        });
        problems.check(matches!(arm.magnitudes, Magnitudes::Init | Magnitudes::Fresh), || {
            format!("arms.{name}.magnitudes: expected `init` or `fresh` for points")
        });
        problems.check(arm.until.is_none() && arm.biases.is_none(), || {
            format!("arms.{name}: points know no `until` and no `biases`")
        });
    }
}

fn check_layers(experiment: &Experiment, key: &str, layers: &[String]) -> Result<(), String> {
    if layers.is_empty() {
        return Ok(());
    }
    let variables = nn::VarStore::new(Device::Cpu);
    experiment.model.assemble(&variables.root(), 2);
    let names = transfer::constrained(&variables);
    for layer in layers {
        if !names.iter().any(|(name, _)| is_below(name, layer)) {
            let known: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
            return Err(format!(
                "{key}: expected layers of the network, `{}` or what stands before a dot, got \
                 `{layer}`",
                known.join("`, `")
            ));
        }
    }
    Ok(())
}

fn unique<T: Ord>(values: &[T]) -> bool {
    values.iter().collect::<BTreeSet<_>>().len() == values.len()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_experiment_of_the_repository_is_without_mistakes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let mut names = BTreeSet::new();
        for folder in [folder.join("paper"), folder] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    continue;
                }
                let experiment = Experiment::load(&path, &[]).unwrap();
                assert_eq!(problems(&experiment), Vec::<String>::new(), "{}", path.display());
                assert!(names.insert(experiment.name), "{} has another's name", path.display());
            }
        }
        assert!(names.contains("demo") && names.contains("paper-transfer-cifar10"));
    }
}
