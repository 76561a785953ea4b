//! What the segments of an experiment hold, by cell.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::Error;
use super::contradiction::{Contradiction, Places};
use super::record::{Line, Record};
use super::segment::{Damage, Segment};
use crate::experiment::cell::Cell;

/// What a results folder holds.
///
/// A cell that takes from a source trained here stands under the digest of the weights it took, beside
/// its name: on unlike CPUs a source comes to unlike weights, and cells of both must not be mixed.
#[derive(Debug, Default)]
pub struct Records {
    folder: PathBuf,
    cells: HashMap<String, Vec<Record>>,
    damaged: Vec<Damage>,
    other_versions: usize,
}

impl Records {
    /// Reads every segment in `folder`, which need not exist.
    ///
    /// # Errors
    /// When a segment cannot be read, or two of them contradict each other.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut records = Records { folder: folder.to_owned(), ..Records::default() };
        for segment in Segment::all(&folder.join("cells"))? {
            segment.each_line(|number, line| {
                match Line::of(line) {
                    Line::Cell(record) => records.add(*record)?,
                    Line::OtherVersion => records.other_versions += 1,
                    Line::Damaged => {
                        records.damaged.push(Damage { path: segment.path.clone(), line: number });
                    }
                }
                Ok(())
            })?;
        }
        Ok(records)
    }

    /// Lines that had to be left out.
    pub fn damaged(&self) -> &[Damage] {
        &self.damaged
    }

    /// How many cells of other results versions were passed over.
    pub fn of_other_versions(&self) -> usize {
        self.other_versions
    }

    /// How `cell` ended, finished or failed, with the weights that are in use of the source it takes
    /// from.
    pub fn ended(&self, cell: &Cell) -> Option<&Record> {
        let weights = match cell.spec.source() {
            Some(source) => self.in_use(source),
            None => self.in_use(&cell.id),
        };
        self.ended_with(cell, weights)
    }

    /// How `cell` ended with these `weights`; a failure is one with any.
    pub(crate) fn ended_with(&self, cell: &Cell, weights: Option<&str>) -> Option<&Record> {
        let records = self.cells.get(&cell.id)?;
        let finished = records
            .iter()
            .find(|record| record.is_finished() && record.weights.as_deref() == weights);
        finished.or_else(|| records.iter().find(|record| !record.is_finished()))
    }

    /// The finished `cell`.
    pub fn finished(&self, cell: &Cell) -> Option<&Record> {
        self.ended(cell).filter(|record| record.is_finished())
    }

    /// Those of `cells` that are not [finished](Self::finished), in their order.
    pub fn unfinished<'c>(&self, cells: impl IntoIterator<Item = &'c Cell>) -> Vec<&'c Cell> {
        cells.into_iter().filter(|cell| self.finished(cell).is_none()).collect()
    }

    /// The weights of the source `id` that the tables are made with: those that most cells took, of
    /// equally many the first by digest. None where it has not been trained here.
    pub(crate) fn in_use(&self, id: &str) -> Option<&str> {
        self.known_weights(id)
            .into_iter()
            .max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)))
            .map(|(weights, _)| weights)
    }

    /// All weights that the source `id` came to, and how many finished cells took each.
    pub(crate) fn known_weights(&self, id: &str) -> BTreeMap<&str, usize> {
        let of_source = self.cells.get(id).into_iter().flatten().filter(|r| r.is_finished());
        let made = of_source.filter_map(|record| record.weights.as_deref());
        let mut counts: BTreeMap<&str, usize> = made.map(|weights| (weights, 0)).collect();
        if counts.len() > 1 {
            for record in self.cells.values().flatten().filter(|record| record.is_finished()) {
                let weights =
                    record.weights.as_deref().filter(|_| record.source.as_deref() == Some(id));
                if let Some(count) = weights.and_then(|weights| counts.get_mut(weights)) {
                    *count += 1;
                }
            }
        }
        counts
    }

    /// Adds a record that was read, a finished one above a failed one.
    ///
    /// # Errors
    /// When the cell is there with another result.
    fn add(&mut self, record: Record) -> Result<(), Error> {
        if self.is_new(&record)? {
            self.keep(record);
        }
        Ok(())
    }

    /// Whether `record` says more of its cell than is known.
    ///
    /// # Errors
    /// When the cell is there with another result.
    pub(super) fn is_new(&self, record: &Record) -> Result<bool, Error> {
        let known = self.cells.get(&record.id).map_or(&[][..], Vec::as_slice);
        if !record.is_finished() {
            let says_as_much = |old: &Record| old.is_finished() || old.reason == record.reason;
            return Ok(!known.iter().any(says_as_much));
        }
        let twin = known.iter().find(|old| old.is_finished() && old.weights == record.weights);
        match twin {
            None => Ok(true),
            Some(twin) if twin.agrees_with(record) => Ok(false),
            Some(twin) => Err(self.contradiction([twin, record])?),
        }
    }

    /// That two records of one cell differ. The segments are read once more for it, so that nothing needs to
    /// be known of where each of a hundred thousand cells stands.
    fn contradiction(&self, records: [&Record; 2]) -> Result<Error, Error> {
        let folder = self.folder.join("cells");
        let mut places = [Places::new(), Places::new()];
        for segment in Segment::all(&folder)? {
            for (record, places) in records.into_iter().zip(&mut places) {
                let lines = segment.lines_of(record)?;
                places.extend(lines.into_iter().map(|line| (segment.path.clone(), line)));
            }
        }
        Ok(Error::Contradiction(Box::new(Contradiction::new(&folder, records, places))))
    }

    /// Keeps a record that is new.
    pub(super) fn keep(&mut self, record: Record) {
        let known = self.cells.entry(record.id.clone()).or_default();
        known.retain(Record::is_finished);
        // Nearly every cell has one, and a vector left to itself makes room for four.
        known.reserve_exact(1);
        known.push(record);
    }
}
