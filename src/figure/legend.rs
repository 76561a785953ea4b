//! The list of arms beside a figure: how each is drawn, and its name.

use super::canvas::{Align, Canvas, Point};
use super::style::{LABEL, Look};

/// Length of the piece of line before a name, and from its start to the name.
const PIECE: f64 = 58.0;
pub(super) const NAME: f64 = 72.0;
/// The most pixels a name may take; longer ones are cut.
const LONGEST: f64 = 380.0;
/// Height of a line.
const LINE: f64 = 40.0;

/// The width that a legend of these arms takes.
pub(super) fn width(arms: &[String]) -> f64 {
    NAME + arms.iter().map(|arm| LABEL.width(arm)).fold(0.0, f64::max).min(LONGEST)
}

/// Draws the legend from its upper left corner.
pub(super) fn draw(canvas: &mut Canvas, arms: &[String], looks: &[Look], at: Point) {
    for (i, (arm, look)) in arms.iter().zip(looks).enumerate() {
        entry(canvas, arm, *look, (at.0, at.1 + (i as f64 + 0.5) * LINE));
    }
}

/// Draws a piece of an arm's line, its marker and its name, from the left end of their middle.
pub(super) fn entry(canvas: &mut Canvas, arm: &str, look: Look, (x, y): Point) {
    canvas.line(&[(x, y), (x + PIECE, y)], look.stroke(4.0));
    look.mark(canvas, (x + PIECE / 2.0, y), 8.5);
    canvas.text(&LABEL.fit(arm, LONGEST), (x + NAME, y), Align::Left, LABEL);
}
