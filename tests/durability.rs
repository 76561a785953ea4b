//! What is finished stays, whatever the disk does: full, read-only, gone, without locks. The run says so,
//! ends with exit code 1, and the same command goes on to the same bytes once it can.

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Laboratory, digest, names, stdout};
use serde_json::Value;

const CELLS: &str = "results/tiny/cells";
const MAIN: &str = "results/tiny/cells/main.jsonl";

fn points() -> Laboratory {
    let lab = Laboratory::of_points();
    lab.edit("seeds: 0..2", "seeds: 0..8");
    lab
}

fn images() -> Laboratory {
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab
}

/// The experiment under a shell's `limits`, which is to fail: what was said.
fn fails_under(lab: &Laboratory, limits: &str) -> String {
    let program = lab.polarity(&["run", "tiny.yaml", "--device", "cpu"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits}; exec \"$0\" \"$@\"")]).arg(program.get_program());
    shell.args(program.get_args()).current_dir(lab.path(""));
    for (name, value) in program.get_envs() {
        shell.env(name, value.unwrap());
    }
    let output = shell.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{limits}: {said}");
    said
}

/// Whether every line of the segment is whole and says what it was sealed for.
fn has_whole_lines_only(segment: &str) -> bool {
    let is_whole = |line: &str| {
        line.rsplit_once(",\"digest\":\"")
            .is_some_and(|(body, seal)| seal == format!("{}\"}}\n", digest(body)))
    };
    segment.split_inclusive('\n').all(is_whole)
}

/// No file of a write that was given up.
fn has_no_leftovers(lab: &Laboratory) -> bool {
    ["results/tiny", CELLS, "results/tiny/work"]
        .iter()
        .flat_map(|folder| names(&lab.path(folder)))
        .all(|name| !name.starts_with(".polarity-"))
}

#[test]
fn a_write_that_stops_anywhere_loses_nothing_finished_and_the_run_completes_later() {
    for (make, limits) in
        [(points as fn() -> Laboratory, &[1, 2, 3, 5, 9, 17][..]), (images, &[1, 3, 4, 8, 40][..])]
    {
        let whole = make();
        whole.run(&["--device", "cpu"]);
        for blocks in limits {
            let lab = make();
            // A file ends after so many blocks of 512 bytes, as if the disk were full there.
            let said = fails_under(&lab, &format!("trap '' XFSZ; ulimit -f {blocks}"));
            assert!(
                said.contains("File too large") && said.contains("what is finished is kept"),
                "{said}"
            );
            assert!(said.contains("results/tiny/"), "{said}");
            let segment = std::fs::read_to_string(lab.path(MAIN)).unwrap_or_default();
            assert!(has_whole_lines_only(&segment), "{blocks} blocks: {segment}");
            assert!(has_no_leftovers(&lab), "{blocks} blocks");
            let kept = segment.lines().count();
            let said = lab.run(&["--device", "cpu"]);
            assert!(!said.contains("damaged"), "{said}");
            assert!(lab.read(MAIN).starts_with(&segment), "what was finished stays as it was");
            assert_eq!(lab.tables(), whole.tables(), "{blocks} blocks, {kept} cells kept");
        }
    }
}

#[test]
fn tables_are_replaced_together_or_not_at_all() {
    let lab = images();
    lab.run(&["--device", "cpu"]);
    let after = lab.tables();
    lab.run(&["seeds=0..1", "--device", "cpu"]);
    let before = lab.tables();
    assert_ne!(before, after);
    // The trials fit, the curves do not.
    let blocks = after[0].len().div_ceil(512);
    assert!(after[1].len() > 512 * blocks);
    let said = fails_under(&lab, &format!("trap '' XFSZ; ulimit -f {blocks}"));
    assert!(said.contains("results/tiny/curves.csv: File too large"), "{said}");
    assert_eq!(lab.tables(), before);
    assert!(has_no_leftovers(&lab));
    stdout(&lab, &["report", "tiny.yaml", "seeds=0..1"]);
    lab.run(&["--device", "cpu"]);
    assert_eq!(lab.tables(), after);
}

