//! No number in an experiment file reaches a panic, an overflow or an absurd allocation: every key is
//! walked through numbers that it was not made for.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use common::Laboratory;
use polarity::experiment::{Checked, Experiment, Plan};
use polarity::models::REGISTRY;
use serde_json::Value;
use tch::Device;

/// Every key of a study of images that holds a number somewhere: two trained sources of which one is
/// not needed, every reset rule, both kinds of `until`, moments, thresholds.
const IMAGES: &str = "\
name: numbers
data:
  name: bars
  files:
    train_images: FOLDER/train-images
    train_labels: FOLDER/train-labels
    test_images: FOLDER/test-images
    test_labels: FOLDER/test-labels
  train_sizes: [8, 16]
  validation: 12
  test: 20
  classes: [0, 1, 2]
  normalise: {mean: [0.5], deviation: [0.25]}
model: {name: alexnet-mini, hidden: 16, dropout: 0.1}
source:
  train:
    data: {images: 60, classes: [1, 2, 3]}
    epochs: 1
    batch: 10
    optimizer: {sgd: {lr: 0.1, momentum: 0.9, dampening: 0, weight_decay: 0.001, nesterov: true}}
    rate: cosine
    threads: 1
    seed: 4
sources:
  idle: {train: {data: {images: 20}, epochs: 2, rate: cosine, seeds: [5, 6]}}
arms:
  frozen-0.001: {signs: source, hold: all, reset: {uniform: 0.001}, until: {step: 2}}
  flipped: {signs: {flipped: 0.25}, hold: all, reset: {constant: 0.001}, until: {epoch: 1}, lr: 0.002}
  fluid: {signs: init, hold: none}
baseline: fluid
train:
  optimizer: {adam: {lr: 0.003, weight_decay: 0.01}}
  batch: 4
  steps: 9
  rate: cosine
  reset: {uniform: 0.002}
  evaluate_at: [0, 3]
report: {steps: [0, 3], thresholds: [0.5], at: {train_size: [8]}}
claims:
  - id: flipped-errs-more
    says: Flipped signs err more.
    arms: [flipped, fluid]
    measure: {validation_error: {step: last}}
    direction: greater
    margin: 0.01
seeds: [0, 1]
figures: [error-vs-samples]
results: FOLDER/results
plots: FOLDER/plots
";

/// The same of a study of points.
const POINTS: &str = "\
name: points
data: {name: xor-5d, train_sizes: [8, 20], validation: 40, test: 40}
model: {name: mlp}
widths: [3, 8]
arms:
  frozen: {signs: informed, hold: all, reset: {constant: 0.001}}
  fluid: {signs: init, hold: none}
baseline: fluid
train: {optimizer: {adam: {lr: 0.03, eps: 1.0e-7}}, batch: 8, epochs: 3, reset: {uniform: 0.001}}
report: {at: {train_size: [8], width: [3]}}
claims:
  - id: holding-is-nothing
    says: Holding changes nothing.
    arms: [frozen, fluid]
    measure: {test_error: {step: chosen}}
    within: 0.01
seeds: [0, 1]
figures: [fig1]
results: FOLDER/results
plots: FOLDER/plots
";

/// Numbers that few keys were made for, as an override writes them.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1.5",
    "7",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "1.0e-320",
    "1.0e+308",
    ".nan",
    ".inf",
    "-.inf",
];

/// What a plan may take, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all plans of this file may take at once, in KiB.
const MEMORY: u64 = 2 << 20;

fn laboratory() -> Laboratory {
    let lab = Laboratory::new();
    lab.write("images.yaml", IMAGES);
    lab.write("points.yaml", POINTS);
    lab
}

