//! The paper's figure 3: how far every arm is from the baseline in error, in the share of runs that reach
//! an accuracy, and in the steps until they do, by training size.
//!
//! The paper tests unpaired runs within one size; here arms are paired by seed. Nothing is tested: tests
//! are for claims, which are written before the runs and stand in the report.

use super::canvas::Canvas;
use super::fig2::{accuracy, reached};
use super::measured::{Runs, Values, difference, scaled};
use super::page::{Frame, Page};
use super::series::{Series, Unit};
use super::style::looks;
use super::text;
use super::{Error, Results};
use crate::results::{BySeed, Measure};
use crate::stats::proportion;
use crate::stats::{CONFIDENCE, Interval};

const HEIGHT: f64 = 480.0;

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let baseline = results.required_baseline()?;
    let threshold = results.threshold()?;
    let runs = Runs::new(results)?;
    let median = |measure, scale| {
        let of = move |arm: &BySeed, baseline: &BySeed| difference(arm, baseline, scale);
        differences(&runs.compared(measure), baseline, of)
    };
    let columns = [
        median(Measure::TestErrorLast, 100.0),
        differences(&runs.values(Measure::Reached(threshold)), baseline, share),
        median(Measure::StepsTo(threshold), 1.0),
    ];

    let others: Vec<usize> = (0..results.arms.len()).filter(|arm| *arm != baseline).collect();
    let all = looks(&results.arms, &results.fluid);
    let names: Vec<String> = others.iter().map(|arm| results.arms[*arm].clone()).collect();
    let looks: Vec<_> = others.iter().map(|arm| all[*arm]).collect();
    let caption = caption(&runs, &results.arms[baseline]);
    let frame = Frame { title: results.title, names: &names, looks: &looks, caption: &caption };
    let mut page = Page::new(&frame, [1, 3], HEIGHT);
    let headings = [
        "test error after the last step, points".to_owned(),
        format!("runs that reach {}, points", accuracy(threshold)),
        format!("steps to {}", accuracy(threshold)),
    ];
    for (column, (intervals, heading)) in columns.into_iter().zip(headings).enumerate() {
        let series = Series {
            sizes: &runs.sizes,
            looks: &looks,
            intervals,
            unit: Unit::Difference,
            crossed: vec![],
        };
        let panel = series.panel(page.area(0, column), &[]);
        series.draw(&mut page.canvas, &panel);
        panel.heading(&mut page.canvas, &heading);
        panel.name_x(&mut page.canvas, "training samples");
    }
    Ok(page.canvas)
}

/// The differences of every arm but the baseline to it, `[arm][size]`.
fn differences<T>(
    values: &[Vec<T>],
    baseline: usize,
    difference: impl Fn(&T, &T) -> Option<Interval>,
) -> Vec<Vec<Option<Interval>>> {
    let arms = values.first().map_or(0, Vec::len);
    let of = |arm| values.iter().map(|at| difference(&at[arm], &at[baseline])).collect();
    (0..arms).filter(|arm| *arm != baseline).map(of).collect()
}

/// The difference of two shares.
fn share(arm: &Values, baseline: &Values) -> Option<Interval> {
    let interval = proportion::difference(reached(arm), reached(baseline))?;
    Some(scaled(interval, 100.0))
}

fn caption(runs: &Runs, baseline: &str) -> String {
    format!(
        "Differences to {baseline}; above 0 the arm errs more, gets there more often, or later. {} runs \
         an arm and size. Error and steps: median over pairs of equal seed, bars are {} % BCa bootstrap \
         intervals; a run that never gets there counts with its last step. Share: Newcombe's interval. \
         Nothing is tested here: claims are, in the report. {}{}{}",
        text::range(runs.counts().into_iter()),
        100.0 * CONFIDENCE,
        runs.about_sources(),
        text::VARIES,
        runs.about_diverged(),
    )
}
