//! Whatever happens to a run (kills at any moment, a full disk, shards beside each other, a clock that jumps,
//! readers all the while), what was finished stays, and the tables come to the bytes of a quiet run.
//!
//! `cargo test` does a few rounds; `make torture` says how many in `POLARITY_TORTURE`, and takes the counts
//! from the file that `POLARITY_TORTURE_COUNTS` names.

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use common::Laboratory;
use polarity::experiment::Records;
use polarity::random::Stream;

/// Kills of each study.
fn rounds() -> usize {
    let wanted = std::env::var("POLARITY_TORTURE").ok();
    wanted.map_or(4, |wanted| wanted.parse().expect("POLARITY_TORTURE is a number of kills"))
}

/// Adds `numbers` to the counts of `make torture`, if it asks for them.
fn count(numbers: &[(&str, usize)]) {
    let Ok(path) = std::env::var("POLARITY_TORTURE_COUNTS") else { return };
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    for (name, number) in numbers {
        writeln!(file, "{name} {number}").unwrap();
    }
}

/// An image study that trains its source first.
fn images() -> Laboratory {
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab.edit("epochs: 1", "epochs: 4");
    lab.edit("steps: 6}", "steps: 30, evaluate_at: [0, 10, 20]}");
    lab.edit("seeds: 0..3", "seeds: 0..2");
    lab
}

/// A study of points, whose cells run side by side.
fn points() -> Laboratory {
    let lab = Laboratory::new();
    lab.write(
        "tiny.yaml",
        "\
name: tiny
data: {name: xor-5d, train_sizes: [40, 80], validation: 200, test: 200}
model: {name: mlp}
widths: [6, 9]
arms:
  frozen: {signs: informed, hold: all}
  fluid: {signs: init, hold: none}
baseline: fluid
train: {optimizer: {adam: {lr: 0.01}}, batch: 8, epochs: 120}
seeds: 0..10
figures: []
results: FOLDER/results
plots: FOLDER/plots
",
    );
    lab
}

const OFTEN: [&str; 4] = ["--checkpoint-every", "0.001", "--threads", "2"];

fn start(lab: &Laboratory, more: &[&str]) -> Child {
    let mut command = lab.polarity(&[&["run", "tiny.yaml"], &OFTEN[..], more].concat());
    command.stderr(Stdio::null()).spawn().unwrap()
}

fn finished(lab: &Laboratory) -> usize {
    let cells = lab.path("results/tiny/cells");
    Records::read(&lab.path("results/tiny")).unwrap();
    let lines = |path: &Path| fs::read_to_string(path).unwrap().matches("\"}\n").count();
    let segments = fs::read_dir(cells).into_iter().flatten().flatten().map(|entry| entry.path());
    segments.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).map(|p| lines(&p)).sum()
}

/// The tables of the study, as far as they are there.
fn tables(lab: &Laboratory) -> Vec<Option<Vec<u8>>> {
    let read = |name| fs::read(lab.path(&format!("results/tiny/{name}"))).ok();
    ["trials.csv", "curves.csv"].map(read).to_vec()
}

/// Dates every file of the results as of another time, as a clock that jumps would.
fn jump(lab: &Laboratory, random: &mut Stream) {
    let time =
        SystemTime::UNIX_EPOCH + Duration::from_secs_f64(f64::from(random.uniform()) * 4.0e9);
    for folder in ["cells", "work", ""] {
        let entries = fs::read_dir(lab.path(&format!("results/tiny/{folder}")));
        for entry in entries.into_iter().flatten().flatten() {
            if let Ok(file) = File::options().append(true).open(entry.path()) {
                file.set_modified(time).unwrap();
            }
        }
    }
}

