//! What a row is about, in every table.

use super::column::{Column, put};

/// What a row is about: the cell, its arm, its swept settings and its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The cell's id.
    pub id: String,
    /// The arm's name in the experiment file.
    pub arm: String,
    /// Swept settings by name, in the order of the columns.
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

impl Key {
    /// A key to be filled in.
    pub(super) fn blank() -> Self {
        Key { id: String::new(), arm: String::new(), settings: Vec::new(), seed: 0 }
    }
}

/// Columns before the swept settings, in every table of cells.
pub const KEY: [Column<Key>; 2] = [
    Column {
        name: "id",
        meaning: "the cell: first 16 hex digits of the digest of its specification",
        write: |key| key.id.clone(),
        read: |key, text| put(&mut key.id, text),
    },
    Column {
        name: "arm",
        meaning: "the experimental condition",
        write: |key| key.arm.clone(),
        read: |key, text| put(&mut key.arm, text),
    },
];

/// The column after the swept settings, in every table of cells.
pub const SEED: Column<Key> = Column {
    name: "seed",
    meaning: "the seed, shared by all arms (pairs)",
    write: |key| key.seed.to_string(),
    read: |key, text| put(&mut key.seed, text),
};
