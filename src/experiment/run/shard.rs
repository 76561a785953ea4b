//! A part of an experiment's cells, for one of several runs.
//!
//! Every run divides all cells by what they cost, whether they are finished or not, so runs agree on their parts
//! without a word.

use std::collections::HashSet;
use std::str::FromStr;

use crate::experiment::bundle::{bundles, dealt};
use crate::experiment::cell::Cell;
use crate::experiment::plan::Plan;

/// Part `index` of `parts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    parts: usize,
}

/// The name of the segment of a run of all cells, and how that of a part begins.
const MAIN: &str = "main";
const PART: &str = "shard-";

/// The most parts, which are as many as an experiment may have cells.
const MOST: usize = 1_000_000;

impl Shard {
    /// All cells.
    pub const WHOLE: Shard = Shard { index: 0, parts: 1 };

    /// The ids of the cells of `plan` that are of this part.
    pub(super) fn part(self, plan: &Plan) -> HashSet<String> {
        self.divided(plan)
            .filter(|(_, part)| *part == self)
            .map(|(cell, _)| cell.id.clone())
            .collect()
    }

    /// The part that has the cell `id`, if any has.
    pub(super) fn with(self, plan: &Plan, id: &str) -> Option<Self> {
        self.divided(plan).find(|(cell, _)| cell.id == id).map(|(_, part)| part)
    }

    /// Every cell of `plan` and its part.
    fn divided(self, plan: &Plan) -> impl Iterator<Item = (&Cell, Shard)> {
        let cells: Vec<&Cell> = plan.cells.iter().collect();
        let bundles = bundles(&*plan.ground, &cells);
        let costs: Vec<f64> = bundles.iter().map(|bundle| bundle.cost).collect();
        let parts = dealt(&costs, self.parts);
        bundles.into_iter().zip(parts).flat_map(move |(bundle, index)| {
            bundle.cells.into_iter().map(move |cell| (cell, Shard { index, ..self }))
        })
    }

    /// The name of the segment that this part's run writes.
    pub(super) fn writer(self) -> String {
        let Shard { index, parts } = self;
        if parts == 1 { MAIN.into() } else { format!("{PART}{index}-of-{parts}") }
    }

    /// Whether a shard writes the segment of this name, and not a task.
    pub(super) fn is_writer(name: &str) -> bool {
        name == MAIN || name.starts_with(PART)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "{}/{}", self.index, self.parts)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, parts)| {
            Some(Shard { index: index.parse().ok()?, parts: parts.parse().ok()? })
        });
        match numbers {
            Some(shard) if shard.index < shard.parts && shard.parts <= MOST => Ok(shard),
            _ => Err(format!(
                "expected I/N with I from 0 to N - 1 and N up to {MOST}, for example 0/4"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_its_parts() {
        assert_eq!("1/4".parse(), Ok(Shard { index: 1, parts: 4 }));
        for wrong in
            ["4/4", "0/0", "0/2000000", "0/18446744073709551615", "1", "a/b", "-1/2", "1/2/3"]
        {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
