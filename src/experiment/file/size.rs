//! How large an experiment may be, as written and as it unfolds.
//!
//! YAML can say a value once and name it a thousand times, in a list that is named a thousand times: a
//! short text that unfolds without end. So the values are counted, each alias as what it stands for,
//! before any of them is made.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// The most bytes of text.
const LONGEST: usize = 16 << 20;

/// The most values; an experiment has at most a million seeds.
const MOST: usize = 1 << 21;

/// The most brackets times bytes: libyaml looks at every bracket that is open for each word that it
/// reads, so that 400 KB of open brackets would keep it for minutes.
const MOST_STEPS: usize = 1 << 30;

/// A text counts one value for each so many bytes.
const TEXT: usize = 16;

/// Makes sure that the YAML `text` is no longer, and unfolds to no more, than an experiment.
pub(super) fn check(text: &str) -> Result<(), serde_yaml::Error> {
    if text.len() > LONGEST {
        return Err(too_long(format_args!("{LONGEST} bytes")));
    }
    let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets.saturating_mul(text.len()) > MOST_STEPS {
        let what =
            format_args!("{brackets} brackets in {} bytes, which no experiment has", text.len());
        return Err(serde_yaml::Error::custom(what));
    }
    let seen = Cell::new(0);
    Count(&seen).deserialize(serde_yaml::Deserializer::from_str(text))
}

fn too_long<E: Error>(most: fmt::Arguments) -> E {
    E::custom(format_args!("longer than {most}, which no experiment is"))
}

/// Counts the values of a document, and makes none.
#[derive(Clone, Copy)]
struct Count<'c>(&'c Cell<usize>);

impl Count<'_> {
    fn add<E: Error>(self, count: usize) -> Result<(), E> {
        self.0.set(self.0.get() + count);
        match self.0.get() > MOST {
            true => Err(too_long(format_args!("{MOST} values, each alias as what it stands for"))),
            false => Ok(()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.add(1)
    }

    /// A document of nothing.
    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.add(1)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.add(1)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.add(1)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.add(1)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.add(1)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.add(1)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.add(1)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.add(1 + text.len() / TEXT)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.add(1)?;
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.add(1)?;
        while entries.next_entry_seed(self, self)?.is_some() {}
        Ok(())
    }

    /// A value with a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let (IgnoredAny, value) = tagged.variant()?;
        value.newtype_variant_seed(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `levels` lists, each ten times the one before.
    fn laughs(levels: usize) -> String {
        let mut text = String::from("l0: &l0 [1]\n");
        for level in 1..=levels {
            let before = format!("*l{}", level - 1);
            text += &format!("l{level}: &l{level} [{}]\n", vec![before; 10].join(", "));
        }
        text
    }

    #[test]
    fn a_short_text_that_unfolds_to_millions_of_values_is_refused_by_its_number() {
        assert!(check(&laughs(3)).is_ok());
        // How often aliases are followed is limited by who reads YAML, and not what they stand for.
        assert!(check(&laughs(9)).is_err());
        let list = |item: &str| vec![item; 2000].join(", ");
        let text = format!("a: &a [{}]\nb: [{}]\n", list("1"), list("*a"));
        let refused = check(&text).unwrap_err().to_string();
        assert!(refused.contains("longer than 2097152 values, each alias as"), "{refused}");
    }

    #[test]
    fn brackets_that_are_opened_without_end_are_refused_before_they_are_read() {
        for text in ["[".repeat(200_000), "a: {".repeat(20_000), "[ \"]\" ,".repeat(50_000)] {
            let refused = check(&text).unwrap_err().to_string();
            assert!(refused.ends_with(" bytes, which no experiment has"), "{refused}");
        }
        let arms: String =
            (0..3000).map(|n| format!("a{n}: {{signs: init, hold: all}}\n")).collect();
        assert!(check(&arms).is_ok());
    }

    #[test]
    fn a_long_text_that_is_named_over_and_over_is_refused() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 1000].join(", "));
        assert!(check(&text).is_err());
        assert!(check(&format!("a: {}", "x".repeat(LONGEST))).is_err());
    }

    #[test]
    fn tags_numbers_of_any_size_and_documents_of_nothing_are_left_to_who_reads_them() {
        for text in ["", "a: !t {b: 1}", "a: !t", "a: 99999999999999999999999", "a: .nan", "~"] {
            assert!(check(text).is_ok(), "{text}");
        }
    }
}
