//! Recognises the NumPy arrays in a pickle, the way Flax, Haiku and many others save a network.
//!
//! NumPy pickles an array in two ways, and both are recognised by the names that they call:
//! `_reconstruct` with a state (protocols 0 to 4) and `_frombuffer` (protocol 5). JAX wraps the first.

use std::sync::Arc;

use super::Problem;
use super::array::elements;
use super::data::Data;
use super::floats::Float;
use super::left::Kind;
use super::strides::{column_major, row_major};
use super::tree::{Found, Node};
use super::value::{Call, Id, Pickle, Value, shortened};
use super::view::{Values, View};

/// What NumPy calls the elements of an array.
#[derive(Debug, PartialEq)]
pub(super) enum Element {
    /// Weights.
    Float(Values),
    /// Something without a sign to take.
    Left(Kind),
    /// Python objects.
    Object,
}

impl Element {
    /// The elements that NumPy calls `descr`, `<f4` for example, in the array `name`.
    ///
    /// # Errors
    /// When they may be weights, and cannot be read.
    pub(super) fn of(descr: &str, name: &str) -> Result<Self, Problem> {
        let (order, kind) = match descr.split_at_checked(1) {
            Some((order @ ("<" | ">" | "=" | "|"), kind)) => (order, kind),
            _ => ("=", descr),
        };
        let float =
            |float| Element::Float(Values { big_endian: order == ">", ..Values::from(float) });
        Ok(match kind {
            "f2" => float(Float::F16),
            "f4" => float(Float::F32),
            "f8" => float(Float::F64),
            "bfloat16" => float(Float::Bf16),
            "float8_e4m3fn" => float(Float::E4m3),
            "float8_e5m2" => float(Float::E5m2),
            "?" => Element::Left(Kind::Bools),
            _ => match kind.as_bytes().first() {
                Some(b'i' | b'u') => Element::Left(Kind::Integers),
                Some(b'b') => Element::Left(Kind::Bools),
                Some(b'c') => Element::Left(Kind::Complex),
                Some(b'U' | b'S' | b'a' | b'T' | b'M' | b'm') => Element::Left(Kind::OtherArray),
                Some(b'O') => Element::Object,
                _ => {
                    return Err(Problem::Dtype {
                        array: name.into(),
                        expected: "`f2`, `f4`, `f8` or `bfloat16`",
                        got: shortened(descr).into(),
                    });
                }
            },
        })
    }
}

/// The array of the given type, shape and order that `data` hold from `offset` bytes on.
///
/// # Errors
/// When the bytes do not fill the shape.
pub(super) fn view(
    name: &str,
    values: Values,
    shape: Vec<usize>,
    is_column_major: bool,
    (data, offset): (Arc<Data>, u64),
) -> Result<View, Problem> {
    let there = data.size().saturating_sub(offset);
    let width = values.float.width();
    let needed = elements(&shape).and_then(|count| count.checked_mul(width)).map(|n| n as u64);
    if needed != Some(there) {
        return Err(Problem::length(name, &shape, needed, there));
    }
    let strides = if is_column_major { column_major(&shape) } else { row_major(&shape) };
    let made = View::new(shape.clone(), &strides, 0, (data, offset), values);
    made.map_err(|needed| Problem::length(name, &shape, needed, there))
}

/// The arguments that NumPy makes an array from.
struct Parts {
    shape: Id,
    dtype: Id,
    is_column_major: bool,
    buffer: Id,
}

/// A value of a pickle that may be an array, and its place.
pub(super) struct Numpy<'p> {
    pub pickle: &'p Pickle,
    pub name: &'p str,
}

