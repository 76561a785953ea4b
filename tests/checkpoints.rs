//! Checkpoints as people have them: every weight has the sign that PyTorch or NumPy sees, what is no
//! weight is told, and what cannot be read is named.
//!
//! The files are in `tests/checkpoints/`; its `README.md` says where they come from.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Laboratory, stdout};
use polarity::models::AlexNetMini;
use polarity::sign::Template;
use polarity::weights::{self, Account, Contents, Naming, Wanted};
use serde::Deserialize;

/// The shape and signs of one tensor.
#[derive(Debug, Deserialize, PartialEq)]
struct Signs {
    shape: Vec<usize>,
    /// `+`, `-` or `0` for each weight.
    signs: String,
}

type Expected = BTreeMap<String, Signs>;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoints").join(name)
}

/// The checkpoint in the folder `name`: the file to name to the program.
fn file(name: &str) -> PathBuf {
    let files = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| !path.ends_with("signs.json")).collect();
    files
        .sort_by_key(|path| (path.extension().is_none_or(|ending| ending != "json"), path.clone()));
    files.swap_remove(0)
}

fn expected(name: &str) -> Expected {
    serde_json::from_str(&fs::read_to_string(folder(name).join("signs.json")).unwrap()).unwrap()
}

fn signs_of(template: &Template) -> Expected {
    let letter = |sign: i8| ['-', '0', '+'][(sign + 1) as usize];
    let signs = template.iter().map(|(name, layer)| {
        let signs = layer.mask.iter().map(letter).collect();
        (name.to_owned(), Signs { shape: layer.shape.clone(), signs })
    });
    signs.collect()
}

fn open(name: &str, wanted: &Wanted) -> (Expected, Account) {
    let opened =
        weights::open(&file(name), wanted).unwrap_or_else(|error| panic!("{name}: {error}"));
    let Contents { views, account, provenance } = opened;
    let template = weights::signs(&views, provenance);
    (signs_of(&template.unwrap_or_else(|error| panic!("{name}: {error}"))), account)
}

/// Makes sure that the weights in each folder are read with their names, shapes and signs, and no other;
/// gives back the account of the last.
fn are_read(names: &[&str]) -> Account {
    let mut last = Account::default();
    for name in names {
        let (found, account) = open(name, &Wanted::default());
        assert_eq!(found, expected(name), "{name}");
        last = account;
    }
    last
}

#[test]
fn a_lazily_negated_tensor_has_the_signs_that_pytorch_shows() {
    are_read(&["pth-neg-view", "lazily-negated", "lazily-negated-old", "lazily-negated-parameter"]);
}

#[test]
fn numbers_texts_and_objects_beside_the_weights_are_left_out_and_counted() {
    are_read(&[
        "pth-args-namespace",
        "pth-big-int",
        "pth-none-and-text-values",
        "pth-numpy-scalar",
    ]);
    are_read(&["pth-state-dict-extra-state", "pkl-scalars-none-text", "npz-with-int-and-text"]);
    let account = are_read(&["training", "training-old", "training-protocol-4"]);
    assert_eq!(account.key.as_deref(), Some("state_dict"));
    let left = account.left.to_string();
    for kind in [
        "3 arrays of integers",
        "2 sets",
        "3 `None`",
        "1 object of `argparse.Namespace`",
        "1 object of `datetime.datetime`",
        "1 object of `collections.Counter`",
    ] {
        assert!(left.contains(kind), "`{kind}` is not in: {left}");
    }
}

#[test]
fn of_a_training_the_network_is_taken_and_the_rest_is_told() {
    are_read(&["pth-nested-training", "training-lightning", "pkl-detectron2", "flax-state"]);
    are_read(&["average-alone", "two-parts", "flax-parts", "pth-model-and-ema-same-object"]);
    let account = are_read(&["average-beside"]);
    assert_eq!(account.key.as_deref(), Some("model"));
    let others: Vec<_> = account.others.iter().map(|(key, count)| (key.as_str(), *count)).collect();
    assert_eq!(others, [("ema", 1), ("optimizer", 12)]);
    let said = account.to_string();
    assert!(
        said.starts_with("took `model`; there are also `ema` (1 tensors), `optimizer`"),
        "{said}"
    );
}

