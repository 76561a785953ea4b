//! Arms as rows, paired differences to the baseline as columns: how much each condition does.
//!
//! - **controls**: the difference in test error, a column a training size, all on one scale.
//! - **layers**: the difference early and late in training, a column a tabulated step and one for the
//!   test error, at the smallest training size, where signs do most. Each column has its own scale: the
//!   first steps would leave the last no room.
//!
//! Nothing is tested: tests are for claims, which are written before the runs and stand in the report.

use super::axis::{Axis, tick_text};
use super::canvas::{Align, Canvas, Stroke};
use super::legend;
use super::measured::{Runs, difference};
use super::panel::{Area, Panel};
use super::style::{LABEL, Look, MARGIN, MUTED, TICK, WIDTH, looks};
use super::text;
use super::{Error, Results};
use crate::results::{BySeed, Measure};
use crate::stats::{CONFIDENCE, Interval};

/// Height of an arm's row.
const ROW: f64 = 64.0;
/// From the page's top to the first row, and from the last row to the caption.
const ABOVE: f64 = 140.0;
const BELOW: f64 = 60.0;
/// Between panels.
const GAP: f64 = 36.0;
/// Pixels from one number of an axis to the next, or more.
const APART: f64 = 80.0;

/// Written in the baseline's row.
const BASELINE: &str = "baseline";

/// One panel: what it shows, and the difference of every arm.
struct Column {
    heading: String,
    differences: Vec<Option<Interval>>,
}

/// What the columns have in common.
struct Shown<'a> {
    what: &'a str,
    /// Whether each column has its own scale.
    has_scales: bool,
}

/// Draws the figure of the controls.
pub(super) fn draw_controls(results: &Results) -> Result<Canvas, Error> {
    let baseline = results.required_baseline()?;
    let runs = Runs::new(results)?;
    let values = runs.compared(Measure::TestErrorLast);
    let column = |(size, values): (&Option<f64>, &Vec<BySeed>)| Column {
        heading: size.map_or("last step".into(), |size| format!("n = {}", tick_text(size))),
        differences: differences(values, baseline),
    };
    let columns: Vec<Column> = runs.sizes.iter().zip(&values).map(column).collect();
    let shown = Shown { what: "test error after the last step", has_scales: false };
    Ok(draw(results, &runs, baseline, &columns, &shown))
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
    let columns: Vec<Column> = early
        .chain([("last step, test images".to_owned(), Measure::TestErrorLast)])
        .map(|(heading, measure)| Column {
            heading,
            differences: differences(&runs.compared(measure)[0], baseline),
        })
        .collect();
    let what = match runs.sizes[0] {
        Some(size) => format!("error with {} training samples", tick_text(size)),
        None => "error".to_owned(),
    };
    let shown = Shown { what: &what, has_scales: true };
    Ok(draw(results, &runs, baseline, &columns, &shown))
}

/// The difference of every arm to the baseline, in points.
fn differences(values: &[BySeed], baseline: usize) -> Vec<Option<Interval>> {
    let of = |(arm, errors): (usize, &BySeed)| {
        let errors_of_baseline = values.get(baseline).filter(|_| arm != baseline)?;
        difference(errors, errors_of_baseline, 100.0)
    };
    values.iter().enumerate().map(of).collect()
}

fn draw(
    results: &Results,
    runs: &Runs,
    baseline: usize,
    columns: &[Column],
    shown: &Shown,
) -> Canvas {
    let looks = looks(&results.arms, &results.fluid);
    let caption = caption(runs, &results.arms[baseline], shown);
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
    let width = (WIDTH as f64 - MARGIN - left + GAP) / columns.len() as f64;
    for (place, column) in columns.iter().enumerate() {
        let start = left + place as f64 * width;
        let area = Area { left: start, top: ABOVE, right: start + width - GAP, bottom };
        let of_scale = if shown.has_scales { std::slice::from_ref(column) } else { columns };
        let panel = Panel::new(area, scale(of_scale, area.width()), Axis::rows());
        draw_column(&mut canvas, &panel, column, &looks, baseline);
    }
    let what = format!("{}: difference to {}, points", shown.what, results.arms[baseline]);
    canvas.text(&LABEL.fit(&what, inner), (MARGIN, 88.0), Align::Left, LABEL);
    canvas
}

/// An axis that holds all differences of `columns`, their ends and 0.
fn scale(columns: &[Column], width: f64) -> Axis {
    let known = columns.iter().flat_map(|column| column.differences.iter().flatten());
    let ends = known.flat_map(|i| [i.estimate, i.low, i.high]);
    Axis::linear(ends.chain([0.0]), ((width / APART) as usize).clamp(2, 7))
}

fn draw_column(
    canvas: &mut Canvas,
    panel: &Panel,
    column: &Column,
    looks: &[Look],
    baseline: usize,
) {
    panel.frame(canvas, true, false);
    panel.heading(canvas, &column.heading);
    let (area, zero) = (panel.area, panel.place(0.0, 0.0).0);
    canvas.line(&[(zero, area.top), (zero, area.bottom)], Stroke::solid(MUTED, 2.0));
    for (row, (found, look)) in column.differences.iter().zip(looks).enumerate() {
        if row == baseline {
            let width = TICK.width(BASELINE);
            let beside = if zero < area.middle() { zero + 10.0 } else { zero - 10.0 - width };
            let at = beside.min(area.right - width).max(area.left);
            canvas.text(BASELINE, (at, middle(row)), Align::Left, TICK);
        }
        let Some(Interval { estimate, low, high }) = *found else { continue };
        let place = |value: f64| panel.place(value.clamp(panel.x.low, panel.x.high), 0.0).0;
        let y = middle(row);
        canvas.line(&[(place(low), y), (place(high), y)], Stroke::solid(look.color(), 4.0));
        look.mark(canvas, (place(estimate), y), 9.0);
    }
}

/// The middle of a row on the page.
fn middle(row: usize) -> f64 {
    ABOVE + ROW * (row as f64 + 0.5)
}

fn caption(runs: &Runs, baseline: &str, shown: &Shown) -> String {
    let scales = if shown.has_scales { "Each panel has its own scale. " } else { "" };
    format!(
        "Left of the line: a smaller {} than {baseline}. {scales}{} runs an arm and size. Markers: median of \
         the differences by seed. Bars: {} % BCa bootstrap intervals. Nothing is tested here: claims are, \
         in the report. {}{}{}",
        shown.what,
        text::range(runs.counts().into_iter()),
        100.0 * CONFIDENCE,
        runs.about_sources(),
        text::VARIES,
        runs.about_diverged(),
    )
}
