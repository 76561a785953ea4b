//! A run that is cut off goes on inside the cell, to the bytes of a run that never was.

mod common;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::Laboratory;

/// Each step is kept, and one cell runs at a time.
const EVERY_STEP: [&str; 4] = ["--checkpoint-every", "0", "--threads", "1"];

/// Steps that take long enough for a signal to come before the end.
const LONG: &str = "train.steps=80";

fn start(lab: &Laboratory, more: &[&str]) -> Child {
    let mut command = lab.polarity(&[&["run", "tiny.yaml"], &EVERY_STEP[..], more].concat());
    command.stderr(Stdio::null()).spawn().unwrap()
}

fn signal(run: &Child, name: &str) {
    let (name, pid) = (format!("-{name}"), run.id().to_string());
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
}

/// The files of cells under way, with the steps they are of.
fn kept(lab: &Laboratory) -> Vec<(u64, PathBuf)> {
    let files = std::fs::read_dir(lab.path("results/tiny/work")).into_iter().flatten().flatten();
    let step = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix("run-")?;
        name.strip_suffix(".safetensors")?.rsplit_once('-')?.1.parse().ok()
    };
    let mut kept: Vec<(u64, PathBuf)> =
        files.filter_map(|entry| Some((step(&entry.path())?, entry.path()))).collect();
    kept.sort();
    kept
}

/// Waits until `run` has kept a cell after at least `step` steps.
fn wait_for(lab: &Laboratory, run: &mut Child, step: u64) {
    while kept(lab).last().is_none_or(|(last, _)| *last < step) {
        assert!(run.try_wait().unwrap().is_none(), "the run ended before it was cut off");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The step that the first cell went on from, as it was said.
fn went_on_from(said: &str) -> u64 {
    let (_, rest) = said.split_once("goes on from ").unwrap_or_else(|| panic!("{said}"));
    rest.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Cuts a run off with `name` after a few steps of its first cell and lets it go on: to the tables of
/// `whole`, and from a step that is not the first.
fn cut_and_go_on(whole: &Laboratory, cut: &Laboratory, name: &str, more: &[&str]) {
    let mut run = start(cut, more);
    wait_for(cut, &mut run, 7);
    signal(&run, name);
    run.wait().unwrap();
    let said = cut.run(&[&EVERY_STEP, more].concat());
    assert!(went_on_from(&said) >= 7, "{said}");
    assert_eq!(cut.tables(), whole.tables());
    assert_eq!(kept(cut), []);
}

/// Two laboratories of the same change; the first has run to its end.
fn pair(change: impl Fn(&Laboratory), more: &[&str]) -> [Laboratory; 2] {
    let labs = [Laboratory::new(), Laboratory::new()];
    labs.iter().for_each(change);
    labs[0].run(&[&["--threads", "1"], more].concat());
    labs
}

#[test]
fn a_cell_that_is_killed_goes_on_from_its_last_checkpoint_to_the_same_bytes() {
    let change = |lab: &Laboratory| {
        lab.edit("hidden: 16", "hidden: 16, dropout: 0.4");
        lab.edit("adam: {lr: 0.003}", "sgd: {lr: 0.01, momentum: 0.9}");
        lab.edit("steps: 6}", "steps: 6, select: best, evaluate_at: [0, 3, 9, 30, 60]}");
        lab.edit("hold: all}", "hold: all, until: {step: 20}}");
    };
    let more = [LONG, "seeds=0..1", "data.train_sizes=[16]"];
    let [whole, cut] = pair(change, &more);
    cut_and_go_on(&whole, &cut, "KILL", &more);
}

#[test]
fn a_run_in_bfloat16_goes_on_to_the_same_bytes() {
    let more = [LONG, "seeds=0..1", "data.train_sizes=[16]", "train.precision=bf16"];
    let [whole, cut] = pair(|_| {}, &more);
    cut_and_go_on(&whole, &cut, "TERM", &more);
}

#[test]
fn a_trained_source_goes_on_from_its_last_checkpoint() {
    let change = |lab: &Laboratory| {
        lab.add_trained_source();
        lab.edit("epochs: 1", "epochs: 14");
    };
    let more = ["seeds=0..1", "data.train_sizes=[16]"];
    let [whole, cut] = pair(change, &more);
    cut_and_go_on(&whole, &cut, "KILL", &more);
}

#[test]
fn a_signal_ends_a_run_with_its_number_after_it_has_kept_the_cell_under_way() {
    let more = [LONG, "seeds=0..1", "data.train_sizes=[16]"];
    for (name, code) in [("INT", 130), ("TERM", 143), ("USR1", 138), ("USR2", 140)] {
        let lab = Laboratory::new();
        let mut run = start(&lab, &more);
        wait_for(&lab, &mut run, 3);
        signal(&run, name);
        assert_eq!(run.wait().unwrap().code(), Some(code), "{name}");
        assert!(!kept(&lab).is_empty(), "{name}");
    }
}

#[test]
fn a_signal_keeps_the_cell_under_way_long_before_its_time() {
    let lab = Laboratory::new();
    let mut command = lab.polarity(&["run", "tiny.yaml", "--threads", "1", "train.steps=1000000"]);
    let mut run = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains(" step ")));
    assert_eq!(kept(&lab), []);
    signal(&run, "TERM");
    assert!(said.any(|line| line.contains("what was under way is kept")));
    assert_eq!(run.wait().unwrap().code(), Some(143));
    assert!(matches!(kept(&lab)[..], [(1.., _)]), "{:?}", kept(&lab));
}

#[test]
fn a_damaged_checkpoint_is_named_and_set_aside_and_the_one_before_is_used() {
    let more = [LONG, "seeds=0..1", "data.train_sizes=[16]"];
    let [whole, cut] = pair(|_| {}, &more);
    let mut run = start(&cut, &more);
    wait_for(&cut, &mut run, 5);
    signal(&run, "KILL");
    run.wait().unwrap();
    let files = kept(&cut);
    let [(before, _), (_, newest)] = &files[files.len() - 2..] else { panic!("{files:?}") };
    let mut bytes = std::fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(newest, bytes).unwrap();
    let said = cut.run(&[&EVERY_STEP[..], &more].concat());
    let name = newest.with_extension("damaged");
    let name = name.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(&format!("{name}: cut off or altered")), "{said}");
    assert_eq!(went_on_from(&said), *before, "{said}");
    assert_eq!(cut.tables(), whole.tables());
}

