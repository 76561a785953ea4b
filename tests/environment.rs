//! The program in the environments that it meets.

mod common;

use std::fs;
use std::process::{Command, Output};

use common::Laboratory;

/// The program with nothing in its environment but `variables`.
fn bare(lab: &Laboratory, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polarity"));
    command.args(arguments).current_dir(lab.path("")).env_clear();
    command.envs(variables.iter().copied()).output().unwrap()
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn without_a_home_everything_works_that_needs_no_cache() {
    let lab = Laboratory::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join("src/weights/testdata/net.pth"), lab.path("net.pth")).unwrap();
    succeeds(&bare(&lab, &["template", "info", "alexnet-imagenet"], &[]));
    succeeds(&bare(&lab, &["template", "extract", "net.pth", "-o", "net.safetensors"], &[]));
    assert!(succeeds(&bare(&lab, &["plan", "tiny.yaml"], &[])).starts_with("tiny: 12 cells"));
    for arguments in [
        &["data", "list"][..],
        &["template", "extract", "alexnet-imagenet", "-o", "no"],
        &["plan", "tiny.yaml", "data.files=", "data.name=mnist"],
    ] {
        let output = bare(&lab, arguments, &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("POLARITY_CACHE, XDG_CACHE_HOME and HOME"), "{said}");
    }
}

#[test]
fn another_libtorch_in_the_way_is_not_taken() {
    let lab = Laboratory::new();
    let folder = lab.path("other");
    fs::create_dir(&folder).unwrap();
    for name in ["libtorch_cpu.so", "libc10.so", "libtorch.so"] {
        fs::write(folder.join(name), "no library of ours").unwrap();
    }
    let way = [("LD_LIBRARY_PATH", folder.to_str().unwrap()), ("POLARITY_CACHE", "cache")];
    succeeds(&bare(&lab, &["template", "info", "alexnet-imagenet"], &way));
    let checks = String::from_utf8(bare(&lab, &["doctor"], &way).stdout).unwrap();
    let loaded = format!("{}, computes", polarity::LIBTORCH);
    assert!(checks.contains(&loaded), "{checks}");
    assert_eq!(polarity::libtorch(), polarity::LIBTORCH);
}
