//! Sources that are trained here: cells that others take from, and that run before them.
//!
//! The weights of a source lie in `work/source-<cell>-<digest>.safetensors`. One run trains a source
//! while others wait for it, by a lock of its own, and then read what it wrote. A run trains its sources
//! side by side as far as threads go, the longest first. A source that fails or diverges fails the cells
//! that need it, and no others.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, Event, First, Session, record};
use crate::experiment::cell::Cell;
use crate::experiment::store::{self, Record, Turn};
use crate::experiment::study::{Computed, Failure, Ground};
use crate::files;
use crate::results::Status;
use crate::weights::{self, Checkpoint};

/// What became of sources, and those that another run is at.
type Found<'c> = (Vec<(&'c Cell, First)>, Vec<&'c Cell>);

impl Session<'_, '_> {
    /// What became of each of the sources `cells`: its weights from their file if that is here and whole,
    /// else trained now, by this run or by another that is at it. Unless this run `waits`, those that another
    /// is at are given back beside them. A run that is stopped has not all.
    ///
    /// # Errors
    /// When the results folder cannot be read or written.
    pub(super) fn sources<'c>(
        &mut self,
        ground: &dyn Ground,
        cells: &[&'c Cell],
        waits: bool,
    ) -> Result<Found<'c>, Error> {
        let (mut there, mut busy, mut turns) = (Vec::new(), Vec::new(), HashMap::new());
        if cells.is_empty() {
            return Ok((there, busy));
        }
        let work = self.store.work_folder();
        fs::create_dir_all(&work)
            .map_err(|source| store::Error::Io { path: work.clone(), source })?;
        // Every run takes its turns in this order, so no two wait for each other.
        let mut in_order = cells.to_vec();
        in_order.sort_by(|a, b| a.id.cmp(&b.id));
        for cell in in_order {
            let Some(turn) = self.turn(cell, waits)? else {
                if self.is_stopped() {
                    self.interrupted = true;
                    return Ok((there, busy));
                }
                busy.push(cell);
                continue;
            };
            self.store.read_again()?;
            if let Some(reason) = self.died(cell) {
                there.push((cell, First::Dead(reason)));
            } else if let Some((weights, digest)) = self.kept(cell, &work) {
                there.push((cell, First::Ready(weights, digest)));
            } else {
                turns.insert(cell.id.as_str(), turn);
            }
        }
        let mut left: Vec<&Cell> =
            cells.iter().copied().filter(|cell| turns.contains_key(cell.id.as_str())).collect();
        left.sort_by_key(|cell| Reverse(cell.spec.train.steps));
        let threads: BTreeSet<usize> = left.iter().map(|cell| cell.spec.train.threads).collect();
        for each in threads {
            let of_these = left.iter().filter(|cell| cell.spec.train.threads == each);
            let jobs = of_these.map(|cell| vec![*cell]).collect();
            let workers = (self.threads / each).max(1).min(left.len());
            self.pool(ground, jobs, workers, |session, cell, result, seconds| {
                let trained = session.trained(cell, result, seconds, &work)?;
                there.extend(trained.map(|first| (cell, first)));
                turns.remove(cell.id.as_str());
                Ok(())
            })?;
        }
        self.interrupted |= !turns.is_empty();
        Ok((there, busy))
    }

    /// The right to train the source `cell`, once no other run is at it; none where another is and this one
    /// does not wait, or was stopped.
    fn turn(&mut self, cell: &Cell, waits: bool) -> Result<Option<Turn>, Error> {
        let mut is_said = false;
        let lock = self.store.lock_file(&format!("source-{}", cell.id));
        let turn = Turn::wait(&lock, || {
            if !waits {
                return false;
            }
            if !std::mem::replace(&mut is_said, true) {
                (self.report)(Event::Waiting(cell));
            }
            !self.is_stopped()
        })?;
        Ok(turn.filter(|_| !self.is_stopped()))
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

    /// Keeps what the source `cell` came to; none if it was stopped.
    fn trained(
        &mut self,
        cell: &Cell,
        result: Result<Computed, Failure>,
        seconds: f64,
        work: &Path,
    ) -> Result<Option<First>, Error> {
        let Some((record, weights)) = record(cell, result, seconds) else { return Ok(None) };
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
                return Ok(Some(First::Dead(dead)));
            }
        };
        let digest = weights::digest(&weights);
        let path = file(work, cell, &digest);
        files::write_atomically(&path, &weights::to_safetensors(&weights))
            .map_err(|source| store::Error::Io { path, source })?;
        self.end(cell, Record { weights: Some(digest.clone()), ..record })?;
        Ok(Some(First::Ready(weights, digest)))
    }
}

fn file(work: &Path, cell: &Cell, digest: &str) -> PathBuf {
    let start = digest.get(..16).unwrap_or(digest);
    work.join(format!("source-{}-{start}.safetensors", cell.id))
}
