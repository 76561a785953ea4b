//! A panel: a rectangle of the page with an axis along two of its sides.

use super::axis::Axis;
#[cfg(test)]
use super::canvas::What;
use super::canvas::{Align, Canvas, Point, Stroke};
use super::style::{AXIS, GRID, MUTED, TICK};

/// From a panel's lower edge to the middle of its tick numbers, and from there to its axis' name.
const BELOW: [f64; 2] = [26.0, 34.0];
/// Between an edge and the end of the axis along it, so that a mark at the end is whole.
const PAD: f64 = 14.0;
/// Length of a tick without a number, and the least room between two numbers.
const TICK_LENGTH: f64 = 8.0;
const APART: f64 = 7.0;
/// Half the height of a number.
const HALF: f64 = 6.0;

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
    /// Height of a strip above the vertical axis for what never came; 0 where there is none.
    pub(super) never: f64,
}

impl Panel {
    /// A panel without a strip for what never came.
    pub(super) fn new(area: Area, x: Axis, y: Axis) -> Panel {
        Panel { area, x, y, never: 0.0 }
    }

    /// The place of the point (x, y) on the page; what is infinitely high is in the strip above.
    pub(super) fn place(&self, x: f64, y: f64) -> Point {
        // Logarithms may differ in their last bit between machines; places must not.
        let whole = |pixels: f64| (pixels * 64.0).round() / 64.0;
        let Area { left, top, bottom, .. } = self.area;
        let across = self.x.share(x) * (self.area.width() - 2.0 * PAD);
        let top = top + self.never;
        let height = match y == f64::INFINITY && self.never > 0.0 {
            true => top - self.never / 2.0,
            false => bottom - PAD - self.y.share(y) * (bottom - top - 2.0 * PAD),
        };
        (whole(left + PAD + across), whole(height))
    }

    /// The height of `y` on the page.
    pub(super) fn height(&self, y: f64) -> f64 {
        self.place(self.x.low, y).1
    }

    /// The height of `y`, or of the end of the axis that it lies beyond.
    pub(super) fn height_within(&self, y: f64) -> f64 {
        match y == f64::INFINITY && self.never > 0.0 {
            true => self.height(y),
            false => self.height(y.clamp(self.y.low, self.y.high)),
        }
    }

    /// Draws the grid, and the numbers along the sides that are asked for. A tick whose number would
    /// touch another's is short and has none; the last and the first number are always written.
    pub(super) fn frame(&self, canvas: &mut Canvas, numbers_below: bool, numbers_left: bool) {
        let Area { left, right, bottom, .. } = self.area;
        #[cfg(test)]
        canvas.note(What::Panel, (left, self.area.top), (right, bottom));
        self.frame_rows(canvas, numbers_left);
        self.frame_columns(canvas, numbers_below);
        canvas.line(&[(left, bottom), (right, bottom)], Stroke::solid(MUTED, 1.5));
    }

    /// The grid of the vertical axis, with the strip above it.
    fn frame_rows(&self, canvas: &mut Canvas, has_numbers: bool) {
        let Area { left, top, right, .. } = self.area;
        let heights: Vec<f64> = self.y.ticks.iter().map(|tick| self.height(*tick)).collect();
        let spans = heights.iter().map(|y| (y - HALF, y + HALF)).collect();
        for (place, is_free) in uncrowded(spans).into_iter().enumerate() {
            let y = heights[place];
            if !is_free {
                canvas.line(&[(left, y), (left - TICK_LENGTH, y)], Stroke::solid(MUTED, 1.5));
                continue;
            }
            canvas.line(&[(left, y), (right, y)], Stroke::solid(GRID, 1.5));
            if has_numbers {
                canvas.text(&self.y.tick_name(place), (left - 12.0, y), Align::Right, TICK);
            }
        }
        if self.never > 0.0 {
            let edge = top + self.never;
            let dotted = Stroke { dash: Some((0.1, 7.0)), ..Stroke::solid(MUTED, 2.0) };
            canvas.line(&[(left, edge), (right, edge)], dotted);
            let middle = self.height(f64::INFINITY);
            canvas.text("never", (left - 12.0, middle), Align::Right, TICK);
        }
    }

