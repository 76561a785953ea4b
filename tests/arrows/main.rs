//! Arrows between rooms and files point one way.
//!
//! Every Rust file of the crates is read as text, from each crate's root down its `mod` declarations, and
//! every path in it (`use`, or in a body) is followed through re-exports to the file that defines the
//! item. What stands behind `#[cfg(test)]` is left out, and so are links in documentation. A *room* is a
//! top-level module; a *part* is a module right below a room.
//!
//! The rule for circles of files: a file is one node, whatever is in it. Only a file with modules of its
//! own (`mod.rs`) is as many nodes as it has items, with each `impl` counted to its type, because such a
//! file is both the ground that its modules stand on (`figure::Results`) and the door that leads to them
//! (`figure::kinds`). So a module may use what its parent *defines*, unless that very item, by whatever
//! way, uses the module; and a parent's re-exports are its modules' items and no arrows of its own.
//!
//! An arrow of rooms leads to the room that the path names: `results::CurvePoint` is of `results`, which
//! gives it out as its own, although `train` defines it.
//!
//! The tables below are what may be; `docs/architecture.md` draws what is. Its drawing is renewed with
//! `UPDATE_GOLDEN=1 cargo test --release --test arrows`.

#![allow(unreachable_pub)]

mod drawing;
mod graph;
mod scan;
mod source;
mod tree;

use std::collections::BTreeSet;
use std::path::Path;

use graph::Graph;
use tree::{Meaning, Tree, rust_files};

/// The crates by name, and the file that each starts with; one that is not there is left out.
const CRATES: [(&str, &str); 3] =
    [("polarity", "src/lib.rs"), ("polarity_core", "core/src/lib.rs"), ("main", "src/main.rs")];

/// Rooms that every room may use, and that use none.
const HELPERS: [&str; 8] =
    ["digest", "files", "lib", "machine", "memory", "nearest", "random", "range"];

/// What a room may use beside the helpers.
const ROOMS: [(&str, &[&str]); 28] = [
    ("lib", &[]),
    ("digest", &[]),
    ("files", &[]),
    ("machine", &[]),
    ("memory", &[]),
    ("nearest", &[]),
    ("random", &[]),
    ("range", &[]),
    ("sign", &[]),
    ("kernel", &["sign"]),
    ("cuda", &[]),
    ("slurm", &[]),
    ("stats", &[]),
    ("fetch", &[]),
    ("weights", &["fetch", "sign"]),
    ("data", &["fetch"]),
    ("catalog", &["data", "fetch", "weights"]),
    ("models", &["cuda", "sign"]),
    ("tensors", &[]),
    ("optim", &["kernel", "sign", "tensors"]),
    ("transfer", &["sign", "weights"]),
    ("train", &["data", "kernel", "models", "optim", "sign", "transfer"]),
    ("results", &["sign", "stats", "train"]),
    ("figure", &["results", "stats"]),
    ("experiment", &BELOW_EXPERIMENT),
    ("bench", &["data", "kernel", "models", "optim", "sign", "stats", "train", "transfer"]),
    ("cli", &BELOW_CLI),
    ("main", &["cli"]),
];

const BELOW_EXPERIMENT: [&str; 14] = [
    "data", "fetch", "figure", "kernel", "models", "optim", "results", "sign", "slurm", "stats",
    "tensors", "train", "transfer", "weights",
];

const BELOW_CLI: [&str; 17] = [
    "bench",
    "catalog",
    "cuda",
    "data",
    "experiment",
    "fetch",
    "figure",
    "kernel",
    "models",
    "optim",
    "results",
    "sign",
    "slurm",
    "stats",
    "train",
    "transfer",
    "weights",
];

/// Arrows of [`ROOMS`] over which a few items only may be used.
const NARROW: [(&str, &str, &[&str]); 2] = [
    // What a training run reports of itself, and nothing that computes.
    ("results", "train", &["CurvePoint", "ErrorCount", "Seconds", "TensorCounts"]),
    // A file is refused early if it asks for a figure that there is not.
    ("experiment", "figure", &["kinds", "Kind"]),
];

