//! Columns, and tables made of them.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::key::{Key, SOURCE_SEED};

/// One column of a table whose rows are `T`s.
#[derive(Clone, Copy, Debug)]
pub struct Column<T: 'static> {
    /// The name in the file's first line.
    pub name: &'static str,
    /// What one value says, with its unit.
    pub meaning: &'static str,
    /// The value of a row as text.
    pub(super) write: fn(&T) -> String,
    /// Puts a value into a row; nothing where the text is no such value.
    pub(super) read: fn(&mut T, &str) -> Option<()>,
}

/// Columns before the swept settings, in every table of cells.
pub const KEY: [Column<Key>; 2] = [
    Column {
        name: "id",
        meaning: "the cell: first 16 hex digits of the digest of its specification",
        write: |key| key.id.clone(),
        read: |key, text| put(&mut key.id, text),
    },
    Column {
        name: "arm",
        meaning: "the experimental condition",
        write: |key| key.arm.clone(),
        read: |key, text| put(&mut key.arm, text),
    },
];

/// The column after the swept settings, in every table of cells.
pub const SEED: Column<Key> = Column {
    name: "seed",
    meaning: "the seed, shared by all arms (pairs)",
    write: |key| key.seed.to_string(),
    read: |key, text| put(&mut key.seed, text),
};

/// Reads a value.
pub(super) fn put<V: FromStr>(place: &mut V, text: &str) -> Option<()> {
    *place = text.parse().ok()?;
    Some(())
}

/// Reads a value that may be empty.
pub(super) fn put_optional<V: FromStr>(place: &mut Option<V>, text: &str) -> Option<()> {
    *place = if text.is_empty() { None } else { Some(text.parse().ok()?) };
    Some(())
}

/// Writes a value that may be empty.
pub(super) fn optional<V: ToString>(value: Option<V>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Why a table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened or read.
    #[error("{path}: {source}; `polarity run` writes it anew")]
    Io {
        /// The table.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not such a table.
    #[error("{path}: {what}; `polarity run` writes it anew")]
    Malformed {
        /// The table.
        path: PathBuf,
        /// The line or column, and what was expected there.
        what: String,
    },
}

/// What is about a cell.
pub(super) trait Keyed {
    fn key(&self) -> &Key;
    fn key_mut(&mut self) -> &mut Key;
}

/// The lines of `header` and `rows` as CSV.
pub(super) fn to_csv(header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let promise = "a table in memory takes every row of the header's length";
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(header).expect(promise);
    rows.for_each(|values| table.write_record(values).expect(promise));
    String::from_utf8(table.into_inner().expect(promise)).expect("every value was text")
}

/// A table of cells as text: its `columns`, and `more` that stand last.
pub(super) fn write<T: Keyed>(
    settings: &[String],
    columns: &[&Column<T>],
    more: &[String],
    rows: impl Iterator<Item = T>,
    more_of: impl Fn(&T) -> Vec<String>,
) -> String {
    let mut header: Vec<String> = KEY.iter().map(|column| column.name.to_owned()).collect();
    header.extend_from_slice(settings);
    header.push(SEED.name.to_owned());
    header.extend(columns.iter().map(|column| column.name.to_owned()));
    header.extend_from_slice(more);
    let line = |row: T| {
        let key = row.key();
        let mut values: Vec<String> = KEY.iter().map(|column| (column.write)(key)).collect();
        values.extend(settings.iter().map(|name| optional(key.setting(name))));
        values.push((SEED.write)(key));
        values.extend(columns.iter().map(|column| (column.write)(&row)));
        values.extend(more_of(&row));
        values
    };
    to_csv(header, rows.map(line))
}

/// A line of a table that is being read.
pub(super) struct Line<'a> {
    number: usize,
    header: &'a csv::StringRecord,
    values: &'a csv::StringRecord,
}

impl Line<'_> {
    /// The names of the table's columns.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.header.iter()
    }

    /// The value under `name`, if the table has such a column.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(self.header.iter().position(|column| column == name)?)
    }

    /// `what` is wrong, and where.
    pub(super) fn says(&self, what: impl Display) -> String {
        format!("line {}: {what}", self.number)
    }

    /// What is wrong with the value `text` under `name`.
    pub(super) fn wrong(&self, name: &str, text: &str) -> String {
        self.says(format!("`{text}` is no value of `{name}`"))
    }

    fn put<T>(&self, column: &Column<T>, place: usize, row: &mut T) -> Result<(), String> {
        let text = self.values.get(place).unwrap_or_default();
        (column.read)(row, text).ok_or_else(|| self.wrong(column.name, text))
    }
}

/// Reads a table of cells that must have the columns `needed`, and may have those of `others`; each row
/// begins as `blank`, and `finish` may look at the whole line to make of it what it will be.
pub(super) fn read<T: Keyed, U>(
    path: &Path,
    blank: impl Fn() -> T,
    needed: &[Column<T>],
    others: &[Column<T>],
    finish: impl Fn(T, &Line) -> Result<U, String>,
) -> Result<Vec<U>, Error> {
    let malformed = |what| Error::Malformed { path: path.to_owned(), what };
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut table = csv::Reader::from_reader(text.as_bytes());
    let header = table.headers().map_err(|error| malformed(error.to_string()))?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let placed = |name: &str| place(name).ok_or_else(|| malformed(format!("no column `{name}`")));
    let [id, arm, seed] = [KEY[0].name, KEY[1].name, SEED.name].map(placed);
    let key_places = [(&KEY[0], id?), (&KEY[1], arm?), (&SEED, seed?)];
    let mut places = Vec::new();
    for column in needed {
        places.push((column, placed(column.name)?));
    }
    places.extend(others.iter().filter_map(|column| Some((column, place(column.name)?))));
    let swept: Vec<(usize, &str)> = header
        .iter()
        .enumerate()
        .skip(KEY.len())
        .take_while(|(_, name)| *name != SEED.name)
        .collect();
    let mut rows = Vec::new();
    for (index, values) in table.records().enumerate() {
        let values = values.map_err(|error| malformed(error.to_string()))?;
        let line = Line { number: index + 2, header: &header, values: &values };
        let mut row = blank();
        let filled = || -> Result<U, String> {
            for (column, place) in key_places {
                line.put(column, place, row.key_mut())?;
            }
            for (place, name) in &swept {
                let text = values.get(*place).unwrap_or_default();
                if text.is_empty() && *name == SOURCE_SEED {
                    continue;
                }
                let value = text.parse().map_err(|_| line.wrong(name, text))?;
                row.key_mut().settings.push(((*name).to_owned(), value));
            }
            for (column, place) in &places {
                line.put(column, *place, &mut row)?;
            }
            finish(row, &line)
        };
        rows.push(filled().map_err(malformed)?);
    }
    Ok(rows)
}
