//! A run whose numbers become infinite is a result: it ends there, is kept with its curve so far, and is
//! counted wherever results are shown. Only what failed is tried again, and only that is an error.

mod common;

use common::{Laboratory, names, stdout};
use polarity::figure::kinds;
use polarity::results::table::{CurveRow, Status, Trial, read_curves, read_trials};
use serde_json::Value;

fn trials(lab: &Laboratory) -> Vec<Trial> {
    read_trials(&lab.path("results/tiny/trials.csv")).unwrap()
}

fn curves(lab: &Laboratory) -> Vec<CurveRow> {
    read_curves(&lab.path("results/tiny/curves.csv"), &trials(lab)).unwrap()
}

/// A study of images with an arm all of whose cells diverge.
fn with_a_lost_arm() -> Laboratory {
    let lab = Laboratory::new();
    let fluid = "fluid: {signs: init, hold: none}\n";
    lab.edit(fluid, &format!("{fluid}  lost: {{signs: init, hold: none, lr: 1.0e+30}}\n"));
    lab.edit("steps: 6}", "steps: 6, evaluate_at: [0, 1, 2, 4]}");
    lab
}

/// The study of XOR; Adam's first step is as long as its rate.
fn points(rate: &str) -> Laboratory {
    let lab = Laboratory::of_points();
    lab.edit("[20]", "[20, 32]");
    lab.edit("lr: 0.03", &format!("lr: {rate}"));
    lab.edit("epochs: 2", "epochs: 3");
    lab.edit("seeds: 0..2", "seeds: 0..6");
    lab
}

fn statuses(lab: &Laboratory, arm: &str) -> Vec<Status> {
    let of_arm = trials(lab).into_iter().filter(|trial| trial.key.arm == arm);
    of_arm.map(|trial| trial.outcome.status).collect()
}