/// What a part of `experiment` may use of its other parts.
const PARTS: [(&str, &[&str]); 14] = [
    ("problem", &[]),
    ("file", &["problem"]),
    ("cell", &["file", "problem"]),
    ("checked", &["file", "problem"]),
    ("savepoint", &[]),
    ("study", &["cell", "checked", "file", "problem", "savepoint"]),
    ("check", &["checked", "file", "problem", "study"]),
    ("plan", &["cell", "checked", "file", "problem", "study"]),
    ("store", &["cell"]),
    ("publish", &["cell", "plan", "store"]),
    ("bundle", &["cell", "study"]),
    ("estimate", &["bundle", "cell", "plan", "store", "study"]),
    (
        "run",
        &[
            "bundle",
            "cell",
            "checked",
            "file",
            "plan",
            "problem",
            "publish",
            "savepoint",
            "store",
            "study",
        ],
    ),
    ("verify", &["bundle", "cell", "estimate", "plan", "run", "savepoint", "store", "study"]),
];

/// Other people's crates, and the rooms that may know them.
const FOREIGN: [(&str, &[&str]); 7] = [
    ("anyhow", &["cli", "main"]),
    ("clap", &["cli", "main"]),
    ("indicatif", &["cli"]),
    ("plotters", &["figure"]),
    ("serde_yaml", &["cli", "experiment"]),
    (
        "tch",
        &[
            "bench",
            "cli",
            "cuda",
            "data",
            "experiment",
            "models",
            "optim",
            "tensors",
            "train",
            "transfer",
        ],
    ),
    ("ureq", &["fetch"]),
];

/// Macros and functions that say something to a person, who is known to `cli` only.
const SAY: [&str; 7] = ["dbg", "eprint", "eprintln", "print", "println", "stderr", "stdout"];

/// What makes, changes or removes a file.
const WRITE: [&str; 12] = [
    "File::create",
    "File::create_new",
    "OpenOptions::new",
    "Staged::new",
    "files::write_atomically",
    "files::write_atomically_with",
    "fs::copy",
    "fs::hard_link",
    "fs::remove_dir_all",
    "fs::remove_file",
    "fs::rename",
    "fs::write",
];

/// Where it may stand, and what is written there: only the parts of `experiment` write under `results/`.
const WRITERS: [(&str, &str); 10] = [
    ("experiment::publish", "tables"),
    ("experiment::run::firsts", "the weights of a source that was trained here"),
    ("cli::slurm", "the tasks of a submission"),
    ("experiment::savepoint", "cells under way"),
    ("experiment::store", "cells and tables"),
    ("fetch", "the cache"),
    ("figure", "pictures"),
    ("files", "what its callers ask for"),
    ("sign::file", "template files"),
    ("tensors", "what its callers ask for"),
];

/// All crates of the repository.
fn read() -> Tree {
    Tree::read(Path::new(env!("CARGO_MANIFEST_DIR")), &CRATES)
}

/// A module without its crate: `figure::axis`; `lib` and `main` for the crates themselves.
fn spoken(names: &[String]) -> String {
    match names {
        [name] if name == "main" => name.clone(),
        [_] => "lib".to_owned(),
        [_, inside @ ..] => inside.join("::"),
        [] => String::new(),
    }
}

/// An item that a module uses.
struct Arrow {
    from: String,
    from_file: String,
    from_item: Option<String>,
    to: String,
    to_room: String,
    to_file: String,
    to_item: String,
    /// Where it is written: ``src/figure/axis.rs:3 `crate::stats::Interval` ``.
    place: String,
}

impl Arrow {
    fn rooms(&self) -> (&str, &str) {
        (part(&self.from, 0), &self.to_room)
    }

    /// The two parts, if they are of one room, `room`.
    fn parts(&self, room: &str) -> Option<(&str, &str)> {
        let (from, to) = (part(&self.from, 1), part(&self.to, 1));
        let rooms = (part(&self.from, 0), part(&self.to, 0));
        let is_inside = rooms == (room, room) && !from.is_empty() && !to.is_empty();
        is_inside.then_some((from, to))
    }
}

/// The name at `depth` of a module.
fn part(module: &str, depth: usize) -> &str {
    module.split("::").nth(depth).unwrap_or_default()
}

fn arrows(tree: &Tree) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for (names, module) in &tree.modules {
        for mention in tree.mentions(names) {
            let Meaning::Item(to, item) = mention.meaning else { continue };
            arrows.push(Arrow {
                from: spoken(names),
                from_file: module.file.clone(),
                from_item: mention.item.map(str::to_owned),
                to_file: tree.modules[&to].file.clone(),
                to: spoken(&to),
                to_room: spoken(&mention.door),
                to_item: item,
                place: format!("{}:{} `{}`", module.file, mention.line, mention.path.join("::")),
            });
        }
    }
    arrows
}