impl Numpy<'_> {
    /// What `call` makes, if it is NumPy's.
    pub(super) fn recognised(&self, call: Call) -> Option<Found> {
        match (core(call.module), call.name) {
            (Some("numeric"), "_frombuffer") => Some(self.array(self.parts_of_buffer(call))),
            (Some("multiarray"), "_reconstruct") => {
                Some(self.array(self.parts_of_state(call.state)))
            }
            (Some("multiarray"), "scalar") => Some(Found::Left(Kind::Number)),
            (None, "_reconstruct_array") if call.module.starts_with("jax") => {
                Some(self.array(self.parts_of_state(call.arguments.get(2).copied())))
            }
            (None, "dtype") if call.module == "numpy" => Some(Found::Left(Kind::Name)),
            _ => None,
        }
    }

    fn array(&self, parts: Result<Parts, Problem>) -> Found {
        Found::tensor(parts.and_then(|parts| self.made(parts)))
    }

    fn parts_of_buffer(&self, call: Call) -> Result<Parts, Problem> {
        let &[buffer, dtype, shape, order] = call.arguments else {
            return Err(self.malformed("4 arguments", format!("{}", call.arguments.len())));
        };
        let is_column_major = match self.pickle.text(order) {
            Some("C") => false,
            Some("F") => true,
            _ => return Err(self.unlike("order `C` or `F`", order)),
        };
        Ok(Parts { shape, dtype, is_column_major, buffer })
    }

    fn parts_of_state(&self, state: Option<Id>) -> Result<Parts, Problem> {
        let state = state.ok_or_else(|| self.malformed("a state", "none".into()))?;
        let [_version, shape, dtype, order, buffer] =
            self.pickle.tuple(state).ok_or_else(|| self.unlike("a state of 5", state))?;
        // Protocols 0 and 1 write bools as numbers.
        let is_column_major = match *self.pickle.get(order) {
            Value::Bool(order) => order,
            Value::Int(order @ (0 | 1)) => order == 1,
            _ => return Err(self.unlike("a bool for the order", order)),
        };
        Ok(Parts { shape, dtype, is_column_major, buffer })
    }

    /// The array that NumPy would make from `parts`, or what it holds in its place.
    fn made(
        &self,
        Parts { shape, dtype, is_column_major, buffer }: Parts,
    ) -> Result<Found, Problem> {
        let values = match self.element(dtype)? {
            Element::Float(values) => values,
            Element::Left(kind) => return Ok(Found::Left(kind)),
            Element::Object => {
                return match self.pickle.get(buffer) {
                    // `numpy.save` makes an array of one object of a dict.
                    Value::List(objects) if objects.len() == 1 => Ok(Found::Same(objects[0])),
                    Value::List(_) => Ok(Found::Same(buffer)),
                    _ => Err(self.unlike("a list of objects", buffer)),
                };
            }
        };
        let extents = self.pickle.wholes(shape);
        let shape =
            extents.ok_or_else(|| self.unlike("a tuple of whole numbers as shape", shape))?;
        let unread = |error| Problem::Defect { array: self.name.into(), defect: error };
        let data = self.pickle.data(buffer).map_err(|error| unread(error.into()))?;
        let data = Arc::new(data.ok_or_else(|| self.unlike("bytes", buffer))?);
        let view = view(self.name, values, shape, is_column_major, (data, 0))?;
        Ok(Found::Node(Node::Tensor(Box::new(view))))
    }

    /// The element type: a call of `numpy.dtype("f4", …)` with the state `(version, "<", …)`; types that
    /// are not NumPy's own are a name in place of the text.
    fn element(&self, id: Id) -> Result<Element, Problem> {
        let pickle = self.pickle;
        let not_a_dtype = || self.unlike("a `numpy.dtype`", id);
        let call = pickle.call(id).filter(|call| (call.module, call.name) == ("numpy", "dtype"));
        let call = call.ok_or_else(not_a_dtype)?;
        let kind = *call.arguments.first().ok_or_else(not_a_dtype)?;
        let kind = match pickle.global(kind) {
            Some(("ml_dtypes", name)) => name,
            Some((_, name @ "bfloat16")) => name,
            _ => pickle.text(kind).ok_or_else(not_a_dtype)?,
        };
        let state = call.state.and_then(|state| pickle.sequence(state)).unwrap_or_default();
        let order = state.get(1).and_then(|&order| pickle.text(order)).unwrap_or("=");
        Element::of(&format!("{order}{kind}"), self.name)
    }

    fn unlike(&self, expected: &'static str, got: Id) -> Problem {
        self.malformed(expected, self.pickle.describe(got))
    }

    fn malformed(&self, expected: &'static str, got: String) -> Problem {
        Problem::Malformed { array: self.name.into(), expected, got }
    }
}

