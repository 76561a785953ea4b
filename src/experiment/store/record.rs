//! A finished cell as one line of JSON.
//!
//! The rules of a line are numbered in `docs/formats.md` and tested one by one in `tests/segment.rs`. A
//! line that breaks one is damaged: it is named, left out, and its cell computed again. An unfinished
//! last line is not damaged, since its writer may be at it, nor is one of another results version.

use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::experiment::cell::{Cell, RESULTS_VERSION, Spec};
use crate::machine;
use crate::results::Timing;
use crate::results::table::{Outcome, Status, counted};
use crate::train::{CurvePoint, Seconds};

/// A cell that came to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The cell's name.
    pub id: String,
    /// The digest of the source that it takes something from. Its specification is on disk and not kept
    /// here, where there may be a hundred thousand of them.
    pub source: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Its evaluations.
    pub curve: Vec<CurvePoint>,
    /// Why it failed, if it did: such a cell is not finished.
    pub reason: Option<String>,
    /// The digest of the weights of a source that is trained here: those that it came to, or those that
    /// a cell took from it.
    pub weights: Option<String>,
    /// What it was computed on, which sums round by; none in lines that do not say it.
    pub machine: Option<String>,
    /// Where the time went: with the machine the only part that differs from run to run.
    pub timing: Timing,
}

/// What a line of a segment is.
#[derive(Debug)]
pub(super) enum Line {
    /// A cell that came to its end.
    Cell(Box<Record>),
    /// A cell of another results version, which this program has no words for.
    OtherVersion,
    /// Not what was written.
    Damaged,
}

/// A record as it is written, errors as shares.
#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    spec: &'a Spec,
    outcome: Outcome<f64>,
    curve: Vec<CurvePoint<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<&'a str>,
    timing: &'a Timing,
}

/// A record as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    id: String,
    spec: Spec,
    outcome: Outcome<f64>,
    curve: Vec<CurvePoint<f64>>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    weights: Option<String>,
    #[serde(default)]
    machine: Option<String>,
    timing: Timing,
}

impl Record {
    /// The end of `cell`.
    pub(crate) fn new(
        cell: &Cell,
        outcome: Outcome,
        curve: Vec<CurvePoint>,
        timing: Timing,
    ) -> Self {
        Record {
            id: cell.id.clone(),
            source: cell.spec.source().map(str::to_owned),
            outcome,
            curve,
            reason: None,
            weights: None,
            machine: Some(machine::here().to_owned()),
            timing,
        }
    }

    /// The end of a cell that failed after so many `seconds`.
    pub(crate) fn failed(cell: &Cell, reason: String, seconds: f64) -> Self {
        let timing = Timing { total: seconds, split: Seconds::default() };
        let record = Record::new(cell, Outcome::failed(), Vec::new(), timing);
        Record { reason: Some(reason), ..record }
    }

    /// Whether the cell need not run again.
    pub fn is_finished(&self) -> bool {
        self.outcome.status != Status::Failed
    }

    /// Whether `other` says the same of the cell, times aside.
    pub(super) fn agrees_with(&self, other: &Record) -> bool {
        (&self.outcome, &self.curve) == (&other.outcome, &other.curve)
    }

    /// Whether `other` is a finished record of the same cell, with the same weights, and says the same.
    pub(super) fn is_twin_of(&self, other: &Record) -> bool {
        let is_of_the_same = (&self.id, &self.weights) == (&other.id, &other.weights);
        is_of_the_same && self.is_finished() && self.agrees_with(other)
    }

    /// The line of the segment, of a cell with this `spec`.
    pub(super) fn to_line(&self, spec: &Spec) -> String {
        let Record { id, timing, .. } = self;
        let share = |point: &CurvePoint| point.with_error(point.validation_error.value());
        let outcome = self.outcome.shares();
        let curve = self.curve.iter().map(share).collect();
        let (reason, weights) = (self.reason.as_deref(), self.weights.as_deref());
        let machine = self.machine.as_deref();
        let written = Written { id, spec, outcome, curve, reason, weights, machine, timing };
        let body = serde_json::to_string(&written).expect("a record holds only finite numbers");
        let open = &body[..body.len() - 1];
        format!("{open}{SEAL}{}\"}}\n", digest(open))
    }

    /// The record that the JSON object `text` is.
    fn parse(text: &str) -> Option<Self> {
        let read: Read = serde_json::from_str(text).ok()?;
        let is_named = read.id == read.spec.id();
        let record = read.counts().ok()?;
        (is_named && record.reason.is_none() == record.is_finished()).then_some(record)
    }
}

impl Line {
    /// What `line`, its end included, is.
    pub(super) fn of(line: &[u8]) -> Self {
        let Some(text) = unsealed(line) else { return Line::Damaged };
        match Record::parse(&text) {
            Some(record) => Line::Cell(Box::new(record)),
            None if is_of_another_version(&text) => Line::OtherVersion,
            None => Line::Damaged,
        }
    }

    /// Whether it is a record of the cell `id`.
    pub(super) fn is_of(&self, id: &str) -> bool {
        matches!(self, Line::Cell(record) if record.id == id)
    }
}

/// The JSON object of a whole and unaltered line, without its digest.
fn unsealed(line: &[u8]) -> Option<String> {
    let line = str::from_utf8(line).ok()?;
    let (open, seal) = line.strip_suffix("\"}\n")?.rsplit_once(SEAL)?;
    (seal == digest(open)).then(|| format!("{open}}}"))
}

fn is_of_another_version(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Line {
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        version: u32,
    }
    serde_json::from_str(text).is_ok_and(|line: Line| line.spec.version != RESULTS_VERSION)
}

impl Read {
    /// # Errors
    /// The error that is no whole number of its images.
    fn counts(self) -> Result<Record, String> {
        let Read { id, spec, outcome, curve, reason, weights, machine, timing } = self;
        let outcome = outcome.counts(Some(spec.data.train_size() as u64))?;
        let count = |point: &CurvePoint<f64>| {
            let error = counted(point.validation_error, outcome.validation_images)?;
            Ok(point.with_error(error))
        };
        let curve = curve.iter().map(count).collect::<Result<_, String>>()?;
        let source = spec.source().map(str::to_owned);
        Ok(Record { id, source, outcome, curve, reason, weights, machine, timing })
    }
}

/// What ends a line, before the digest of what stands before it.
const SEAL: &str = ",\"digest\":\"";

fn digest(text: &str) -> String {
    sha256(text.as_bytes())[..16].to_owned()
}
