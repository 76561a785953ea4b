//! Arms as rows, paired differences to the baseline as columns: how much each condition does.
//!
//! - **controls**: the difference in test error, a column a training size.
//! - **layers**: the difference early and late in training, a column a tabulated step and one for the
//!   test error, at the smallest training size, where signs do most.

use super::axis::{Axis, near_ends, tick_text};
use super::canvas::{Align, Canvas, Stroke};
use super::legend;
use super::measured::Runs;
use super::panel::{Area, Panel};
use super::style::{AXIS, LABEL, Look, MARGIN, MUTED, STAR, TICK, WIDTH, looks};
use super::text;
use super::{Error, Results};
use crate::results::{BySeed, Measure, Paired};
use crate::stats::hypothesis::holm;
use crate::stats::{CONFIDENCE, Interval};

/// Height of an arm's row.
const ROW: f64 = 64.0;
/// From the page's top to the first row, and from the last row to the caption.
const ABOVE: f64 = 140.0;
const BELOW: f64 = 56.0;
/// Between panels.
const GAP: f64 = 36.0;
/// The level of significance.
const LEVEL: f64 = 0.05;

/// One panel: what it shows, and the difference of every arm with its p value.
struct Column {
    heading: String,
    differences: Vec<Option<(Interval, f64)>>,
}

/// Draws the figure of the controls.
pub(super) fn draw_controls(results: &Results) -> Result<Canvas, Error> {
    let baseline = results.required_baseline()?;
    let runs = Runs::new(results)?;
    let values = runs.compared(Measure::TestError);
    let column = |(size, values): (&Option<f64>, &Vec<BySeed>)| Column {
        heading: size.map_or("test error".into(), |size| format!("n = {}", tick_text(size))),
        differences: differences(values, baseline),
    };
    let columns = runs.sizes.iter().zip(&values).map(column).collect();
    Ok(draw(results, &runs, baseline, columns, "test error"))
}

/// Draws the figure of the layers.
pub(super) fn draw_layers(results: &Results) -> Result<Canvas, Error> {
    let baseline = results.required_baseline()?;
    let runs = Runs::new(results)?;
    let early = results.steps.iter().map(|step| {
        let heading = match step {
            0 => "before training".to_owned(),
            1 => "after 1 step".to_owned(),
            step => format!("after {step} steps"),
        };
        (heading, Measure::ValidationErrorAt(*step))
    });
    let columns = early
        .chain([("test error".to_owned(), Measure::TestError)])
        .map(|(heading, measure)| Column {
            heading,
            differences: differences(&runs.compared(measure)[0], baseline),
        })
        .collect();
    let what = match runs.sizes[0] {
        Some(size) => format!("error with {} training samples", tick_text(size)),
        None => "error".to_owned(),
    };
    Ok(draw(results, &runs, baseline, columns, &what))
}

/// The difference of every arm to the baseline, in points.
fn differences(values: &[BySeed], baseline: usize) -> Vec<Option<(Interval, f64)>> {
    let of = |(arm, errors): (usize, &BySeed)| {
        let errors_of_baseline = values.get(baseline).filter(|_| arm != baseline)?;
        let paired = Paired::new(errors, errors_of_baseline)?;
        let Interval { estimate, low, high } = paired.median();
        let interval =
            Interval { estimate: 100.0 * estimate, low: 100.0 * low, high: 100.0 * high };
        Some((interval, paired.test().p))
    };
    values.iter().enumerate().map(of).collect()
}

fn draw(
    results: &Results,
    runs: &Runs,
    baseline: usize,
    columns: Vec<Column>,
    what: &str,
) -> Canvas {
    let looks = looks(&results.arms, &results.fluid);
    let p: Vec<f64> =
        columns.iter().flat_map(|c| c.differences.iter().flatten().map(|(_, p)| *p)).collect();
    let mut adjusted = holm(&p).unwrap_or_default().into_iter();
    let caption = caption(runs, &results.arms[baseline], what, p.len());
    let inner = WIDTH as f64 - 2.0 * MARGIN;
    let bottom = ABOVE + ROW * results.arms.len() as f64;
    let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
    let mut canvas = Canvas::new(WIDTH, height as usize);
    text::title(&mut canvas, results.title);
    text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);
    for (row, (arm, look)) in results.arms.iter().zip(&looks).enumerate() {
        legend::entry(&mut canvas, arm, *look, (MARGIN, middle(row)));
    }

    let left = MARGIN + legend::width(&results.arms) + GAP;
    let known = columns.iter().flat_map(|column| column.differences.iter().flatten());
    let few = if columns.len() > 2 { 3 } else { 6 };
    let x = Axis::linear(near_ends(known.map(|(interval, _)| *interval)), few);
    let width = (WIDTH as f64 - MARGIN - left + GAP) / columns.len() as f64;
    for (place, column) in columns.iter().enumerate() {
        let start = left + place as f64 * width;
        let area = Area { left: start, top: ABOVE, right: start + width - GAP, bottom };
        let y = Axis { ticks: vec![], ..Axis::linear([0.0, 1.0], 1) };
        let panel = Panel { area, x: x.clone(), y };
        panel.frame(&mut canvas, true, false);
        panel.heading(&mut canvas, &AXIS.fit(&column.heading, area.width()));
        let zero = panel.place(0.0, 0.0).0;
        canvas.line(&[(zero, area.top), (zero, area.bottom)], Stroke::solid(MUTED, 2.0));
        for (row, (found, look)) in column.differences.iter().zip(&looks).enumerate() {
            if row == baseline {
                let (at, align) = match zero < area.middle() {
                    true => (zero + 10.0, Align::Left),
                    false => (zero - 10.0, Align::Right),
                };
                canvas.text("baseline", (at, middle(row)), align, TICK);
            }
            let Some((interval, _)) = found else { continue };
            let is_significant = adjusted.next().is_some_and(|p| p < LEVEL);
            draw_difference(&mut canvas, &panel, middle(row), *interval, *look, is_significant);
        }
    }
    canvas.text(
        &format!("{what}: difference to {}, points", results.arms[baseline]),
        (MARGIN, 88.0),
        Align::Left,
        LABEL,
    );
    canvas
}

fn draw_difference(
    canvas: &mut Canvas,
    panel: &Panel,
    y: f64,
    interval: Interval,
    look: Look,
    is_significant: bool,
) {
    let end = |value: f64| panel.place(value.clamp(panel.x.low, panel.x.high), 0.0).0;
    let (low, high) = (end(interval.low), end(interval.high));
    canvas.line(&[(low, y), (high, y)], Stroke::solid(look.color(), 4.0));
    look.mark(canvas, (end(interval.estimate), y), 9.0);
    if is_significant {
        canvas.text("*", (high + 14.0, y + 8.0), Align::Centre, STAR);
    }
}

/// The middle of a row on the page.
fn middle(row: usize) -> f64 {
    ABOVE + ROW * (row as f64 + 0.5)
}

fn caption(runs: &Runs, baseline: &str, what: &str, comparisons: usize) -> String {
    format!(
        "Left of the line: a smaller {what} than {baseline}. {} runs an arm and size. Markers: median of \
         the differences by seed. Bars: {} % BCa bootstrap intervals; one that reaches the edge goes on. \
         Star: p < {LEVEL} by Wilcoxon's \
         signed-rank test, adjusted by Holm's method over all {comparisons} comparisons of the figure. \
         {}{}{}",
        text::range(runs.counts().into_iter()),
        100.0 * CONFIDENCE,
        runs.about_sources(),
        text::VARIES,
        runs.about_diverged(),
    )
}
