//! `polarity report` and `polarity plot`: of a file, and of a folder of results whose file nobody has.

mod common;

use std::process::Output;

use common::{Laboratory, names, stdout};

/// The laboratory's experiment, run and reported.
fn reported() -> Laboratory {
    let lab = Laboratory::new();
    lab.run(&[]);
    stdout(&lab, &["report", "tiny.yaml"]);
    lab
}

fn output(lab: &Laboratory, arguments: &[&str]) -> Output {
    lab.polarity(arguments).output().unwrap()
}

const REPORT: &str = "results/tiny/report.md";

#[test]
fn a_folder_of_results_is_reported_and_drawn_without_its_file_as_with_it() {
    let lab = reported();
    stdout(&lab, &["plot", "tiny.yaml"]);
    let drawn = names(&lab.path("plots/tiny"));
    std::fs::remove_file(lab.path("tiny.yaml")).unwrap();
    std::fs::rename(lab.path("results/tiny"), lab.path("theirs")).unwrap();
    assert_eq!(stdout(&lab, &["report", "theirs"]), lab.read("theirs/report.md"));
    let json = stdout(&lab, &["report", "theirs", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["name"], "tiny");
    stdout(&lab, &["plot", "theirs", "plots=mine"]);
    assert_eq!(names(&lab.path("mine/tiny")), drawn);
    for name in drawn {
        let [own, again] =
            ["plots", "mine"].map(|at| std::fs::read(lab.path(&format!("{at}/tiny/{name}"))));
        assert!(own.unwrap() == again.unwrap(), "{name}");
    }
}

#[test]
fn what_a_folder_of_results_shows_can_be_changed_and_nothing_else() {
    let lab = reported();
    let text = stdout(&lab, &["report", "results/tiny", "baseline=frozen"]);
    assert!(text.contains("Difference to `frozen`"), "{text}");
    for (change, words) in [
        ("seeds=0..1", "of a folder of results only `title`, `baseline`"),
        ("baseline=fluidd", "did you mean `fluid`?"),
        ("figures=[learning-curve]", "did you mean `learning-curves`?"),
        ("figures=[{kind: learning-curves, arms: [frozn]}]", "did you mean `frozen`?"),
        ("report.steps=[many]", "report.steps"),
    ] {
        for command in ["report", "plot"] {
            let (code, said) = lab.fails(&[command, "results/tiny", change]);
            assert!(code == 2 && said.contains(words), "{command} {change}: {said}");
        }
    }
}

#[test]
fn a_mistake_in_what_is_shown_is_refused_and_the_report_stays_as_it_is() {
    let lab = reported();
    let before = lab.read(REPORT);
    for change in ["baseline=fluidd", "train.batch=0", "figures=[pie]", "report.thresholds=[2]"] {
        for command in ["report", "plot"] {
            let (code, said) = lab.fails(&[command, "tiny.yaml", change]);
            assert_eq!(code, 2, "{command} {change}: {said}");
        }
        assert_eq!(lab.read(REPORT), before);
    }
    assert!(!lab.path("plots").exists());
}

#[test]
fn a_report_with_overrides_is_printed_and_written_only_where_a_place_is_named() {
    let lab = reported();
    let before = lab.read(REPORT);
    let other = stdout(&lab, &["report", "tiny.yaml", "baseline=frozen"]);
    assert!(other != before && other.contains("Difference to `frozen`"), "{other}");
    assert_eq!(lab.read(REPORT), before);
    lab.run(&["results=elsewhere"]);
    let there = stdout(&lab, &["report", "tiny.yaml", "baseline=frozen", "results=elsewhere"]);
    assert_eq!(lab.read("elsewhere/tiny/report.md"), there);
    assert_eq!(lab.read(REPORT), before);
}

#[test]
fn damaged_results_are_refused_by_file_and_never_panic() {
    let lab = reported();
    for name in ["manifest.json", "trials.csv", "curves.csv"] {
        let path = lab.path(&format!("results/tiny/{name}"));
        let whole = std::fs::read(&path).unwrap();
        for share in [0, 1, 7, 49, 50, 83, 99] {
            std::fs::write(&path, &whole[..whole.len() * share / 100]).unwrap();
            let output = output(&lab, &["report", "results/tiny"]);
            let said = String::from_utf8(output.stderr).unwrap();
            match output.status.code() {
                Some(0) => {}
                Some(2) => assert!(said.contains(name), "{name} cut at {share} %: {said}"),
                code => panic!("{code:?}, {name} cut at {share} %: {said}"),
            }
        }
        std::fs::write(&path, whole).unwrap();
    }
    let (code, said) = lab.fails(&["report", "results"]);
    assert!(code == 2 && said.contains("results: no results"), "{said}");
}

#[test]
fn a_report_says_why_cells_failed() {
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab.edit("epochs: 1, batch: 10", "epochs: 1, batch: 10, optimizer: {sgd: {lr: 1.0e+30}}");
    lab.fails(&["run", "tiny.yaml"]);
    let text = stdout(&lab, &["report", "tiny.yaml"]);
    assert!(text.contains("Note: 6 cells failed"), "{text}");
    assert!(text.contains("diverged (6 cells)"), "{text}");
}
