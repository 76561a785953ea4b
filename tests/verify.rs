//! `polarity verify`, the real program: published tables are recomputed without the cells they were made
//! from, and every digit that is not right is found.

mod common;

use common::{Laboratory, digest, names, stdout};
use serde_json::Value;

/// The study with a trained source, as it is published: tables and manifest, and nothing else.
fn published() -> Laboratory {
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab.run(&["--device", "cpu"]);
    for folder in ["cells", "work"] {
        std::fs::remove_dir_all(lab.path("results/tiny").join(folder)).unwrap();
    }
    std::fs::remove_file(lab.path("results/tiny/timings.csv")).unwrap();
    lab
}

const ALL: [&str; 6] = ["verify", "tiny.yaml", "--cells", "100", "--device", "cpu"];

/// What verifying all cells comes to: the exit code, stdout, and stderr.
fn verified(lab: &Laboratory, more: &[&str]) -> (i32, String, String) {
    let output = lab.polarity(&[&ALL, more].concat()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let said = text(output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code().unwrap(), text(output.stdout), said)
}

/// Changes a file of the results, in which `from` must be.
fn alter(lab: &Laboratory, name: &str, from: &str, to: &str) {
    let name = format!("results/tiny/{name}");
    let text = lab.read(&name);
    assert!(text.contains(from), "no `{from}` in {text}");
    lab.write(&name, &text.replacen(from, to, 1));
}

/// What the manifest says computed the tables.
fn machine(lab: &Laboratory) -> String {
    let manifest: Value = serde_json::from_str(&lab.read("results/tiny/manifest.json")).unwrap();
    manifest["machines"].as_object().unwrap().keys().next().unwrap().clone()
}

/// The first row of `arm`.
fn row(lab: &Laboratory, arm: &str) -> String {
    let [trials, _] = lab.tables();
    trials.lines().find(|line| line.contains(&format!(",{arm},"))).unwrap().to_owned()
}

/// The row with another value under `column`.
fn with_value(lab: &Laboratory, row: &str, column: &str, value: &str) -> String {
    let [trials, _] = lab.tables();
    let place = trials.lines().next().unwrap().split(',').position(|name| name == column).unwrap();
    let mut values: Vec<&str> = row.split(',').collect();
    values[place] = value;
    values.join(",")
}

#[test]
fn published_tables_are_recomputed_bit_for_bit_without_the_cells_they_were_made_from() {
    let lab = published();
    let before = names(&lab.path("results/tiny"));
    assert_eq!(before, ["curves.csv", "manifest.json", "trials.csv"]);
    let (code, out, said) = verified(&lab, &[]);
    assert_eq!(code, 0, "{out}{said}");
    assert_eq!(out.matches(": identical\n").count(), 19, "{out}");
    assert!(out.ends_with("tiny: 19 cells, 0 different\n"), "{out}");
    assert!(said.contains("1 source is trained first, in memory, about "), "{said}");
    assert!(said.contains("19 of 19 finished cells"), "{said}");
    assert_eq!(names(&lab.path("results/tiny")), before, "nothing is written");
}

#[test]
fn the_same_seed_chooses_the_same_cells_and_another_one_others() {
    let lab = published();
    let chosen = |seed: &str| {
        let seed = ["verify", "tiny.yaml", "--device", "cpu", "--json", "--seed", seed];
        let object: Value = serde_json::from_str(&stdout(&lab, &seed)).unwrap();
        let cells = object["cells"].as_array().unwrap().clone();
        assert!(cells.iter().all(|cell| cell["verdict"] == "identical"), "{object}");
        assert_eq!((cells.len(), &object["different"]), (3, &0.into()));
        cells.iter().map(|cell| cell["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(chosen("4"), chosen("4"));
    let others: std::collections::BTreeSet<_> = ["0", "1", "2", "3"].map(chosen).into();
    assert!(others.len() > 2, "{others:?}");
}

#[test]
fn an_altered_digit_is_found_wherever_it_stands() {
    let lab = published();
    let [trials, curves] = lab.tables();
    let frozen = row(&lab, "frozen");
    let id = frozen.split(',').next().unwrap().to_owned();
    let more = |text: &str| (text.parse::<u64>().unwrap() + 1).to_string();
    let place = |column: &str| {
        trials.lines().next().unwrap().split(',').position(|name| name == column).unwrap()
    };
    let resets = more(frozen.split(',').nth(place("resets")).unwrap());
    for (column, value) in [("resets", &*resets), ("test_error", "0.5"), ("status", "diverged")] {
        let changed = with_value(&lab, &frozen, column, value);
        alter(&lab, "trials.csv", &frozen, &changed);
        let (code, out, said) = verified(&lab, &[]);
        assert_eq!(code, 1, "{column}: {out}{said}");
        assert!(out.contains(&format!("different ({column} {value} published, ")), "{out}");
        assert!(out.ends_with("tiny: 19 cells, 1 different\n"), "{out}");
        assert!(said.contains(&format!("1 of 19 cells are not what is published, cell {id}")));
        alter(&lab, "trials.csv", &changed, &frozen);
    }
    // The last digit of a loss in a curve.
    let line = curves.lines().find(|line| line.starts_with(&id)).unwrap();
    let loss = line.split(',').nth(6).unwrap();
    let last = loss.chars().last().unwrap();
    let other = if last == '1' { '2' } else { '1' };
    let changed = format!("{}{other}", &loss[..loss.len() - 1]);
    alter(&lab, "curves.csv", loss, &changed);
    let (code, out, _) = verified(&lab, &[]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains(&format!(
            "different (step 0 validation_loss {changed} published, {loss} here)"
        )),
        "{out}"
    );
    alter(&lab, "curves.csv", &changed, loss);
    // An evaluation that is left out.
    alter(&lab, "curves.csv", &format!("{line}\n"), "");
    let (code, out, _) = verified(&lab, &[]);
    assert!(code == 1 && out.contains("different (evaluations 1 published, 2 here"), "{out}");
}

#[test]
fn of_another_cpu_small_differences_are_within_a_tolerance_that_is_said_and_large_ones_are_not() {
    let lab = published();
    let own = machine(&lab);
    alter(&lab, "manifest.json", &own, "Another CPU, of 1999");
    let (code, out, _) = verified(&lab, &[]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("there: Another CPU, of 1999, libtorch "), "{out}");
    assert!(out.contains(": identical\n") && !out.contains("tolerance"), "{out}");
    let fluid = row(&lab, "fluid");
    let flips = fluid.split(',').next_back().unwrap().to_owned();
    let near = (flips.parse::<u64>().unwrap() + 1).to_string();
    let changed = with_value(&lab, &fluid, "sign_flips", &near);
    alter(&lab, "trials.csv", &fluid, &changed);
    let (code, out, _) = verified(&lab, &[]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains(&format!("within the tolerance (sign_flips {near} published, {flips} here)")),
        "{out}"
    );
    let because = format!("because the CPU differs: Another CPU, of 1999 there, {own} here");
    assert!(
        out.contains("0 different; 18 identical, 1 within the tolerance, ")
            && out.contains(&because),
        "{out}"
    );
    assert!(out.contains("\ntolerance: "), "{out}");
    alter(&lab, "trials.csv", &changed, &with_value(&lab, &fluid, "steps", "7"));
    let (code, out, _) = verified(&lab, &[]);
    assert!(code == 1 && out.contains("different (steps 7 published, 6 here"), "{out}");
}

#[test]
fn a_manifest_that_names_no_cpu_and_another_libtorch_are_said_to_differ() {
    let lab = published();
    let own = machine(&lab);
    alter(&lab, "manifest.json", &format!("\"{own}\": 19"), "");
    let libtorch = format!("\"libtorch\": \"{}\"", polarity::LIBTORCH);
    alter(&lab, "manifest.json", &libtorch, "\"libtorch\": \"1.0.0\"");
    let (code, out, _) = verified(&lab, &["--json"]);
    assert_eq!(code, 0, "{out}");
    let object: Value = serde_json::from_str(&out).unwrap();
    let reasons = object["reasons"].to_string();
    assert_eq!(object["may_differ"], true);
    assert!(reasons.contains("the manifest does not name the CPU"), "{reasons}");
    assert!(reasons.contains("libtorch differs: 1.0.0 there, "), "{reasons}");
}

#[test]
fn points_are_the_same_bits_alone_as_in_a_block_and_on_every_cpu() {
    let lab = Laboratory::of_points();
    lab.edit("[20]", "[20, 32]");
    lab.edit("frozen: {signs: init", "frozen: {signs: informed");
    lab.edit("epochs: 2", "epochs: 12");
    lab.edit("seeds: 0..2", "seeds: 0..20");
    lab.run(&["--device", "cpu"]);
    std::fs::remove_dir_all(lab.path("results/tiny/cells")).unwrap();
    let own = machine(&lab);
    alter(&lab, "manifest.json", &own, "Another CPU, of 1999");
    let (code, out, _) = verified(&lab, &[]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(out.matches(": identical\n").count(), 80, "{out}");
    let fluid = row(&lab, "fluid");
    let flips: u64 = fluid.split(',').nth(17).unwrap().parse().unwrap();
    alter(
        &lab,
        "trials.csv",
        &fluid,
        &with_value(&lab, &fluid, "sign_flips", &(flips + 1).to_string()),
    );
    let (code, out, _) = verified(&lab, &[]);
    assert!(code == 1 && out.contains("different (sign_flips "), "no tolerance is needed: {out}");
}

#[test]
fn tables_of_another_experiment_version_or_data_set_are_refused_with_the_reason() {
    let lab = published();
    let refused = |more: &[&str]| {
        let (code, out, said) = verified(&lab, more);
        assert!(code == 2 && out.is_empty(), "{code}: {out}{said}");
        said
    };
    let said = refused(&["seeds=[0]"]);
    assert!(said.contains("trials.csv: 12 of 19 rows are no cells of this experiment"), "{said}");
    let said = refused(&["results=FOLDER"]);
    assert!(said.contains("no results yet"), "{said}");
    for (key, from, to) in [
        ("results_version", "\"results_version\": 4", "\"results_version\": 3"),
        ("device", "\"device\": \"cpu\"", "\"device\": \"cuda\""),
        ("data_digest", "\"data_digest\": \"", "\"data_digest\": \"0"),
        ("source_digests.source", "\"source\": \"", "\"source\": \"0"),
    ] {
        alter(&lab, "manifest.json", from, to);
        let said = refused(&[]);
        assert!(said.contains(&format!("manifest.json: {key} is `")), "{key}: {said}");
        alter(&lab, "manifest.json", to, from);
    }
    let frozen = row(&lab, "frozen");
    let twice = format!("{frozen}\n{frozen}");
    alter(&lab, "trials.csv", &frozen, &twice);
    assert!(refused(&[]).contains("has two rows"));
    alter(&lab, "trials.csv", &twice, &frozen);
    let swapped = with_value(&lab, &frozen, "arm", "fluid");
    alter(&lab, "trials.csv", &frozen, &swapped);
    let said = refused(&[]);
    assert!(
        said.contains(
            "says fluid, train_size 8, seed 0, and the cell is frozen, train_size 8, seed 0"
        ),
        "{said}"
    );
    alter(&lab, "trials.csv", &swapped, &frozen);
    let manifest = lab.read("results/tiny/manifest.json");
    lab.write("results/tiny/manifest.json", &manifest[..100]);
    assert!(refused(&[]).contains("manifest.json: "));
    lab.write("results/tiny/manifest.json", &manifest);
    assert_eq!(digest(&lab.read("results/tiny/manifest.json")), digest(&manifest));
    assert_eq!(verified(&lab, &["--seed", "1"]).0, 0, "all is as it was");
}

#[test]
fn failed_rows_are_no_finished_cells_and_diverged_ones_are() {
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab.edit("epochs: 1, batch: 10", "epochs: 1, batch: 10, optimizer: {sgd: {lr: 1.0e+30}}");
    lab.fails(&["run", "tiny.yaml", "--device", "cpu"]);
    let (code, out, said) = verified(&lab, &[]);
    assert_eq!(code, 0, "{out}{said}");
    assert!(said.contains("13 of 13 finished cells"), "{said}");
    assert!(out.contains("test error diverged published, diverged here: identical"), "{out}");
}
