//! What every kind of study asks of its file, before any data are looked at.
//!
//! What only one kind of study asks is in its own room; whether data and sources fit is found when the
//! study is [opened](super::study::Study::open).

mod claims;

use std::path::Path;

use indexmap::IndexMap;

use super::checked::Checked;
use super::file::{Experiment, limits};
use super::problem::{Mistakes, Problem, Problems};
use super::study;
use crate::figure;
use crate::results::table::SOURCE_SEED;
use crate::results::{About, Arm, Figure, Hold, Tabulated, Zeros};

impl Checked {
    /// `experiment`, read from `file`, if it has no mistakes.
    ///
    /// # Errors
    /// All of its mistakes together.
    pub fn new(experiment: Experiment, file: &Path) -> Result<Self, Mistakes> {
        let mut problems = Problems::default();
        check_common(&experiment, &mut problems);
        study::kind(&experiment).check(&experiment, &mut problems);
        Checked::of(experiment, problems).map_err(|problems| problems.of(file))
    }
}

fn check_common(experiment: &Experiment, problems: &mut Problems) {
    let Experiment { name, data, model, train, seeds, .. } = experiment;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    problems.check(!name.is_empty() && name.chars().all(plain), || {
        Problem::value("name", "letters, digits, `-` and `_`", name)
    });
    problems.check(!data.train_sizes.is_empty(), || {
        Problem::missing("data.train_sizes", "at least one size, got none")
    });
    problems.once("data.train_sizes", "a size", &data.train_sizes);
    for &size in &data.train_sizes {
        problems.within("data.train_sizes", size as u64, &limits::IMAGES);
    }
    problems.within("data.validation", data.validation as u64, &limits::IMAGES);
    problems.within("data.test", data.test.unwrap_or(1) as u64, &limits::IMAGES);
    problems.within("data.image_size", data.image_size as u64, &limits::IMAGE_SIZE);
    let checked = model.check(data.image_size);
    problems.take(checked.map_err(|value| Problem::out_of_range("", value)));
    problems
        .check(!seeds.0.is_empty(), || Problem::missing("seeds", "at least one seed, got none"));
    problems.once("seeds", "a seed", &seeds.0);
    check_count(experiment, problems);
    problems.check_optimizer("train.optimizer.", &train.optimizer);
    problems.within("train.batch", train.batch as u64, &limits::BATCH);
    problems.within("train.threads", train.threads as u64, &limits::THREADS);
    check_arms(experiment, problems);
    let Experiment { arms, baseline, figures, report, .. } = experiment;
    check_figures(arms, baseline.as_deref(), figures, report, problems);
    let settings = study::kind(experiment).settings(experiment);
    claims::check_claims(&experiment.claims, arms, problems);
    claims::check_asked(experiment, settings, problems);
    // The source is the unit of a report, and not a setting that it tells apart.
    let settings: Vec<&str> =
        settings.iter().copied().filter(|name| *name != SOURCE_SEED).collect();
    for setting in report.at.keys().filter(|setting| !settings.contains(&setting.as_str())) {
        problems.add(Problem::unknown_key(format!("report.at.{setting}"), setting, &settings));
    }
    problems.check(experiment.reference.is_none() || data.name == "fashion-mnist", || {
        let why = format!("`published` is of fashion-mnist, the data are `{}`", data.name);
        Problem::no_effect("reference", why)
    });
}

/// Whether report and figures can show what `about`, read from `place`, asks for.
///
/// # Errors
/// When a baseline, an arm, a claim or a figure is none that is there, or lacks what it needs.
pub fn check_shown(about: &About, place: &Path) -> Result<(), Mistakes> {
    let About { arms, baseline, figures, tabulated, claims, .. } = about;
    let mut problems = Problems::default();
    claims::check_claims(claims, arms, &mut problems);
    check_figures(arms, baseline.as_deref(), figures, tabulated, &mut problems);
    problems.none_in(place)
}

