//! Signs from a wiring diagram: a table of edges between units, `from`, `to`, `sign`.
//!
//! A layer's weight is `[to, from, …]` in PyTorch: an edge is row `to`, column `from`, and dimensions
//! after the second, a convolution's kernel, go with it. A weight without an edge is free.
//!
//! # The file
//! 1. It is UTF-8 text; lines end as on Unix or on Windows.
//! 2. The first line is `from,to,sign`.
//! 3. Every further line is one edge: the numbers of two units, counted from 0, and a sign.
//! 4. A sign is `1`, `+1` or `+` for an excitatory edge, `-1` or `-` for an inhibitory one.
//! 5. Blanks around a field do not count. There are no quotes, comments or empty lines.
//!
//! Edges beyond the tensor, and edges that are there twice, are refused when a tensor takes them.
//! Rows are counted from 1, without the header.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::digest::sha256;
use crate::sign::mask::SignMask;

const HEADER: [&str; 3] = ["from", "to", "sign"];

/// A table of edges with their signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edges {
    rows: Vec<Edge>,
    /// The file they were read from, and its digest.
    origin: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    from: usize,
    to: usize,
    /// 1 or −1.
    sign: i8,
}

/// A table of edges that cannot be used. Rows are counted from 1, without the header.
#[derive(Debug, Error)]
pub enum EdgesError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {cause}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}: {cause}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: Box<EdgesError>,
    },
    /// The file does not start with the header.
    #[error("expected the first line `from,to,sign`, got `{got}`")]
    Header {
        /// Its first line.
        got: String,
    },
    /// A row is no two units and a sign.
    #[error("row {row}: expected three fields, `from,to,sign`, got `{got}`")]
    Fields {
        /// The row.
        row: usize,
        /// What it is.
        got: String,
    },
    /// A unit that is no number.
    #[error("row {row}: {column}: expected the number of a unit, counted from 0, got `{got}`")]
    Unit {
        /// The row.
        row: usize,
        /// `from` or `to`.
        column: &'static str,
        /// What is there.
        got: String,
    },
    /// A sign that is none.
    #[error(
        "row {row}: sign: expected 1, +1 or + (excitatory), -1 or - (inhibitory), got `{got}`; \
         leave out edges that shall be free"
    )]
    Sign {
        /// The row.
        row: usize,
        /// What is there.
        got: String,
    },
    /// A tensor without rows and columns.
    #[error("edges: expected a tensor [to, from, ...], got shape {shape:?}")]
    Dimensions {
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// A unit that the tensor lacks.
    #[error("edges: row {row}: {column}: expected a unit below {units}, got `{got}`")]
    Range {
        /// The row.
        row: usize,
        /// `from` or `to`.
        column: &'static str,
        /// How many there are.
        units: usize,
        /// The unit of the row.
        got: usize,
    },
    /// An edge that is there already, with the same or the other sign.
    #[error(
        "edges: row {row}: the edge from {from} to {to} is there already, in row {first}{}; expected \
         each edge once", if *contradicts { " with the other sign" } else { "" }
    )]
    Again {
        /// The row.
        row: usize,
        /// The row that had it first.
        first: usize,
        /// The presynaptic unit.
        from: usize,
        /// The postsynaptic one.
        to: usize,
        /// Whether the two rows differ in their sign.
        contradicts: bool,
    },
}

impl Edges {
    /// The edges `(from, to, sign)`, the units counted from 0, the sign 1 or −1.
    ///
    /// # Errors
    /// The first sign that is neither.
    pub fn from_rows(
        rows: impl IntoIterator<Item = (usize, usize, i8)>,
    ) -> Result<Self, EdgesError> {
        let edge = |(index, (from, to, sign)): (usize, (usize, usize, i8))| match sign {
            1 | -1 => Ok(Edge { from, to, sign }),
            _ => Err(EdgesError::Sign { row: index + 1, got: sign.to_string() }),
        };
        let rows = rows.into_iter().enumerate().map(edge).collect::<Result<_, _>>()?;
        Ok(Edges { rows, origin: None })
    }

