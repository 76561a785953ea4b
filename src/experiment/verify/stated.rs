//! What a results folder says that the cells of a plan came to, and on what they were computed.
//!
//! A folder that is not of this plan is refused: with other data, other sources or another version the
//! numbers would differ for a reason that has nothing to do with whether they are right.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;

use super::Options;
use crate::experiment::cell::{Cell, RESULTS_VERSION};
use crate::experiment::plan::Plan;
use crate::machine;
use crate::random::Stream;
use crate::results::table::{CurvePoint, Status, Trial};
use crate::results::{FolderError, Tables};

/// The published rows of a plan's cells.
#[derive(Debug)]
pub struct Stated {
    rows: Vec<Trial>,
    curves: HashMap<String, Vec<CurvePoint>>,
    here: String,
    there: String,
    reasons: Vec<String>,
    may_differ: bool,
}

/// Why a results folder cannot be held against a plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no tables, or they cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The manifest lacks what says how the tables were made.
    #[error("{path}: {what}; it has to be the one that was published with the tables")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The tables were made from something else.
    #[error("{path}: {key} is `{theirs}`, and here it is `{ours}`; {hint}")]
    Other {
        /// The manifest.
        path: PathBuf,
        /// Its key.
        key: String,
        /// What it says there.
        theirs: String,
        /// What this program would say.
        ours: String,
        /// How to mend it.
        hint: &'static str,
    },
    /// Rows of cells that the experiment does not have.
    #[error(
        "{path}: {count} of {rows} rows are no cells of this experiment, {id} (arm {arm}, seed {seed}) first; \
         give the file, and the KEY=VALUE, that they were made with"
    )]
    Unknown {
        /// The table.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// Of how many.
        rows: usize,
        /// The first one's id.
        id: String,
        /// Its arm.
        arm: String,
        /// Its seed.
        seed: u64,
    },
    /// A row stands under the place of another cell.
    #[error(
        "{path}: the row of cell {id} says {theirs}, and the cell is {ours}; a row has to stand as it was \
         published"
    )]
    Misplaced {
        /// The table.
        path: PathBuf,
        /// The cell.
        id: String,
        /// The arm, settings and seed of the row.
        theirs: String,
        /// Those of the cell.
        ours: String,
    },
    /// A cell has two rows.
    #[error("{path}: cell {id} has two rows; a table has one for each cell")]
    Twice {
        /// The table.
        path: PathBuf,
        /// The cell.
        id: String,
    },
    /// There is nothing to recompute.
    #[error("{path}: no finished cell; `polarity run` makes some")]
    Nothing {
        /// The table.
        path: PathBuf,
    },
}

/// What of a manifest says how the tables were made.
#[derive(Deserialize)]
struct Manifest {
    results_version: u32,
    libtorch: String,
    device: String,
    #[serde(default)]
    machines: BTreeMap<String, usize>,
    data_digest: Option<String>,
    source_digests: IndexMap<String, String>,
}

impl Stated {
    /// Reads the results folder of `plan`.
    ///
    /// # Errors
    /// When it cannot be read, or is not of this plan, these data or this version.
    pub fn read(plan: &Plan) -> Result<Self, Error> {
        let folder = plan.results();
        let Tables { trials, curves, .. } = Tables::read(&folder)?;
        let manifest = manifest(&folder.join("manifest.json"), plan)?;
        check_rows(&folder.join("trials.csv"), plan, &trials)?;
        let mut by_id: HashMap<String, Vec<CurvePoint>> = HashMap::new();
        for row in curves {
            by_id.entry(row.key.id).or_default().push(row.point);
        }
        let mut reasons = reasons(&manifest);
        let here =
            format!("{}, libtorch {}, {}", machine::here(), crate::libtorch(), plan.device());
        let there = format!(
            "{}, libtorch {}, {}",
            spoken(&manifest.machines),
            manifest.libtorch,
            manifest.device
        );
        if plan.device() != "cpu" {
            reasons.push("a GPU sums in an order of its own".to_owned());
        }
        let may_differ = !reasons.is_empty() && plan.ground.rounds_by_machine();
        Ok(Stated { rows: trials, curves: by_id, here, there, reasons, may_differ })
    }

    /// What computes here.
    pub fn here(&self) -> &str {
        &self.here
    }

    /// What computed the tables, as their manifest says it.
    pub fn there(&self) -> &str {
        &self.there
    }