/// The first arrow of every file between two names.
fn firsts<'a>(
    arrows: &'a [Arrow],
    ends: impl Fn(&'a Arrow) -> Option<(&'a str, &'a str)>,
) -> impl Iterator<Item = &'a Arrow> {
    let mut seen = BTreeSet::new();
    arrows.iter().filter(move |&arrow| seen.insert((&arrow.from_file, ends(arrow))))
}

/// What leans on what, each arrow's ends named by `ends`.
fn graph<'a>(arrows: &'a [Arrow], ends: impl Fn(&'a Arrow) -> Option<(&'a str, &'a str)>) -> Graph {
    let mut graph = Graph::default();
    for arrow in arrows {
        if let Some((from, to)) = ends(arrow) {
            graph.add(from, to, &arrow.place);
        }
    }
    graph
}

/// The files that have modules in other files, and so are a node an item.
fn doors(tree: &Tree) -> BTreeSet<&str> {
    let above = |names: &[String]| tree.modules.get(&names[..names.len() - 1]);
    let pairs = tree.modules.iter().filter_map(|(names, module)| Some((above(names)?, module)));
    pairs.filter(|(up, down)| up.file != down.file).map(|(up, _)| up.file.as_str()).collect()
}

fn graph_of_files(tree: &Tree, arrows: &[Arrow]) -> Graph {
    let doors = doors(tree);
    let node = |file: &str, item: &str| match doors.contains(file) {
        true => format!("{file}#{item}"),
        false => file.to_owned(),
    };
    let mut graph = Graph::default();
    for arrow in arrows {
        if arrow.from_item.is_none() && doors.contains(&*arrow.from_file) {
            continue; // An import of a door counts where an item uses it.
        }
        let from = node(&arrow.from_file, arrow.from_item.as_deref().unwrap_or_default());
        graph.add(&from, &node(&arrow.to_file, &arrow.to_item), &arrow.place);
    }
    graph
}

/// Fails with every one of `faults`.
fn assert_none(faults: &BTreeSet<String>, rule: &str) {
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    assert!(faults.is_empty(), "{rule}\n{}\n", faults.join("\n"));
}

/// The arrow's fault, if `table` does not let `from` use `to`.
fn forbidden(
    table: &[(&str, &[&str])],
    (from, to): (&str, &str),
    free: &[&str],
    place: &str,
) -> Option<String> {
    let allowed = table.iter().find(|(name, _)| *name == from).map(|(_, allowed)| *allowed);
    let Some(allowed) = allowed else {
        return Some(format!("  {place}: `{from}` is new; say in tests/arrows what it may use"));
    };
    let is_allowed = from == to || free.contains(&to) || allowed.contains(&to);
    let allowed = [allowed, free].concat().join("`, `");
    (!is_allowed).then(|| format!("  {place}: `{from}` -> `{to}`; `{from}` may use `{allowed}`"))
}

#[test]
fn every_file_belongs_to_a_module() {
    let tree = read();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = ["src", "core/src"].map(|folder| rust_files(&root.join(folder))).concat();
    let all: BTreeSet<String> = all.iter().map(|file| tree.called(file)).collect();
    assert!(all.len() > 100, "{all:?}");
    let known: BTreeSet<String> = tree.modules.values().map(|module| module.file.clone()).collect();
    let lost: BTreeSet<String> = &all - &(&known | &tree.tests);
    assert_none(&lost, "no `mod` leads to these files:");
}

#[test]
fn rooms_use_only_rooms_below_them() {
    let arrows = arrows(&read());
    let faults = firsts(&arrows, |arrow| Some(arrow.rooms())).filter_map(|arrow| {
        let free: &[&str] = if HELPERS.contains(&arrow.rooms().0) { &[] } else { &HELPERS };
        forbidden(&ROOMS, arrow.rooms(), free, &arrow.place)
    });
    assert_none(&faults.collect(), "arrows that ROOMS does not allow:");
}

#[test]
fn narrow_arrows_carry_only_the_items_they_are_for() {
    let mut faults = BTreeSet::new();
    for arrow @ Arrow { to_item, place, .. } in &arrows(&read()) {
        let narrow = NARROW.iter().find(|(up, down, _)| arrow.rooms() == (*up, *down));
        let Some((up, down, items)) = narrow else { continue };
        if !items.contains(&to_item.as_str()) {
            let items = items.join("`, `");
            faults.insert(format!("  {place}: of `{down}`, `{up}` may use only `{items}`"));
        }
    }
    assert_none(&faults, "arrows that NARROW does not allow:");
}

