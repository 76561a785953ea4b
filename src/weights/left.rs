//! What of a file is no weight, counted.
//!
//! A checkpoint of a training has an epoch, the arguments of the program and the states of random
//! generators beside its weights. None of it has a sign to take; nothing is passed over in silence.

use std::collections::BTreeMap;
use std::fmt;

/// How many values of which kind were left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut(BTreeMap<Kind, u64>);

/// What a value is that is no weight.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Integers,
    Bools,
    Complex,
    /// Arrays of texts, dates and the like.
    OtherArray,
    Number,
    Bool,
    Text,
    None,
    Bytes,
    Set,
    /// An importable thing, a class for example.
    Name,
    /// An object of this class.
    Object(String),
    /// A key that can be no name.
    Key,
    /// An object that is inside itself.
    Circle,
    /// A file in an archive.
    File,
}

impl Kind {
    /// One of them, and several.
    fn words(&self) -> [String; 2] {
        let [one, several] = match self {
            Kind::Integers => ["array of integers", "arrays of integers"],
            Kind::Bools => ["array of bools", "arrays of bools"],
            Kind::Complex => ["array of complex numbers", "arrays of complex numbers"],
            Kind::OtherArray => ["array of other things", "arrays of other things"],
            Kind::Number => ["number", "numbers"],
            Kind::Bool => ["bool", "bools"],
            Kind::Text => ["text", "texts"],
            Kind::None => ["`None`", "`None`"],
            Kind::Bytes => ["run of bytes", "runs of bytes"],
            Kind::Set => ["set", "sets"],
            Kind::Name => ["name", "names"],
            Kind::Object(class) => {
                return [format!("object of {class}"), format!("objects of {class}")];
            }
            Kind::Key => ["key that is no text", "keys that are no text"],
            Kind::Circle => ["object inside itself", "objects inside themselves"],
            Kind::File => ["other file", "other files"],
        };
        [one.into(), several.into()]
    }
}

impl LeftOut {
    pub(super) fn add(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }

    pub(super) fn add_all(&mut self, others: LeftOut) {
        for (kind, count) in others.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for LeftOut {
    /// `3 numbers, 1 text`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted: Vec<String> = self
            .0
            .iter()
            .map(|(kind, count)| {
                let [one, several] = kind.words();
                format!("{count} {}", if *count == 1 { one } else { several })
            })
            .collect();
        f.write_str(&counted.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_by_kind() {
        let mut left = LeftOut::default();
        assert!(left.is_empty());
        for kind in [Kind::Text, Kind::Number, Kind::Text, Kind::Object("`a.B`".into())] {
            left.add(kind);
        }
        let mut others = LeftOut::default();
        others.add(Kind::Number);
        others.add(Kind::None);
        left.add_all(others);
        assert_eq!(left.to_string(), "2 numbers, 2 texts, 1 `None`, 1 object of `a.B`");
    }
}
