//! What can be wrong with an experiment: one kind of rule, one variant.
//!
//! A problem begins with the key that it stands under, says what was expected and what was found, and
//! proposes the nearest legal word to a mistyped one. All problems of a file are found together.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::nearest::{hint, nearest};
use crate::optim::{Optimizer, Rule};
use crate::range::OutOfRange;

/// A mistake in an experiment file, or in what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Problem {
    /// A key that there is not.
    #[error("{key}: no such key{}{}", hint(.near), keys(.known, .near))]
    UnknownKey { key: String, known: Vec<String>, near: Option<String> },
    /// A value that is not legal.
    #[error("{key}: expected {expected}, got `{got}`{}", hint(.near))]
    Value { key: String, expected: String, got: String, near: Option<String> },
    /// A word that names nothing that is there.
    #[error("{key}: expected {}, got `{got}`{}", listed(.known), hint(.near))]
    Unknown { key: String, got: String, known: Vec<String>, near: Option<String> },
    /// A list that has an entry twice.
    #[error("{key}: {what} stands twice")]
    Twice { key: String, what: &'static str },
    /// Something that must be said and is not.
    #[error("{key}: expected {expected}")]
    Missing { key: String, expected: String },
    /// Something that is said and changes nothing.
    #[error("{key}: {why}; take it out")]
    NoEffect { key: String, why: String },
    /// Values that do not go together, or data or a source that are missing, damaged, or do not fit.
    #[error("{key}: {why}")]
    Unfit { key: String, why: String },
}

fn listed(known: &[String]) -> String {
    match known {
        [] => "nothing, as there is none".into(),
        [only] => format!("`{only}`"),
        many => format!("one of `{}`", many.join("`, `")),
    }
}

fn keys(known: &[String], near: &Option<String>) -> String {
    let semicolon = if near.is_some() { "" } else { ";" };
    match known {
        [] => format!("{semicolon} there are no keys here"),
        many => format!("{semicolon} the keys here are `{}`", many.join("`, `")),
    }
}

/// The words that stand between backticks in `text`.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let is_word =
        |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    text.split('`').skip(1).step_by(2).filter(is_word)
}

impl Problem {
    /// The key `got`, with its room `key`, that is none of `known`.
    pub(crate) fn unknown_key(key: impl Into<String>, got: &str, known: &[&str]) -> Self {
        let near = nearest(got, known.iter().copied()).map(str::to_owned);
        let known = known.iter().map(|&key| key.into()).collect();
        Problem::UnknownKey { key: key.into(), known, near }
    }

    /// A value that is not as `expected`. Where words between backticks are expected, the nearest of
    /// them to a mistyped one is proposed.
    pub(crate) fn value(
        key: impl Into<String>,
        expected: impl Into<String>,
        got: impl ToString,
    ) -> Self {
        let (expected, got) = (expected.into(), got.to_string());
        let is_word = got.starts_with(|c: char| c.is_ascii_alphabetic());
        let near = nearest(&got, quoted(&expected).filter(|_| is_word)).map(str::to_owned);
        Problem::Value { key: key.into(), expected, got, near }
    }

    /// A word that is none of `known`.
    pub(crate) fn unknown<'a>(
        key: impl Into<String>,
        got: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
        let near = nearest(got, known.iter().map(String::as_str)).map(str::to_owned);
        Problem::Unknown { key: key.into(), got: got.into(), known, near }
    }

    /// The same, proposing the word `near` where there is one.
    pub(crate) fn meaning(mut self, word: Option<&str>) -> Self {
        if let Problem::Value { near, .. } = &mut self {
            *near = word.map(str::to_owned);
        }
        self
    }

    /// What a room that knows no experiments says of a value below the key `room`.
    pub(crate) fn out_of_range(room: &str, OutOfRange { key, expected, got }: OutOfRange) -> Self {
        Problem::value(format!("{room}{key}"), expected, got)
    }

    pub(crate) fn missing(key: impl Into<String>, expected: impl Into<String>) -> Self {
        Problem::Missing { key: key.into(), expected: expected.into() }
    }

    pub(crate) fn no_effect(key: impl Into<String>, why: impl Into<String>) -> Self {
        Problem::NoEffect { key: key.into(), why: why.into() }
    }

    pub(crate) fn unfit(key: impl Into<String>, why: impl ToString) -> Self {
        Problem::Unfit { key: key.into(), why: why.to_string() }
    }
}

/// Problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds the problem where the rule is broken.
    pub(crate) fn check(&mut self, legal: bool, problem: impl FnOnce() -> Problem) {
        if !legal {
            self.add(problem());
        }
    }

    /// Adds a problem where one of the `values` stands twice.
    pub(crate) fn once<T: Ord>(&mut self, key: &str, what: &'static str, values: &[T]) {
        let different = values.iter().collect::<BTreeSet<_>>().len();
        self.check(different == values.len(), || Problem::Twice { key: key.to_owned(), what });
    }

    /// Adds a problem where a hyperparameter below the key `room` is out of its range.
    pub(crate) fn check_optimizer(&mut self, room: &str, optimizer: &Optimizer) {
        self.take(optimizer.check().map_err(|value| Problem::out_of_range(room, value)));
    }

    /// Adds a problem where the whole number `value` is not in `range`.
    pub(crate) fn within(&mut self, key: &str, value: u64, range: &RangeInclusive<u64>) {
        self.check(range.contains(&value), || {
            let (least, most) = (range.start(), range.end());
            Problem::value(key, format!("at least {least} and at most {most}"), value)
        });
    }

    /// The value of `result`, or its problem added.
    pub(crate) fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// When there is a problem, all of them as the mistakes of `file`.
    pub(crate) fn none_in(self, file: &Path) -> Result<(), Mistakes> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(self.of(file)),
        }
    }

    /// These as the mistakes of `file`.
    pub(crate) fn of(self, file: &Path) -> Mistakes {
        Mistakes { file: file.to_owned(), problems: self.0 }
    }
}

/// The mistakes of an experiment file, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problems.iter().map(|problem| format!("{}: {problem}", .file.display())).collect::<Vec<_>>().join("\n"))]
pub struct Mistakes {
    /// The experiment file.
    pub file: PathBuf,
    /// What is wrong.
    pub problems: Vec<Problem>,
}