/// A plan of the file with `overrides`, or what is wrong.
fn plan(lab: &Laboratory, file: &str, overrides: &[String]) -> Result<Experiment, String> {
    let file = lab.path(file);
    let experiment = Experiment::load(&file, overrides).map_err(|error| error.to_string())?;
    let checked = Checked::new(experiment.clone(), &file).map_err(|error| error.to_string())?;
    let plan = Plan::new(checked, &file, Device::Cpu, Path::new("no-cache"));
    let plan = plan.map_err(|error| error.to_string())?;
    assert!(plan.all_cells().count() > 0 && plan.manifest(&Default::default()).ends_with("}\n"));
    Ok(experiment)
}

/// A key as an override writes it: quoted where it has dots.
fn written(key: &str) -> String {
    if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() }
}

/// Everything in `value` that is no map, by its path. What is in a list stands with the whole list, so
/// that one place of it can be changed.
fn leaves(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = written(key);
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                leaves(value, &path, found);
            }
        }
        leaf => found.push((path.to_owned(), leaf.clone())),
    }
}

/// Overrides that put each of [`NUMBERS`] in the place of a leaf, or of each entry of a list.
fn changes(path: &str, leaf: &Value) -> Vec<String> {
    let Value::Array(items) = leaf else {
        return NUMBERS.iter().map(|number| format!("{path}={number}")).collect();
    };
    let alone = NUMBERS.iter().map(|number| format!("{path}=[{number}]"));
    let beside = (0..items.len()).flat_map(|place| {
        NUMBERS.iter().map(move |number| {
            let mut items: Vec<String> = items.iter().map(Value::to_string).collect();
            items[place] = (*number).to_owned();
            format!("{path}=[{}]", items.join(", "))
        })
    });
    alone.chain(beside).collect()
}

/// Walks every key below `within` of the file with `base` through the numbers.
fn walk(lab: &Laboratory, file: &str, base: &[&str], within: &str) {
    let base: Vec<String> = base.iter().map(|text| (*text).to_owned()).collect();
    let experiment = plan(lab, file, &base).unwrap();
    let mut found = Vec::new();
    leaves(&serde_json::to_value(&experiment).unwrap(), "", &mut found);
    let mut tried = 0;
    for (path, leaf) in found.iter().filter(|(path, _)| path.starts_with(within)) {
        for change in changes(path, leaf) {
            let start = Instant::now();
            let overrides = [&base[..], std::slice::from_ref(&change)].concat();
            let planned = catch_unwind(AssertUnwindSafe(|| plan(lab, file, &overrides)));
            let planned = planned.unwrap_or_else(|_| panic!("{file} {change}: panicked"));
            if let Err(said) = planned {
                let key = path.split('.').next_back().unwrap();
                let names = said.contains(key.trim_matches('"')) || said.contains(&change);
                assert!(names, "{change}: the refusal does not name the key: {said}");
            }
            assert!(start.elapsed() < PATIENCE, "{change} took {:?}", start.elapsed());
            tried += 1;
        }
    }
    assert!(tried >= NUMBERS.len(), "nothing was walked in {file} below `{within}`");
    assert!(peak() < MEMORY, "{file}: {} KiB were taken", peak());
}

/// The most memory that this process has taken, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn no_number_in_a_study_of_images_reaches_a_panic() {
    walk(&laboratory(), "images.yaml", &[], "");
}

#[test]
fn no_number_in_a_study_of_points_reaches_a_panic() {
    walk(&laboratory(), "points.yaml", &[], "");
}

#[test]
fn no_hyperparameter_and_no_length_reaches_a_panic() {
    let lab = laboratory();
    let sgd = "train.optimizer={sgd: {momentum: 0.9}}";
    walk(&lab, "images.yaml", &[sgd, "train.steps=", "train.epochs=4"], "train.");
    let often = ["train.evaluate_at=every-epoch", "report.steps=[0]"];
    walk(&lab, "images.yaml", &often, "train.");
    walk(&lab, "images.yaml", &["train.evaluate_at="], "data.");
}

