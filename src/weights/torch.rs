//! Recognises the tensors in what `torch.save` writes: a pickle whose tensors refer to storages beside
//! it.
//!
//! A tensor is a view of a storage: an offset, a shape, strides, and bits that say that its values are
//! meant otherwise. What is read are the calls that rebuild such a view. Where the storages lie is left
//! to `stored.rs`.

use std::sync::Arc;

use super::Problem;
use super::data::Data;
use super::floats::Float;
use super::left::Kind;
use super::stored::{self, Element, Reference, Storages};
use super::tree::{Found, Node};
use super::value::{Call, Id, Pickle, Value, shortened};
use super::view::{Values, View};

/// A value of a pickle that may be a tensor, and its place.
pub(super) struct Torch<'p> {
    pub pickle: &'p Pickle,
    pub storages: &'p Storages,
    pub name: &'p str,
}

impl Torch<'_> {
    /// What `call` makes, if it is PyTorch's.
    pub(super) fn recognised(&self, call: Call) -> Option<Found> {
        let Call { module, name, arguments, state } = call;
        match (module, name, arguments) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2", arguments) => {
                let [view, rest] = arguments.split_at_checked(4).map_or([&[][..], &[]], Into::into);
                Some(self.tensor(view, None, rest.get(2).copied(), rest.len() > 3))
            }
            ("torch._utils", "_rebuild_tensor_v3", arguments) => {
                let [view, rest] = arguments.split_at_checked(4).map_or([&[][..], &[]], Into::into);
                let dtype = rest.get(2).copied();
                Some(self.tensor(view, dtype, rest.get(3).copied(), rest.len() > 4))
            }
            // Before there were functions to rebuild it.
            ("torch", name, []) if name.ends_with("Tensor") => {
                let view = state.and_then(|state| self.pickle.sequence(state)).unwrap_or_default();
                Some(self.tensor(view, None, None, view.len() > 4))
            }
            // A parameter is a tensor and some flags; so is what comes back from another device.
            (
                "torch._utils",
                "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
                | "_rebuild_device_tensor_from_numpy"
                | "_rebuild_device_tensor_from_cpu_tensor"
                | "_rebuild_xla_tensor",
                [tensor, ..],
            )
            | ("torch.nn.parameter", "Parameter" | "Buffer", [tensor, ..])
            | ("torch.jit._pickle", "restore_type_tag" | "build_tensorlist", [tensor, ..]) => {
                Some(Found::Same(*tensor))
            }
            // A subclass: the function that rebuilds it, the class, and the function's arguments.
            (
                "torch._tensor" | "torch.tensor",
                "_rebuild_from_type" | "_rebuild_from_type_v2",
                &[function, _, arguments, ..],
            ) => self.inner(function, arguments).or_else(|| Some(self.unknown(module, name))),
            ("torch._utils" | "torch._tensor" | "torch.tensor", name, _)
                if name.starts_with("_rebuild_") =>
            {
                Some(self.unknown(module, name))
            }
            ("torch.jit._pickle", "build_tensor_from_id", _) => Some(self.unknown(module, name)),
            _ => None,
        }
    }

    fn inner(&self, function: Id, arguments: Id) -> Option<Found> {
        let (module, name) = self.pickle.global(function)?;
        let arguments = self.pickle.sequence(arguments)?;
        self.recognised(Call { module, name, arguments, state: None })
    }

    /// A tensor of a kind that is not read: sparse, quantised, without values.
    fn unknown(&self, module: &str, name: &str) -> Found {
        let got = format!("{}.{}", shortened(module), shortened(name));
        Found::tensor(Err(Problem::Unreadable { array: self.name.into(), got }))
    }

    /// The tensor over a storage, with offset, shape and strides; `dtype` says what its elements are if
    /// the storage does not, and `bits` how they are meant.
    fn tensor(&self, view: &[Id], dtype: Option<Id>, bits: Option<Id>, has_more: bool) -> Found {
        Found::tensor(match *view {
            [storage, offset, shape, strides] if !has_more => {
                self.view([storage, offset, shape, strides], dtype, bits)
            }
            _ => Err(self.malformed("a storage, an offset, a shape and strides", "others".into())),
        })
    }

    fn view(
        &self,
        [storage, offset, shape, strides]: [Id; 4],
        dtype: Option<Id>,
        bits: Option<Id>,
    ) -> Result<Found, Problem> {
        let pickle = self.pickle;
        let (data, Reference { element, offset: start, .. }) = self.storage(storage)?;
        let element = match dtype {
            Some(dtype) => self.dtype(dtype)?,
            None => element,
        };
        let float = match element {
            Element::Float(float) => float,
            Element::Left(kind, _) => return Ok(Found::Left(kind)),
            Element::Unknown(_) | Element::Untyped => return Err(self.unreadable(storage)),
        };
        let negated = self.is_negated(bits)?;
        let offset = pickle.whole(offset).ok_or_else(|| self.unlike("an offset", offset))?;
        let first = offset.checked_add(start);
        let first = first.ok_or_else(|| self.malformed("an offset", offset.to_string()))?;
        let [shape, strides] = [shape, strides].map(|id| {
            let id = size(pickle, id);
            pickle.wholes(id).ok_or_else(|| self.unlike("a tuple of whole numbers", id))
        });
        let (shape, strides) = (shape?, strides?);
        if shape.len() != strides.len() {
            let got = format!("{} for {}", strides.len(), shape.len());
            return Err(self.malformed("as many strides as dimensions", got));
        }
        let data = data?;
        let there = data.size();
        let values = Values { big_endian: self.storages.big_endian, negated, ..float.into() };
        let view = View::new(shape.clone(), &strides, first, (data, 0), values)
            .map_err(|needed| Problem::length(self.name, &shape, needed, there))?;
        Ok(Found::Node(Node::Tensor(Box::new(view))))
    }

    /// The values that a tensor is a view of, if they are there, and what the pickle says of them.
    #[allow(clippy::type_complexity)]
    fn storage(&self, id: Id) -> Result<(Result<Arc<Data>, Problem>, Reference), Problem> {
        let pickle = self.pickle;
        if let Value::Persistent(reference) = *pickle.get(id) {
            let reference = Reference::read(pickle, reference)?;
            return Ok((self.storages.find(&reference), reference));
        }
        // A tensor that was pickled without `torch.save` has a whole file for a storage.
        if let Some(Call { module: "torch.storage", name: "_load_from_bytes", arguments, .. }) =
            pickle.call(id)
            && let &[file] = arguments
        {
            let unread = |error: std::io::Error| Problem::Defect {
                array: self.name.into(),
                defect: error.into(),
            };
            let file = pickle.data(file).map_err(unread)?;
            let file = file.ok_or_else(|| self.unlike("a storage in bytes", id))?;
            let (inner, storages) = stored::sequence(&file.open().map_err(unread)?)?;
            let inner = Torch { pickle: &inner, storages: &storages, name: self.name };
            return match inner.pickle.get(inner.pickle.root()) {
                Value::Persistent(_) => inner.storage(inner.pickle.root()),
                _ => Err(inner.unlike("a storage", inner.pickle.root())),
            };
        }
        Err(self.unlike("a storage", id))
    }

    fn dtype(&self, id: Id) -> Result<Element, Problem> {
        let name = self.pickle.global(id).filter(|(module, _)| *module == "torch");
        Ok(match name.ok_or_else(|| self.unlike("a type of PyTorch", id))?.1 {
            "float8_e4m3fn" => Element::Float(Float::E4m3),
            "float8_e5m2" => Element::Float(Float::E5m2),
            "float16" => Element::Float(Float::F16),
            "bfloat16" => Element::Float(Float::Bf16),
            "float32" => Element::Float(Float::F32),
            "float64" => Element::Float(Float::F64),
            "bool" => Element::Left(Kind::Bools, 1),
            name if name.starts_with("complex") => Element::Left(Kind::Complex, 1),
            name if name.starts_with("int") || name.starts_with("uint") => {
                Element::Left(Kind::Integers, 1)
            }
            _ => return Err(self.unreadable(id)),
        })
    }

    /// Whether the values stand for their opposites. PyTorch negates and conjugates lazily, by a bit
    /// beside the tensor; a conjugated real number is itself.
    fn is_negated(&self, bits: Option<Id>) -> Result<bool, Problem> {
        let pickle = self.pickle;
        let Some(bits) = bits else { return Ok(false) };
        let items = match pickle.get(bits) {
            Value::None => return Ok(false),
            Value::Dict(items) => items,
            _ => return Err(self.unlike("bits of a tensor", bits)),
        };
        let mut is_negated = false;
        for &(key, value) in items {
            match (pickle.text(key), pickle.get(value)) {
                (Some("neg"), Value::Bool(bit)) => is_negated = *bit,
                (Some("conj"), Value::Bool(_)) => {}
                _ => return Err(self.unlike("the bit `neg` or `conj` of a tensor", key)),
            }
        }
        Ok(is_negated)
    }

    fn unreadable(&self, got: Id) -> Problem {
        let got = match self.pickle.get(got) {
            Value::Persistent(reference) => match self.pickle.sequence(*reference) {
                Some(items) if items.len() > 1 => self.pickle.describe(items[1]),
                _ => self.pickle.describe(got),
            },
            _ => self.pickle.describe(got),
        };
        Problem::Unreadable { array: self.name.into(), got }
    }

    fn unlike(&self, expected: &'static str, got: Id) -> Problem {
        self.malformed(expected, self.pickle.describe(got))
    }

    fn malformed(&self, expected: &'static str, got: String) -> Problem {
        Problem::Malformed { array: self.name.into(), expected, got }
    }
}

