//! `polarity run`, the real program on a tiny data set: what is finished stays, what was cut off runs
//! again, and the tables are the same bytes however they came about.

mod common;

use std::fs::File;

use common::{Laboratory, names};
use polarity::models::{Entry, Model, REGISTRY};
use polarity::results::table::{CurveRow, Status, Trial, read_curves, read_trials};

fn trials(lab: &Laboratory) -> Vec<Trial> {
    read_trials(&lab.path("results/tiny/trials.csv")).unwrap()
}

fn curves(lab: &Laboratory) -> Vec<CurveRow> {
    read_curves(&lab.path("results/tiny/curves.csv"), &trials(lab)).unwrap()
}

#[test]
fn a_second_run_trains_nothing_and_changes_no_byte() {
    let lab = Laboratory::new();
    lab.run(&[]);
    let tables = lab.tables();
    let said = lab.run(&[]);
    assert!(said.contains("12 cells: 12 finished, 0 to run"), "{said}");
    assert_eq!(lab.tables(), tables);
}

#[test]
fn the_same_seeds_give_the_same_bytes_whatever_runs_side_by_side() {
    let [one, two] = [Laboratory::new(), Laboratory::new()];
    for lab in [&one, &two] {
        lab.add_trained_source();
        lab.edit("epochs: 1", "epochs: 1, seeds: 0..3");
    }
    one.run(&["--threads", "1"]);
    two.run(&["--threads", "3"]);
    assert_eq!(one.tables(), two.tables());
}

#[test]
fn a_segment_cut_in_its_last_line_runs_exactly_that_cell_again() {
    let lab = Laboratory::new();
    lab.run(&[]);
    let tables = lab.tables();
    let segment = lab.path("results/tiny/cells/main.jsonl");
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..bytes.len() - 200]).unwrap();
    let said = lab.run(&[]);
    assert!(said.contains("cells/main.jsonl:12: damaged; its cell runs again"), "{said}");
    assert!(said.contains("12 cells: 11 finished, 1 to run"), "{said}");
    assert_eq!(lab.tables(), tables);
}

#[test]
fn an_altered_line_is_set_aside_and_its_cell_runs_again() {
    let lab = Laboratory::new();
    lab.run(&[]);
    let tables = lab.tables();
    let name = "results/tiny/cells/main.jsonl";
    lab.write(name, &lab.read(name).replacen("\"steps\":6", "\"steps\":7", 1));
    let said = lab.run(&[]);
    assert!(said.contains("11 finished, 1 to run"), "{said}");
    assert_eq!(lab.tables(), tables);
    assert_eq!(lab.read("results/tiny/cells/main.damaged").lines().count(), 1);
}

#[test]
fn shards_together_give_the_tables_of_one_run() {
    let [whole, parts] = [Laboratory::new(), Laboratory::new()];
    whole.run(&[]);
    parts.run(&["--shard", "0/3"]);
    parts.run(&["--shard", "1/3"]);
    assert_ne!(whole.tables(), parts.tables());
    parts.run(&["--shard", "2/3"]);
    assert_eq!(whole.tables(), parts.tables());
}

#[test]
fn a_stopped_run_keeps_what_is_finished_and_goes_on_to_the_same_bytes() {
    let [whole, stopped] = [Laboratory::new(), Laboratory::new()];
    // Long enough that the signal comes before the end.
    let long = ["--threads", "1", "train.steps=60"];
    whole.run(&long);
    stopped.run_and_interrupt(&long);
    assert!(!stopped.read("results/tiny/cells/main.jsonl").is_empty());
    stopped.run(&long);
    assert_eq!(whole.tables(), stopped.tables());
}

#[test]
fn frozen_cells_end_without_violations_after_real_resets() {
    let lab = Laboratory::new();
    lab.run(&[]);
    for trial in trials(&lab) {
        let frozen = trial.key.arm == "frozen";
        assert_eq!(trial.outcome.violations_after == 0, frozen, "{trial:?}");
        assert_eq!(trial.outcome.resets > 0, frozen, "{trial:?}");
    }
}

