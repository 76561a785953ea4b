//! The table of an experiment: medians with intervals, paired differences with tests, and doubts.
//!
//! Made from `trials.csv` and `curves.csv` alone, so a published table can be made again without the
//! cells. Intervals are 95 % BCa bootstrap intervals of medians; arms are compared with the baseline by
//! pairs of equal seed (Wilcoxon's signed-rank test), and the p values of all comparisons together are
//! adjusted by Holm's method.

use std::fmt;

use serde_json::{Map, Value, json};

use super::config::Experiment;
use super::curve_index::CurveIndex;
use super::table::{CurveRow, Status, Trial};
use crate::stats::hypothesis::{holm, signed_rank};
use crate::stats::{Bootstrap, Interval};

/// The level below which a p value is usually called significant.
const LEVEL: f64 = 0.05;

/// Fewer test images than this leave more than a point of chance in a test error near one half.
const FEWEST_TEST_IMAGES: usize = 2500;

/// The results of an experiment in numbers.
#[derive(Debug)]
pub struct Report {
    /// The experiment's name.
    pub name: String,
    /// One row an arm and setting, in the order of the tables.
    pub rows: Vec<Row>,
    /// Every arm against the baseline, at every setting, for every measure.
    pub comparisons: Vec<Comparison>,
    /// What a reader should know before trusting the numbers.
    pub caveats: Vec<Caveat>,
}

/// The cells of one arm at one setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The arm.
    pub arm: String,
    /// The swept settings, by name.
    pub settings: Vec<(String, f64)>,
    /// Cells that came to an end.
    pub cells: usize,
    /// Cells among them that diverged; they have no errors and are in no median.
    pub diverged: usize,
    /// Median of each measure over the cells that have it, by name.
    pub measures: Vec<(String, Interval)>,
}

/// An arm against the baseline at one setting, by one measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The arm and the baseline.
    pub arms: [String; 2],
    /// The swept settings, by name.
    pub settings: Vec<(String, f64)>,
    /// What is compared.
    pub measure: String,
    /// Pairs of cells with the same seed.
    pub pairs: usize,
    /// Median of arm − baseline over the pairs: below 0, the arm errs less.
    pub difference: Interval,
    /// Two-sided p value of the signed-rank test.
    pub p: f64,
    /// The same, adjusted over all comparisons of the report.
    pub p_holm: f64,
}

/// A doubt about the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caveat {
    /// Too few pairs for so many comparisons: no adjusted p value can be small.
    FewPairs {
        /// The fewest pairs of a comparison.
        pairs: usize,
        /// Comparisons of the report.
        comparisons: usize,
    },
    /// Cells with a non-finite loss or weight.
    Diverged(usize),
    /// Cells that ended in an error.
    Failed(usize),
    /// Cells that are in the experiment and not in the tables.
    Missing(usize),
    /// A test set so small that its chance shows in the errors.
    SmallTest(usize),
}

impl fmt::Display for Caveat {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Caveat::FewPairs { pairs, comparisons } => write!(
                out,
                "{pairs} pairs and {comparisons} comparisons: no adjusted p value can be below {:.2}; \
                 read the intervals",
                least_adjusted_p(*pairs, *comparisons)
            ),
            Caveat::Diverged(cells) => {
                write!(out, "{cells} cells diverged; they are in no median and no difference")
            }
            Caveat::Failed(cells) => {
                write!(out, "{cells} cells failed; `polarity run` tries them again")
            }
            Caveat::Missing(cells) => {
                write!(out, "{cells} cells have not run; `polarity run` runs them")
            }
            Caveat::SmallTest(images) => write!(
                out,
                "{images} test images: chance alone moves a single error near one half by {:.1} points",
                100.0 * (0.25 / *images as f64).sqrt()
            ),
        }
    }
}

/// What is measured on a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Measure {
    TestError,
    ValidationErrorAt(u64),
}

impl Measure {
    fn name(&self) -> String {
        match self {
            Measure::TestError => "test_error".into(),
            Measure::ValidationErrorAt(step) => format!("validation_error_at_{step}"),
        }
    }