/// Whether the grid can be laid out.
fn check_count(experiment: &Experiment, problems: &mut Problems) {
    let Experiment { data, widths, arms, seeds, .. } = experiment;
    let of_arms = arms
        .values()
        .map(|arm| experiment.seeds_of_source(arm).map_or(1, |seeds| seeds.0.len()))
        .sum();
    let axes = [data.train_sizes.len(), widths.len().max(1), of_arms, seeds.0.len()];
    let cells = axes.into_iter().fold(1, |cells: u64, axis| cells.saturating_mul(axis as u64));
    problems.check(cells <= limits::MOST_CELLS, || {
        let most = limits::MOST_CELLS;
        let expected =
            format!("at most {most} cells in all, sizes × widths × arms × their sources × seeds");
        Problem::value("seeds", expected, format!("{cells} cells"))
    });
}

fn check_arms(experiment: &Experiment, problems: &mut Problems) {
    let arms = &experiment.arms;
    problems.check(!arms.is_empty(), || Problem::missing("arms", "at least one arm, got none"));
    for (name, arm) in arms {
        check_hold(&format!("arms.{name}"), arm, problems);
    }
}

/// Whether what an arm says of holding changes something.
fn check_hold(key: &str, arm: &Arm, problems: &mut Problems) {
    let holds_nothing = arm.hold == Hold::None;
    problems.check(!holds_nothing || arm.reset.is_none(), || {
        Problem::no_effect(format!("{key}.reset"), "nothing is held, so nothing is reset")
    });
    problems.check(!holds_nothing || arm.until.is_none(), || {
        Problem::no_effect(format!("{key}.until"), "nothing is held, so nothing is let go")
    });
    problems.check(!holds_nothing || arm.zeros == Zeros::Free, || {
        Problem::unfit(format!("{key}.zeros"), "nothing is held; use `free`")
    });
    let (key, layers) = match &arm.hold {
        Hold::All | Hold::None => return,
        Hold::Layers(layers) => (format!("{key}.hold"), layers),
        Hold::Except(layers) => (format!("{key}.hold.except"), layers),
    };
    problems.check(!layers.is_empty(), || Problem::missing(key, "at least one layer, got none"));
}

/// Whether report and figures can show what they are asked for.
fn check_figures(
    arms: &IndexMap<String, Arm>,
    baseline: Option<&str>,
    figures: &[Figure],
    report: &Tabulated,
    problems: &mut Problems,
) {
    if let Some(baseline) = baseline {
        problems.check(arms.contains_key(baseline), || {
            Problem::unknown("baseline", baseline, arms.keys().map(String::as_str))
        });
    }
    for &accuracy in &report.thresholds {
        problems.check(accuracy > 0.0 && accuracy < 1.0, || {
            Problem::value("report.thresholds", "accuracies above 0 and below 1", accuracy)
        });
    }
    let kinds: Vec<&str> = figures.iter().map(|figure| figure.kind.as_str()).collect();
    problems.once("figures", "a kind", &kinds);
    for Figure { kind, arms: shown } in figures {
        let known = || figure::kinds().iter();
        let Some(known) = known().find(|known| known.name == kind) else {
            let names = known().map(|kind| kind.name);
            problems.add(Problem::unknown("figures", kind, names));
            continue;
        };
        for arm in shown.iter().flatten().filter(|arm| !arms.contains_key(*arm)) {
            let key = format!("figures.{kind}.arms");
            problems.add(Problem::unknown(key, arm, arms.keys().map(String::as_str)));
        }
        let key = || format!("figures.{kind}");
        problems.check(!known.needs_threshold || !report.thresholds.is_empty(), || {
            Problem::unfit(key(), "shows what reaches an accuracy; give `report.thresholds`")
        });
        let shows = |arm: &str| shown.iter().flatten().any(|shown| shown == arm);
        let shows = |arm: &str| shown.is_none() || shows(arm);
        problems.check(!known.needs_baseline || baseline.is_some_and(shows), || {
            let why = "shows differences; give a `baseline` that is among its arms";
            Problem::unfit(key(), why)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
                let checked = Checked::new(experiment, &path).unwrap();
                let name = checked.experiment().name.clone();
                assert!(names.insert(name), "{} has another's name", path.display());
            }
        }
        assert!(names.contains("demo") && names.contains("paper-transfer-cifar10"));
    }
}
