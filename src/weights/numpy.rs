//! Finds the NumPy arrays in a pickle of nested dicts, the way Flax, Haiku and many others save a
//! network.
//!
//! An array's name is its keys joined by dots: `AlexNet_0.Conv_0.kernel`. NumPy pickles an array in
//! two ways, and both are recognised by the names that they call: `_reconstruct` with a state
//! (protocols 2 to 4) and `_frombuffer` (protocol 5).

use std::collections::BTreeMap;

use super::array::elements;
use super::floats::Float;
use super::pickle::{Id, Pickle, Value};
use super::{Array, Checkpoint, Problem};

const DEEPEST: usize = 64;
const LONGEST_NAME: usize = 1024;

/// All arrays of `pickle` by name.
pub(super) fn arrays(pickle: &Pickle) -> Result<Checkpoint, Problem> {
    let mut walk = Walk { pickle, seen: BTreeMap::new(), found: Checkpoint::new() };
    walk.enter(pickle.root(), "", 0)?;
    Ok(walk.found)
}

struct Walk<'p> {
    pickle: &'p Pickle<'p>,
    /// Dicts and buffers by the name they were first met under.
    seen: BTreeMap<Id, String>,
    found: Checkpoint,
}

impl Walk<'_> {
    fn enter(&mut self, id: Id, name: &str, depth: usize) -> Result<(), Problem> {
        let pickle = self.pickle;
        match pickle.get(id) {
            Value::Dict(items) => {
                if depth > DEEPEST {
                    return Err(Problem::Depth { name: name.into(), max: DEEPEST });
                }
                self.meet(id, name)?;
                for &(key, value) in items {
                    let inner = self.joined(name, key)?;
                    self.enter(value, &inner, depth + 1)?;
                }
                Ok(())
            }
            Value::Call { .. } if !name.is_empty() => {
                let (buffer, array) = Pickled { pickle, name }.array(id)?;
                self.meet(buffer, name)?;
                match self.found.insert(name.to_owned(), array) {
                    None => Ok(()),
                    Some(_) => Err(Problem::Duplicate { array: name.into() }),
                }
            }
            _ => Err(Problem::Object { name: place(name), got: pickle.describe(id) }),
        }
    }

    /// Notes that `id` is met, which must be the only time.
    fn meet(&mut self, id: Id, name: &str) -> Result<(), Problem> {
        match self.seen.insert(id, place(name)) {
            None => Ok(()),
            Some(first) => Err(Problem::Shared { name: place(name), first }),
        }
    }

    fn joined(&self, parent: &str, key: Id) -> Result<String, Problem> {
        let fits = |key: &&str| {
            let plain = !key.is_empty() && !key.contains(char::is_control);
            plain && parent.len() + 1 + key.len() <= LONGEST_NAME
        };
        match self.pickle.text(key).filter(fits) {
            Some(key) if parent.is_empty() => Ok(key.to_owned()),
            Some(key) => Ok(format!("{parent}.{key}")),
            None => {
                let got = self.pickle.describe(key);
                Err(Problem::Key { parent: place(parent), max: LONGEST_NAME, got })
            }
        }
    }
}

fn place(name: &str) -> String {
    if name.is_empty() { "the outermost value".into() } else { name.into() }
}

/// One array of a pickle.
struct Pickled<'p> {
    pickle: &'p Pickle<'p>,
    name: &'p str,
}

impl Pickled<'_> {
    /// The array that the call `id` makes, and the number of the bytes that it is made from.
    fn array(&self, id: Id) -> Result<(Id, Array), Problem> {
        let (shape, dtype, column_major, buffer) = self.parts(id)?;
        let float = self.float(dtype)?;
        let shape = self.shape(shape)?;
        if column_major {
            return Err(Problem::ColumnMajor { array: self.name.into() });
        }
        let (origin, bytes) =
            self.pickle.bytes(buffer).ok_or_else(|| self.malformed("bytes", buffer))?;
        let needed = elements(&shape).and_then(|values| values.checked_mul(float.width()));
        if needed != Some(bytes.len()) {
            let expected = needed.map_or("uncountably many".into(), |needed| needed.to_string());
            let (array, got) = (self.name.into(), bytes.len());
            return Err(Problem::Length { array, shape, expected, got });
        }
        let values = float
            .decode(&bytes)
            .map_err(|value| Problem::Range { array: self.name.into(), value })?;
        let array = Array::new(shape, values).expect("the bytes were just counted");
        Ok((origin, array))
    }

    /// Shape, dtype, whether columns come first, and buffer.
    fn parts(&self, id: Id) -> Result<(Id, Id, bool, Id), Problem> {
        let pickle = self.pickle;
        if let Some((arguments, _)) = self.call(id, "numeric", "_frombuffer") {
            let [buffer, dtype, shape, order] =
                pickle.tuple(arguments).ok_or_else(|| self.malformed("4 arguments", arguments))?;
            let column_major = match pickle.text(order) {
                Some("C") => false,
                Some("F") => true,
                _ => return Err(self.malformed("order `C` or `F`", order)),
            };
            return Ok((shape, dtype, column_major, buffer));
        }
        if let Some((arguments, state)) = self.call(id, "multiarray", "_reconstruct") {
            let state = state.ok_or_else(|| self.malformed("a state", arguments))?;
            let [_version, shape, dtype, order, buffer] =
                pickle.tuple(state).ok_or_else(|| self.malformed("a state of 5", state))?;
            let Value::Bool(column_major) = *pickle.get(order) else {
                return Err(self.malformed("a bool for the order", order));
            };
            return Ok((shape, dtype, column_major, buffer));
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
        match (kind.ok_or_else(not_a_dtype)?, order.ok_or_else(not_a_dtype)?) {
            ("f2", "<") => Ok(Float::F16),
            ("f4", "<") => Ok(Float::F32),
            ("f8", "<") => Ok(Float::F64),
            (kind, order) => Err(Problem::Dtype {
                array: self.name.into(),
                expected: "`<f2`, `<f4` or `<f8`",
                got: format!("{order}{kind}").escape_debug().to_string(),
            }),
        }
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
    fn a_column_major_array_is_refused_by_name() {
        let error = error(include_bytes!("testdata/column-major.pickle"));
        assert!(error.starts_with("w: expected row-major (C) order, got column-major"), "{error}");
        assert!(matches!(
            read(&dict(&array(b"K\x01\x85", true, &[0; 4]))),
            Err(Problem::ColumnMajor { .. })
        ));
    }

    #[test]
    fn a_value_that_is_no_array_is_refused_by_name() {
        assert_eq!(
            error(include_bytes!("testdata/scalar.pickle")),
            "w: expected a dict or a NumPy array, got a number"
        );
        assert_eq!(
            error(
                &array(b"K\x01\x85", false, &[0; 4]).into_iter().chain(*b".").collect::<Vec<_>>()
            ),
            "the outermost value: expected a dict or a NumPy array, got a call of \
             `numpy.core.multiarray._reconstruct`, which is not run"
        );
    }

    #[test]
    fn a_call_of_anything_but_numpy_is_refused_by_name() {
        assert_eq!(
            error(&dict(b"cposix\nsystem\nX\x09\0\0\0echo owne\x85R")),
            "w: expected a dict or a NumPy array, got a call of `posix.system`, which is not run"
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
