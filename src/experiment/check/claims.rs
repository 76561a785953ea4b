//! What is asked of claims: that each can be tested by what the experiment has.
//!
//! Whether the steps that they name are evaluated depends on the sizes, and is found when the study is
//! opened.

use indexmap::IndexMap;

use crate::experiment::file::Experiment;
use crate::experiment::problem::{Problem, Problems};
use crate::results::Arm;
use crate::results::claim::{Accuracy, AtStep, Claim, ClaimMeasure, Step, Unit};
use crate::results::table::SOURCE_SEED;

/// Adds what is wrong with `claims` beside the `arms`, whatever the experiment else says.
pub(super) fn check_claims(
    claims: &[Claim],
    arms: &IndexMap<String, Arm>,
    problems: &mut Problems,
) {
    let ids: Vec<&str> = claims.iter().map(|claim| claim.id.as_str()).collect();
    problems.once("claims", "an id", &ids);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    for claim in claims {
        problems.check(!claim.id.is_empty() && claim.id.chars().all(plain), || {
            Problem::value("claims.id", "letters, digits, `-` and `_`", &claim.id)
        });
        let key = |rest: &str| format!("claims.{}.{rest}", claim.id);
        problems.check(!claim.says.trim().is_empty(), || {
            Problem::missing(key("says"), "a sentence, got none")
        });
        for arm in claim.arms.iter().filter(|arm| !arms.contains_key(*arm)) {
            let known = arms.keys().map(String::as_str);
            problems.add(Problem::unknown(key("arms"), arm, known));
        }
        problems.check(claim.arms[0] != claim.arms[1], || {
            Problem::unfit(key("arms"), "an arm does not differ from itself; name two")
        });
        check_expected(claim, problems);
        check_measure(claim, problems);
    }
}

/// Whether a claim expects one thing, and one that can be.
fn check_expected(claim: &Claim, problems: &mut Problems) {
    let Claim { id, measure, direction, margin, within, .. } = claim;
    let key = |rest: &str| format!("claims.{id}{rest}");
    problems.check(direction.is_some() != within.is_some(), || {
        Problem::missing(key(""), "exactly one of `direction` and `within`")
    });
    problems.check(margin.is_none() || within.is_none(), || {
        Problem::unfit(
            key(".margin"),
            "`within` is a margin itself; `margin` goes with `direction`",
        )
    });
    let most = if measure.is_share() { 1.0 } else { f64::INFINITY };
    let expected = |least: &str| match measure.is_share() {
        true => format!("a share {least} and below 1 (0.01 is one point)"),
        false => format!("a number {least}"),
    };
    if let Some(margin) = margin {
        problems.check(*margin >= 0.0 && *margin < most, || {
            Problem::value(key(".margin"), expected("of at least 0"), margin)
        });
    }
    if let Some(within) = within {
        problems.check(*within > 0.0 && *within < most, || {
            Problem::value(key(".within"), expected("above 0"), within)
        });
    }
}

fn check_measure(claim: &Claim, problems: &mut Problems) {
    let key = |rest: &str| format!("claims.{}.measure.{rest}", claim.id);
    match claim.measure {
        ClaimMeasure::TestError(AtStep { step: Step::At(step) }) => {
            let expected = "`last` or `chosen`, as the test images are looked at after these only";
            problems.add(Problem::value(key("test_error.step"), expected, step));
        }
        ClaimMeasure::StepsTo(Accuracy { accuracy }) => {
            problems.check(accuracy > 0.0 && accuracy < 1.0, || {
                let expected = "an accuracy above 0 and below 1";
                Problem::value(key("steps_to.accuracy"), expected, accuracy)
            });
        }
        _ => {}
    }
}

/// Adds what of the claims of `experiment` is not about it, which sweeps `settings`.
pub(super) fn check_asked(experiment: &Experiment, settings: &[&str], problems: &mut Problems) {
    for claim in &experiment.claims {
        let key = |rest: &str| format!("claims.{}.{rest}", claim.id);
        for (name, values) in &claim.at {
            let known = swept(experiment, name).filter(|_| settings.contains(&name.as_str()));
            let Some(known) = known else {
                let key = key(&format!("at.{name}"));
                problems.add(Problem::unknown_key(key, name, settings));
                continue;
            };
            let key = key(&format!("at.{name}"));
            problems.check(!values.is_empty(), || {
                Problem::missing(&key, "at least one value, got none")
            });
            problems.once(&key, "a value", values);
            for value in values.iter().filter(|value| !known.contains(value)) {
                let expected = format!("values that the experiment has ({known:?})");
                problems.add(Problem::value(&key, expected, value));
            }
        }
        problems.check(claim.unit == Unit::Seed || has_sources(experiment, claim), || {
            let why = "needs an arm that takes from a source with several seeds \
                       (`source.train.seeds`); use `seed`";
            Problem::unfit(key("unit"), why)
        });
    }
}

/// The values of the swept setting `name`, if there is such a one.
fn swept(experiment: &Experiment, name: &str) -> Option<Vec<u64>> {
    let whole = |values: &[usize]| values.iter().map(|value| *value as u64).collect();
    match name {
        "train_size" => Some(whole(&experiment.data.train_sizes)),
        "width" => Some(whole(&experiment.widths)),
        SOURCE_SEED => Some(experiment.source_seeds().collect()),
        _ => None,
    }
}