    fn of(&self, trial: &Trial, curves: &CurveIndex) -> Option<f64> {
        match self {
            Measure::TestError => trial.outcome.test_error,
            Measure::ValidationErrorAt(step) => {
                curves.at(&trial.key.id, *step).map(|point| point.validation_error)
            }
        }
    }
}

/// The trials of one arm at one setting.
pub(super) struct Group<'a> {
    pub(super) arm: &'a str,
    pub(super) settings: Vec<(String, f64)>,
    pub(super) trials: Vec<&'a Trial>,
}

impl Report {
    /// The report of `experiment` from its tables.
    pub fn new(experiment: &Experiment, trials: &[Trial], curves: &[CurveRow]) -> Self {
        let steps = experiment.report.steps.iter().map(|step| Measure::ValidationErrorAt(*step));
        let measures: Vec<Measure> = steps.chain([Measure::TestError]).collect();
        let groups = groups(experiment, trials);
        let curves = &CurveIndex::new(curves);
        let bootstrap = Bootstrap::default();
        let rows = groups.iter().map(|group| {
            let median = |measure: &Measure| {
                let values: Vec<f64> =
                    group.trials.iter().filter_map(|trial| measure.of(trial, curves)).collect();
                Some((measure.name(), bootstrap.median(&values)?))
            };
            Row {
                arm: group.arm.to_owned(),
                settings: group.settings.clone(),
                cells: group.trials.len(),
                diverged: count(&group.trials, Status::Diverged),
                measures: measures.iter().filter_map(median).collect(),
            }
        });
        let comparisons = compare(experiment, &groups, &measures, curves, &bootstrap);
        Report {
            name: experiment.name.clone(),
            rows: rows.collect(),
            caveats: caveats(experiment, trials, &comparisons),
            comparisons,
        }
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let mut object = Map::new();
            object.insert("arm".into(), json!(row.arm));
            insert_settings(&mut object, &row.settings);
            object.insert("cells".into(), json!(row.cells));
            object.insert("diverged".into(), json!(row.diverged));
            for (name, Interval { estimate, low, high }) in &row.measures {
                let value = json!({"median": estimate, "low": low, "high": high});
                object.insert(name.clone(), value);
            }
            Value::Object(object)
        });
        let comparisons = self.comparisons.iter().map(|comparison| {
            let Comparison { arms, settings, measure, pairs, difference, p, p_holm } = comparison;
            let mut object = Map::new();
            object.insert("arms".into(), json!(arms));
            insert_settings(&mut object, settings);
            for (key, value) in [
                ("measure", json!(measure)),
                ("pairs", json!(pairs)),
                ("difference", json!(difference.estimate)),
                ("low", json!(difference.low)),
                ("high", json!(difference.high)),
                ("test", json!("wilcoxon")),
                ("p", json!(p)),
                ("p_holm", json!(p_holm)),
            ] {
                object.insert(key.into(), value);
            }
            Value::Object(object)
        });
        let caveats: Vec<String> = self.caveats.iter().map(Caveat::to_string).collect();
        json!({
            "name": self.name,
            "rows": rows.collect::<Vec<_>>(),
            "comparisons": comparisons.collect::<Vec<_>>(),
            "caveats": caveats,
        })
    }

    /// The report as Markdown, which is also what the terminal shows.
    pub fn to_markdown(&self) -> String {
        let mut text = format!(
            "# {}\n\nErrors in %, medians over cells with 95 % BCa bootstrap intervals.\n\n",
            self.name
        );
        text += &markdown_table(&self.row_table());
        if !self.comparisons.is_empty() {
            let baseline = &self.comparisons[0].arms[1];
            text += &format!(
                "\nDifference to `{baseline}` in points, median over pairs of equal seed with 95 % BCa \
                 bootstrap\nintervals (below 0: fewer errors); p of Wilcoxon's signed-rank test, adjusted \
                 by Holm's method over\nall {} comparisons.\n\n",
                self.comparisons.len()
            );
            text += &markdown_table(&self.comparison_table());
        }
        for caveat in &self.caveats {
            text += &format!("\nNote: {caveat}.\n");
        }
        text
    }

    fn row_table(&self) -> Vec<Vec<String>> {
        let Some(fullest) = self.rows.iter().max_by_key(|row| row.measures.len()) else {
            return Vec::new();
        };
        let settings = fullest.settings.iter().map(|(name, _)| name.clone());
        let measures = || fullest.measures.iter().map(|(name, _)| name.clone());
        let mut header: Vec<String> = settings.collect();
        header.extend(["arm".into(), "cells".into(), "diverged".into()]);
        header.extend(measures());
        let mut lines = vec![header];
        for row in &self.rows {
            let mut line: Vec<String> = row.settings.iter().map(|(_, v)| v.to_string()).collect();
            line.extend([row.arm.clone(), row.cells.to_string(), row.diverged.to_string()]);
            for name in measures() {
                let found = row.measures.iter().find(|(known, _)| *known == name);
                line.push(found.map_or("–".into(), |(_, interval)| percent(interval)));
            }
            lines.push(line);
        }
        lines
    }

    /// One line an arm and setting, one column a measure.
    fn comparison_table(&self) -> Vec<Vec<String>> {
        let first = &self.comparisons[0];
        let mut measures: Vec<&String> = Vec::new();
        let mut keys: Vec<&Comparison> = Vec::new();
        let same = |a: &Comparison, b: &Comparison| a.settings == b.settings && a.arms == b.arms;
        for comparison in &self.comparisons {
            if !measures.contains(&&comparison.measure) {
                measures.push(&comparison.measure);
            }
            if !keys.iter().any(|known| same(known, comparison)) {
                keys.push(comparison);
            }
        }
        let mut header: Vec<String> = first.settings.iter().map(|(name, _)| name.clone()).collect();
        header.extend(["arm".into(), "pairs".into()]);
        for measure in &measures {
            header.extend([(*measure).clone(), "p".into()]);
        }
        let mut lines = vec![header];
        for key in keys {
            let mut line: Vec<String> = key.settings.iter().map(|(_, v)| v.to_string()).collect();
            line.extend([key.arms[0].clone(), key.pairs.to_string()]);
            for measure in &measures {
                let found = self
                    .comparisons
                    .iter()
                    .find(|comparison| same(comparison, key) && comparison.measure == **measure);
                line.extend(match found {
                    Some(found) => {
                        [signed_percent(&found.difference), format!("{:.3}", found.p_holm)]
                    }
                    None => ["–".into(), "–".into()],
                });
            }
            lines.push(line);
        }
        lines
    }
}

