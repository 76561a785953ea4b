//! `docs/reliability.md` keeps its word: every promise names a test that there is, `unsafe` stands where
//! the page says and nowhere else, and what the crates of others are licensed under is what `deny.toml`
//! allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// What the page names between backquotes.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

/// A promise ends with `FILE: test`, or with several.
#[test]
fn every_promise_names_a_test_that_there_is() {
    let page = text("docs/reliability.md");
    let mut tests = 0;
    for (file, test) in quoted(&page).filter_map(|words| words.split_once(".rs: ")) {
        let source = text(format!("{file}.rs"));
        assert!(source.contains(&format!("fn {test}(")), "{file}.rs: no test `{test}`");
        tests += 1;
    }
    assert!(tests > 20, "{tests}");
    let promises = page.lines().filter(|line| line.starts_with("- "));
    for (number, promise) in promises.enumerate() {
        let start = page.find(promise).unwrap();
        let whole = page[start + 2..].split("\n- ").next().unwrap().split("\n\n").next().unwrap();
        assert!(whole.contains(".rs: "), "promise {number} names no test: {whole}");
    }
}

/// The Rust files below `folder`.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// How often `unsafe` stands in the code of each file: not in comments, nor in texts.
fn unsafe_code() -> BTreeMap<String, usize> {
    let mut files = Vec::new();
    for folder in ["src", "core", "python/src", "tests", "benches", "fuzz/src"] {
        rust_files(&Path::new(ROOT).join(folder), &mut files);
    }
    let mut counts = BTreeMap::new();
    for path in files {
        let source = fs::read_to_string(&path).unwrap();
        let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
        let in_line = |line: &str| {
            let words = line.split('"').step_by(2);
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let words = words.flat_map(|code| code.split(|c| !is_word(c)));
            words.filter(|word| *word == "unsafe").count()
        };
        let count = code.map(in_line).sum();
        if count > 0 {
            counts.insert(path.strip_prefix(ROOT).unwrap().display().to_string(), count);
        }
    }
    counts
}

#[test]
fn unsafe_stands_where_the_page_says_and_nowhere_else() {
    let page = text("docs/reliability.md");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let file = cells.next()?.strip_suffix('`')?.to_owned();
        Some((file, cells.next()?.parse().ok()?))
    };
    let told: BTreeMap<String, usize> = page.lines().filter_map(row).collect();
    assert_eq!(told, unsafe_code());
}

/// The parts of `expression` between `word`s that stand in no parentheses.
fn parts<'e>(expression: &'e str, word: &str) -> Vec<&'e str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in expression.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && expression[at..].starts_with(word) => {
                parts.push(&expression[start..at]);
                start = at + word.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[start..]);
    parts
}

/// Whether a licence, as Cargo.toml says it, can be kept with those that are allowed.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let inner = |part: &str| match part.strip_prefix('(').and_then(|part| part.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.contains(part),
    };
    let one = |either: &str| parts(either, " AND ").into_iter().all(inner);
    parts(&expression.replace('/', " OR "), " OR ").into_iter().any(one)
}

#[test]
fn a_licence_is_allowed_if_one_of_its_choices_is_in_all_its_parts() {
    let allowed = BTreeSet::from(["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"]);
    for licence in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Zlib"] {
        assert!(is_allowed(licence, &allowed), "{licence}");
    }
    for licence in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "Apache-2.0", ""] {
        assert!(!is_allowed(licence, &allowed), "{licence}");
    }
}

/// cargo-deny says the same, and knows advisories; this needs neither it nor a network.
#[test]
fn every_crate_comes_from_the_registry_with_a_licence_that_is_allowed() {
    let deny = text("deny.toml");
    let allowed = deny.split("allow = [").nth(1).unwrap().split(']').next().unwrap();
    let allowed: BTreeSet<&str> = allowed.split('"').skip(1).step_by(2).collect();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--locked", "--offline"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]).current_dir(ROOT);
    let output = cargo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && said.contains("offline") {
        eprintln!("passed over: not every crate of the workspace has been fetched here");
        return;
    }
    assert!(output.status.success(), "{said}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{}", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(is_allowed(licence, &allowed), "{}: `{licence}`", package["name"]);
        let source = package["source"].as_str().unwrap_or("path");
        let is_known = source == "path" || source.starts_with("registry+");
        assert!(is_known, "{}: {source}", package["name"]);
    }
}