#[test]
fn no_option_of_a_network_reaches_a_panic() {
    let lab = laboratory();
    for entry in REGISTRY {
        let model = format!("model={}", entry.example);
        match entry.name {
            "mlp" => walk(&lab, "points.yaml", &[&model], "model."),
            "alexnet-mini" => walk(&lab, "images.yaml", &[&model], "model."),
            _ => walk(&lab, "images.yaml", &[&model, "data.image_size=227"], "model."),
        }
    }
}

#[test]
fn every_key_that_may_be_said_is_walked() {
    let lab = laboratory();
    for file in ["images.yaml", "points.yaml"] {
        let experiment = plan(&lab, file, &[]).unwrap();
        let mut maps = vec![(String::new(), serde_json::to_value(&experiment).unwrap())];
        while let Some((path, value)) = maps.pop() {
            let Value::Object(map) = value else { continue };
            let unknown = format!("{path}zzzzzzzz=1");
            let said = Experiment::load(&lab.path(file), &[unknown]).map(|_| ());
            let said = said.map_err(|error| error.to_string()).err().unwrap_or_default();
            if let Some((_, keys)) = said.split_once("the keys here are ") {
                for key in keys.split('`').skip(1).step_by(2) {
                    let exempt = [
                        "widths", "faithful", "rate", "source", "biases", "only", "zeros", "key",
                        "rename",
                    ];
                    let here = map.contains_key(key) || exempt.contains(&key);
                    let unsaid = [
                        "sources", "seeds", "until", "reset", "lr", "cifar10", "folder", "at",
                        "slurm",
                    ];
                    assert!(here || unsaid.contains(&key), "{file}: {path}{key} is not walked");
                }
            }
            let below = map.into_iter();
            maps.extend(below.map(|(key, value)| (format!("{path}{}.", written(&key)), value)));
        }
    }
}

#[test]
fn the_program_refuses_such_numbers_or_plans_with_them() {
    let lab = laboratory();
    for (file, change) in [
        ("images.yaml", "data.image_size=9223372036854775807"),
        ("images.yaml", "data.validation=18446744073709551615"),
        ("images.yaml", "sources.idle.train.data.images=4294967296"),
        ("images.yaml", "train.steps=18446744073709551615"),
        ("images.yaml", "train.threads=0"),
        ("images.yaml", "train.optimizer.adam.lr=.nan"),
        ("images.yaml", "model.hidden=2147483648"),
        ("images.yaml", "model={name: alexnet-official, groups: 0}"),
        ("images.yaml", "seeds=[18446744073709551615]"),
        ("points.yaml", "widths=[2147483648]"),
        ("points.yaml", "data.train_sizes=[9223372036854775808]"),
        ("points.yaml", "train.epochs=18446744073709551615"),
        ("points.yaml", "train.batch=18446744073709551615"),
    ] {
        let start = Instant::now();
        let output = lab.polarity(&["plan", file, change]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 2)) && !said.contains("panicked"), "{change}: {said}");
        assert!(start.elapsed() < PATIENCE, "{change} took {:?}", start.elapsed());
    }
}

#[test]
fn a_report_with_such_numbers_is_refused_or_printed() {
    let lab = laboratory();
    lab.run(&["seeds=[0]", "train.steps=2", "report.steps=[0]"]);
    for change in [
        "report.thresholds=[1.0e+308]",
        "report.thresholds=[-1]",
        "report.steps=[18446744073709551615]",
        "report.at={train_size: [1.0e+308]}",
        "data.train_sizes=[18446744073709551615]",
        "data.validation=18446744073709551615",
        "data.test=0",
        "data.image_size=0",
        "train.batch=0",
        "train.steps=0",
        "seeds=[18446744073709551615]",
    ] {
        let start = Instant::now();
        let output = lab.polarity(&["report", "tiny.yaml", change]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 2)) && !said.contains("panicked"), "{change}: {said}");
        assert!(start.elapsed() < PATIENCE, "{change} took {:?}", start.elapsed());
    }
}