/// The module of NumPy's core, which NumPy 2 renamed.
fn core(module: &str) -> Option<&str> {
    module.strip_prefix("numpy.core.").or(module.strip_prefix("numpy._core."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::weights::testing::{self, read_views};
    use crate::weights::{Checkpoint, Problem};

    // Written by `testdata/make.py`.
    const PROTOCOLS: [&[u8]; 4] = [
        include_bytes!("testdata/protocol-2.pickle"),
        include_bytes!("testdata/protocol-3.pickle"),
        include_bytes!("testdata/protocol-4.pickle"),
        include_bytes!("testdata/protocol-5.pickle"),
    ];

    fn read(bytes: &[u8]) -> Result<Checkpoint, Problem> {
        testing::read(bytes, "w")
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

    fn left(bytes: &[u8]) -> String {
        read_views(bytes, "w").unwrap().1.left.to_string()
    }

    #[test]
    fn integers_are_left_out_and_counted() {
        let nothing = error(include_bytes!("testdata/integers.pickle"));
        assert!(nothing.ends_with("expected at least one, got 1 array of integers"), "{nothing}");
        let integers = b"cnumpy\ndtype\nX\x02\0\0\0i8\x89\x88\x87R(K\x03X\x01\0\0\0<NNNtb";
        let make = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x01\x85";
        let integers = [&make[..], integers, b"\x89C\x08\0\0\0\0\0\0\0\0tb"].concat();
        let key = |name: u8| [b"X\x01\0\0\0", &[name][..]].concat();
        let weights = array(b"K\x01\x85", false, &[0; 4]);
        let both = [b"}(", &key(b'w')[..], &weights, &key(b'i'), &integers, b"u."].concat();
        assert_eq!(left(&[b"\x80\x02", &both[..]].concat()), "1 array of integers");
    }

    #[test]
    fn a_dtype_that_may_be_weights_and_is_not_read_is_refused_by_name() {
        let mut long = dict(&array(b"K\x01\x85", false, &[0; 16]));
        let at = long.windows(2).position(|two| two == b"f4").unwrap();
        long[at] = b'V';
        assert_eq!(error(&long), "w: expected `f2`, `f4`, `f8` or `bfloat16`, got `<V4`");
    }

    #[test]
    fn a_big_endian_array_is_read_as_numpy_reads_it() {
        // w = np.arange(3, dtype=">f4")
        let found = read(include_bytes!("testdata/big-endian.pickle")).unwrap();
        assert_eq!(found["w"].values(), [0.0, 1.0, 2.0]);
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
    fn an_array_that_is_alone_has_the_name_of_its_file() {
        let alone = array(b"K\x01\x85", false, &[0; 4]);
        let found = read(&[b"\x80\x02", &alone[..], b"."].concat()).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["w"]);
    }

    #[test]
    fn a_call_of_anything_but_numpy_is_counted_and_not_made() {
        let key = |name: u8| [b"X\x01\0\0\0", &[name][..]].concat();
        let weights = array(b"K\x01\x85", false, &[0; 4]);
        let call = b"cposix\nsystem\nX\x09\0\0\0echo owne\x85R";
        let both = [b"\x80\x02}(", &key(b'w')[..], &weights, &key(b'x'), call, b"u."].concat();
        assert_eq!(left(&both), "1 object of `posix.system`");
    }

    #[test]
    fn a_huge_declared_shape_is_refused() {
        let huge = b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x87";
        let got = error(&dict(&array(huge, false, &[0; 4])));
        assert!(got.starts_with("w: expected uncountably many bytes for shape ["), "{got}");
        let got = error(&dict(&array(b"K\x02\x85", false, &[0; 4])));
        assert_eq!(got, "w: expected 8 bytes for shape [2], got 4");
        let got = error(&dict(&array(b"J\xff\xff\xff\xff\x85", false, &[0; 4])));
        assert!(got.contains("whole numbers as shape, got a tuple of 1"), "{got}");
    }

    #[test]
    fn an_object_met_twice_is_read_twice_but_not_without_end() {
        // w = {"w": array}; {"a": w, "b": w}
        let weights = array(b"K\x01\x85", false, &[0; 4]);
        let key = |name: u8| [b"X\x01\0\0\0", &[name][..]].concat();
        let inner = [b"}q\x07", &key(b'w')[..], &weights, b"s"].concat();
        let both = [b"\x80\x02}(", &key(b'a')[..], &inner, &key(b'b'), b"h\x07u."].concat();
        assert_eq!(read(&both).unwrap().keys().collect::<Vec<_>>(), ["a.w", "b.w"]);
        // Sixty levels of [inner, inner] make 2^60 places.
        let levels = b"\x85q\x07h\x07h\x07\x86".repeat(60);
        let endless = error(&[b"\x80\x02N", &levels[..], b"."].concat());
        assert!(endless.ends_with("the file comes to the same objects without end"), "{endless}");
    }

    #[test]
    fn dicts_within_dicts_without_end_are_refused() {
        let deep = [b"}X\x01\0\0\0w".repeat(300), b"N".to_vec(), b"s".repeat(300), b".".to_vec()];
        let deep = [&b"\x80\x02"[..], &deep.concat()].concat();
        assert!(error(&deep).ends_with("dicts are nested more than 200 deep"));
        let own_item = b"\x80\x02}q\0X\x01\0\0\0wh\0s.";
        assert!(error(own_item).ends_with("got 1 object inside itself"));
    }

    #[test]
    fn a_key_that_is_no_plain_text_is_refused() {
        let weights = array(b"K\x01\x85", false, &[0; 4]);
        for key in [&b"N"[..], b"X\0\0\0\0", b"X\x01\0\0\0\x1b"] {
            let bytes = [b"\x80\x02}", key, &weights, b"s."].concat();
            assert!(matches!(read(&bytes), Err(Problem::Key { .. })));
        }
        let long = [&b"\x80\x02}X\x01\x04\0\0"[..], &[b'a'; 1025], &weights, b"s."].concat();
        assert!(matches!(read(&long), Err(Problem::Key { .. })));
    }

    // pickle.dumps({"w": jax.numpy.zeros(1)}): the function, its arguments, the state and the type.
    #[test]
    fn an_array_of_jax_is_the_numpy_array_in_it() {
        let dtype = b"cnumpy\ndtype\nX\x02\0\0\0f4\x89\x88\x87R(K\x03X\x01\0\0\0<NNNtb";
        let make = b"cjax._src.array\n_reconstruct_array\n(cnumpy.core.multiarray\n_reconstruct\n)";
        let state = [b"(K\x01K\x01\x85", &dtype[..], b"\x89C\x04\0\0\x80?t}tR"].concat();
        assert_eq!(read(&dict(&[&make[..], &state].concat())).unwrap()["w"].values(), [1.0]);
    }

    #[test]
    fn whole_numbers_are_names() {
        let bytes = [b"\x80\x02}K\x07", &array(b"K\x01\x85", false, &[0; 4])[..], b"s."].concat();
        assert_eq!(read(&bytes).unwrap().keys().collect::<Vec<_>>(), ["7"]);
    }

    #[test]
    fn a_name_that_appears_twice_is_refused() {
        let one = array(b"K\x01\x85", false, &[0; 4]);
        let key = b"X\x01\0\0\0w";
        let bytes = [&b"\x80\x02}("[..], key, &one, key, &one, b"u."].concat();
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