/// Whether an arm of `claim` takes from a source with several seeds.
fn has_sources(experiment: &Experiment, claim: &Claim) -> bool {
    let mut arms = claim.arms.iter().filter_map(|arm| experiment.arms.get(arm));
    arms.any(|arm| experiment.seeds_of_source(arm).is_some())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::experiment::{Checked, Experiment};

    const STUDY: &str = "
name: tiny
data: {name: fashion-mnist, train_sizes: [10, 20]}
model: {name: alexnet-mini}
arms:
  held: {signs: init, hold: all}
  free: {signs: init, hold: none}
claims:
  - id: less
    says: Held signs err less.
    arms: [held, free]
    measure: {test_error: {step: last}}
    at: {train_size: [10]}
    direction: less
    margin: 0.01
train: {optimizer: {adam: {lr: 0.001}}, batch: 5, epochs: 2}
seeds: 0..3
";

    /// What is said of the study with `old` in place of `new`; nothing where it is accepted.
    fn said(old: &str, new: &str) -> String {
        assert!(STUDY.contains(old), "{old}");
        let file = Path::new("tiny.yaml");
        let experiment = match Experiment::parse(&STUDY.replace(old, new), file, &[]) {
            Ok(experiment) => experiment,
            Err(error) => return error.to_string(),
        };
        Checked::new(experiment, file).map_or_else(|it| it.to_string(), |_| String::new())
    }

    #[test]
    fn a_claim_that_can_be_tested_is_accepted() {
        assert_eq!(said("margin: 0.01", "margin: 0.02"), "");
        assert_eq!(said("    direction: less\n    margin: 0.01", "    within: 0.01"), "");
        for measure in [
            "test_error: {step: chosen}",
            "validation_error: {step: 2}",
            "steps_to: {accuracy: 0.5}",
        ] {
            assert_eq!(said("test_error: {step: last}", measure), "", "{measure}");
        }
    }

    #[test]
    fn a_claim_that_cannot_be_tested_is_refused_by_its_key() {
        for (old, new, words) in [
            (
                "[held, free]",
                "[helt, free]",
                "claims.less.arms: expected one of `held`, `free`, got `helt`; did you mean `held`?",
            ),
            (
                "[held, free]",
                "[held, held]",
                "claims.less.arms: an arm does not differ from itself",
            ),
            ("[held, free]", "[held]", "claims[0].arms: expected a list of 2"),
            ("test_error: {step: last}", "test_eror: {step: last}", "did you mean `test_error`?"),
            (
                "step: last",
                "step: lasst",
                "claims[0].measure.test_error.step: expected `last`, `chosen` or a number of steps, got `lasst`; did you mean `last`?",
            ),
            (
                "step: last",
                "step: 5",
                "claims.less.measure.test_error.step: expected `last` or `chosen`",
            ),
            (
                "test_error: {step: last}",
                "steps_to: {accuracy: 2}",
                "claims.less.measure.steps_to.accuracy: expected an accuracy",
            ),
            (
                "test_error: {step: last}",
                "learned: {}",
                "claims.less.measure: only data `xor-5d` have this milestone",
            ),
            (
                "train_size: [10]",
                "train_size: [11]",
                "claims.less.at.train_size: expected values that the experiment has ([10, 20]), got `11`",
            ),
            (
                "train_size: [10]",
                "train_size: [10, 10]",
                "claims.less.at.train_size: a value stands twice",
            ),
            (
                "train_size: [10]",
                "train_size: []",
                "claims.less.at.train_size: expected at least one value",
            ),
            ("{train_size: [10]}", "{train_sise: [10]}", "did you mean `train_size`?"),
            (
                "    direction: less\n",
                "",
                "claims.less: expected exactly one of `direction` and `within`",
            ),
            ("direction: less", "direction: les", "did you mean `less`?"),
            (
                "margin: 0.01",
                "within: 0.01",
                "claims.less: expected exactly one of `direction` and `within`",
            ),
            ("direction: less", "within: 0.01", "claims.less.margin: `within` is a margin itself"),
            (
                "margin: 0.01",
                "margin: 1",
                "claims.less.margin: expected a share of at least 0 and below 1 (0.01 is one point), got `1`",
            ),
            ("margin: 0.01", "margin: -0.1", "claims.less.margin: expected a share"),
            (
                "margin: 0.01",
                "unit: source_seed",
                "claims.less.unit: needs an arm that takes from a source",
            ),
            (
                "margin: 0.01",
                "margins: 0.01",
                "claims[0].margins: no such key; did you mean `margin`?",
            ),
            ("says: Held signs err less.", "says: ' '", "claims.less.says: expected a sentence"),
            ("id: less", "id: is less", "claims.id: expected letters, digits"),
            (
                "    margin: 0.01\n",
                "  - {id: less, says: Again., arms: [held, free], measure: {test_error: {step: last}}, within: 0.1}\n",
                "claims: an id stands twice",
            ),
        ] {
            let said = said(old, new);
            assert!(said.contains(words), "{new}: {said}");
        }
    }
}
