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
    let keys =
        "train.bach: no such key; did you mean `batch`? the keys here are `optimizer`, `batch`";
    refused("batch: 8", "bach: 8", &[keys]);
    refused("batch: 8", "batch: many", &["train.batch: expected a whole number, got `many`"]);
    refused("batch: 8", "batch: 1.5", &["train.batch: expected a whole number, got `1.5`"]);
    refused("batch: 8", "batch: -1", &["train.batch: expected a whole number of at least 0"]);
    refused("batch: 8", "batch: 1.0e+20", &["train.batch: expected a whole number below 2^64"]);
    refused("batch: 8", "bat: 8", &["train.bat: no such key"]);
    refused(", batch: 8", "", &["train.batch: expected a value, since it has no default"]);
    refused("[8, 16]", "[8, x]", &["data.train_sizes[1]: expected a whole number, got `x`"]);
    refused("[8, 16]", "8", &["data.train_sizes: expected a list, got `8`"]);
    refused("hidden: 16", "hidden: x", &["model.hidden: expected a whole number, got `x`"]);
    refused("hidden: 16", "hiden: 16", &["model.hiden: no such key; did you mean `hidden`?"]);
    refused("{adam: {lr: 0.003}}", "adam", &["train.optimizer: expected a value beside it"]);
    refused("signs: init, hold: none", "signs: {init: 3}, hold: none", &["the word `init` alone"]);
    let hold = ["arms.fluid.hold: expected `all`, `none` or a list", "did you mean `none`?"];
    refused("hold: none", "hold: nome", &hold);
    let model = ["model.name: ", "`alexnet`", "got `alexnett`; did you mean `alexnet`?"];
    refused("alexnet-mini", "alexnett", &model);
    refused("name: alexnet-mini, hidden: 16", "name: 1", &["model.name: expected one of", "`1`"]);
    let optimizer =
        ["train.optimizer: expected one of `adam`, `sgd`, `eg`, `eg-adamw`", "mean `adam`?"];
    refused("adam:", "adamm:", &optimizer);
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
    refused("steps: 6", "steps: 6, evaluate_at: often", &["train.evaluate_at", "`every-epoch`"]);
    refused("{steps: [0]}", "{steps: [7]}", &["report.steps", "at most 6", "`7`"]);
    let first = "steps: 6, evaluate_at: [1]}\nreport: {steps: [5]}";
    refused("steps: 6}\nreport: {steps: [0]}", first, &["report.steps", "{0, 1, 6}", "`5`"]);
    let setting = "report.at.train_sizes: no such key; did you mean `train_size`?";
    refused("{steps: [0]}", "{at: {train_sizes: [8]}}", &[setting]);
    refused("{steps: [0]}", "{thresholds: [80]}", &["report.thresholds", "below 1", "`80`"]);
    refused("{steps: [0]}", "{thresholds: [0]}", &["report.thresholds", "above 0", "`0`"]);
    refused("learning-curves]", "pie]", &["figures", "`error-vs-samples`", "`pie`"]);
    refused("learning-curves]", "learning-curve]", &["figures", "did you mean `learning-curves`?"]);
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
    for lr in ["0", "-0.1", ".nan", "1e-60"] {
        let odd = with(&format!("{{signs: init, hold: all, lr: {lr}}}"));
        refused(arm, &odd, &["arms.odd.lr"]);
    }
    refused(
        arm,
        &with("{signs: init, biases: source, hold: all}"),
        &["arms.odd.biases", "use `init`"],
    );
    refused("baseline: fluid", "baseline: liquid", &["baseline", "`frozen`", "`liquid`"]);
    refused("baseline: fluid", "baseline: fluiid", &["baseline: ", "did you mean `fluid`?"]);
    let layer = ["arms.odd.hold: expected layers", "did you mean `classifier.1`?"];
    refused(arm, &with("{signs: init, hold: [clasifier.1]}"), &layer);
}

