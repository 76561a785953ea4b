//! The paper's figure 2: error, share of runs that reach an accuracy, and steps until they do, by
//! training size.
//!
//! The error is ours, that of the test images, and beside it the paper's. Arms of which most runs chose step
//! 0 were not trained, and are crossed out there.

use super::canvas::{Canvas, Stroke};
use super::measured::{Runs, Untrained, Values, scaled};
use super::page::{Frame, Page};
use super::panel::Panel;
use super::published;
use super::series::{Series, Unit};
use super::style::{Look, looks};
use super::text;
use super::{Error, Results};
use crate::results::Measure;
use crate::stats::proportion::wilson;
use crate::stats::quantile::quartiles;
use crate::stats::{CONFIDENCE, Interval};

const HEIGHT: f64 = 370.0;
/// Half the length of a bar at a published error.
const PUBLISHED: f64 = 13.0;

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let runs = Runs::new(results)?;
    let threshold = results.threshold()?;
    let looks = looks(&results.arms, &results.fluid);
    let caption = caption(results, &runs);
    let frame =
        Frame { title: results.title, names: &results.arms, looks: &looks, caption: &caption };
    let mut page = Page::new(&frame, [2, 2], HEIGHT);

    let errors = errors(&runs, &looks, &runs.values(Measure::TestErrorLast));
    let panel = errors.panel(page.area(0, 0), &[]);
    errors.draw(&mut page.canvas, &panel);
    panel.heading(&mut page.canvas, "test error after the last step, %");
    draw_chosen(&mut page, results, &runs, &looks);
    for (column, (series, heading)) in
        [share(&runs, &looks, threshold), steps(&runs, &looks, threshold)].into_iter().enumerate()
    {
        let panel = series.panel(page.area(1, column), &[]);
        series.draw(&mut page.canvas, &panel);
        panel.heading(&mut page.canvas, &heading);
        panel.name_x(&mut page.canvas, "training samples");
    }
    Ok(page.canvas)
}

/// Draws the paper's measure, the validation error after the step that the validation images chose, with
/// what the paper found where that is asked for.
fn draw_chosen(page: &mut Page, results: &Results, runs: &Runs, looks: &[Look]) {
    let is_crossed =
        |arms: &Vec<Untrained>| arms.iter().map(|counted| counted.are_most()).collect();
    let crossed: Vec<Vec<bool>> = runs.untrained().iter().map(is_crossed).collect();
    let has_crosses = crossed.iter().flatten().any(|crossed| *crossed);
    let chosen = Series { crossed, ..errors(runs, looks, &runs.values(Measure::ValidationError)) };
    let published = published_errors(results, runs);
    let also: Vec<f64> = published.iter().flatten().map(|(_, error)| *error).collect();
    let panel = chosen.panel(page.area(0, 1), &also);
    chosen.draw(&mut page.canvas, &panel);
    let crosses = if has_crosses { " (×: untrained)" } else { "" };
    let heading = format!("validation error after the chosen step, %{crosses}");
    panel.heading(&mut page.canvas, &heading);
    draw_published(&mut page.canvas, &panel, &chosen, &published);
}

/// An error, median and quartiles.
fn errors<'a>(runs: &'a Runs, looks: &'a [Look], values: &[Vec<Values>]) -> Series<'a> {
    let intervals = by_arm(values, |values| middle(values, 100.0));
    Series { sizes: &runs.sizes, looks, intervals, unit: Unit::Percent, crossed: vec![] }
}

/// The share of runs that reach `threshold`, and the heading of its panel.
pub(super) fn share<'a>(runs: &'a Runs, looks: &'a [Look], threshold: f64) -> (Series<'a>, String) {
    let share = |values: &Values| {
        let (reached, runs) = reached(values);
        wilson(reached, runs).map(|share| scaled(share, 100.0))
    };
    let intervals = by_arm(&runs.values(Measure::Reached(threshold)), share);
    let series =
        Series { sizes: &runs.sizes, looks, intervals, unit: Unit::Share, crossed: vec![] };
    (series, format!("runs that reach {}, %", accuracy(threshold)))
}

/// How many of the runs reached something, 1 for those that did, and how many there are.
pub(super) fn reached(values: &Values) -> (u64, u64) {
    let reached = values.iter().filter(|reached| **reached > 0.5).count();
    (reached as u64, values.len() as u64)
}

/// The steps until a run reaches `threshold`, and the heading of its panel.
pub(super) fn steps<'a>(runs: &'a Runs, looks: &'a [Look], threshold: f64) -> (Series<'a>, String) {
    let intervals = by_arm(&runs.values(Measure::StepsTo(threshold)), |values| middle(values, 1.0));
    let series = Series {
        sizes: &runs.sizes,
        looks,
        intervals,
        unit: Unit::Steps(&runs.steps),
        crossed: vec![],
    };
    (series, format!("steps to {}", accuracy(threshold)))
}

/// `80 % accuracy`.
pub(super) fn accuracy(threshold: f64) -> String {
    format!("{} % accuracy", super::axis::tick_text(100.0 * threshold))
}

/// The intervals of every arm by size, from values by size and arm.
pub(super) fn by_arm(
    values: &[Vec<Values>],
    interval: impl Fn(&Values) -> Option<Interval>,
) -> Vec<Vec<Option<Interval>>> {
    let arms = values.first().map_or(0, Vec::len);
    (0..arms).map(|arm| values.iter().map(|at| interval(&at[arm])).collect()).collect()
}

/// The median between the quartiles.
fn middle(values: &Values, scale: f64) -> Option<Interval> {
    let q = quartiles(values)?;
    Some(scaled(Interval { estimate: q.median, low: q.lower, high: q.upper }, scale))
}

/// The published errors at the sizes of `runs`, by arm; nothing where they are not asked for.
fn published_errors(results: &Results, runs: &Runs) -> Vec<Vec<(usize, f64)>> {
    let at = |arm: &String, (place, size): (usize, &Option<f64>)| {
        Some((place, published::error(arm, (*size)?)?))
    };
    let of = |arm: &String| match results.published {
        true => runs.sizes.iter().enumerate().filter_map(|size| at(arm, size)).collect(),
        false => vec![],
    };
    results.arms.iter().map(of).collect()
}

/// Draws published errors as short bars across the places of their arms.
fn draw_published(
    canvas: &mut Canvas,
    panel: &Panel,
    series: &Series,
    published: &[Vec<(usize, f64)>],
) {
    for (arm, points) in published.iter().enumerate() {
        for (place, error) in points {
            let (x, y) = (series.across(panel, arm, *place), panel.height(*error));
            let bar = Stroke::solid(series.looks[arm].color(), 3.0);
            canvas.line(&[(x - PUBLISHED, y), (x + PUBLISHED, y)], bar);
        }
    }
}

fn caption(results: &Results, runs: &Runs) -> String {
    let published = match results.published {
        true => {
            "Short bars across: the paper's medians of 20 runs (AlexNet at 227 px, 62 million \
                 parameters, other images). "
        }
        false => "",
    };
    format!(
        "{} runs an arm and size. Errors and steps: median, bars from the lower to the upper quartile; a \
         run that never gets there is above all others. Share: bars are {} % Wilson intervals. \
         Accuracy is that of the validation images, which choose the step of least loss. {}{published}{}{}{}",
        text::range(runs.counts().into_iter()),
        100.0 * CONFIDENCE,
        text::about_untrained(results, runs),
        runs.about_sources(),
        text::VARIES,
        runs.about_diverged(),
    )
}
