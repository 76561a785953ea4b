//! `polarity slurm`: the scripts, what is refused before anything is queued, and a real cluster of two nodes.
//!
//! The cluster is Slurm itself on this machine (`tests/slurm/two-nodes.sh`), which root and Debian's packages
//! slurm-wlm and munge are needed for. Nobody's `make test` starts it: `make test-slurm` does, and says so where
//! it cannot.

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Laboratory, golden, names, stdout};

/// 240 cells of points.
const GRID: &str = "\
name: grid
data: {name: xor-5d, train_sizes: [40, 80], validation: 200, test: 200}
model: {name: mlp}
widths: [4, 6, 9]
arms:
  frozen: {signs: informed, hold: all}
  fluid: {signs: init, hold: none}
baseline: fluid
train: {optimizer: {adam: {lr: 0.01}}, batch: 8, epochs: 8000}
seeds: 0..20
slurm: {partition: main, time: 30}
figures: []
results: FOLDER/results
plots: FOLDER/plots
";

/// A laboratory in a folder that nodes would share.
fn shared() -> Laboratory {
    Laboratory::in_folder(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn dry_run(lab: &Laboratory, more: &[&str]) -> String {
    stdout(lab, &[&["slurm", "submit", "grid.yaml", "--dry-run"], more].concat())
}

/// Puts a program of this name, which only says a line, into the folder `bin` of `lab`.
fn add_program(lab: &Laboratory, name: &str, says: &str) {
    let bin = lab.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let path = bin.join(name);
    std::fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_dry_run_prints_the_scripts_and_makes_nothing() {
    let lab = Laboratory::new();
    lab.write("grid.yaml", GRID);
    let said = dry_run(
        &lab,
        &["--minutes-per-task", "1000", "--gres=tmp:1", "--sbatch", "qos=low", "seeds=0..2"],
    );
    let folder = lab.path("").canonicalize().unwrap().display().to_string();
    let said = said.replace(env!("CARGO_BIN_EXE_polarity"), "POLARITY").replace(&folder, "FOLDER");
    golden("slurm.sh", &said);
    assert!(!lab.path("results").exists());
}

#[test]
fn the_shell_reads_the_scripts() {
    let lab = Laboratory::new();
    lab.write("grid.yaml", GRID);
    let script = lab.path("script.sh");
    std::fs::write(&script, dry_run(&lab, &["arms.\"fluid\".signs=init"])).unwrap();
    let read = Command::new("bash").arg("-n").arg(&script).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
fn tasks_hold_all_cells_once_and_take_about_the_minutes_that_were_asked_for() {
    let lab = Laboratory::new();
    lab.write("grid.yaml", GRID);
    let tasks = |minutes: &str| {
        let said = dry_run(&lab, &["--minutes-per-task", minutes]);
        let (_, rest) = said.split_once("--array=0-").unwrap();
        rest.lines().next().unwrap().parse::<usize>().unwrap() + 1
    };
    assert_eq!(tasks("1000"), 1);
    // No more tasks than there are bundles of cells that are computed side by side.
    assert_eq!(tasks("0.000001"), 12 * 20_usize.div_ceil(16));
}

#[test]
fn without_sbatch_on_the_path_nothing_is_made_and_the_error_says_what_is_missing() {
    let lab = shared();
    lab.write("grid.yaml", GRID);
    let mut command = lab.polarity(&["slurm", "submit", "grid.yaml"]);
    let output = command.env("PATH", "/nowhere").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`scontrol` is not on the PATH"), "{said}");
    assert!(!lab.path("results").exists());
}

#[test]
fn what_cannot_be_submitted_is_refused_by_its_key() {
    let lab = shared();
    lab.write("grid.yaml", GRID);
    for (arguments, words) in [
        (&["--sbatch", "array=0-3"][..], "slurm.array: is set by `polarity slurm submit` itself"),
        (&["--time", "soon"], "slurm.time: expected a time"),
        (&["--minutes-per-task", "0"], "slurm.minutes-per-task: expected minutes"),
        (&["--minutes-per-task", "1e308"], "slurm.minutes-per-task: expected minutes"),
        (&["--max-running", "no"], "slurm.max-running: expected a number"),
        (&["--cpus", "1.5"], "slurm.cpus: expected a whole number of cores"),
        (
            &["results=a\\b", "--dry-run"],
            "in the names of logs in its own way; choose another place",
        ),
    ] {
        let (code, said) = lab.fails(&[&["slurm", "submit", "grid.yaml"], arguments].concat());
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(words), "{said}");
    }
    let long = ["slurm", "submit", "tiny.yaml", "--time", "1", "train.steps=1000000"];
    let (code, said) = lab.fails(&long);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("slurm.time: 60 seconds, but cell "), "{said}");
    let own = Laboratory::new();
    own.write("grid.yaml", GRID);
    for (program, says) in [("scontrol", "MaxArraySize = 1001"), ("sinfo", "10.0.0.1")] {
        add_program(&own, program, says);
    }
    let mut command = own.polarity(&["slurm", "submit", "grid.yaml"]);
    let output = command.env("PATH", own.path("bin")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("every node has a /tmp of its own"), "{said}");
}

/// A laboratory beside a cluster that takes everything as job 78 and has this queue, and its PATH.
fn beside_cluster(queue: impl Fn(&Laboratory) -> String) -> (Laboratory, String) {
    let lab = Laboratory::of_points();
    let queue = queue(&lab);
    for (program, says) in [
        ("scontrol", "MaxArraySize = 1001"),
        ("sinfo", "localhost"),
        ("sbatch", "78"),
        ("squeue", &queue),
    ] {
        add_program(&lab, program, says);
    }
    let path = format!("{}:{}", lab.path("bin").display(), std::env::var("PATH").unwrap());
    (lab, path)
}

#[test]
fn jobs_of_a_submission_that_was_cut_off_are_named_and_those_of_other_folders_are_not() {
    let (lab, path) = beside_cluster(|_| "77 0 PENDING /theirs/tiny/slurm/1".into());
    let said = |arguments: &[&str]| {
        let output = lab.polarity(arguments).env("PATH", &path).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(said(&["slurm", "submit", "tiny.yaml"]).contains("4 cells in 1 tasks, job 78"));
    // As if it had been killed after `sbatch`.
    let note = lab.path("results/tiny/slurm/1.json");
    let text = std::fs::read_to_string(&note).unwrap();
    let (begun, _) = text.split_once("\"arrays\"").unwrap();
    std::fs::write(&note, format!("{begun}\"arrays\": []}}")).unwrap();
    let status = said(&["slurm", "status", "tiny.yaml"]);
    assert!(status.contains("4 not submitted") && !status.contains("77"), "{status}");
    let ours = lab.path("results/tiny/slurm/1");
    add_program(&lab, "squeue", &format!("77 0 PENDING {}", ours.display()));
    for command in ["status", "submit"] {
        let said = said(&["slurm", command, "tiny.yaml"]);
        assert!(
            said.contains("cut off before it noted") && said.contains("`scancel 77`"),
            "{said}"
        );
    }
}

#[test]
fn of_two_submissions_of_one_grid_at_the_same_time_one_is_refused() {
    let (lab, path) = beside_cluster(|lab| {
        format!("78 0 PENDING {}", lab.path("results/tiny/slurm/1").display())
    });
    let submit = || {
        let mut command = lab.polarity(&["slurm", "submit", "tiny.yaml"]);
        command.env("PATH", &path).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let outputs = [submit(), submit()].map(|run| run.wait_with_output().unwrap());
    let mut codes = outputs.each_ref().map(|output| output.status.code());
    codes.sort();
    assert_eq!(codes, [Some(0), Some(2)]);
    let refused = outputs.iter().find(|output| output.status.code() == Some(2)).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("1 tasks of submission 1 are in the queue"), "{said}");
}

#[test]
fn a_last_job_that_never_ran_is_missed_and_what_it_would_do_is_said() {
    let (lab, path) = beside_cluster(|_| String::new());
    lab.run(&[]);
    let tables = lab.tables();
    std::fs::remove_file(lab.path("results/tiny/trials.csv")).unwrap();
    for command in ["status", "submit"] {
        let output = lab.polarity(&["slurm", command, "tiny.yaml"]).env("PATH", &path).output();
        let said = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(said.contains("`polarity slurm merge tiny.yaml` does"), "{said}");
    }
    stdout(&lab, &["slurm", "merge", "tiny.yaml"]);
    assert_eq!(lab.tables(), tables);
    assert!(!stdout(&lab, &["slurm", "submit", "tiny.yaml"]).contains("merge"));
}

#[test]
fn the_last_job_of_an_experiment_that_was_edited_leaves_the_table_that_stands_there() {
    let lab = Laboratory::of_points();
    let (code, said) = lab.fails(&["slurm", "merge", "tiny.yaml"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("nothing has run here yet"), "{said}");
    lab.run(&[]);
    let tables = lab.tables();
    let said = stdout(&lab, &["slurm", "merge", "tiny.yaml", "train.epochs=7"]);
    assert!(said.contains("left as it is, 4 of its rows"), "{said}");
    assert_eq!(lab.tables(), tables);
}

/// How long a cluster that does nothing is believed to be at work.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A cluster of two nodes on this machine, while it lives.
struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    /// None where Slurm is not installed or this is not root.
    fn start() -> Option<Self> {
        let there = |program: &str| {
            let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
            found.is_ok_and(|found| found.status.success())
        };
        let id = Command::new("id").arg("-u").output().ok()?;
        if id.stdout != b"0\n" || !["slurmctld", "slurmd", "munged"].into_iter().all(there) {
            eprintln!(
                "passed over: needs root and Debian's slurm-wlm and munge; `make test-slurm` installs them"
            );
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster { folder };
        assert!(cluster.script("up").status().unwrap().success());
        Some(cluster)
    }

    fn script(&self, what: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm/two-nodes.sh");
        let mut command = Command::new(script);
        command.arg(what).arg(self.folder.path()).env("POLARITY_SLURM_ARRAY", "8");
        command
    }

    fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        let output = command.args(arguments).env("SLURM_CONF", self.conf()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether `sbatch` would take the script.
    fn takes(&self, script: &Path) -> bool {
        let mut command = Command::new("sbatch");
        command.arg("--test-only").arg(script).env("SLURM_CONF", self.conf());
        command.status().unwrap().success()
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    /// `polarity` beside this cluster: what it said, and whether it succeeded.
    fn polarity(&self, lab: &Laboratory, arguments: &[&str]) -> (bool, String) {
        let mut command = lab.polarity(arguments);
        let output = command.env("SLURM_CONF", self.conf()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn submit(&self, lab: &Laboratory, more: &[&str]) -> String {
        let (done, said) = self.polarity(lab, &[&["slurm", "submit"], more].concat());
        assert!(done, "{said}");
        said
    }

    /// Waits until nothing is in the queue.
    fn wait(&self) {
        let begun = Instant::now();
        while !self.ask("squeue", &["--noheader"]).trim().is_empty() {
            assert!(begun.elapsed() < PATIENCE, "{}", self.ask("squeue", &[]));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The tasks that run on `node`, as `squeue` numbers them.
    fn running(&self, node: &str) -> Vec<String> {
        let said = self.ask("squeue", &["--noheader", "--format=%i %T %N"]);
        let on_node = |line: &&str| line.ends_with(&format!("RUNNING {node}"));
        said.lines()
            .filter(on_node)
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }

    fn kill_node(&self, node: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join(format!("{node}.pid"))).unwrap();
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.script("down").stdout(Stdio::null()).status();
    }
}

fn table(lab: &Laboratory, name: &str) -> String {
    lab.read(&format!("results/{name}/trials.csv"))
}

/// How often each cell was finished, by its id.
fn finished(lab: &Laboratory, name: &str) -> BTreeMap<String, usize> {
    let cells = lab.path(&format!("results/{name}/cells"));
    let mut counts = BTreeMap::new();
    for file in names(&cells).iter().filter(|file| file.ends_with(".jsonl")) {
        for line in std::fs::read_to_string(cells.join(file)).unwrap().lines() {
            *counts.entry(line[7..23].to_owned()).or_default() += 1;
        }
    }
    counts
}

#[test]
#[ignore = "starts a Slurm of its own: `make test-slurm`"]
fn a_grid_and_a_study_with_a_source_survive_a_killed_task_and_a_dead_node() {
    let Some(cluster) = Cluster::start() else { return };
    let [here, there] = [Laboratory::new(), shared()];
    for lab in [&here, &there] {
        lab.write("grid.yaml", GRID);
        lab.add_trained_source();
        lab.edit("steps: 6}", "steps: 200}");
    }
    here.run(&[]);
    assert!(here.polarity(&["run", "grid.yaml"]).output().unwrap().status.success());

    let scripts = dry_run(&there, &[]);
    for (number, script) in scripts.split("#!/bin/bash").skip(1).enumerate() {
        there.write("script.sh", &format!("#!/bin/bash{script}"));
        assert!(cluster.takes(&there.path("script.sh")), "script {number}: {script}");
    }
    let (done, said) =
        cluster.polarity(&there, &["slurm", "submit", "grid.yaml", "--partition=none"]);
    assert!(!done && said.contains("sbatch refused: ") && said.contains("partition"), "{said}");
    assert!(!there.path("results").exists());

    // Arrays of this cluster have 8 tasks at most: there are three.
    let said = cluster.submit(&there, &["grid.yaml", "--minutes-per-task", "0.000001"]);
    assert!(said.starts_with("240 cells in 24 tasks, job "), "{said}");
    let (done, said) = cluster.polarity(&there, &["slurm", "submit", "grid.yaml"]);
    assert!(!done && said.contains("of submission 1 are in the queue"), "{said}");
    cluster.submit(&there, &["tiny.yaml", "--minutes-per-task", "0.001"]);

    let begun = Instant::now();
    while cluster.running("node1").is_empty() || cluster.running("node2").is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{}", cluster.ask("squeue", &[]));
        std::thread::sleep(Duration::from_millis(50));
    }
    let task = cluster.running("node1").remove(0);
    cluster.ask("scancel", &["--signal=KILL", "--full", &task]);
    cluster.kill_node("node2");
    let (done, said) = cluster.polarity(&there, &["slurm", "status", "grid.yaml"]);
    assert!(done && said.starts_with("grid: 240 cells: "), "{said}");
    cluster.wait();

    for (file, name) in [("grid.yaml", "grid"), ("tiny.yaml", "tiny")] {
        for _ in 0..5 {
            let (_, said) = cluster.polarity(&there, &["slurm", "status", file]);
            if !said.contains("are to be submitted") {
                break;
            }
            cluster.submit(&there, &[file]);
            cluster.wait();
        }
        assert_eq!(table(&there, name), table(&here, name), "{name}");
    }
    let twice = finished(&there, "grid").into_values().filter(|times| *times > 1).count();
    assert_eq!(twice, 0, "cells that were finished twice");
    let (_, said) = cluster.polarity(&there, &["slurm", "submit", "grid.yaml"]);
    assert!(said.contains("nothing is left"), "{said}");
}
