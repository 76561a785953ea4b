//! Two different results of one cell, side by side.
//!
//! Which of them is right the program cannot know. Whoever decides it has to see what each says and where
//! it stands, so the segments are read once more for that, and only then.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;
use super::record::{Line, Record};
use super::segment::Segment;

/// A result, and the lines that say it.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// Segments and lines, from 1 on; none of a result that is about to be written.
    pub places: Vec<(PathBuf, usize)>,
    /// What it comes to.
    pub what: String,
}

/// That `one` and `other`, both of one cell, do not say the same in the results folder `folder`.
pub(super) fn contradiction(folder: &Path, one: &Record, other: &Record) -> Error {
    let said =
        [one, other].map(|record| Said { places: places(folder, record), what: summary(record) });
    Error::Contradiction {
        folder: folder.join("cells"),
        id: one.id.clone(),
        said: Box::new(said),
        differences: differences(one, other),
    }
}

/// The lines that say what `record` does. A segment that cannot be read has none.
fn places(folder: &Path, record: &Record) -> Vec<(PathBuf, usize)> {
    let mut places = Vec::new();
    for segment in Segment::all(&folder.join("cells")).unwrap_or_default() {
        let _ = segment.each_line(|number, line| {
            if let Line::Cell(found) = Line::of(line) {
                let is_the_same = found.id == record.id
                    && found.weights == record.weights
                    && found.is_finished()
                    && found.agrees_with(record);
                places.extend(is_the_same.then(|| (segment.path.clone(), number)));
            }
            Ok(())
        });
    }
    places
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

impl std::fmt::Display for Said {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
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
