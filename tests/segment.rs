//! The segments, in which finished cells lie, by the rules of their format. One test a rule.
//!
//! 1. Segments are the files `cells/<writer>.jsonl` of a results folder. The writer of a whole run is
//!    `main`, that of part I of N is `shard-I-of-N`; it appends to its own segment only.
//! 2. A segment has one line a cell. Every line ends with a newline, the last one too.
//! 3. A line is one JSON object in UTF-8, without spaces, with the keys `id`, `spec`, `outcome`,
//!    `curve`, `reason`, `weights` and `machine` (where there are such), `timing` and `digest` in this
//!    order.
//! 4. `digest` is the first 16 hex digits, in lower case, of the SHA-256 of all that stands before
//!    `,"digest":"` in the line.
//! 5. `id` is the first 16 hex digits, in lower case, of the SHA-256 of the value of `spec` as it
//!    stands in the line.
//! 6. A cell whose `outcome.status` is `failed` is not finished: it is computed again. Its line has a
//!    `reason`, and no other line has one.
//! 7. A line that breaks one of the rules 2 to 6 is damaged and counts for nothing, as does one with a
//!    key twice, a key that is not known, or an error that is no whole number of its images. `polarity
//!    plan` and `run` name it by file and line. A last line without its end counts for nothing either,
//!    but is not called damaged: its writer may be at it.
//! 8. `polarity run` moves the damaged lines of its own segment, an unfinished last one among them,
//!    to `cells/<writer>.damaged`, computes their cells again, and leaves every other line as it is.
//! 9. A reader reads all segments, whatever their writers are called, and no other file beside them.
//! 10. A cell that stands twice with the same `outcome` and `curve` is one, whatever its `timing` and
//!     `machine`.
//! 11. A finished line stands above a failed one of the same cell, whichever comes first.
//! 12. Two finished lines of one cell with another `outcome` or `curve` contradict each other: nothing
//!     is read, run or written until one of them is gone, or `--redo` has set both aside. Both are shown
//!     with file and line.
//! 13. Lines of cells that the experiment does not ask for stay, and are in no table.
//! 14. A writer holds the lock of `cells/<writer>.lock` while it lives; a second one is refused. Where a
//!     file system knows no locks, every writer is (tested in `tests/durability.rs`).
//! 15. `weights` is the digest of a trained source's weights, those that it came to or that a cell took;
//!     cells of other weights than those in use are computed again (tested in `tests/shards.rs`).
//! 16. A line whose digest fits and whose `spec.version` is another results version's is not damaged: it
//!     counts for nothing and stays.
//! 17. `machine` is what the cell was computed on: the CPU, its vectors, and what of the environment
//!     chooses others. A line without it is whole.

mod common;

use std::sync::OnceLock;

use common::{Laboratory, digest, names, stdout};
use serde_json::{Value, json};

const CELLS: &str = "results/tiny/cells";
const MAIN: &str = "results/tiny/cells/main.jsonl";

/// The four lines of a whole run, in its order, without their ends.
fn lines() -> Vec<String> {
    static LINES: OnceLock<Vec<String>> = OnceLock::new();
    let run = || {
        let lab = Laboratory::of_points();
        lab.run(&["--device", "cpu"]);
        lab.read(MAIN).lines().map(str::to_owned).collect()
    };
    LINES.get_or_init(run).clone()
}

