//! Reads what `torch.save` writes: a pickle whose tensors refer to storages beside it.
//!
//! Since PyTorch 1.6 pickle and storages are the parts of a zip archive; before, they followed each
//! other in one file, which some published weights still are. A tensor is a view of a storage: an
//! offset, a shape and strides. What is read are the calls that rebuild such a view; a pickled module
//! is refused, since only running its code could make it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::archive::Archive;
use super::array::{elements, span};
use super::floats::Float;
use super::pickle::{Id, Pickle, Value};
use super::tree::{self, Leaf};
use super::{Array, Checkpoint, Problem};

/// What a file of the old format begins with: the pickled number 0x1950a86a20f9469cfc6c.
pub(super) const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// The version of the old format that there is: the pickled number 1001.
const LEGACY_VERSION: &[u8] = b"\x80\x02M\xe9\x03.";

/// The checkpoint whose pickle and storages are in `folder` of `archive`.
pub(super) fn parse_zip(archive: &mut Archive, folder: &str) -> Result<Checkpoint, Problem> {
    if let Ok(order) = archive.read(&format!("{folder}byteorder"))
        && order != b"little"
    {
        return Err(Problem::ByteOrder);
    }
    let bytes = archive.read(&format!("{folder}data.pkl"))?;
    let pickle = Pickle::parse(&bytes)?;
    let mut storages = BTreeMap::new();
    let mut most = 0;
    for (key, storage) in declared(&pickle)? {
        let data = archive.read(&format!("{folder}data/{key}"))?;
        if storage.bytes() != Some(data.len()) {
            return Err(storage.misfit(key, data.len()));
        }
        most += data.len();
        storages.insert(key.to_owned(), Cow::Owned(data));
    }
    Torch { pickle: &pickle, storages, left: most }.arrays()
}

/// The checkpoint in a file of the old format.
pub(super) fn parse_legacy(bytes: &[u8]) -> Result<Checkpoint, Problem> {
    let rest = bytes.strip_prefix(LEGACY_MAGIC).unwrap_or(bytes);
    let rest = rest.strip_prefix(LEGACY_VERSION).ok_or(Problem::LegacyVersion)?;
    let (machine, rest) = Pickle::first(rest)?;
    if !is_little_endian(&machine) {
        return Err(Problem::ByteOrder);
    }
    let (pickle, rest) = Pickle::first(rest)?;
    let (keys, mut rest) = Pickle::first(rest)?;
    let declared = declared(&pickle)?;
    let mut storages = BTreeMap::new();
    for key in texts(&keys)? {
        let storage = declared.get(key).ok_or_else(|| Problem::Storage { key: key.into() })?;
        let (count, data) = rest.split_first_chunk().ok_or_else(|| storage.misfit(key, 0))?;
        let length =
            storage.bytes().filter(|_| i64::from_le_bytes(*count) == storage.values as i64);
        let fits = length.and_then(|length| data.split_at_checked(length));
        let (data, behind) = fits.ok_or_else(|| storage.misfit(key, data.len()))?;
        storages.insert(key.to_owned(), Cow::Borrowed(data));
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(Problem::Trailing { bytes: rest.len() });
    }
    Torch { pickle: &pickle, storages, left: bytes.len() }.arrays()
}

fn is_little_endian(machine: &Pickle) -> bool {
    let Value::Dict(items) = machine.get(machine.root()) else { return false };
    items.iter().any(|&(key, value)| {
        machine.text(key) == Some("little_endian")
            && matches!(machine.get(value), Value::Bool(true))
    })
}

/// The texts of a pickled list of texts.
fn texts<'p>(pickle: &'p Pickle) -> Result<Vec<&'p str>, Problem> {
    let keys = match pickle.get(pickle.root()) {
        Value::List(keys) => keys.iter().map(|&key| pickle.text(key)).collect(),
        _ => None,
    };
    keys.ok_or_else(|| Problem::Malformed {
        array: "the list of storages".into(),
        expected: "a list of texts",
        got: pickle.describe(pickle.root()),
    })
}

/// What a pickle says of a storage.
#[derive(Clone, Copy, PartialEq)]
struct Declared {
    kind: Kind,
    values: usize,
}

/// The element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Float(Float),
    /// 64-bit integers, in which networks count batches.
    Long,
}

impl Declared {
    fn bytes(self) -> Option<usize> {
        let width = match self.kind {
            Kind::Float(float) => float.width(),
            Kind::Long => 8,
        };
        self.values.checked_mul(width)
    }