/// A file system of its own at a folder, as long as it lives.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// Mounts one of a megabyte; none where that is not allowed.
    fn new(folder: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        let status = Command::new("mount").args(mount).arg(folder).stderr(Stdio::null()).status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Mounted(folder));
        }
        eprintln!("skipped: mounting a file system is not allowed here");
        None
    }

    fn change(&self, options: &str) {
        let status = Command::new("mount").args(["-o", options]).arg(self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_of_a_megabyte_is_an_error_and_the_run_completes_after_space_is_freed() {
    let whole = images();
    whole.run(&["--device", "cpu"]);
    for free in [0, 4, 12, 24, 60] {
        let lab = images();
        let folder = lab.path("results");
        let Some(_disk) = Mounted::new(&folder) else { return };
        let filler = folder.join("filler");
        std::fs::write(&filler, vec![1; (1024 - free) * 1024]).unwrap_or_default();
        let (code, said) = lab.fails(&["run", "tiny.yaml", "--device", "cpu"]);
        assert_eq!(code, 1, "{free} KiB free: {said}");
        assert!(said.contains("No space left on device"), "{free} KiB free: {said}");
        assert!(
            said.contains("results/tiny") && said.contains("what is finished is kept"),
            "{said}"
        );
        let segment = std::fs::read_to_string(lab.path(MAIN)).unwrap_or_default();
        assert!(has_whole_lines_only(&segment), "{free} KiB free: {segment}");
        assert!(has_no_leftovers(&lab), "{free} KiB free");
        std::fs::remove_file(&filler).unwrap();
        lab.run(&["--device", "cpu"]);
        assert!(lab.read(MAIN).starts_with(&segment));
        assert_eq!(lab.tables(), whole.tables(), "{free} KiB free");
    }
}

#[test]
fn a_read_only_file_system_is_an_error_before_anything_is_trained() {
    let lab = points();
    lab.run(&["seeds=0..1", "--device", "cpu"]);
    let before = [lab.tables()[0].clone(), lab.read(MAIN)];
    let lab = points();
    let folder = lab.path("results");
    let Some(disk) = Mounted::new(&folder) else { return };
    lab.run(&["seeds=0..1", "--device", "cpu"]);
    disk.change("remount,ro");
    let (code, said) = lab.fails(&["run", "tiny.yaml", "--device", "cpu"]);
    assert!(code == 1 && said.contains("Read-only file system"), "{said}");
    assert!(said.contains("results/tiny/cells/") && !said.contains("to run"), "{said}");
    assert_eq!(lab.tables()[0], before[0]);
    stdout(&lab, &["plan", "tiny.yaml", "--device", "cpu"]);
    disk.change("remount,rw");
    lab.run(&["--device", "cpu"]);
}

/// A run of many steps whose first cell has ended.
fn begun(lab: &Laboratory) -> (std::process::Child, BufReader<std::process::ChildStderr>) {
    let mut command =
        lab.polarity(&["run", "tiny.yaml", "--device", "cpu", "--threads", "1", "train.steps=60"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("test error") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "a cell ends before the run does");
    }
    (child, said)
}

#[test]
fn a_results_folder_that_is_moved_away_ends_the_run_and_goes_on_when_it_is_back() {
    let [whole, lab] = [Laboratory::new(), Laboratory::new()];
    whole.run(&["--device", "cpu", "--threads", "1", "train.steps=60"]);
    let (mut child, said) = begun(&lab);
    std::fs::rename(lab.path("results"), lab.path("elsewhere")).unwrap();
    let said: Vec<String> = said.lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said:?}");
    let last = said.last().unwrap();
    assert!(last.contains("main.jsonl: is no longer the file that this run writes"), "{last}");
    assert!(!lab.path("results").exists(), "nothing is made in its place");
    std::fs::rename(lab.path("elsewhere"), lab.path("results")).unwrap();
    let kept = lab.read(MAIN);
    assert!(has_whole_lines_only(&kept) && !kept.is_empty());
    lab.run(&["--device", "cpu", "train.steps=60"]);
    assert!(lab.read(MAIN).starts_with(&kept));
    assert_eq!(lab.tables(), whole.tables());
}

#[test]
fn the_lock_of_a_run_that_was_killed_holds_nobody_up() {
    let [whole, lab] = [Laboratory::new(), Laboratory::new()];
    whole.run(&["--device", "cpu", "--threads", "1", "train.steps=60"]);
    let (mut child, _said) = begun(&lab);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(lab.path(CELLS).join("main.lock").exists());
    lab.run(&["--device", "cpu", "train.steps=60"]);
    assert_eq!(lab.tables(), whole.tables());
}

#[test]
fn a_file_system_without_locks_is_refused_with_what_to_do() {
    let lab = points();
    let shim = lab.path("nolocks.c");
    std::fs::write(
        &shim,
        "#include <errno.h>\nint flock(int f, int o) { errno = ENOLCK; return -1; }\n",
    )
    .unwrap();
    let library = lab.path("nolocks.so");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&shim).status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no C compiler here");
        return;
    }
    let mut command = lab.polarity(&["run", "tiny.yaml", "--device", "cpu"]);
    let output = command.env("LD_PRELOAD", &library).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cells/main.lock: No locks available"), "{said}");
    assert!(said.contains("knows no locks") && said.contains("`results=DIR`"), "{said}");
    assert!(!lab.path(MAIN).exists() && !said.contains("to run"), "{said}");
    let read = lab.polarity(&["plan", "tiny.yaml"]).env("LD_PRELOAD", &library).output().unwrap();
    assert!(read.status.success(), "readers need none");
}