#[test]
fn signs_are_held_until_the_step_that_an_arm_names_and_free_afterwards() {
    let lab = Laboratory::new();
    let fluid = "fluid: {signs: init, hold: none}\n";
    lab.edit(
        fluid,
        &format!("{fluid}  released: {{signs: init, hold: all, until: {{step: 3}}}}\n"),
    );
    lab.edit("steps: 6}", "steps: 6, evaluate_at: [0, 1, 2, 3, 4, 5]}");
    lab.run(&[]);
    let curves = curves(&lab);
    let of = |arm: &str, steps: std::ops::RangeInclusive<u64>| -> Vec<_> {
        let rows = curves.iter().filter(|row| row.key.arm == arm);
        rows.map(|row| row.point.clone()).filter(|point| steps.contains(&point.step)).collect()
    };
    assert_eq!(of("released", 0..=3), of("frozen", 0..=3));
    assert_ne!(of("released", 4..=6), of("frozen", 4..=6));
    let resets = |step| of("released", step..=step).iter().map(|point| point.resets).sum::<u64>();
    assert_eq!(resets(6), resets(3));
    assert!(resets(3) > 0);
    let ends: Vec<u64> = trials(&lab)
        .iter()
        .filter(|trial| trial.key.arm == "released")
        .map(|trial| trial.outcome.violations_after)
        .collect();
    assert!(ends.iter().sum::<u64>() > 0, "{ends:?}");
}

#[test]
fn arms_of_a_seed_start_from_the_same_network_and_the_same_images() {
    let lab = Laboratory::new();
    lab.run(&[]);
    let curves = curves(&lab);
    let starts = |arm: &str| -> Vec<_> {
        let first = curves.iter().filter(|row| row.key.arm == arm && row.point.step == 0);
        first.map(|row| (row.point.validation_loss, row.key.seed)).collect()
    };
    assert_eq!(starts("frozen"), starts("fluid"));
    assert_eq!(starts("frozen").len(), 6);
}

#[test]
fn counts_of_the_tensors_add_up_to_those_of_the_network() {
    let lab = Laboratory::new();
    lab.run(&["seeds=0..1"]);
    for row in curves(&lab) {
        let point = row.point;
        assert_eq!(point.tensors.len(), 4);
        assert_eq!(point.tensors.iter().map(|counts| counts.resets).sum::<u64>(), point.resets);
        let flips: u64 = point.tensors.iter().map(|counts| counts.sign_flips).sum();
        // Biases cross zero too, in frozen arms as well, and are in no tensor's count.
        let frozen = row.key.arm == "frozen";
        assert!(flips <= point.sign_flips && !(frozen && flips > 0), "{point:?}");
    }
}

#[test]
fn another_precision_is_another_cell() {
    let lab = Laboratory::new();
    lab.run(&["seeds=0..1"]);
    let said = lab.run(&["seeds=0..1", "train.precision=bf16"]);
    assert!(said.contains("4 cells: 0 finished, 4 to run"), "{said}");
}

