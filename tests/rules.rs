//! Templates that rules make, and checkpoints that keep a template or do not, by the real program.

mod common;

use std::path::Path;

use common::{Laboratory, stdout};
use polarity::results::table::read_trials;
use polarity::sign::Template;

/// A laboratory with `net.pth`, a checkpoint that PyTorch wrote, and `rules.yaml`.
fn lab(rules: &str) -> Laboratory {
    let lab = Laboratory::new();
    for name in ["net.pth", "net.npz", "net.safetensors"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/weights/testdata").join(name);
        std::fs::copy(from, lab.path(name)).unwrap();
    }
    lab.write("rules.yaml", rules);
    lab
}

const RULE: [&str; 6] = ["template", "rule", "--rules", "rules.yaml", "-o", "t.safetensors"];

/// The template that `rules.yaml` makes of `like`, and what the program says of it.
fn made(lab: &Laboratory, like: &[&str]) -> (Template, String) {
    let said = stdout(lab, &[&RULE[..], &["--like"], like].concat());
    (Template::load(lab.path("t.safetensors")).unwrap(), said)
}

/// What the program says where it refuses the rules for `like`: it writes nothing.
fn refused(rules: &str, like: &[&str]) -> String {
    let lab = lab(rules);
    let (code, said) = lab.fails(&[&RULE[..], &["--like"], like].concat());
    assert_eq!(code, 2, "{said}");
    assert!(!lab.path("t.safetensors").exists());
    said
}

fn signs(template: &Template, name: &str) -> Vec<i8> {
    template.get(name).unwrap().mask.to_signs()
}

