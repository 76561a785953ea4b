//! Wrong input is refused by name, with exit code 2, before anything is made.

mod common;

use common::Laboratory;

/// Changes one thing in the experiment and expects these words in the refusal.
fn refused(from: &str, to: &str, words: &[&str]) {
    let lab = Laboratory::new();
    lab.edit(from, to);
    let (code, said) = lab.fails(&["run", "tiny.yaml"]);
    assert_eq!(code, 2, "{said}");
    for word in [&["tiny.yaml"], words].concat() {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!lab.path("results").exists(), "something was made");
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_their_path() {
    refused("batch: 8", "bach: 8", &["train.bach", "unknown field `bach`", "`batch`"]);
    refused("batch: 8", "batch: many", &["train.batch", "invalid type"]);
    refused("hold: none", "hold: some", &["arms.fluid.hold", "`all`, `none` or a list"]);
    refused("alexnet-mini", "alexnett", &["model", "unknown variant `alexnett`", "`alexnet`"]);
    refused("adam:", "adamm:", &["train.optimizer", "unknown variant `adamm`", "`sgd`"]);
    refused("name: tiny", "name: tiny\nname: again", &["duplicate entry"]);
}

#[test]
fn values_out_of_range_are_named_with_the_range() {
    refused("lr: 0.003", "lr: -1", &["train.optimizer.adam.lr", "above 0", "`-1`"]);
    refused("batch: 8", "batch: 0", &["train.batch", "at least 1"]);
    refused("steps: 6", "steps: 6, epochs: 2", &["exactly one of `epochs` and `steps`"]);
    refused("[8, 16]", "[]", &["data.train_sizes", "at least one size"]);
    refused("[8, 16]", "[8, 200]", &["200 training and 20 validation", "120 are there"]);
    refused("0..3", "3..3", &["seeds", "range like `0..20`"]);
    refused("name: tiny", "name: a/b", &["name", "letters, digits"]);
    refused("batch: 8", "batch: 8, reset: {uniform: -1}", &["train.reset", "above 0"]);
    refused("hidden: 16", "hidden: 0", &["model.hidden", "at least 1"]);
    refused("validation: 20", "validation: 20\n  image_size: 32", &["data.image_size", "28"]);
    refused("steps: 6", "steps: 6, evaluate_at: [7]", &["train.evaluate_at", "at most 6", "`7`"]);
    refused("{steps: [0]}", "{steps: [5]}", &["report.steps", "`5`"]);
    refused("{steps: [0]}", "{thresholds: [80]}", &["report.thresholds", "below 1", "`80`"]);
    refused("{steps: [0]}", "{thresholds: [0]}", &["report.thresholds", "above 0", "`0`"]);
    refused("learning-curves]", "pie]", &["figures", "`error-vs-samples`", "`pie`"]);
}

#[test]
fn impossible_arms_are_named_with_the_reason() {
    let arm = "fluid: {signs: init, hold: none}";
    let with = |text: &str| format!("{arm}\n  odd: {text}");
    refused(arm, &with("{signs: source, hold: all}"), &["arms.odd.signs", "no `source`"]);
    refused(arm, &with("{signs: {flipped: 1.5}, hold: all}"), &["arms.odd.signs", "no `source`"]);
    let magnitudes = with("{signs: init, magnitudes: source, hold: all}");
    refused(arm, &magnitudes, &["arms.odd.magnitudes", "needs a source with weights"]);
    refused(arm, &with("{signs: init, hold: [feat]}"), &["arms.odd.hold", "`features.0.weight`"]);
    refused(arm, &with("{signs: init, hold: none, reset: zero}"), &["arms.odd.reset"]);
    let until = |text: &str| with(&format!("{{signs: init, hold: all, until: {text}}}"));
    refused(arm, &until("{step: 6}"), &["arms.odd.until", "a step of 1 to 5", "`6`"]);
    refused(arm, &until("{epoch: 9}"), &["arms.odd.until", "an epoch of 1 to 5", "`9`"]);
    refused(arm, &until("{step: 0}"), &["arms.odd.until", "`0`"]);
    refused(arm, &until("{week: 1}"), &["arms.odd.until", "`step`", "`epoch`"]);
    refused(arm, &with("{signs: init, hold: none, until: {step: 2}}"), &["nothing is let go"]);
    refused(
        arm,
        &with("{signs: init, hold: {except: [f]}}"),
        &["hold.except", "`features.0.weight`"],
    );
    refused(arm, &with("{signs: init, hold: []}"), &["arms.odd.hold", "at least one layer"]);
    refused(
        arm,
        &with("{signs: init, only: [features], hold: all}"),
        &["arms.odd.only", "nothing is taken"],
    );
    refused(arm, &with("{signs: init, zeros: held, hold: all}"), &["arms.odd.zeros"]);
    refused(
        arm,
        &with("{signs: init, biases: source, hold: all}"),
        &["arms.odd.biases", "use `init`"],
    );
    refused("baseline: fluid", "baseline: liquid", &["baseline", "`frozen`", "`liquid`"]);
}

#[test]
fn an_arm_that_takes_what_its_source_lacks_is_named() {
    let lab = Laboratory::new();
    lab.edit("alexnet-mini, hidden: 16", "alexnet, hidden: [8, 8]");
    lab.edit("validation: 20", "validation: 20\n  image_size: 64");
    lab.edit(
        "arms:\n",
        "source: {template: alexnet-imagenet}\narms:\n  odd: {signs: source, ODD}\n",
    );
    for (odd, word) in [
        ("only: [classifier], hold: all", "arms.odd.only"),
        ("only: [feat], hold: all", "arms.odd.only"),
        (
            "magnitudes: source, hold: all",
            "arms.odd.magnitudes: `source` needs a source with weights",
        ),
        ("magnitudes: {shuffled: tensor}, hold: all", "arms.odd.magnitudes"),
    ] {
        lab.write("odd.yaml", &lab.read("tiny.yaml").replace("ODD", odd));
        let (code, said) = lab.fails(&["run", "odd.yaml"]);
        assert!(code == 2 && said.contains(word), "`{word}` is not in: {said}");
    }
}

#[test]
fn several_mistakes_are_reported_together() {
    let lab = Laboratory::new();
    lab.edit("batch: 8", "batch: 0");
    lab.edit("baseline: fluid", "baseline: liquid");
    let (_, said) = lab.fails(&["plan", "tiny.yaml"]);
    assert!(said.contains("train.batch") && said.contains("baseline"), "{said}");
}

#[test]
fn a_template_of_another_network_is_refused_tensor_by_tensor() {
    refused(
        "arms:",
        "source: {template: alexnet-imagenet}\narms:",
        &["source", "features.0.weight: expected shape [32, 1, 5, 5], got [64, 3, 11, 11]"],
    );
}

#[test]
fn a_damaged_template_is_refused_by_name() {
    let lab = Laboratory::new();
    let made = lab.polarity(&["template", "random", "alexnet-imagenet", "-o", "t.safetensors"]);
    assert!({ made }.status().unwrap().success());
    let bytes = std::fs::read(lab.path("t.safetensors")).unwrap();
    let mut altered = bytes.clone();
    *altered.last_mut().unwrap() ^= 1;
    for damaged in [&bytes[..bytes.len() / 2], &altered] {
        std::fs::write(lab.path("t.safetensors"), damaged).unwrap();
        let (code, said) = lab.fails(&["template", "info", "t.safetensors"]);
        assert_eq!(code, 2);
        assert!(said.contains("t.safetensors"), "{said}");
    }
}

#[test]
fn damaged_images_are_refused_by_name() {
    let lab = Laboratory::new();
    let bytes = std::fs::read(lab.path("train-images")).unwrap();
    std::fs::write(lab.path("train-images"), &bytes[..bytes.len() - 1]).unwrap();
    let (code, said) = lab.fails(&["run", "tiny.yaml"]);
    assert_eq!(code, 2);
    assert!(said.contains("train-images"), "{said}");
}

#[test]
fn data_that_are_not_there_are_named_with_the_command_that_gets_them() {
    let lab = Laboratory::new();
    let text = lab.read("tiny.yaml");
    let files = &text[text.find("  files:").unwrap()..text.find("  train_sizes").unwrap()];
    lab.edit(files, "");
    lab.edit("name: bars", "name: fashion-mnist");
    let (code, said) = lab.fails(&["run", "tiny.yaml"]);
    assert_eq!(code, 2);
    assert!(said.contains("`polarity data fetch fashion-mnist`"), "{said}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let lab = Laboratory::new();
    let (code, said) = lab.fails(&["run", "other.yaml"]);
    assert_eq!(code, 2);
    assert!(said.contains("other.yaml: cannot be read"), "{said}");
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let lab = Laboratory::new();
    let (code, said) = lab.fails(&["run", "tiny.yaml", "--device", "cuda:99"]);
    assert_eq!(code, 2);
    assert!(said.contains("cuda:99"), "{said}");
}
