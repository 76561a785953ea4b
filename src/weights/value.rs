//! What a pickle says, as plain values.
//!
//! Values live in one arena and refer to each other by number, so sharing costs nothing, depth cannot
//! exhaust the stack, and memory is proportional to the file. A name stays a name and a call stays an
//! [`Object`]: who reads the values recognises it (`numpy.rs`, `torch.rs`), looks inside, or leaves
//! it out.

use std::borrow::Cow;
use std::io;

use super::bytes::Bytes;
use super::data::Data;
use super::window::SHORT;

/// The number of a value in its pickle.
pub(super) type Id = usize;

/// A pickled value; what no reader asks for is kept as its kind only.
#[derive(Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, lowest byte first, or its digits.
    Huge(Box<[u8]>),
    Float,
    Text(Blob),
    Bytes(Blob),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Something importable, `module.name`.
    Global(Box<[String; 2]>),
    /// Data outside the pickle, and what they are called there.
    Persistent(Id),
    Object(Box<Object>),
}

/// Text or bytes: short ones are here, long ones stay in the file.
#[derive(Debug)]
pub(super) enum Blob {
    Short(Box<[u8]>),
    Long(Bytes),
}

/// What Python would make by calling `class` with `arguments`, and then be told.
#[derive(Debug)]
pub(super) struct Object {
    pub class: Id,
    /// A tuple.
    pub arguments: Id,
    pub states: Vec<Id>,
    pub items: Vec<(Id, Id)>,
    pub appended: Vec<Id>,
}

/// A call of something importable.
#[derive(Clone, Copy)]
pub(super) struct Call<'p> {
    pub module: &'p str,
    pub name: &'p str,
    pub arguments: &'p [Id],
    /// What the result is given afterwards.
    pub state: Option<Id>,
}

/// The values of one pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    pub(super) values: Vec<Value>,
    pub(super) root: Id,
}

impl Blob {
    /// Bytes that are in memory.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        match bytes.len() as u64 <= SHORT {
            true => Blob::Short(bytes.into()),
            false => Blob::Long(bytes.into()),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Blob::Short(bytes) => bytes.len() as u64,
            Blob::Long(bytes) => bytes.len(),
        }
    }

    fn bytes(&self) -> Bytes {
        match self {
            Blob::Short(bytes) => Bytes::from(bytes.to_vec()),
            Blob::Long(bytes) => bytes.clone(),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Blob::Short(bytes) => std::str::from_utf8(bytes).ok(),
            Blob::Long(_) => None,
        }
    }
}

impl Pickle {
    /// All values, whatever refers to them.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// The number of the value that was pickled.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// The value of number `id`.
    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Short text, which Python 2 wrote as bytes.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        text(&self.values, id)
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&self, id: Id) -> Option<u64> {
        match *self.get(id) {
            Value::Int(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// A tuple or list of whole numbers that are not negative.
    pub(super) fn wholes(&self, id: Id) -> Option<Vec<usize>> {
        let whole = |&item: &Id| usize::try_from(self.whole(item)?).ok();
        self.sequence(id)?.iter().map(whole).collect()
    }

    /// The items of a tuple or list.
    pub(super) fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The items of a tuple of `LENGTH`.
    pub(super) fn tuple<const LENGTH: usize>(&self, id: Id) -> Option<[Id; LENGTH]> {
        match self.get(id) {
            Value::Tuple(items) => items.as_slice().try_into().ok(),
            _ => None,
        }
    }

    /// Bytes where they lie in the file, as they are or as text; none if the value is something else.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn data(&self, id: Id) -> io::Result<Option<Data>> {
        if let Value::Bytes(blob) = self.get(id) {
            return Ok(Some(Data::plain(blob.bytes())));
        }
        match self.call(id) {
            Some(Call {
                module: "_codecs", name: "encode", arguments: [text, encoding], ..
            }) if matches!(self.text(*encoding), Some("latin1" | "latin-1")) => {
                match self.get(*text) {
                    Value::Text(blob) => Data::latin1(blob.bytes()),
                    _ => Ok(None),
                }
            }
            // Empty bytes, as protocol 2 writes them.
            Some(Call {
                module: "builtins" | "__builtin__", name: "bytes", arguments: [], ..
            }) => Ok(Some(Data::plain(Vec::new().into()))),
            _ => Ok(None),
        }
    }

    /// Module and name of something importable.
    pub(super) fn global(&self, id: Id) -> Option<(&str, &str)> {
        global(&self.values, id)
    }

    /// The call that makes the value, if it is one of something importable.
    pub(super) fn call(&self, id: Id) -> Option<Call<'_>> {
        let Value::Object(object) = self.get(id) else { return None };
        let (module, name) = self.global(object.class)?;
        let arguments = self.sequence(object.arguments)?;
        Some(Call { module, name, arguments, state: object.states.last().copied() })
    }

    /// What class an object is of. A file of PyTorch's old format keeps a module's class, with its
    /// source, as data outside the pickle.
    pub(super) fn class(&self, object: &Object) -> String {
        class(&self.values, object.class)
    }

    /// What the value is, for an error.
    pub(super) fn describe(&self, id: Id) -> String {
        describe(&self.values, id)
    }
}

pub(super) fn global(values: &[Value], id: Id) -> Option<(&str, &str)> {
    match &values[id] {
        Value::Global(path) => Some((&path[0], &path[1])),
        _ => None,
    }
}

pub(super) fn text(values: &[Value], id: Id) -> Option<&str> {
    match &values[id] {
        Value::Text(blob) | Value::Bytes(blob) => blob.text(),
        _ => None,
    }
}

fn class(values: &[Value], id: Id) -> String {
    let id = match &values[id] {
        Value::Persistent(reference) => match &values[*reference] {
            Value::Tuple(items) => items.get(1).copied().unwrap_or(id),
            _ => id,
        },
        _ => id,
    };
    match global(values, id) {
        Some((module, name)) => format!("`{}.{}`", shortened(module), shortened(name)),
        None => "an unnamed class".into(),
    }
}

pub(super) fn describe(values: &[Value], id: Id) -> String {
    match &values[id] {
        Value::None => "`None`".into(),
        Value::Bool(value) => format!("the bool `{value}`"),
        Value::Int(value) => format!("the integer `{value}`"),
        Value::Huge(_) => "an integer of more than 64 bits".into(),
        Value::Float => "a number".into(),
        Value::Text(blob) => match blob.text() {
            Some(text) => format!("the text `{}`", shortened(text)),
            None => format!("a text of {} bytes", blob.len()),
        },
        Value::Bytes(blob) => format!("{} bytes", blob.len()),
        Value::Tuple(items) => format!("a tuple of {}", items.len()),
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Set(items) => format!("a set of {}", items.len()),
        Value::Dict(items) => format!("a dict of {}", items.len()),
        Value::Global(_) => format!("the name {}", class(values, id)),
        Value::Persistent(_) => "data outside the pickle".into(),
        Value::Object(object) => {
            format!("an object of {}, which is not made", class(values, object.class))
        }
    }
}

/// The beginning of a stranger's text, on one line and without control characters.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_control() && c != '`' && c != '\\';
    if text.len() <= 60 && text.chars().all(is_plain) {
        return text.into();
    }
    let start: String = text.chars().take(60).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", start.escape_debug()).into()
}
