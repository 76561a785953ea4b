//! Cells that are best computed by one run, and how they are dealt out to several.
//!
//! What a cell costs follows from its specification alone, so runs that never hear of each other deal out the
//! same cells the same way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cell::Cell;
use super::study::Ground;

/// Cells that are best computed by one run.
#[derive(Debug)]
pub struct Bundle<'a> {
    /// They, in their order.
    pub cells: Vec<&'a Cell>,
    /// What they cost, in the study's unit.
    pub cost: f64,
    /// The same on this machine, where a part of a vector register may stay empty.
    pub cost_here: f64,
}

/// `cells` in bundles, in their order.
pub(crate) fn bundles<'a>(ground: &dyn Ground, cells: &[&'a Cell]) -> Vec<Bundle<'a>> {
    let bundle = |cells: Vec<&'a Cell>| {
        let cost = cells.iter().map(|cell| ground.cost(cell)).sum();
        let cost_here = ground.cost_here(&cells);
        Bundle { cells, cost, cost_here }
    };
    ground.bundles(cells).into_iter().map(bundle).collect()
}

/// Which of `parts` parts each of the `costs` goes to: the costliest first, each to the part that has the
/// least so far, of equal ones the first.
pub(crate) fn dealt(costs: &[f64], parts: usize) -> Vec<usize> {
    // Whole numbers are ordered; a unit of cost is far more than a millionth of the dearest.
    let dearest = costs.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let whole = |cost: f64| (cost / dearest * 1e6).round() as u64;
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by_key(|&place| (Reverse(whole(costs[place])), place));
    let mut loads: BinaryHeap<Reverse<(u64, usize)>> =
        (0..parts).map(|part| Reverse((0, part))).collect();
    let mut dealt = vec![0; costs.len()];
    for place in order {
        let Some(Reverse((load, part))) = loads.pop() else { break };
        dealt[place] = part;
        loads.push(Reverse((load + whole(costs[place]), part)));
    }
    dealt
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_costliest_are_dealt_first_and_each_to_the_part_with_least() {
        assert_eq!(dealt(&[1.0, 5.0, 2.0, 2.0], 2), [1, 0, 1, 1]);
        assert_eq!(dealt(&[1.0, 1.0, 1.0], 2), [0, 1, 0]);
        assert!(dealt(&[], 3).is_empty());
        assert_eq!(dealt(&[0.0, 0.0], 3), [0, 0]);
    }

    proptest! {
        #[test]
        fn no_part_has_more_than_its_share_and_one_bundle(
            costs in prop::collection::vec(0.1..10.0_f64, 1..60),
            parts in 1..9_usize,
        ) {
            let mut loads = vec![0.0; parts];
            for (place, part) in dealt(&costs, parts).into_iter().enumerate() {
                loads[part] += costs[place];
            }
            let dearest = costs.iter().copied().fold(0.0, f64::max);
            let share = costs.iter().sum::<f64>() / parts as f64;
            prop_assert!(loads.iter().all(|load| *load <= share + dearest + 1e-3));
        }
    }
}
