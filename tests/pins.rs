//! What others have written down and later versions must not change: the ids of published cells, the
//! text of a specification, the columns of every table, the manifest, and what is published.
//!
//! Only the program and its files are looked at, so these tests outlive any order of the code. What
//! training comes to is not pinned, because sums round differently on other CPUs. Golden
//! files are renewed with `UPDATE_GOLDEN=1 cargo test --release`, after which the tests that read them
//! pass at the next `cargo test`. Whoever renews `spec-*.jsonl` gives cells new ids, and what is
//! finished runs again. The lines of the segments are in `segment.rs`.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Laboratory, digest, golden, names, stdout};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

// Ids of published cells.

/// The cells of a published table as `plan --cells` lists them, without their state.
fn published_cells(name: &str) -> Vec<String> {
    let path = repository().join("results").join(name).join("trials.csv");
    let mut table = csv::Reader::from_path(path).unwrap();
    let header = table.headers().unwrap().clone();
    let until_seed = header.iter().position(|column| column == "seed").unwrap() + 1;
    let cell = |row: Result<csv::StringRecord, csv::Error>| {
        let row = row.unwrap();
        // A cell that takes from no source has no seed of one.
        let has_value = |(_, value): &(&str, &str)| !value.is_empty();
        let settings = header.iter().zip(&row).take(until_seed).skip(2).filter(has_value);
        let settings: String = settings.map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{} {}{settings}", &row[0], &row[1])
    };
    table.records().map(cell).collect()
}

