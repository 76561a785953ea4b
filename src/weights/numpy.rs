//! Recognises the NumPy arrays in a pickle of dicts and lists, the way Flax, Haiku and many others
//! save a network.
//!
//! NumPy pickles an array in two ways, and both are recognised by the names that they call:
//! `_reconstruct` with a state (protocols 2 to 4) and `_frombuffer` (protocol 5).

use std::collections::BTreeMap;

use super::array::{elements, stored};
use super::floats::Float;
use super::pickle::{Id, Pickle, Value};
use super::tree::{self, Leaf};
use super::{Array, Checkpoint, Problem};

/// All arrays of `pickle` by name.
pub(super) fn arrays(pickle: &Pickle) -> Result<Checkpoint, Problem> {
    arrays_below(pickle, pickle.root())
}

/// All arrays of the one object in an array of objects, which is what `numpy.save` makes of a dict.
pub(super) fn arrays_of_object(pickle: &Pickle) -> Result<Checkpoint, Problem> {
    let outermost = Pickled { pickle, name: "the outermost value" };
    let Parts { buffer, .. } = outermost.parts(pickle.root())?;
    match pickle.get(buffer) {
        Value::List(objects) if objects.len() == 1 => arrays_below(pickle, objects[0]),
        _ => Err(outermost.malformed("one object", buffer)),
    }
}

fn arrays_below(pickle: &Pickle, root: Id) -> Result<Checkpoint, Problem> {
    tree::arrays(pickle, root, &mut Numpy { pickle, seen: BTreeMap::new() })
}

struct Numpy<'p> {
    pickle: &'p Pickle<'p>,
    /// Buffers by the array that they were first met under.
    seen: BTreeMap<Id, String>,
}

impl Leaf for Numpy<'_> {
    fn array(&mut self, id: Id, name: &str) -> Result<Option<Array>, Problem> {
        let (buffer, array) = Pickled { pickle: self.pickle, name }.array(id)?;
        match self.seen.insert(buffer, name.to_owned()) {
            None => Ok(Some(array)),
            Some(first) => Err(Problem::Shared { name: name.into(), first }),
        }
    }
}

/// The array of the given type, shape and order that `bytes` hold.
pub(super) fn array(
    name: &str,
    float: Float,
    shape: Vec<usize>,
    column_major: bool,
    bytes: &[u8],
) -> Result<Array, Problem> {
    let needed = elements(&shape).and_then(|values| values.checked_mul(float.width()));
    if needed != Some(bytes.len()) {
        return Err(Problem::length(name, shape, needed, bytes.len()));
    }
    let values =
        float.decode(bytes).map_err(|value| Problem::Range { array: name.into(), value })?;
    let array = match column_major {
        false => Array::new(shape, values),
        true => {
            let strides = stored(shape.iter());
            Array::strided(shape, &strides, &values)
        }
    };
    Ok(array.expect("the bytes were just counted"))
}

/// The floating-point type that NumPy calls `descr`.
pub(super) fn float(name: &str, descr: &str) -> Result<Float, Problem> {
    match descr {
        "<f2" => Ok(Float::F16),
        "<f4" => Ok(Float::F32),
        "<f8" => Ok(Float::F64),
        other => Err(Problem::Dtype {
            array: name.into(),
            expected: "`<f2`, `<f4` or `<f8`",
            got: other.escape_debug().to_string(),
        }),
    }
}

/// The arguments that NumPy makes an array from.
struct Parts {
    shape: Id,
    dtype: Id,
    column_major: bool,
    buffer: Id,
}

/// One array of a pickle.
struct Pickled<'p> {
    pickle: &'p Pickle<'p>,
    name: &'p str,
}

