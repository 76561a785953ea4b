//! What a terminal or a pipe may do to the program, and what a stranger's text may not do to a terminal.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Laboratory, stdout};
use polarity::results::table::read_trials;
use polarity::weights::{Array, to_safetensors};

fn finished(lab: &Laboratory) -> usize {
    read_trials(&lab.path("results/tiny/trials.csv")).unwrap().len()
}

#[test]
fn a_run_goes_on_when_who_reads_its_progress_has_left() {
    let lab = Laboratory::new();
    let mut child = lab.polarity(&["run", "tiny.yaml"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("12 cells"), "{first}");
    assert!(child.wait().unwrap().success());
    assert_eq!(finished(&lab), 12);
}

#[test]
fn a_failure_that_nobody_reads_keeps_its_exit_code() {
    let lab = Laboratory::new();
    let mut child = lab.polarity(&["run", "none.yaml"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_a_line_for_every_cell() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `script` to make a terminal with");
        return;
    }
    for term in [Some("dumb"), None] {
        let lab = Laboratory::new();
        let mut command = Command::new("script");
        let program = format!("{} run tiny.yaml", env!("CARGO_BIN_EXE_polarity"));
        command.args(["-qec", &program, "/dev/null"]).current_dir(lab.path(""));
        command.env("POLARITY_CACHE", lab.path("cache")).env_remove("TERM");
        command.envs(term.map(|term| ("TERM", term))).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let cells = said.lines().filter(|line| line.contains(": test error ")).count();
        assert_eq!(cells, 12, "TERM={term:?}: {said}");
    }
}

#[test]
fn what_a_terminal_would_obey_is_written_out() {
    let lab = Laboratory::new();
    let array = Array::new(vec![1, 1], vec![1.0]).unwrap();
    let bytes = to_safetensors(&[("a\x1b[2Jb".to_owned(), array)].into());
    fs::write(lab.path("net.safetensors"), bytes).unwrap();
    let (code, said) = lab.fails(&["template", "extract", "net.safetensors", "-o", "no"]);
    assert!(code == 2 && said.contains(r"a\u{1b}[2Jb"), "{said}");
    let (_, said) = lab.fails(&["template", "info", "no\x1b]0;title\x07ne"]);
    assert!(said.contains(r"no\u{1b}]0;title\u{7}ne"), "{said}");
    lab.edit("  fluid: {", "  \"flu\\eid\": {");
    lab.edit("baseline: fluid", "baseline: \"flu\\eid\"");
    let plan = lab.polarity(&["plan", "tiny.yaml", "--cells"]).output().unwrap();
    for said in [plan.stdout, plan.stderr] {
        assert!(!said.contains(&0x1b), "{}", said.escape_ascii());
    }
}

#[test]
fn a_figure_that_cannot_be_drawn_is_wrong_input_and_one_that_cannot_be_written_is_not() {
    let lab = Laboratory::new();
    lab.run(&[]);
    let (code, said) = lab.fails(&["plot", "tiny.yaml", "figures=[fig4bc]"]);
    assert_eq!(code, 2, "{said}");
    stdout(&lab, &["plot", "tiny.yaml"]);
    fs::remove_file(lab.path("plots/tiny/learning-curves.png")).unwrap();
    fs::create_dir(lab.path("plots/tiny/learning-curves.png")).unwrap();
    let (code, said) = lab.fails(&["plot", "tiny.yaml"]);
    assert!(code == 1 && said.contains("learning-curves.png"), "{said}");
}