#[test]
fn parts_of_experiment_use_only_parts_below_them() {
    let arrows = arrows(&read());
    let firsts = firsts(&arrows, |arrow| arrow.parts("experiment"));
    let faults =
        firsts.filter_map(|arrow| forbidden(&PARTS, arrow.parts("experiment")?, &[], &arrow.place));
    assert_none(&faults.collect(), "arrows that PARTS does not allow:");
}

#[test]
fn no_circle_of_rooms_parts_or_files() {
    let tree = read();
    let arrows = arrows(&tree);
    let rooms = graph(&arrows, |arrow| Some(arrow.rooms()));
    let parts = graph(&arrows, |arrow| arrow.parts("experiment"));
    let files = graph_of_files(&tree, &arrows);
    let mut circles = rooms.circles(|name| name);
    circles.extend(parts.circles(|name| name));
    circles.extend(files.circles(|node| node.split('#').next().unwrap_or(node)));
    assert!(circles.is_empty(), "circles of imports:\n{}\n", circles.join("\n\n"));
}

#[test]
fn other_peoples_crates_stay_in_the_rooms_that_may_know_them() {
    let tree = read();
    let mut faults = BTreeSet::new();
    for (names, module) in &tree.modules {
        let spoken = spoken(names);
        let room = part(&spoken, 0);
        for mention in tree.mentions(names).iter().filter(|m| m.meaning == Meaning::Foreign) {
            let foreign = FOREIGN.iter().find(|(name, _)| mention.path[0] == *name);
            let Some((name, rooms)) = foreign else { continue };
            if !rooms.contains(&room) && (mention.path.len() > 1 || mention.item.is_none()) {
                let (file, line, rooms) = (&module.file, mention.line, rooms.join("`, `"));
                faults.insert(format!("  {file}:{line}: `{name}` is for `{rooms}` only"));
            }
        }
    }
    assert_none(&faults, "crates that FOREIGN does not let a room know:");
}

/// Where a path ends in one of `names`, outside of the modules `allowed`.
fn spoken_outside(names: &[&str], allowed: &[&str]) -> BTreeSet<String> {
    let tree = read();
    let mut faults = BTreeSet::new();
    for (module, tree::Module { file, .. }) in &tree.modules {
        let said = spoken(module);
        let is_below = |top: &&str| format!("{said}::").starts_with(&format!("{top}::"));
        if allowed.iter().any(is_below) {
            continue;
        }
        for mention in tree.mentions(module) {
            let path = format!("::{}", mention.path.join("::"));
            if names.iter().any(|name| path.ends_with(&format!("::{name}"))) {
                faults.insert(format!("  {file}:{} `{}`", mention.line, &path[2..]));
            }
        }
    }
    faults
}

#[test]
fn only_the_program_prints() {
    assert_none(&spoken_outside(&SAY, &["cli", "main"]), "only `cli` speaks to people:");
}

#[test]
fn only_store_and_publish_write_results() {
    let allowed = WRITERS.map(|(module, _)| module);
    assert_none(&spoken_outside(&WRITE, &allowed), "files are written by WRITERS only:");
}

/// The rooms that are in `core/`.
fn rooms_of_core(tree: &Tree) -> BTreeSet<String> {
    let is_room = |names: &&Vec<String>| names.len() == 2 && names[0] == "polarity_core";
    tree.modules.keys().filter(is_room).map(|names| spoken(names)).collect()
}

#[test]
fn the_drawing_in_the_docs_is_that_of_the_code() {
    let tree = read();
    let arrows = arrows(&tree);
    let rooms = graph(&arrows, |arrow| Some(arrow.rooms()));
    let parts = graph(&arrows, |arrow| arrow.parts("experiment"));
    let drawn = [
        drawing::mermaid(&rooms, &HELPERS, &rooms_of_core(&tree)),
        drawing::table("room", &rooms),
        "Inside `experiment`:\n".to_owned(),
        drawing::mermaid(&parts, &[], &BTreeSet::new()),
        drawing::table("part", &parts),
    ];
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    drawing::assert_fresh(&page, &drawn.join("\n"));
}
