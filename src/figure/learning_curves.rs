//! Validation error by optimizer step, from before the first step on.
//!
//! A panel a training size, all with the same axes. Every step that was evaluated has a tick and a mark on
//! every line. The head start that signs give lies in the first steps, so steps are spaced by a logarithm
//! that begins with the first evaluation: early steps have room, and what lies before it, which nobody
//! looked at, has no more than they.

use super::axis::{Axis, tick_text, unit};
use super::canvas::{Canvas, Point};
use super::curves::{Curve, Curves, by_size};
use super::legend;
use super::panel::{Area, Panel};
use super::series::nested;
use super::style::{Look, MARGIN, WIDTH, looks};
use super::text;
use super::{Error, Results};

/// From the page's top to the legend, from there to the panels, and from these to the caption.
const ABOVE: f64 = 80.0;
const TO_PANELS: f64 = 52.0;
const BELOW: f64 = 96.0;
/// Height of all panels together, and the least of one.
const PANELS: f64 = 680.0;
const LEAST: f64 = 330.0;
/// Room for the numbers left of the panels.
const NUMBERS: f64 = 52.0;
/// Between panels, across and down.
const ACROSS: f64 = 40.0;
const DOWN: f64 = 64.0;

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let sizes = by_size(results)?;
    let looks = looks(&results.arms, &results.fluid);
    let (x, y) = axes(results, &sizes);
    let caption = caption(results, &sizes);
    let inner = WIDTH as f64 - 2.0 * MARGIN;
    let columns = columns(sizes.len());
    let rows = sizes.len().div_ceil(columns);
    let top = ABOVE + legend::flow_height(&results.arms, inner) + TO_PANELS;
    let bottom = top + PANELS.max(rows as f64 * LEAST);
    let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
    let right = WIDTH as f64 - MARGIN;
    let area = Area { left: MARGIN + NUMBERS, top, right, bottom };

    let mut canvas = Canvas::new(WIDTH, height as usize);
    text::title(&mut canvas, results.title);
    legend::flow(&mut canvas, &results.arms, &looks, (MARGIN, ABOVE), inner);
    text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);
    for (i, curves) in sizes.iter().enumerate() {
        let area = cell(area, i, columns, rows);
        let panel = Panel::new(area, x.clone(), y.clone());
        panel.frame(&mut canvas, i + columns >= sizes.len(), i % columns == 0);
        panel.guessing(&mut canvas, 100.0 * results.chance);
        panel.heading(&mut canvas, &heading(curves.size, sizes.len()));
        draw_curves(&mut canvas, &panel, &curves.arms, &looks);
    }
    let name = match unit(&x.ticks) {
        1.0 => "optimizer steps, spaced by log(1 + step)".to_owned(),
        first => format!("optimizer steps, spaced by log(1 + step / {})", tick_text(first)),
    };
    Panel::new(area, x, y).name_x(&mut canvas, &name);
    Ok(canvas)
}

/// What one of `count` panels shows.
fn heading(size: Option<f64>, count: usize) -> String {
    match size {
        Some(size) if count > 1 => format!("validation error, %, n = {}", tick_text(size)),
        size => format!("validation error{}, %", text::with_samples(size)),
    }
}

fn caption(results: &Results, sizes: &[Curves]) -> String {
    let curves = || sizes.iter().flat_map(|at| &at.arms);
    let ended: usize = curves().map(|curve| curve.ended_early).sum();
    let early = match ended {
        0 => String::new(),
        1 => " One run ended before its arm's last step and keeps its last value.".to_owned(),
        _ => format!(" {ended} runs ended before their arm's last step and keep their last value."),
    };
    format!(
        "Markers: median of {} runs an arm after each step that was evaluated; the lines between join them \
         and were not measured. {}Bands: from the lower to the upper quartile. Dotted: guessing. {}{early}",
        text::range(curves().map(|curve| curve.runs)),
        if results.arms.len() > 1 { NESTED } else { "" },
        text::VARIES,
    )
}

/// What markers that meet are.
const NESTED: &str = "Markers that meet lie within each other, the first arm's outermost. ";

/// The axes that all panels share.
fn axes(results: &Results, sizes: &[Curves]) -> (Axis, Axis) {
    let points = || sizes.iter().flat_map(|at| at.arms.iter().flat_map(|curve| &curve.points));
    let mut steps: Vec<f64> = points().map(|(step, _)| *step).collect();
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    let errors = points().flat_map(|(_, q)| [q.lower, q.upper]);
    (Axis::steps(&steps), Axis::percent(errors.chain([100.0 * results.chance]), 6))
}

/// Panels in a row, for `count` of them.
fn columns(count: usize) -> usize {
    (1..).find(|columns| columns * columns >= count).map_or(1, |square| match count {
        2 | 3 => count,
        _ => square,
    })
}

/// The area of the `i`th panel in a grid over `whole`.
fn cell(whole: Area, i: usize, columns: usize, rows: usize) -> Area {
    let width = (whole.width() + ACROSS) / columns as f64;
    let height = (whole.height() + DOWN) / rows as f64;
    let (left, top) =
        (whole.left + (i % columns) as f64 * width, whole.top + (i / columns) as f64 * height);
    Area { left, top, right: left + width - ACROSS, bottom: top + height - DOWN }
}

fn draw_curves(canvas: &mut Canvas, panel: &Panel, arms: &[Curve], looks: &[Look]) {
    for (curve, look) in arms.iter().zip(looks) {
        let edges: Vec<_> = curve
            .points
            .iter()
            .map(|(step, q)| (panel.place(*step, q.lower), panel.height(q.upper)))
            .map(|((x, lower), upper)| (x, lower, upper))
            .collect();
        canvas.band(&edges, look.color().faint(0.13));
    }
    for (arm, (curve, look)) in arms.iter().zip(looks).enumerate() {
        let line: Vec<Point> =
            curve.points.iter().map(|(step, q)| panel.place(*step, q.median)).collect();
        canvas.line(&line, look.stroke(3.0));
        let radius = nested(arm, looks.len());
        line.into_iter().for_each(|at| look.mark(canvas, at, radius));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_fill_a_grid_without_touching() {
        let shapes = [1, 2, 3, 4, 6, 10].map(|n| (columns(n), n.div_ceil(columns(n))));
        assert_eq!(shapes, [(1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (4, 3)]);
        let whole = Area { left: 0.0, top: 0.0, right: 1000.0, bottom: 500.0 };
        let (first, last) = (cell(whole, 0, 3, 2), cell(whole, 5, 3, 2));
        assert_eq!((first.left, first.top), (0.0, 0.0));
        approx::assert_relative_eq!(last.right, 1000.0);
        approx::assert_relative_eq!(last.bottom, 500.0);
        assert!(cell(whole, 1, 3, 2).left > first.right);
    }
}
