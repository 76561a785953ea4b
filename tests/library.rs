//! `docs/library`, the worked example for users of the library: copied out of the repository, it
//! builds and runs.
//!
//! The copy is built into this repository's own target folder, with its lock file and its profile:
//! so cargo takes every dependency as it is compiled already, torch-sys among them, and needs no
//! network. Only the library itself and its core, which are other packages when another project asks
//! for them, are compiled again, without optimization.

use std::fs;
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The section `[profile.release]` of the repository's manifest.
fn profile() -> String {
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap();
    let start = manifest.find("[profile.release]").expect("the profile is said");
    let section = &manifest[start..];
    let end = section.find("\n[").map_or(section.len(), |end| end + 1);
    section[..end].to_owned()
}

/// Copies the example to `folder`, and lets it depend on this repository wherever it lies.
fn copy_example(folder: &Path) {
    let example = Path::new(ROOT).join("docs/library");
    fs::create_dir(folder.join("src")).unwrap();
    for name in ["build.rs", "src/main.rs"] {
        fs::copy(example.join(name), folder.join(name)).unwrap();
    }
    fs::copy(Path::new(ROOT).join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let manifest = fs::read_to_string(example.join("Cargo.toml")).unwrap();
    let (path, here) = (r#"path = "../..""#, format!("path = {ROOT:?}"));
    assert!(manifest.contains(path), "the example depends on {path}");
    fs::write(folder.join("Cargo.toml"), manifest.replace(path, &here) + "\n" + &profile())
        .unwrap();
}

/// Takes out of the environment what cargo says there about the package under test: build scripts
/// look at it, and would run again. `LIBTORCH`, which a user sets, stays as cargo has set it here.
fn forget_this_package(cargo: &mut Command) {
    let about = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_", "OUT_DIR"];
    for (name, _) in std::env::vars() {
        if about.iter().any(|start| name.starts_with(start)) {
            cargo.env_remove(name);
        }
    }
}

/// Cargo in the copy, on this repository's target folder and in the profile of this test.
fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).arg("--offline").current_dir(folder);
    if built().ends_with("release") {
        cargo.arg("--release");
    }
    forget_this_package(&mut cargo);
    let output = cargo.env("CARGO_TARGET_DIR", built().parent().unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// The folder of built programs.
fn built() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_polarity")).parent().unwrap()
}

#[test]
fn a_project_outside_the_repository_builds_with_the_library_and_holds_signs() {
    let folder = tempfile::tempdir().unwrap();
    copy_example(folder.path());
    let quickly = ["polarity", "polarity-core"].map(|package| {
        ["--config".into(), format!("profile.release.package.{package}.opt-level=0")]
    });
    let quickly: Vec<&str> = quickly.iter().flatten().map(String::as_str).collect();
    let said = cargo(folder.path(), &[&["build"], &quickly[..]].concat());
    for dependency in ["torch-sys", "tch", "ring"] {
        assert!(!said.contains(&format!("Compiling {dependency} ")), "compiled again: {said}");
    }

    // The program finds libtorch by its rpath, not because cargo says where it is.
    let mut program = Command::new(built().join("held-signs"));
    let output = program.env_remove("LD_LIBRARY_PATH").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("hidden.weight: ") && text.contains("head.weight: "), "{text}");
    assert!(text.contains(" 0 signs violated"), "{text}");

    // Each copy is another package to cargo, and would stay for good.
    cargo(folder.path(), &["clean", "-p", "held-signs"]);
}