#[test]
fn the_dict_that_is_asked_for_is_taken() {
    let asked = |name: &str, key: &str| {
        let wanted = Wanted { key: Some(key.into()), ..Wanted::default() };
        weights::open(&file(name), &wanted).map(|contents| {
            let names: Vec<String> = contents.views.keys().cloned().collect();
            (names.join(" "), contents.account.key.unwrap())
        })
    };
    let negated = open("average-beside", &Wanted { key: Some("ema".into()), ..Wanted::default() });
    let plain = &expected("average-beside")["w"].signs;
    assert_ne!(&negated.0["w"].signs, plain);
    assert_eq!(
        asked("two-networks", "net").unwrap(),
        ("fc.weight head.weight".into(), "net".into())
    );
    let inner = asked("flax-state", "params.Dense_0").unwrap();
    assert_eq!(inner, ("kernel".into(), "params.Dense_0".into()));
    let prefix = asked("zip-in-folders", "w").unwrap();
    assert_eq!(prefix, ("w".into(), "w".into()));
    let unknown = asked("two-networks", "nets").unwrap_err().to_string();
    let words = "model.pth: holds no dict `nets`; it has `model`, `net`; did you mean `net`?";
    assert!(unknown.ends_with(words), "{unknown}");
}

#[test]
fn of_several_networks_that_is_taken_which_has_the_names_and_none_is_guessed() {
    let with_names = |names: &[&str]| Wanted {
        key: None,
        naming: Naming {
            network: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Naming::default()
        },
    };
    let refused = |wanted| weights::open(&file("two-networks"), &wanted).unwrap_err().to_string();
    let words = "holds several networks: `model`, `net`; choose one with `--key`";
    for refused in [refused(Wanted::default()), refused(with_names(&["fc.weight"]))] {
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(open("two-networks", &with_names(&["head.weight"])).1.key.as_deref(), Some("net"));
    let parts = weights::open(&file("two-parts"), &with_names(&["w"])).unwrap_err().to_string();
    assert!(parts.contains("several networks: `discriminator`, `generator`"), "{parts}");
}

#[test]
fn integers_and_bools_of_any_shape_are_left_out() {
    are_read(&["pth-bool-buffer", "pth-int-scalar-buffer", "pth-long-buffer", "pkl-int-array"]);
    let account = are_read(&["st-int-buffer", "kinds", "kinds-old"]);
    assert_eq!(account.left.to_string(), "1 array of integers, 1 array of complex numbers");
}

#[test]
fn a_sign_needs_no_float32() {
    are_read(&[
        "pth-float64-tiny",
        "pth-float64-bias-tiny",
        "eight-bits",
        "pickle-of-brain-floats",
    ]);
    let refused = weights::load(&file("pth-float64-tiny")).unwrap_err().to_string();
    assert!(refused.contains("model.pth: w: `") && refused.contains("does not fit"), "{refused}");
}

#[test]
fn a_check_looks_at_signs_and_makes_no_float32() {
    let lab = Laboratory::new();
    for name in ["pth-float64-tiny", "pth-float64-bias-tiny"] {
        let model = file(name);
        let model = model.to_str().unwrap();
        stdout(&lab, &["template", "extract", model, "-o", "t.safetensors"]);
        let said = stdout(&lab, &["check", model, "t.safetensors"]);
        assert!(said.contains("keeps all"), "{said}");
    }
}

#[test]
fn parameters_subclasses_and_modules_are_tensors() {
    are_read(&["pth-tensor-subclass", "subclass-old", "parameter-with-attributes"]);
    are_read(&["module", "module-old", "module-of-data-parallel", "module-in-a-training"]);
    are_read(&["classes-of-ones-own"]);
}

#[test]
fn tuples_lists_and_numbers_as_keys_are_names() {
    are_read(&["pkl-tuples", "containers", "alone", "npy-object-list", "npy-of-objects"]);
}

#[test]
fn tied_tensors_are_read_under_all_their_names() {
    are_read(&["pth-tied-many", "tied"]);
}

#[test]
fn what_python_2_and_old_versions_wrote_is_read() {
    are_read(&["pth-python2-ordereddict", "pth-legacy-protocol-4", "npy-python2-long"]);
}

#[test]
fn every_protocol_of_pickles_is_read() {
    for protocol in 0..6 {
        let [numpy, torch] = ["numpy", "torch"].map(|of| format!("pickle-{protocol}-{of}"));
        are_read(&[&numpy, &torch]);
    }
}

#[test]
fn numpy_arrays_are_read_wherever_they_are() {
    are_read(&["pth-numpy-arrays", "numpy-inside", "npz-of-objects", "npz-compressed"]);
    are_read(&["npy-big-endian", "npy-column-major", "npy-other-writers"]);
}

#[test]
fn archives_are_read_however_they_are_packed() {
    are_read(&[
        "pth-rezipped-flat",
        "zip-deflated",
        "zip-in-folders",
        "zip-of-a-mac",
        "zip-padded",
    ]);
    are_read(&["zip-big-endian", "zip-of-zeros", "zip-without-checksums"]);
}

#[test]
fn what_tch_and_torchscript_write_is_read() {
    are_read(&["tch-varstore-ot-real", "tch", "torchscript", "torchscript-traced"]);
}

#[test]
fn a_checkpoint_in_several_files_is_read_whole() {
    are_read(&["shards", "shards-of-pytorch"]);
    let one = folder("shards").join("model-00001-of-00002.safetensors");
    let account = weights::open(&one, &Wanted::default()).unwrap().account;
    assert!(account.to_string().contains("one of several files"), "{account}");
}

#[test]
fn every_checkpoint_of_the_folder_is_read_by_a_test() {
    let tests = include_str!("checkpoints.rs");
    for entry in fs::read_dir(folder("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_read = tests.contains(&format!("\"{name}\"")) || name.starts_with("pickle-");
        assert!(is_read || !path.is_dir(), "{name}");
    }
}

