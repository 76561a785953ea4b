//! A report as JSON for programs, and as Markdown for people, which is also what the terminal shows.

use serde_json::{Map, Value, json};

use super::plain::{code, line};
use super::written::{counted, markdown_table, p_text, percent, signed, with_sign};
use super::{Caveat, Comparison, Estimate, Measure, Report, Row, claims};
use crate::results::Epochs;

impl Report {
    /// The report as one JSON object. What has no bound, as a median time that was not reached, is
    /// `null`.
    pub fn to_json(&self) -> Value {
        let caveats: Vec<String> = self.caveats.iter().map(Caveat::to_string).collect();
        json!({
            "name": self.name,
            "claims": self.answers.iter().map(claims::answer_json).collect::<Vec<_>>(),
            "rows": self.rows.iter().map(row_json).collect::<Vec<_>>(),
            "comparisons": self.comparisons.iter().map(comparison_json).collect::<Vec<_>>(),
            "caveats": caveats,
        })
    }

    /// The report as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n\n", line(&self.name));
        if !self.answers.is_empty() {
            text += &format!("{}\n", claims::section(&self.answers));
        }
        text += &format!("{}\n", self.about_rows());
        text += &markdown_table(&self.row_table());
        if !self.comparisons.is_empty() {
            text += &format!("\n{}\n", self.about_comparisons());
            text += &markdown_table(&self.comparison_table());
        }
        for caveat in &self.caveats {
            text += &format!("\nNote: {caveat}.\n");
        }
        text
    }

    fn about_rows(&self) -> String {
        let mut text =
            "Errors in %, medians over cells with 95 % BCa bootstrap intervals.\n".to_owned();
        if self.has_sources {
            text += "An arm that takes from several sources has an error for each source, the mean over its \
                     cells; medians and differences\nof errors are over sources; steps, and what is reached, are of cells, \
                     which are no observations of their own\nwhere they share a source.\n";
        }
        if self.has(|measure| matches!(measure, Measure::Reached(_))) {
            text += "`reached_…`: share of cells in % whose validation accuracy ever gets there (Wilson's \
                     interval); `steps_to_…`: median of\nthe first evaluation that does, cells that never do \
                     counting as infinitely late (∞; interval between order statistics;\n`--json` has \
                     epochs too).\n";
        }
        let epochs = self.rows.iter().flat_map(|row| &row.measures).find_map(|found| match found {
            (Measure::EpochsTo90(epochs), _) => Some(*epochs),
            _ => None,
        });
        if let Some(epochs) = epochs {
            text += &about_epochs(epochs);
        }
        if self.has(|measure| *measure == Measure::ChosenStep) {
            text += "`test_error_last`: after the last step; `test_error`: after the step with the least \
                     validation loss, `best_step`;\n`untrained`: cells whose `best_step` is 0, which \
                     tests the network before its training.\n";
        }
        if self.rows.iter().any(|row| row.collapsed > 0) {
            text += &format!(
                "`collapsed`: cells that never got better than guessing; `learners`: median \
                 {} of the others.\n",
                code(&self.primary())
            );
        }
        text
    }

    /// Whether the printed tables show these settings.
    fn shows(&self, settings: &[(String, f64)]) -> bool {
        let is_shown = |(name, value): &(String, f64)| {
            self.shown.get(name).is_none_or(|values| values.contains(value))
        };
        settings.iter().all(is_shown)
    }

    fn about_comparisons(&self) -> String {
        let mut text = format!(
            "Difference to {} in points, median over pairs of equal seed with 95 % BCa bootstrap\n\
             intervals (below 0: fewer errors); p of Wilcoxon's signed-rank test; r, its effect size: the \
             matched-pairs\nrank-biserial correlation (−1: lower in every pair). These {} comparisons \
             explore: their p values are not adjusted,\nonly those of claims are.\n",
            code(&self.comparisons[0].arms[1]),
            self.comparisons.len()
        );
        if self.has(|measure| matches!(measure, Measure::StepsTo(_))) {
            text += "Differences of `steps_to_…` are in steps; a cell that never gets there counts with its \
                     last step.\n";
        }
        text
    }

    /// The name of the measure that stands first.
    fn primary(&self) -> String {
        let measures = self.rows.iter().map(|row| &row.measures);
        let fullest = measures.max_by_key(|measures| measures.len());
        fullest.and_then(|measures| measures.first()).map_or(String::new(), |(it, _)| it.name())
    }

    fn has(&self, is_such: impl Fn(&Measure) -> bool) -> bool {
        self.rows.iter().flat_map(|row| &row.measures).any(|(measure, _)| is_such(measure))
    }

    fn row_table(&self) -> Vec<Vec<String>> {
        let Some(fullest) = self.rows.iter().max_by_key(|row| row.measures.len()) else {
            return Vec::new();
        };
        let some_collapsed = self.rows.iter().any(|row| row.collapsed > 0);
        let settings = fullest.settings.iter().map(|(name, _)| name.clone());
        let in_epochs = |measure: &&Measure| matches!(measure, Measure::EpochsTo { .. });
        let measures = || {
            fullest.measures.iter().map(|(measure, _)| measure).filter(|found| !in_epochs(found))
        };
        let has_steps = self.has(|measure| *measure == Measure::ChosenStep);
        let mut header: Vec<String> = settings.collect();
        header.extend(["arm", "cells", "diverged"].map(String::from));
        header.extend(some_collapsed.then(|| "collapsed".into()));
        header.extend(has_steps.then(|| "untrained".into()));
        header.extend(measures().map(Measure::name));
        header.extend(some_collapsed.then(|| "learners".into()));
        let mut lines = vec![header];
        for row in self.rows.iter().filter(|row| self.shows(&row.settings)) {
            let mut line: Vec<String> = row.settings.iter().map(|(_, v)| v.to_string()).collect();
            line.extend([row.arm.clone(), row.cells.to_string(), row.diverged.to_string()]);
            line.extend(some_collapsed.then(|| row.collapsed.to_string()));
            line.extend(has_steps.then(|| row.untrained.to_string()));
            line.extend(measures().map(|measure| row.text(measure)));
            let learners = || row.learners.map_or("–".into(), |learners| percent(&learners));
            line.extend(some_collapsed.then(learners));
            lines.push(line);
        }
        lines
    }

    /// One line an arm and setting, three columns a measure.
    fn comparison_table(&self) -> Vec<Vec<String>> {
        let first = &self.comparisons[0];
        let mut measures: Vec<Measure> = Vec::new();
        let mut keys: Vec<&Comparison> = Vec::new();
        let same = |a: &Comparison, b: &Comparison| a.settings == b.settings && a.arms == b.arms;
        let shown = || self.comparisons.iter().filter(|found| self.shows(&found.settings));
        for comparison in shown() {
            if !measures.contains(&comparison.measure) {
                measures.push(comparison.measure);
            }
            if !keys.iter().any(|known| same(known, comparison)) {
                keys.push(comparison);
            }
        }
        let mut header: Vec<String> = first.settings.iter().map(|(name, _)| name.clone()).collect();
        header.extend(["arm".into(), "pairs".into()]);
        for measure in &measures {
            header.extend([measure.name(), "p".into(), "r".into()]);
        }
        let mut lines = vec![header];
        for key in keys {
            let mut line: Vec<String> = key.settings.iter().map(|(_, v)| v.to_string()).collect();
            line.extend([key.arms[0].clone(), key.pairs.to_string()]);
            for measure in &measures {
                let is_it = |found: &&Comparison| same(found, key) && found.measure == *measure;
                let found = shown().find(is_it);
                line.extend(found.map_or(["–", "–", "–"].map(String::from), Comparison::text));
            }
            lines.push(line);
        }
        lines
    }
}

