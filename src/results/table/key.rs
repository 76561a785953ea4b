//! What a row is about, in every table.

use std::fmt;

/// The swept setting that only some cells have: the seed of the source that a cell takes from, where there
/// are several.
pub const SOURCE_SEED: &str = "source_seed";

/// What a row is about: the cell, its arm, its swept settings and its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The cell's id.
    pub id: String,
    /// The arm's name in the experiment file.
    pub arm: String,
    /// Swept settings by name, in the order of the columns; [`SOURCE_SEED`] only where the cell takes from
    /// one of several sources, or is one.
    pub settings: Vec<(String, f64)>,
    /// The seed.
    pub seed: u64,
}

impl Key {
    /// The value of the swept setting `name`, if the experiment sweeps it.
    pub fn setting(&self, name: &str) -> Option<f64> {
        self.settings.iter().find(|(setting, _)| setting == name).map(|(_, value)| *value)
    }
}

impl fmt::Display for Key {
    /// `frozen-random, train_size 100, seed 3`.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}", self.arm)?;
        for (name, value) in &self.settings {
            write!(out, ", {name} {value}")?;
        }
        write!(out, ", seed {}", self.seed)
    }
}

impl Key {
    /// A key to be filled in.
    pub(super) fn blank() -> Self {
        Key { id: String::new(), arm: String::new(), settings: Vec::new(), seed: 0 }
    }
}
