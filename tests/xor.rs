//! A study of XOR-5D, the real program: cells that are computed together are still cells.

mod common;

use common::Laboratory;
use polarity::results::table::{ErrorCount, Trial, read_trials};

const STUDY: &str = "\
name: tiny
data: {name: xor-5d, train_sizes: [20, 60], validation: 100, test: 200}
model: {name: mlp}
widths: [3, 8]
arms:
  frozen-informed: {signs: informed, hold: all}
  frozen-uninformed: {signs: init, hold: all}
  fluid: {signs: init, hold: none}
  fluid-informed: {signs: informed, hold: none}
  fluid-fresh: {signs: init, magnitudes: fresh, hold: none}
  frozen-opposite: {signs: misinformed, hold: all}
baseline: fluid
train: {optimizer: {adam: {lr: 0.03}}, batch: 32, epochs: 20}
seeds: 0..3
figures: [fig1, fig4a, fig4bc, fig4d]
results: FOLDER/results
plots: FOLDER/plots
";

/// Cells of the study: two sizes, two widths, six arms, three seeds.
const CELLS: usize = 72;

fn laboratory() -> Laboratory {
    let lab = Laboratory::new();
    lab.write("tiny.yaml", STUDY);
    lab
}

fn trials(lab: &Laboratory) -> Vec<Trial> {
    read_trials(&lab.path("results/tiny/trials.csv")).unwrap()
}

fn of_arm<'a>(trials: &'a [Trial], arm: &'a str) -> impl Iterator<Item = &'a Trial> {
    trials.iter().filter(move |trial| trial.key.arm == arm)
}

#[test]
fn threads_shards_and_a_cell_computed_alone_give_the_same_bytes() {
    let [whole, threads, parts] = [(); 3].map(|()| laboratory());
    whole.run(&["--threads", "1"]);
    threads.run(&["--threads", "3"]);
    assert_eq!(whole.tables(), threads.tables());
    for shard in ["2/5", "0/5", "4/5", "1/5", "3/5"] {
        parts.run(&["--shard", shard]);
    }
    assert_eq!(whole.tables(), parts.tables());
    let said = whole.run(&["--redo", &trials(&whole)[40].key.id]);
    assert!(said.contains("72 cells: 71 finished, 1 to run"), "{said}");
    assert_eq!(whole.tables(), threads.tables());
}

#[test]
fn a_new_width_or_seed_leaves_finished_cells_finished() {
    let lab = laboratory();
    lab.run(&["widths=[8]", "seeds=[1]"]);
    let said = lab.run(&[]);
    assert!(said.contains("72 cells: 12 finished, 60 to run"), "{said}");
    let whole = laboratory();
    whole.run(&[]);
    assert_eq!(whole.tables(), lab.tables());
}

#[test]
fn a_stopped_study_goes_on_to_the_same_bytes() {
    let [whole, stopped] = [(); 2].map(|()| laboratory());
    let long = ["--threads", "1", "train.epochs=400", "data.train_sizes=[20, 60, 1000]"];
    whole.run(&long);
    stopped.run_and_interrupt(&long);
    stopped.run(&long);
    assert_eq!(whole.tables(), stopped.tables());
}

#[test]
fn arms_start_and_hold_as_they_say() {
    let lab = laboratory();
    lab.run(&[]);
    let trials = trials(&lab);
    assert_eq!(trials.len(), CELLS);
    let header = lab.read("results/tiny/trials.csv").lines().next().unwrap().to_owned();
    assert!(header.starts_with("id,arm,train_size,width,seed,status,"), "{header}");
    for trial in &trials {
        let frozen = trial.key.arm.starts_with("frozen");
        assert!(!frozen || trial.outcome.violations_after == 0, "{trial:?}");
        assert_eq!(trial.outcome.resets > 0, frozen, "{trial:?}");
        assert!(trial.outcome.test_error.is_some() && trial.outcome.milestones.is_some());
    }
    assert!(of_arm(&trials, "fluid").any(|trial| trial.outcome.violations_after > 0));
    let errors = |arm| of_arm(&trials, arm).map(|t| t.outcome.validation_error).collect::<Vec<_>>();
    assert_ne!(errors("fluid"), errors("fluid-fresh"));
    assert_ne!(errors("fluid"), errors("fluid-informed"));
    let mean = |arm| errors(arm).into_iter().flatten().map(ErrorCount::value).sum::<f64>() / 12.0;
    assert!(mean("frozen-informed") < mean("frozen-opposite"), "the rule is the right way round");
}

