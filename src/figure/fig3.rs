//! The paper's figure 3: how far every arm is from the baseline in error, in the share of runs that reach
//! an accuracy, and in the steps until they do, by training size.
//!
//! The paper tests unpaired runs within one size; here arms are paired by seed, and Holm's correction
//! goes over all comparisons of the figure.

use super::canvas::Canvas;
use super::fig2::{accuracy, scaled};
use super::measured::Runs;
use super::page::{Frame, Page};
use super::series::{Series, Unit};
use super::style::looks;
use super::text;
use super::{Error, Results};
use crate::results::{BySeed, Measure, Paired};
use crate::stats::hypothesis::holm;
use crate::stats::proportion;
use crate::stats::{CONFIDENCE, Interval, Ratio};

const HEIGHT: f64 = 480.0;

/// The level of significance.
const LEVEL: f64 = 0.05;

/// A difference and the p value of its test.
type Difference = Option<(Interval, f64)>;

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let baseline = results.required_baseline()?;
    let threshold = results.threshold()?;
    let runs = Runs::new(results)?;
    let columns = [
        differences(&runs.compared(Measure::TestError), baseline, |a, b| median(a, b, 100.0)),
        differences(&runs.compared(Measure::Reached(threshold)), baseline, share),
        differences(&runs.compared(Measure::StepsTo(threshold)), baseline, |a, b| {
            median(a, b, 1.0)
        }),
    ];
    let p: Vec<f64> = columns.iter().flatten().flatten().flatten().map(|(_, p)| *p).collect();
    let mut adjusted = holm(&p).unwrap_or_default().into_iter();

    let others: Vec<usize> = (0..results.arms.len()).filter(|arm| *arm != baseline).collect();
    let all = looks(&results.arms, &results.fluid);
    let names: Vec<String> = others.iter().map(|arm| results.arms[*arm].clone()).collect();
    let looks: Vec<_> = others.iter().map(|arm| all[*arm]).collect();
    let caption = caption(&runs, &results.arms[baseline], p.len());
    let frame = Frame { title: results.title, names: &names, looks: &looks, caption: &caption };
    let mut page = Page::new(&frame, [1, 3], HEIGHT);
    let headings = [
        "test error, points".to_owned(),
        format!("runs that reach {}, points", accuracy(threshold)),
        format!("steps to {}", accuracy(threshold)),
    ];
    for (column, (differences, heading)) in columns.into_iter().zip(headings).enumerate() {
        let mut is_significant =
            |found: &Difference| found.is_some() && adjusted.next().is_some_and(|p| p < LEVEL);
        let stars =
            differences.iter().map(|arm| arm.iter().map(&mut is_significant).collect()).collect();
        let intervals = differences
            .iter()
            .map(|arm| arm.iter().map(|found| found.map(|(interval, _)| interval)).collect())
            .collect();
        let series =
            Series { sizes: &runs.sizes, looks: &looks, intervals, stars, unit: Unit::Difference };
        let panel = series.panel(page.area(0, column), 0.0, &[]);
        series.draw(&mut page.canvas, &panel);
        panel.heading(&mut page.canvas, &heading);
        panel.name_x(&mut page.canvas, "training samples");
    }
    Ok(page.canvas)
}

/// The differences of every arm but the baseline to it, `[arm][size]`.
fn differences(
    values: &[Vec<BySeed>],
    baseline: usize,
    difference: impl Fn(&BySeed, &BySeed) -> Difference,
) -> Vec<Vec<Difference>> {
    let arms = values.first().map_or(0, Vec::len);
    let of = |arm| values.iter().map(|at| difference(&at[arm], &at[baseline])).collect();
    (0..arms).filter(|arm| *arm != baseline).map(of).collect()
}

/// The median of paired differences.
fn median(arm: &BySeed, baseline: &BySeed, scale: f64) -> Difference {
    let paired = Paired::new(arm, baseline)?;
    Some((scaled(paired.median(), scale), paired.test().p))
}

/// The difference of two shares.
fn share(arm: &BySeed, baseline: &BySeed) -> Difference {
    let counts = |values: &BySeed| {
        let reached = values.values().filter(|reached| **reached == Ratio::whole(1)).count();
        (reached as u64, values.len() as u64)
    };
    let interval = proportion::difference(counts(arm), counts(baseline))?;
    Some((scaled(interval, 100.0), Paired::new(arm, baseline)?.test().p))
}

fn caption(runs: &Runs, baseline: &str, comparisons: usize) -> String {
    format!(
        "Differences to {baseline}; above 0 the arm errs more, gets there more often, or later. {} runs \
         an arm and size. Error and steps: median over pairs of equal seed, bars are {} % BCa bootstrap \
         intervals, of which one that reaches the edge goes on; a run that never gets there counts with its last step. Share: Newcombe's interval. \
         Star: p < {LEVEL} by Wilcoxon's signed-rank test on pairs, adjusted by Holm's method over all \
         {comparisons} comparisons of the figure. {}{}{}",
        text::range(runs.counts().into_iter()),
        100.0 * CONFIDENCE,
        runs.about_sources(),
        text::VARIES,
        runs.about_diverged(),
    )
}
