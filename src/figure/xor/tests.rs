//! What the figures of the XOR study promise.

use crate::figure::canvas::Canvas;
use crate::figure::{Results, draw, kinds};
use crate::results::Epochs;
use crate::results::table::{ErrorCount, Key, Milestones, Outcome, Status, Trial};

pub(in crate::figure) const KINDS: [&str; 4] = ["fig1", "fig4a", "fig4bc", "fig4d"];
const ARMS: [&str; 4] = ["frozen-informed", "frozen-uninformed", "fluid", "fluid-informed"];

fn count(error: f64) -> ErrorCount {
    ErrorCount::about(error, 10_000)
}

/// Trials of some seeds; an arm is a little worse than the one before, and in every fifth run learns
/// nothing.
pub(in crate::figure) fn trials(arms: &[String], shift: f64) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (place, arm) in arms.iter().enumerate() {
        for size in [20, 60, 100, 500] {
            for width in [3, 10, 20, 64] {
                for seed in 0..5 {
                    let error =
                        2.0 / f64::from(size) + 0.02 * place as f64 + 0.1 / f64::from(width);
                    let learned = seed > 0 && size > 20;
                    let epochs = 10 + 10 * place as u64 + seed + 400 / width as u64;
                    let milestones = Milestones {
                        least_validation_error: count(if learned { 0.03 + shift } else { 0.4 }),
                        epochs_to_90: learned.then_some(epochs),
                    };
                    let settings = [("train_size", f64::from(size)), ("width", f64::from(width))];
                    let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
                    let key = Key { id: String::new(), arm: arm.clone(), settings, seed };
                    let outcome = Outcome {
                        status: Status::Done,
                        test_error: Some(count(error + shift)),
                        validation_error: Some(count(error)),
                        best_step: Some(80),
                        steps: 100,
                        milestones: Some(milestones),
                        ..Outcome::failed()
                    };
                    trials.push(Trial { key, outcome, reason: None });
                }
            }
        }
    }
    trials
}

const EPOCHS: Epochs = Epochs { most: 100, from_zero: false, survivors_only: false };

fn results<'a>(arms: &[String], trials: &'a [Trial], epochs: Option<Epochs>) -> Results<'a> {
    Results {
        name: "study",
        title: "A study of XOR",
        arms: arms.to_vec(),
        fluid: arms.iter().map(|arm| arm.starts_with("fluid")).collect(),
        baseline: Some("fluid"),
        chance: 0.5,
        epochs,
        thresholds: &[],
        steps: &[],
        doses: vec![],
        published: false,
        trials,
        curves: &[],
    }
}

fn png(
    kind: &str,
    arms: &[String],
    trials: &[Trial],
    epochs: Option<Epochs>,
) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = draw(kind, &results(arms, trials, epochs), folder.path());
    Ok(std::fs::read(path.map_err(|error| error.to_string())?).unwrap())
}

/// The page of a kind, for tests of its layout.
pub(in crate::figure) fn page(kind: &str, trials: &[Trial]) -> Canvas {
    let kind = kinds().iter().find(|known| known.name == kind).unwrap();
    (kind.draw)(&results(&arms(), trials, Some(EPOCHS))).unwrap()
}

pub(in crate::figure) fn arms() -> Vec<String> {
    ARMS.map(str::to_owned).to_vec()
}

#[test]
fn every_figure_is_drawn_and_depends_on_the_numbers_alone() {
    let (arms, mut trials, other) = (arms(), trials(&arms(), 0.0), trials(&arms(), 0.03));
    for kind in KINDS {
        let drawn = png(kind, &arms, &trials, Some(EPOCHS)).unwrap();
        assert!(drawn.len() > 15_000, "{kind} is nearly blank: {} bytes", drawn.len());
        trials.reverse();
        assert_eq!(png(kind, &arms, &trials, Some(EPOCHS)).unwrap(), drawn, "{kind}");
        if kind != "fig4d" {
            assert_ne!(png(kind, &arms, &other, Some(EPOCHS)).unwrap(), drawn, "{kind}");
        }
    }
}

/// Those trials of [`trials`] whose setting `name` is `value`.
pub(in crate::figure) fn with(name: &str, value: f64, shift: f64) -> Vec<Trial> {
    let all = trials(&arms(), shift).into_iter();
    all.filter(|trial| trial.key.setting(name) == Some(value)).collect()
}

#[test]
fn a_single_training_size_or_width_is_drawn_with_its_medians() {
    for (kind, name, value) in [
        ("fig1", "train_size", 60.0),
        ("fig4bc", "train_size", 60.0),
        ("fig4a", "train_size", 60.0),
        ("fig1", "width", 10.0),
        ("fig4bc", "width", 10.0),
        ("fig4a", "width", 10.0),
    ] {
        let [drawn, other] = [0.0, 0.03]
            .map(|shift| png(kind, &arms(), &with(name, value, shift), Some(EPOCHS)).unwrap());
        assert_ne!(drawn, other, "{kind} shows nothing of a single {name}");
    }
}

#[test]
fn the_quartiles_of_a_single_training_size_are_drawn() {
    let trials = with("train_size", 60.0, 0.0);
    let mut spread = trials.clone();
    for trial in &mut spread {
        let error = trial.outcome.test_error.as_mut().unwrap();
        error.wrong += [0, 0, 0, 1000, 1000][trial.key.seed as usize];
    }
    for kind in ["fig1", "fig4bc"] {
        let [drawn, spread] =
            [&trials, &spread].map(|trials| png(kind, &arms(), trials, Some(EPOCHS)).unwrap());
        assert_ne!(drawn, spread, "{kind}");
    }
}

#[test]
fn how_epochs_are_counted_is_drawn() {
    let (arms, trials) = (arms(), trials(&arms(), 0.0));
    let survivors = Epochs { from_zero: true, survivors_only: true, ..EPOCHS };
    for kind in ["fig1", "fig4bc", "fig4d"] {
        let [ours, published] =
            [EPOCHS, survivors].map(|epochs| png(kind, &arms, &trials, Some(epochs)).unwrap());
        assert_ne!(ours, published, "{kind}");
    }
}

#[test]
fn a_gap_in_the_grid_is_left_white() {
    let (arms, mut trials) = (arms(), trials(&arms(), 0.0));
    trials.retain(|trial| {
        trial.key.arm != "frozen-informed" || trial.key.setting("width") != Some(10.0)
    });
    for kind in KINDS {
        png(kind, &arms, &trials, Some(EPOCHS)).unwrap();
    }
}

#[test]
fn another_kind_of_study_is_refused() {
    let arms = arms();
    for kind in KINDS {
        let message = png(kind, &arms, &trials(&arms, 0.0), None).unwrap_err();
        assert!(
            message.contains("study: no finished run with a width and milestones"),
            "{message}"
        );
    }
}

#[test]
fn maps_without_the_arms_they_compare_are_refused() {
    let arms = vec!["frozen-informed".to_owned(), "fluid".to_owned()];
    let message = png("fig4d", &arms, &trials(&arms, 0.0), Some(EPOCHS)).unwrap_err();
    assert!(message.contains("needs an arm `frozen-uninformed`"), "{message}");
}
