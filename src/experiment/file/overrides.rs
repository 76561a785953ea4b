//! Overrides: `key.path=value`, put in the place of what the file says.

use serde_json::{Map, Value};

use super::misfit::{Step, written};
use super::size;
use super::values::{in_words, to_json};
use crate::nearest::nearest;

/// An override that was applied.
#[derive(Debug)]
pub(super) struct Applied<'a> {
    /// As it was typed.
    pub(super) text: &'a str,
    keys: Vec<String>,
    made: Option<Made>,
}

/// The first key of an override that the file did not have.
#[derive(Debug)]
struct Made {
    /// How many keys lead to it, itself included.
    depth: usize,
    /// The nearest of the keys beside it, if it may be that one mistyped.
    near: Option<String>,
}

impl Applied<'_> {
    /// Whether a mistake at `path` may come from this override.
    pub(super) fn is_at(&self, path: &[Step]) -> bool {
        let agree = |keys: &[String]| {
            keys.iter().zip(path).all(|(key, step)| matches!(step, Step::Key(name) if name == key))
        };
        let made = self.made.as_ref().map(|made| made.depth);
        agree(&self.keys)
            || made.is_some_and(|depth| path.len() >= depth && agree(&self.keys[..depth]))
    }

    /// The key that was meant, where this override made one that the file did not have.
    pub(super) fn near(&self) -> Option<String> {
        let Made { depth, near } = self.made.as_ref()?;
        let keys = self.keys[..depth - 1].iter().chain(near.as_ref().map(Some)?);
        Some(written(&keys.cloned().map(Step::Key).collect::<Vec<_>>()))
    }
}

/// Puts the value of `text` in its place in `document`, making the maps on the way to it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn apply<'a>(document: &mut Value, text: &'a str) -> Result<Applied<'a>, String> {
    let (keys, value) = split(text)?;
    let value = size::check(value).and_then(|()| serde_yaml::from_str(value));
    let value = value.map_err(|error| in_words(&error))?;
    let value = to_json(value)?;
    let mut made = None;
    let mut place = document;
    for (before, key) in keys.iter().enumerate() {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else {
            return Err(format!("`{key}` is inside something that has no keys"));
        };
        if !map.contains_key(key) && made.is_none() {
            check_quotes(map, &keys[before..])?;
            let near = nearest(key, map.keys().map(String::as_str)).map(str::to_owned);
            made = Some(Made { depth: before + 1, near });
        }
        place = map.entry(key).or_insert(Value::Null);
    }
    *place = value;
    Ok(Applied { text, keys, made })
}

/// Refuses `keys` where their first ones are one key of `map` that has dots.
fn check_quotes(map: &Map<String, Value>, keys: &[String]) -> Result<(), String> {
    let joined = (2..=keys.len()).map(|count| keys[..count].join("."));
    match joined.into_iter().find(|key| map.contains_key(key)) {
        Some(key) => Err(format!("a key that has dots stands in double quotes, `\"{key}\"`")),
        None => Ok(()),
    }
}

/// The most keys of an override.
const DEEPEST: usize = 32;

/// The keys before the first `=` outside quotes, and the text behind it.
fn split(text: &str) -> Result<(Vec<String>, &str), String> {
    let mut keys = Vec::new();
    let mut rest = text;
    loop {
        let (key, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                quoted.split_once('"').ok_or("a double quote is opened and never closed")?
            }
            None => rest.split_at(rest.find(['.', '=', '"']).unwrap_or(rest.len())),
        };
        if key.is_empty() {
            return Err("an empty key".into());
        }
        keys.push(key.to_owned());
        if keys.len() > DEEPEST {
            return Err(format!(
                "more than {DEEPEST} keys, which no experiment has inside each other"
            ));
        }
        let mut characters = after.chars();
        match characters.next() {
            Some('=') => return Ok((keys, characters.as_str())),
            Some('.') => rest = characters.as_str(),
            None => return Err("no `=` in it".into()),
            Some(_) => return Err("quotes are around a whole key, between dots".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(text: &str) -> Result<Value, String> {
        let mut document = json!({"arms": {"frozen-0.001": {"hold": "none"}, "a=b": {}}, "n": 1});
        apply(&mut document, text).map(|_| document)
    }

    #[test]
    fn a_key_with_dots_or_an_equals_sign_is_reached_in_double_quotes() {
        let dots = applied("arms.\"frozen-0.001\".hold=all").unwrap();
        assert_eq!(dots["arms"]["frozen-0.001"]["hold"], "all");
        let equals = applied("\"arms\".\"a=b\".hold=x=y").unwrap();
        assert_eq!(equals["arms"]["a=b"]["hold"], "x=y");
        assert_eq!(applied("n=").unwrap()["n"], Value::Null);
    }

    #[test]
    fn an_override_outside_the_grammar_is_refused_with_the_reason() {
        for (text, why) in [
            ("arms.\"frozen.hold=all", "a double quote is opened and never closed"),
            ("arms.\"a\"b.hold=all", "quotes are around a whole key"),
            ("arms.a\"b\".hold=all", "quotes are around a whole key"),
            ("arms.\"\".hold=all", "an empty key"),
            ("arms..hold=all", "an empty key"),
            ("=all", "an empty key"),
            ("arms.frozen", "no `=` in it"),
            ("n.x=1", "`x` is inside something that has no keys"),
            ("n=[1", "did not find expected"),
            ("arms.frozen-0.001.hold=all", "stands in double quotes, `\"frozen-0.001\"`"),
        ] {
            let refusal = applied(text).unwrap_err();
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
    }
}