    /// The edges of the text of a [file](self).
    ///
    /// # Errors
    /// The first rule of the format that it breaks, with the row.
    pub fn from_csv(text: &str) -> Result<Self, EdgesError> {
        let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
        let header = lines.next().unwrap_or_default();
        if !header.split(',').map(str::trim).eq(HEADER) {
            return Err(EdgesError::Header { got: header.into() });
        }
        let edge = |(index, line)| Edge::parse(index + 1, line);
        let rows = lines.enumerate().map(edge).collect::<Result<_, _>>()?;
        Ok(Edges { rows, origin: None })
    }

    /// The edges of the [file](self) at `path`.
    ///
    /// # Errors
    /// When it cannot be read or breaks a rule of the format.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, EdgesError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path)
            .map_err(|cause| EdgesError::Read { file: path.into(), cause })?;
        let edges = Self::from_csv(&text)
            .map_err(|cause| EdgesError::File { file: path.into(), cause: cause.into() })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let origin = Some(format!("{name}, sha256 {}", sha256(text.as_bytes())));
        Ok(Edges { origin, ..edges })
    }

    /// The mask of a tensor of `shape`, `[to, from, …]`.
    ///
    /// # Errors
    /// When the tensor has no columns, an edge leaves or reaches a unit that it lacks, or an edge is
    /// there twice; the error names the row.
    pub(super) fn mask(&self, shape: &[usize]) -> Result<SignMask, EdgesError> {
        let &[to, from, ref inner @ ..] = shape else {
            return Err(EdgesError::Dimensions { shape: shape.to_vec() });
        };
        let mut signs = vec![0; to * from];
        for (index, edge) in self.rows.iter().enumerate() {
            let row = index + 1;
            for (column, units, got) in [("from", from, edge.from), ("to", to, edge.to)] {
                if got >= units {
                    return Err(EdgesError::Range { row, column, units, got });
                }
            }
            let sign = &mut signs[edge.to * from + edge.from];
            if *sign != 0 {
                return Err(self.again(index));
            }
            *sign = edge.sign;
        }
        let run: usize = inner.iter().product();
        Ok(SignMask::pack(signs.len() * run, |index| signs[index / run]))
    }

    /// What is wrong with the row at `index`, whose edge an earlier row has.
    fn again(&self, index: usize) -> EdgesError {
        let Edge { from, to, sign } = self.rows[index];
        let same = |edge: &Edge| (edge.from, edge.to) == (from, to);
        let first = self.rows.iter().position(same).expect("a row has its own edge");
        let contradicts = self.rows[first].sign != sign;
        EdgesError::Again { row: index + 1, first: first + 1, from, to, contradicts }
    }
}

impl Edge {
    fn parse(row: usize, line: &str) -> Result<Self, EdgesError> {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let &[from, to, sign] = fields.as_slice() else {
            return Err(EdgesError::Fields { row, got: line.into() });
        };
        let unit = |column, text: &str| {
            text.parse().map_err(|_| EdgesError::Unit { row, column, got: text.into() })
        };
        let sign = match sign {
            "1" | "+1" | "+" => 1,
            "-1" | "-" => -1,
            _ => return Err(EdgesError::Sign { row, got: sign.into() }),
        };
        Ok(Edge { from: unit("from", from)?, to: unit("to", to)?, sign })
    }
}

impl fmt::Display for Edges {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(out, "edges({} of {origin})", self.rows.len()),
            None => write!(out, "edges({})", self.rows.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Edges::from_csv(text).unwrap_err().to_string()
    }

    fn refused_by(rows: &[(usize, usize, i8)], shape: &[usize]) -> String {
        Edges::from_rows(rows.iter().copied()).unwrap().mask(shape).unwrap_err().to_string()
    }

    #[test]
    fn an_edge_is_row_to_column_from_and_a_missing_one_is_free() {
        let edges = Edges::from_rows([(0, 1, 1), (2, 0, -1)]).unwrap();
        assert_eq!(edges.mask(&[2, 3]).unwrap().to_signs(), [0, 0, -1, 1, 0, 0]);
    }

