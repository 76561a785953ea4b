//! Arms over the training sizes in one panel: an estimate with its interval for each, side by side.

use super::axis::{Axis, near_ends};
use super::canvas::{Align, Canvas, Point, Stroke};
use super::panel::{Area, Panel};
use super::style::{Look, MUTED, STAR, TICK};
use crate::stats::Interval;

/// The most pixels between neighbouring arms of one size.
const DODGE: f64 = 17.0;
/// Where a time that never came stands, as a multiple of the last step.
const NEVER: f64 = 1.7;

/// How a panel's values are spaced and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Percent, from 0 to 100.
    Percent,
    /// Differences, around 0.
    Difference,
    /// Optimizer steps; infinite ones stand above the last.
    Steps,
}

/// The intervals of every arm by size, `[arm][size]`, and which of them are marked with a star.
pub(super) struct Series<'a> {
    pub(super) sizes: &'a [Option<f64>],
    pub(super) looks: &'a [Look],
    pub(super) intervals: Vec<Vec<Option<Interval>>>,
    /// The same shape; empty for no star at all.
    pub(super) stars: Vec<Vec<bool>>,
    pub(super) unit: Unit,
}

impl Series<'_> {
    /// The panel that holds all of the intervals; `last` is the last step of a run.
    pub(super) fn panel(&self, area: Area, last: f64, also: &[f64]) -> Panel {
        let sizes: Vec<f64> = self.sizes.iter().map(|size| size.unwrap_or(1.0)).collect();
        let x = Axis::sizes(&sizes, if sizes.len() > 3 { 0.08 } else { 0.3 });
        let known = || self.intervals.iter().flatten().flatten();
        let ends = known().flat_map(|i| [i.estimate, i.low, i.high]).chain(also.iter().copied());
        let y = match self.unit {
            Unit::Percent => Axis::percent(ends, 6),
            Unit::Difference => Axis::linear(near_ends(known().copied()), 6),
            Unit::Steps => {
                let axis = Axis::steps(last);
                Axis { high: last.max(1.0) * NEVER, ..axis }
            }
        };
        Panel { area, x, y }
    }

    /// Draws the panel's frame and all arms in it.
    pub(super) fn draw(&self, canvas: &mut Canvas, panel: &Panel) {
        panel.frame(canvas, self.sizes.iter().all(Option::is_some), true);
        let Area { left, right, .. } = panel.area;
        match self.unit {
            Unit::Percent => {}
            Unit::Difference => {
                let zero = panel.height(0.0);
                canvas.line(&[(left, zero), (right, zero)], Stroke::solid(MUTED, 2.0));
            }
            Unit::Steps => {
                let never = panel.height(panel.y.high);
                canvas.text("never", (left - 12.0, never), Align::Right, TICK);
                let dotted = Stroke { dash: Some((0.1, 7.0)), ..Stroke::solid(MUTED, 2.0) };
                canvas.line(&[(left, never), (right, never)], dotted);
            }
        }
        for arm in 0..self.looks.len() {
            self.draw_arm(canvas, panel, arm);
        }
    }

    fn draw_arm(&self, canvas: &mut Canvas, panel: &Panel, arm: usize) {
        let look = self.looks[arm];
        let dodge = self.dodge(panel);
        let shift = (arm as f64 - (self.looks.len() - 1) as f64 / 2.0) * dodge;
        let height = |value: f64| panel.height(value.clamp(panel.y.low, panel.y.high));
        let mut line: Vec<Point> = Vec::new();
        for (place, interval) in self.intervals[arm].iter().enumerate() {
            let Some(interval) = interval else { continue };
            let size = self.sizes[place].unwrap_or(1.0);
            let x = panel.place(size, panel.y.low).0 + shift;
            let (low, high) = (height(interval.low), height(interval.high));
            canvas.line(&[(x, low), (x, high)], Stroke::solid(look.color().faint(0.55), 4.0));
            line.push((x, height(interval.estimate)));
            if self.stars.get(arm).is_some_and(|stars| stars[place]) {
                canvas.text("*", (x, high.min(low) - 6.0), Align::Centre, STAR);
            }
        }
        if line.len() > 1 && self.unit != Unit::Difference {
            canvas.line(&line, look.stroke(3.0));
        }
        for at in line {
            look.mark(canvas, at, dodge.clamp(6.0, 8.0));
        }
    }

    /// Pixels between neighbouring arms of one size.
    fn dodge(&self, panel: &Panel) -> f64 {
        let places: Vec<f64> = self
            .sizes
            .iter()
            .map(|size| panel.x.share(size.unwrap_or(1.0)) * panel.area.width())
            .collect();
        let nearest =
            places.windows(2).map(|pair| pair[1] - pair[0]).fold(panel.area.width(), f64::min);
        (0.7 * nearest / self.looks.len() as f64).min(DODGE)
    }
}
