//! Claims: read from the file, kept in the manifest, and decided by the report.

mod common;

use common::{Laboratory, stdout};
use serde_json::Value;

const CLAIMS: &str = "\
claims:
  - id: held-err-less
    says: Held signs err less than free ones.
    arms: [frozen, fluid]
    measure: {test_error: {step: last}}
    direction: less
  - id: no-difference-at-8
    says: With 8 images it makes no difference.
    arms: [frozen, fluid]
    measure: {validation_error: {step: 0}}
    at: {train_size: [8]}
    within: 0.01
arms:
";

fn claiming() -> Laboratory {
    let lab = Laboratory::new();
    lab.edit("arms:\n", CLAIMS);
    lab
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn claims_change_no_cell_and_stand_in_the_manifest_with_their_digest() {
    let [plain, claiming] = [Laboratory::new(), claiming()];
    let cells = ["plan", "tiny.yaml", "--cells"];
    let listed = |lab: &Laboratory| -> Vec<String> {
        stdout(lab, &cells)
            .lines()
            .filter(|line| line.ends_with(" left"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(listed(&plain), listed(&claiming));
    claiming.run(&[]);
    let manifest = json(&claiming.read("results/tiny/manifest.json"));
    let text = serde_json::to_string(&manifest["experiment"]["claims"]).unwrap();
    let digest = polarity_core::digest::sha256(text.as_bytes());
    assert_eq!(manifest["claims_digest"], digest);
}

#[test]
fn a_report_begins_with_what_became_of_the_claims() {
    let lab = claiming();
    lab.run(&[]);
    let text = stdout(&lab, &["report", "tiny.yaml"]);
    let claims = text.find("| held-err-less ").unwrap();
    assert!(claims < text.find("| frozen ").unwrap(), "{text}");
    // Both arms start from the same weights: there is no difference before training.
    let row = text.lines().find(|line| line.starts_with("| no-difference-at-8 ")).unwrap();
    assert!(row.contains("| holds ") && row.contains("| 0.0 [0.0, 0.0] |"), "{row}");
    assert!(text.contains("3 pairs and 2 claims: no adjusted p value can be below 0.50"), "{text}");
    let report = json(&stdout(&lab, &["report", "tiny.yaml", "--json"]));
    let claim = &report["claims"][1];
    assert_eq!((&claim["id"], &claim["verdict"]), (&"no-difference-at-8".into(), &"holds".into()));
    assert_eq!(
        (&claim["pairs"], &claim["p"], &claim["p_holm"]),
        (&3.into(), &1.0.into(), &1.0.into())
    );
}

#[test]
fn the_claims_of_studies_are_one_table() {
    let lab = claiming();
    assert_eq!(lab.fails(&["report", "--claims"]).0, 2, "there are no results yet");
    lab.run(&[]);
    let text = stdout(&lab, &["report", "--claims"]);
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.starts_with("| study | claim "), "{text}");
    assert!(text.contains("| tiny  | With 8 images it makes no difference. | holds "), "{text}");
    for place in ["tiny.yaml", "results/tiny"] {
        assert_eq!(stdout(&lab, &["report", "--claims", place]), text);
    }
    let (code, said) = lab.fails(&["report"]);
    assert!(code == 2 && said.contains("FILE|DIR"), "{said}");
}

#[test]
fn claims_that_were_changed_after_the_run_are_said_to_be_others() {
    let lab = claiming();
    lab.run(&[]);
    let note = "the claims are not those that there were when the tables were written";
    assert!(!stdout(&lab, &["report", "tiny.yaml"]).contains(note));
    lab.edit("within: 0.01", "within: 0.02");
    assert!(stdout(&lab, &["report", "tiny.yaml"]).contains(note));
}

#[test]
fn a_claim_of_a_step_that_is_not_evaluated_is_refused() {
    let lab = claiming();
    lab.edit("{validation_error: {step: 0}}", "{validation_error: {step: 5}}");
    let (code, said) = lab.fails(&["plan", "tiny.yaml"]);
    let words = "claims.no-difference-at-8.measure.validation_error.step: expected a step that is \
                 evaluated with 8 images (";
    assert!(code == 2 && said.contains(words) && said.contains("got `5`"), "{said}");
    stdout(&lab, &["plan", "tiny.yaml", "train.evaluate_at=[5]"]);
}
