//! Several runs of one experiment at once, and what they leave to each other.

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Laboratory, names, stdout};
use polarity::results::Status;
use polarity::results::table::{Trial, read_trials};

/// The published study of reset rules with four of its twenty seeds: 240 cells of points.
const RESETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/xor5d-reset.yaml");

fn spawn(lab: &Laboratory, arguments: &[&str]) -> Child {
    lab.polarity(arguments).stderr(Stdio::null()).spawn().unwrap()
}

/// Starts part `shard` of the study of reset rules, in a results folder of this name.
fn part(lab: &Laboratory, results: &str, shard: &str) -> Child {
    spawn(lab, &["run", RESETS, "seeds=0..4", &format!("results={results}"), "--shard", shard])
}

/// The table of the study of reset rules in the results folder of this name.
fn resets(lab: &Laboratory, results: &str) -> String {
    lab.read(&format!("{results}/xor5d-reset/trials.csv"))
}

fn ended(mut run: Child) {
    assert!(run.wait().unwrap().success());
}

fn trials(lab: &Laboratory) -> Vec<Trial> {
    read_trials(&lab.path("results/tiny/trials.csv")).unwrap()
}

fn source(trials: &[Trial]) -> &Trial {
    trials.iter().find(|trial| trial.key.arm == "source").unwrap()
}

/// Replaces text in those lines of a segment that took weights from a source, and seals them anew.
fn alter_cells_of_the_source(path: &Path, changes: &[(&str, &str)]) {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| {
        let (open, _) = line.rsplit_once(",\"digest\":").unwrap();
        let is_of_source = open.contains("\"weights\":");
        let changes = changes.iter().filter(|_| is_of_source);
        let open = changes.fold(open.to_owned(), |open, (from, to)| open.replace(from, to));
        format!("{open},\"digest\":\"{}\"}}\n", common::digest(&open))
    });
    let text: String = lines.collect();
    std::fs::write(path, text).unwrap();
}

#[test]
fn two_shards_at_once_publish_the_cells_of_both_whoever_ends_last() {
    let lab = Laboratory::new();
    ended(part(&lab, "whole", "0/1"));
    let expected = resets(&lab, "whole");
    assert_eq!(expected.lines().count(), 241);
    for round in ["first", "second", "third"] {
        let runs = ["0/2", "1/2"].map(|shard| part(&lab, round, shard));
        runs.into_iter().for_each(ended);
        assert_eq!(resets(&lab, round), expected, "{round}");
    }
}

#[test]
fn a_shard_that_is_killed_and_started_again_loses_no_row_of_the_others() {
    let lab = Laboratory::new();
    ended(part(&lab, "whole", "0/1"));
    let mut killed = part(&lab, "parts", "1/3");
    let [one, two] = ["0/3", "2/3"].map(|shard| part(&lab, "parts", shard));
    killed.kill().unwrap();
    killed.wait().unwrap();
    [one, two].into_iter().for_each(ended);
    ended(part(&lab, "parts", "1/3"));
    assert_eq!(resets(&lab, "whole"), resets(&lab, "parts"));
}

#[test]
fn two_copies_of_a_task_come_to_the_tables_of_one_whether_the_second_waits_or_not() {
    let lab = Laboratory::new();
    let parts = |results: &str| format!("results={results}");
    let study = ["run", RESETS, "seeds=0..4"];
    let run = |results: &str, more: &[&str]| {
        spawn(&lab, &[&study[..], &[&parts(results)], more].concat())
    };
    let plan = stdout(&lab, &["plan", RESETS, "seeds=0..4", &parts("whole"), "--cells"]);
    let is_id = |word: &&str| word.len() == 16 && word.bytes().all(|it| it.is_ascii_hexdigit());
    let ids: Vec<&str> =
        plan.lines().filter_map(|line| line.split(' ').next()).filter(is_id).collect();
    assert_eq!(ids.len(), 240);
    lab.write("all.tasks", &ids.join(" "));
    ended(run("whole", &[]));
    let copies = [(); 2].map(|()| run("copies", &["--task", "all.tasks:0"]));
    let codes = copies.map(|mut copy| copy.wait().unwrap().code());
    // The second finds the task's file held by the first and leaves, or comes when all is done.
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| *code <= Some(1)), "{codes:?}");
    // A task leaves the tables to the last job.
    assert!(!lab.path("copies/xor5d-reset/trials.csv").exists());
    stdout(&lab, &["slurm", "merge", RESETS, "seeds=0..4", &parts("copies")]);
    assert_eq!(resets(&lab, "whole"), resets(&lab, "copies"));
}