/// The trials of `experiment`'s arms, by setting and arm, in the order of the tables.
pub(super) fn groups<'a>(experiment: &'a Experiment, trials: &'a [Trial]) -> Vec<Group<'a>> {
    let mut settings: Vec<Vec<(String, f64)>> = Vec::new();
    for trial in trials.iter().filter(|trial| experiment.arms.contains_key(&trial.key.arm)) {
        if !settings.contains(&trial.key.settings) {
            settings.push(trial.key.settings.clone());
        }
    }
    let of_setting = |settings: Vec<(String, f64)>| {
        let of_arm = move |arm: &'a String| {
            let here = |trial: &&Trial| trial.key.arm == *arm && trial.key.settings == settings;
            let trials: Vec<_> = trials.iter().filter(here).collect();
            Group { arm, settings: settings.clone(), trials }
        };
        experiment.arms.keys().map(of_arm).filter(|group| !group.trials.is_empty())
    };
    settings.into_iter().flat_map(of_setting).collect()
}

fn compare(
    experiment: &Experiment,
    groups: &[Group],
    measures: &[Measure],
    curves: &CurveIndex,
    bootstrap: &Bootstrap,
) -> Vec<Comparison> {
    let Some(baseline) = &experiment.baseline else { return Vec::new() };
    let mut comparisons = Vec::new();
    for group in groups.iter().filter(|group| group.arm != baseline) {
        let other =
            groups.iter().find(|other| other.arm == baseline && other.settings == group.settings);
        let Some(other) = other else { continue };
        for measure in measures {
            let pair = |trial: &&Trial| {
                let twin = other.trials.iter().find(|twin| twin.key.seed == trial.key.seed)?;
                Some((measure.of(trial, curves)?, measure.of(twin, curves)?))
            };
            let pairs: Vec<(f64, f64)> = group.trials.iter().filter_map(pair).collect();
            let differences: Vec<f64> =
                pairs.iter().map(|(arm, baseline)| arm - baseline).collect();
            let found = bootstrap.median_difference(&pairs).zip(signed_rank(&differences));
            let Some((difference, test)) = found else { continue };
            comparisons.push(Comparison {
                arms: [group.arm.to_owned(), baseline.clone()],
                settings: group.settings.clone(),
                measure: measure.name(),
                pairs: pairs.len(),
                difference,
                p: test.p,
                p_holm: test.p,
            });
        }
    }
    let p: Vec<f64> = comparisons.iter().map(|comparison| comparison.p).collect();
    for (comparison, adjusted) in comparisons.iter_mut().zip(holm(&p).unwrap_or_default()) {
        comparison.p_holm = adjusted;
    }
    comparisons
}

