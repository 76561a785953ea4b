//! Where the values of PyTorch's tensors lie.
//!
//! Since PyTorch 1.6 pickle and storages are the parts of a zip archive; before, they followed each
//! other in one file, which some published weights still are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Problem;
use super::archive::Archive;
use super::bytes::Bytes;
use super::data::Data;
use super::floats::Float;
use super::left::Kind;
use super::value::{Id, Pickle, Value};

/// The number that a file of the old format begins with, lowest byte first.
const MAGIC: &[u8] = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// The same in digits.
const MAGIC_DIGITS: &[u8] = b"119547037146038801333356";

/// The version of the old format that there is.
const VERSION: i64 = 1001;

/// The values of a file's tensors, by the name that its pickle has for them.
#[derive(Debug, Default)]
pub(super) struct Storages {
    parts: BTreeMap<String, Arc<Data>>,
    /// Whether the highest byte comes first.
    pub big_endian: bool,
}

/// What the elements of a storage are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Element {
    Float(Float),
    /// Something without a sign, of this many bytes each.
    Left(Kind, usize),
    /// Something that is not read, of this many bytes each.
    Unknown(usize),
    /// What the tensor says.
    Untyped,
}

/// What a pickle says of a storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reference {
    key: String,
    pub element: Element,
    /// How many elements there are.
    count: u64,
    /// Where the tensor's part of it begins: old versions shared storages by views of them.
    pub offset: u64,
}

impl Element {
    /// The elements of the storage class `name`, `FloatStorage` for example.
    fn of_storage(name: &str) -> Option<Self> {
        let integers = |width| Element::Left(Kind::Integers, width);
        Some(match name.strip_suffix("Storage")? {
            "Half" => Element::Float(Float::F16),
            "BFloat16" => Element::Float(Float::Bf16),
            "Float" => Element::Float(Float::F32),
            "Double" => Element::Float(Float::F64),
            "Byte" | "Char" => integers(1),
            "Short" => integers(2),
            "Int" => integers(4),
            "Long" => integers(8),
            "Bool" => Element::Left(Kind::Bools, 1),
            "ComplexFloat" => Element::Left(Kind::Complex, 8),
            "ComplexDouble" => Element::Left(Kind::Complex, 16),
            "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => Element::Unknown(1),
            "QInt32" => Element::Unknown(4),
            "Untyped" => Element::Untyped,
            _ => return None,
        })
    }

    fn width(&self) -> usize {
        match self {
            Element::Float(float) => float.width(),
            Element::Left(_, width) | Element::Unknown(width) => *width,
            Element::Untyped => 1,
        }
    }
}

impl Reference {
    /// Reads `("storage", torch.FloatStorage, "0", "cpu", 9216)`; the old format has a sixth item, for
    /// views, which is empty since PyTorch 0.4.
    pub(super) fn read(pickle: &Pickle, reference: Id) -> Result<Self, Problem> {
        let malformed = |expected, got| Problem::Malformed {
            array: "a storage".into(),
            expected,
            got: pickle.describe(got),
        };
        let (kind, key, count, view) = match pickle.sequence(reference) {
            Some(&[_, kind, key, _, count]) => (kind, key, count, None),
            Some(&[_, kind, key, _, count, view]) => (kind, key, count, Some(view)),
            _ => return Err(malformed("a tuple of 5", reference)),
        };
        let key = pickle.text(key).ok_or_else(|| malformed("text as key", key))?.to_owned();
        let count = pickle.whole(count).ok_or_else(|| malformed("a number of values", count))?;
        let element = pickle.global(kind).and_then(|(_, name)| Element::of_storage(name));
        let element = element.ok_or_else(|| malformed("a storage of numbers", kind))?;
        let offset = match view {
            None => 0,
            Some(view) => match (pickle.get(view), pickle.sequence(view)) {
                (Value::None, _) => 0,
                (_, Some(&[_, offset, _])) => {
                    pickle.whole(offset).ok_or_else(|| malformed("an offset", offset))?
                }
                _ => return Err(malformed("a view of a storage", view)),
            },
        };
        Ok(Reference { key, element, count, offset })
    }

    fn bytes(&self) -> Option<u64> {
        self.count.checked_mul(self.element.width() as u64)
    }

    fn misfit(&self, got: u64) -> Problem {
        let shape = [usize::try_from(self.count).unwrap_or(usize::MAX)];
        Problem::length(&self.shown(), &shape, self.bytes(), got)
    }