#[test]
fn a_task_of_an_experiment_that_was_edited_is_refused_and_changes_nothing() {
    let lab = Laboratory::of_points();
    lab.run(&[]);
    let (tables, id) = (lab.tables(), trials(&lab)[0].key.id.clone());
    for (line, words) in [
        (format!("{id} {}", "0".repeat(16)), "`0000000000000000` is no cell of this experiment"),
        (id[..8].to_owned(), "is no cell of this experiment"),
        ("\n".into(), "is no cell of this experiment"),
        (String::new(), "has 0 tasks, counted from 0, and no task 0"),
    ] {
        lab.write("cut.tasks", &line);
        let (code, said) = lab.fails(&["run", "tiny.yaml", "--task", "cut.tasks:0"]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(lab.tables(), tables);
}

#[test]
#[ignore = "needs GNU parallel: `make test-slurm`"]
fn the_command_for_gnu_parallel_in_the_docs_computes_every_cell_once() {
    if Command::new("parallel").arg("--version").output().is_err() {
        eprintln!("passed over: needs GNU parallel; `make test-slurm` installs it");
        return;
    }
    let lab = Laboratory::new();
    let page = include_str!("../docs/cluster.md");
    let commands = page.lines().filter(|line| {
        line.starts_with("seq 0 7 | parallel ")
            || line.starts_with("polarity run experiments/xor5d.yaml  ")
    });
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    let study = format!("run {RESETS} seeds=0..4 results=parallel");
    let script = commands.join("\n").replace("run experiments/xor5d.yaml", &study);
    let mut shell = Command::new("sh");
    let program = Path::new(env!("CARGO_BIN_EXE_polarity")).parent().unwrap().display();
    shell.args(["-ec", &format!("PATH={program}:$PATH\n{script}")]).current_dir(lab.path(""));
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("240 cells: 240 finished, 0 to run"), "{said}");
    ended(part(&lab, "whole", "0/1"));
    assert_eq!(resets(&lab, "whole"), resets(&lab, "parallel"));
}

#[test]
fn a_shard_beside_which_another_is_at_work_does_its_cells_and_leaves_the_tables_to_the_other() {
    let lab = Laboratory::new();
    lab.run(&["--shard", "0/2"]);
    let lock = |writer: &str| {
        let path = lab.path(&format!("results/tiny/cells/{writer}.lock"));
        let file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        file.lock().unwrap();
        file
    };
    let other = lock("shard-0-of-2");
    let said = lab.run(&["--shard", "1/2"]);
    assert!(said.contains("the last part that ends writes the tables"), "{said}");
    assert_eq!(trials(&lab).len(), 6);
    drop(other);
    // A task writes no tables, so nothing is left to it.
    let task = lock("task-1-0");
    lab.write("results/tiny/cells/task-1-0.jsonl", "");
    assert!(lab.run(&["--shard", "0/2"]).contains("0 to run"));
    assert_eq!(trials(&lab).len(), 12);
    drop(task);
}

#[test]
fn a_run_of_all_cells_writes_the_tables_whoever_else_is_at_work() {
    let lab = Laboratory::new();
    lab.run(&["--shard", "0/2"]);
    let other = lab.path("results/tiny/cells/shard-0-of-2.lock");
    let other = std::fs::File::options().append(true).open(other).unwrap();
    other.lock().unwrap();
    lab.run(&[]);
    assert_eq!(trials(&lab).len(), 12);
}

#[test]
fn a_line_that_another_run_is_writing_is_not_called_damaged() {
    let lab = Laboratory::new();
    lab.run(&["seeds=0..1"]);
    let segment = lab.path("results/tiny/cells/main.jsonl");
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..bytes.len() - 20]).unwrap();
    let said = common::stdout(&lab, &["plan", "tiny.yaml", "seeds=0..1"]);
    assert!(said.contains("3 done, 1 left") && !said.contains("damaged"), "{said}");
}

#[test]
fn a_cell_of_another_part_is_not_set_aside_but_refused_with_the_part_that_has_it() {
    let lab = Laboratory::new();
    lab.run(&["--shard", "0/2"]);
    lab.run(&["--shard", "1/2"]);
    let tables = lab.tables();
    let id = trials(&lab)[1].key.id.clone();
    let (code, said) = lab.fails(&["run", "tiny.yaml", "--redo", &id, "--shard", "0/2"]);
    assert_eq!(code, 2);
    assert!(said.contains("is of part 1/2; say `--shard 1/2`"), "{said}");
    assert_eq!(names(&lab.path("results/tiny/cells")).len(), 5, "nothing was set aside");
    // Its own part computes it again, and so does a run of all, in the segment of its own.
    for more in [&["--redo", &id, "--shard", "1/2"][..], &["--redo", &id]] {
        let said = lab.run(more);
        assert!(said.contains("1 to run"), "{said}");
        assert_eq!(lab.tables(), tables);
    }
}

