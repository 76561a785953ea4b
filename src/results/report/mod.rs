//! The table of an experiment: medians with intervals, paired differences with tests, and doubts.
//!
//! Made from `trials.csv` and `curves.csv` alone, so a published table can be made again without the
//! cells. First come the [claims](super::claim) of the experiment, whose p values are adjusted by Holm's
//! method over the claims of the file. The other comparisons, of every arm with the baseline by pairs of
//! equal seed (Wilcoxon's signed-rank test), explore and are not adjusted. Cells that diverged, or never
//! got better than guessing, are counted and shown, not pooled away.
//!
//! What a cell is measured by is in `measure`, how a report is written in `render`.

mod caveat;
mod claims;
mod measure;
mod plain;
mod render;
mod written;

use std::collections::HashMap;

use indexmap::IndexMap;

use super::about::About;
use super::claim::{self, Answer};
use super::epochs::Epochs;
use super::paired::{Paired, by_seed};
use super::table::CurveIndex;
use super::table::{CurveRow, Key, SOURCE_SEED, Status, Trial};
use super::unit::{BySeed, counted};
use crate::stats::rank_sum::mann_whitney;
use crate::stats::survival::log_rank;
use crate::stats::{Interval, Ratio};
use caveat::{caveats, count};
use measure::is_collapsed;

pub use caveat::Caveat;
pub use claims::claims_table;
pub use measure::{Estimate, Measure};
pub(super) use written::markdown_table;

/// The results of an experiment in numbers.
#[derive(Debug)]
pub struct Report {
    /// The experiment's name.
    pub name: String,
    /// What became of each claim, in the order of the file.
    pub answers: Vec<Answer>,
    /// One row an arm and setting, in the order of the tables.
    pub rows: Vec<Row>,
    /// Every arm against the baseline, at every setting, for every measure that is compared.
    pub comparisons: Vec<Comparison>,
    /// What a reader should know before trusting the numbers.
    pub caveats: Vec<Caveat>,
    /// Values of swept settings that the printed tables show; of others all.
    shown: IndexMap<String, Vec<f64>>,
    /// Whether arms take from several sources, which are the unit then.
    has_sources: bool,
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
    /// Cells among them that never got better than guessing.
    pub collapsed: usize,
    /// Cells among them whose chosen step is 0: no step of training was better than none.
    pub untrained: usize,
    /// Each measure over the cells that have it.
    pub measures: Vec<(Measure, Estimate)>,
    /// The median of the first test error over the cells that are not collapsed, where some are.
    pub learners: Option<Interval>,
}

/// An arm against the baseline at one setting, by one measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The arm and the baseline.
    pub arms: [String; 2],
    /// The swept settings, by name.
    pub settings: Vec<(String, f64)>,
    /// What is compared.
    pub measure: Measure,
    /// Pairs of cells with the same seed; where an arm takes from several sources, these, each by its mean
    /// over such pairs.
    pub pairs: usize,
    /// Median of arm − baseline over the pairs: below 0, the arm errs less or gets there earlier. A
    /// time that was never reached counts as the run's last step. Of `epochs_to_90`, the difference of
    /// the two medians, without an interval.
    pub difference: Interval,
    /// `wilcoxon`, the signed-rank test of pairs, or `log-rank`, which censors and knows no pairs.
    pub test: &'static str,
    /// Its two-sided p value, not adjusted.
    pub p: f64,
    /// The matched-pairs rank-biserial correlation, in [−1, 1]; −1 when the arm is lower in every
    /// pair. No number beside a log-rank test.
    pub effect: f64,
    /// Two-sided p value of the Mann–Whitney test, which leaves the pairs out of account: the paper's,
    /// for comparison. No number beside a log-rank test.
    pub p_unpaired: f64,
}

/// The trials of one arm at one setting.
pub(super) struct Group<'a> {
    pub(super) arm: &'a str,
    pub(super) settings: Vec<(String, f64)>,
    pub(super) trials: Vec<&'a Trial>,
}

/// What rows and comparisons are made from.
struct Draft<'a> {
    about: &'a About,
    curves: CurveIndex<'a>,
    measures: Vec<Measure>,
}

impl Report {
    /// The report of the tables that `about` describes.
    pub fn new(about: &About, trials: &[Trial], curves: &[CurveRow]) -> Self {
        let answers = claim::answers(about, trials, curves);
        let groups = groups(about, trials);
        let curves = CurveIndex::new(curves);
        let draft = Draft { about, curves, measures: measures(about, trials) };
        let rows = in_parallel(&groups, |group| draft.row(group));
        let comparisons = draft.comparisons(&groups);
        let collapsed = rows.iter().map(|row| row.collapsed).sum();
        Report {
            name: about.name.clone(),
            caveats: caveats(about, trials, &answers, collapsed),
            answers,
            rows,
            comparisons,
            shown: about.tabulated.at.clone(),
            has_sources: trials.iter().any(|trial| trial.key.setting(SOURCE_SEED).is_some()),
        }
    }
}