/// A laboratory with these segments, by their names.
fn with(segments: &[(&str, &[u8])]) -> Laboratory {
    let lab = Laboratory::of_points();
    std::fs::create_dir_all(lab.path(CELLS)).unwrap();
    for (name, bytes) in segments {
        std::fs::write(lab.path(CELLS).join(name), bytes).unwrap();
    }
    lab
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn plan(lab: &Laboratory) -> String {
    stdout(lab, &["plan", "tiny.yaml", "--cells", "--device", "cpu"])
}

/// How many cells a folder with `text` as its segment has finished, of four.
fn finished(text: &str) -> usize {
    let said = plan(&with(&[("main.jsonl", text.as_bytes())]));
    (0..=4).find(|done| said.contains(&format!("4 cells, {done} done"))).unwrap()
}

/// The line with a change to its text and a digest that fits.
fn resealed(line: &str, from: &str, to: &str) -> String {
    let (body, _) = line.rsplit_once(",\"digest\":\"").unwrap();
    assert!(body.contains(from), "no `{from}` in {body}");
    let body = body.replacen(from, to, 1);
    format!("{body},\"digest\":\"{}\"}}", digest(&body))
}

/// The line as it would be if the cell had failed.
fn failed(line: &str) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    let outcome = json!({"status": "failed", "test_error": null, "validation_error": null,
        "train_error": null, "best_step": null, "test_error_last": null,
        "validation_error_last": null, "train_error_last": null, "validation_images": null,
        "test_images": null, "steps": 0, "violations_after": 0, "resets": 0,
        "sign_flips": 0});
    let (from, to) = (value["outcome"].to_string(), outcome.to_string());
    value["outcome"] = outcome;
    let line = resealed(line, &from, &to);
    resealed(&line, ",\"machine\":", ",\"reason\":\"no luck\",\"machine\":")
}

fn id(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    value["id"].as_str().unwrap().to_owned()
}

#[test]
fn rule_1_every_writer_has_a_segment_of_its_own_name() {
    let lab = Laboratory::of_points();
    for shard in ["0/2", "1/2"] {
        lab.run(&["--shard", shard, "--device", "cpu"]);
    }
    let segments = || -> Vec<String> {
        names(&lab.path(CELLS)).into_iter().filter(|name| name.ends_with(".jsonl")).collect()
    };
    assert_eq!(segments(), ["shard-0-of-2.jsonl", "shard-1-of-2.jsonl"]);
    let before = lab.read(&format!("{CELLS}/shard-0-of-2.jsonl"));
    assert_eq!(before.lines().count(), 2);
    lab.run(&["seeds=0..3", "--device", "cpu"]);
    assert_eq!(segments(), ["main.jsonl", "shard-0-of-2.jsonl", "shard-1-of-2.jsonl"]);
    assert_eq!(lab.read(&format!("{CELLS}/shard-0-of-2.jsonl")), before);
    assert_eq!(lab.read(MAIN).lines().count(), 2);
}

#[test]
fn rule_2_a_line_is_one_cell_and_ends_with_a_newline() {
    let lab = Laboratory::of_points();
    lab.run(&["--device", "cpu"]);
    let text = lab.read(MAIN);
    assert!(text.ends_with("}\n") && !text.contains("\n\n") && !text.contains('\r'), "{text}");
    assert_eq!(text.matches('\n').count(), 4);
    assert_eq!(finished(&text), 4);
    assert_eq!(finished(text.trim_end()), 3, "the last line has no end");
    assert_eq!(finished(&text.replace('\n', "\r\n")), 0);
}

#[test]
fn rule_3_a_line_is_one_json_object_with_its_keys_in_order() {
    let images = Laboratory::new();
    images.run(&["seeds=[0]", "data.train_sizes=[8]", "train.steps=1", "--device", "cpu"]);
    let images = images.read(MAIN);
    let lines = lines();
    for line in images.lines().chain(lines.iter().map(String::as_str)) {
        let value: Value = serde_json::from_str(line).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "spec", "outcome", "curve", "machine", "timing", "digest"]);
        assert_eq!(value.to_string(), line, "spaces, or a number that could be shorter");
    }
    assert!(images.lines().all(|line| line.contains("\"curve\":[{\"step\":0,")), "{images}");
    assert!(lines.iter().all(|line| line.contains("\"curve\":[]")), "points have no curves");
    assert_eq!(finished(&joined(&[failed(&lines[0])])), 0, "a line with a reason is read");
}

