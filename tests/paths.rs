//! What is written goes where the user said: over a file, through a link, into a pipe; and never over
//! what is read or what is no file.

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

use common::{Laboratory, stdout};
use polarity::sign::Template;

/// The checkpoint of the tests of the room `weights`, in the laboratory.
fn with_checkpoint() -> Laboratory {
    let lab = Laboratory::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join("src/weights/testdata/net.pth"), lab.path("net.pth")).unwrap();
    lab
}

fn extract(lab: &Laboratory, to: &str) -> String {
    stdout(lab, &["template", "extract", "net.pth", "-o", to])
}

#[test]
fn a_template_goes_through_a_link_and_keeps_the_mode_of_the_file() {
    let lab = with_checkpoint();
    fs::write(lab.path("file"), "old").unwrap();
    fs::set_permissions(lab.path("file"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("file", lab.path("link")).unwrap();
    extract(&lab, "link");
    assert!(fs::symlink_metadata(lab.path("link")).unwrap().is_symlink());
    assert_eq!(fs::metadata(lab.path("file")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Template::load(lab.path("file")).unwrap().len(), 2);
}

#[test]
fn a_template_goes_into_a_pipe_and_a_device_that_stay_what_they_are() {
    let lab = with_checkpoint();
    extract(&lab, "file");
    let pipe = lab.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    extract(&lab, "pipe");
    assert_eq!(reader.join().unwrap(), fs::read(lab.path("file")).unwrap());
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    extract(&lab, "/dev/null");
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn a_template_goes_to_stdout_with_nothing_else() {
    let lab = with_checkpoint();
    extract(&lab, "file");
    let expected = fs::read(lab.path("file")).unwrap();
    for to in ["-", "/dev/stdout"] {
        let output = lab.polarity(&["template", "extract", "net.pth", "-o", to]).output().unwrap();
        assert!(output.stdout == expected, "{to}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("the signs of 39 weights"));
    }
    let mut closed = lab.polarity(&["template", "extract", "net.pth", "-o", "-"]);
    let mut child = closed.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success(), "a reader that has left is no failure");
}

#[test]
fn the_input_is_not_written_over_by_any_of_its_names() {
    let lab = with_checkpoint();
    let before = fs::read(lab.path("net.pth")).unwrap();
    symlink("net.pth", lab.path("soft")).unwrap();
    fs::hard_link(lab.path("net.pth"), lab.path("hard")).unwrap();
    for to in ["net.pth", "./net.pth", "soft", "hard"] {
        let (code, said) = lab.fails(&["template", "extract", "net.pth", "-o", to]);
        assert_eq!(code, 2);
        let words = format!("--output: `{to}` is the file `net.pth`, which is read");
        assert!(said.contains(&words), "{said}");
    }
    assert_eq!(fs::read(lab.path("net.pth")).unwrap(), before);
    extract(&lab, "t.safetensors");
    let (code, said) = lab.fails(&["template", "random", "t.safetensors", "-o", "t.safetensors"]);
    assert!(code == 2 && said.contains("which is read"), "{said}");
}

#[test]
fn tables_figures_and_reports_keep_their_modes_and_go_through_links() {
    let lab = Laboratory::new();
    let written =
        ["results/tiny/trials.csv", "results/tiny/report.md", "plots/tiny/learning-curves.png"];
    for name in written {
        let path = lab.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let elsewhere = lab.path(&name.replace('/', "-"));
        if !name.ends_with("trials.csv") {
            fs::write(&elsewhere, "").unwrap();
            fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o600)).unwrap();
        }
        symlink(elsewhere, path).unwrap();
    }
    lab.run(&[]);
    stdout(&lab, &["report", "tiny.yaml"]);
    stdout(&lab, &["plot", "tiny.yaml"]);
    for name in written {
        assert!(fs::symlink_metadata(lab.path(name)).unwrap().is_symlink(), "{name}");
        let about = fs::metadata(lab.path(name)).unwrap();
        assert!(about.len() > 100, "{name}");
        if !name.ends_with("trials.csv") {
            assert_eq!(about.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }
}