    fn misfit(self, key: &str, got: usize) -> Problem {
        Problem::length(&format!("storage {key}"), vec![self.values], self.bytes(), got)
    }
}

/// All storages that `pickle` refers to, by their key.
fn declared<'p>(pickle: &'p Pickle) -> Result<BTreeMap<&'p str, Declared>, Problem> {
    let mut storages = BTreeMap::new();
    for value in pickle.values() {
        if let Value::Persistent(reference) = *value {
            let (key, storage) = storage(pickle, reference)?;
            if storages.insert(key, storage).is_some_and(|known| known != storage) {
                return Err(Problem::Duplicate { array: format!("storage {key}") });
            }
        }
    }
    Ok(storages)
}

/// Reads `("storage", torch.FloatStorage, "0", "cpu", 9216)`; the old format has a sixth item, for
/// views, which is empty since PyTorch 0.4.
fn storage<'p>(pickle: &'p Pickle, reference: Id) -> Result<(&'p str, Declared), Problem> {
    let malformed = |expected, got| Problem::Malformed {
        array: "a storage".into(),
        expected,
        got: pickle.describe(got),
    };
    let Value::Tuple(items) = pickle.get(reference) else {
        return Err(malformed("a tuple", reference));
    };
    let &[_, kind, key, _, values, ref view @ ..] = items.as_slice() else {
        return Err(malformed("a tuple of 5", reference));
    };
    if let [view] = view
        && !matches!(pickle.get(*view), Value::None)
    {
        return Err(malformed("no view", *view));
    }
    let key = pickle.text(key).ok_or_else(|| malformed("text as key", key))?;
    let count = match *pickle.get(values) {
        Value::Int(count) => usize::try_from(count).ok(),
        _ => None,
    };
    let values = count.ok_or_else(|| malformed("a number of values", values))?;
    let kind = match pickle.get(kind) {
        Value::Global("torch", "HalfStorage") => Kind::Float(Float::F16),
        Value::Global("torch", "BFloat16Storage") => Kind::Float(Float::Bf16),
        Value::Global("torch", "FloatStorage") => Kind::Float(Float::F32),
        Value::Global("torch", "DoubleStorage") => Kind::Float(Float::F64),
        Value::Global("torch", "LongStorage") => Kind::Long,
        _ => {
            let got = pickle.describe(kind);
            let expected = "a storage of `Half`, `BFloat16`, `Float` or `Double`";
            return Err(Problem::Dtype { array: format!("storage {key}"), expected, got });
        }
    };
    Ok((key, Declared { kind, values }))
}

/// The tensors of one checkpoint.
struct Torch<'p> {
    pickle: &'p Pickle<'p>,
    storages: BTreeMap<String, Cow<'p, [u8]>>,
    /// Values that the tensors still to come may take: one for each byte of the storages, so that
    /// weights may be shared a few times, but a small file cannot describe a huge network.
    left: usize,
}

impl Torch<'_> {
    fn arrays(mut self) -> Result<Checkpoint, Problem> {
        let pickle = self.pickle;
        tree::arrays(pickle, pickle.root(), &mut self)
    }

    /// The arguments of a call of `torch._utils`, and the function's name.
    fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        let Value::Call { callee, arguments, .. } = *self.pickle.get(id) else { return None };
        match (self.pickle.get(callee), self.pickle.get(arguments)) {
            (Value::Global("torch._utils", name), Value::Tuple(arguments)) => {
                Some((name, arguments))
            }
            _ => None,
        }
    }
}

