//! One training size: arms as rows, runs as dots.

use crate::figure::Results;
use crate::figure::axis::Axis;
use crate::figure::canvas::{Align, Canvas, Stroke};
use crate::figure::legend;
use crate::figure::panel::{Area, Panel};
use crate::figure::runs::{AtSize, Runs};
use crate::figure::style::{AXIS, DARK, LABEL, Look, MARGIN, MUTED, TICK, WIDTH};
use crate::figure::text;
use crate::stats::quantile::quartiles;

/// Height of an arm's row.
const ROW: f64 = 92.0;
/// From the page's top to the first row, and from the last row to the caption.
const ABOVE: f64 = 140.0;
const BELOW: f64 = 56.0;
/// Radius of a run's dot: of few runs and of many.
const DOT: [f64; 2] = [7.5, 6.0];
const MANY: usize = 12;
/// Half the height of the box between the quartiles, and of the median's bar.
const BOX: f64 = 27.0;
const BAR: f64 = 36.0;
/// A difference as wide as the column of differences has room for.
const WIDEST: &str = "−00.0 [−00.0, −00.0]";
/// Between panels.
const GAP: f64 = 52.0;

/// Draws the page.
pub(super) fn draw(
    results: &Results,
    at: &AtSize,
    baseline: Option<usize>,
    looks: &[Look],
) -> Canvas {
    let caption = caption(results, at, baseline);
    let inner = WIDTH as f64 - 2.0 * MARGIN;
    let bottom = ABOVE + ROW * results.arms.len() as f64;
    let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
    let mut canvas = Canvas::new(WIDTH, height as usize);
    text::title(&mut canvas, results.title);
    text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);

    for (row, (arm, look)) in results.arms.iter().zip(looks).enumerate() {
        legend::entry(&mut canvas, arm, *look, (MARGIN, middle(row) - 14.0));
        let below = (MARGIN + legend::NAME, middle(row) + 18.0);
        canvas.text(&summary(&at.arms[row]), below, Align::Left, TICK);
    }
    let left = MARGIN + legend::width(&results.arms) + GAP;
    let right = canvas.width() - MARGIN;
    let area = Area { left, top: ABOVE, right, bottom };
    match baseline {
        None => errors(&mut canvas, at, looks, area),
        Some(baseline) => {
            let numbers = right - LABEL.width(WIDEST);
            let split = left + 0.6 * (numbers - left);
            errors(&mut canvas, at, looks, Area { right: split, ..area });
            let area = Area { left: split + GAP, right: numbers - 12.0, ..area };
            differences(&mut canvas, results, at, looks, baseline, area);
        }
    }
    canvas
}

/// Median and quartiles in words.
fn summary(runs: &Runs) -> String {
    quartiles(&runs.values()).map_or("no test error".to_owned(), |q| {
        format!("{:.1} ({:.1} to {:.1})", q.median, q.lower, q.upper)
    })
}

/// The middle of a row on the page.
fn middle(row: usize) -> f64 {
    ABOVE + ROW * (row as f64 + 0.5)
}

fn caption(results: &Results, at: &AtSize, baseline: Option<usize>) -> String {
    format!(
        "Dots: runs, {} an arm. Bar and number: median. Box and brackets: from the lower to the \
         upper quartile. {}{}",
        text::range(at.arms.iter().map(|runs| runs.errors.len())),
        text::about_runs(std::slice::from_ref(at), baseline),
        text::about_diverged(std::slice::from_ref(at), &results.arms),
    )
}

/// A panel whose vertical axis is not drawn: rows are placed by hand.
fn panel(x: Axis, area: Area) -> Panel {
    let y = Axis { ticks: vec![], ..Axis::linear([0.0, 1.0], 1) };
    Panel { area, x, y }
}

fn errors(canvas: &mut Canvas, at: &AtSize, looks: &[Look], area: Area) {
    let values = at.arms.iter().flat_map(Runs::values);
    let panel = panel(Axis::percent(values, 7), area);
    panel.frame(canvas, true, false);
    panel.heading(canvas, &format!("test error{}, %", text::with_samples(at.size)));
    for (row, (runs, look)) in at.arms.iter().zip(looks).enumerate() {
        let y = middle(row);
        let place = |error: f64| panel.place(error, 0.0).0;
        let Some(quartiles) = quartiles(&runs.values()) else {
            continue;
        };
        let corners = ((place(quartiles.lower), y - BOX), (place(quartiles.upper), y + BOX));
        canvas.rectangle(corners.0, corners.1, look.color().faint(0.18));
        let median = place(quartiles.median);
        canvas.line(&[(median, y - BAR), (median, y + BAR)], Stroke::solid(DARK, 4.0));
        dots(canvas, runs, *look, y, place);
    }
}

/// Draws each run's dot on its error; dots that would touch move up or down.
fn dots(canvas: &mut Canvas, runs: &Runs, look: Look, y: f64, place: impl Fn(f64) -> f64) {
    let mut values = runs.values();
    let radius = if values.len() > MANY { DOT[1] } else { DOT[0] };
    values.sort_by(f64::total_cmp);
    let mut lanes: Vec<f64> = Vec::new();
    for x in values.into_iter().map(place) {
        let free = lanes.iter().position(|end| end + 2.0 * radius < x).unwrap_or(lanes.len());
        match lanes.get_mut(free) {
            Some(end) => *end = x,
            None => lanes.push(x),
        }
        // Lanes lie at 0, 1, −1, 2, −2, … and start again where the row ends.
        let lane = free % 5;
        let side = if lane % 2 == 1 { -1.0 } else { 1.0 };
        let shift = side * lane.div_ceil(2) as f64 * 1.7 * radius;
        look.mark(canvas, (x, y + shift), radius);
    }
}

fn differences(
    canvas: &mut Canvas,
    results: &Results,
    at: &AtSize,
    looks: &[Look],
    baseline: usize,
    area: Area,
) {
    let intervals: Vec<_> =
        at.arms.iter().map(|runs| runs.difference_to(&at.arms[baseline])).collect();
    let ends = intervals.iter().flatten().flat_map(|i| [i.estimate, i.low, i.high]);
    let panel = panel(Axis::linear(ends.chain([0.0]), 5), area);
    panel.frame(canvas, true, false);
    panel.heading(canvas, &text::difference_to(&results.arms[baseline]));
    let zero = panel.place(0.0, 0.0).0;
    canvas.line(&[(zero, area.top), (zero, area.bottom)], Stroke::solid(MUTED, 2.0));

    for (row, interval) in intervals.into_iter().enumerate() {
        let (y, right) = (middle(row), canvas.width() - MARGIN);
        let Some(interval) = interval.filter(|_| row != baseline) else {
            let text = if row == baseline { "baseline" } else { "no pairs" };
            canvas.text(text, (right, y), Align::Right, AXIS);
            continue;
        };
        canvas.text(&text::difference(interval), (right, y), Align::Right, LABEL);
        let end = |value: f64| panel.place(value.clamp(panel.x.low, panel.x.high), 0.0).0;
        let bar = [(end(interval.low), y), (end(interval.high), y)];
        canvas.line(&bar, Stroke::solid(looks[row].color(), 4.0));
        looks[row].mark(canvas, (end(interval.estimate), y), 9.0);
    }
}
