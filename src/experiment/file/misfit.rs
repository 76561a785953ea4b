//! A JSON value read as a typed one, with mistakes in the file's words.
//!
//! serde's own messages speak of `usize` and `unit variant`, and hide which words there are. This
//! deserializer keeps apart where a mistake is, what was expected and which words are legal, and makes
//! a [`Problem`] of it.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use crate::experiment::problem::Problem;

/// Reads `document` as a `T`.
///
/// # Errors
/// The first place where it is none, and why.
pub(super) fn read<T: DeserializeOwned>(document: &Value) -> Result<T, (Vec<Step>, Problem)> {
    T::deserialize(Node(document)).map_err(|misfit| misfit.said_of(document))
}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Key(String),
    Place(usize),
}

/// The way as an override writes it: a key that has dots stands in double quotes.
pub(super) fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Place(place) => text += &format!("[{place}]"),
            Step::Key(key) => {
                let dot = if text.is_empty() { "" } else { "." };
                let quote = if key.contains(['.', '=']) { "\"" } else { "" };
                text += &format!("{dot}{quote}{key}{quote}");
            }
        }
    }
    text
}

/// Why a value is not what its key takes.
#[derive(Debug)]
struct Misfit {
    /// The way to it, last step first.
    way: Vec<Step>,
    why: Why,
}

#[derive(Debug)]
enum Why {
    UnknownKey { got: String, known: &'static [&'static str] },
    UnknownWord { got: String, known: &'static [&'static str] },
    Missing,
    Expected { expected: String, got: Got },
    Said(String),
}

/// What was found, as far as it is known.
#[derive(Debug)]
enum Got {
    Scalar(Value),
    List,
    Other,
}

impl Misfit {
    fn here(why: Why) -> Self {
        Misfit { way: Vec::new(), why }
    }

    fn at(mut self, step: Step) -> Self {
        self.way.push(step);
        self
    }

    fn expected(unexpected: Unexpected, expected: &dyn Expected) -> Self {
        let got = match unexpected {
            Unexpected::Bool(flag) => Got::Scalar(flag.into()),
            Unexpected::Unsigned(number) => Got::Scalar(number.into()),
            Unexpected::Signed(number) => Got::Scalar(number.into()),
            Unexpected::Float(number) => Got::Scalar(number.into()),
            Unexpected::Str(text) => Got::Scalar(text.into()),
            Unexpected::Seq => Got::List,
            _ => Got::Other,
        };
        Misfit::here(Why::Expected { expected: expected.to_string(), got })
    }

    /// The way to it in `document`, and what is wrong there.
    fn said_of(self, document: &Value) -> (Vec<Step>, Problem) {
        let Misfit { way, why } = self;
        let mut path: Vec<Step> = way.into_iter().rev().collect();
        let problem = match why {
            Why::UnknownKey { got, known } => Problem::unknown_key(written(&path), &got, known),
            Why::Missing => Problem::missing(written(&path), "a value, since it has no default"),
            Why::UnknownWord { got, known } => {
                narrow(document, &mut path, &Got::Scalar(got.as_str().into()));
                Problem::unknown(written(&path), &got, known.iter().copied())
            }
            Why::Expected { expected, got } => {
                narrow(document, &mut path, &got);
                let found = found(document, &path);
                Problem::value(written(&path), in_words(&expected, found), shown(found))
            }
            Why::Said(said) => return said_itself(&said, path, document),
        };
        (path, problem)
    }
}

/// What a type said itself, as `expected …`, perhaps after a key of its own: `uniform: expected …`.
fn said_itself(said: &str, mut path: Vec<Step>, document: &Value) -> (Vec<Step>, Problem) {
    let (key, expected) = match said.split_once("expected ") {
        Some(("", expected)) => (None, expected),
        Some((key, expected)) if key.ends_with(": ") => (key.strip_suffix(": "), expected),
        _ => return (path.clone(), Problem::unfit(written(&path), said)),
    };
    path.extend(key.map(|key| Step::Key(key.into())));
    let expected = expected.split_once(", got ").map_or(expected, |(expected, _)| expected);
    let problem = Problem::value(written(&path), expected, shown(found(document, &path)));
    (path, problem)
}

/// What stands at `path`.
fn found<'a>(document: &'a Value, path: &[Step]) -> &'a Value {
    path.iter().fold(document, |value, step| match step {
        Step::Key(key) => value.get(key).unwrap_or(&Value::Null),
        Step::Place(place) => value.get(place).unwrap_or(&Value::Null),
    })
}

/// Lengthens `path` to the one place below it that has what was found. serde loses the last step in
/// maps that say by a key what else they have, as `model` does.
fn narrow(document: &Value, path: &mut Vec<Step>, got: &Got) {
    let Value::Object(map) = found(document, path) else { return };
    let is_it = |value: &Value| match got {
        Got::Scalar(Value::Number(got)) => value.as_f64() == got.as_f64(),
        Got::Scalar(got) => value == got,
        Got::List => value.is_array(),
        Got::Other => false,
    };
    let in_list = |value: &Value| value.as_array().is_some_and(|items| items.iter().any(is_it));
    let mut places = map.iter().filter(|(_, value)| is_it(value) || in_list(value));
    if let (Some((key, value)), None) = (places.next(), places.next()) {
        path.push(Step::Key(key.clone()));
        let items = value.as_array().filter(|_| !is_it(value));
        path.extend(items.and_then(|items| items.iter().position(is_it)).map(Step::Place));
    }
}