#[test]
fn rules_give_a_checkpoint_signs_and_say_what_decided_each_tensor() {
    let lab = lab("'features.*.weight': {dale: [1, -1]}\n'classifier.*': own\n");
    let (template, said) = made(&lab, &["net.pth"]);
    let names: Vec<_> = template.names().collect();
    assert_eq!(names, ["classifier.1.bias", "classifier.1.weight", "features.0.weight"]);
    let kernel = signs(&template, "features.0.weight");
    assert_eq!(kernel, [[1; 4], [-1; 4]].concat().repeat(3));
    let [classifier, features] = ["classifier.*: own", "dale(2 columns as given)"];
    assert!(said.contains(classifier) && said.contains(features), "{said}");
    assert!(said.contains("no pattern, so it is free"), "{said}");
    // One of the fifteen weights is −0.0.
    let line = said.lines().find(|line| line.starts_with("classifier.1.weight")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(1).take(2).collect();
    assert_eq!(numbers, ["15", "14"]);
    let source = template.source();
    assert!(source.starts_with("rules {features.*.weight: dale(2 columns as given), "), "{source}");
    assert!(source.contains("} for net.pth, sha256 "), "{source}");
}

#[test]
fn rules_give_a_network_of_the_registry_signs_before_it_has_weights() {
    let lab = lab("'*.bias': free\n'features.*': positive\n'*': {dale: 0.75, seed: 2}\n");
    let (template, _) = made(&lab, &["{name: alexnet-mini, hidden: 8}", "--classes", "4"]);
    let head = &template.get("classifier.4.weight").unwrap();
    assert_eq!(head.shape, [4, 8]);
    let columns = &head.mask.to_signs()[..8];
    assert_eq!(columns.iter().filter(|sign| **sign == 1).count(), 6);
    assert_eq!(head.mask.to_signs(), columns.repeat(4));
    assert_eq!(template.get("features.0.weight").unwrap().mask.positive_fraction(), Some(1.0));
    assert!(template.get("features.0.bias").is_none());
    let (by_name, _) = made(&lab, &["alexnet-mini"]);
    assert_eq!(by_name.get("classifier.4.weight").unwrap().shape, [10, 256]);
}

#[test]
fn a_table_of_edges_is_read_beside_the_rules() {
    let lab = lab("classifier.1.weight: {edges: synapses.csv}\n");
    lab.write("synapses.csv", "from,to,sign\n0,0,+\n2,4,-1\n");
    let (template, said) = made(&lab, &["net.npz"]);
    let mut expected = [0; 15];
    (expected[0], expected[14]) = (1, -1);
    assert_eq!(signs(&template, "classifier.1.weight"), expected);
    assert!(said.contains("edges(2 of synapses.csv, sha256 "), "{said}");
    lab.write("synapses.csv", "from,to,sign\n3,0,+\n");
    let (code, said) = lab.fails(&[&RULE[..], &["--like", "net.npz"]].concat());
    let expected = "rules.yaml: classifier.1.weight: edges: row 1: from: expected a unit below 3";
    assert!(code == 2 && said.contains(expected), "{said}");
}

#[test]
fn the_same_rules_make_the_same_bytes() {
    let lab = lab("'*.weight': {dale: 0.5, seed: 7}\n");
    made(&lab, &["net.pth"]);
    let first = std::fs::read(lab.path("t.safetensors")).unwrap();
    lab.write("rules.yaml", r#"{"*.weight": {"dale": 0.5, "seed": 7}}"#);
    made(&lab, &["net.pth"]);
    assert_eq!(std::fs::read(lab.path("t.safetensors")).unwrap(), first);
}

#[test]
fn wrong_rules_are_refused_with_their_file_and_the_way_out() {
    let said = refused("feature.0.weight: own\n", &["net.pth"]);
    assert!(said.contains("rules.yaml: pattern `feature.0.weight`: matches no tensor"), "{said}");
    assert!(said.contains("did you mean `features.0.weight`?"), "{said}");
    let said = refused("'*': excitatory\n", &["net.pth"]);
    assert!(said.contains("rules.yaml: *: expected `positive`, `negative`"), "{said}");
    let said = refused("*.bias: free\n", &["net.pth"]);
    assert!(said.contains("a pattern that begins with `*` must stand in quotes"), "{said}");
    let said = refused("[positive]\n", &["net.pth"]);
    assert!(said.contains("expected a map from patterns of names to rules"), "{said}");
    for nothing in ["", "'*': free\n"] {
        let said = refused(nothing, &["net.pth"]);
        assert!(said.contains("rules.yaml: holds no weight of net.pth"), "{said}");
    }
    let said = refused("'*': own\n", &["alexnet-mini"]);
    assert!(said.contains("`own` takes the signs that the weights have"), "{said}");
    let said = refused("'*': own\n", &["no-such.pth"]);
    assert!(said.contains("no-such.pth: cannot be read"), "{said}");
    let said = refused("'*': positive\n", &["{name: alexnet-mini, hiden: 8}"]);
    assert!(
        said.contains("--like {name: alexnet-mini, hiden: 8}: unknown field `hiden`"),
        "{said}"
    );
    let lab = Laboratory::new();
    let (code, said) = lab.fails(&[&RULE[..], &["--like", "net.pth"]].concat());
    assert!(code == 2 && said.contains("rules.yaml: cannot be read"), "{said}");
}

#[test]
fn a_checkpoint_that_keeps_its_signs_passes_in_every_format() {
    let lab = lab("'*': own\n");
    made(&lab, &["net.pth"]);
    for model in ["net.pth", "net.npz", "net.safetensors"] {
        let said = stdout(&lab, &["check", model, "t.safetensors"]);
        assert!(said.contains(&format!("{model} keeps all 45 signs that t.safetensors")), "{said}");
    }
}

#[test]
fn a_violated_sign_fails_the_check_by_tensor_and_place() {
    let lab = lab("'*.weight': positive\n");
    made(&lab, &["net.pth"]);
    let output = lab.polarity(&["check", "net.pth", "t.safetensors"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let [table, said] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    let signs =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/weights/testdata/net.signs"));
    let signs: Vec<i8> = signs.unwrap().into_iter().map(|sign| sign as i8).collect();
    // The kernel of the classifier, [5, 3], stands first, then that of the features, [3, 2, 2, 2].
    let (classifier, features) = signs.split_at(15);
    for (name, signs) in [("classifier.1.weight", classifier), ("features.0.weight", features)] {
        let negative = signs.iter().filter(|sign| **sign < 0).count();
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1..3], [signs.len().to_string(), negative.to_string()]);
    }
    let first = classifier.iter().position(|sign| *sign < 0).unwrap();
    let place = format!("[{}, {}] is -", first / 3, first % 3);
    assert!(table.contains(&place) && table.contains(", held positive"), "{place}: {table}");
    let all = signs.iter().filter(|sign| **sign < 0).count();
    let expected = format!("net.pth: violates {all} of the 39 signs that t.safetensors holds");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_check_of_what_does_not_fit_is_wrong_input() {
    let lab = lab("'*': own\n");
    made(&lab, &["net.pth"]);
    for (arguments, expected) in [
        (["net.pth", "alexnet-imagenet"], "net.pth: the checkpoint does not fit the template: "),
        (["no-such.pth", "t.safetensors"], "no-such.pth: cannot be read"),
        (["net.pth", "no-such.safetensors"], "no-such.safetensors: "),
        (["t.safetensors", "t.safetensors"], "t.safetensors: "),
    ] {
        let (code, said) = lab.fails(&[&["check"], &arguments[..]].concat());
        assert!(code == 2 && said.contains(expected), "{said}");
    }
}

#[test]
fn an_experiment_holds_what_rules_made_under_exponentiated_gradient_too() {
    let lab = lab("'features.*.weight': {dale: 0.8, seed: 1}\nclassifier.1.bias: positive\n");
    made(&lab, &["{name: alexnet-mini, hidden: 16}", "--classes", "4"]);
    lab.edit(
        "arms:\n",
        "source: {template: t.safetensors}\narms:\n  ruled: {signs: source, hold: all}\n",
    );
    for optimizer in ["{eg: {lr: 0.3, momentum: 0.9}}", "{eg-adamw: {lr: 0.01}}"] {
        lab.run(&[&format!("train.optimizer={optimizer}"), "seeds=0..1"]);
        let trials = read_trials(&lab.path("results/tiny/trials.csv")).unwrap();
        let ruled: Vec<_> = trials.iter().filter(|trial| trial.key.arm == "ruled").collect();
        assert_eq!(ruled.len(), 2);
        for trial in ruled {
            let outcome = &trial.outcome;
            assert_eq!((outcome.violations_after, outcome.resets), (0, 0), "{optimizer}");
        }
    }
}
