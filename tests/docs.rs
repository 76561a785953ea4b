//! The pages for users keep their word: commands run, files that they show are accepted, links lead
//! somewhere. (Their Rust is compiled as tests of the documentation, see `Pages` in `lib.rs`.)
//!
//! A reader goes through a page from top to bottom in a laboratory of its own, with the repository's
//! experiments and the demo's published results beside it. Experiments over images get a tiny data
//! set and a step of training; what needs the network, an hour or an idle machine is only looked up.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Laboratory;
use polarity::experiment::Experiment;
use polarity::results::table::{
    BY_TENSOR, CURVE, Column, KEY, MILESTONES, REASON, SEED, TIMING, TRIAL,
};
use polarity::sign::Rules;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PAGES: [&str; 8] = [
    "README.md",
    "docs/guide.md",
    "docs/results.md",
    "docs/formats.md",
    "docs/pytorch.md",
    "docs/reliability.md",
    "python/README.md",
    "SECURITY.md",
];

/// Subcommands that need the network or an idle machine: they must be there, and do not run here.
const LOOKED_UP: [&str; 3] =
    ["polarity data fetch", "polarity template extract alexnet-imagenet", "polarity bench"];

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// The fenced blocks of `page` in `language`, in their order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(opened) = line.trim_start().strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
        if opened == language {
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// The commands of a page, without comments, lines that go on joined.
fn commands(page: &str) -> Vec<String> {
    let text = blocks(page, "sh").join("\n").replace("\\\n", " ");
    let uncommented = text.lines().map(|line| line.split("  #").next().unwrap_or(line).trim());
    uncommented.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// A laboratory with what a reader of the page has: this repository, and a checkpoint of their own.
fn reader(page: &str) -> Laboratory {
    let lab = Laboratory::new();
    let root = Path::new(ROOT);
    copy_folder(&root.join("experiments"), &lab.path("experiments"));
    copy_folder(&root.join("results/demo"), &lab.path("results/demo"));
    fs::create_dir(lab.path("templates")).unwrap();
    fs::copy(root.join("src/weights/testdata/net.pth"), lab.path("model.pth")).unwrap();
    for text in blocks(page, "yaml") {
        if let Some(name) = file_name(&text) {
            lab.write(name, &text);
        }
    }
    lab
}

/// The name that a block gives itself in its first line, if it is a whole file.
fn file_name(block: &str) -> Option<&str> {
    block.lines().next()?.strip_prefix("# ").filter(|name| name.ends_with(".yaml"))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_folder(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

/// Values with which an experiment over images takes a moment, in a folder of its own.
fn tiny(lab: &Laboratory) -> String {
    let file = |name: &str| format!("{}: {}", name.replace('-', "_"), lab.path(name).display());
    let files = ["train-images", "train-labels", "test-images", "test-labels"].map(file);
    format!(
        " data.name=bars 'data.files={{{}}}' data.train_sizes=[8] data.validation=20 data.test=20 \
         seeds=[0] train.steps=1 train.evaluate_at=[] report.steps=[] results=tiny",
        files.join(", ")
    )
}

/// Runs one command of a page, or looks it up.
fn try_command(lab: &Laboratory, command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[..] {
        _ if LOOKED_UP.iter().any(|start| command.starts_with(start)) => {
            let subcommand = words[1..].iter().take_while(|word| is_subcommand(word));
            let help: Vec<&str> = subcommand.copied().chain(["--help"]).collect();
            assert!(lab.polarity(&help).output().unwrap().status.success(), "{command}");
        }
        ["polarity", "run" | "plan", file, ..] if file.starts_with("experiments/") => {
            run(lab, &(command.to_owned() + &tiny(lab)));
        }
        ["polarity", ..] => run(lab, command),
        ["make", target, ..] => {
            let rule = format!("\n{target}:");
            assert!(page("Makefile").contains(&rule), "`{command}`: no such target");
        }
        ["cargo", subcommand, ..] => {
            let output = Command::new(env!("CARGO")).args([subcommand, "-h"]).output().unwrap();
            assert!(output.status.success(), "{command}");
        }
        _ => panic!("`{command}`: this test does not know how to try it"),
    }
}

fn is_subcommand(word: &str) -> bool {
    ["data", "fetch", "template", "extract", "bench"].contains(&word)
}

fn run(lab: &Laboratory, command: &str) {
    // What a page writes elsewhere stays in the laboratory too.
    let elsewhere = format!("{}/", lab.path("elsewhere").display());
    let program = Path::new(env!("CARGO_BIN_EXE_polarity")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(PathBuf::from(program)).chain(std::env::split_paths(&path));
    let mut sh = Command::new("sh");
    sh.args(["-c", &command.replace("=/tmp/", &format!("={elsewhere}"))]);
    sh.current_dir(lab.path("")).env("POLARITY_CACHE", lab.path("cache"));
    let output = sh.env("PATH", std::env::join_paths(places).unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{command}`: {said}");
}

/// Goes through all commands of a page but those that are still to come.
fn read_through(name: &str) -> Laboratory {
    let text = page(name);
    let lab = reader(&text);
    for command in commands(&text) {
        try_command(&lab, &command);
    }
    lab
}

#[test]
fn every_command_of_the_readme_runs() {
    let lab = read_through("README.md");
    assert!(lab.path("plots/demo/error-vs-samples.png").exists());
}

#[test]
fn every_command_of_the_guide_runs() {
    let lab = read_through("docs/guide.md");
    assert!(lab.path("results/first/report.md").exists());
    assert!(lab.path("plots/first/fig4bc.png").exists());
    assert_eq!(common::names(&lab.path("elsewhere")), ["parts", "try"]);
}

#[test]
fn every_command_of_the_results_runs() {
    read_through("docs/results.md");
}

#[test]
fn every_part_of_an_experiment_in_the_guide_is_accepted() {
    let text = page("docs/guide.md");
    let whole = blocks(&text, "yaml").into_iter().find(|block| file_name(block).is_some());
    let whole: serde_yaml::Mapping = serde_yaml::from_str(&whole.unwrap()).unwrap();
    for block in blocks(&text, "yaml") {
        if file_name(&block) == Some("rules.yaml") {
            serde_yaml::from_str::<Rules>(&block).unwrap();
            continue;
        }
        let part: serde_yaml::Mapping = serde_yaml::from_str(&block).unwrap();
        let mut experiment = whole.clone();
        experiment.extend(part);
        let experiment = serde_yaml::to_string(&experiment).unwrap();
        let read = Experiment::parse(&experiment, Path::new("docs/guide.md"), &[]);
        assert!(read.is_ok(), "{}\n{block}", read.unwrap_err());
    }
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    for name in PAGES {
        let text = page(name);
        let folder = Path::new(ROOT).join(name).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            if file.starts_with("http") {
                continue;
            }
            let target =
                if file.is_empty() { Path::new(ROOT).join(name) } else { folder.join(file) };
            assert!(target.exists(), "{name}: {link}");
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(headings(&text).any(|known| known == heading), "{name}: {link}");
            }
        }
    }
}

/// The headings of a page as links name them.
fn headings(page: &str) -> impl Iterator<Item = String> {
    let titles = page.lines().filter(|line| line.starts_with('#'));
    titles.map(|title| {
        let title = title.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        title.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    })
}

#[test]
fn the_readme_is_short() {
    assert!(page("README.md").lines().count() <= 150);
}

/// The published studies that claim something.
fn studies_with_claims() -> Vec<PathBuf> {
    let folders = fs::read_dir(Path::new(ROOT).join("results")).unwrap();
    let mut found: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    found.retain(|folder| {
        let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap_or_default();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap_or_default();
        manifest["experiment"]["claims"].is_array()
    });
    found.sort();
    found
}

/// What `report --claims` prints of the results of `studies`.
fn printed_claims(studies: &[PathBuf]) -> String {
    let mut polarity = Command::new(env!("CARGO_BIN_EXE_polarity"));
    polarity.args(["report", "--claims"]).args(studies).current_dir(ROOT);
    let output = polarity.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A table stands between `<!-- claims -->` and `<!-- end -->`; `<!-- claims: NAME NAME -->` is of these
/// studies only.
#[test]
fn the_tables_of_claims_are_those_that_the_program_prints() {
    let all = studies_with_claims();
    for name in PAGES {
        let text = page(name);
        for block in text.split("<!-- claims").skip(1) {
            let (names, table) = block.split_once("-->\n").unwrap();
            let table = table.split("<!-- end -->").next().unwrap();
            let named: Vec<&str> = names.trim_start_matches(':').split_whitespace().collect();
            let folder = |name: &&str| Path::new(ROOT).join("results").join(name);
            let studies =
                if named.is_empty() { all.clone() } else { named.iter().map(folder).collect() };
            assert_eq!(table.trim(), printed_claims(&studies).trim(), "{name}: {studies:?}");
        }
    }
    for name in ["README.md", "docs/results.md"] {
        assert!(all.is_empty() || page(name).contains("<!-- claims"), "{name} has no claims");
    }
}

/// The rows of the block `name` of the formats page: a column and its meaning.
fn documented(name: &str) -> Vec<(String, String)> {
    let text = page("docs/formats.md");
    let start = text.find(&format!("<!-- columns: {name} -->")).expect("the block is there");
    let block = &text[start..start + text[start..].find("<!-- end -->").unwrap()];
    let row = |line: &str| {
        let (column, meaning) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((column.to_owned(), meaning.strip_suffix(" |")?.to_owned()))
    };
    block.lines().filter_map(row).collect()
}

/// The columns of the program, as the page has them.
fn said<T>(columns: &[Column<T>]) -> Vec<(String, String)> {
    columns.iter().map(|column| (column.name.to_owned(), column.meaning.to_owned())).collect()
}

#[test]
fn the_columns_of_the_formats_are_those_of_the_program() {
    let seed = said(&[SEED]);
    assert_eq!(documented("key"), said(&KEY));
    assert_eq!(documented("trials"), [seed.clone(), said(&TRIAL)].concat());
    assert_eq!(documented("milestones"), said(&MILESTONES));
    assert_eq!(documented("reason"), said(&[REASON]));
    assert_eq!(documented("curves"), [seed, said(&CURVE)].concat());
    assert_eq!(documented("curves by tensor"), said(&BY_TENSOR));
    assert_eq!(documented("timings"), said(&TIMING));
}
