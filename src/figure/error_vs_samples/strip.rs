//! One training size: arms as rows, runs as dots.

use super::Shown;
use crate::figure::axis::Axis;
use crate::figure::canvas::{Align, Canvas, Stroke};
use crate::figure::legend;
use crate::figure::panel::{Area, Panel};
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
pub(super) fn draw(shown: &Shown) -> Canvas {
    let (results, looks) = (shown.results, &shown.looks);
    let caption = caption(shown);
    let inner = WIDTH as f64 - 2.0 * MARGIN;
    let bottom = ABOVE + ROW * results.arms.len() as f64;
    let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
    let mut canvas = Canvas::new(WIDTH, height as usize);
    text::title(&mut canvas, results.title);
    text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);

    for (row, (arm, look)) in results.arms.iter().zip(looks).enumerate() {
        legend::entry(&mut canvas, arm, *look, (MARGIN, middle(row) - 14.0));
        let below = (MARGIN + legend::NAME, middle(row) + 18.0);
        canvas.text(&summary(&shown.errors[0][row]), below, Align::Left, TICK);
    }
    let left = MARGIN + legend::width(&results.arms) + GAP;
    let right = canvas.width() - MARGIN;
    let area = Area { left, top: ABOVE, right, bottom };
    match shown.baseline {
        None => errors(&mut canvas, shown, area),
        Some(baseline) => {
            let numbers = right - LABEL.width(WIDEST);
            let split = left + 0.6 * (numbers - left);
            errors(&mut canvas, shown, Area { right: split, ..area });
            let area = Area { left: split + GAP, right: numbers - 12.0, ..area };
            differences(&mut canvas, shown, baseline, area);
        }
    }
    canvas
}

/// Median and quartiles of shares in percent, which come last so that a tie rounds as in a report.
fn summary(errors: &[f64]) -> String {
    quartiles(errors).map_or("no test error".to_owned(), |q| {
        let [median, lower, upper] = [q.median, q.lower, q.upper].map(|share| 100.0 * share);
        format!("{median:.1} ({lower:.1} to {upper:.1})")
    })
}

/// The middle of a row on the page.
fn middle(row: usize) -> f64 {
    ABOVE + ROW * (row as f64 + 0.5)
}

fn caption(shown: &Shown) -> String {
    format!(
        "Dots: runs, {} an arm. Bar and number: median. Box and brackets: from the lower to the \
         upper quartile. {}{}",
        text::range(shown.counts()),
        text::about_runs(&shown.runs, &shown.compared, shown.baseline),
        shown.runs.about_diverged(),
    )
}

fn errors(canvas: &mut Canvas, shown: &Shown, area: Area) {
    let values = (0..shown.looks.len()).flat_map(|arm| shown.percent(0, arm));
    let panel = Panel::new(area, Axis::percent(values, 7), Axis::rows());
    panel.frame(canvas, true, false);
    let heading =
        format!("test error after the last step{}, %", text::with_samples(shown.runs.sizes[0]));
    panel.heading(canvas, &heading);
    for (row, look) in shown.looks.iter().enumerate() {
        let (y, values) = (middle(row), shown.percent(0, row));
        let place = |error: f64| panel.place(error, 0.0).0;
        let Some(quartiles) = quartiles(&values) else {
            continue;
        };
        let corners = ((place(quartiles.lower), y - BOX), (place(quartiles.upper), y + BOX));
        canvas.rectangle(corners.0, corners.1, look.color().faint(0.18));
        let median = place(quartiles.median);
        canvas.line(&[(median, y - BAR), (median, y + BAR)], Stroke::solid(DARK, 4.0));
        dots(canvas, values, *look, y, place);
    }
}

/// Draws each run's dot on its error; dots that would touch move up or down.
fn dots(canvas: &mut Canvas, mut values: Vec<f64>, look: Look, y: f64, place: impl Fn(f64) -> f64) {
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

fn differences(canvas: &mut Canvas, shown: &Shown, baseline: usize, area: Area) {
    let arms = 0..shown.looks.len();
    let intervals: Vec<_> = arms.map(|arm| shown.difference(0, arm, baseline)).collect();
    let ends = intervals.iter().flatten().flat_map(|i| [i.estimate, i.low, i.high]);
    let panel = Panel::new(area, Axis::linear(ends.chain([0.0]), 5), Axis::rows());
    panel.frame(canvas, true, false);
    panel.heading(canvas, &text::difference_to(&shown.results.arms[baseline]));
    let zero = panel.place(0.0, 0.0).0;
    canvas.line(&[(zero, area.top), (zero, area.bottom)], Stroke::solid(MUTED, 2.0));

    for (row, (interval, look)) in intervals.into_iter().zip(&shown.looks).enumerate() {
        let (y, right) = (middle(row), canvas.width() - MARGIN);
        let Some(interval) = interval else {
            let text = if row == baseline { "baseline" } else { "no pairs" };
            canvas.text(text, (right, y), Align::Right, AXIS);
            continue;
        };
        canvas.text(&text::difference(interval), (right, y), Align::Right, LABEL);
        let end = |value: f64| panel.place(value.clamp(panel.x.low, panel.x.high), 0.0).0;
        let bar = [(end(interval.low), y), (end(interval.high), y)];
        canvas.line(&bar, Stroke::solid(look.color(), 4.0));
        look.mark(canvas, (end(interval.estimate), y), 9.0);
    }
}
