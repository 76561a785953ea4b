//! What every kind of figure promises.

use super::*;
use crate::results::table::{CurvePoint, ErrorCount, Key, Outcome, Status, TensorCounts};

/// Tables of some arms, sizes and seeds, each arm a little worse than the one before.
pub(super) struct Tables {
    arms: Vec<String>,
    trials: Vec<Trial>,
    curves: Vec<CurveRow>,
}

impl Tables {
    pub(super) fn new(arms: &[&str], sizes: &[f64], seeds: u64) -> Tables {
        let arms: Vec<String> = arms.iter().map(|arm| arm.to_string()).collect();
        let mut tables = Tables { arms: arms.clone(), trials: vec![], curves: vec![] };
        for (place, arm) in arms.iter().enumerate() {
            for size in sizes {
                for seed in 0..seeds {
                    let settings = vec![("train_size".to_owned(), *size)];
                    let id = format!("{arm}/{size}/{seed}");
                    let key = Key { id, arm: arm.clone(), settings, seed };
                    let wobble = (seed * 7 % 5) as f64 * 0.011 + (seed * 3 % 7) as f64 * 0.004;
                    let error = 3.0 / (size + 1.0).sqrt() + 0.02 * place as f64 + wobble;
                    tables.trials.push(Trial {
                        key: key.clone(),
                        outcome: outcome(error),
                        reason: None,
                    });
                    for step in [0, 1, 5, 20, 80] {
                        let validation_error = error + (0.9 - error) / (1.0 + step as f64);
                        let point = point(step, validation_error);
                        tables.curves.push(CurveRow { key: key.clone(), point });
                    }
                }
            }
        }
        tables
    }

    pub(super) fn results(&self) -> Results<'_> {
        Results {
            name: "study",
            title: "A study",
            arms: self.arms.clone(),
            fluid: self.arms.iter().map(|arm| arm.starts_with("fluid")).collect(),
            baseline: Some(&self.arms[0]),
            chance: 0.9,
            thresholds: &[0.6, 0.7],
            steps: &[1, 5],
            doses: DOSES[..self.arms.len()].to_vec(),
            published: true,
            epochs: None,
            trials: &self.trials,
            curves: &self.curves,
        }
    }

    /// Gives the trial at `place` another test error.
    pub(super) fn set_error(&mut self, place: usize, error: f64) {
        self.trials[place].outcome.test_error_last = Some(ErrorCount::about(error, 1000));
    }

    /// Lets every run of `arm` be tested before its first step.
    pub(super) fn choose_step_0(&mut self, arm: &str) {
        let of_arm = self.trials.iter_mut().filter(|trial| trial.key.arm == arm);
        of_arm.for_each(|trial| trial.outcome.best_step = Some(0));
    }
}

/// Fractions of flipped signs of the first arms.
const DOSES: [Option<f64>; 9] =
    [Some(0.1), Some(0.3), None, Some(0.0), None, Some(1.0), None, None, None];

fn outcome(error: f64) -> Outcome {
    Outcome {
        status: Status::Done,
        test_error: Some(ErrorCount::about(error, 1000)),
        validation_error: Some(ErrorCount::about(error, 1000)),
        test_error_last: Some(ErrorCount::about(error, 1000)),
        best_step: Some(80),
        steps: 80,
        ..Outcome::failed()
    }
}

fn point(step: u64, validation_error: f64) -> CurvePoint {
    CurvePoint {
        step,
        train_loss: None,
        validation_loss: None,
        validation_error: ErrorCount::about(validation_error, 1000),
        resets: 0,
        sign_flips: 0,
        tensors: ["features.0.weight", "classifier.1.weight"]
            .map(|name| counts(name, step, validation_error))
            .into(),
    }
}

/// Counts that differ from run to run.
fn counts(name: &str, step: u64, error: f64) -> TensorCounts {
    let sign_flips = step * (name.len() as u64 + (1000.0 * error) as u64);
    TensorCounts { name: name.into(), resets: sign_flips / 2, sign_flips }
}

