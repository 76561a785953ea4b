//! A plan and the records as they are now → the tables of the results folder.
//!
//! Tables are rewritten whole, from the plan's cells in the plan's order, so resumed, sharded and
//! uninterrupted runs give the same bytes. Who publishes waits for its turn and then reads all segments
//! again. Of shards that run at the same time only the last to end publishes, once for all of them.
//!
//! A table is not replaced by one that lacks cells of the same plan: an interrupted run beside tables
//! that were published elsewhere leaves them as they are.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::cell::Cell;
use super::plan::Plan;
use super::store::{self, Record, Records, Staged, Store, Turn};
use crate::results::TIMINGS;
use crate::results::table::{self, CellTime, CurveRow, Key, Trial};

/// A cell that came to an end, and how.
type Ended<'a> = (&'a Key, &'a Record);

/// What became of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// They were written, and replaced so many rows of cells that the plan does not have.
    Written {
        /// Rows of other cells that stood there.
        replaced: usize,
    },
    /// They were left as they are: so many of their rows are cells that have not run here, of the plan or, where
    /// none of the plan has, of any.
    Kept {
        /// Rows that would have been lost.
        rows: usize,
    },
}

/// Writes the tables of `plan` from all cells that have ended, whoever computed them, and its manifest.
///
/// # Errors
/// When the segments cannot be read, contradict each other, or a file cannot be written.
pub fn publish(plan: &Plan) -> Result<Published, store::Error> {
    let _turn = turn(plan)?;
    write_tables(plan)
}

/// Whether the table has a row of every cell of `plan`.
pub fn is_published(plan: &Plan) -> bool {
    let rows = table::read_ids(&plan.results().join("trials.csv")).unwrap_or_default();
    let rows: HashSet<String> = rows.into_iter().collect();
    plan.all_cells().all(|cell| rows.contains(&cell.id))
}

/// Ends the run that wrote `store`, and writes the tables of `plan` unless another run of those that `publish_too`,
/// by the names of their segments, is at work.
///
/// A run gives its segment up in its turn, so of several that end together one finds itself the last.
///
/// # Errors
/// As [`publish`].
pub(super) fn publish_last(
    plan: &Plan,
    store: Store,
    publish_too: impl Fn(&str) -> bool,
) -> Result<Option<Published>, store::Error> {
    let _turn = turn(plan)?;
    match store.leave_to_others(publish_too)? {
        true => Ok(None),
        false => write_tables(plan).map(Some),
    }
}

/// The right to write the tables of `plan`, which one process has at a time.
fn turn(plan: &Plan) -> Result<Option<Turn>, store::Error> {
    Turn::wait(&plan.results().join("cells/publish.lock"), || true)
}

fn write_tables(plan: &Plan) -> Result<Published, store::Error> {
    let folder = plan.results();
    let records = Records::read(&folder)?;
    let ended = ended(plan, &records);
    let (lost, replaced) = lost_rows(plan, &ended, &folder);
    // Nothing takes no table's place: an experiment that was edited has other cells, and none of them yet.
    if lost > 0 || (ended.is_empty() && replaced > 0) {
        return Ok(Published::Kept { rows: lost + replaced });
    }
    let settings = plan.settings();
    // A table at a time, and no row of it longer than it is written: there may be a million of them.
    let trials = table::write_trials(&settings, ended.iter().map(trial));
    let trials = Staged::new(&folder, "trials.csv", &trials)?;
    let curves = ended.iter().flat_map(curve);
    let curves = table::write_curves(&settings, tensors(&ended), curves);
    let curves = Staged::new(&folder, "curves.csv", &curves)?;
    let times = Staged::new(&folder, TIMINGS, &table::write_timings(ended.iter().map(time)))?;
    let manifest = Staged::new(&folder, "manifest.json", &plan.manifest(&machines(&ended)))?;
    // All of them are on the disk: one that is full has left the tables of before.
    for file in [trials, curves, times, manifest] {
        file.commit()?;
    }
    Ok(Published::Written { replaced })
}

/// The plan's cells that came to an end, in the order of the tables.
fn ended<'a>(plan: &'a Plan, records: &'a Records) -> Vec<Ended<'a>> {
    let find = |cell: &'a Cell| Some((&cell.key, records.ended(cell)?));
    plan.all_cells().filter_map(find).collect()
}

/// What computed the cells, where their lines say it, and how many each did.
fn machines<'a>(ended: &[Ended<'a>]) -> BTreeMap<&'a str, usize> {
    let mut machines = BTreeMap::new();
    for machine in ended.iter().filter_map(|(_, record)| record.machine.as_deref()) {
        *machines.entry(machine).or_default() += 1;
    }
    machines
}

fn trial((key, record): &Ended) -> Trial {
    let Record { outcome, reason, .. } = record;
    Trial { key: (*key).clone(), outcome: outcome.clone(), reason: reason.clone() }
}

/// The names of the weight tensors that the curves of `ended` tell apart, as often as they do.
fn tensors<'a>(ended: &[Ended<'a>]) -> impl Iterator<Item = &'a str> {
    let points = ended.iter().flat_map(|(_, record)| &record.curve);
    points.flat_map(|point| &point.tensors).map(|counts| counts.name.as_str())
}

fn curve<'a>((key, record): &Ended<'a>) -> impl Iterator<Item = CurveRow> + use<'a> {
    let key: &'a Key = key;
    record.curve.iter().map(move |point| CurveRow { key: key.clone(), point: point.clone() })
}

fn time((key, record): &Ended) -> CellTime {
    CellTime { id: key.id.clone(), timing: record.timing }
}

/// How many rows of the table that stands in `folder` are cells of `plan` that have not `ended`, and how
/// many are no cells of it at all.
fn lost_rows(plan: &Plan, ended: &[Ended], folder: &Path) -> (usize, usize) {
    // A table that cannot be read has no rows to lose.
    let standing = table::read_ids(&folder.join("trials.csv")).unwrap_or_default();
    let ended: HashSet<&str> = ended.iter().map(|(key, _)| key.id.as_str()).collect();
    let missing: Vec<&String> = standing.iter().filter(|id| !ended.contains(id.as_str())).collect();
    if missing.is_empty() {
        return (0, 0);
    }
    let planned: HashSet<&str> = plan.all_cells().map(|cell| cell.id.as_str()).collect();
    let lost = missing.iter().filter(|id| planned.contains(id.as_str())).count();
    (lost, missing.len() - lost)
}