#[test]
fn rule_4_the_digest_is_that_of_all_that_stands_before_it() {
    let lines = lines();
    let mut altered = Vec::new();
    for line in &lines {
        let (body, seal) = line.rsplit_once(",\"digest\":\"").unwrap();
        let (digest, upper) = (digest(body), digest(body).to_uppercase());
        assert_eq!(seal, format!("{digest}\"}}"));
        altered.push(line.replacen("\"steps\":4", "\"steps\":5", 1));
        altered.push(format!("{body},\"digest\":\"{}0\"}}", &digest[..15]));
        altered.push(format!("{body},\"digest\":\"{upper}\"}}"));
        altered.push(format!("{body}}}"));
    }
    altered.retain(|line| !lines.contains(line));
    assert!(altered.len() >= 14, "few digests have no letter, or end with 0");
    assert_eq!(finished(&joined(&lines)), 4);
    assert_eq!(finished(&joined(&altered)), 0);
}

#[test]
fn rule_5_the_id_is_the_digest_of_the_specification() {
    for line in lines() {
        let (start, rest) = line.split_once(",\"spec\":").unwrap();
        let (spec, _) = rest.split_once(",\"outcome\":").unwrap();
        assert_eq!(start, format!("{{\"id\":\"{}\"", digest(spec)));
    }
}

#[test]
fn rule_5_a_line_under_another_id_than_its_specifications_is_damaged() {
    let lines = lines();
    let text = joined(&[resealed(&lines[0], &id(&lines[0]), &id(&lines[1]))]);
    let said = plan(&with(&[("main.jsonl", text.as_bytes())]));
    assert!(said.contains("4 cells, 0 done, 4 left"), "{said}");
    assert!(said.contains("cells/main.jsonl:1: damaged"), "{said}");
}

#[test]
fn rule_6_a_failed_cell_has_a_reason_and_is_computed_again() {
    let mut lines = lines();
    lines[1] = failed(&lines[1]);
    let lab = with(&[("main.jsonl", joined(&lines).as_bytes())]);
    let said = plan(&lab);
    assert!(said.contains("4 cells, 3 done, 1 left"), "{said}");
    assert_eq!(said.matches(" failed: no luck\n").count(), 1, "{said}");
    let said = lab.run(&["--device", "cpu"]);
    assert!(said.contains("3 finished, 1 to run"), "{said}");
    assert_eq!(plan(&lab).matches(" done\n").count(), 4);
}

#[test]
fn rule_6_a_reason_stands_where_a_cell_failed_and_nowhere_else() {
    let lines = lines();
    let without = resealed(&failed(&lines[0]), ",\"reason\":\"no luck\"", "");
    let with_one = resealed(&lines[1], ",\"timing\":", ",\"reason\":\"no luck\",\"timing\":");
    let said = plan(&with(&[("main.jsonl", joined(&[without, with_one]).as_bytes())]));
    assert!(said.contains("4 cells, 0 done, 4 left"), "{said}");
    for line in [1, 2] {
        assert!(said.contains(&format!("cells/main.jsonl:{line}: damaged")), "{line}: {said}");
    }
}

#[test]
fn rule_7_a_damaged_line_counts_for_nothing_and_is_named() {
    let good = lines();
    let curve = ",\"curve\":";
    let damaged = [
        ("torn", good[1][..good[1].len() / 2].to_owned()),
        ("altered", good[1].replacen("\"seed\":", "\"seed\":1", 1)),
        ("empty", String::new()),
        ("no JSON", "done".to_owned()),
        ("an unknown key", resealed(&good[1], curve, ",\"mood\":1,\"curve\":")),
        ("an unknown key within", resealed(&good[1], "\"batch\":", "\"mood\":1,\"batch\":")),
        ("a key twice", resealed(&good[1], curve, ",\"curve\":[],\"curve\":")),
        ("a key less", resealed(&good[1], ",\"curve\":[]", "")),
        ("another type", resealed(&good[1], "\"steps\":4", "\"steps\":\"4\"")),
        ("no count", resealed(&good[1], "\"test_images\":40", "\"test_images\":41")),
        ("another word", resealed(&good[1], "\"status\":\"done\"", "\"status\":\"well\"")),
    ];
    let mut lines = vec![good[0].clone()];
    lines.extend(damaged.iter().map(|(_, line)| line.clone()));
    lines.extend_from_slice(&good[2..]);
    let lab = with(&[("main.jsonl", joined(&lines).as_bytes())]);
    let said = plan(&lab);
    assert!(said.contains("4 cells, 3 done, 1 left"), "{said}");
    for (index, (what, _)) in damaged.iter().enumerate() {
        let place = format!("cells/main.jsonl:{}: damaged", index + 2);
        assert!(said.contains(&place), "{what}: {said}");
    }
    assert_eq!(said.matches(": damaged").count(), damaged.len());
    assert_eq!(lab.read(MAIN), joined(&lines), "a plan changes nothing");
}