    fn shown(&self) -> String {
        format!("storage {}", self.key.escape_debug())
    }
}

impl Storages {
    /// The storages in `folder` of `archive`.
    pub(super) fn in_archive(archive: &Archive, folder: &str) -> Result<Self, Problem> {
        let big_endian = match archive.small(&format!("{folder}byteorder")) {
            Ok(Some(order)) => order == b"big",
            Ok(None) => false,
            Err(problem) => return Err(problem),
        };
        let folder = format!("{folder}data/");
        let parts = archive.parts().filter_map(|(name, data)| {
            Some((name.strip_prefix(&folder)?.to_owned(), data.clone()))
        });
        Ok(Storages { parts: parts.collect(), big_endian })
    }

    /// The values that `reference` means.
    pub(super) fn find(&self, reference: &Reference) -> Result<Arc<Data>, Problem> {
        let missing = || Problem::Storage { key: reference.key.escape_debug().to_string() };
        let data = self.parts.get(&reference.key).ok_or_else(missing)?;
        match reference.bytes() == Some(data.size()) {
            true => Ok(data.clone()),
            false => Err(reference.misfit(data.size())),
        }
    }
}

/// Whether `pickle` is the number that a file of the old format begins with.
pub(super) fn is_magic(pickle: &Pickle) -> bool {
    match pickle.get(pickle.root()) {
        Value::Huge(number) => [MAGIC, MAGIC_DIGITS].contains(&&**number),
        _ => false,
    }
}

/// The pickle in a file of the old format, and its storages.
pub(super) fn sequence(bytes: &Bytes) -> Result<(Pickle, Storages), Problem> {
    let (magic, rest) = Pickle::first(bytes)?;
    let (version, rest) = Pickle::first(&rest)?;
    if !is_magic(&magic) || !matches!(version.get(version.root()), Value::Int(VERSION)) {
        return Err(Problem::LegacyVersion);
    }
    let (machine, rest) = Pickle::first(&rest)?;
    if !is_little_endian(&machine) {
        return Err(Problem::ByteOrder);
    }
    let (pickle, rest) = Pickle::first(&rest)?;
    let (keys, mut rest) = Pickle::first(&rest)?;
    let declared = declared(&pickle)?;
    let mut parts = BTreeMap::new();
    for key in texts(&keys)? {
        let missing = || Problem::Storage { key: key.escape_debug().to_string() };
        let reference = declared.get(key).ok_or_else(missing)?;
        let mut count = [0; 8];
        rest.read_at(0, &mut count).map_err(|_| reference.misfit(0))?;
        let behind = rest.after(8);
        let length = reference.bytes().filter(|_| u64::from_le_bytes(count) == reference.count);
        let data = length.and_then(|length| behind.part(0, length));
        let data = data.ok_or_else(|| reference.misfit(behind.len()))?;
        rest = behind.after(data.len());
        parts.insert(key.to_owned(), Arc::new(Data::plain(data)));
    }
    match rest.len() {
        0 => Ok((pickle, Storages { parts, big_endian: false })),
        bytes => Err(Problem::Trailing { bytes }),
    }
}

fn is_little_endian(machine: &Pickle) -> bool {
    let Value::Dict(items) = machine.get(machine.root()) else { return false };
    items.iter().any(|&(key, value)| {
        machine.text(key) == Some("little_endian")
            && matches!(machine.get(value), Value::Bool(true) | Value::Int(1))
    })
}

/// The texts of a pickled list of texts.
fn texts(pickle: &Pickle) -> Result<Vec<&str>, Problem> {
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

/// All storages that `pickle` refers to, by their key. (A pickled module refers to its class, too.)
fn declared(pickle: &Pickle) -> Result<BTreeMap<String, Reference>, Problem> {
    let mut storages: BTreeMap<String, Reference> = BTreeMap::new();
    for value in pickle.values() {
        let Value::Persistent(reference) = *value else { continue };
        let items = pickle.sequence(reference).unwrap_or_default();
        if items.first().is_none_or(|&first| pickle.text(first) != Some("storage")) {
            continue;
        }
        let found = Reference::read(pickle, reference)?;
        match storages.get(&found.key) {
            Some(known) if known.bytes() != found.bytes() => {
                return Err(Problem::Duplicate { array: found.shown() });
            }
            _ => storages.insert(found.key.clone(), found),
        };
    }
    Ok(storages)
}