    #[test]
    fn a_kernel_goes_with_its_edge() {
        let edges = Edges::from_rows([(0, 1, -1)]).unwrap();
        assert_eq!(edges.mask(&[2, 1, 1, 2]).unwrap().to_signs(), [0, 0, -1, -1]);
        assert_eq!(Edges::from_rows([]).unwrap().mask(&[1, 1, 0]).unwrap().len(), 0);
    }

    #[test]
    fn every_spelling_of_a_sign_and_of_a_line_is_read() {
        let text = "from,to,sign\n0,0,1\n1,0,+1\n2,0,+\n0,1,-1\n1,1,-\n";
        let signs = [1, 1, 1, -1, -1, 0];
        for text in [text.into(), text.replace('\n', "\r\n"), text.replace(',', " , ")] {
            assert_eq!(Edges::from_csv(&text).unwrap().mask(&[2, 3]).unwrap().to_signs(), signs);
        }
        let with_mark = format!("\u{feff}{}", text.trim_end());
        assert_eq!(Edges::from_csv(&with_mark).unwrap(), Edges::from_csv(text).unwrap());
    }

    #[test]
    fn a_wrong_row_is_refused_by_its_number() {
        assert_eq!(refusal("a,b\n"), "expected the first line `from,to,sign`, got `a,b`");
        assert_eq!(refusal(""), "expected the first line `from,to,sign`, got ``");
        let after_one = |row: &str| refusal(&format!("from,to,sign\n0,0,1\n{row}\n1,1,1"));
        for row in ["", "1,2", "1,2,1,1"] {
            let expected = format!("row 2: expected three fields, `from,to,sign`, got `{row}`");
            assert_eq!(after_one(row), expected);
        }
        for (row, column) in [("-1,0,1", "from"), ("0,x,1", "to"), ("1.0,0,1", "from")] {
            assert!(after_one(row).starts_with(&format!("row 2: {column}: expected the number")));
        }
        for sign in ["0", "1.0", "++", "excitatory", "2"] {
            let error = after_one(&format!("0,1,{sign}"));
            assert!(error.starts_with("row 2: sign: expected 1, +1 or +"), "{error}");
        }
        let error = Edges::from_rows([(0, 0, 1), (0, 1, 0)]).unwrap_err().to_string();
        assert!(error.starts_with("row 2: sign: "), "{error}");
    }

    #[test]
    fn an_edge_beyond_the_tensor_is_refused_by_its_row() {
        let rows = [(0, 0, 1), (3, 1, 1)];
        assert_eq!(
            refused_by(&rows, &[2, 3]),
            "edges: row 2: from: expected a unit below 3, got `3`"
        );
        assert_eq!(
            refused_by(&rows, &[1, 4]),
            "edges: row 2: to: expected a unit below 1, got `1`"
        );
        assert_eq!(
            refused_by(&rows, &[4]),
            "edges: expected a tensor [to, from, ...], got shape [4]"
        );
    }

    #[test]
    fn an_edge_twice_is_refused_by_both_rows() {
        assert_eq!(
            refused_by(&[(0, 0, 1), (1, 0, 1), (0, 0, 1)], &[2, 2]),
            "edges: row 3: the edge from 0 to 0 is there already, in row 1; expected each edge once"
        );
        assert_eq!(
            refused_by(&[(0, 0, 1), (0, 0, -1)], &[2, 2]),
            "edges: row 2: the edge from 0 to 0 is there already, in row 1 with the other sign; \
             expected each edge once"
        );
    }

    #[test]
    fn a_file_is_named_in_what_is_said_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("synapses.csv");
        let missing = Edges::load(&path).unwrap_err().to_string();
        assert!(missing.contains("synapses.csv: cannot be read: "), "{missing}");
        fs::write(&path, "from,to,sign\n0,0,?\n").unwrap();
        let wrong = Edges::load(&path).unwrap_err().to_string();
        assert!(wrong.contains("synapses.csv: row 1: sign: "), "{wrong}");
        fs::write(&path, "from,to,sign\n0,0,-\n").unwrap();
        let edges = Edges::load(&path).unwrap();
        assert!(edges.to_string().starts_with("edges(1 of synapses.csv, sha256 "), "{edges}");
        assert_eq!(edges.mask(&[1, 1]).unwrap().to_signs(), [-1]);
    }
}
