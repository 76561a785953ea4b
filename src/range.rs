//! A value outside its range, for the rooms whose values stand in experiment files but that know no
//! experiments.

/// A value outside its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: expected {expected}, got `{got}`")]
pub struct OutOfRange {
    /// Where it stands, as an experiment file has it below the owner's own key.
    pub key: String,
    /// The legal values.
    pub expected: String,
    /// The value.
    pub got: String,
}

impl OutOfRange {
    pub(crate) fn new(key: &str, expected: impl Into<String>, got: impl ToString) -> Self {
        OutOfRange { key: key.into(), expected: expected.into(), got: got.to_string() }
    }
}