fn bytes(kind: &str, results: &Results) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = draw(kind, results, &folder.path().join("new")).unwrap();
    assert_eq!(path.file_name().unwrap().to_str(), Some(format!("{kind}.png").as_str()));
    let only = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(only, 1, "a temporary file was left beside the figure");
    std::fs::read(path).unwrap()
}

/// Width and height in the header of a PNG.
fn size(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[1..4], b"PNG");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

/// The kinds that any experiment can have; those of the XOR study are tested beside it.
pub(super) fn general_kinds() -> impl Iterator<Item = &'static Kind> {
    let of_xor = ["fig1", "fig4a", "fig4bc", "fig4d"];
    kinds().iter().filter(move |kind| !of_xor.contains(&kind.name))
}

fn kind_names() -> impl Iterator<Item = &'static str> {
    general_kinds().map(|kind| kind.name)
}

#[test]
fn every_kind_has_its_own_name_and_one_line_of_help() {
    for (i, kind) in kinds().iter().enumerate() {
        assert!(kinds()[..i].iter().all(|other| other.name != kind.name));
        assert!(!kind.help.is_empty() && !kind.help.contains('\n') && !kind.help.contains("  "));
    }
}

#[test]
fn every_kind_draws_one_size_and_several() {
    let arms = ["frozen-signs", "fluid-signs", "frozen-random", "a-name-of-no-known-kind"];
    for kind in kind_names() {
        for sizes in [&[50.0][..], &[50.0, 100.0], &[50.0, 100.0, 200.0, 400.0, 800.0]] {
            let png = bytes(kind, &Tables::new(&arms, sizes, 5).results());
            let (width, height) = size(&png);
            assert!(width == 1600 && (500..2600).contains(&height), "{kind}: {width} × {height}");
            assert!(png.len() > 15_000, "{kind} is nearly blank: {} bytes", png.len());
        }
    }
}

#[test]
fn the_same_tables_give_the_same_bytes_and_others_give_others() {
    let arms = ["frozen-signs", "fluid-signs"];
    let [tables, same, other] =
        [50.0, 50.0, 51.0].map(|first| Tables::new(&arms, &[first, 2.0 * first], 5));
    for kind in kind_names() {
        let drawn = bytes(kind, &tables.results());
        assert!(drawn == bytes(kind, &same.results()), "{kind}");
        assert!(drawn != bytes(kind, &other.results()), "{kind}");
    }
}

/// Tables of these arms, each with what it holds, as a results folder has them.
fn described(arms: &[(&str, &str)]) -> crate::results::Tables {
    let names: Vec<&str> = arms.iter().map(|(name, _)| *name).collect();
    let Tables { trials, curves, .. } = Tables::new(&names, &[50.0], 5);
    let arms: serde_json::Map<String, serde_json::Value> = arms
        .iter()
        .map(|(name, arm)| (name.to_string(), serde_json::from_str(arm).unwrap()))
        .collect();
    let manifest = serde_json::json!({"classes": 10, "data_digest": "0", "experiment": {
        "name": "study", "data": {"name": "bars", "image_size": 8, "train_sizes": [50], "validation": 9},
        "model": {"name": "net"}, "arms": arms, "train": {"batch": 4}, "seeds": [0],
        "figures": [], "report": {},
    }});
    let about = crate::results::About::read(&manifest.to_string(), |_| {}).unwrap();
    crate::results::Tables { about, trials, curves }
}

