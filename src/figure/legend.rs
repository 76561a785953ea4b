//! The list of arms beside a figure: how each is drawn, and its name.

use super::canvas::{Align, Canvas, Point};
use super::style::{LABEL, Look};

/// Length of the piece of line before a name, and from its start to the name.
const PIECE: f64 = 58.0;
pub(super) const NAME: f64 = 72.0;
/// The most pixels a name may take; longer ones are cut.
const LONGEST: f64 = 380.0;
/// Between entries of one line.
const BETWEEN: f64 = 44.0;
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

/// The height of a legend across `room` pixels.
pub(super) fn flow_height(arms: &[String], room: f64) -> f64 {
    places(arms, room).last().map_or(0.0, |(_, y)| y + LINE)
}

/// Draws the legend across `room` pixels from its upper left corner, in as many lines as it takes.
pub(super) fn flow(canvas: &mut Canvas, arms: &[String], looks: &[Look], at: Point, room: f64) {
    for ((arm, look), (x, y)) in arms.iter().zip(looks).zip(places(arms, room)) {
        entry(canvas, arm, *look, (at.0 + x, at.1 + y + 0.5 * LINE));
    }
}

/// Where the entries of a legend across `room` pixels begin.
fn places(arms: &[String], room: f64) -> Vec<Point> {
    let (mut x, mut y) = (0.0, 0.0);
    let place = |arm: &String| {
        let width = NAME + LABEL.width(arm).min(LONGEST);
        if x > 0.0 && x + width > room {
            (x, y) = (0.0, y + LINE);
        }
        let at = (x, y);
        x += width + BETWEEN;
        at
    };
    arms.iter().map(place).collect()
}

/// Draws a piece of an arm's line, its marker and its name, from the left end of their middle.
pub(super) fn entry(canvas: &mut Canvas, arm: &str, look: Look, (x, y): Point) {
    canvas.line(&[(x, y), (x + PIECE, y)], look.stroke(4.0));
    look.mark(canvas, (x + PIECE / 2.0, y), 8.5);
    canvas.text(&LABEL.fit(arm, LONGEST), (x + NAME, y), Align::Left, LABEL);
}