/// The cells that `plan --cells` lists, without their state.
fn planned_cells(listing: &str) -> Vec<String> {
    let id =
        |line: &&str| line.as_bytes().iter().take_while(|c| c.is_ascii_hexdigit()).count() == 16;
    let lines = listing.lines().filter(id);
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// `plan --cells` of an experiment of the repository, as if nothing had run.
fn plan(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polarity"));
    let file = format!("experiments/{name}.yaml");
    command.args(["plan", &file, "--cells", "--device", "cpu", "results=target/no-results"]);
    command.current_dir(repository());
    command
}

fn assert_same_cells(name: &str, listing: &str) {
    let (planned, published) = (planned_cells(listing), published_cells(name));
    assert_eq!(planned.len(), published.len(), "{name}");
    for (planned, published) in planned.iter().zip(&published) {
        assert_eq!(planned, published, "{name}");
    }
}

#[test]
fn every_published_cell_of_points_has_the_id_that_it_would_get_today() {
    let mut cells = 0;
    for name in ["xor5d", "xor5d-reset", "xor5d-epsilon"] {
        let output = plan(name).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_same_cells(name, &String::from_utf8(output.stdout).unwrap());
        cells += published_cells(name).len();
    }
    assert_eq!(cells, 105_600 + 1_200 + 1_440);
}

/// Needs the data sets and weights of the experiments in the cache, and says what it skips.
#[test]
fn every_published_cell_of_images_has_the_id_that_it_would_get_today() {
    for name in studies().iter().filter(|name| !is_of_points(name)) {
        let output = plan(name).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("polarity data fetch") {
            eprintln!("skipped: {said}");
            continue;
        }
        assert!(output.status.success(), "{said}");
        assert_same_cells(name, &String::from_utf8(output.stdout).unwrap());
    }
}

// Specifications and their ids.

/// Images of the laboratory, a network to take from, and every axis of an arm.
const IMAGES: &str = "\
name: tiny
data:
  name: bars
  files:
    train_images: FOLDER/train-images
    train_labels: FOLDER/train-labels
    test_images: FOLDER/test-images
    test_labels: FOLDER/test-labels
  train_sizes: [16]
  validation: 20
model: {name: alexnet-mini, hidden: 4}
source: {weights: FOLDER/net.safetensors}
sources:
  signs-alone: {template: FOLDER/signs.safetensors, except: [classifier, features.3]}
arms:
  init: {signs: init, hold: none}
  random: {signs: random, hold: all}
  random-share: {signs: random-share, hold: all}
  taken: {signs: source, hold: all}
  taken-fluid: {signs: source, hold: none}
  shuffled: {signs: {shuffled: tensor}, hold: all}
  shuffled-filter: {signs: {shuffled: filter}, hold: all}
  flipped: {signs: {flipped: 0.25}, hold: all}
  opposite: {signs: opposite, hold: all}
  fresh: {signs: init, magnitudes: fresh, hold: all}
  weights: {signs: source, magnitudes: source, hold: all}
  magnitudes-shuffled: {signs: source, magnitudes: {shuffled: tensor}, hold: all}
  magnitudes-shuffled-filter: {signs: source, magnitudes: {shuffled: filter}, hold: all}
  biases-own: {signs: source, magnitudes: source, biases: init, hold: all}
  biases-taken: {signs: source, biases: source, hold: all}
  biases-as-usual: {signs: source, magnitudes: source, biases: source, hold: all}
  signs-alone: {signs: source, source: signs-alone, hold: all}
  only: {signs: source, only: [features.0], hold: all}
  zeros: {signs: source, zeros: held, hold: all}
  layers: {signs: init, hold: [features, classifier.1]}
  except: {signs: init, hold: {except: [features.3]}}
  until-step: {signs: init, hold: all, until: {step: 1}}
  until-epoch: {signs: init, hold: all, until: {epoch: 1}}
  reset-zero: {signs: init, hold: all, reset: zero}
  reset-flip: {signs: init, hold: all, reset: flip}
  reset-uniform: {signs: init, hold: all, reset: {uniform: 0.002}}
  reset-constant: {signs: init, hold: all, reset: {constant: 0.1}}
baseline: init
train: {optimizer: {adam: {lr: 0.003}}, batch: 8, epochs: 2}
report: {steps: [1], thresholds: [0.5]}
seeds: [7]
figures: [learning-curves]
results: FOLDER/results
plots: FOLDER/plots
";

/// Changes to [`IMAGES`] that make every other key of a specification differ.
const OTHER_KEYS: [&str; 7] = [
    "arms={other: {signs: init, hold: all}}",
    "baseline=other",
    "data={name: bars, files: {train_images: FOLDER/train-images, train_labels: FOLDER/train-labels, \
     test_images: FOLDER/test-images, test_labels: FOLDER/test-labels}, train_sizes: [12], \
     validation: 8, test: 10, classes: [3, 1], subset: uniform, \
     normalise: {mean: [0.3], deviation: [0.25]}}",
    "model={name: alexnet-mini, hidden: 4, dropout: 0.25}",
    "source=null",
    "sources={}",
    "train={optimizer: {sgd: {lr: 0.01, momentum: 0.9, weight_decay: 0.0001, nesterov: true}}, \
     batch: 6, steps: 3, reset: {constant: 0.001}, evaluate_at: [0, 1], select: last, threads: 2, \
     precision: bf16}",
];

/// Changes to [`IMAGES`] that make it a study of colours under a built-in template.
const COLOURS: [&str; 6] = [
    "arms={colours: {signs: source, hold: all}}",
    "baseline=colours",
    "data={name: bars, files: {train_images: FOLDER/train-images, train_labels: FOLDER/train-labels, \
     test_images: FOLDER/test-images, test_labels: FOLDER/test-labels}, train_sizes: [8], \
     validation: 8, test: 4, image_size: 64, normalise: imagenet, channels: bgr}",
    "model={name: alexnet, hidden: [8, 4]}",
    "source={template: alexnet-imagenet}",
    "sources={}",
];

/// Changes to [`IMAGES`] that make it take from networks it trains.
const TRAINED: [&str; 4] = [
    "arms={of-source: {signs: source, hold: all}, of-other: {signs: source, source: other, hold: all}}",
    "baseline=of-source",
    "source={train: {data: {images: 60}, epochs: 1, batch: 10}}",
    "sources={other: {train: {data: {images: 50, classes: [0, 2]}, epochs: 2, seed: 5, threads: 2, \
     optimizer: {sgd: {lr: 0.01}}}, except: [classifier.4]}}",
];

/// Points, and every axis of an arm that they know.
const POINTS: &str = "\
name: tiny
data: {name: xor-5d, train_sizes: [20, 60], validation: 100, test: 200}
model: {name: mlp}
widths: [3, 8]
arms:
  informed: {signs: informed, hold: all}
  uninformed: {signs: init, hold: all}
  opposite: {signs: misinformed, hold: all}
  fluid: {signs: init, hold: none}
  fresh: {signs: init, magnitudes: fresh, hold: none}
  layers: {signs: init, hold: [layers.2]}
  reset: {signs: init, hold: all, reset: {constant: 0.01}}
baseline: fluid
train: {optimizer: {adam: {lr: 0.03, eps: 1.0e-7}}, batch: 32, epochs: 2}
seeds: [0]
figures: [fig1]
results: FOLDER/results
plots: FOLDER/plots
";

/// Changes to [`POINTS`] that make every other key of a specification differ.
const FAITHFUL: [&str; 7] = [
    "arms={faithful: {signs: init, hold: all}, faithful-fluid: {signs: init, hold: none}}",
    "baseline=faithful",
    "data={name: xor-5d, train_sizes: [20], validation: 100, test: 80}",
    "widths=[]",
    "model={name: mlp, hidden: 5}",
    "seeds=[9]",
    "train={optimizer: {adam: {lr: 0.01, weight_decay: 0.5, decoupled: true}}, batch: 8, epochs: 2, \
     reset: flip, faithful: [one-draw, reset-at-start, epochs-from-zero, survivors-only]}",
];

/// A laboratory with an experiment, and the files that [`IMAGES`] names.
fn laboratory(experiment: &str) -> Laboratory {
    let lab = Laboratory::new();
    lab.write("tiny.yaml", experiment);
    std::fs::write(lab.path("net.safetensors"), weights()).unwrap();
    stdout(&lab, &["template", "extract", "net.safetensors", "-o", "signs.safetensors"]);
    lab
}

/// Weights of an `alexnet-mini` with 4 hidden units, a hundredth of them 0.
fn weights() -> Vec<u8> {
    let shapes: [(&str, &[usize]); 6] = [
        ("classifier.1.bias", &[4]),
        ("classifier.1.weight", &[4, 64 * 7 * 7]),
        ("features.0.bias", &[32]),
        ("features.0.weight", &[32, 1, 5, 5]),
        ("features.3.bias", &[64]),
        ("features.3.weight", &[64, 32, 3, 3]),
    ];
    let mut header = serde_json::Map::new();
    let mut values = Vec::new();
    for (name, shape) in shapes {
        let start = values.len();
        let count = shape.iter().product::<usize>();
        let value = |at: usize| ((at * 37 % 100) as f32 - 50.0) / 1000.0;
        values.extend((0..count).flat_map(|at| value(at).to_le_bytes()));
        let offsets = [start, values.len()];
        let tensor = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
        header.insert(name.into(), tensor);
    }
    let header = serde_json::Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &values].concat()
}

