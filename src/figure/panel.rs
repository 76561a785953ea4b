//! A panel: a rectangle of the page with an axis along two of its sides.

use super::axis::{Axis, tick_text};
use super::canvas::{Align, Canvas, Point, Stroke};
use super::style::{AXIS, GRID, MUTED, TICK};

/// From a panel's lower edge to the middle of its tick numbers, and from there to its axis' name.
const BELOW: [f64; 2] = [24.0, 34.0];

/// A rectangle of the page, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Area {
    /// The middle between left and right.
    pub(super) fn middle(self) -> f64 {
        (self.left + self.right) / 2.0
    }

    /// From left to right.
    pub(super) fn width(self) -> f64 {
        self.right - self.left
    }

    /// From top to bottom.
    pub(super) fn height(self) -> f64 {
        self.bottom - self.top
    }
}

/// An area with its horizontal and its vertical axis.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) area: Area,
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Panel {
    /// The place of the point (x, y) on the page.
    pub(super) fn place(&self, x: f64, y: f64) -> Point {
        // Logarithms may differ in their last bit between machines; places must not.
        let whole = |pixels: f64| (pixels * 64.0).round() / 64.0;
        let Area { left, bottom, .. } = self.area;
        let (across, up) =
            (self.x.share(x) * self.area.width(), self.y.share(y) * self.area.height());
        (whole(left + across), whole(bottom - up))
    }

    /// The height of `y` on the page.
    pub(super) fn height(&self, y: f64) -> f64 {
        self.place(self.x.low, y).1
    }

    /// Draws the grid, and the numbers along the sides that are asked for. Where numbers below
    /// would touch, the larger one is kept.
    pub(super) fn frame(&self, canvas: &mut Canvas, numbers_below: bool, numbers_left: bool) {
        let Area { left, top, right, bottom } = self.area;
        let grid = Stroke::solid(GRID, 1.5);
        for &tick in &self.y.ticks {
            let y = self.height(tick);
            canvas.line(&[(left, y), (right, y)], grid);
            if numbers_left {
                canvas.text(&tick_text(tick), (left - 12.0, y), Align::Right, TICK);
            }
        }
        let mut free_to = f64::INFINITY;
        for &tick in self.x.ticks.iter().rev() {
            let x = self.place(tick, self.y.low).0;
            canvas.line(&[(x, top), (x, bottom)], grid);
            let text = tick_text(tick);
            let half = TICK.width(&text) / 2.0;
            if numbers_below && x + half < free_to {
                canvas.text(&text, (x, bottom + BELOW[0]), Align::Centre, TICK);
                free_to = x - half - 8.0;
            }
        }
        canvas.line(&[(left, bottom), (right, bottom)], Stroke::solid(MUTED, 1.5));
    }

    /// Writes the horizontal axis' name under its numbers.
    pub(super) fn name_x(&self, canvas: &mut Canvas, name: &str) {
        let y = self.area.bottom + BELOW[0] + BELOW[1];
        canvas.text(name, (self.area.middle(), y), Align::Centre, AXIS);
    }

    /// Writes what the panel shows over its upper left corner.
    pub(super) fn heading(&self, canvas: &mut Canvas, text: &str) {
        canvas.text(text, (self.area.left, self.area.top - 20.0), Align::Left, AXIS);
    }

    /// Draws the error of guessing as a dotted line, where the vertical axis reaches it.
    pub(super) fn guessing(&self, canvas: &mut Canvas, chance: f64) {
        if !self.y.holds(chance) {
            return;
        }
        let (Area { left, right, .. }, y) = (self.area, self.height(chance));
        let dotted = Stroke { dash: Some((0.1, 7.0)), ..Stroke::solid(MUTED, 2.5) };
        canvas.line(&[(left, y), (right, y)], dotted);
    }
}