/// The most characters that a message shows of a value.
const SHOWN: usize = 60;

/// A value as a message shows it.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "nothing".into(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What serde expected, for people.
fn in_words(expected: &str, got: &Value) -> String {
    let length = || expected.split(' ').find(|word| word.parse::<usize>().is_ok());
    let words = match expected {
        "usize" | "u64" | "u32" | "u16" => match got.as_f64() {
            Some(number) if number < 0.0 => "a whole number of at least 0",
            Some(number) if number >= 2f64.powi(63) => "a whole number below 2^64",
            _ => "a whole number",
        },
        "u8" => "a whole number of 0 to 255",
        "f64" | "f32" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" => "a word or a text",
        "path string" => "a path",
        "a sequence" => "a list",
        "a map" => "keys with values",
        _ if expected.starts_with("struct ") => "keys with values",
        _ if expected.starts_with("internally tagged enum") => "keys with values, `name` first",
        _ if expected.contains("in sequence") || expected.contains("of length") => {
            return length().map_or("a list".into(), |length| format!("a list of {length}"));
        }
        other => other,
    };
    words.to_owned()
}

impl fmt::Display for Misfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.why)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(said: T) -> Self {
        Misfit::here(Why::Said(said.to_string()))
    }

    fn invalid_type(unexpected: Unexpected, expected: &dyn Expected) -> Self {
        Misfit::expected(unexpected, expected)
    }

    fn invalid_value(unexpected: Unexpected, expected: &dyn Expected) -> Self {
        Misfit::expected(unexpected, expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Misfit::expected(Unexpected::Seq, expected)
    }

    fn unknown_variant(got: &str, known: &'static [&'static str]) -> Self {
        Misfit::here(Why::UnknownWord { got: got.into(), known })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Misfit::here(Why::UnknownKey { got: key.into(), known }).at(Step::Key(key.into()))
    }

    fn missing_field(key: &'static str) -> Self {
        Misfit::here(Why::Missing).at(Step::Key(key.into()))
    }
}

/// A value that is being read.
struct Node<'a>(&'a Value);

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(natural), _) => visitor.visit_u64(natural),
                (_, Some(integer)) => visitor.visit_i64(integer),
                _ => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => {
                let mut rest = Items { items, next: 0 };
                let value = visitor.visit_seq(&mut rest)?;
                match rest.next < items.len() {
                    true => {
                        let expected: &str = &format!("a list of {}", rest.next);
                        Err(Misfit::expected(Unexpected::Seq, &expected))
                    }
                    false => Ok(value),
                }
            }
            Value::Object(map) => visitor.visit_map(Entries { rest: map.iter(), entry: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(Choice { word, value: None }),
            Value::Object(map) if map.len() == 1 => {
                let (word, value) = map.iter().next().expect("a map with one entry has a first");
                visitor.visit_enum(Choice { word, value: Some(value) })
            }
            _ => {
                let expected: &str = &format!("one of `{}`", words.join("`, `"));
                Err(Misfit::expected(Unexpected::Map, &expected))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The items of a list.
struct Items<'a> {
    items: &'a [Value],
    next: usize,
}

impl<'de> SeqAccess<'de> for &mut Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let place = self.next;
        let Some(item) = self.items.get(place) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(Node(item)).map(Some).map_err(|misfit| misfit.at(Step::Place(place)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

/// The entries of a map.
struct Entries<'a> {
    rest: serde_json::map::Iter<'a>,
    entry: Option<(&'a String, &'a Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        self.entry = self.rest.next();
        let Some((key, _)) = self.entry else { return Ok(None) };
        let key: StrDeserializer<Misfit> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (key, value) = self.entry.expect("a value is read after its key");
        seed.deserialize(Node(value)).map_err(|misfit| misfit.at(Step::Key(key.clone())))
    }
}

/// One of several forms: a word, or a key with its value.
struct Choice<'a> {
    word: &'a str,
    value: Option<&'a Value>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        let word: StrDeserializer<Misfit> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> Choice<'de> {
    fn node(&self) -> Result<Node<'de>, Misfit> {
        let expected: &str = &format!("a value beside it, `{{{}: …}}`", self.word);
        self.value.map(Node).ok_or_else(|| Misfit::expected(Unexpected::Other(""), &expected))
    }
}

impl<'de> VariantAccess<'de> for Choice<'de> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.value {
            None | Some(Value::Null) => Ok(()),
            Some(_) => {
                let expected: &str = &format!("the word `{}` alone", self.word);
                Err(Misfit::expected(Unexpected::Other(""), &expected))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        let word = Step::Key(self.word.into());
        seed.deserialize(self.node()?).map_err(|misfit| misfit.at(word))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.node()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.node()?.deserialize_any(visitor)
    }
}