/// Runs the experiment with `changes`; gives back what it left in its segment, a cell a line: arm, id
/// and specification.
fn specifications(lab: &Laboratory, changes: &[&str]) -> String {
    let folder = lab.path("").display().to_string();
    let here = |change: &&str| change.replace("FOLDER", folder.trim_end_matches('/'));
    let changes: Vec<String> = changes.iter().map(here).collect();
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    lab.run(&[&["--device", "cpu"], &changes[..]].concat());
    let segment = lab.read("results/tiny/cells/main.jsonl");
    let plan = ["plan", "tiny.yaml", "--cells", "--device", "cpu"];
    let listing = stdout(lab, &[&plan, &changes[..]].concat());
    let line = |cell: &String| {
        let (id, arm) = cell.split_once(' ').unwrap();
        let arm = arm.split_once(' ').unwrap().0;
        let start = format!("{{\"id\":\"{id}\",\"spec\":");
        let found = segment.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        let spec = found.split_once(",\"outcome\":").unwrap().0;
        format!("{{\"arm\":\"{arm}\",\"id\":\"{id}\",\"spec\":{spec}}}\n")
    };
    planned_cells(&listing).iter().map(line).collect()
}

/// Compares with golden specifications, whose ids are computed again from their text.
fn golden_specifications(name: &str, text: &str) {
    for line in text.lines() {
        let (start, spec) = line.split_once(",\"spec\":").unwrap();
        let spec = spec.strip_suffix('}').unwrap();
        assert!(start.ends_with(&format!("\"id\":\"{}\"", digest(spec))), "{line}");
        let value: serde_json::Value = serde_json::from_str(spec).unwrap();
        assert_eq!(value["version"], 4, "{line}");
    }
    golden(name, text);
}