/// Plans with these overrides and expects these words in the refusal.
fn override_refused(text: &str, words: &[&str]) {
    let lab = Laboratory::new();
    let (code, said) = lab.fails(&["plan", "tiny.yaml", text]);
    assert_eq!(code, 2, "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

#[test]
fn an_override_that_brings_a_mistake_is_named() {
    let key = "tiny.yaml with `train.bach=7`: train.bach: no such key; did you mean `batch`?";
    override_refused("train.bach=7", &[key]);
    override_refused("trian.batch=7", &["with `trian.batch=7`: trian: ", "mean `train`?"]);
    let arm = ["with `arms.fluidd.hold=all`: arms.fluidd.signs: ", "mean `arms.fluid`?"];
    override_refused("arms.fluidd.hold=all", &arm);
    override_refused("train.batch=many", &["with `train.batch=many`: train.batch: expected"]);
    override_refused("arms.\"fluid.hold=all", &["never closed", "`key.path=value`"]);
    override_refused("train.batch", &["no `=` in it", "`key.path=value`"]);
}

#[test]
fn a_key_with_dots_is_overridden_in_double_quotes() {
    let lab = Laboratory::new();
    lab.edit("  fluid: {", "  frozen-0.001: {signs: init, hold: none}\n  fluid: {");
    let plan = |text: &str| common::stdout(&lab, &["plan", "tiny.yaml", text]);
    assert!(plan("seeds=[0]").contains("frozen-0.001: starts with its own random signs on random"));
    let held = plan("arms.\"frozen-0.001\".hold=all");
    assert!(
        held.lines().any(|line| line.contains("frozen-0.001: ") && line.contains("signs held"))
    );
    let (code, said) = lab.fails(&["plan", "tiny.yaml", "arms.frozen-0.001.hold=all"]);
    assert!(code == 2 && said.contains("double quotes, `\"frozen-0.001\"`"), "{said}");
}

#[test]
fn names_of_data_sets_and_templates_are_proposed() {
    let lab = Laboratory::new();
    let text = lab.read("tiny.yaml");
    let files = &text[text.find("  files:").unwrap()..text.find("  train_sizes").unwrap()];
    lab.edit(files, "");
    lab.edit("name: bars", "name: fashon-mnist");
    lab.edit("arms:\n", "source: {template: alexnet-imagnet}\narms:\n");
    let (code, said) = lab.fails(&["plan", "tiny.yaml"]);
    assert_eq!(code, 2);
    for words in ["data.name: ", "mean `fashion-mnist`?", "source.template: ", "`alexnet-imagenet`"]
    {
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
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
fn a_source_that_is_not_there_by_its_name_is_answered_with_those_that_are() {
    let with = |source: &str, arm: &str| {
        format!("sources:\n  {source}: {{template: alexnet-imagenet}}\narms:\n  odd: {arm}")
    };
    let none = with("net", "{signs: source, hold: all}");
    refused("arms:", &none, &["arms.odd.source", "expected one of the `sources` `net`"]);
    let other = with("net", "{signs: source, source: ten, hold: all}");
    refused("arms:", &other, &["arms.odd.source", "`net`, got `ten`"]);
    let idle = with("net", "{signs: init, source: net, hold: all}");
    refused("arms:", &idle, &["arms.odd.source", "nothing is taken"]);
    let same = with("source", "{signs: source, hold: all}");
    refused("arms:", &same, &["sources.source", "choose another"]);
    let both = format!("source: {{template: alexnet-imagenet}}\n{same}");
    refused("arms:", &both, &["sources.source", "choose another"]);
    let two = "sources:\n  net: {template: a, weights: b}\narms:";
    refused("arms:", two, &["sources.net", "exactly one of `template`"]);
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
fn all_that_is_missing_is_reported_together() {
    let lab = Laboratory::new();
    lab.edit(
        "arms:\n",
        "source: {template: no-such}\nsources:\n  a: {weights: no-such.pth}\n  \
         b: {train: {data: {name: mnits, images: 5}, epochs: 1}}\narms:\n  \
         b: {signs: source, source: b, hold: all, until: {step: 9}}\n",
    );
    lab.edit("train-labels", "no-such-labels");
    let (code, said) = lab.fails(&["plan", "tiny.yaml"]);
    assert_eq!(code, 2);
    for words in [
        "no-such-labels: ",
        "source.template: ",
        "sources.a.weights: ",
        "sources.b.train.data.name: ",
        "did you mean `mnist`?",
        "arms.b.until: ",
    ] {
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
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

/// Changes one thing in an experiment over a folder of images and expects these words.
fn folder_refused(more: &str, change: impl Fn(&Laboratory), words: &[&str]) {
    let lab = Laboratory::new();
    lab.take_folder(more);
    change(&lab);
    let (code, said) = lab.fails(&["run", "tiny.yaml"]);
    assert_eq!(code, 2, "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!lab.path("results").exists(), "something was made");
}

#[test]
fn a_folder_of_images_that_cannot_be_used_is_refused_by_name() {
    let share = ", test_share: 0.3";
    folder_refused("", |_| {}, &["images: expected the folders `train` and `test`"]);
    folder_refused(", test_share: 1.5", |_| {}, &["data.folder.test_share", "(0, 1)", "`1.5`"]);
    let one_class = |lab: &Laboratory| {
        std::fs::remove_dir_all(lab.path("images/1")).unwrap();
        std::fs::remove_dir_all(lab.path("images/2")).unwrap();
    };
    folder_refused(share, one_class, &["data: ", "images: expected 2 to 65536 folders", "got 1"]);
    let empty = |lab: &Laboratory| lab.write("images/1/3.png", "");
    folder_refused(share, empty, &["images/1/3.png: cannot be decoded"]);
    let many = |lab: &Laboratory| lab.edit("[6, 9]", "[600]");
    folder_refused(
        share,
        many,
        &["data.train_sizes: 600 training and 6 validation", "21 are there"],
    );
    let both = |lab: &Laboratory| lab.edit("  train_sizes", "  cifar10: x\n  train_sizes");
    folder_refused(share, both, &["at most one of `files`, `cifar10` and `folder`"]);
}

#[test]
fn moments_and_channels_that_do_not_fit_the_network_are_refused() {
    let with = |text: &str| format!("validation: 20\n  {text}");
    let refused = |text: &str, words: &[&str]| refused("validation: 20", &with(text), words);
    refused("normalise: {mean: [0.1, 0.2], deviation: [1]}", &["data.normalise.mean", "got 2"]);
    refused("normalise: {mean: [0.1], deviation: [0]}", &["data.normalise.deviation", "above 0"]);
    refused("normalise: caffe", &["data.normalise", "`imagenet` or `{mean: [0.5]"]);
    refused("channels: bgr", &["data.channels", "colour images"]);
}

/// A checkpoint from the tests of the room `weights`.
fn testdata(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/weights/testdata").join(name)
}

#[test]
fn a_checkpoint_that_cannot_be_a_source_is_refused_by_name() {
    let source = |keys: &str| format!("source: {{{keys}}}\narms:");
    let net = testdata("net.pth").display().to_string();
    let other = ["source: the source does not fit the network", "features.0.weight"];
    refused("arms:", &source(&format!("weights: {net}")), &other);
    let module = testdata("module.pth").display().to_string();
    refused("arms:", &source(&format!("weights: {module}")), &other);
    let key = format!("weights: {net}, key: ema");
    refused("arms:", &source(&key), &["source.weights: ", "net.pth: holds no dict `ema`"]);
    let rename = format!("weights: {net}, rename: {{conv: features}}");
    let words = ["source.weights: ", "net.pth: no tensor's name begins with `conv`"];
    refused("arms:", &source(&rename), &words);
    let of_file = ["source.key: ", "it names a dict in a file of `source.weights`"];
    refused("arms:", &source("template: alexnet-imagenet, key: a"), &of_file);
    let trained = "train: {data: {images: 60}, epochs: 1, batch: 10}, rename: {a: b}";
    refused("arms:", &source(trained), &["source.rename: ", "trained here"]);
    let layout = format!("weights: {net}, layout: bvlc-alexnet");
    refused("arms:", &source(&layout), &["net.pth: conv1.0: missing"]);
    refused(
        "arms:",
        &source("template: alexnet-imagenet, layout: bvlc-alexnet"),
        &["source.layout"],
    );
    let known = ["source.weights: ", "did you mean `alexnet-imagenet`?"];
    refused("arms:", &source("weights: alexnet-imagnet"), &known);
    let missing = ["source.weights: ", "no-such.pth: cannot be read"];
    refused("arms:", &source("weights: no-such.pth"), &missing);

    let lab = Laboratory::new();
    let bytes = std::fs::read(testdata("net.pth")).unwrap();
    std::fs::write(lab.path("cut.pth"), &bytes[..bytes.len() / 2]).unwrap();
    let (code, said) = lab.fails(&["template", "extract", "cut.pth", "-o", "t.safetensors"]);
    assert_eq!(code, 2);
    assert!(said.contains("cut.pth: is cut off: a zip archive without its last part"), "{said}");
    assert!(!lab.path("t.safetensors").exists());
}
