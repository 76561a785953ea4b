//! What only a study of images may say, and what it may not.

use crate::data::xor;
use crate::experiment::file::{
    self, Arm, ChannelOrder, Data, Experiment, Moments, Normalise, Seeds, Signs, Source,
    SourceTraining, Zeros, limits,
};
use crate::experiment::problem::{Problem, Problems};
use crate::experiment::study::image::sources::arm_name;
use crate::experiment::study::layers::Layers;
use crate::models::Model;
use crate::results::claim::{Claim, ClaimMeasure};

/// Adds every mistake in the values of `experiment`.
pub(crate) fn check(experiment: &Experiment, problems: &mut Problems) {
    let Experiment { data, model, widths, arms, train, .. } = experiment;
    problems.check(!matches!(model, Model::Mlp(_)), || {
        let why = format!("networks `mlp` and data `{}` go together", xor::NAME);
        Problem::unfit("model", why)
    });
    problems
        .check(widths.is_empty(), || Problem::no_effect("widths", "only networks `mlp` are swept"));
    problems.check(train.faithful.is_empty(), || {
        let why = format!("only data `{}` have such switches", xor::NAME);
        Problem::no_effect("train.faithful", why)
    });
    check_data(data, model.channels(), problems);
    for claim in &experiment.claims {
        check_claim(claim, problems);
    }
    let layers = Layers::of(model);
    for (name, arm) in arms {
        check_arm(experiment, &layers, &format!("arms.{name}"), arm, problems);
        let mut sources = experiment.all_sources();
        problems.check(sources.all(|(source, _)| *name != arm_name(source)), || {
            let why = "this name is kept for a source that is trained here";
            Problem::unfit(format!("arms.{name}"), why)
        });
    }
    problems.check(!experiment.sources.contains_key(file::SOURCE), || {
        let name = file::SOURCE;
        let why = format!("this name is that of `{name}`; choose another");
        Problem::unfit(format!("sources.{name}"), why)
    });
    for (name, source) in experiment.all_sources() {
        check_source(&file::source_key(name), source, &layers, problems);
    }
}

/// Whether a claim compares what images have.
fn check_claim(claim: &Claim, problems: &mut Problems) {
    let is_of_points =
        matches!(claim.measure, ClaimMeasure::EpochsTo90(_) | ClaimMeasure::Learned(_));
    problems.check(!is_of_points, || {
        let why = format!("only data `{}` have this milestone; use `steps_to`", xor::NAME);
        Problem::unfit(format!("claims.{}.measure", claim.id), why)
    });
}

fn check_data(data: &Data, channels: usize, problems: &mut Problems) {
    let own = [data.files.is_some(), data.cifar10.is_some(), data.folder.is_some()];
    problems.check(own.into_iter().filter(|given| *given).count() <= 1, || {
        Problem::missing("data", "at most one of `files`, `cifar10` and `folder`")
    });
    if let Some(share) = data.folder.as_ref().and_then(|folder| folder.test_share) {
        problems.check(share > 0.0 && share < 1.0, || {
            Problem::value("data.folder.test_share", "a share in (0, 1)", share)
        });
    }
    problems.check(data.channels != ChannelOrder::Bgr || channels == 3, || {
        Problem::unfit("data.channels", "`bgr` needs a network for colour images")
    });
    problems.check(data.channels != ChannelOrder::Grey || channels == 1, || {
        let why =
            "`grey` needs a network for grey images; grey ones go into any network without it";
        Problem::unfit("data.channels", why)
    });
    match &data.normalise {
        Normalise::Dataset => {}
        Normalise::Imagenet => problems.check(channels == 3, || {
            let why = "`imagenet` needs a network for colour images; use `dataset`";
            Problem::unfit("data.normalise", why)
        }),
        Normalise::Given(moments) => check_moments(moments, channels, problems),
    }
}

fn check_moments(Moments { mean, deviation }: &Moments, channels: usize, problems: &mut Problems) {
    for (key, values) in [("mean", mean), ("deviation", deviation)] {
        problems.check([1, channels].contains(&values.len()), || {
            let expected =
                format!("one number, or one for each of {channels} channels, got {}", values.len());
            Problem::missing(format!("data.normalise.{key}"), expected)
        });
    }
    // A number that is finite in a file may be too large for 32 bits.
    problems.check(mean.iter().all(|value| value.is_finite()), || {
        Problem::value("data.normalise.mean", "finite numbers of 32 bits", format!("{mean:?}"))
    });
    problems.check(deviation.iter().all(|value| value.is_finite() && *value > 0.0), || {
        let expected = "finite numbers above 0 of 32 bits";
        Problem::value("data.normalise.deviation", expected, format!("{deviation:?}"))
    });
}

