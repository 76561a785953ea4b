//! Two different results of one cell, side by side.
//!
//! Which of them is right the program cannot know. Whoever decides it has to see what each says and where
//! it stands.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::Record;

/// Segments and lines, from 1 on.
pub(super) type Places = Vec<(PathBuf, usize)>;

/// That two records of one cell do not say the same.
#[derive(Debug)]
pub struct Contradiction {
    folder: PathBuf,
    id: String,
    said: [Said; 2],
    differences: String,
}

/// A result, and the lines that say it; none of one that is about to be written.
#[derive(Debug)]
struct Said {
    places: Places,
    what: String,
}

impl Contradiction {
    /// That of two records in the segments of `folder`, each with the places where it stands.
    pub(super) fn new(folder: &Path, records: [&Record; 2], places: [Places; 2]) -> Self {
        let [one, other] = records;
        let [here, there] = places;
        Contradiction {
            folder: folder.to_owned(),
            id: one.id.clone(),
            said: [
                Said { places: here, what: summary(one) },
                Said { places: there, what: summary(other) },
            ],
            differences: differences(one, other),
        }
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Contradiction { folder, id, said: [one, other], differences } = self;
        write!(
            out,
            "{}: cell {id} has two different results; keep one and remove the other, or compute it again with \
             `--redo {id}`\n  {one}\n  {other}\n  they differ in {differences}",
            folder.display()
        )
    }
}

fn summary(record: &Record) -> String {
    let outcome = &record.outcome;
    let mut text = outcome.status.name().to_owned();
    if let Some(error) = outcome.test_error {
        let _ = write!(text, ", test error {:.2} %", 100.0 * error.value());
    }
    let (steps, resets, evaluations) = (outcome.steps, outcome.resets, record.curve.len());
    let _ = write!(text, ", {steps} steps, {resets} resets, {evaluations} evaluations");
    if let Some(machine) = &record.machine {
        let _ = write!(text, ", computed on {machine}");
    }
    text
}

/// Where they differ: values of the outcome, and the first evaluation.
fn differences(one: &Record, other: &Record) -> String {
    let mut found = Vec::new();
    let values = |record: &Record| {
        serde_json::to_value(record.outcome.shares()).expect("an outcome holds only finite numbers")
    };
    if let (Value::Object(one), Value::Object(other)) = (values(one), values(other)) {
        let differing = one.iter().filter(|(name, value)| other.get(*name) != Some(value));
        found.extend(differing.map(|(name, value)| {
            format!("{name} {value} and {}", other.get(name).unwrap_or(&Value::Null))
        }));
    }
    if one.curve != other.curve {
        let pairs = one.curve.iter().zip(&other.curve);
        let first = pairs.into_iter().find(|(one, other)| one != other);
        found.push(match first {
            Some((point, _)) => format!("the curve from step {} on", point.step),
            None => "the length of the curve".into(),
        });
    }
    found.join(", ")
}

impl fmt::Display for Said {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        if self.places.is_empty() {
            write!(out, "computed just now")?;
        }
        for (index, (path, line)) in self.places.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{}:{line}", path.display())?;
        }
        write!(out, ": {}", self.what)
    }
}