/// Whether a figure is drawn; one that is not is refused in words, because nothing is there to draw.
fn plotted(lab: &Laboratory, changes: &[&str]) -> bool {
    let arguments = [&["plot", "tiny.yaml", "report.thresholds=[0.5]"], changes].concat();
    let output = lab.polarity(&arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{changes:?}: {said}");
    assert!(matches!(output.status.code(), Some(0 | 2)), "{changes:?}: {said}");
    output.status.success()
}

#[test]
fn a_sweep_with_diverged_cells_goes_on_and_is_no_failure() {
    let lab = with_a_lost_arm();
    let said = lab.run(&[]);
    assert_eq!(said.matches(": diverged (").count(), 6, "{said}");
    assert_eq!(statuses(&lab, "lost"), [Status::Diverged; 6]);
    for arm in ["frozen", "fluid"] {
        assert_eq!(statuses(&lab, arm), [Status::Done; 6]);
    }
    let said = lab.run(&[]);
    assert!(said.contains("18 cells: 18 finished, 0 to run"), "{said}");
}

#[test]
fn a_diverged_cell_keeps_its_curve_so_far() {
    let lab = with_a_lost_arm();
    lab.run(&[]);
    for trial in trials(&lab).iter().filter(|trial| trial.key.arm == "lost") {
        let curve: Vec<_> =
            curves(&lab).into_iter().filter(|row| row.key.id == trial.key.id).collect();
        let steps: Vec<u64> = curve.iter().map(|row| row.point.step).collect();
        assert!(steps == [0, 1] || steps == [0, 1, 2], "{steps:?}");
        assert_eq!(trial.outcome.steps, *steps.last().unwrap());
        assert!(curve[0].point.validation_loss.is_some());
        assert_eq!(trial.outcome.test_error, None);
        assert_eq!(trial.outcome.test_error_last, None);
    }
}

#[test]
fn an_arm_that_only_diverged_is_counted_in_every_report_and_drawn_in_every_figure() {
    let lab = with_a_lost_arm();
    lab.run(&[]);
    let text = stdout(&lab, &["report", "tiny.yaml"]);
    assert!(text.contains("6 cells diverged"), "{text}");
    let report: Value =
        serde_json::from_str(&stdout(&lab, &["report", "tiny.yaml", "--json"])).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let lost: Vec<&Value> = rows.iter().filter(|row| row["arm"] == "lost").collect();
    assert_eq!(lost.len(), 2, "{report}");
    for row in lost {
        assert_eq!((&row["cells"], &row["diverged"]), (&3.into(), &3.into()), "{row}");
        assert!(row["test_error"].is_null() || row["test_error"]["median"].is_null(), "{row}");
    }
    for kind in kinds() {
        let drawn = |arms: &str, baseline: &str| {
            let figure = format!("figures=[{{kind: {}, arms: {arms}}}]", kind.name);
            plotted(&lab, &[&figure, &format!("baseline={baseline}")])
        };
        let without = drawn("[frozen, fluid]", "fluid");
        assert_eq!(drawn("[frozen, fluid, lost]", "fluid"), without, "{}", kind.name);
        drawn("[lost]", "lost");
    }
}

#[test]
fn an_experiment_that_only_diverged_is_reported_and_no_figure_panics() {
    let lab = Laboratory::new();
    lab.run(&["train.optimizer={sgd: {lr: 1e30}}"]);
    let change = "train.optimizer={sgd: {lr: 1e30}}";
    let text = stdout(&lab, &["report", "tiny.yaml", change]);
    assert!(text.contains("12 cells diverged"), "{text}");
    for kind in kinds() {
        plotted(&lab, &[change, &format!("figures=[{}]", kind.name)]);
    }
}

#[test]
fn claims_over_diverged_cells_are_undecided() {
    let lab = with_a_lost_arm();
    lab.edit(
        "baseline: fluid\n",
        "baseline: fluid\nclaims:\n  - {id: lost, says: Lost arms err more., arms: [lost, fluid], \
         measure: {test_error: {step: last}}, at: {train_size: [16]}, direction: greater}\n",
    );
    let output = lab.polarity(&["run", "tiny.yaml"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let report: Value =
        serde_json::from_str(&stdout(&lab, &["report", "tiny.yaml", "--json"])).unwrap();
    assert_eq!(report["claims"][0]["verdict"], "undecided", "{}", report["claims"]);
    assert_eq!(report["claims"][0]["pairs"], 0, "{}", report["claims"]);
}

#[test]
fn points_that_diverge_are_kept_counted_and_drawn() {
    let lab = points("1.0e+38");
    lab.run(&["--device", "cpu"]);
    let diverged = |lab: &Laboratory| {
        trials(lab).iter().filter(|trial| trial.outcome.status == Status::Diverged).count()
    };
    assert!(diverged(&lab) > 0);
    for trial in trials(&lab) {
        let is_done = trial.outcome.status == Status::Done;
        assert_eq!(trial.outcome.test_error.is_some(), is_done, "{trial:?}");
        assert_eq!(trial.outcome.test_error_last.is_some(), is_done, "{trial:?}");
    }
    let text = stdout(&lab, &["report", "tiny.yaml"]);
    assert!(text.contains(&format!("{} cells diverged", diverged(&lab))), "{text}");
    for kind in kinds() {
        plotted(&lab, &[&format!("figures=[{}]", kind.name)]);
    }
}

#[test]
fn a_source_that_diverges_is_kept_and_only_the_cells_that_need_it_fail() {
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab.edit("epochs: 1, batch: 10", "epochs: 1, batch: 10, optimizer: {sgd: {lr: 1.0e+30}}");
    let (code, said) = lab.fails(&["run", "tiny.yaml"]);
    assert_eq!(code, 1, "cells failed: {said}");
    assert_eq!(statuses(&lab, "source"), [Status::Diverged]);
    assert_eq!(statuses(&lab, "signs"), [Status::Failed; 6]);
    assert_eq!(statuses(&lab, "frozen"), [Status::Done; 6]);
    assert!(names(&lab.path("results/tiny/work")).is_empty(), "its weights are no source");
    let id = trials(&lab).iter().find(|trial| trial.key.arm == "source").unwrap().key.id.clone();
    assert!(!curves(&lab).iter().filter(|row| row.key.id == id).collect::<Vec<_>>().is_empty());
    // Without the arm that needs it nothing has failed.
    let said = lab.run(&["arms={frozen: {signs: init, hold: all}}", "baseline=frozen"]);
    assert!(said.contains("0 to run"), "{said}");
}
