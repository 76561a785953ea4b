//! The finished cells of an experiment on disk, and the tables made from them.
//!
//! Cells lie in append-only segments `cells/<writer>.jsonl`: one writer, one file, one line a cell. A
//! line ends with the digest of what stands before it, so a torn or altered line is seen; it is set
//! aside in `<writer>.damaged`, and its cell is computed again. A segment is locked while its writer
//! lives, so two runs at once cannot mix their lines.
//!
//! The tables (`trials.csv` and the rest) are always rewritten whole, from the plan's cells in the
//! plan's order: resumed, sharded and uninterrupted runs give the same bytes. Nothing else in the
//! library writes below `results/`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::cell::Spec;
use super::plan::Plan;
use crate::digest::sha256;
use crate::files;
use crate::results::table::{self, CurveRow, Key, Outcome, Status, Trial};
use crate::results::{TIMINGS, Timing};
use crate::train::{CurvePoint, Seconds};

/// A cell that came to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The cell's name.
    pub id: String,
    /// What was computed.
    pub spec: Spec,
    /// How it ended.
    pub outcome: Outcome,
    /// Its evaluations.
    pub curve: Vec<CurvePoint>,
    /// Why it failed, if it did: such a cell is not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the time went: the only part that differs from run to run.
    pub timing: Timing,
}

impl Record {
    /// Whether the cell need not run again.
    pub fn is_finished(&self) -> bool {
        self.outcome.status != Status::Failed
    }
}

/// Why results could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or file cannot be made, read or written.
    #[error("{path}: {source}; mend it, or choose another place with `results=DIR`")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run holds the segment.
    #[error(
        "{path}: another run of this experiment is writing here; wait until it ends, or give each run its part with `--shard i/N`"
    )]
    Locked {
        /// The segment.
        path: PathBuf,
    },
    /// A cell stands in the segments twice, with different results.
    #[error(
        "{folder}: cell {id} has two different results; keep one and remove the other, or compute it again with `--redo {id}`"
    )]
    Contradiction {
        /// The folder of the segments.
        folder: PathBuf,
        /// The cell.
        id: String,
    },
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// A line of a segment that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub path: PathBuf,
    /// The line, from 1 on.
    pub line: usize,
}

/// What a results folder holds, by the id of the cell.
#[derive(Debug, Default)]
pub struct Records {
    /// The cells, finished and failed.
    pub cells: BTreeMap<String, Record>,
    /// Lines that had to be left out.
    pub damaged: Vec<Damage>,
}

impl Records {
    /// Reads every segment in `folder`, which need not exist.
    ///
    /// # Errors
    /// When a segment cannot be read, or two of them contradict each other.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut records = Records::default();
        for segment in Segment::all(&folder.join("cells"))? {
            for (index, line) in segment.lines()?.iter().enumerate() {
                match parse(line) {
                    Some(record) => records.add(record, folder)?,
                    None => {
                        let path = segment.path.clone();
                        records.damaged.push(Damage { path, line: index + 1 });
                    }
                }
            }
        }
        Ok(records)
    }

    /// The finished cell `id`.
    pub fn finished(&self, id: &str) -> Option<&Record> {
        self.cells.get(id).filter(|record| record.is_finished())
    }

    /// Adds a record; a finished one stands above a failed one.
    fn add(&mut self, record: Record, folder: &Path) -> Result<(), Error> {
        if let Some(known) = self.finished(&record.id) {
            if !record.is_finished() {
                return Ok(());
            }
            if (&known.outcome, &known.curve) != (&record.outcome, &record.curve) {
                return Err(Error::Contradiction { folder: folder.to_owned(), id: record.id });
            }
        }
        self.cells.insert(record.id.clone(), record);
        Ok(())
    }
}

/// The results folder of one experiment, open for one writer.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    segment: Segment,
    file: File,
    synced: Instant,
    records: Records,
    set_aside: Vec<Damage>,
    _lock: File,
}

/// Finished cells reach the disk at least this often.
const SYNC_EVERY: Duration = Duration::from_secs(1);

impl Store {
    /// Opens `folder` for the segment `writer`, making it if need be, and reads what is there.
    ///
    /// Damaged lines, and the cell `redo`, are set aside in `<segment>.damaged` first.
    ///
    /// # Errors
    /// When the folder cannot be written, another run holds a segment that is to be changed, `redo`
    /// is no cell that is there, or two segments contradict each other.
    pub fn open(folder: &Path, writer: &str, redo: Option<&str>) -> Result<Self, Error> {
        let cells = folder.join("cells");
        fs::create_dir_all(&cells).map_err(io_error(&cells))?;
        let segment = Segment { path: cells.join(format!("{writer}.jsonl")) };
        let lock = segment.lock()?;
        let mut set_aside = Vec::new();
        for other in Segment::all(&cells)? {
            if other.path == segment.path {
                set_aside.extend(other.set_aside(redo)?);
            } else if let Ok(_lock) = other.lock() {
                set_aside.extend(other.set_aside(redo)?);
            }
        }
        let records = Records::read(folder)?;
        if let Some(id) = redo.filter(|id| records.cells.contains_key(*id)) {
            return Err(Error::Locked { path: cells.join(format!("* (cell {id})")) });
        }
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(&segment.path);
        let file = file.map_err(io_error(&segment.path))?;
        let folder = folder.to_owned();
        let synced = Instant::now();
        Ok(Store { folder, segment, file, synced, records, set_aside, _lock: lock })
    }