#[test]
fn names_are_stripped_and_renamed_as_asked() {
    let naming = Naming {
        strip: vec!["module".into()],
        rename: vec![("features.0".into(), "conv1".into())],
        network: vec![],
    };
    let (found, _) = open("module-of-data-parallel", &Wanted { key: None, naming });
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["conv1.weight", "kept", "model.weight"]);
}

#[test]
fn the_program_says_what_it_took_and_what_it_left() {
    let lab = Laboratory::new();
    let source = file("average-beside");
    let source = source.to_str().unwrap();
    let output = lab.polarity(&["template", "extract", source, "-o", "t.safetensors"]).output();
    let output = output.unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("{source}: took `model`; there are also `ema`")), "{said}");
    assert!(said.contains("left out what is no weight: "), "{said}");
    let first = signs_of(&Template::load(lab.path("t.safetensors")).unwrap());
    assert_eq!(first, expected("average-beside"));

    let arguments = ["--key", "ema", "--rename", "w=features.0.weight", "-o", "t.safetensors"];
    stdout(&lab, &[&["template", "extract", source][..], &arguments].concat());
    let template = Template::load(lab.path("t.safetensors")).unwrap();
    assert_eq!(template.names().collect::<Vec<_>>(), ["features.0.weight"]);
    assert!(template.source().starts_with("model.pth, sha256 "), "{}", template.source());
    assert!(template.source().ends_with(", `ema` in it"), "{}", template.source());
    for (arguments, words) in [
        (["--key", "emma"], "holds no dict `emma`; it has `ema`, `model`"),
        (["--strip", "modul"], "no tensor's name begins with `modul`"),
        (["--rename", "a"], "expected FROM=TO"),
    ] {
        let all = [&["template", "extract", source, "-o", "no"][..], &arguments].concat();
        let (code, said) = lab.fails(&all);
        assert!(code == 2 && said.contains(words), "{said}");
    }
    assert!(!lab.path("no").exists());
}