#[test]
fn faithful_switches_that_change_cells_make_other_cells() {
    let lab = laboratory();
    lab.run(&[]);
    let said = lab.run(&["train.faithful=[epochs-from-zero, survivors-only]"]);
    assert!(said.contains("72 finished"), "how results are told changes no cell: {said}");
    let said = lab.run(&["train.faithful=[one-draw]", "seeds=[0, 1]"]);
    assert!(said.contains("48 cells: 0 finished"), "{said}");
    // With seed 0 the shared draw is its own.
    let shared = trials(&lab);
    let whole = laboratory();
    whole.run(&["seeds=[0, 1]"]);
    for (shared, own) in shared.iter().zip(trials(&whole)) {
        let same = shared.outcome == own.outcome;
        assert!(same || shared.key.seed == 1, "{shared:?} {own:?}");
    }
    let said = lab.run(&["train.faithful=[reset-at-start]"]);
    assert!(said.contains("72 cells: 36 finished"), "only frozen arms reset: {said}");
}

#[test]
fn a_report_has_medians_shares_and_censored_epochs_of_every_arm_and_setting() {
    let lab = laboratory();
    lab.run(&[]);
    let output = lab.polarity(&["report", "tiny.yaml", "--json"]).output().unwrap();
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 24);
    for row in rows {
        assert!(row["width"].is_u64() && row["train_size"].is_u64() && row["cells"] == 3);
        assert!(row["test_error"]["median"].is_f64(), "{row}");
        assert!(row["learned"]["share"].is_f64(), "{row}");
        assert!(row["epochs_to_90"].get("median").is_some(), "{row}");
    }
    let output = lab.polarity(&["plot", "tiny.yaml"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let drawn = common::names(&lab.path("plots/tiny"));
    assert_eq!(drawn, ["fig1.png", "fig4a.png", "fig4bc.png", "fig4d.png"]);
}

#[test]
fn a_plan_explains_every_arm() {
    let lab = laboratory();
    let output = lab.polarity(&["plan", "tiny.yaml"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("tiny: 72 cells, 0 done, 72 left\n"), "{said}");
    assert!(said.contains("frozen-informed: starts with output signs that serve XOR"), "{said}");
    assert!(said.contains("frozen-opposite: starts with output signs that work against"), "{said}");
}

#[test]
fn what_does_not_go_with_points_is_refused_by_its_key() {
    let lab = laboratory();
    for (change, expected) in [
        ("data.train_sizes=[10]", "data.train_sizes: expected multiples of 4"),
        ("widths=[3, 3]", "widths: a width stands twice"),
        ("widths=[0]", "widths: expected at least 1"),
        ("widths=[16385]", "widths: expected at least 1 and at most 16384, got `16385`"),
        ("train.epochs=90000000", "train.epochs: expected at least 1 and at most 100000"),
        ("train.optimizer={sgd: {lr: 0.1}}", "train.optimizer: networks `mlp` are trained"),
        ("train.optimizer={eg: {lr: 0.1}}", "train.optimizer: networks `mlp` are trained"),
        ("train.steps=5", "train: expected exactly one of `epochs` and `steps`"),
        ("arms.fluid.signs=random", "arms.fluid.signs: expected `init`, `informed` or"),
        ("model={name: alexnet-mini}", "model: data `xor-5d` and networks `mlp` go together"),
        ("train.faithful=[one-draw, one-draw]", "train.faithful: a switch stands twice"),
        ("arms.fluid.hold=[features]", "arms.fluid.hold: expected layers of the network"),
    ] {
        let (code, said) = lab.fails(&["plan", "tiny.yaml", change]);
        assert!(code == 2 && said.contains(expected), "{change}: {said}");
    }
    let images = Laboratory::new();
    for (change, expected) in [
        ("arms.frozen.signs=informed", "arms.frozen.signs: only data `xor-5d` have informed signs"),
        ("widths=[3]", "widths: only networks `mlp` are swept"),
        ("train.faithful=[one-draw]", "train.faithful: only data `xor-5d` have such switches"),
    ] {
        let (code, said) = images.fails(&["plan", "tiny.yaml", change]);
        assert!(code == 2 && said.contains(expected), "{change}: {said}");
    }
}