impl Pickled<'_> {
    /// The array that the call `id` makes, and the number of the bytes that it is made from.
    fn array(&self, id: Id) -> Result<(Id, Array), Problem> {
        let Parts { shape, dtype, column_major, buffer } = self.parts(id)?;
        let float = self.float(dtype)?;
        let shape = self.shape(shape)?;
        let (origin, bytes) =
            self.pickle.bytes(buffer).ok_or_else(|| self.malformed("bytes", buffer))?;
        let array = array(self.name, float, shape, column_major, &bytes)?;
        Ok((origin, array))
    }

    fn parts(&self, id: Id) -> Result<Parts, Problem> {
        let pickle = self.pickle;
        if let Some((arguments, _)) = self.call(id, "numeric", "_frombuffer") {
            let [buffer, dtype, shape, order] =
                pickle.tuple(arguments).ok_or_else(|| self.malformed("4 arguments", arguments))?;
            let column_major = match pickle.text(order) {
                Some("C") => false,
                Some("F") => true,
                _ => return Err(self.malformed("order `C` or `F`", order)),
            };
            return Ok(Parts { shape, dtype, column_major, buffer });
        }
        if let Some((arguments, state)) = self.call(id, "multiarray", "_reconstruct") {
            let state = state.ok_or_else(|| self.malformed("a state", arguments))?;
            let [_version, shape, dtype, order, buffer] =
                pickle.tuple(state).ok_or_else(|| self.malformed("a state of 5", state))?;
            let Value::Bool(column_major) = *pickle.get(order) else {
                return Err(self.malformed("a bool for the order", order));
            };
            return Ok(Parts { shape, dtype, column_major, buffer });
        }
        Err(Problem::Object { name: self.name.into(), got: pickle.describe(id) })
    }

    /// Arguments and state of `id` if it is a call of `name` in `module` of NumPy's core, which
    /// NumPy 2 renamed.
    fn call(&self, id: Id, module: &str, name: &str) -> Option<(Id, Option<Id>)> {
        let Value::Call { callee, arguments, state } = *self.pickle.get(id) else {
            return None;
        };
        let Value::Global(path, called) = *self.pickle.get(callee) else {
            return None;
        };
        let core = path.strip_prefix("numpy.core.").or(path.strip_prefix("numpy._core."));
        (core == Some(module) && called == name).then_some((arguments, state))
    }

    /// The element type: a call of `numpy.dtype("f4", …)` with the state `(version, "<", …)`.
    fn float(&self, id: Id) -> Result<Float, Problem> {
        let pickle = self.pickle;
        let not_a_dtype = || self.malformed("a `numpy.dtype`", id);
        let Value::Call { callee, arguments, state } = *pickle.get(id) else {
            return Err(not_a_dtype());
        };
        let (Value::Global("numpy", "dtype"), Value::Tuple(arguments)) =
            (pickle.get(callee), pickle.get(arguments))
        else {
            return Err(not_a_dtype());
        };
        let kind = arguments.first().and_then(|&kind| pickle.text(kind));
        let order = match state.map(|state| pickle.get(state)) {
            Some(Value::Tuple(state)) => state.get(1).and_then(|&order| pickle.text(order)),
            _ => None,
        };
        let (kind, order) = (kind.ok_or_else(not_a_dtype)?, order.ok_or_else(not_a_dtype)?);
        float(self.name, &format!("{order}{kind}"))
    }

    fn shape(&self, id: Id) -> Result<Vec<usize>, Problem> {
        let Value::Tuple(extents) = self.pickle.get(id) else {
            return Err(self.malformed("a tuple as shape", id));
        };
        let extent = |&id: &Id| match *self.pickle.get(id) {
            Value::Int(extent) => usize::try_from(extent).ok(),
            _ => None,
        };
        let whole = |id| extent(id).ok_or_else(|| self.malformed("whole numbers as shape", *id));
        extents.iter().map(whole).collect()
    }

    fn malformed(&self, expected: &'static str, got: Id) -> Problem {
        Problem::Malformed { array: self.name.into(), expected, got: self.pickle.describe(got) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Written by `testdata/make.py`.
    const PROTOCOLS: [&[u8]; 4] = [
        include_bytes!("testdata/protocol-2.pickle"),
        include_bytes!("testdata/protocol-3.pickle"),
        include_bytes!("testdata/protocol-4.pickle"),
        include_bytes!("testdata/protocol-5.pickle"),
    ];

    fn read(bytes: &[u8]) -> Result<Checkpoint, Problem> {
        arrays(&Pickle::parse(bytes)?)
    }

    fn error(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    /// A NumPy array with the given shape (as pickled), order flag and data.
    fn array(shape: &[u8], column_major: bool, data: &[u8]) -> Vec<u8> {
        let dtype = b"cnumpy\ndtype\nX\x02\0\0\0f4\x89\x88\x87R(K\x03X\x01\0\0\0<NNNtb";
        let flag = if column_major { b"\x88" } else { b"\x89" };
        let data = [&b"C"[..], &[data.len() as u8], data].concat();
        let make = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01";
        [make, shape, dtype, flag, &data, b"tb"].concat()
    }

    /// A dict `{"w": value}`.
    fn dict(value: &[u8]) -> Vec<u8> {
        [b"\x80\x02}X\x01\0\0\0w", value, b"s."].concat()
    }

    #[test]
    fn what_numpy_pickles_is_read_in_every_protocol() {
        for bytes in PROTOCOLS {
            let found = read(bytes).unwrap();
            let names: Vec<_> = found.keys().collect();
            assert_eq!(names, ["Net_0.Conv_0.bias", "Net_0.Conv_0.kernel", "Net_0.Dense_0.kernel"]);
            let kernel = &found["Net_0.Conv_0.kernel"];
            assert_eq!(kernel.shape(), [1, 2, 2, 3]);
            assert!(kernel.values().iter().copied().eq((-6..6).map(|i| i as f32)));
            assert_eq!(found["Net_0.Conv_0.bias"].values(), [0.5, -0.25, 0.0]);
            assert_eq!(found["Net_0.Dense_0.kernel"].values(), [1.5, -2.5]);
        }
    }

    #[test]
    fn another_dtype_is_refused_by_name() {
        assert_eq!(
            error(include_bytes!("testdata/integers.pickle")),
            "w: expected `<f2`, `<f4` or `<f8`, got `<i8`"
        );
        assert_eq!(
            error(include_bytes!("testdata/big-endian.pickle")),
            "w: expected `<f2`, `<f4` or `<f8`, got `>f4`"
        );
    }

    #[test]
    fn a_column_major_array_is_read_in_row_major_order() {
        // w = np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3))
        let found = read(include_bytes!("testdata/column-major.pickle")).unwrap();
        assert_eq!(found["w"].shape(), [2, 3]);
        assert_eq!(found["w"].values(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn the_items_of_a_list_are_numbered() {
        // {"conv1": [kernel, bias]}, how Caffe's AlexNet went to Python
        let found = read(include_bytes!("testdata/lists.pickle")).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["conv1.0", "conv1.1"]);
        assert_eq!(found["conv1.0"].shape(), [2, 2, 1, 3]);
        assert_eq!(found["conv1.1"].values(), [0.5, -0.25, 0.0]);
    }

    #[test]
    fn a_value_that_is_no_array_is_refused_by_name() {
        assert_eq!(
            error(include_bytes!("testdata/scalar.pickle")),
            "w: expected a dict, a list or an array, got a number"
        );
        assert_eq!(
            error(
                &array(b"K\x01\x85", false, &[0; 4]).into_iter().chain(*b".").collect::<Vec<_>>()
            ),
            "expected a dict of arrays, such as `model.state_dict()`, got a call of \
             `numpy.core.multiarray._reconstruct`, which is not run"
        );
    }

    #[test]
    fn a_call_of_anything_but_numpy_is_refused_by_name() {
        assert_eq!(
            error(&dict(b"cposix\nsystem\nX\x09\0\0\0echo owne\x85R")),
            "w: expected a dict, a list or an array, got a call of `posix.system`, which is not run"
        );
    }

    #[test]
    fn a_huge_declared_shape_is_refused() {
        let huge = b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x87";
        let got = error(&dict(&array(huge, false, &[0; 4])));
        assert!(got.starts_with("w: expected uncountably many bytes for shape ["), "{got}");
        let got = error(&dict(&array(b"K\x02\x85", false, &[0; 4])));
        assert_eq!(got, "w: expected 8 bytes for shape [2], got 4");
        let got = error(&dict(&array(b"J\xff\xff\xff\xff\x85", false, &[0; 4])));
        assert!(got.contains("whole numbers as shape, got the integer `-1`"), "{got}");
    }

    #[test]
    fn an_object_met_twice_is_refused() {
        // {"a": d, "b": d} with the same d; 60 such levels would make 2^60 arrays.
        let got = error(b"\x80\x02}(X\x01\0\0\0a}q\0X\x01\0\0\0bh\0u.");
        assert_eq!(got, "b: the same object as a; expected every array once");
    }

    #[test]
    fn two_arrays_over_the_same_bytes_are_refused() {
        let array = |data: &[u8]| {
            let written = array(b"K\x01\x85", false, &[]);
            [&written[..written.len() - 4], data, b"tb"].concat()
        };
        let encode =
            |text: &[u8]| [b"c_codecs\nencode\n", text, b"X\x06\0\0\0latin1\x86R"].concat();
        let [first, second] = [&b"X\x04\0\0\0\0\0\0\0q\x07"[..], b"h\x07"].map(encode);
        for (first, second) in [(&b"C\x04\0\0\0\0q\x07"[..], &b"h\x07"[..]), (&first, &second)] {
            let key = b"X\x01\0\0\0";
            let items = [&key[..], b"a", &array(first), key, b"b", &array(second)].concat();
            let got = error(&[b"\x80\x02}(", &items[..], b"u."].concat());
            assert_eq!(got, "b: the same object as a; expected every array once");
        }
    }

    #[test]
    fn dicts_within_dicts_without_end_are_refused() {
        let deep = [b"}X\x01\0\0\0w".repeat(100), b"N".to_vec(), b"s".repeat(100), b".".to_vec()];
        assert!(error(&deep.concat()).ends_with("dicts are nested more than 64 deep"));
        let own_item = b"}q\0X\x01\0\0\0wh\0s.";
        assert!(matches!(read(own_item), Err(Problem::Shared { .. })));
    }

    #[test]
    fn a_key_that_is_no_plain_text_is_refused() {
        for key in [&b"N"[..], b"X\0\0\0\0", b"X\x01\0\0\0\x1b"] {
            let bytes = [b"\x80\x02}", key, b"}s."].concat();
            assert!(matches!(read(&bytes), Err(Problem::Key { .. })));
        }
    }

    #[test]
    fn a_name_that_appears_twice_is_refused() {
        let one = array(b"K\x01\x85", false, &[0; 4]);
        let key = b"X\x01\0\0\0w";
        let bytes = [&b"}("[..], key, &one, key, &one, b"u."].concat();
        assert!(matches!(read(&bytes), Err(Problem::Duplicate { .. })));
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(protocol in 0..PROTOCOLS.len(), cut in 0_usize..10_000) {
            let bytes = PROTOCOLS[protocol];
            prop_assert!(read(&bytes[..cut % bytes.len()]).is_err());
        }

        #[test]
        fn any_damage_is_read_or_refused_but_never_a_panic(
            protocol in 0..PROTOCOLS.len(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = PROTOCOLS[protocol].to_vec();
            for (at, byte) in damage {
                *at.get_mut(&mut bytes) = byte;
            }
            let _ = read(&bytes);
        }

        #[test]
        fn any_bytes_are_read_or_refused_but_never_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200)
        ) {
            let _ = read(&bytes);
        }
    }
}
