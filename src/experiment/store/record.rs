//! A finished cell as one line of JSON.
//!
//! The rules of a line are numbered in `docs/formats.md` and tested one by one in `tests/segment.rs`. A
//! line that breaks one is damaged: it is named, left out, and its cell computed again. An unfinished
//! last line is not damaged, since its writer may be at it.

use serde::{Deserialize, Serialize};

use crate::digest::sha256;
use crate::experiment::cell::{Cell, Spec};
use crate::results::Timing;
use crate::results::table::{Outcome, Status, counted};
use crate::train::{CurvePoint, ErrorCount, Seconds};

/// A cell that came to its end. Its errors are `E`s: counts, or shares as lines have them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record<E = ErrorCount> {
    /// The cell's name.
    pub id: String,
    /// What was computed.
    pub spec: Spec,
    /// How it ended.
    pub outcome: Outcome<E>,
    /// Its evaluations.
    pub curve: Vec<CurvePoint<E>>,
    /// Why it failed, if it did: such a cell is not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The digest of the weights of a source that is trained here: those that it came to, or those that
    /// a cell took from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Where the time went: the only part that differs from run to run.
    pub timing: Timing,
}

impl Record {
    /// The end of a cell that failed after so many `seconds`.
    pub(crate) fn failed(cell: &Cell, reason: String, seconds: f64) -> Self {
        Record {
            id: cell.id.clone(),
            spec: cell.spec.clone(),
            outcome: Outcome::failed(),
            curve: Vec::new(),
            reason: Some(reason),
            weights: None,
            timing: Timing { total: seconds, split: Seconds::default() },
        }
    }

    /// Whether the cell need not run again.
    pub fn is_finished(&self) -> bool {
        self.outcome.status != Status::Failed
    }

    /// Whether `other` says the same of the cell, times aside.
    pub(super) fn agrees_with(&self, other: &Record) -> bool {
        (&self.outcome, &self.curve) == (&other.outcome, &other.curve)
    }

    /// The line of the segment.
    pub(super) fn to_line(&self) -> String {
        let shares = self.shares();
        let body = serde_json::to_string(&shares).expect("a record holds only finite numbers");
        let open = &body[..body.len() - 1];
        format!("{open}{SEAL}{}\"}}\n", digest(open))
    }

    /// The record of a whole and unaltered line.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let (open, seal) = line.strip_suffix("\"}\n")?.rsplit_once(SEAL)?;
        (seal == digest(open)).then_some(())?;
        let shares: Record<f64> = serde_json::from_str(&format!("{open}}}")).ok()?;
        let record = shares.counts().ok()?;
        let is_sound =
            record.id == record.spec.id() && record.reason.is_none() == record.is_finished();
        is_sound.then_some(record)
    }
}

impl Record {
    fn shares(&self) -> Record<f64> {
        let share = |point: &CurvePoint| point.with_error(point.validation_error.value());
        self.with(self.outcome.shares(), self.curve.iter().map(share).collect())
    }
}

impl Record<f64> {
    /// # Errors
    /// The error that is no whole number of its images.
    fn counts(&self) -> Result<Record, String> {
        let outcome = self.outcome.counts(Some(self.spec.data.train_size() as u64))?;
        let count = |point: &CurvePoint<f64>| {
            let error = counted(point.validation_error, outcome.validation_images)?;
            Ok(point.with_error(error))
        };
        let curve = self.curve.iter().map(count).collect::<Result<_, String>>()?;
        Ok(self.with(outcome, curve))
    }
}

impl<E> Record<E> {
    /// The same cell with another end.
    fn with<F>(&self, outcome: Outcome<F>, curve: Vec<CurvePoint<F>>) -> Record<F> {
        let Record { id, spec, reason, weights, timing, .. } = self;
        let (id, spec) = (id.clone(), spec.clone());
        let (reason, weights) = (reason.clone(), weights.clone());
        Record { id, spec, outcome, curve, reason, weights, timing: *timing }
    }
}

/// What ends a line, before the digest of what stands before it.
const SEAL: &str = ",\"digest\":\"";

fn digest(text: &str) -> String {
    sha256(text.as_bytes())[..16].to_owned()
}