#[test]
fn arms_are_dashed_by_what_they_hold() {
    let arms = [
        ("a", r#"{"signs": "init", "hold": "all"}"#),
        ("b", r#"{"signs": "init", "hold": "none"}"#),
        ("fluid-c", r#"{"signs": "init", "hold": ["features"]}"#),
        ("d", r#"{"signs": "init", "hold": "all", "until": {"step": 5}}"#),
    ];
    let tables = described(&arms);
    let results = Results::new(&tables, None);
    let fluid: Vec<(&str, bool)> =
        results.arms.iter().map(String::as_str).zip(results.fluid.iter().copied()).collect();
    assert_eq!(fluid, [("a", false), ("b", true), ("fluid-c", false), ("d", false)]);
    let names = ["b".to_owned(), "of-no-description".to_owned()];
    assert_eq!(Results::new(&tables, Some(&names)).fluid, [true, false]);
}

#[test]
fn doses_are_on_a_line_by_what_their_arms_hold() {
    let tables = Tables::new(&["frozen-signs", "mine", "fluid-random", "also-mine"], &[50.0], 5);
    let named = bytes("dose-response", &tables.results());
    let fluid = vec![false, true, false, true];
    assert!(named != bytes("dose-response", &Results { fluid, ..tables.results() }));
}

#[test]
fn the_order_of_rows_and_rows_of_other_arms_change_nothing() {
    let tables = Tables::new(&["frozen-signs", "fluid-signs"], &[50.0, 100.0], 5);
    let mut more = Tables::new(&["frozen-signs", "fluid-signs", "opposite"], &[50.0, 100.0], 5);
    more.arms.pop();
    more.trials.reverse();
    more.curves.reverse();
    for kind in kind_names() {
        let [plain, more] = [&tables, &more].map(|tables| bytes(kind, &tables.results()));
        assert!(plain == more, "{kind}");
    }
}

#[test]
fn one_seed_is_enough() {
    for kind in kind_names() {
        bytes(kind, &Tables::new(&["frozen-signs", "fluid-signs"], &[50.0], 1).results());
        bytes(kind, &Tables::new(&["frozen-signs", "fluid-signs"], &[50.0, 100.0], 1).results());
    }
}

#[test]
fn an_experiment_that_sweeps_no_size_is_drawn() {
    let mut tables = Tables::new(&["frozen-signs", "fluid-signs"], &[50.0], 3);
    tables.trials.iter_mut().for_each(|trial| trial.key.settings.clear());
    tables.curves.iter_mut().for_each(|row| row.key.settings.clear());
    for kind in kind_names() {
        bytes(kind, &tables.results());
    }
}

#[test]
fn runs_without_a_number_are_left_out_and_counted() {
    for sizes in [&[50.0][..], &[50.0, 100.0]] {
        let whole = Tables::new(&["frozen-signs", "fluid-signs"], sizes, 5);
        let mut gaps = Tables::new(&["frozen-signs", "fluid-signs"], sizes, 5);
        gaps.trials[0].outcome.status = Status::Diverged;
        gaps.trials[0].outcome.test_error_last = None;
        gaps.curves.truncate(gaps.curves.len() - 2);
        for kind in kind_names() {
            let [whole, gaps] = [&whole, &gaps].map(|tables| bytes(kind, &tables.results()));
            assert!(whole != gaps, "{kind}");
        }
    }
}

#[test]
fn an_arm_without_any_run_keeps_its_place() {
    for sizes in [&[50.0][..], &[50.0, 100.0]] {
        let mut tables = Tables::new(&["frozen-signs", "fluid-signs"], sizes, 3);
        tables.arms.insert(0, "frozen-late".to_owned());
        for kind in kind_names() {
            bytes(kind, &tables.results());
        }
    }
}

#[test]
fn long_names_and_titles_stay_on_the_page() {
    let long = "frozen-".to_owned() + &"very-".repeat(40) + "long";
    let tables = Tables::new(&[&long, "fluid-signs"], &[50.0, 100.0], 3);
    let title = "A title that does not end. ".repeat(20);
    for kind in kind_names() {
        bytes(kind, &Results { title: &title, ..tables.results() });
    }
}

#[test]
fn drawing_writes_nothing_and_saving_is_one_place() {
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new");
    let tables = Tables::new(&["frozen-signs", "fluid-signs"], &[50.0], 2);
    for kind in general_kinds() {
        (kind.draw)(&tables.results()).unwrap();
    }
    draw("fig3", &Results { baseline: None, ..tables.results() }, &new).unwrap_err();
    assert!(!new.exists(), "a figure that is refused leaves no folder");
}

#[track_caller]
fn refused(kind: &str, results: &Results) -> String {
    let folder = tempfile::tempdir().unwrap();
    let message = draw(kind, results, folder.path()).unwrap_err().to_string();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    message
}

#[test]
fn a_kind_that_does_not_exist_is_refused_with_those_that_do() {
    let tables = Tables::new(&["frozen-signs"], &[50.0], 1);
    let names: Vec<String> = kinds().iter().map(|kind| kind.name.to_owned()).collect();
    assert_eq!(
        refused("pie", &tables.results()),
        format!("figures: `pie` is no kind of figure; expected one of {}", quoted(&names)),
    );
}

#[test]
fn tables_without_rows_are_refused_by_what_they_lack() {
    let tables = Tables::new(&["frozen-signs"], &[], 1);
    let message = |kind| refused(kind, &tables.results());
    assert!(message("error-vs-samples").contains("study: no finished run with a test error"));
    assert!(message("learning-curves").contains("study: no finished run with a learning curve"));
}

#[test]
fn a_figure_without_what_it_needs_is_refused_by_what_it_lacks() {
    let tables = Tables::new(&["frozen-signs", "fluid-signs"], &[50.0], 2);
    for kind in general_kinds() {
        let no_threshold = Results { thresholds: &[], ..tables.results() };
        if kind.needs_threshold {
            assert!(refused(kind.name, &no_threshold).contains("`report.thresholds`"));
        } else {
            bytes(kind.name, &no_threshold);
        }
        let no_baseline = Results { baseline: None, ..tables.results() };
        if kind.needs_baseline {
            assert!(refused(kind.name, &no_baseline).contains("a `baseline` among its arms"));
        } else {
            bytes(kind.name, &no_baseline);
        }
    }
    let no_dose = Results { doses: vec![None; 2], ..tables.results() };
    assert!(refused("dose-response", &no_dose).contains("fraction of the source's signs"));
}

#[test]
fn every_kind_is_in_the_guide_and_in_the_help_of_plot() {
    let guide = include_str!("../../docs/guide.md");
    let help = include_str!("../../tests/golden/help.txt");
    for kind in kinds().iter().map(|kind| kind.name) {
        assert!(guide.contains(&format!("`{kind}`")), "docs/guide.md does not name `{kind}`");
        assert!(help.contains(kind), "`polarity plot --help` does not name {kind}");
    }
}

#[test]
fn a_baseline_that_is_no_arm_is_refused() {
    let tables = Tables::new(&["frozen-signs", "fluid-signs"], &[50.0], 2);
    let results = Results { baseline: Some("fluid-random"), ..tables.results() };
    let message = refused("error-vs-samples", &results);
    assert_eq!(
        message,
        "study: baseline `fluid-random` is none of the arms `frozen-signs`, `fluid-signs`",
    );
}

#[test]
fn runs_of_different_settings_are_never_pooled() {
    let mut tables = Tables::new(&["frozen-signs"], &[50.0], 2);
    for (place, trial) in tables.trials.iter_mut().enumerate() {
        trial.key.settings.push(("width".to_owned(), place as f64));
    }
    for (place, row) in tables.curves.iter_mut().enumerate() {
        row.key.settings.push(("width".to_owned(), place as f64));
    }
    for kind in kind_names() {
        assert!(refused(kind, &tables.results()).contains("runs differ in `width`"));
    }
}

#[test]
fn runs_of_several_sources_are_drawn_together() {
    let mut tables = Tables::new(&["frozen-signs", "fluid-signs"], &[50.0], 4);
    let source = |arm: &str, seed: u64| {
        (arm == "frozen-signs").then_some(("source_seed".to_owned(), (seed / 2) as f64))
    };
    for Trial { key, .. } in &mut tables.trials {
        key.settings.extend(source(&key.arm, key.seed));
    }
    for CurveRow { key, .. } in &mut tables.curves {
        key.settings.extend(source(&key.arm, key.seed));
    }
    for kind in kind_names() {
        bytes(kind, &tables.results());
    }
}

#[test]
fn a_training_size_of_zero_is_refused() {
    let tables = Tables::new(&["frozen-signs"], &[0.0, 50.0], 2);
    for kind in kind_names() {
        let message = refused(kind, &tables.results());
        assert_eq!(message, "study: train_size: expected a number above 0, got `0`");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let tables = Tables::new(&["frozen-signs"], &[50.0], 2);
    let message = draw("learning-curves", &tables.results(), file.path()).unwrap_err().to_string();
    assert!(message.starts_with(&file.path().display().to_string()), "{message}");
}