impl Leaf for Torch<'_> {
    fn array(&mut self, id: Id, name: &str) -> Result<Option<Array>, Problem> {
        let view = match self.call(id) {
            // A parameter is a tensor and two flags.
            Some(("_rebuild_parameter", &[tensor, ..])) => self.call(tensor),
            call => call,
        };
        let (storage_id, offset, shape, strides) = match view {
            Some((
                "_rebuild_tensor_v2" | "_rebuild_tensor",
                &[storage, offset, shape, strides, ..],
            )) => (storage, offset, shape, strides),
            _ => {
                return Err(Problem::Object { name: name.into(), got: self.pickle.describe(id) });
            }
        };
        let pickle = self.pickle;
        let malformed = |expected, got| Problem::Malformed {
            array: name.into(),
            expected,
            got: pickle.describe(got),
        };
        let Value::Persistent(reference) = *pickle.get(storage_id) else {
            return Err(malformed("a storage", storage_id));
        };
        let (key, Declared { kind, .. }) = storage(pickle, reference)?;
        let offset = whole(pickle, offset).ok_or_else(|| malformed("an offset", offset))?;
        let [shape, strides] = [shape, strides]
            .map(|id| wholes(pickle, id).ok_or_else(|| malformed("a tuple of whole numbers", id)));
        let (shape, strides) = (shape?, strides?);
        if shape.len() != strides.len() {
            return Err(malformed("as many strides as dimensions", id));
        }
        let Kind::Float(float) = kind else {
            if shape.is_empty() {
                return Ok(None);
            }
            let expected = "a storage of `Half`, `BFloat16`, `Float` or `Double`";
            return Err(Problem::Dtype { array: name.into(), expected, got: "Long".into() });
        };

        let bytes = self.storages.get(key).ok_or_else(|| Problem::Storage { key: key.into() })?;
        let reach = span(&shape, &strides);
        let counted = elements(&shape).zip(reach).map(|(count, reach)| count.max(reach));
        let width = float.width();
        let end = reach.and_then(|reach| offset.checked_add(reach)?.checked_mul(width));
        let within = end.and_then(|end| bytes.get(offset * width..end));
        let (Some(counted), Some(within)) = (counted, within) else {
            return Err(Problem::length(name, shape, end, bytes.len()));
        };
        let Some(left) = self.left.checked_sub(counted) else {
            return Err(Problem::Swollen { array: name.into() });
        };
        let values =
            float.decode(within).map_err(|value| Problem::Range { array: name.into(), value })?;
        self.left = left;
        let array = Array::strided(shape, &strides, &values);
        Ok(Some(array.expect("what it reaches over was just decoded")))
    }
}