/// What is tabulated, in the order of the columns.
fn measures(about: &About, trials: &[Trial]) -> Vec<Measure> {
    let steps = about.tabulated.steps.iter().map(|step| Measure::ValidationErrorAt(*step));
    let thresholds = about.tabulated.thresholds.iter().flat_map(|&accuracy| {
        [
            Measure::Reached(accuracy),
            Measure::StepsTo(accuracy),
            Measure::EpochsTo { accuracy, batch: about.batch },
        ]
    });
    if let Some(epochs) = Epochs::new(about, trials) {
        return vec![Measure::TestError, Measure::Learned, Measure::EpochsTo90(epochs)];
    }
    let errors = [Measure::TestErrorLast, Measure::TestError, Measure::ChosenStep];
    errors.into_iter().chain(steps).chain(thresholds).collect()
}

/// The trials of the arms, by setting and arm, in the order of the tables. Those of all sources that an
/// arm takes from are together.
pub(super) fn groups<'a>(about: &'a About, trials: &'a [Trial]) -> Vec<Group<'a>> {
    let mut settings: IndexMap<Vec<u64>, HashMap<&str, Vec<&Trial>>> = IndexMap::new();
    for trial in trials.iter().filter(|trial| about.arms.contains_key(&trial.key.arm)) {
        let arms = settings.entry(bits(&shared(&trial.key))).or_default();
        arms.entry(&trial.key.arm).or_default().push(trial);
    }
    let mut groups = Vec::new();
    for mut by_arm in settings.into_values() {
        for arm in about.arms.keys() {
            if let Some(trials) = by_arm.remove(arm.as_str()) {
                groups.push(Group { arm, settings: shared(&trials[0].key), trials });
            }
        }
    }
    groups
}

/// The swept settings that all arms have, and so not the source.
fn shared(key: &Key) -> Vec<(String, f64)> {
    key.settings.iter().filter(|(name, _)| name != SOURCE_SEED).cloned().collect()
}

/// Values of settings as something that can be looked up.
fn bits(settings: &[(String, f64)]) -> Vec<u64> {
    settings.iter().map(|(_, value)| value.to_bits()).collect()
}

/// What `work` makes of each item, on all cores.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let work = &work;
        let parts = items.chunks(share);
        let threads: Vec<_> = parts
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()))
            .collect();
        let parts = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        parts.flatten().collect()
    })
}

