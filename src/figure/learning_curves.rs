//! Validation error by optimizer step, from before the first step on.
//!
//! A panel a training size, all with the same axes. The head start that signs give lies in the
//! first steps, so steps are spaced by the logarithm of one more than their number: step 0 has a
//! place, and early steps have room.

use super::axis::{Axis, tick_text};
use super::canvas::{Align, Canvas, Point};
use super::curves::{Curve, Curves, by_size};
use super::legend;
use super::panel::{Area, Panel};
use super::style::{AXIS, Look, MARGIN, WIDTH, looks};
use super::text;
use super::{Error, Results};

/// From the page's top to one panel and to several, and from the panels to the caption.
const ABOVE: [f64; 2] = [130.0, 160.0];
const BELOW: f64 = 92.0;
/// Height of all panels together.
const PANELS: f64 = 680.0;
/// Room for the numbers left of the panels.
const NUMBERS: f64 = 52.0;
/// Between panels, across and down.
const ACROSS: f64 = 40.0;
const DOWN: f64 = 52.0;
/// Pixels between the markers of a line.
const MARKERS: f64 = 120.0;

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let sizes = by_size(results)?;
    let looks = looks(&results.arms, &results.fluid);
    let caption = caption(&sizes);
    let inner = WIDTH as f64 - 2.0 * MARGIN;
    let top = if sizes.len() > 1 { ABOVE[1] } else { ABOVE[0] };
    let bottom = top + PANELS;
    let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
    let right = WIDTH as f64 - MARGIN - legend::width(&results.arms) - 32.0;
    let area = Area { left: MARGIN + NUMBERS, top, right, bottom };

    let mut canvas = Canvas::new(WIDTH, height as usize);
    text::title(&mut canvas, results.title);
    if sizes.len() > 1 {
        canvas.text("validation error, %", (MARGIN, 94.0), Align::Left, AXIS);
    }
    legend::draw(&mut canvas, &results.arms, &looks, (right + 32.0, top - 6.0));
    text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);

    let (x, y) = axes(results, &sizes);
    let columns = columns(sizes.len());
    for (i, curves) in sizes.iter().enumerate() {
        let area = cell(area, i, columns, sizes.len().div_ceil(columns));
        let panel = Panel { area, x: x.clone(), y: y.clone() };
        panel.frame(&mut canvas, i + columns >= sizes.len(), i % columns == 0);
        panel.guessing(&mut canvas, 100.0 * results.chance);
        match curves.size {
            Some(size) if sizes.len() > 1 => {
                panel.heading(&mut canvas, &format!("{} training samples", tick_text(size)));
            }
            size => {
                let heading = format!("validation error{}, %", text::with_samples(size));
                panel.heading(&mut canvas, &heading);
            }
        }
        draw_curves(&mut canvas, &panel, &curves.arms, &looks);
    }
    let name = "optimizer steps, spaced by log(1 + step)";
    Panel { area, x, y }.name_x(&mut canvas, name);
    Ok(canvas)
}

fn caption(sizes: &[Curves]) -> String {
    let curves = || sizes.iter().flat_map(|at| &at.arms);
    let ended: usize = curves().map(|curve| curve.ended_early).sum();
    let early = match ended {
        0 => String::new(),
        1 => " One run ended before its arm's last step and keeps its last value.".to_owned(),
        _ => format!(" {ended} runs ended before their arm's last step and keep their last value."),
    };
    format!(
        "Lines: median of {} runs an arm. Bands: from the lower to the upper quartile. Dotted: \
         guessing. {}{early}",
        text::range(curves().map(|curve| curve.runs)),
        text::VARIES,
    )
}

/// The axes that all panels share.
fn axes(results: &Results, sizes: &[Curves]) -> (Axis, Axis) {
    let points = || sizes.iter().flat_map(|at| at.arms.iter().flat_map(|curve| &curve.points));
    let last = points().map(|(step, _)| *step).fold(0.0, f64::max);
    let errors = points().flat_map(|(_, q)| [q.lower, q.upper]);
    (Axis::steps(last), Axis::percent(errors.chain([100.0 * results.chance]), 6))
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
        canvas.line(&line, look.stroke(3.5));
        // Each arm's markers start elsewhere, so that arms that run together stay visible.
        let mut next = panel.area.left + MARKERS * (arm as f64 + 0.5) / looks.len() as f64;
        for &at in &line {
            if at.0 >= next {
                look.mark(canvas, at, 7.5);
                next = at.0 + MARKERS;
            }
        }
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