fn caveats(experiment: &Experiment, trials: &[Trial], comparisons: &[Comparison]) -> Vec<Caveat> {
    let of_arms: Vec<&Trial> =
        trials.iter().filter(|trial| experiment.arms.contains_key(&trial.key.arm)).collect();
    let planned =
        experiment.arms.len() * experiment.seeds.0.len() * experiment.data.train_sizes.len();
    let pairs = comparisons.iter().map(|comparison| comparison.pairs).min();
    let some = |count: usize, caveat: fn(usize) -> Caveat| (count > 0).then(|| caveat(count));
    [
        pairs
            .filter(|pairs| least_adjusted_p(*pairs, comparisons.len()) > LEVEL)
            .map(|pairs| Caveat::FewPairs { pairs, comparisons: comparisons.len() }),
        some(count(&of_arms, Status::Diverged), Caveat::Diverged),
        some(count(&of_arms, Status::Failed), Caveat::Failed),
        some(planned.saturating_sub(of_arms.len()), Caveat::Missing),
        experiment.data.test.filter(|test| *test < FEWEST_TEST_IMAGES).map(Caveat::SmallTest),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Holm's smallest p value when every pair of the clearest comparison differs in the same direction.
fn least_adjusted_p(pairs: usize, comparisons: usize) -> f64 {
    (comparisons as f64 * 0.5f64.powi(pairs as i32 - 1)).min(1.0)
}

fn count(trials: &[&Trial], status: Status) -> usize {
    trials.iter().filter(|trial| trial.outcome.status == status).count()
}

fn insert_settings(object: &mut Map<String, Value>, settings: &[(String, f64)]) {
    for (name, value) in settings {
        let whole = value.fract() == 0.0 && value.abs() < 1e15;
        object.insert(name.clone(), if whole { json!(*value as i64) } else { json!(value) });
    }
}

/// In percent; one observation has no interval.
fn percent(Interval { estimate, low, high }: &Interval) -> String {
    match low.is_finite() {
        true => format!("{:.1} [{:.1}, {:.1}]", 100.0 * estimate, 100.0 * low, 100.0 * high),
        false => format!("{:.1}", 100.0 * estimate),
    }
}

fn signed_percent(Interval { estimate, low, high }: &Interval) -> String {
    match low.is_finite() {
        true => format!("{:+.1} [{:+.1}, {:+.1}]", 100.0 * estimate, 100.0 * low, 100.0 * high),
        false => format!("{:+.1}", 100.0 * estimate),
    }
}

/// Lines of cells as a Markdown table, padded so that it reads as plain text too; the first line is
/// the header.
pub(super) fn markdown_table(lines: &[Vec<String>]) -> String {
    let Some(header) = lines.first() else { return "No results yet.\n".into() };
    let widths: Vec<usize> = (0..header.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let is_text = |column: usize| ["arm", "measure"].contains(&header[column].as_str());
    let format_line = |line: &Vec<String>| {
        let cells = line.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if is_text(column) { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        let dashes = "-".repeat(width + 1);
        if is_text(column) { format!(":{dashes}") } else { format!("{dashes}:") }
    });
    let mut text = format_line(header);
    text += &format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
    lines[1..].iter().for_each(|line| text += &format_line(line));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::table::{CurvePoint, Key, Outcome};
    use std::path::Path;

    fn experiment(seeds: usize) -> Experiment {
        let text = format!(
            "
name: tiny
data: {{name: fashion-mnist, train_sizes: [10], test: 500}}
model: {{name: alexnet-mini}}
arms:
  better: {{signs: init, hold: all}}
  plain: {{signs: init, hold: none}}
baseline: plain
train: {{optimizer: {{adam: {{lr: 0.001}}}}, batch: 5, epochs: 2}}
seeds: 0..{seeds}
report: {{steps: [0]}}
"
        );
        Experiment::parse(&text, Path::new("tiny.yaml"), &[]).unwrap()
    }

    fn trial(arm: &str, seed: u64, error: Option<f64>) -> Trial {
        Trial {
            key: Key {
                id: format!("{arm}{seed}"),
                arm: arm.into(),
                settings: vec![("train_size".into(), 10.0)],
                seed,
            },
            outcome: Outcome {
                status: if error.is_some() { Status::Done } else { Status::Diverged },
                test_error: error,
                validation_error: error,
                train_error: error,
                best_step: Some(4),
                steps: 4,
                violations_after: 0,
                resets: 0,
                sign_flips: 0,
            },
        }
    }

    fn trials(seeds: u64) -> Vec<Trial> {
        let of_seed = |seed: u64| {
            let error = 0.5 + 0.01 * seed as f64;
            [trial("better", seed, Some(error - 0.1)), trial("plain", seed, Some(error))]
        };
        (0..seeds).flat_map(of_seed).collect()
    }

    #[test]
    fn a_report_has_medians_by_arm_and_paired_differences_to_the_baseline() {
        let report = Report::new(&experiment(7), &trials(7), &[]);
        let json = report.to_json();
        assert_eq!(json["rows"][0]["arm"], "better");
        assert_eq!(json["rows"][0]["train_size"], 10);
        assert!((json["rows"][1]["test_error"]["median"].as_f64().unwrap() - 0.53).abs() < 1e-12);
        let comparison = &json["comparisons"][0];
        assert_eq!(comparison["arms"], json!(["better", "plain"]));
        assert!((comparison["difference"].as_f64().unwrap() + 0.1).abs() < 1e-12);
        // python: scipy.stats.wilcoxon([-0.1] * 7, method="exact").pvalue
        assert!((comparison["p"].as_f64().unwrap() - 0.015625).abs() < 0.01, "{comparison}");
    }

    #[test]
    fn errors_before_training_are_a_measure_of_their_own() {
        let trials = trials(2);
        let point = CurvePoint {
            step: 0,
            train_loss: None,
            validation_loss: None,
            validation_error: 0.9,
            resets: 0,
            sign_flips: 0,
            tensors: Vec::new(),
        };
        let curve = CurveRow { key: trials[0].key.clone(), point };
        let report = Report::new(&experiment(2), &trials, &[curve]);
        assert_eq!(report.rows[0].measures[0].0, "validation_error_at_0");
        assert_eq!(report.rows[0].measures[0].1.estimate, 0.9);
    }

    #[test]
    fn diverged_cells_are_counted_and_pooled_with_nothing() {
        let mut trials = trials(7);
        trials.push(trial("better", 7, None));
        let report = Report::new(&experiment(8), &trials, &[]);
        assert_eq!((report.rows[0].cells, report.rows[0].diverged), (8, 1));
        assert_eq!(report.comparisons[0].pairs, 7);
        assert!(report.caveats.contains(&Caveat::Diverged(1)));
        assert!(report.caveats.contains(&Caveat::Missing(1)));
    }

    #[test]
    fn doubts_are_said_in_words() {
        let text = Report::new(&experiment(5), &trials(5), &[]).to_markdown();
        assert!(
            text.contains("5 pairs and 1 comparisons: no adjusted p value can be below 0.06"),
            "{text}"
        );
        assert!(text.contains("500 test images"), "{text}");
    }
}