    /// The grid of the horizontal axis: a line at each number, or lines between things side by side.
    fn frame_columns(&self, canvas: &mut Canvas, has_numbers: bool) {
        let Area { top, bottom, .. } = self.area;
        let places: Vec<f64> =
            self.x.ticks.iter().map(|tick| self.place(*tick, self.y.low).0).collect();
        let names: Vec<String> = (0..places.len()).map(|place| self.x.tick_name(place)).collect();
        let span = |(x, name): (&f64, &String)| {
            let half = TICK.width(name) / 2.0;
            (x - half, x + half)
        };
        let is_free = uncrowded(places.iter().zip(&names).map(span).collect());
        for (place, is_free) in is_free.into_iter().enumerate() {
            let (x, name) = (places[place], &names[place]);
            #[cfg(test)]
            canvas.note(What::Tick(self.x.ticks[place]), (x, bottom), (x, bottom));
            if self.x.names.is_empty() {
                let end = if is_free { top } else { bottom + TICK_LENGTH };
                let color = if is_free { GRID } else { MUTED };
                canvas.line(&[(x, bottom), (x, end)], Stroke::solid(color, 1.5));
            }
            if is_free && has_numbers {
                canvas.text(name, (x, bottom + BELOW[0]), Align::Centre, TICK);
            }
        }
        for between in 1..self.x.names.len() {
            let x = self.place(between as f64, self.y.low).0;
            canvas.line(&[(x, top), (x, bottom)], Stroke::solid(GRID, 2.5));
        }
    }

    /// Writes the horizontal axis' name under its numbers.
    pub(super) fn name_x(&self, canvas: &mut Canvas, name: &str) {
        let y = self.area.bottom + BELOW[0] + BELOW[1];
        canvas.text(name, (self.area.middle(), y), Align::Centre, AXIS);
    }

    /// Writes what the panel shows over its upper left corner.
    pub(super) fn heading(&self, canvas: &mut Canvas, text: &str) {
        let text = AXIS.fit(text, self.area.width());
        canvas.text(&text, (self.area.left, self.area.top - 20.0), Align::Left, AXIS);
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

/// Which of some spans can be kept so that none touches another: the last, the first, and from the last
/// on every one that has room.
fn uncrowded(spans: Vec<(f64, f64)>) -> Vec<bool> {
    let apart = |a: &(f64, f64), b: &(f64, f64)| a.1 + APART <= b.0 || b.1 + APART <= a.0;
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let mut is_kept = vec![false; spans.len()];
    let order = spans.len().checked_sub(1).into_iter().chain(0..1).chain((1..spans.len()).rev());
    for place in order.filter(|place| *place < spans.len()) {
        if !is_kept[place] && kept.iter().all(|other| apart(other, &spans[place])) {
            kept.push(spans[place]);
            is_kept[place] = true;
        }
    }
    is_kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_crowded_numbers_the_last_and_the_first_are_kept() {
        let spans = |middles: &[f64]| middles.iter().map(|x| (x - 10.0, x + 10.0)).collect();
        assert_eq!(uncrowded(spans(&[0.0, 25.0, 50.0, 60.0])), [true, false, false, true]);
        assert_eq!(uncrowded(spans(&[0.0, 30.0, 60.0])), [true; 3]);
        assert_eq!(uncrowded(spans(&[0.0, 5.0])), [false, true]);
        assert_eq!(uncrowded(vec![]), Vec::<bool>::new());
    }

    #[test]
    fn the_ends_of_the_axes_lie_inside_the_panel_and_never_above_them() {
        let area = Area { left: 100.0, top: 50.0, right: 300.0, bottom: 250.0 };
        let axis = Axis::linear([0.0, 100.0], 5);
        let panel = Panel { never: 40.0, ..Panel::new(area, axis.clone(), axis) };
        assert_eq!(panel.place(0.0, 0.0), (114.0, 236.0));
        assert_eq!(panel.place(100.0, 100.0), (286.0, 104.0));
        assert_eq!(panel.height(f64::INFINITY), 70.0);
        assert_eq!(panel.height_within(1e9), 104.0);
    }
}