#[test]
fn a_cell_of_images_is_named_by_the_same_text_as_ever_on_every_axis() {
    let lab = laboratory(IMAGES);
    let axes = specifications(&lab, &[]);
    assert_eq!(axes.lines().count(), 27);
    let others = [&OTHER_KEYS[..], &COLOURS].map(|changes| specifications(&lab, changes));
    golden_specifications("spec-images.jsonl", &(axes + &others.concat()));
}

/// The identity of a trained source is the id of the cell that trains it.
#[test]
fn a_source_that_is_trained_and_what_takes_from_it_are_named_by_the_same_text_as_ever() {
    let lab = laboratory(IMAGES);
    golden_specifications("spec-trained-source.jsonl", &specifications(&lab, &TRAINED));
}

#[test]
fn a_cell_of_points_is_named_by_the_same_text_as_ever_on_every_axis() {
    let lab = laboratory(POINTS);
    let axes = specifications(&lab, &[]);
    assert_eq!(axes.lines().count(), 28);
    let faithful = specifications(&lab, &FAITHFUL);
    golden_specifications("spec-points.jsonl", &(axes + &faithful));
}

/// The specification of a network that is too large to train here is the golden one with its own words.
#[test]
fn every_network_is_named_by_the_same_text_as_ever() {
    let lab = laboratory(IMAGES);
    let small = r#"{"name":"alexnet-mini","hidden":4,"dropout":0.0}"#;
    let golden = repository().join("tests/golden/spec-images.jsonl");
    let golden = std::fs::read_to_string(golden).unwrap();
    let (_, spec) = golden.lines().next().unwrap().split_once(",\"spec\":").unwrap();
    let spec = spec.strip_suffix('}').unwrap();
    assert!(spec.contains(small) && spec.contains("\"image_size\":28"), "{spec}");
    for (name, side, written) in [
        ("alexnet-mini", 28, r#"{"name":"alexnet-mini","hidden":256,"dropout":0.0}"#),
        ("alexnet", 64, r#"{"name":"alexnet","hidden":[4096,4096],"dropout":0.5}"#),
        (
            "alexnet-official",
            227,
            r#"{"name":"alexnet-official","groups":1,"lrn":false,"dropout":0.5}"#,
        ),
        ("vgg16", 32, r#"{"name":"vgg16","hidden":[4096,4096],"dropout":0.5}"#),
        ("squeezenet1-1", 32, r#"{"name":"squeezenet1-1","dropout":0.5}"#),
    ] {
        let size = format!("\"image_size\":{side}");
        let spec = spec.replace(small, written).replace("\"image_size\":28", &size);
        let model = format!("model={{name: {name}}}");
        let size = format!("data.image_size={side}");
        let (arm, source) = ("arms={init: {signs: init, hold: none}}", "source=null");
        let changes = [model.as_str(), &size, arm, source, "sources={}", "--cells"];
        let listing =
            stdout(&lab, &[&["plan", "tiny.yaml", "--device", "cpu"], &changes[..]].concat());
        assert_eq!(planned_cells(&listing)[0].split_once(' ').unwrap().0, digest(&spec), "{name}");
    }
}

// Columns and the manifest.

fn header(text: &str) -> &str {
    text.lines().next().unwrap()
}

#[test]
fn every_table_has_its_documented_columns() {
    let mut text = String::new();
    let own = "arms={a: {signs: init, hold: all}}";
    let taken = "arms={a: {signs: source, source: young, hold: all}}";
    let young = "sources={young: {train: {data: {images: 60}, epochs: 1, batch: 10, seeds: 0..2}}}";
    for (kind, experiment, more) in [
        ("images", IMAGES, &[own][..]),
        ("points", POINTS, &[own]),
        ("sources", IMAGES, &[taken, "source=null", young]),
    ] {
        let lab = laboratory(experiment);
        lab.run(&[more, &["baseline=a", "--device", "cpu"]].concat());
        for table in ["trials", "curves", "timings"] {
            let csv = lab.read(&format!("results/tiny/{table}.csv"));
            text += &format!("{kind}/{table}.csv: {}\n", header(&csv));
        }
    }
    golden("columns.txt", &text);
}

#[test]
fn every_published_table_has_the_columns_that_it_would_get_today() {
    let columns = std::fs::read_to_string(repository().join("tests/golden/columns.txt")).unwrap();
    for name in studies() {
        for table in ["trials", "curves"] {
            let path = repository().join("results").join(&name).join(format!("{table}.csv"));
            let published = std::fs::read_to_string(path).unwrap();
            let kind = match header(&published).contains(",source_seed,") {
                true => "sources",
                false if is_of_points(&name) => "points",
                false => "images",
            };
            // Which tensors have columns of their own depends on the network.
            let (common, _) =
                header(&published).split_once(",resets/").unwrap_or((header(&published), ""));
            let start = format!("{kind}/{table}.csv: {common}");
            let known = columns.lines().find(|line| line.starts_with(&start));
            assert!(known.is_some(), "{name}/{table}.csv: {common}");
        }
    }
}

fn bench_columns(folder: &Path) -> String {
    let tables = ["ensembles.csv", "holding.csv", "optimizers.csv", "training.csv"];
    let line = |name: &str| {
        let table = std::fs::read_to_string(folder.join(name)).unwrap();
        format!("{name}: {}\n", header(&table))
    };
    tables.map(line).concat()
}

#[test]
fn the_published_benchmarks_have_their_documented_columns() {
    golden("columns-bench.txt", &bench_columns(&repository().join("results/bench")));
}

#[test]
#[ignore = "measures for minutes: cargo test --release --test pins -- --ignored benchmarks"]
fn benchmarks_measured_now_have_their_documented_columns() {
    let lab = Laboratory::new();
    stdout(&lab, &["bench", "--out", "bench"]);
    golden("columns-bench.txt", &bench_columns(&lab.path("bench")));
}

/// The manifest with the folder, the machine and the version of the program by their names.
fn manifest(lab: &Laboratory, changes: &[&str]) -> String {
    lab.run(&[&["--device", "cpu"], changes].concat());
    let folder = lab.path("").display().to_string();
    let version = stdout(lab, &["--version"]);
    let version = version.trim().rsplit_once(' ').unwrap().1;
    let text = lab.read("results/tiny/manifest.json");
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let machine = read["machines"].as_object().unwrap().keys().next().unwrap();
    let text = text.replace(machine, "MACHINE");
    let text = text.replace(folder.trim_end_matches('/'), "FOLDER");
    text.replace(&format!("\"polarity\": \"{version}\""), "\"polarity\": \"VERSION\"")
}

#[test]
fn the_manifest_says_everything_that_was_resolved_as_ever() {
    golden("manifest-images.json", &manifest(&laboratory(IMAGES), &["seeds=0..2"]));
    golden("manifest-points.json", &manifest(&laboratory(POINTS), &["train.faithful=[one-draw]"]));
}

// Published reports and pictures.

/// The published studies, by the names of their folders.
fn studies() -> Vec<String> {
    let results = repository().join("results");
    let is_study = |name: &String| results.join(name).join("trials.csv").exists();
    let studies: Vec<String> = names(&results).into_iter().filter(is_study).collect();
    assert!(studies.len() >= 11, "{studies:?}");
    studies
}

fn is_of_points(name: &str) -> bool {
    name.starts_with("xor")
}

/// A copy of the published results of `name`, without its report.
struct Copy {
    name: String,
    folder: tempfile::TempDir,
}

impl Copy {
    fn of(name: &str) -> Self {
        let copy = Copy { name: name.into(), folder: tempfile::tempdir().unwrap() };
        let (from, to) = (repository().join("results").join(name), copy.path("results"));
        std::fs::create_dir_all(&to).unwrap();
        for file in ["trials.csv", "curves.csv", "manifest.json"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
        copy
    }

    /// `<folder>/<kind>/<name>`, as `results/demo` in the repository.
    fn path(&self, kind: &str) -> PathBuf {
        self.folder.path().join(kind).join(&self.name)
    }

    /// What `polarity report` or `plot` prints, from the copy and into it.
    fn stdout(&self, command: &str) -> String {
        let folder = self.folder.path().display();
        let file = format!("experiments/{}.yaml", self.name);
        let output = Command::new(env!("CARGO_BIN_EXE_polarity"))
            .args([
                command,
                &file,
                &format!("results={folder}/results"),
                &format!("plots={folder}/plots"),
            ])
            .current_dir(repository())
            .env("COLUMNS", "100")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command} {}: {said}", self.name);
        String::from_utf8(output.stdout).unwrap()
    }

    fn assert_same_report(&self) {
        let printed = self.stdout("report");
        let path = repository().join("results").join(&self.name).join("report.md");
        let published = std::fs::read_to_string(path).unwrap();
        assert_eq!(printed, published, "{}", self.name);
        let kept = std::fs::read_to_string(self.path("results").join("report.md")).unwrap();
        assert_eq!(kept, published, "{}", self.name);
    }

    fn assert_same_pictures(&self) {
        self.stdout("plot");
        let (drawn, published) = (self.path("plots"), repository().join("plots").join(&self.name));
        assert_eq!(names(&drawn), names(&published), "{}", self.name);
        for picture in names(&drawn) {
            let [drawn, published] =
                [&drawn, &published].map(|folder| std::fs::read(folder.join(&picture)).unwrap());
            assert!(drawn == published, "{}/{picture} is not as published", self.name);
        }
    }
}

#[test]
fn published_studies_of_images_come_out_byte_for_byte() {
    for name in studies().iter().filter(|name| !is_of_points(name)) {
        let copy = Copy::of(name);
        copy.assert_same_report();
        copy.assert_same_pictures();
    }
}

/// But for the report of 105,600 cells, which is a test of its own.
#[test]
fn published_studies_of_points_come_out_byte_for_byte() {
    for name in studies().iter().filter(|name| is_of_points(name)) {
        let copy = Copy::of(name);
        copy.assert_same_pictures();
        if name != "xor5d" {
            copy.assert_same_report();
        }
    }
}

#[test]
#[ignore = "takes half a minute: cargo test --release --test pins -- --ignored report"]
fn the_published_report_of_105_600_cells_comes_out_byte_for_byte() {
    Copy::of("xor5d").assert_same_report();
}