#[test]
fn a_checkpoint_may_come_through_a_pipe() {
    let lab = Laboratory::new();
    let source = fs::read(file("training-old")).unwrap();
    fs::write(lab.path("net.pth"), &source).unwrap();
    let pipe = lab.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::write(pipe, source).unwrap())
    };
    stdout(&lab, &["template", "extract", "pipe", "-o", "piped.safetensors"]);
    writer.join().unwrap();
    stdout(&lab, &["template", "extract", "net.pth", "-o", "read.safetensors"]);
    let [piped, read] = ["piped", "read"]
        .map(|name| Template::load(lab.path(&format!("{name}.safetensors"))).unwrap());
    assert_eq!(signs_of(&piped), signs_of(&read));
    let digest =
        |template: &Template| template.source().split("sha256 ").nth(1).unwrap().to_owned();
    assert_eq!(digest(&piped), digest(&read));
}

#[test]
fn what_cannot_be_read_is_named_for_what_it_is() {
    let lab = Laboratory::new();
    let zip = fs::read(file("zip-deflated")).unwrap();
    let half = fs::read(file("pth-tied-many")).unwrap();
    let tensors = fs::read(file("st-int-buffer")).unwrap();
    let old = fs::read(file("kinds-old")).unwrap();
    for (content, words) in [
        (&b""[..], "is empty"),
        (&zip[..zip.len() / 2], "is cut off: a zip archive without its last part"),
        (&half[..half.len() - 30], "is cut off: a zip archive"),
        (&tensors[..40], "is cut off: a safetensors file in its header"),
        (&tensors[..tensors.len() - 1], "is cut off: a safetensors file in its values"),
        (&old[..500], "the file ends too early"),
        (b"<!DOCTYPE html>\n<html>", "is a web page and no checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n", "`git lfs pull`"),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0", "is an HDF5 file"),
        (b"GGUF\x03\0\0\0\0\0\0\0", "is a GGUF file"),
        (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0", "is an ONNX model"),
        (b"{\"model_type\": \"bert\"}", "is a JSON file"),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0", "is nothing but zeros"),
        (b"some words\n", "unknown format; expected safetensors"),
    ] {
        fs::write(lab.path("file"), content).unwrap();
        let (code, said) = lab.fails(&["template", "extract", "file", "-o", "no"]);
        assert!(code == 2 && said.contains("file: ") && said.contains(words), "{words}: {said}");
    }
    let (code, said) = lab.fails(&["template", "extract", ".", "-o", "no"]);
    assert!(code == 2 && said.contains("is a folder; name the checkpoint in it"), "{said}");
}

#[test]
fn a_missing_shard_and_a_way_out_of_the_folder_are_refused() {
    let lab = Laboratory::new();
    let index = |file: &str| format!("{{\"weight_map\": {{\"a.w\": \"{file}\"}}}}");
    let refused = |file: &str| {
        fs::write(lab.path("index.json"), index(file)).unwrap();
        lab.fails(&["template", "extract", "index.json", "-o", "no"]).1
    };
    let missing = refused("model-00001-of-00002.safetensors");
    assert!(missing.contains("model-00001-of-00002.safetensors: cannot be read: "), "{missing}");
    let outside = refused("../model.safetensors");
    assert!(outside.contains("index.json: `../model.safetensors`: expected the name"), "{outside}");
    fs::copy(file("st-int-buffer"), lab.path("m.safetensors")).unwrap();
    fs::write(lab.path("index.json"), index("m.safetensors")).unwrap();
    assert!(
        weights::open(&lab.path("index.json"), &Wanted::default()).is_ok(),
        "counted, not read"
    );
    fs::copy(folder("shards").join("model-00001-of-00002.safetensors"), lab.path("m.safetensors"))
        .unwrap();
    let text = index("m.safetensors").replace("a.w", "other.w");
    fs::write(lab.path("index.json"), text).unwrap();
    let (_, lacking) = lab.fails(&["template", "extract", "index.json", "-o", "no"]);
    assert!(lacking.contains("m.safetensors: other.w: missing"), "{lacking}");
}

#[test]
fn the_first_tensor_by_name_that_cannot_be_used_is_named_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let array = |value: f32| weights::Array::new(vec![1, 1], vec![value]).unwrap();
    let names = ["d.weight", "b.weight", "c.weight", "a.weight"];
    let bad: weights::Checkpoint =
        names.map(|name| (name.to_owned(), array(if name < "b" { 1.0 } else { f32::NAN }))).into();
    fs::write(&path, weights::to_safetensors(&bad)).unwrap();
    for _ in 0..5 {
        let Contents { views, provenance, .. } = weights::open(&path, &Wanted::default()).unwrap();
        let refused = weights::signs(&views, provenance).unwrap_err().to_string();
        assert!(refused.starts_with("b.weight: weight 0: has no sign"), "{refused}");
    }
}

