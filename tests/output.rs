//! What the program prints and draws.

mod common;

use std::process::Stdio;

use common::{Laboratory, golden, names, stdout};

#[test]
fn the_help_of_every_subcommand_is_as_documented() {
    let lab = Laboratory::new();
    let mut text = String::new();
    for command in [
        &["--help"][..],
        &["run", "--help"],
        &["plan", "--help"],
        &["plot", "--help"],
        &["report", "--help"],
        &["verify", "--help"],
        &["template", "--help"],
        &["template", "extract", "--help"],
        &["template", "info", "--help"],
        &["template", "diff", "--help"],
        &["template", "random", "--help"],
        &["template", "rule", "--help"],
        &["check", "--help"],
        &["data", "--help"],
        &["data", "fetch", "--help"],
        &["data", "list", "--help"],
        &["slurm", "submit", "--help"],
        &["slurm", "status", "--help"],
        &["slurm", "merge", "--help"],
        &["bench", "--help"],
        &["doctor", "--help"],
    ] {
        text += &format!("$ polarity {}\n{}\n", command.join(" "), stdout(&lab, command));
    }
    golden("help.txt", &text);
}

#[test]
fn a_plan_counts_cells_explains_arms_and_makes_nothing() {
    let lab = Laboratory::new();
    let text = stdout(&lab, &["plan", "tiny.yaml", "--cells"]);
    assert!(text.contains("tiny: 12 cells, 0 done, 12 left"), "{text}");
    assert!(text.contains("frozen: starts with its own random signs"), "{text}");
    assert_eq!(text.lines().filter(|line| line.ends_with(" left")).count(), 13, "{text}");
    assert!(!lab.path("results").exists());
}

#[test]
fn a_calibrated_plan_times_every_shape_of_cell_and_makes_nothing() {
    let lab = Laboratory::new();
    lab.add_trained_source();
    let text = stdout(&lab, &["plan", "tiny.yaml", "--calibrate"]);
    // Two arms hold signs, one does not; the source has batches of 10.
    assert!(text.contains("12 cells, batches of 8, signs held: "), "{text}");
    assert!(text.contains("6 cells, batches of 8, signs free: "), "{text}");
    assert!(text.contains("1 cells, batches of 10, signs free: "), "{text}");
    assert!(text.contains("; from a few steps that were timed now"), "{text}");
    assert!(!lab.path("results").exists());
}

#[test]
fn a_report_is_printed_and_kept_and_has_a_form_for_programs() {
    let lab = Laboratory::new();
    lab.run(&[]);
    let text = stdout(&lab, &["report", "tiny.yaml"]);
    assert_eq!(text, lab.read("results/tiny/report.md"));
    assert!(text.contains("| frozen "), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&lab, &["report", "tiny.yaml", "--json"])).unwrap();
    assert_eq!(json["name"], "tiny");
    let row = &json["rows"][0];
    assert_eq!((&row["arm"], &row["train_size"]), (&"frozen".into(), &8.into()));
    assert_eq!((&row["cells"], &row["diverged"]), (&3.into(), &0.into()));
    for key in ["median", "low", "high"] {
        assert!(row["test_error"][key].is_number(), "{row}");
    }
    for key in [
        "arms",
        "measure",
        "difference",
        "low",
        "high",
        "test",
        "p",
        "rank_biserial",
        "p_mann_whitney",
    ] {
        assert!(!json["comparisons"][0][key].is_null(), "{json}");
    }
}

#[test]
fn a_report_says_where_the_time_went_while_the_times_are_there() {
    let lab = Laboratory::new();
    lab.run(&["seeds=0..1"]);
    let times = ["report", "tiny.yaml", "--times"];
    let text = stdout(&lab, &times);
    assert!(text.contains("| forward | backward | optimizer | evaluation |"), "{text}");
    assert!(text.lines().any(|line| line.contains("frozen")), "{text}");
    std::fs::remove_file(lab.path("results/tiny/timings.csv")).unwrap();
    let output = lab.polarity(&times).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("results/tiny/timings.csv: not here"), "{said}");
}

#[test]
fn figures_are_drawn_from_the_tables_alone() {
    let lab = Laboratory::new();
    lab.run(&[]);
    std::fs::remove_dir_all(lab.path("results/tiny/cells")).unwrap();
    stdout(&lab, &["plot", "tiny.yaml"]);
    let folder = lab.path("plots/tiny");
    assert_eq!(names(&folder), ["error-vs-samples.png", "learning-curves.png"]);
}

#[test]
fn an_experiment_that_has_not_run_has_no_report_and_no_figures() {
    let lab = Laboratory::new();
    for command in ["report", "plot"] {
        let (code, said) = lab.fails(&[command, "tiny.yaml"]);
        assert_eq!(code, 2);
        assert!(said.contains("no results yet; `polarity run` makes them"), "{said}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let lab = Laboratory::new();
    let mut child = lab
        .polarity(&["template", "info", "alexnet-imagenet"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_built_in_template_says_what_it_holds() {
    let lab = Laboratory::new();
    let text = stdout(&lab, &["template", "info", "alexnet-imagenet"]);
    assert!(text.contains("2468544 in 5 tensors"), "{text}");
    assert!(text.contains("sha256 443c5bc3"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&lab, &["template", "info", "alexnet-imagenet", "--json"]))
            .unwrap();
    assert_eq!(json["held"], 2_468_544);
}

#[test]
fn two_templates_are_compared_sign_by_sign() {
    let lab = Laboratory::new();
    stdout(&lab, &["template", "random", "alexnet-imagenet", "-o", "r.safetensors"]);
    let same = stdout(&lab, &["template", "diff", "r.safetensors", "r.safetensors"]);
    assert!(same.contains("in all  100.00 %"), "{same}");
    let other = stdout(&lab, &["template", "diff", "alexnet-imagenet", "r.safetensors"]);
    assert!(other.contains("in all  50.") || other.contains("in all  51."), "{other}");
}