#[test]
fn nets_of_points_go_on_side_by_side_to_the_same_bytes() {
    let change = |lab: &Laboratory| lab.write("tiny.yaml", POINTS);
    let [whole, cut] = pair(change, &[]);
    let mut run = start(&cut, &[]);
    wait_for(&cut, &mut run, 7);
    signal(&run, "KILL");
    run.wait().unwrap();
    let said = cut.run(&EVERY_STEP);
    assert!(said.contains("goes on from epoch "), "{said}");
    assert!(went_on_from(&said) >= 7, "{said}");
    let tables = |lab: &Laboratory| lab.read("results/tiny/trials.csv");
    assert_eq!(tables(&cut), tables(&whole));
    assert_eq!(kept(&cut), []);
}

const POINTS: &str = "\
name: tiny
data: {name: xor-5d, train_sizes: [64], validation: 200, test: 200}
model: {name: mlp}
widths: [8]
arms:
  frozen: {signs: informed, hold: all}
  fluid: {signs: init, hold: none}
baseline: fluid
train: {optimizer: {adam: {lr: 0.01}}, batch: 8, epochs: 150}
seeds: 0..4
figures: []
results: FOLDER/results
plots: FOLDER/plots
";

#[test]
fn a_cell_to_be_computed_again_does_not_go_on_from_an_old_checkpoint() {
    let lab = Laboratory::new();
    let more = [LONG, "seeds=0..1", "data.train_sizes=[16]"];
    let mut run = start(&lab, &more);
    wait_for(&lab, &mut run, 3);
    signal(&run, "KILL");
    run.wait().unwrap();
    let (_, path) = kept(&lab).pop().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let cell = name.split('-').nth(1).unwrap();
    let said = lab.run(&[&EVERY_STEP, &more[..], &["--redo", cell]].concat());
    assert!(!said.contains("goes on from"), "{said}");
}

#[test]
fn minutes_that_are_none_are_refused() {
    let lab = Laboratory::new();
    for wrong in ["-1", "NaN", "soon", "1e9"] {
        let argument = format!("--checkpoint-every={wrong}");
        let (code, said) = lab.fails(&["run", "tiny.yaml", &argument]);
        assert_eq!(code, 2);
        assert!(said.contains("expected minutes from 0 to 525600"), "{said}");
    }
}

#[test]
fn a_run_that_is_told_to_end_twice_at_once_ends_as_if_it_were_told_once() {
    let lab = Laboratory::new();
    let mut command = lab.polarity(&["run", "tiny.yaml", "--threads", "1", LONG]);
    let mut run = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let ended = |line: std::io::Result<String>| line.unwrap().contains("test error");
    assert!(lines.by_ref().any(ended), "a cell ends before the run does");
    // As Slurm does: to the program, and to its shell, which sends it on.
    signal(&run, "TERM");
    signal(&run, "TERM");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.starts_with("stopped; ")), "{rest:?}");
    assert_eq!(run.wait().unwrap().code(), Some(143));
}