/// The tuple inside a `torch.Size`.
fn size(pickle: &Pickle, id: Id) -> Id {
    match pickle.call(id) {
        Some(Call { module: "torch", name: "Size", arguments: &[inner], .. }) => inner,
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use proptest::prelude::*;
    use zip::CompressionMethod;
    use zip::write::{FileOptions, ZipWriter};

    use crate::weights::testing::{read, read_views, refusal as error};

    // Written by `testdata/make.py`.
    const VIEWS: [&[u8]; 2] =
        [include_bytes!("testdata/views.pth"), include_bytes!("testdata/views-legacy.pth")];

    /// A `.pth` file: the pickle of a dict with these items, and ten float32 in storage `0`.
    fn file(items: &[&[u8]], order: &[u8]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let pickle = [b"\x80\x02}(", &items.concat()[..], b"u."].concat();
        for (name, bytes) in
            [("net/data.pkl", &pickle[..]), ("net/byteorder", order), ("net/data/0", &[0; 40])]
        {
            let stored = FileOptions::default().compression_method(CompressionMethod::Stored);
            writer.start_file(name, stored).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// The item `name` of a dict: a view of storage `key` with `offset`, a shape and strides.
    fn view(name: u8, key: u8, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
        view_with(name, key, offset, shape, strides, b"")
    }

    /// The same with more arguments.
    fn view_with(
        name: u8,
        key: u8,
        offset: u8,
        shape: &[u8],
        strides: &[u8],
        more: &[u8],
    ) -> Vec<u8> {
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
            more,
            b"tR",
        ]
        .concat()
    }

    // table = np.arange(-6, 6).reshape(3, 4), as in `testdata/make.py`
    #[test]
    fn views_of_a_storage_are_read_as_pytorch_shows_them() {
        for bytes in VIEWS {
            let found = read(bytes, "").unwrap();
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
    fn a_pickled_module_is_read_as_its_state_dict_and_not_made() {
        let module = read(include_bytes!("testdata/module.pth"), "").unwrap();
        assert_eq!(module, read(include_bytes!("testdata/net.pth"), "").unwrap());
    }

    #[test]
    fn what_is_no_tensor_of_numbers_is_left_out_and_counted() {
        let integers = error(include_bytes!("testdata/integers.pth"));
        assert!(integers.ends_with("got 1 array of integers"), "{integers}");
        let (views, account) = read_views(include_bytes!("testdata/training.pth"), "").unwrap();
        assert_eq!((views.len(), account.key.as_deref()), (4, Some("state_dict")));
        assert_eq!(account.left.to_string(), "1 number");
    }

    // torch.imag(torch.view_as_complex(w).conj()): PyTorch writes {'neg': True} in place of negating.
    #[test]
    fn a_lazily_negated_tensor_has_the_opposite_values() {
        let bits = |bits: &[u8]| {
            let more = [b"\x89N", bits].concat();
            file(&[&view_with(b'a', b'0', 0, &[2, 5], &[5, 1], &more)], b"little")
        };
        let values = |more: &[u8]| {
            let mut file = bits(more);
            // The ten zeros of the storage become ones; the archive has no checksum of them then.
            let at = file.windows(40).position(|zeros| zeros == [0; 40]).unwrap();
            for value in file[at..at + 40].chunks_mut(4) {
                value.copy_from_slice(&1_f32.to_le_bytes());
            }
            clear_checksum(&mut file, "net/data/0");
            read(&file, "").unwrap()["a"].values()[0]
        };
        let dict = |key: &str, value: u8| {
            [b"}U", &[key.len() as u8][..], key.as_bytes(), &[value], b"s"].concat()
        };
        assert_eq!(values(b"}"), 1.0);
        assert_eq!(values(b"N"), 1.0);
        assert_eq!(values(&dict("neg", 0x88)), -1.0);
        assert_eq!(values(&dict("neg", 0x89)), 1.0);
        assert_eq!(values(&dict("conj", 0x88)), 1.0);
        for unknown in [dict("inv", 0x88), dict("neg", b'N'), b"K\x01".to_vec(), b"}}".to_vec()] {
            let refused = error(&bits(&unknown));
            assert!(refused.starts_with("a: malformed array; expected "), "{refused}");
        }
    }

    /// Takes the checksum of `part` out of the central directory of `archive`.
    fn clear_checksum(archive: &mut [u8], part: &str) {
        let at = archive.windows(part.len()).rposition(|name| name == part.as_bytes()).unwrap();
        archive[at - 46 + 16..at - 46 + 20].fill(0);
    }

    #[test]
    fn a_tensor_of_a_kind_that_is_not_read_is_refused_by_name_where_it_is_wanted() {
        let sparse = b"X\x01\0\0\0sctorch._utils\n_rebuild_sparse_tensor\n)R";
        let whole = view(b'a', b'0', 0, &[2, 5], &[5, 1]);
        let refused = error(&file(&[sparse, &whole], b"little"));
        let start = "s: a tensor that is not read, made by `torch._utils._rebuild_sparse_tensor`";
        assert!(refused.starts_with(start), "{refused}");
        let apart = [&b"X\x09\0\0\0optimizer}"[..], sparse, b"s"].concat();
        assert_eq!(read(&file(&[&apart, &whole], b"little"), "").unwrap().len(), 1);
    }

    #[test]
    fn a_view_may_not_reach_beyond_its_storage() {
        let whole = file(&[&view(b'a', b'0', 0, &[2, 5], &[5, 1])], b"little");
        assert_eq!(read(&whole, "").unwrap()["a"].values(), [0.0; 10]);
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
    fn a_storage_may_be_shared_and_shown_many_times() {
        let views: Vec<Vec<u8>> =
            (b'a'..=b'y').map(|name| view(name, b'0', 0, &[10], &[1])).collect();
        let views: Vec<&[u8]> = views.iter().map(Vec::as_slice).collect();
        assert_eq!(read(&file(&views, b"little"), "").unwrap().len(), 25);
        let expanded = view(b'a', b'0', 3, &[200, 200], &[0, 0]);
        assert_eq!(read(&file(&[&expanded], b"little"), "").unwrap()["a"].values().len(), 40_000);
        let huge = view(b'a', b'0', 0, &[255; 7], &[0; 7]);
        let refused = error(&file(&[&huge], b"little"));
        assert!(refused.starts_with("a: shows "), "{refused}");
    }

    #[test]
    fn values_that_are_not_there_are_named() {
        let missing = error(&file(&[&view(b'a', b'7', 0, &[1], &[1])], b"little"));
        assert!(missing.starts_with("storage 7: missing"), "{missing}");
    }

    #[test]
    fn a_file_of_the_old_format_ends_with_its_last_value() {
        let [_, legacy] = VIEWS;
        let longer = [legacy, &[0; 3]].concat();
        assert_eq!(error(&longer), "expected the end of the file, got 3 more bytes");
        let mut version = legacy.to_vec();
        let at = version.windows(3).position(|bytes| bytes == b"M\xe9\x03").unwrap();
        version[at + 1] ^= 1;
        assert!(error(&version).starts_with("expected version 1001"), "{}", error(&version));
    }

    /// A file of the old format: the pickle `{"a": value}`, and ten float32, 0 to 9, in storage `0`.
    fn old_file(value: &[u8]) -> Vec<u8> {
        let values: Vec<u8> = (0..10).flat_map(|value| (value as f32).to_le_bytes()).collect();
        [
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.",
            &b"\x80\x02}U\x0dlittle_endian\x88s."[..],
            b"\x80\x02}U\x01a",
            value,
            b"s.\x80\x02]U\x010a.",
            &10_u64.to_le_bytes(),
            &values,
        ]
        .concat()
    }

    // PyTorch 0.3: storages could be views of others, ("7", 4, 6) here: six values from the fourth on.
    #[test]
    fn a_view_of_a_storage_of_an_old_version_begins_where_it_says() {
        let storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x0a(U\x017K\x04K\x06ttQ";
        let v2 = [b"ctorch._utils\n_rebuild_tensor\n(", &storage[..], b"K\x01K\x02\x85K\x02\x85tR"];
        assert_eq!(read(&old_file(&v2.concat()), "").unwrap()["a"].values(), [5.0, 7.0]);
        // PyTorch 0.1 had no function to rebuild a tensor, but gave it a state.
        let v1 = [b"ctorch\nFloatTensor\n)\x81(", &storage[..], b"K\x01K\x02\x85K\x02\x85tb"];
        assert_eq!(read(&old_file(&v1.concat()), "").unwrap()["a"].values(), [5.0, 7.0]);
        let beyond =
            [b"ctorch._utils\n_rebuild_tensor\n(", &storage[..], b"K\x05K\x02\x85K\x02\x85tR"];
        assert!(error(&old_file(&beyond.concat())).starts_with("a: expected 48 bytes"));
    }

    #[test]
    fn a_call_of_anything_but_a_tensor_is_counted_and_not_made() {
        let item = b"X\x01\0\0\0xcposix\nsystem\nX\x02\0\0\0ls\x85R";
        let whole = view(b'a', b'0', 0, &[2, 5], &[5, 1]);
        let (_, account) = read_views(&file(&[item, &whole], b"little"), "").unwrap();
        assert_eq!(account.left.to_string(), "1 object of `posix.system`");
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in any::<prop::sample::Index>()) {
            for bytes in VIEWS {
                prop_assert!(read(&bytes[..cut.index(bytes.len())], "").is_err());
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
            let _ = read(&file(&[&item], b"little"), "");
        }
    }
}
