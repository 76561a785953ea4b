//! The answers to claims, as Markdown and as JSON.

use serde_json::{Value, json};

use super::plain::{code, line};
use super::written::{markdown_table, p_text, signed};
use crate::results::claim::{Answer, Claim, Direction, Evidence, Expected, Unit};

/// The answers of a report: what they are, a table, and each claim in words.
pub(super) fn section(answers: &[Answer]) -> String {
    let mut text = format!(
        "Claims of the experiment file. Difference: the first arm less the second, median over pairs with its \
         95 % BCa\nbootstrap interval (mean where it is a share of cells that learn), shares in points; p of \
         Wilcoxon's signed-rank test,\nraw and adjusted by Holm's method over the claims of this file, {} in \
         all.\n\n",
        answers.len()
    );
    let header = ["claim", "verdict", "difference", "p", "p (Holm)", "pairs"].map(String::from);
    let mut lines = vec![header.to_vec()];
    lines.extend(answers.iter().map(|answer| {
        let [difference, p, p_holm, pairs] = numbers(answer);
        vec![answer.claim.id.clone(), answer.verdict.name().into(), difference, p, p_holm, pairs]
    }));
    text += &markdown_table(&lines);
    text.push('\n');
    answers.iter().for_each(|answer| text += &in_words(answer));
    text
}

/// One row a claim of all `studies`: their names and answers.
pub fn claims_table(studies: &[(String, Vec<Answer>)]) -> String {
    let header = ["study", "claim", "verdict", "difference", "p (Holm)", "pairs"];
    let mut lines = vec![header.map(String::from).to_vec()];
    for (study, answers) in studies {
        for answer in answers {
            let [difference, _, p_holm, pairs] = numbers(answer);
            let verdict = match answer.verdict.doubt() {
                Some(doubt) if doubt.starts_with("could not be seen") => {
                    "undecided: could not be seen"
                }
                _ => answer.verdict.name(),
            };
            let says = answer.claim.says.clone();
            lines.push(vec![study.clone(), says, verdict.into(), difference, p_holm, pairs]);
        }
    }
    match lines.len() {
        1 => "No claims yet.\n".into(),
        _ => markdown_table(&lines),
    }
}

/// The difference, p raw and adjusted, and the pairs.
fn numbers(answer: &Answer) -> [String; 4] {
    let Some(Evidence { pairs, difference, test, p_holm }) = &answer.evidence else {
        return ["–", "–", "–", "0"].map(String::from);
    };
    let Claim { unit, .. } = answer.claim;
    let pairs = match unit {
        Unit::Seed => pairs.to_string(),
        Unit::SourceSeed => format!("{pairs} {}", unit.name()),
    };
    [signed(difference, scale(&answer.claim)), p_text(test.p), p_text(*p_holm), pairs]
}

/// What a difference is multiplied by where it is printed.
fn scale(claim: &Claim) -> f64 {
    if claim.measure.is_share() { 100.0 } else { 1.0 }
}

/// A claim, what it compares and expects, and why it is undecided.
fn in_words(answer: &Answer) -> String {
    let Answer { claim, verdict, .. } = answer;
    let [first, second] = claim.arms.each_ref().map(|arm| code(arm));
    let mut text = format!(
        "- {}: {} ({first} less {second}, {}",
        code(&claim.id),
        line(&claim.says),
        claim.measure.name()
    );
    if !claim.at.is_empty() {
        text += &format!(", {}", line(&claim.setting_text()));
    }
    text += &format!("; claimed: {})", expectation(claim));
    if let Some(doubt) = verdict.doubt() {
        text += &format!(" {}: {doubt}.", verdict.name());
    }
    text + "\n"
}

/// What a claim expects, in words.
fn expectation(claim: &Claim) -> String {
    let unit = if claim.measure.is_share() { " points" } else { "" };
    let amount = |value: f64| format!("{}{unit}", (1e6 * value * scale(claim)).round() / 1e6);
    match claim.expected() {
        Some(Expected::Within(bound)) => format!("within {}", amount(bound)),
        Some(Expected::Beyond(direction, margin)) => {
            let side = match direction {
                Direction::Less => "less",
                Direction::Greater => "greater",
            };
            if margin > 0.0 {
                format!("{side}, by more than {}", amount(margin))
            } else {
                side.into()
            }
        }
        None => "nothing".into(),
    }
}

/// The answer as JSON; what is not known is null.
pub(super) fn answer_json(answer: &Answer) -> Value {
    let Answer { claim, verdict, evidence } = answer;
    let known = |of: fn(&Evidence) -> f64| evidence.as_ref().map(of);
    let mut object = serde_json::to_value(claim).expect("claims are words and finite numbers");
    let found = json!({
        "verdict": verdict.name(),
        "doubt": verdict.doubt(),
        "pairs": evidence.map_or(0, |evidence| evidence.pairs),
        "difference": known(|evidence| evidence.difference.estimate),
        "low": known(|evidence| evidence.difference.low),
        "high": known(|evidence| evidence.difference.high),
        "p": known(|evidence| evidence.test.p),
        "p_holm": known(|evidence| evidence.p_holm),
        "rank_biserial": known(|evidence| evidence.test.effect),
    });
    if let (Value::Object(object), Value::Object(found)) = (&mut object, found) {
        object.extend(found);
    }
    object
}
