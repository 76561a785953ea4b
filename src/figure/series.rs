//! Arms over the training sizes in one panel: an estimate with its interval for each.
//!
//! A few sizes are groups side by side, and the arms of a group too, so that no arm stands over a size
//! that it was not trained with and no line leads where nothing was measured. Many sizes are a logarithmic axis with a line an arm and its interval
//! as a band. There markers that meet lie within each other, the first arm's outermost.

use super::axis::{Axis, tick_text};
use super::canvas::{Canvas, Point, Stroke};
use super::panel::{Area, Panel};
use super::style::{DARK, Look, MUTED};
use crate::stats::Interval;

/// Up to so many sizes are groups.
pub(super) const FEW: usize = 4;
/// The most pixels between neighbouring arms of a group, and the share of a group that they take.
const APART: f64 = 44.0;
const TAKEN: f64 = 0.84;
/// Radius of a marker in a group, and of the first and the last of markers within each other.
const MARKER: [f64; 2] = [5.0, 8.0];
const NESTED: [f64; 2] = [9.0, 5.0];
/// How far a cross reaches beyond the marker that it lies under.
const CROSS: f64 = 7.0;
/// Height of the strip for what never came: one row, and each row where markers would meet.
const NEVER: f64 = 36.0;
const NEVER_ROW: f64 = 15.0;
const NEVER_MARKER: f64 = 5.5;

/// How a panel's values are spaced and what they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit<'a> {
    /// Errors in percent.
    Percent,
    /// Shares in percent, always from 0 to 100.
    Share,
    /// Differences, around 0.
    Difference,
    /// Optimizer steps, of these; infinite ones never came.
    Steps(&'a [f64]),
    /// Epochs of so many; infinite ones never came.
    Epochs(f64),
}

/// The intervals of every arm by size, `[arm][size]`.
pub(super) struct Series<'a> {
    pub(super) sizes: &'a [Option<f64>],
    pub(super) looks: &'a [Look],
    pub(super) intervals: Vec<Vec<Option<Interval>>>,
    pub(super) unit: Unit<'a>,
    /// Markers that are crossed out, by size and arm; empty for none.
    pub(super) crossed: Vec<Vec<bool>>,
}

