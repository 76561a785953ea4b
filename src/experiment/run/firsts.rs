//! Sources that are trained here: cells that others take from, and that run before them.
//!
//! The weights of a source lie in `work/source-<cell>-<digest>.safetensors`. One run trains a source
//! while others wait for it, by a lock of its own, and then read what it wrote. A source that fails or
//! diverges fails the cells that need it, and no others.

use std::path::{Path, PathBuf};

use super::{Error, Event, First, Session};
use crate::experiment::cell::Cell;
use crate::experiment::store::{Record, Turn};
use crate::experiment::study::Ground;
use crate::files;
use crate::results::Status;
use crate::weights::{self, Checkpoint};

impl Session<'_, '_> {
    /// The weights of the source `cell`: from its file if that is here and whole, else trained now, by
    /// this run or by another that is at it.
    ///
    /// # Errors
    /// When the results folder cannot be read or written.
    pub(super) fn first(&mut self, ground: &dyn Ground, cell: &Cell) -> Result<First, Error> {
        let work = self.store.work_folder()?;
        let mut is_said = false;
        let lock = self.store.lock_file(&format!("source-{}", cell.id));
        let turn = Turn::wait(&lock, || {
            if !std::mem::replace(&mut is_said, true) {
                (self.report)(Event::Waiting(cell));
            }
            !self.is_stopped()
        })?;
        let Some(_turn) = turn else { return Ok(First::Stopped) };
        self.store.read_again()?;
        if let Some(reason) = self.died(cell) {
            return Ok(First::Dead(reason));
        }
        match self.kept(cell, &work) {
            Some((weights, digest)) => Ok(First::Ready(weights, digest)),
            None => self.train(ground, cell, &work),
        }
    }

    /// Why a source that has been trained is none.
    fn died(&self, cell: &Cell) -> Option<String> {
        let diverged = |status| status == Status::Diverged;
        let record = self.store.records().finished(cell)?;
        diverged(record.outcome.status).then(|| format!("its source, cell {}, diverged", cell.id))
    }

    /// The weights that most finished cells took, of those whose file is here and whole.
    fn kept(&self, cell: &Cell, work: &Path) -> Option<(Checkpoint, String)> {
        let mut known: Vec<(&str, usize)> =
            self.store.records().known_weights(&cell.id).into_iter().collect();
        known.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        known.into_iter().find_map(|(digest, _)| {
            let weights = weights::load(&file(work, cell, digest)).ok()?;
            (weights::digest(&weights) == digest).then(|| (weights, digest.to_owned()))
        })
    }

    fn train(&mut self, ground: &dyn Ground, cell: &Cell, work: &Path) -> Result<First, Error> {
        let Some((record, weights)) = self.alone(ground, cell)? else { return Ok(First::Stopped) };
        let dead = match (record.outcome.status, &record.reason) {
            (_, Some(reason)) => Some(format!("its source, cell {}, failed: {reason}", cell.id)),
            (Status::Diverged, _) => Some(format!("its source, cell {}, diverged", cell.id)),
            _ => None,
        };
        let weights = match (dead, weights) {
            (None, Some(weights)) => weights,
            (dead, _) => {
                self.end(cell, record)?;
                let dead =
                    dead.unwrap_or_else(|| format!("its source, cell {}, has none", cell.id));
                return Ok(First::Dead(dead));
            }
        };
        let digest = weights::digest(&weights);
        let path = file(work, cell, &digest);
        files::write_atomically(&path, &weights::to_safetensors(&weights))
            .map_err(|error| Error::Source { path, what: error.to_string() })?;
        self.end(cell, Record { weights: Some(digest.clone()), ..record })?;
        Ok(First::Ready(weights, digest))
    }
}

fn file(work: &Path, cell: &Cell, digest: &str) -> PathBuf {
    let start = digest.get(..16).unwrap_or(digest);
    work.join(format!("source-{}-{start}.safetensors", cell.id))
}