impl Row {
    fn text(&self, measure: &Measure) -> String {
        let found = self.measures.iter().find(|(known, _)| known == measure);
        match found.map(|(_, estimate)| estimate) {
            None => "–".into(),
            Some(Estimate::Share(share)) => percent(share),
            Some(Estimate::Median(median)) if measure.is_error() => percent(median),
            Some(Estimate::Median(median)) => counted(median),
        }
    }
}

impl Comparison {
    /// The difference, its p and its effect size.
    fn text(&self) -> [String; 3] {
        let scale = if self.measure.is_error() { 100.0 } else { 1.0 };
        let p = p_text(self.p);
        if self.test == "log-rank" {
            let difference = match self.difference.estimate.is_finite() {
                true => format!("{:+}", self.difference.estimate),
                false => "–".into(),
            };
            return [difference, p, "–".into()];
        }
        [signed(&self.difference, scale), p, with_sign(self.effect, 2)]
    }
}

/// How milestones are to be read.
fn about_epochs(epochs: Epochs) -> String {
    let medians = match epochs.survivors_only {
        true => "median of the cells that learned (survivors only)".to_owned(),
        false => format!(
            "Kaplan–Meier median, cells that\nnever were censored at {}, compared by the log-rank test",
            epochs.last()
        ),
    };
    let first = u8::from(!epochs.from_zero);
    format!(
        "`learned`: share of cells in % that were right on 90 % of the validation points after any epoch \
         (Wilson's interval);\n`epochs_to_90`: {medians}; the first epoch is {first}.\n"
    )
}

fn row_json(row: &Row) -> Value {
    let mut object = Map::new();
    object.insert("arm".into(), json!(row.arm));
    insert_settings(&mut object, &row.settings);
    object.insert("cells".into(), json!(row.cells));
    object.insert("diverged".into(), json!(row.diverged));
    object.insert("collapsed".into(), json!(row.collapsed));
    object.insert("untrained".into(), json!(row.untrained));
    for (measure, estimate) in &row.measures {
        object.insert(measure.name(), estimate.to_json());
    }
    if let Some(learners) = row.learners {
        let first = row.measures.first().map_or(String::new(), |(measure, _)| measure.name());
        object.insert(format!("{first}_of_learners"), Estimate::Median(learners).to_json());
    }
    Value::Object(object)
}

fn comparison_json(comparison: &Comparison) -> Value {
    let Comparison { difference, .. } = comparison;
    let mut object = Map::new();
    object.insert("arms".into(), json!(comparison.arms));
    insert_settings(&mut object, &comparison.settings);
    for (key, value) in [
        ("measure", json!(comparison.measure.name())),
        ("pairs", json!(comparison.pairs)),
        ("difference", json!(difference.estimate)),
        ("low", json!(difference.low)),
        ("high", json!(difference.high)),
        ("test", json!(comparison.test)),
        ("p", json!(comparison.p)),
        ("rank_biserial", json!(comparison.effect)),
        ("p_mann_whitney", json!(comparison.p_unpaired)),
    ] {
        object.insert(key.into(), value);
    }
    Value::Object(object)
}

fn insert_settings(object: &mut Map<String, Value>, settings: &[(String, f64)]) {
    for (name, value) in settings {
        let whole = value.fract() == 0.0 && value.abs() < 1e15;
        object.insert(name.clone(), if whole { json!(*value as i64) } else { json!(value) });
    }
}