impl Series<'_> {
    /// The panel that holds all of the intervals and `also`.
    pub(super) fn panel(&self, area: Area, also: &[f64]) -> Panel {
        let x = match self.has_groups() {
            true => {
                let name = |size: &Option<f64>| size.map_or(String::new(), tick_text);
                Axis::groups(self.sizes.iter().map(name).collect())
            }
            false => Axis::sizes(&self.sizes.iter().flatten().copied().collect::<Vec<_>>()),
        };
        let known = || self.intervals.iter().flatten().flatten();
        let ends = known().flat_map(|i| [i.estimate, i.low, i.high]).chain(also.iter().copied());
        let y = match self.unit {
            Unit::Percent => Axis::percent(ends, 6),
            Unit::Share => Axis::percent([0.0, 100.0], 5),
            Unit::Difference => Axis::linear(ends.chain([0.0]), 6),
            Unit::Epochs(last) => {
                let came = ends.clone().any(f64::is_finite);
                Axis::linear(ends.chain([0.0]).chain((!came).then_some(last)), 5)
            }
            Unit::Steps(steps) => Axis::steps(&within(steps, &ends.collect::<Vec<_>>())),
        };
        Panel { never: self.never_height(), ..Panel::new(area, x, y) }
    }

    /// Draws the panel's frame and all arms in it.
    pub(super) fn draw(&self, canvas: &mut Canvas, panel: &Panel) {
        panel.frame(canvas, true, true);
        let Area { left, right, .. } = panel.area;
        if self.unit == Unit::Difference {
            let zero = panel.height(0.0);
            canvas.line(&[(left, zero), (right, zero)], Stroke::solid(MUTED, 2.0));
        }
        for arm in 0..self.looks.len() {
            self.draw_ends(canvas, panel, arm);
        }
        for arm in 0..self.looks.len() {
            self.draw_arm(canvas, panel, arm);
        }
    }

    /// Where `arm` stands over the size at `place`.
    pub(super) fn across(&self, panel: &Panel, arm: usize, place: usize) -> f64 {
        if !self.has_groups() {
            return panel.place(self.sizes[place].unwrap_or(1.0), panel.y.low).0;
        }
        let shift = arm as f64 - (self.looks.len() - 1) as f64 / 2.0;
        panel.place(panel.x.ticks[place], panel.y.low).0 + shift * self.apart(panel)
    }

    /// Radius of the marker of `arm`.
    pub(super) fn radius(&self, panel: &Panel, arm: usize) -> f64 {
        match self.has_groups() {
            true => (0.45 * self.apart(panel)).clamp(MARKER[0], MARKER[1]),
            false => nested(arm, self.looks.len()),
        }
    }

    /// Whether sizes are groups side by side.
    pub(super) fn has_groups(&self) -> bool {
        self.sizes.len() <= FEW || self.sizes.iter().any(Option::is_none)
    }

    /// Draws the intervals of `arm`: bars in groups, bands along lines.
    fn draw_ends(&self, canvas: &mut Canvas, panel: &Panel, arm: usize) {
        let color = self.looks[arm].color();
        let mut band = Vec::new();
        for (place, interval) in self.intervals[arm].iter().enumerate() {
            let Some(interval) = interval else { continue };
            let x = self.across(panel, arm, place);
            let (low, high) =
                (panel.height_within(interval.low), panel.height_within(interval.high));
            match self.has_groups() {
                true => canvas.line(&[(x, low), (x, high)], Stroke::solid(color.faint(0.55), 4.0)),
                false => band.push((x, high, low)),
            }
        }
        canvas.band(&band, color.faint(0.08));
    }

    /// Draws the estimates of `arm`, along a line where it has many.
    fn draw_arm(&self, canvas: &mut Canvas, panel: &Panel, arm: usize) {
        let look = self.looks[arm];
        let mut line: Vec<Point> = Vec::new();
        let mut marks: Vec<(Point, f64)> = Vec::new();
        for (place, interval) in self.intervals[arm].iter().enumerate() {
            let Some(Interval { estimate, .. }) = interval else { continue };
            let at = (self.across(panel, arm, place), panel.height_within(*estimate));
            if estimate.is_finite() || self.has_groups() {
                line.push(at);
                let radius = self.radius(panel, arm);
                if self.crossed.get(place).is_some_and(|arms| arms[arm]) {
                    cross(canvas, at, radius + CROSS);
                }
                marks.push((at, radius));
            } else {
                marks.push(((at.0, self.never_row(panel, arm)), NEVER_MARKER));
            }
        }
        if self.unit != Unit::Difference && !self.has_groups() {
            canvas.line(&line, look.stroke(3.0));
        }
        for (at, radius) in marks {
            look.mark(canvas, at, radius);
        }
    }

    /// Pixels between neighbouring arms of a group.
    fn apart(&self, panel: &Panel) -> f64 {
        let group = panel.area.width() / self.sizes.len().max(1) as f64;
        (TAKEN * group / self.looks.len().max(1) as f64).min(APART)
    }

    /// Arms that never came at some size: each has a row of the strip where markers would meet.
    fn never_arms(&self) -> Vec<usize> {
        let never =
            |interval: &Option<Interval>| interval.is_some_and(|i| i.estimate.is_infinite());
        (0..self.looks.len()).filter(|arm| self.intervals[*arm].iter().any(never)).collect()
    }

    fn never_row(&self, panel: &Panel, arm: usize) -> f64 {
        let arms = self.never_arms();
        let row = arms.iter().position(|other| *other == arm).unwrap_or(0) as f64;
        let rows = (arms.len().max(1) - 1) as f64;
        panel.height(f64::INFINITY) + (row - rows / 2.0) * NEVER_ROW
    }

    fn never_height(&self) -> f64 {
        let ends = self.intervals.iter().flatten().flatten();
        let is_timed = matches!(self.unit, Unit::Steps(_) | Unit::Epochs(_));
        if !is_timed || ends.map(|i| i.high).all(f64::is_finite) {
            return 0.0;
        }
        match self.has_groups() {
            true => NEVER,
            false => NEVER.max((self.never_arms().len() as f64 + 1.0) * NEVER_ROW),
        }
    }
}

/// Radius of the marker of one of `count` arms whose markers may meet.
pub(super) fn nested(arm: usize, count: usize) -> f64 {
    let share = arm as f64 / (count.max(2) - 1) as f64;
    NESTED[0] + share * (NESTED[1] - NESTED[0])
}

/// Draws a cross, `radius` pixels from its middle each way.
fn cross(canvas: &mut Canvas, (x, y): Point, radius: f64) {
    for slope in [-1.0, 1.0] {
        let ends = [(x - radius, y - slope * radius), (x + radius, y + slope * radius)];
        canvas.line(&ends, Stroke::solid(DARK, 2.5));
    }
}

/// Those of `steps` that an axis needs for `values`: from the last at or below the least of them on.
fn within(steps: &[f64], values: &[f64]) -> Vec<f64> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let from = steps.iter().rposition(|step| *step <= least).unwrap_or(0);
    // Where nothing came, there is nothing to show the scale of.
    let from = if least.is_finite() { from } else { steps.len().saturating_sub(2) };
    steps[from..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_of_steps_begins_with_the_first_that_is_needed() {
        let steps = [0.0, 15.0, 30.0, 50.0, 75.0, 100.0, 150.0];
        assert_eq!(within(&steps, &[75.0, f64::INFINITY]), [75.0, 100.0, 150.0]);
        assert_eq!(within(&steps, &[60.0, 140.0]), [50.0, 75.0, 100.0, 150.0]);
        assert_eq!(within(&steps, &[f64::INFINITY]), [100.0, 150.0]);
        assert_eq!(within(&[], &[3.0]), Vec::<f64>::new());
    }
}