#[test]
fn rule_8_damaged_lines_are_set_aside_and_the_others_stay_as_they_are() {
    let good = lines();
    let altered = good[1].replacen("\"steps\":4", "\"steps\":5", 1);
    let torn = good[3][..good[3].len() - 9].to_owned();
    let text = joined(&[good[0].clone(), altered.clone(), good[2].clone()]) + &torn;
    let lab = with(&[("main.jsonl", text.as_bytes())]);
    let said = lab.run(&["--device", "cpu"]);
    for line in [2, 4] {
        assert!(said.contains(&format!("cells/main.jsonl:{line}: damaged")), "{said}");
    }
    assert!(said.contains("4 cells: 2 finished, 2 to run"), "{said}");
    assert_eq!(lab.read(&format!("{CELLS}/main.damaged")), joined(&[altered, torn]));
    let now: Vec<String> = lab.read(MAIN).lines().map(str::to_owned).collect();
    assert_eq!(now[..2], [good[0].clone(), good[2].clone()]);
    let mut again = [id(&now[2]), id(&now[3])];
    let mut expected = [id(&good[1]), id(&good[3])];
    again.sort();
    expected.sort();
    assert_eq!(again, expected);
}

#[test]
fn rule_8_a_damaged_line_is_set_aside_with_the_bytes_it_had() {
    let mut bytes = joined(&lines()[..1]).into_bytes();
    bytes[30] = 0xff;
    let lab = with(&[("main.jsonl", &bytes)]);
    let said = lab.run(&["--device", "cpu"]);
    assert!(said.contains("cells/main.jsonl:1: damaged"), "{said}");
    let aside = std::fs::read(lab.path(CELLS).join("main.damaged")).unwrap();
    assert!(aside == bytes, "{}", String::from_utf8_lossy(&aside));
}

#[test]
fn rule_9_all_segments_are_read_and_no_other_file() {
    let lines = lines();
    let parts: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let lab = with(&[
        ("main.jsonl", parts[0]),
        ("another machine.jsonl", parts[1]),
        ("shard-7-of-9.jsonl", parts[2]),
        ("main.damaged", parts[3]),
        ("notes.txt", b"not a cell\n"),
    ]);
    let said = plan(&lab);
    assert!(said.contains("4 cells, 3 done, 1 left"), "{said}");
    assert!(!said.contains("damaged"), "{said}");
}

#[test]
fn rule_10_the_same_cell_twice_is_one_whatever_its_time() {
    let lines = lines();
    let value: Value = serde_json::from_str(&lines[0]).unwrap();
    let total = format!("\"total\":{}", value["timing"]["total"]);
    let slower = resealed(&lines[0], &total, "\"total\":99.5");
    let other = format!("{slower}\n");
    let lab = with(&[("a.jsonl", joined(&lines).as_bytes()), ("b.jsonl", other.as_bytes())]);
    let said = lab.run(&["--device", "cpu"]);
    assert!(said.contains("4 cells: 4 finished, 0 to run"), "{said}");
    assert_eq!(lab.read("results/tiny/trials.csv").lines().count(), 5);
}

#[test]
fn rule_11_a_finished_line_stands_above_a_failed_one() {
    let good = lines().remove(0);
    for pair in [[good.clone(), failed(&good)], [failed(&good), good]] {
        assert_eq!(finished(&joined(&pair)), 1);
        let [first, second] = pair.map(|line| format!("{line}\n"));
        let lab = with(&[("a.jsonl", first.as_bytes()), ("b.jsonl", second.as_bytes())]);
        assert!(plan(&lab).contains("4 cells, 1 done, 3 left"));
    }
}

