//! Reads NumPy's own file: a short header in Python's words, then the values.
//!
//! `numpy.save` writes one array, which takes its name from the file. A dict it wraps into an array
//! of one object and pickles: then the names are the dict's.

use super::floats::Float;
use super::pickle::Pickle;
use super::{Array, Checkpoint, Problem, numpy};

/// What an `.npy` file begins with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// The arrays of the `.npy` file `bytes`; a single one is called `name`.
pub(super) fn parse(bytes: &[u8], name: &str) -> Result<Checkpoint, Problem> {
    let (header, data) = Header::parse(bytes, name)?;
    if header.descr == "|O" {
        return numpy::arrays_of_object(&Pickle::parse(data)?);
    }
    Ok(Checkpoint::from([(name.to_owned(), header.array(data, name)?)]))
}

/// The one array of the `.npy` file `bytes`, called `name`.
pub(super) fn array(bytes: &[u8], name: &str) -> Result<Array, Problem> {
    let (header, data) = Header::parse(bytes, name)?;
    header.array(data, name)
}

/// What the header of an `.npy` file says.
struct Header<'a> {
    descr: &'a str,
    column_major: bool,
    shape: Vec<usize>,
}

impl<'a> Header<'a> {
    /// The header of `bytes`, and what follows it.
    fn parse(bytes: &'a [u8], name: &str) -> Result<(Self, &'a [u8]), Problem> {
        let malformed =
            |expected, got: String| Problem::Malformed { array: name.into(), expected, got };
        let (text, data) = split(bytes).ok_or_else(|| {
            malformed("a whole header of an `.npy` file", format!("{} bytes", bytes.len()))
        })?;
        let header = Self::of_text(text);
        let got = || format!("the header `{}`", shortened(text));
        header
            .map(|header| (header, data))
            .ok_or_else(|| malformed("a header with `descr`, `fortran_order` and `shape`", got()))
    }

    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn of_text(text: &'a str) -> Option<Self> {
        let descr = value(text, "descr")?.strip_prefix('\'')?.split_once('\'')?.0;
        let order = value(text, "fortran_order")?;
        let column_major = match order.split_once(',')?.0 {
            "False" => false,
            "True" => true,
            _ => return None,
        };
        let shape = value(text, "shape")?.strip_prefix('(')?.split_once(')')?.0;
        let extents = shape.split(',').map(str::trim).filter(|extent| !extent.is_empty());
        let shape = extents.map(|extent| extent.parse().ok()).collect::<Option<_>>()?;
        Some(Header { descr, column_major, shape })
    }

    fn array(self, data: &[u8], name: &str) -> Result<Array, Problem> {
        let float: Float = numpy::float(name, self.descr)?;
        numpy::array(name, float, self.shape, self.column_major, data)
    }
}

/// The header's text and the bytes behind it, in version 1, 2 or 3 of the format.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (&[major, _minor], rest) = rest.split_first_chunk()?;
    let (length, rest) = match major {
        1 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(length)), rest)
        }
        2 | 3 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (u32::from_le_bytes(length) as usize, rest)
        }
        _ => return None,
    };
    let (text, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, data))
}

/// The text behind `'key':`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, behind) = text.split_once(&format!("'{key}':"))?;
    Some(behind.trim_start())
}

fn shortened(text: &str) -> String {
    text.trim_end().chars().take(80).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Written by `testdata/make.py`.
    const MATRIX: &[u8] = include_bytes!("testdata/matrix.npy");
    const COLUMN_MAJOR: &[u8] = include_bytes!("testdata/column-major.npy");
    const DICT: &[u8] = include_bytes!("testdata/dict.npy");

    fn error(bytes: &[u8]) -> String {
        parse(bytes, "w").unwrap_err().to_string()
    }

    #[test]
    fn what_numpy_saves_is_read_whatever_its_order() {
        for bytes in [MATRIX, COLUMN_MAJOR] {
            let found = parse(bytes, "layer.weight").unwrap();
            let array = &found["layer.weight"];
            assert_eq!(array.shape(), [2, 3]);
            assert_eq!(array.values(), [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0]);
        }
    }

    #[test]
    fn a_saved_dict_gives_its_arrays_by_its_own_names() {
        let found = parse(DICT, "unused").unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["conv1.0", "conv1.1"]);
        assert_eq!(found["conv1.0"].shape(), [2, 2, 1, 3]);
    }

    #[test]
    fn a_header_that_numpy_does_not_write_is_refused() {
        let header = |text: &str| {
            [MAGIC, &[1, 0], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
        };
        let refused = error(&header("{'descr': '<f4', 'shape': (2,), }"));
        assert!(refused.starts_with("w: malformed array; expected a header with"), "{refused}");
        let refused = error(&header("{'descr': '>f4', 'fortran_order': False, 'shape': (), }"));
        assert_eq!(refused, "w: expected `<f2`, `<f4` or `<f8`, got `>f4`");
        let huge =
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }";
        let refused = error(&header(huge));
        assert!(refused.starts_with("w: expected uncountably many bytes for shape"), "{refused}");
        assert!(error(b"\x93NUMPY\x01\0\xff\xff{").contains("expected a whole header"));
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in 0_usize..10_000) {
            for bytes in [MATRIX, COLUMN_MAJOR, DICT] {
                prop_assert!(parse(&bytes[..cut % bytes.len()], "w").is_err());
            }
        }

        #[test]
        fn any_damage_is_read_or_refused_but_never_a_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            for bytes in [MATRIX, COLUMN_MAJOR, DICT] {
                let mut bytes = bytes.to_vec();
                for (at, byte) in &damage {
                    *at.get_mut(&mut bytes) = *byte;
                }
                let _ = parse(&bytes, "w");
            }
        }
    }
}