#[test]
fn shards_that_need_the_same_source_train_it_once() {
    let [whole, parts] = [Laboratory::new(), Laboratory::new()];
    for lab in [&whole, &parts] {
        lab.add_trained_source();
        lab.edit("epochs: 1, batch: 10", "epochs: 8, batch: 10");
    }
    whole.run(&[]);
    let runs = ["0/2", "1/2"].map(|shard| spawn(&parts, &["run", "tiny.yaml", "--shard", shard]));
    runs.into_iter().for_each(ended);
    assert_eq!(whole.tables(), parts.tables());
    assert_eq!(names(&parts.path("results/tiny/work")).len(), 1);
    let id = &source(&trials(&parts)).key.id.clone();
    let lines = ["0", "1"].map(|index| {
        let text = parts.read(&format!("results/tiny/cells/shard-{index}-of-2.jsonl"));
        text.lines().filter(|line| line.starts_with(&format!("{{\"id\":\"{id}\""))).count()
    });
    assert_eq!(lines.iter().sum::<usize>(), 1, "{lines:?}");
}

#[test]
fn a_source_that_diverges_fails_the_cells_that_need_it_and_no_others() {
    let lab = Laboratory::new();
    lab.edit(
        "arms:\n",
        "source: {train: {data: {images: 60}, epochs: 1, batch: 10, optimizer: {sgd: {lr: 1.0e+30}}}}\n\
         arms:\n  signs: {signs: source, hold: all}\n",
    );
    for _ in 0..2 {
        let (code, said) = lab.fails(&["run", "tiny.yaml"]);
        assert_eq!(code, 1);
        assert!(said.contains("6 cells failed") && said.contains("diverged"), "{said}");
        let trials = trials(&lab);
        let count = |status| trials.iter().filter(|trial| trial.outcome.status == status).count();
        assert_eq!([Status::Done, Status::Diverged, Status::Failed].map(count), [12, 1, 6]);
        let table = lab.read("results/tiny/trials.csv");
        assert!(table.lines().next().unwrap().ends_with(",reason"), "{table}");
        let of_arm = |line: &&str| line.contains(",signs,");
        for line in table.lines().filter(of_arm) {
            assert!(
                line.ends_with(&format!(
                    "\"its source, cell {}, diverged\"",
                    source(&trials).key.id
                ))
            );
        }
    }
}

#[test]
fn cells_of_other_weights_of_their_source_are_not_mixed_but_computed_again() {
    let lab = Laboratory::new();
    lab.add_trained_source();
    lab.run(&["--shard", "0/2"]);
    lab.run(&["--shard", "1/2"]);
    let tables = lab.tables();
    // As if another CPU had come to other weights: its source errs differently, and so do its cells.
    let foreign = lab.path("results/tiny/cells/shard-1-of-2.jsonl");
    let text = lab.read("results/tiny/cells/shard-0-of-2.jsonl");
    let start = text.find("\"weights\":\"").unwrap() + "\"weights\":\"".len();
    let digest = &text[start..start + 64];
    let other = digest.replace(|c: char| c.is_ascii_digit(), "f");
    let changes = [(digest, &*other), ("\"sign_flips\":", "\"sign_flips\":1")];
    alter_cells_of_the_source(&foreign, &changes);
    let said = lab.run(&[]);
    assert!(!said.contains("two different results"), "{said}");
    assert_eq!(lab.tables(), tables);
}

#[test]
fn an_interrupted_run_beside_published_tables_leaves_them_as_they_are() {
    let lab = Laboratory::new();
    lab.run(&["train.steps=60"]);
    let tables = lab.tables();
    // A clone has the tables and none of the cells.
    std::fs::remove_dir_all(lab.path("results/tiny/cells")).unwrap();
    lab.run_and_interrupt(&["--threads", "1", "train.steps=60"]);
    assert_eq!(lab.tables(), tables);
    let output = lab.polarity(&["run", "tiny.yaml", "train.steps=60", "--shard", "0/9"]).output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains("rows are cells that have not run here"), "{said}");
    assert_eq!(lab.tables(), tables);
    lab.run(&["train.steps=60"]);
    assert_eq!(lab.tables(), tables);
}

#[test]
fn rows_of_cells_that_an_experiment_has_no_more_are_replaced_and_counted() {
    let lab = Laboratory::new();
    lab.run(&[]);
    let said = lab.run(&["seeds=0..2"]);
    assert!(
        said.contains("trials.csv: 4 rows of cells that this experiment does not have"),
        "{said}"
    );
    assert_eq!(trials(&lab).len(), 8);
}