#[test]
fn rule_12_two_results_of_one_cell_are_refused() {
    let lines = lines();
    let other = resealed(&lines[0], "\"sign_flips\":", "\"sign_flips\":1");
    let text = joined(&[lines[0].clone(), other]);
    let lab = with(&[("main.jsonl", text.as_bytes())]);
    for command in ["plan", "run"] {
        let (code, said) = lab.fails(&[command, "tiny.yaml", "--device", "cpu"]);
        assert_eq!(code, 1, "{said}");
        let id = id(&lines[0]);
        assert!(said.contains(&format!("cell {id} has two different results")), "{said}");
        assert!(said.contains(&format!("--redo {id}")), "{said}");
    }
    assert_eq!(lab.read(MAIN), text);
    assert!(!lab.path("results/tiny/trials.csv").exists());
    let said = lab.run(&["--redo", &id(&lines[0]), "--device", "cpu"]);
    assert!(said.contains("4 cells: 0 finished, 4 to run"), "{said}");
    let aside = lab.read(&format!("{CELLS}/main.damaged"));
    assert_eq!(aside, text, "both are set aside");
}

#[test]
fn rule_13_lines_of_other_cells_stay_and_are_in_no_table() {
    let lines = lines();
    let lab = with(&[("main.jsonl", joined(&lines).as_bytes())]);
    let said = lab.run(&["seeds=[1]", "--device", "cpu"]);
    assert!(said.contains("2 cells: 2 finished, 0 to run"), "{said}");
    assert_eq!(lab.read("results/tiny/trials.csv").lines().count(), 3);
    assert_eq!(lab.read(MAIN), joined(&lines));
}

#[test]
fn rule_14_a_second_writer_of_a_segment_is_refused() {
    let lab = with(&[("main.jsonl", joined(&lines()).as_bytes())]);
    let lock = lab.path(CELLS).join("main.lock");
    let first = std::fs::File::create(lock).unwrap();
    first.lock().unwrap();
    let (code, said) = lab.fails(&["run", "tiny.yaml", "--device", "cpu"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("cells/main.jsonl: another run"), "{said}");
    assert!(plan(&lab).contains("4 cells, 4 done"), "reading needs no lock");
    lab.run(&["--shard", "0/2", "--device", "cpu"]);
    drop(first);
    lab.run(&["--device", "cpu"]);
}

#[test]
fn rule_16_a_line_of_another_results_version_counts_for_nothing_and_stays() {
    let mut lines = lines();
    let version = format!("\"spec\":{{\"version\":{}", polarity::experiment::RESULTS_VERSION);
    lines[1] = resealed(&lines[1], &version, "\"spec\":{\"version\":1,\"then\":0");
    let lab = with(&[("main.jsonl", joined(&lines).as_bytes())]);
    let said = plan(&lab);
    assert!(said.contains("4 cells, 3 done"), "{said}");
    assert!(said.contains("of other results versions, passed over: 1\n"), "{said}");
    assert!(!said.contains("damaged"), "{said}");
    lab.run(&["--device", "cpu"]);
    assert!(lab.read(MAIN).starts_with(&joined(&lines)));
    assert!(!names(&lab.path(CELLS)).contains(&"main.damaged".to_owned()));
}

#[test]
fn rule_17_a_line_names_its_machine_and_one_that_does_not_is_whole() {
    let lines = lines();
    let value: Value = serde_json::from_str(&lines[0]).unwrap();
    let machine = format!(",\"machine\":{}", value["machine"]);
    assert!(lines.iter().all(|line| line.contains(&machine)), "{lines:?}");
    let bare: Vec<String> = lines.iter().map(|line| resealed(line, &machine, "")).collect();
    let lab = with(&[("main.jsonl", joined(&[&bare[..2], &lines[2..]].concat()).as_bytes())]);
    let said = lab.run(&["--device", "cpu"]);
    assert!(said.contains("4 cells: 4 finished, 0 to run"), "{said}");
    let manifest: Value = serde_json::from_str(&lab.read("results/tiny/manifest.json")).unwrap();
    let machines = manifest["machines"].as_object().unwrap();
    assert_eq!(machines.len(), 1);
    assert_eq!(machines[value["machine"].as_str().unwrap()], 2, "of those that say it");
}