impl Draft<'_> {
    fn row(&self, group: &Group) -> Row {
        let over = |measure: &Measure| Some((*measure, measure.over(&group.trials, &self.curves)?));
        let collapsed = |trial: &&&Trial| self.is_collapsed(trial);
        let learners: Vec<&Trial> =
            group.trials.iter().copied().filter(|trial| !self.is_collapsed(trial)).collect();
        let learners = self.measures[0].over(&learners, &self.curves);
        let is_untrained = |trial: &&&Trial| trial.outcome.best_step == Some(0);
        let collapsed = group.trials.iter().filter(collapsed).count();
        Row {
            arm: group.arm.to_owned(),
            settings: group.settings.clone(),
            cells: group.trials.len(),
            diverged: count(&group.trials, Status::Diverged),
            collapsed,
            untrained: group.trials.iter().filter(is_untrained).count(),
            measures: self.measures.iter().filter_map(over).collect(),
            learners: learners.filter(|_| collapsed > 0).map(|error| error.interval()),
        }
    }

    fn is_collapsed(&self, trial: &Trial) -> bool {
        let points = self.curves.points(&trial.key.id);
        is_collapsed(trial, points, self.about)
    }

    fn comparisons(&self, groups: &[Group]) -> Vec<Comparison> {
        let Some(baseline) = &self.about.baseline else { return Vec::new() };
        let baselines: HashMap<Vec<u64>, &Group> = groups
            .iter()
            .filter(|group| group.arm == baseline)
            .map(|group| (bits(&group.settings), group))
            .collect();
        let compared = |group: &Group| -> Vec<Comparison> {
            let twin = baselines.get(&bits(&group.settings)).filter(|_| group.arm != baseline);
            let Some(twin) = twin else { return Vec::new() };
            let measures = self.measures.iter().filter(|measure| measure.is_compared());
            measures.filter_map(|measure| self.compare(group, twin, *measure)).collect()
        };
        in_parallel(groups, compared).concat()
    }

    fn compare(&self, group: &Group, baseline: &Group, measure: Measure) -> Option<Comparison> {
        if let Measure::EpochsTo90(epochs) = measure {
            return self.compare_times(group, baseline, epochs);
        }
        let [own, other] = [group, baseline]
            .map(|group| by_seed(group.trials.iter().copied(), measure, &self.curves));
        let all = |values: &BySeed| -> Option<Vec<f64>> {
            Some(counted(values)?.into_iter().map(Ratio::value).collect())
        };
        let paired = Paired::new(&own, &other)?;
        let test = paired.test();
        Some(Comparison {
            arms: [group.arm.to_owned(), baseline.arm.to_owned()],
            settings: group.settings.clone(),
            measure,
            pairs: paired.pairs(),
            difference: paired.median(),
            test: "wilcoxon",
            p: test.p,
            effect: test.effect,
            p_unpaired: mann_whitney(&all(&own)?, &all(&other)?)?.p,
        })
    }

    fn compare_times(&self, group: &Group, baseline: &Group, epochs: Epochs) -> Option<Comparison> {
        let needed = [group, baseline].map(|group| -> Vec<f64> {
            group.trials.iter().filter_map(|trial| epochs.of(trial)).collect()
        });
        let test = log_rank(&epochs.times(&needed[0]), &epochs.times(&needed[1]))?;
        let [own, other] = needed.each_ref().map(|needed| epochs.median(needed));
        let estimate = own?.estimate - other?.estimate;
        let is_twin =
            |trial: &&&Trial| baseline.trials.iter().any(|twin| twin.key.seed == trial.key.seed);
        Some(Comparison {
            arms: [group.arm.to_owned(), baseline.arm.to_owned()],
            settings: group.settings.clone(),
            measure: Measure::EpochsTo90(epochs),
            pairs: group.trials.iter().filter(is_twin).count(),
            difference: Interval { estimate, low: f64::NEG_INFINITY, high: f64::INFINITY },
            test: "log-rank",
            p: test.p,
            effect: f64::NAN,
            p_unpaired: f64::NAN,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::results::about::Faithful;
    use crate::results::table::{CurvePoint, ErrorCount, Milestones, Outcome};

    fn about(seeds: usize) -> About {
        let experiment = json!({
            "name": "tiny",
            "data": {"name": "fashion-mnist", "image_size": 28, "train_sizes": [10],
                     "validation": 500, "test": 500},
            "model": {"name": "alexnet-mini"},
            "arms": {"better": {"signs": "init", "hold": "all"},
                     "plain": {"signs": "init", "hold": "none"}},
            "baseline": "plain",
            "train": {"batch": 5, "epochs": 2},
            "seeds": (0..seeds).collect::<Vec<_>>(),
            "figures": [],
            "report": {"steps": [0]},
        });
        About::read(r#"{"classes": 10, "data_digest": "", "experiment": {}}"#, |it| {
            *it = experiment
        })
        .unwrap()
    }

    fn trial(arm: &str, seed: u64, error: Option<f64>) -> Trial {
        let error = error.map(|error| ErrorCount::about(error, 1000));
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
                test_error_last: error,
                validation_error: error,
                train_error: error,
                best_step: Some(4),
                steps: 4,
                ..Outcome::failed()
            },
            reason: None,
        }
    }

    fn point(step: u64, validation_error: f64) -> CurvePoint {
        CurvePoint {
            step,
            train_loss: None,
            validation_loss: None,
            validation_error: ErrorCount::about(validation_error, 1000),
            resets: 0,
            sign_flips: 0,
            tensors: Vec::new(),
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
        let report = Report::new(&about(7), &trials(7), &[]);
        let json = report.to_json();
        assert_eq!(json["rows"][0]["arm"], "better");
        assert_eq!(json["rows"][0]["train_size"], 10);
        assert!((json["rows"][1]["test_error"]["median"].as_f64().unwrap() - 0.53).abs() < 1e-12);
        let comparison = &json["comparisons"][0];
        assert_eq!(comparison["arms"], json!(["better", "plain"]));
        assert!((comparison["difference"].as_f64().unwrap() + 0.1).abs() < 1e-12);
        // python: scipy.stats.wilcoxon([-0.1] * 7, method="exact").pvalue
        assert!((comparison["p"].as_f64().unwrap() - 0.015625).abs() < 0.01, "{comparison}");
        assert_eq!(comparison["rank_biserial"], -1.0);
        assert!(comparison["p_mann_whitney"].as_f64().unwrap() < 0.01, "{comparison}");
    }

    #[test]
    fn an_arm_that_takes_from_several_sources_is_one_row_and_its_sources_are_the_pairs() {
        let mut trials = trials(4);
        for source in [7, 8, 9] {
            for seed in 0..4 {
                let mut cell = trial("better", seed, Some(0.1 + 0.01 * source as f64));
                cell.key.settings.push((SOURCE_SEED.into(), source as f64));
                cell.key.id += &source.to_string();
                trials.push(cell);
            }
        }
        trials.retain(|trial| trial.key.arm == "plain" || trial.key.settings.len() == 2);
        let report = Report::new(&about(4), &trials, &[]);
        let [better, plain] = &report.rows[..] else { panic!("{:?}", report.rows) };
        assert_eq!((better.cells, plain.cells), (12, 4));
        let (_, estimate) = &better.measures[0];
        assert!((estimate.interval().estimate - 0.18).abs() < 1e-12);
        let comparison = &report.comparisons[0];
        assert_eq!(comparison.pairs, 3);
        // The plain arm errs on 50 to 53 %: 0.18 − 0.515.
        assert!((comparison.difference.estimate + 0.335).abs() < 1e-12, "{comparison:?}");
        assert!(report.to_markdown().contains("the mean over its cells"));
        assert!(!report.to_json().to_string().contains("source_seed"));
    }

    #[test]
    fn errors_before_training_are_a_measure_of_their_own() {
        let trials = trials(2);
        let curve = CurveRow { key: trials[0].key.clone(), point: point(0, 0.9) };
        let report = Report::new(&about(2), &trials, &[curve]);
        assert_eq!(report.rows[0].measures[3].0.name(), "validation_error_at_0");
        assert_eq!(report.rows[0].measures[3].1.interval().estimate, 0.9);
    }

    #[test]
    fn diverged_cells_are_counted_and_pooled_with_nothing() {
        let mut trials = trials(7);
        trials.push(trial("better", 7, None));
        let report = Report::new(&about(8), &trials, &[]);
        assert_eq!((report.rows[0].cells, report.rows[0].diverged), (8, 1));
        assert_eq!(report.comparisons[0].pairs, 7);
        assert!(report.caveats.contains(&Caveat::Diverged(1)));
        assert!(report.caveats.contains(&Caveat::Missing(1)));
    }

    #[test]
    fn collapsed_cells_are_counted_and_the_median_over_learners_stands_beside_the_other() {
        let mut trials = trials(5);
        trials[0] = trial("better", 0, Some(0.9));
        let report = Report::new(&about(5), &trials, &[]);
        let [better, plain] = [&report.rows[0], &report.rows[1]];
        assert_eq!([better.collapsed, plain.collapsed], [1, 0]);
        assert!((better.learners.unwrap().estimate - 0.425).abs() < 1e-12);
        assert_eq!(plain.learners, None);
        assert!(report.caveats.contains(&Caveat::Collapsed(1)));
        let text = report.to_markdown();
        assert!(text.contains("| collapsed |") && text.contains("learners |"), "{text}");
        assert_eq!(report.to_json()["rows"][0]["collapsed"], 1);
    }

    #[test]
    fn times_to_a_threshold_have_shares_medians_and_restricted_differences() {
        let mut about = about(6);
        about.tabulated.thresholds = vec![0.8];
        let trials = trials(6);
        // Half of one arm gets there after 2 steps, half never; the other arm after its 4 steps.
        let curves: Vec<CurveRow> = trials
            .iter()
            .flat_map(|trial| {
                let late = trial.key.arm == "better" && trial.key.seed % 2 == 0;
                let early = trial.key.arm == "better" && !late;
                let error = |step: u64| match (early, late, step) {
                    (true, _, 2..) | (false, false, 4) => 0.1,
                    _ => 0.5,
                };
                let row =
                    |step| CurveRow { key: trial.key.clone(), point: point(step, error(step)) };
                [row(0), row(2), row(4)]
            })
            .collect();
        let json = Report::new(&about, &trials, &curves).to_json();
        assert_eq!(json["rows"][0]["reached_0.8"]["share"], 0.5);
        assert!(json["rows"][0]["steps_to_0.8"]["median"].is_null(), "half of them never came");
        assert_eq!(json["rows"][1]["steps_to_0.8"]["median"], 4.0);
        assert_eq!(json["rows"][1]["epochs_to_0.8"]["median"], 2.0);
        let comparisons = json["comparisons"].as_array().unwrap();
        let steps = comparisons.iter().find(|found| found["measure"] == "steps_to_0.8").unwrap();
        assert_eq!(steps["difference"], -1.0, "three pairs at −2, three at 0");
    }

    /// Two arms of ten cells: the better learns after 2 to 11 epochs, the other in three cells only.
    fn with_milestones() -> Vec<Trial> {
        let mut trials = trials(10);
        for trial in &mut trials {
            let seed = trial.key.seed;
            let reached = trial.key.arm == "better" || seed < 3;
            trial.outcome.milestones = Some(Milestones {
                least_validation_error: ErrorCount::about(if reached { 0.05 } else { 0.4 }, 1000),
                epochs_to_90: reached.then_some(2 + seed),
            });
        }
        trials
    }

    #[test]
    fn cells_that_never_learned_are_censored_and_not_left_out() {
        let mut about = about(10);
        about.epochs = Some(100);
        let json = Report::new(&about, &with_milestones(), &[]).to_json();
        assert_eq!(json["rows"][0]["learned"]["share"], 1.0);
        assert_eq!(json["rows"][1]["learned"]["share"], 0.3);
        assert_eq!(json["rows"][0]["epochs_to_90"]["median"], 6.0);
        assert!(json["rows"][1]["epochs_to_90"]["median"].is_null());
        let comparison = json["comparisons"].as_array().unwrap().last().unwrap();
        assert_eq!(comparison["test"], "log-rank");
        assert!(comparison["difference"].is_null(), "{comparison}");
        assert!(comparison["p"].as_f64().unwrap() < 0.01);

        about.faithful = vec![Faithful::EpochsFromZero, Faithful::SurvivorsOnly];
        let report = Report::new(&about, &with_milestones(), &[]);
        let json = report.to_json();
        assert_eq!(json["rows"][0]["epochs_to_90"]["median"], 5.5);
        assert_eq!(json["rows"][1]["epochs_to_90"]["median"], 2.0);
        assert!(report.to_markdown().contains("of the cells that learned"));
    }

    #[test]
    fn printed_tables_show_the_settings_asked_for_and_the_json_all() {
        let mut about = about(7);
        about.tabulated.at.insert("train_size".into(), vec![20.0]);
        let report = Report::new(&about, &trials(7), &[]);
        assert_eq!(report.to_json()["rows"].as_array().unwrap().len(), 2);
        assert!(!report.to_markdown().contains("| better"), "{}", report.to_markdown());
    }

    #[test]
    fn doubts_are_said_in_words() {
        let mut about = about(5);
        let claim = json!({"id": "x", "says": "Less.", "arms": ["better", "plain"],
                           "measure": {"test_error": {"step": "chosen"}}, "direction": "less"});
        about.claims = vec![serde_json::from_value(claim).unwrap()];
        let text = Report::new(&about, &trials(5), &[]).to_markdown();
        assert!(
            text.contains("5 pairs and 1 claims: no adjusted p value can be below 0.06"),
            "{text}"
        );
        assert!(text.contains("500 test images"), "{text}");
        assert!(text.contains("the claims are not those that there were"), "{text}");
        let words = "- `x`: Less. (`better` less `plain`, test error after the chosen step; claimed: less) \
                     undecided: the adjusted p value is above 0.05.";
        assert!(text.contains(words), "{text}");
        assert!(text.contains("These 2 comparisons explore"), "{text}");
    }

    #[test]
    fn cells_whose_chosen_step_is_none_are_counted_as_untrained() {
        let mut trials = trials(3);
        trials[0].outcome.best_step = Some(0);
        let report = Report::new(&about(3), &trials, &[]);
        assert_eq!([report.rows[0].untrained, report.rows[1].untrained], [1, 0]);
        assert_eq!(report.to_json()["rows"][0]["best_step"]["median"], 4.0);
        let text = report.to_markdown();
        assert!(text.contains("| untrained |"), "{text}");
    }

    #[test]
    fn names_that_would_break_a_table_are_shown_as_they_are() {
        let mut about = about(3);
        let name = "a|b\n# c\u{1b}[2J`";
        let arm = about.arms.shift_remove("plain").unwrap();
        about.arms.insert(name.into(), arm);
        about.baseline = Some(name.into());
        let mut trials = trials(3);
        for trial in trials.iter_mut().filter(|trial| trial.key.arm == "plain") {
            trial.key.arm = name.into();
        }
        let text = Report::new(&about, &trials, &[]).to_markdown();
        assert!(text.contains("| a\\|b\\u{a}# c\\u{1b}[2J` "), "{text}");
        assert!(text.contains("Difference to `a|b\\u{a}# c\\u{1b}[2J'` in points"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