/// The line with a change to its text and a digest that fits.
fn resealed(line: &str, from: &str, to: &str) -> String {
    let (body, _) = line.rsplit_once(",\"digest\":\"").unwrap();
    assert!(body.contains(from), "no `{from}` in {body}");
    let body = body.replacen(from, to, 1);
    format!("{body},\"digest\":\"{}\"}}", digest(&body))
}

#[test]
fn two_results_of_one_cell_are_shown_side_by_side_with_where_each_stands() {
    let lab = images();
    lab.run(&["--device", "cpu"]);
    let segment = lab.read(MAIN);
    let line = segment.lines().nth(2).unwrap();
    let value: Value = serde_json::from_str(line).unwrap();
    let id = value["id"].as_str().unwrap();
    let resets = value["outcome"]["resets"].as_u64().unwrap();
    let loss = format!("\"validation_loss\":{}", value["curve"][1]["validation_loss"]);
    let other = resealed(line, &format!("\"resets\":{resets}"), "\"resets\":99999");
    let other = resealed(&other, &loss, "\"validation_loss\":7.5");
    let foreign = format!("{}\n{other}\n", segment.lines().next().unwrap());
    lab.write(&format!("{CELLS}/elsewhere.jsonl"), &foreign);
    for command in ["plan", "run"] {
        let (code, said) = lab.fails(&[command, "tiny.yaml", "--device", "cpu"]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(&format!("cell {id} has two different results")), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        let of = |place: &str| {
            let found = lines.iter().find(|line| line.contains(place));
            *found.unwrap_or_else(|| panic!("no {place}: {said}"))
        };
        let (one, two) = (of("cells/main.jsonl:3: done"), of("cells/elsewhere.jsonl:2: done"));
        assert!(one.contains(&format!("6 steps, {resets} resets, 2 evaluations")), "{one}");
        assert!(two.contains("6 steps, 99999 resets, 2 evaluations"), "{two}");
        let step = &value["curve"][1]["step"];
        let differ = format!("the curve from step {step} on");
        assert!(said.contains("they differ in resets ") && said.contains(&differ), "{said}");
    }
    assert_eq!(lab.read(MAIN), segment);
}

#[test]
fn a_damaged_line_of_another_run_is_named_and_its_cell_is_computed_here() {
    let lab = points();
    lab.run(&["--device", "cpu", "--shard", "0/2"]);
    lab.run(&["--device", "cpu", "--shard", "1/2"]);
    let tables = lab.tables();
    let name = format!("{CELLS}/shard-1-of-2.jsonl");
    let damaged = lab.read(&name).replacen("\"steps\":4", "\"steps\":5", 1);
    lab.write(&name, &damaged);
    let said = lab.run(&["--device", "cpu"]);
    assert!(
        said.contains(
            "shard-1-of-2.jsonl:1: damaged, in another run's segment; its cell counts as not"
        ),
        "{said}"
    );
    assert!(said.contains("16 cells: 15 finished, 1 to run"), "{said}");
    assert_eq!(lab.tables(), tables);
    assert_eq!(lab.read(&name), damaged, "it is not this run's");
}