/// The weights of the laboratory's network, as a file with `name` for each of its names.
fn write_network(lab: &Laboratory, to: &str, sign: f32, name: impl Fn(&str) -> String) {
    let variables = tch::nn::VarStore::new(tch::Device::Cpu);
    let net = AlexNetMini { hidden: 16, dropout: 0.5 }.build(&variables.root(), 4);
    net.initialise(9).unwrap();
    let arrays = variables.variables().into_iter().map(|(own, tensor)| {
        let shape = tensor.size().iter().map(|&side| side as usize).collect();
        let values = Vec::<f32>::try_from(tensor.detach().flatten(0, -1)).unwrap();
        let values = values.into_iter().map(|value| sign * value).collect();
        (name(&own), weights::Array::new(shape, values).unwrap())
    });
    fs::write(lab.path(to), weights::to_safetensors(&arrays.collect())).unwrap();
}

/// The tables of an experiment whose arm takes signs from the source with these keys.
fn tables_with(source: &str, prepare: impl Fn(&Laboratory)) -> [String; 2] {
    let lab = Laboratory::new();
    prepare(&lab);
    let source = source.replace("FILE", lab.path("net.safetensors").to_str().unwrap());
    let arm = "  signs: {signs: source, only: [features], hold: all}\n";
    lab.edit("arms:\n", &format!("source: {{{source}}}\narms:\n{arm}"));
    lab.run(&[]);
    lab.tables()
}

#[test]
fn a_source_under_other_names_teaches_as_under_the_networks_own() {
    let named = |name: &'static str, source: &str| {
        tables_with(source, |lab| {
            write_network(lab, "net.safetensors", 1.0, |own| format!("{name}{own}"));
        })
    };
    let own = named("", "weights: FILE");
    assert_eq!(named("module.", "weights: FILE"), own);
    assert_eq!(named("state_dict.model._orig_mod.", "weights: FILE"), own);
    assert_eq!(named("body.", "weights: FILE, key: body"), own);
    let conv1 = tables_with("weights: FILE, rename: {conv1: features.0}", |lab| {
        write_network(lab, "net.safetensors", 1.0, |own| own.replace("features.0.", "conv1."));
    });
    assert_eq!(conv1, own);
    let opposite = tables_with("weights: FILE", |lab| {
        write_network(lab, "net.safetensors", -1.0, str::to_owned);
    });
    assert_ne!(opposite, own);
}

#[test]
fn a_template_under_other_names_teaches_too() {
    let template = |name: &'static str, source: &str| {
        tables_with(source, |lab| {
            write_network(lab, "w.safetensors", 1.0, |own| format!("{name}{own}"));
            stdout(lab, &["template", "extract", "w.safetensors", "-o", "net.safetensors"]);
        })
    };
    let own = template("", "template: FILE");
    assert_eq!(template("module.", "template: FILE"), own);
    assert_eq!(template("body.", "template: FILE, rename: {body.features: features}"), own);
}

#[test]
fn any_damage_of_any_checkpoint_is_read_or_refused_but_never_a_panic() {
    let lab = tempfile::tempdir().unwrap();
    let mut random = polarity::random::Stream::new(7, "damage");
    for entry in fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().path()) {
        if !entry.is_dir() {
            continue;
        }
        let source = file(entry.file_name().unwrap().to_str().unwrap());
        let whole = fs::read(&source).unwrap();
        let path = lab.path().join(source.file_name().unwrap());
        for _ in 0..40 {
            let mut damaged = whole.clone();
            for _ in 0..3 {
                let at = random.below(damaged.len());
                damaged[at] = random.below(256) as u8;
            }
            damaged.truncate(whole.len() - random.below(2) * random.below(9));
            fs::write(&path, &damaged).unwrap();
            let wanted = Wanted::default();
            if let Ok(Contents { views, provenance, .. }) = weights::open(&path, &wanted) {
                let _ = weights::signs(&views, provenance);
            }
        }
    }
}
