//! A data set small enough to train on in a moment, and the program to do it with.
#![allow(dead_code, unreachable_pub)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder with a tiny data set and an experiment over it.
pub struct Laboratory {
    folder: tempfile::TempDir,
}

/// Images of a class have a bright bar in the class's own rows; four classes.
const CLASSES: usize = 4;
const SIDE: usize = 28;

const EXPERIMENT: &str = "\
name: tiny
data:
  name: bars
  files:
    train_images: FOLDER/train-images
    train_labels: FOLDER/train-labels
    test_images: FOLDER/test-images
    test_labels: FOLDER/test-labels
  train_sizes: [8, 16]
  validation: 20
model: {name: alexnet-mini, hidden: 16}
arms:
  frozen: {signs: init, hold: all}
  fluid: {signs: init, hold: none}
baseline: fluid
train: {optimizer: {adam: {lr: 0.003}}, batch: 8, steps: 6}
report: {steps: [0]}
seeds: 0..3
figures: [error-vs-samples, learning-curves]
results: FOLDER/results
plots: FOLDER/plots
";

const POINTS: &str = "\
name: tiny
data: {name: xor-5d, train_sizes: [20], validation: 40, test: 40}
model: {name: mlp, hidden: 3}
arms:
  frozen: {signs: init, hold: all}
  fluid: {signs: init, hold: none}
baseline: fluid
train: {optimizer: {adam: {lr: 0.03}}, batch: 10, epochs: 2}
seeds: 0..2
results: FOLDER/results
plots: FOLDER/plots
";

impl Laboratory {
    pub fn new() -> Self {
        Laboratory::in_folder(&std::env::temp_dir())
    }

    /// One below `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        let folder = tempfile::tempdir_in(folder).unwrap();
        let lab = Laboratory { folder };
        lab.write_images("train", 120);
        lab.write_images("test", 40);
        lab.write("tiny.yaml", EXPERIMENT);
        lab
    }

    /// One whose experiment is a study of points, four cells of two epochs.
    pub fn of_points() -> Self {
        let lab = Laboratory::new();
        lab.write("tiny.yaml", POINTS);
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with `FOLDER` replaced by the laboratory's own.
    pub fn write(&self, name: &str, text: &str) {
        let folder = self.folder.path().display().to_string();
        std::fs::write(self.path(name), text.replace("FOLDER", &folder)).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces text in the experiment, which must be there.
    pub fn edit(&self, from: &str, to: &str) {
        let text = self.read("tiny.yaml");
        assert!(text.contains(from), "the experiment has no `{from}`");
        self.write("tiny.yaml", &text.replace(from, to));
    }

    /// Makes the experiment take its signs from a network it trains first.
    pub fn add_trained_source(&self) {
        self.edit(
            "arms:\n",
            "source: {train: {data: {images: 60}, epochs: 1, batch: 10}}\narms:\n  \
             signs: {signs: source, hold: all}\n",
        );
    }

    /// `polarity`, with a cache of its own that is empty.
    pub fn polarity(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polarity"));
        command.args(arguments).current_dir(&self.folder);
        command.env("POLARITY_CACHE", self.path("cache")).env("COLUMNS", "100");
        command
    }

    /// Runs the experiment to its end and gives back what was said on stderr.
    pub fn run(&self, more: &[&str]) -> String {
        let output = self.polarity(&[&["run", "tiny.yaml"], more].concat()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }

    /// Starts the experiment, presses Ctrl-C after the first cell has ended, and waits for the end.
    pub fn run_and_interrupt(&self, more: &[&str]) {
        let mut command = self.polarity(&[&["run", "tiny.yaml"], more].concat());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first_end = lines.by_ref().map(Result::unwrap).find(|line| line.contains("test error"));
        assert!(first_end.is_some(), "a cell ends before the run does");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    }

    /// The tables that must be the same bytes however they came about.
    pub fn tables(&self) -> [String; 2] {
        ["trials.csv", "curves.csv"].map(|name| self.read(&format!("results/tiny/{name}")))
    }

    /// Runs a command that must fail: gives back its exit code and what was said on stderr.
    pub fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.polarity(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
        (output.status.code().expect("no signal ended it"), said)
    }

    /// Replaces the data by a folder of PNG images, three grey classes of ten, and more keys.
    pub fn take_folder(&self, more: &str) {
        for class in 0..3 {
            for image in 0..10 {
                let value = 60 * class + image;
                let picture = image::GrayImage::from_pixel(9, 7, image::Luma([value as u8]));
                let path = self.path(&format!("images/{class}/{image}.png"));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                picture.save(path).unwrap();
            }
        }
        let text = self.read("tiny.yaml");
        let files = &text[text.find("  files:").unwrap()..text.find("  train_sizes").unwrap()];
        self.edit(files, &format!("  folder: {{path: FOLDER/images{more}}}\n"));
        self.edit("[8, 16]", "[6, 9]");
        self.edit("validation: 20", "validation: 6");
    }

    fn write_images(&self, part: &str, count: usize) {
        let label = |image: usize| image % CLASSES;
        let pixel = |image: usize, row: usize, column: usize| {
            let bright = row / (SIDE / CLASSES) == label(image);
            let noise = ((image * 31 + row * 17 + column * 13) % 97) as u8;
            if bright { 150 + noise } else { noise }
        };
        let mut images = idx_header(&[count, SIDE, SIDE]);
        for image in 0..count {
            let all = (0..SIDE * SIDE).map(|at| pixel(image, at / SIDE, at % SIDE));
            images.extend(all);
        }
        let mut labels = idx_header(&[count]);
        labels.extend((0..count).map(|image| label(image) as u8));
        std::fs::write(self.path(&format!("{part}-images")), images).unwrap();
        std::fs::write(self.path(&format!("{part}-labels")), labels).unwrap();
    }
}

fn idx_header(dimensions: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    for &dimension in dimensions {
        bytes.extend((dimension as u32).to_be_bytes());
    }
    bytes
}

/// What a command that must succeed prints on stdout.
pub fn stdout(lab: &Laboratory, arguments: &[&str]) -> String {
    let output = lab.polarity(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Compares with `tests/golden/NAME`; `UPDATE_GOLDEN=1 cargo test --release` writes it anew.
pub fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{name} is not as it was");
}

/// The first 16 hex digits of the SHA-256 of `text`: an id, or the seal of a line.
pub fn digest(text: &str) -> String {
    polarity_core::digest::sha256(text.as_bytes())[..16].to_owned()
}

/// The names in `folder`, sorted; none if there is no such folder.
pub fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
