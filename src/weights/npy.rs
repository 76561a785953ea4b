//! Reads NumPy's own file: a short header in Python's words, then the values.
//!
//! `numpy.save` writes one array, which takes its name from the file. Dicts and lists it wraps into an
//! array of objects and pickles: then the names are the dict's. Other writers order and space the header
//! as they like, which NumPy reads, and so does this.

use std::sync::Arc;

use super::bytes::Bytes;
use super::data::Data;
use super::header::{self, Header};
use super::numpy::{self, Element};
use super::stored::Storages;
use super::tree::{Group, Node};
use super::value::Pickle;
use super::{Problem, walk};

/// What the `.npy` file `bytes` holds; a single array is called `name`.
pub(super) fn parse(bytes: &Bytes, name: &str) -> Result<Group, Problem> {
    match node(&Arc::new(Data::plain(bytes.clone())), name)? {
        Node::Group(group) => Ok(group),
        array => {
            let mut group = Group::default();
            group.add(name, array);
            Ok(group)
        }
    }
}

/// What the `.npy` file `data` holds.
///
/// # Errors
/// When the file cannot be read; a wrong header is a fault at its place.
pub(super) fn node(data: &Arc<Data>, name: &str) -> Result<Node, Problem> {
    let head = data.head(header::LONGEST as u64).map_err(Problem::Read)?;
    let (header, start) = match Header::parse(&head, name) {
        Ok(found) => found,
        Err(problem) => return Ok(Node::Fault(Box::new(problem))),
    };
    let element = match Element::of(&header.descr, name) {
        Ok(element) => element,
        Err(problem) => return Ok(Node::Fault(Box::new(problem))),
    };
    match element {
        Element::Float(values) => {
            let Header { shape, is_column_major, .. } = header;
            let view =
                numpy::view(name, values, shape, is_column_major, (data.clone(), start as u64));
            Ok(view
                .map_or_else(|problem| Node::Fault(Box::new(problem)), |v| Node::Tensor(v.into())))
        }
        Element::Left(kind) => {
            let mut group = Group::default();
            group.left.add(kind);
            Ok(Node::Group(group))
        }
        Element::Object => {
            let bytes = data.open_words().map_err(Problem::Read)?.after(start as u64);
            walk::tree(&Pickle::parse(&bytes)?, &Storages::default(), name).map(Node::Group)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::weights::header::{LONGEST, MAGIC};
    use crate::weights::testing::{read, refusal};
    use proptest::prelude::*;

    // Written by `testdata/make.py`.
    const MATRIX: &[u8] = include_bytes!("testdata/matrix.npy");
    const COLUMN_MAJOR: &[u8] = include_bytes!("testdata/column-major.npy");
    const DICT: &[u8] = include_bytes!("testdata/dict.npy");

    #[test]
    fn what_numpy_saves_is_read_whatever_its_order() {
        for bytes in [MATRIX, COLUMN_MAJOR] {
            let found = read(bytes, "layer.weight").unwrap();
            let array = &found["layer.weight"];
            assert_eq!(array.shape(), [2, 3]);
            assert_eq!(array.values(), [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0]);
        }
    }

    #[test]
    fn a_saved_dict_gives_its_arrays_by_its_own_names() {
        let found = read(DICT, "unused").unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["conv1.0", "conv1.1"]);
        assert_eq!(found["conv1.0"].shape(), [2, 2, 1, 3]);
    }

    #[test]
    fn a_header_that_numpy_does_not_write_is_refused() {
        let header = |text: &str| {
            [MAGIC, &[1, 0], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
        };
        let refused = refusal(&header("{'descr': '<f4', 'shape': (2,), }"));
        assert!(refused.starts_with("w: malformed array; expected a header with"), "{refused}");
        let huge =
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }";
        let refused = refusal(&header(huge));
        assert!(refused.starts_with("w: expected uncountably many bytes for shape"), "{refused}");
        let cut = refusal(b"\x93NUMPY\x01\0\xff\xff{");
        assert!(cut.contains("expected a whole header"), "{cut}");
        let long = [MAGIC, &[2, 0, 0, 0, 9, 0], &[b' '; 2 * LONGEST]].concat();
        assert!(refusal(&long).contains("expected a whole header"));
    }

    // import numpy as np, io; f = io.BytesIO(); np.save(f, np.arange(-2, 4, dtype='>f4').reshape(2, 3))
    #[test]
    fn big_endian_numbers_are_read_as_numpy_reads_them() {
        let header = b"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }";
        let values: Vec<u8> = (-2..4).flat_map(|value| (value as f32).to_be_bytes()).collect();
        let length = (header.len() as u16).to_le_bytes();
        let file = [MAGIC, &[1, 0], &length, header, &values].concat();
        assert_eq!(read(&file, "w").unwrap()["w"].values(), [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in 0_usize..10_000) {
            for bytes in [MATRIX, COLUMN_MAJOR, DICT] {
                prop_assert!(read(&bytes[..cut % bytes.len()], "w").is_err());
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
                let _ = read(&bytes, "w");
            }
        }
    }
}
