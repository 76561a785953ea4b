//! No two draws that must be independent share a stream: every cell of an experiment is computed, and
//! what it drew from is compared with what every other cell drew from.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use tch::Device;

use super::Watch;
use crate::experiment::{Cell, Checked, Experiment, Plan};
use crate::random::{Opened, opened_by};

/// Sources and fresh networks of the same seeds, and arms with every way to draw something.
const IMAGES: &str = "\
name: streams
data:
  name: noise
  files:
    train_images: FOLDER/images
    train_labels: FOLDER/labels
    test_images: FOLDER/images
    test_labels: FOLDER/labels
  train_sizes: [4]
  validation: 4
model: {name: alexnet-mini, hidden: 4, dropout: 0.5}
sources:
  first: {train: {data: {images: 12}, epochs: 1, seed: 0}}
  longer: {train: {data: {images: 12}, epochs: 2, seed: 0}}
  second: {train: {data: {images: 12}, epochs: 1, seed: 1}}
arms:
  init: {signs: init, hold: none}
  normal: {signs: init, magnitudes: normal, hold: none}
  random: {signs: random, hold: all}
  share: {signs: random-share, source: first, hold: all}
  source: {signs: source, source: longer, hold: all, zeros: held}
  tensor: {signs: {shuffled: tensor}, magnitudes: {shuffled: tensor}, source: second, hold: all}
  filter: {signs: {shuffled: filter}, magnitudes: {shuffled: filter}, source: second, hold: all}
  flipped: {signs: {flipped: 0.3}, magnitudes: source, source: first, hold: all}
  opposite: {signs: opposite, source: second, hold: all}
train: {optimizer: {adam: {lr: 0.01}}, batch: 2, steps: 3, reset: {uniform: 0.001}}
seeds: 0..3
";

const POINTS: &str = "\
name: streams
data: {name: xor-5d, train_sizes: [8], validation: 8, test: 8}
model: {name: mlp, hidden: 3}
arms:
  init: {signs: init, hold: none}
  fresh: {signs: init, magnitudes: fresh, hold: none}
  informed: {signs: informed, hold: all, reset: {uniform: 0.001}}
train: {optimizer: {adam: {lr: 0.01}}, batch: 4, epochs: 2}
seeds: 0..3
";

/// What a cell drew from.
struct Drawn {
    cell: Cell,
    streams: Vec<Opened>,
}

impl Drawn {
    fn is_source(&self) -> bool {
        self.cell.spec.arm.is_none()
    }

    /// Whether the two are meant to draw the same: arms of a seed are paired, and sources of a seed are
    /// one network that is trained for longer or shorter.
    fn is_paired_with(&self, other: &Drawn) -> bool {
        self.cell.spec.seed == other.cell.spec.seed && self.is_source() == other.is_source()
    }

    fn shared_with(&self, other: &Drawn) -> Vec<&Opened> {
        self.streams.iter().filter(|stream| other.streams.contains(stream)).collect()
    }
}

/// Sixteen grey images of two classes.
fn write_images(folder: &Path) {
    let idx = |sides: &[u8], values: Vec<u8>| -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, sides.len() as u8];
        sides.iter().for_each(|&side| bytes.extend(u32::from(side).to_be_bytes()));
        [bytes, values].concat()
    };
    let pixels = (0..24 * 28 * 28).map(|place: usize| (place * 31 % 251) as u8).collect();
    std::fs::write(folder.join("images"), idx(&[24, 28, 28], pixels)).unwrap();
    std::fs::write(folder.join("labels"), idx(&[24], (0..24).map(|image| image % 2).collect()))
        .unwrap();
}

/// What laying the experiment out drew from, and what each of its cells did.
fn drawn(text: &str) -> (Vec<Opened>, Vec<Drawn>) {
    let folder = tempfile::tempdir().unwrap();
    write_images(folder.path());
    let text = text.replace("FOLDER", folder.path().to_str().unwrap());
    let file = Path::new("streams.yaml");
    let checked = Checked::new(Experiment::parse(&text, file, &[]).unwrap(), file).unwrap();
    let (plan, laid_out) = opened_by(|| Plan::new(checked, file, Device::Cpu, folder.path()));
    let mut plan = plan.unwrap();
    let stop = AtomicBool::new(false);
    let watch = Watch { stop: &stop, tell: &|_, _| ControlFlow::Continue(()), savepoint: None };
    let mut all = Vec::new();
    let cells: Vec<Cell> = plan.all_cells().cloned().collect();
    for cell in cells {
        let (computed, streams) = opened_by(|| {
            plan.ground.prepare(&[&cell]);
            plan.ground.compute(&[&cell], &watch).remove(0)
        });
        if let Some(weights) = computed.unwrap().weights {
            plan.ground.learn(&cell, weights).unwrap();
        }
        all.push(Drawn { cell, streams });
    }
    (laid_out, all)
}

fn assert_independent(laid_out: &[Opened], cells: &[Drawn]) {
    for (place, cell) in cells.iter().enumerate() {
        assert!(!cell.streams.is_empty());
        let of_plan = laid_out.iter().find(|stream| cell.streams.contains(stream));
        assert_eq!(of_plan, None, "{:?} and the plan", cell.cell.key);
        for other in cells[..place].iter().filter(|other| !cell.is_paired_with(other)) {
            let shared = cell.shared_with(other);
            assert!(shared.is_empty(), "{:?}, {:?}: {shared:?}", cell.cell.key, other.cell.key);
        }
    }
}

#[test]
fn no_source_and_no_other_seed_shares_a_stream_with_a_network() {
    let (laid_out, cells) = drawn(IMAGES);
    assert_eq!(cells.len(), 3 + 9 * 3);
    assert_independent(&laid_out, &cells);
}

#[test]
fn no_network_draws_twice_from_one_stream() {
    for Drawn { cell, streams } in drawn(IMAGES).1 {
        let different: BTreeSet<&Opened> = streams.iter().collect();
        assert_eq!(different.len(), streams.len(), "{:?}: {streams:?}", cell.key);
    }
}

#[test]
fn arms_of_a_seed_are_paired() {
    let (_, cells) = drawn(IMAGES);
    let fresh: Vec<&Drawn> = cells.iter().filter(|cell| !cell.is_source()).collect();
    for cell in &fresh {
        let first = fresh.iter().find(|other| other.is_paired_with(cell)).unwrap();
        let shared = cell.shared_with(first);
        for purpose in ["init/features.0.weight", "subset", "order/1", "dropout/1", "reset"] {
            assert!(shared.iter().any(|stream| stream.purpose == purpose), "{purpose}");
        }
    }
}

#[test]
fn no_two_seeds_of_points_share_a_stream_and_a_fresh_draw_is_nobodys() {
    let (laid_out, cells) = drawn(POINTS);
    assert_eq!(cells.len(), 3 * 3);
    assert_independent(&laid_out, &cells);
    for (fresh, other) in cells.iter().flat_map(|a| cells.iter().map(move |b| (a, b))) {
        if fresh.cell.key.arm == "fresh" && other.cell.key.arm != "fresh" {
            let shared = fresh.shared_with(other);
            assert!(!shared.iter().any(|stream| stream.purpose.starts_with("init/")), "{shared:?}");
        }
    }
}
