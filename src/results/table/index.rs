//! The rows of `curves.csv` by cell: what a cell was evaluated at, and what was found there.
//!
//! A table has thousands of rows and a report asks for single ones again and again; searching the
//! table each time would make reports of large grids slow. What the values mean is left to the
//! caller.

use std::collections::HashMap;

use super::{CurvePoint, CurveRow};

/// The points of each cell, by rising step.
#[derive(Debug)]
pub struct CurveIndex<'a>(HashMap<&'a str, Vec<&'a CurvePoint>>);

impl<'a> CurveIndex<'a> {
    /// The index of `rows`, in whatever order they come. A cell that stands under two arms counts
    /// once.
    pub fn new(rows: &'a [CurveRow]) -> Self {
        let mut cells: HashMap<&str, Vec<&CurvePoint>> = HashMap::new();
        for CurveRow { key, point } in rows {
            cells.entry(&key.id).or_default().push(point);
        }
        for points in cells.values_mut() {
            points.sort_by_key(|point| point.step);
            points.dedup_by_key(|point| point.step);
        }
        CurveIndex(cells)
    }

    /// The points of the cell `id`, by rising step; none if it has no curve.
    pub fn points(&self, id: &str) -> &[&'a CurvePoint] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }

    /// The point of the cell `id` at `step`, if it was evaluated there.
    pub fn at(&self, id: &str, step: u64) -> Option<&'a CurvePoint> {
        let points = self.points(id);
        points.binary_search_by_key(&step, |point| point.step).ok().map(|place| points[place])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ErrorCount, Key};
    use super::*;

    fn row(id: &str, arm: &str, step: u64) -> CurveRow {
        let key = Key { id: id.into(), arm: arm.into(), settings: vec![], seed: 0 };
        let point = CurvePoint {
            step,
            train_loss: None,
            validation_loss: None,
            validation_error: ErrorCount { wrong: step, of: 100 },
            resets: 0,
            sign_flips: 0,
            tensors: Vec::new(),
        };
        CurveRow { key, point }
    }

    #[test]
    fn points_are_found_by_cell_and_step_in_any_order_of_rows() {
        let rows = [row("a", "x", 8), row("b", "x", 0), row("a", "x", 0), row("a", "x", 2)];
        let index = CurveIndex::new(&rows);
        let steps: Vec<u64> = index.points("a").iter().map(|point| point.step).collect();
        assert_eq!(steps, [0, 2, 8]);
        assert_eq!(index.at("a", 2).map(|point| point.validation_error.value()), Some(0.02));
        assert_eq!(index.at("b", 0).map(|point| point.step), Some(0));
        assert!(index.at("a", 4).is_none() && index.at("c", 0).is_none());
        assert!(index.points("c").is_empty());
    }

    #[test]
    fn a_cell_that_two_arms_share_has_each_point_once() {
        let rows = [row("a", "x", 0), row("a", "x", 1), row("a", "y", 0), row("a", "y", 1)];
        assert_eq!(CurveIndex::new(&rows).points("a").len(), 2);
    }
}