fn whole(pickle: &Pickle, id: Id) -> Option<usize> {
    match *pickle.get(id) {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}

fn wholes(pickle: &Pickle, id: Id) -> Option<Vec<usize>> {
    match pickle.get(id) {
        Value::Tuple(items) => items.iter().map(|&item| whole(pickle, item)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{parse, zipped};
    use proptest::prelude::*;
    use std::io::{Cursor, Write};
    use zip::write::{FileOptions, ZipWriter};

    // Written by `testdata/make.py`.
    const VIEWS: [&[u8]; 2] =
        [include_bytes!("testdata/views.pth"), include_bytes!("testdata/views-legacy.pth")];

    fn error(bytes: &[u8]) -> String {
        parse(bytes, "").unwrap_err().to_string()
    }

    /// A `.pth` file: the pickle of a dict with these items, and ten float32 in storage `0`.
    fn file(items: &[&[u8]], order: &[u8]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let pickle = [b"\x80\x02}(", &items.concat()[..], b"u."].concat();
        for (name, bytes) in
            [("net/data.pkl", &pickle[..]), ("net/byteorder", order), ("net/data/0", &[0; 40])]
        {
            writer.start_file(name, FileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// The item `name` of a dict: a view of storage `key` with `offset`, a shape and strides.
    fn view(name: u8, key: u8, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
        let tuple = |numbers: &[u8]| {
            let items: Vec<u8> = numbers.iter().flat_map(|&number| [b'K', number]).collect();
            [b"(", &items[..], b"t"].concat()
        };
        [
            &[b'X', 1, 0, 0, 0, name][..],
            b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n",
            &[b'X', 1, 0, 0, 0, key],
            b"X\x03\0\0\0cpuK\x0atQ",
            &[b'K', offset],
            &tuple(shape),
            &tuple(strides),
            b"tR",
        ]
        .concat()
    }

    // table = np.arange(-6, 6).reshape(3, 4), as in `testdata/make.py`
    #[test]
    fn views_of_a_storage_are_read_as_pytorch_shows_them() {
        for bytes in VIEWS {
            let found = parse(bytes, "").unwrap();
            let all: Vec<f32> = (-6..6).map(|value| value as f32).collect();
            for name in ["tied", "half", "brain", "double"] {
                assert_eq!((found[name].shape(), found[name].values()), (&[3, 4][..], &all[..]));
            }
            let transposed = [-6, -2, 2, -5, -1, 3, -4, 0, 4, -3, 1, 5].map(|value| value as f32);
            assert_eq!(found["transposed"].shape(), [4, 3]);
            assert_eq!(found["transposed"].values(), transposed);
            assert_eq!(found["column"].values(), [-5.0, -1.0, 3.0]);
            assert_eq!(found["expanded"].values(), [-6.0; 4]);
            assert_eq!(found["norm.running_var"].values(), [1.0, 1.0]);
            assert!(!found.contains_key("norm.num_batches_tracked"), "a counter is no weight");
        }
    }

    #[test]
    fn a_pickled_module_is_refused_and_not_made() {
        assert_eq!(
            error(include_bytes!("testdata/module.pth")),
            "expected a dict of arrays, such as `model.state_dict()`, got a call of `__main__.Net`, \
             which is not run"
        );
    }

    #[test]
    fn what_is_no_tensor_of_numbers_is_refused_by_name() {
        let integers = error(include_bytes!("testdata/integers.pth"));
        assert!(integers.starts_with("w: expected a storage of `Half`"), "{integers}");
        let training = error(include_bytes!("testdata/training.pth"));
        assert!(
            training.starts_with("epoch: expected a dict, a list or an array, got the integer `3`")
        );
    }

    #[test]
    fn a_view_may_not_reach_beyond_its_storage() {
        let whole = file(&[&view(b'a', b'0', 0, &[2, 5], &[5, 1])], b"little");
        assert_eq!(parse(&whole, "").unwrap()["a"].values(), [0.0; 10]);
        for outside in [
            view(b'a', b'0', 1, &[2, 5], &[5, 1]),
            view(b'a', b'0', 0, &[2, 5], &[6, 1]),
            view(b'a', b'0', 11, &[1], &[1]),
        ] {
            let error = error(&file(&[&outside], b"little"));
            assert!(error.starts_with("a: expected "), "{error}");
        }
        let error = error(&file(&[&view(b'a', b'0', 0, &[2, 5], &[1])], b"little"));
        assert!(error.contains("as many strides as dimensions"), "{error}");
    }

    #[test]
    fn a_few_values_cannot_describe_a_huge_network() {
        let views: Vec<Vec<u8>> =
            (b'a'..=b'y').map(|name| view(name, b'0', 0, &[10], &[1])).collect();
        let views: Vec<&[u8]> = views.iter().map(Vec::as_slice).collect();
        assert!(parse(&file(&views[..4], b"little"), "").is_ok());
        let refused = error(&file(&views, b"little"));
        assert!(refused.starts_with("e: with it the tensors hold more values"), "{refused}");
        let expanded = view(b'a', b'0', 0, &[255, 255, 255], &[0, 0, 0]);
        assert!(error(&file(&[&expanded], b"little")).starts_with("a: with it the tensors"));
    }

    #[test]
    fn values_that_are_not_there_are_named() {
        let missing = error(&file(&[&view(b'a', b'7', 0, &[1], &[1])], b"little"));
        assert!(missing.starts_with("`net/data/7`: "), "{missing}");
        let big = error(&file(&[&view(b'a', b'0', 0, &[1], &[1])], b"big"));
        assert_eq!(big, "expected little-endian values, got big-endian ones");
    }

    #[test]
    fn a_file_of_the_old_format_ends_with_its_last_value() {
        let [_, legacy] = VIEWS;
        let longer = [legacy, &[0; 3]].concat();
        assert_eq!(error(&longer), "expected the end of the file, got 3 more bytes");
        let mut version = legacy.to_vec();
        version[LEGACY_MAGIC.len() + 3] ^= 1;
        assert!(error(&version).starts_with("expected version 1001"), "{}", error(&version));
    }

    #[test]
    fn a_call_of_anything_but_a_tensor_is_refused_by_name() {
        let item = b"X\x01\0\0\0acposix\nsystem\nX\x02\0\0\0ls\x85R";
        let refused = error(&file(&[item], b"little"));
        assert!(refused.contains("got a call of `posix.system`, which is not run"), "{refused}");
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in any::<prop::sample::Index>()) {
            for bytes in VIEWS {
                prop_assert!(parse(&bytes[..cut.index(bytes.len())], "").is_err());
            }
        }

        #[test]
        fn any_damage_of_the_pickle_is_read_or_refused_but_never_a_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            // The checksums of a whole archive would find the damage before the pickle is read.
            let mut item = view(b'a', b'0', 0, &[2, 5], &[5, 1]);
            for (at, byte) in damage {
                *at.get_mut(&mut item) = byte;
            }
            let _ = zipped::parse(&file(&[&item], b"little"));
        }
    }
}