    /// Why numbers may differ by rounding, a sentence part each; none where both machines are the same.
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }

    /// Whether numbers may differ by rounding: never where the cells' own kernels give the same bits on
    /// every CPU.
    pub fn may_differ(&self) -> bool {
        self.may_differ
    }

    /// How many cells are finished.
    pub(super) fn finished(&self) -> usize {
        self.rows.iter().filter(is_finished).count()
    }

    /// How many cells have a row.
    pub fn cells(&self) -> usize {
        self.rows.len()
    }

    /// How many cells failed, which have nothing to compare.
    pub fn failed(&self) -> usize {
        self.rows.len() - self.finished()
    }

    /// The finished rows that `options` chooses, in the order of the table.
    pub(super) fn chosen(&self, options: &Options) -> Vec<&Trial> {
        let finished: Vec<&Trial> = self.rows.iter().filter(is_finished).collect();
        let mut places: Vec<usize> = (0..finished.len()).collect();
        Stream::new(options.seed, "verify").shuffle(&mut places);
        places.truncate(options.cells);
        places.sort_unstable();
        places.into_iter().map(|place| finished[place]).collect()
    }

    /// The published curve of the cell `id`.
    pub(super) fn curve(&self, id: &str) -> &[CurvePoint] {
        self.curves.get(id).map_or(&[], Vec::as_slice)
    }
}

fn is_finished(row: &&Trial) -> bool {
    row.outcome.status != Status::Failed
}

/// The manifest at `path`, if its tables were made from what `plan` has.
fn manifest(path: &Path, plan: &Plan) -> Result<Manifest, Error> {
    let malformed = |what: String| Error::Manifest { path: path.to_owned(), what };
    let text = fs::read_to_string(path).map_err(|error| malformed(error.to_string()))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    let (data, sources) = plan.digests();
    let none = || "none".to_owned();
    let same = |key: String, theirs: String, ours: String, hint: &'static str| {
        let path = path.to_owned();
        if theirs == ours { Ok(()) } else { Err(Error::Other { path, key, theirs, ours, hint }) }
    };
    same(
        "results_version".into(),
        manifest.results_version.to_string(),
        RESULTS_VERSION.to_string(),
        "take the version of the program that made the tables",
    )?;
    same(
        "device".into(),
        manifest.device.clone(),
        plan.device().into(),
        "the device is part of what a cell is: `--device` chooses it",
    )?;
    same(
        "data_digest".into(),
        manifest.data_digest.clone().unwrap_or_else(none),
        data.map_or_else(none, str::to_owned),
        "the images are other ones",
    )?;
    for (name, ours) in sources {
        let theirs = manifest.source_digests.get(name).cloned().unwrap_or_else(none);
        same(format!("source_digests.{name}"), theirs, ours.clone(), "the source is another one")?;
    }
    Ok(manifest)
}

/// Whether every row is of a cell of `plan`, each of another.
fn check_rows(path: &Path, plan: &Plan, rows: &[Trial]) -> Result<(), Error> {
    let path = || path.to_owned();
    let mut cells: HashMap<&str, &Cell> =
        plan.all_cells().map(|cell| (cell.id.as_str(), cell)).collect();
    let unknown: Vec<&Trial> =
        rows.iter().filter(|row| !cells.contains_key(row.key.id.as_str())).collect();
    if let Some(first) = unknown.first() {
        let (id, arm, seed) = (first.key.id.clone(), first.key.arm.clone(), first.key.seed);
        let (count, rows) = (unknown.len(), rows.len());
        return Err(Error::Unknown { path: path(), count, rows, id, arm, seed });
    }
    for row in rows {
        let id = row.key.id.clone();
        let Some(cell) = cells.remove(id.as_str()) else {
            return Err(Error::Twice { path: path(), id });
        };
        if row.key != cell.key {
            let (theirs, ours) = (row.key.to_string(), cell.key.to_string());
            return Err(Error::Misplaced { path: path(), id, theirs, ours });
        }
    }
    if rows.iter().filter(is_finished).count() == 0 {
        return Err(Error::Nothing { path: path() });
    }
    Ok(())
}

/// What of the machines differs, or is not known.
fn reasons(manifest: &Manifest) -> Vec<String> {
    let mut reasons = Vec::new();
    let (here, libtorch) = (machine::here(), crate::libtorch());
    let others: Vec<&str> =
        manifest.machines.keys().map(String::as_str).filter(|machine| *machine != here).collect();
    if manifest.machines.is_empty() {
        reasons.push("the manifest does not name the CPU".to_owned());
    } else if !others.is_empty() {
        reasons.push(format!("the CPU differs: {} there, {here} here", others.join(" and ")));
    }
    if manifest.libtorch != libtorch {
        let there = &manifest.libtorch;
        reasons.push(format!("libtorch differs: {there} there, {libtorch} here"));
    }
    reasons
}

fn spoken(machines: &BTreeMap<String, usize>) -> String {
    if machines.is_empty() {
        return "a CPU that the manifest does not name".to_owned();
    }
    let machines: Vec<&str> = machines.keys().map(String::as_str).collect();
    machines.join(" and ")
}