#[test]
fn arithmetic_of_gpus_is_refused_on_a_cpu() {
    let lab = Laboratory::new();
    let (code, said) = lab.fails(&["run", "tiny.yaml", "--device", "cpu", "train.precision=tf32"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("train.precision: `tf32` is arithmetic of GPUs; run with"), "{said}");
    assert!(!lab.path("results").exists());
}

#[test]
fn a_falling_rate_is_another_cell_and_a_constant_one_the_same() {
    let lab = Laboratory::new();
    lab.run(&["seeds=0..1"]);
    let said = lab.run(&["seeds=0..1", "train.rate=constant"]);
    assert!(said.contains("4 cells: 4 finished, 0 to run"), "{said}");
    let said = lab.run(&["seeds=0..1", "train.rate=cosine"]);
    assert!(said.contains("4 cells: 0 finished, 4 to run"), "{said}");
}

#[test]
fn a_trained_source_is_a_cell_of_its_own_and_its_signs_are_taken() {
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab.run(&[]);
    let tables = lab.tables();
    let source = trials(&lab).into_iter().find(|trial| trial.key.arm == "source").unwrap();
    assert_eq!(source.outcome.steps, 4);
    // Its weights may be made again, and then nothing changes.
    let work = lab.path("results/tiny/work");
    assert_eq!(names(&work).len(), 1);
    std::fs::remove_dir_all(&work).unwrap();
    let said = lab.run(&["--redo", &trials(&lab)[1].key.id]);
    assert!(said.contains("1 to run"), "{said}");
    assert_eq!(lab.tables(), tables);
}

#[test]
fn a_source_and_networks_with_its_weights_are_tested_on_the_same_images() {
    let lab = Laboratory::new();
    let source =
        "{train: {data: {images: 60}, epochs: 1, batch: 10, optimizer: {adam: {lr: 0.003}}}}";
    let arm = "same: {signs: source, magnitudes: source, hold: none}";
    lab.edit("arms:\n", &format!("source: {source}\narms:\n  {arm}\n"));
    lab.run(&["data.test=7", "train.optimizer.adam.lr=1e-12"]);
    let trials = trials(&lab);
    let source = trials.iter().find(|trial| trial.key.arm == "source").unwrap();
    assert_eq!(source.outcome.test_images, Some(7));
    let same: Vec<&Trial> = trials.iter().filter(|trial| trial.key.arm == "same").collect();
    assert_eq!(same.len(), 6);
    for trial in same {
        assert_eq!(trial.outcome.test_error_last, source.outcome.test_error_last, "{trial:?}");
    }
}

#[test]
fn every_arm_takes_from_the_source_that_it_names() {
    let lab = Laboratory::new();
    let source = |epochs, seed| {
        format!("{{train: {{data: {{images: 60}}, epochs: {epochs}, batch: 10, seed: {seed}}}}}")
    };
    let (first, second) = (source(2, 0), source(2, 1));
    lab.edit(
        "arms:\n",
        &format!(
            "sources:\n  first: {first}\n  second: {second}\n  idle: {second}\narms:\n  \
             one: {{signs: source, source: first, hold: all}}\n  \
             two: {{signs: source, source: second, hold: all}}\n"
        ),
    );
    lab.run(&["seeds=[0]"]);
    let names: Vec<String> = trials(&lab).into_iter().map(|trial| trial.key.arm).collect();
    let count = |name: &str| names.iter().filter(|known| *known == name).count();
    assert_eq!(["source-first", "source-second", "source-idle"].map(count), [1, 1, 0]);
    let ids = |arm: &str| -> Vec<String> {
        let of_arm = trials(&lab).into_iter().filter(|trial| trial.key.arm == arm);
        of_arm.map(|trial| trial.key.id).collect()
    };
    let (one, two) = (ids("one"), ids("two"));
    assert!(one.iter().all(|id| !two.contains(id)), "the sources differ");

    // The same source alone makes the same cells, under its name or as the only one.
    lab.run(&[
        "seeds=[0]",
        "sources={}",
        &format!("source={first}"),
        "arms={one: {signs: source, hold: all}}",
        "baseline=one",
    ]);
    assert_eq!(ids("one"), one);
}

#[test]
fn every_seed_of_a_source_is_a_source_and_arms_have_cells_for_each() {
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab.edit("epochs: 1", "epochs: 0.5, seeds: [7, 8]");
    lab.edit("train_sizes: [8, 16]", "train_sizes: [8]");
    let said = lab.run(&["seeds=0..2"]);
    assert!(said.contains("8 cells: 0 finished, 8 to run"), "{said}");
    let [table, _] = lab.tables();
    assert!(table.starts_with("id,arm,train_size,source_seed,seed,"), "{table}");
    let found = trials(&lab);
    let of_arm = |arm: &str| -> Vec<(Option<f64>, u64)> {
        let rows = found.iter().filter(|trial| trial.key.arm == arm);
        rows.map(|trial| (trial.key.setting("source_seed"), trial.key.seed)).collect()
    };
    assert_eq!(of_arm("source"), [(Some(7.0), 7), (Some(8.0), 8)]);
    assert_eq!(
        of_arm("signs"),
        [7, 7, 8, 8].map(|s| Some(f64::from(s))).into_iter().zip([0, 1, 0, 1]).collect::<Vec<_>>()
    );
    assert_eq!(of_arm("fluid"), [(None, 0), (None, 1)]);
    let source = found.iter().find(|trial| trial.key.arm == "source").unwrap();
    // Of 60 images 20 are for validation: an epoch has 4 steps.
    assert_eq!(source.outcome.steps, 2);

    // A seed that is added leaves the others as they are.
    let said = lab.run(&["seeds=0..2", "source.train.seeds=[9, 7, 8]"]);
    assert!(said.contains("10 cells: 8 finished, 2 to run"), "{said}");
    for command in ["report", "plot", "plan"] {
        let output = lab.polarity(&[command, "tiny.yaml", "seeds=0..2"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let plan = lab.polarity(&["plan", "tiny.yaml", "seeds=0..2", "--cells"]).output().unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.contains(" signs train_size=8 source_seed=7 seed=0 done"), "{plan}");
    assert!(plan.contains(" fluid train_size=8 seed=0 done"), "{plan}");
    let source = "source `source`: trained here for 0.5 epochs on 60 images, once for each of the seeds [7, 8]";
    assert!(plan.contains(source), "{plan}");
}

#[test]
fn an_epoch_is_evaluated_at_its_end_where_the_file_asks_for_it() {
    let lab = Laboratory::new();
    lab.edit("steps: 6}", "epochs: 3, evaluate_at: every-epoch}");
    lab.run(&["seeds=[0]", "data.train_sizes=[16]"]);
    let [_, curves] = lab.tables();
    let steps: Vec<&str> =
        curves.lines().skip(1).take(4).map(|line| line.split(',').nth(4).unwrap()).collect();
    assert_eq!(steps, ["0", "2", "4", "6"], "{curves}");
}

#[test]
fn a_cell_is_computed_again_when_asked_and_an_unknown_one_is_refused() {
    let lab = Laboratory::new();
    lab.run(&[]);
    let tables = lab.tables();
    let said = lab.run(&["--redo", &trials(&lab)[0].key.id]);
    assert!(said.contains("11 finished, 1 to run"), "{said}");
    assert_eq!(lab.tables(), tables);
    let (code, said) = lab.fails(&["run", "tiny.yaml", "--redo", "0123456789abcdef"]);
    assert_eq!(code, 2);
    assert!(said.contains("`0123456789abcdef` is no cell"), "{said}");
}

#[test]
fn finished_cells_stay_finished_when_seeds_and_equal_arms_are_added() {
    let lab = Laboratory::new();
    lab.run(&[]);
    let said = lab.run(&["seeds=0..4"]);
    assert!(said.contains("16 cells: 12 finished, 4 to run"), "{said}");
    let said = lab.run(&["seeds=0..4", "arms.frozen-twin={signs: init, hold: all}"]);
    assert!(said.contains("24 cells: 24 finished, 0 to run"), "{said}");
}

#[test]
fn a_run_beside_another_of_the_same_experiment_is_refused() {
    let lab = Laboratory::new();
    lab.run(&["seeds=0..1"]);
    let other =
        File::options().append(true).open(lab.path("results/tiny/cells/main.lock")).unwrap();
    other.lock().unwrap();
    let (code, said) = lab.fails(&["run", "tiny.yaml"]);
    assert_eq!(code, 1);
    assert!(said.contains("another run of this experiment is writing here"), "{said}");
}

#[test]
fn a_results_folder_that_cannot_be_made_is_named_before_anything_is_trained() {
    let lab = Laboratory::new();
    lab.write("file", "in the way");
    let (code, said) = lab.fails(&["run", "tiny.yaml", "results=file/results"]);
    assert_eq!(code, 1);
    assert!(said.contains("file/results/tiny/cells: "), "{said}");
    assert!(said.contains("`results=DIR`"), "{said}");
    assert!(!said.contains("to run"), "{said}");
}

#[test]
fn a_loss_that_is_not_finite_ends_the_cell_as_diverged() {
    let lab = Laboratory::new();
    lab.run(&["train.optimizer={sgd: {lr: 1e30}}", "seeds=0..1"]);
    for trial in trials(&lab) {
        assert_eq!(trial.outcome.status.name(), "diverged", "{trial:?}");
        assert_eq!(trial.outcome.test_error, None);
    }
}

#[test]
fn a_source_that_no_arm_takes_from_is_not_trained() {
    let lab = Laboratory::new();
    lab.edit("arms:\n", "source: {train: {data: {images: 60}, epochs: 1}}\narms:\n");
    lab.run(&["seeds=0..1"]);
    assert!(trials(&lab).iter().all(|trial| trial.key.arm != "source"));
}

#[test]
fn a_source_trained_here_works_for_every_network_for_images() {
    for Entry { name, example, .. } in REGISTRY.iter().filter(|entry| entry.name != "mlp") {
        let model: Model = serde_yaml::from_str(example).unwrap();
        let side = (28..).find(|&side| model.check(side).is_ok()).unwrap();
        let lab = Laboratory::new();
        lab.add_trained_source();
        lab.edit("{name: alexnet-mini, hidden: 16}", example);
        lab.edit("validation: 20", &format!("validation: 20\n  image_size: {side}"));
        let arms = "arms={signs: {signs: source, hold: all}}";
        let short = ["seeds=[0]", "data.train_sizes=[8]", "train.steps=1", "data.test=4"];
        lab.run(&[&[arms, "baseline=signs"], &short[..]].concat());
        let trials = trials(&lab);
        assert_eq!(trials.len(), 2, "{name}");
        for Trial { key, outcome, .. } in trials {
            assert_eq!(outcome.status, Status::Done, "{name}: {}", key.arm);
            // A source holds nothing.
            assert!(key.arm == "source" || outcome.violations_after == 0, "{name}: {}", key.arm);
        }
    }
}

#[test]
fn a_folder_of_images_is_trained_on_like_any_data_set() {
    let lab = Laboratory::new();
    lab.take_folder(", test_share: 0.3");
    lab.run(&["seeds=[0]"]);
    let trials = trials(&lab);
    assert_eq!(trials.len(), 4);
    assert!(trials.iter().all(|trial| trial.outcome.status == Status::Done));
}