    /// What the folder holds.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The damaged lines that were set aside when the folder was opened.
    pub fn set_aside(&self) -> &[Damage] {
        &self.set_aside
    }

    /// A path for a file that may be made again, such as the weights of a trained source.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn work_file(&self, name: &str) -> Result<PathBuf, Error> {
        let work = self.folder.join("work");
        fs::create_dir_all(&work).map_err(io_error(&work))?;
        Ok(work.join(name))
    }

    /// Adds a cell that came to its end.
    ///
    /// # Errors
    /// When the segment cannot be written, or the same cell is there with another result.
    pub fn append(&mut self, record: Record) -> Result<(), Error> {
        let line = to_line(&record);
        self.records.add(record, &self.folder)?;
        self.file.write_all(line.as_bytes()).map_err(io_error(&self.segment.path))?;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(io_error(&self.segment.path))
    }

    /// Rewrites the tables from the finished cells of `plan`, and its manifest.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_tables(&mut self, plan: &Plan) -> Result<(), Error> {
        self.sync()?;
        let ended = plan.ended(&self.records);
        let settings = plan.settings();
        let trials: Vec<_> = ended
            .iter()
            .map(|(key, record)| Trial { key: key.clone(), outcome: record.outcome.clone() })
            .collect();
        let curves: Vec<_> = ended
            .iter()
            .flat_map(|(key, record)| {
                let row = |point: &CurvePoint| CurveRow { key: key.clone(), point: point.clone() };
                record.curve.iter().map(row)
            })
            .collect();
        self.write("trials.csv", &table::write_trials(&settings, &trials))?;
        self.write("curves.csv", &table::write_curves(&settings, &curves))?;
        self.write(TIMINGS, &timings(&ended))?;
        self.write("manifest.json", &plan.manifest())
    }

    /// Writes one file of the results folder, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        write(&self.folder, name, text)
    }
}

/// Writes `folder/name`, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let path = folder.join(name);
    files::write_atomically(&path, text.as_bytes()).map_err(io_error(&path))
}

fn timings(ended: &[(Key, &Record)]) -> String {
    let mut text = String::from("id,seconds,data,forward,backward,optimizer,evaluation\n");
    for (key, Record { timing: Timing { total, split }, .. }) in ended {
        let Seconds { data, forward, backward, optimizer, evaluation } = split;
        text += &format!(
            "{},{total:.3},{data:.3},{forward:.3},{backward:.3},{optimizer:.3},{evaluation:.3}\n",
            key.id
        );
    }
    text
}

/// One file of finished cells.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
}

impl Segment {
    /// The segments in `folder`, in name order.
    fn all(folder: &Path) -> Result<Vec<Segment>, Error> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io_error(folder))?,
        };
        let mut segments = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                segments.push(Segment { path });
            }
        }
        segments.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(segments)
    }

    /// Takes the segment for oneself, as long as the file given back lives. The lock is a file of its
    /// own, because a segment that is mended is replaced.
    fn lock(&self) -> Result<File, Error> {
        let path = self.path.with_extension("lock");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(io_error(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: self.path.clone() }),
            Err(TryLockError::Error(error)) => Err(io_error(&path)(error)),
        }
    }

    /// Lines as they are, the last one also where its end is missing.
    fn lines(&self) -> Result<Vec<String>, Error> {
        let bytes = fs::read(&self.path).map_err(io_error(&self.path))?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.split_inclusive('\n').map(str::to_owned).collect())
    }

    /// Moves damaged lines, and the lines of the cell `redo`, to `<segment>.damaged`; gives back which
    /// lines were damaged.
    fn set_aside(&self, redo: Option<&str>) -> Result<Vec<Damage>, Error> {
        let (mut kept, mut aside, mut damaged) = (String::new(), Vec::new(), Vec::new());
        for (index, line) in self.lines()?.into_iter().enumerate() {
            match parse(&line) {
                Some(record) if redo != Some(&record.id) => kept += &line,
                found => {
                    let damage = Damage { path: self.path.clone(), line: index + 1 };
                    damaged.extend(found.is_none().then_some(damage));
                    aside.push(line);
                }
            }
        }
        if aside.is_empty() {
            return Ok(damaged);
        }
        let path = self.path.with_extension("damaged");
        let mut file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.as_mut().map_err(|error| io_error(&path)(io::Error::from(error.kind())))?;
        for line in &aside {
            writeln!(file, "{}", line.trim_end()).map_err(io_error(&path))?;
        }
        files::write_atomically(&self.path, kept.as_bytes()).map_err(io_error(&self.path))?;
        Ok(damaged)
    }
}

/// What ends a line, before the digest of what stands before it.
const SEAL: &str = ",\"digest\":\"";

fn to_line(record: &Record) -> String {
    let body = serde_json::to_string(record).expect("a record holds only finite numbers");
    let open = &body[..body.len() - 1];
    format!("{open}{SEAL}{}\"}}\n", digest(open))
}

/// The record of a whole and unaltered line.
fn parse(line: &str) -> Option<Record> {
    let (open, seal) = line.strip_suffix("\"}\n")?.rsplit_once(SEAL)?;
    (seal == digest(open)).then_some(())?;
    serde_json::from_str(&format!("{open}}}")).ok()
}

fn digest(text: &str) -> String {
    sha256(text.as_bytes())[..16].to_owned()
}
