//! A part of an experiment's cells, for one of several runs.

use std::str::FromStr;

use crate::experiment::cell::Cell;

/// Part `index` of `parts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    parts: usize,
}

impl Shard {
    /// All cells.
    pub const WHOLE: Shard = Shard { index: 0, parts: 1 };

    /// The cells of `all` that are of this part.
    pub(super) fn part(self, all: &[Cell]) -> Vec<&Cell> {
        all.iter().skip(self.index).step_by(self.parts).collect()
    }

    /// The name of the segment that this part's run writes.
    pub(super) fn writer(self) -> String {
        let Shard { index, parts } = self;
        if parts == 1 { "main".into() } else { format!("shard-{index}-of-{parts}") }
    }

    /// The part that has the cell at `place` in the order of the tables.
    pub(super) fn with(self, place: usize) -> Self {
        Shard { index: place % self.parts, ..self }
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
            Some(shard) if shard.index < shard.parts => Ok(shard),
            _ => Err("expected I/N with I from 0 to N - 1, for example 0/4".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_its_parts() {
        assert_eq!("1/4".parse(), Ok(Shard { index: 1, parts: 4 }));
        for wrong in ["4/4", "0/0", "1", "a/b", "-1/2", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