fn check_arm(
    experiment: &Experiment,
    layers: &Layers,
    key: &str,
    arm: &Arm,
    problems: &mut Problems,
) {
    problems.check(!arm.signs.know_xor(), || {
        let why = format!("only data `{}` have informed signs", xor::NAME);
        Problem::unfit(format!("{key}.signs"), why)
    });
    check_source_of(experiment, key, arm, problems);
    if let Signs::Flipped(fraction) = arm.signs {
        problems.check((0.0..=1.0).contains(&fraction), || {
            Problem::value(format!("{key}.signs.flipped"), "a share in [0, 1]", fraction)
        });
    }
    problems.check(arm.only.is_empty() || arm.needs_source(), || {
        Problem::no_effect(format!("{key}.only"), "nothing is taken from the source")
    });
    problems.check(arm.zeros == Zeros::Free || arm.signs.need_source(), || {
        Problem::no_effect(format!("{key}.zeros"), "the signs do not come from the source")
    });
    problems.check(arm.lr.is_none_or(|lr| lr as f32 > 0.0 && (lr as f32).is_finite()), || {
        let lr = arm.lr.unwrap_or_default();
        Problem::value(format!("{key}.lr"), "a number above 0 that float32 holds", lr)
    });
    layers.check(&format!("{key}.only"), &arm.only, problems);
    layers.check_hold(key, arm, problems);
}

/// Whether an arm has the source that it takes from.
fn check_source_of(experiment: &Experiment, key: &str, arm: &Arm, problems: &mut Problems) {
    let source = experiment.source_of(arm).map(|(_, source)| source);
    let named = experiment.sources.keys().map(String::as_str);
    match &arm.source {
        Some(name) => {
            problems.check(arm.needs_source(), || {
                Problem::no_effect(format!("{key}.source"), "nothing is taken from it")
            });
            problems.check(source.is_some() && *name != file::SOURCE, || {
                Problem::unknown(format!("{key}.source"), name, named)
            });
        }
        None => problems.check(!arm.needs_source() || source.is_some(), || {
            if experiment.sources.is_empty() {
                let why = "come from a source, but the experiment has no `source`";
                return Problem::unfit(format!("{key}.signs"), why);
            }
            let named: Vec<&str> = named.collect();
            let expected = format!("one of the `sources` `{}`", named.join("`, `"));
            Problem::missing(format!("{key}.source"), expected)
        }),
    }
    let has_weights = source.is_some_and(|source| source.template.is_none());
    problems.check(!arm.needs_weights() || has_weights, || {
        let what = if arm.biases.is_some() { "biases" } else { "magnitudes" };
        let why = "`source` needs a source with weights (`source.weights` or `source.train`); a \
                   template has only signs; use `init`";
        Problem::unfit(format!("{key}.{what}"), why)
    });
}

fn check_source(key: &str, source: &Source, layers: &Layers, problems: &mut Problems) {
    layers.check(&format!("{key}.except"), &source.except, problems);
    let Some(SourceTraining { data, epochs, batch, optimizer, threads, seed, seeds, .. }) =
        &source.train
    else {
        return;
    };
    if let Some(Seeds(seeds)) = seeds {
        let key = format!("{key}.train.seeds");
        problems.check(seed.is_none(), || Problem::unfit(&key, "say `seed` or `seeds`"));
        problems.check(!seeds.is_empty(), || Problem::missing(&key, "at least one seed, got none"));
        problems.once(&key, "a seed", seeds);
        for &seed in seeds {
            problems.within(&key, seed, &limits::SOURCE_SEED);
        }
    }
    for (name, value, range) in [
        ("data.images", data.images as u64, limits::IMAGES),
        ("threads", *threads as u64, limits::THREADS),
        ("batch", batch.unwrap_or(1) as u64, limits::BATCH),
    ] {
        problems.within(&format!("{key}.train.{name}"), value, &range);
    }
    problems.check(limits::SOURCE_EPOCHS.contains(epochs), || {
        let expected = format!("at least 0 and at most {}", limits::SOURCE_EPOCHS.end());
        Problem::value(format!("{key}.train.epochs"), expected, epochs)
    });
    if let Some(optimizer) = optimizer {
        problems.check_optimizer(&format!("{key}.train.optimizer."), optimizer);
    }
}