/// Reads the study over and over until `done`; how often it could.
fn read_all_the_while(lab: &Laboratory, done: &AtomicBool) -> usize {
    let mut reads = 0;
    while !done.load(Ordering::Relaxed) {
        for words in [&["plan", "tiny.yaml"][..], &["report", "tiny.yaml"]] {
            let output = lab.polarity(words).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            // Before the first tables, and until the last of them has its name, there is nothing to report.
            let early = ["no results yet", "manifest.json: No such file"];
            let is_early = words[0] == "report" && early.iter().any(|words| said.contains(words));
            assert!(output.status.success() || is_early, "{words:?}: {said}");
        }
        reads += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    reads
}

/// Kills runs of a study at random moments, and starts them again.
fn kill_at_random_moments(study: impl Fn() -> Laboratory, purpose: &str) {
    let quiet = study();
    let begun = Instant::now();
    quiet.run(&["--threads", "2"]);
    let whole = begun.elapsed();
    let expected = tables(&quiet);
    let mut random = Stream::new(1, purpose);
    let (mut kills, lost, different) = (0, AtomicUsize::new(0), AtomicUsize::new(0));
    while kills < rounds() {
        let lab = study();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| read_all_the_while(&lab, &done));
            let mut before = 0;
            while kills < rounds() {
                let mut run = start(&lab, &[]);
                std::thread::sleep(whole.mul_f32(random.uniform() * 0.6));
                if run.try_wait().unwrap().is_some() {
                    break;
                }
                run.kill().unwrap();
                run.wait().unwrap();
                kills += 1;
                let now = finished(&lab);
                lost.fetch_add(before.max(now) - now, Ordering::Relaxed);
                before = now;
                jump(&lab, &mut random);
            }
            lab.run(&OFTEN);
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
        different.fetch_add(usize::from(tables(&lab) != expected), Ordering::Relaxed);
    }
    let (lost, different) = (lost.into_inner(), different.into_inner());
    count(&[("kills", kills), ("lost", lost), ("different", different)]);
    assert_eq!((lost, different), (0, 0), "cells lost, tables that differ");
}

#[test]
fn a_study_of_images_with_a_trained_source_survives_kills_at_random_moments() {
    kill_at_random_moments(images, "kills of images");
}

#[test]
fn a_study_of_points_survives_kills_at_random_moments() {
    kill_at_random_moments(points, "kills of points");
}

#[test]
fn a_disk_that_fills_at_a_random_write_loses_nothing() {
    let quiet = images();
    quiet.run(&["--threads", "2"]);
    let mut random = Stream::new(1, "full disk");
    let (mut failures, mut lost, mut different) = (0, 0, 0);
    while failures < rounds() {
        let lab = images();
        let mut before = 0;
        // No file grows beyond the limit: a write fails in its middle, as on a full disk.
        for _ in 0..3 {
            let blocks = (random.uniform() * random.uniform() * 200.0) as u32;
            let program = env!("CARGO_BIN_EXE_polarity");
            let limited = format!(
                "trap '' XFSZ; ulimit -f {blocks}; exec {program} run tiny.yaml {}",
                OFTEN.join(" ")
            );
            let output = Command::new("sh")
                .args(["-c", &limited])
                .current_dir(lab.path(""))
                .env("POLARITY_CACHE", lab.path("cache"))
                .output()
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!said.contains("panicked"), "{said}");
            assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {said}", output.status);
            failures += usize::from(output.status.code() == Some(1));
            let now = finished(&lab);
            lost += before.max(now) - now;
            before = now;
        }
        lab.run(&OFTEN);
        different += usize::from(tables(&lab) != tables(&quiet));
    }
    count(&[("full disks", failures), ("lost", lost), ("different", different)]);
    assert_eq!((lost, different), (0, 0), "cells lost, tables that differ");
}

#[test]
fn eight_shards_at_once_of_which_two_are_killed_and_started_again_lose_nothing() {
    let quiet = images();
    quiet.run(&["--threads", "2"]);
    let mut random = Stream::new(1, "shards");
    let rounds = rounds().div_ceil(10);
    let (mut kills, mut different) = (0, 0);
    for _ in 0..rounds {
        let lab = images();
        let shard = |index: usize| start(&lab, &["--shard", &format!("{index}/8")]);
        let mut runs: Vec<Child> = (0..8).map(shard).collect();
        for index in [2, 5] {
            std::thread::sleep(Duration::from_secs_f32(random.uniform()));
            if runs[index].try_wait().unwrap().is_none() {
                runs[index].kill().unwrap();
                kills += 1;
            }
            runs[index].wait().unwrap();
            runs[index] = shard(index);
        }
        for mut run in runs {
            assert!(run.wait().unwrap().success());
        }
        lab.run(&["--threads", "2"]);
        different += usize::from(tables(&lab) != tables(&quiet));
    }
    count(&[("kills", kills), ("different", different)]);
    assert_eq!(different, 0, "tables that differ");
}
