//! The paper's figure 2: error, share of runs that reach an accuracy, and steps until they do, by
//! training size.

use super::canvas::{Align, Canvas, Stroke};
use super::measured::{BySeed, Runs, all};
use super::page::{Frame, Page};
use super::panel::Panel;
use super::published;
use super::series::{Series, Unit};
use super::style::{Look, TICK, looks};
use super::text;
use super::{Error, Results};
use crate::results::Measure;
use crate::stats::proportion::wilson;
use crate::stats::quantile::quartiles;
use crate::stats::{CONFIDENCE, Interval};

const HEIGHT: f64 = 480.0;

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let runs = Runs::new(results)?;
    let threshold = results.threshold()?;
    let looks = looks(&results.arms, &results.fluid);
    let caption = caption(results, &runs);
    let frame =
        Frame { title: results.title, names: &results.arms, looks: &looks, caption: &caption };
    let mut page = Page::new(&frame, [1, 3], HEIGHT);

    let errors = Series {
        sizes: &runs.sizes,
        looks: &looks,
        intervals: by_arm(&runs.values(Measure::TestError), |values| middle(values, 100.0)),
        stars: vec![],
        unit: Unit::Percent,
    };
    let published = published_errors(results, &runs);
    let also: Vec<f64> = published.iter().flatten().map(|(_, error)| *error).collect();
    let panel = errors.panel(page.area(0, 0), 0.0, &also);
    errors.draw(&mut page.canvas, &panel);
    draw_published(&mut page.canvas, &panel, &looks, &published);
    panel.heading(&mut page.canvas, "test error, %");
    panel.name_x(&mut page.canvas, "training samples");
    for (column, panel) in
        [(1, share(&runs, &looks, threshold)), (2, steps(&runs, &looks, threshold))]
    {
        let (series, heading) = panel;
        let panel = series.panel(page.area(0, column), runs.last_step(), &[]);
        series.draw(&mut page.canvas, &panel);
        panel.heading(&mut page.canvas, &heading);
        panel.name_x(&mut page.canvas, "training samples");
    }
    Ok(page.canvas)
}

/// The share of runs that reach `threshold`, and the heading of its panel.
pub(super) fn share<'a>(runs: &'a Runs, looks: &'a [Look], threshold: f64) -> (Series<'a>, String) {
    let share = |values: &BySeed| {
        let reached = values.values().filter(|reached| **reached > 0.5).count();
        wilson(reached as u64, values.len() as u64).map(|share| scaled(share, 100.0))
    };
    let intervals = by_arm(&runs.values(Measure::Reached(threshold)), share);
    let series =
        Series { sizes: &runs.sizes, looks, intervals, stars: vec![], unit: Unit::Percent };
    (series, format!("runs that reach {}, %", accuracy(threshold)))
}

/// The steps until a run reaches `threshold`, and the heading of its panel.
pub(super) fn steps<'a>(runs: &'a Runs, looks: &'a [Look], threshold: f64) -> (Series<'a>, String) {
    let intervals = by_arm(&runs.values(Measure::StepsTo(threshold)), |values| middle(values, 1.0));
    let series = Series { sizes: &runs.sizes, looks, intervals, stars: vec![], unit: Unit::Steps };
    (series, format!("steps to {}", accuracy(threshold)))
}

/// `80 % accuracy`.
pub(super) fn accuracy(threshold: f64) -> String {
    format!("{} % accuracy", super::axis::tick_text(100.0 * threshold))
}

/// The intervals of every arm by size, from values by size and arm.
pub(super) fn by_arm(
    values: &[Vec<BySeed>],
    interval: impl Fn(&BySeed) -> Option<Interval>,
) -> Vec<Vec<Option<Interval>>> {
    let arms = values.first().map_or(0, Vec::len);
    (0..arms).map(|arm| values.iter().map(|at| interval(&at[arm])).collect()).collect()
}

/// The median between the quartiles.
fn middle(values: &BySeed, scale: f64) -> Option<Interval> {
    let q = quartiles(&all(values))?;
    Some(scaled(Interval { estimate: q.median, low: q.lower, high: q.upper }, scale))
}

/// The interval in units of `1 / scale`.
pub(super) fn scaled(Interval { estimate, low, high }: Interval, scale: f64) -> Interval {
    Interval { estimate: scale * estimate, low: scale * low, high: scale * high }
}

fn published_errors(results: &Results, runs: &Runs) -> Vec<Vec<(f64, f64)>> {
    let sizes = || runs.sizes.iter().flatten().copied();
    let ends = [sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max)];
    let of = |arm: &String| match results.published {
        true => published::errors(arm, ends),
        false => vec![],
    };
    results.arms.iter().map(of).collect()
}

fn draw_published(
    canvas: &mut Canvas,
    panel: &Panel,
    looks: &[Look],
    published: &[Vec<(f64, f64)>],
) {
    for (look, points) in looks.iter().zip(published) {
        let line: Vec<_> = points.iter().map(|(size, error)| panel.place(*size, *error)).collect();
        canvas.line(&line, Stroke { ink: look.color().faint(0.6), ..look.stroke(1.6) });
        for &at in &line {
            canvas.disc(at, 3.0, look.color().faint(0.6));
        }
    }
    if published.iter().any(|points| !points.is_empty()) {
        let below = (panel.area.left + 12.0, panel.area.bottom - 22.0);
        canvas.text("thin: published", below, Align::Left, TICK);
    }
}

fn caption(results: &Results, runs: &Runs) -> String {
    let published = match results.published {
        true => {
            "Thin lines: the paper's medians of 20 runs (AlexNet at 227 px, 62 million parameters; \
                 validation error at the best epoch, other images), for reference. "
        }
        false => "",
    };
    format!(
        "{} runs an arm and size. Error and steps: median, bars from the lower to the upper quartile; a \
         run that never gets there is above all others. Share: bars are {} % Wilson intervals. \
         Accuracy is that of the validation images. {published}{}{}",
        text::range(runs.counts().into_iter()),
        100.0 * CONFIDENCE,
        text::VARIES,
        runs.about_diverged(),
    )
}
