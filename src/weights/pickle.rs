//! Reads a Python pickle as plain values, and runs nothing.
//!
//! A pickle is a program for a small stack machine, and two of its instructions name a Python
//! object and call it. Here a name stays a name and a call stays a [`Value::Call`], which the
//! reader of the values may recognise (`numpy.rs`, `torch.rs`) or refuse. Values live in one arena and refer to
//! each other by number, so sharing costs nothing, depth cannot exhaust the stack, and memory is
//! proportional to the file. (The crate `serde-pickle` recurses, copies what is shared, and drops
//! the names of what is called.)
//!
//! Read are the instructions that protocols 2 to 5 write for dicts, lists, tuples, text, bytes,
//! numbers, objects and references to data outside the pickle; sets and out-of-band buffers are
//! refused by name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Problem;
use super::fault::{Fault, MOST};

/// The number of a value in its pickle.
pub(super) type Id = usize;

/// A pickled value; what no reader asks for is kept as its kind only.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Bytes that are the code points of a text; how protocol 2 writes bytes.
    Latin1(Id),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// Something importable, `module.name`.
    Global(&'a str, &'a str),
    /// Data outside the pickle, and what they are called there.
    Persistent(Id),
    /// An object that Python would make by calling `callee`, then give `state`.
    Call {
        callee: Id,
        arguments: Id,
        state: Option<Id>,
    },
}

/// The values of one pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// The values that the pickle `bytes` describes.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let (pickle, rest) = Pickle::first(bytes)?;
        if !rest.is_empty() {
            let offset = bytes.len() - rest.len();
            return Err(Problem::Pickle { offset, fault: Fault::Trailing(rest.len()) });
        }
        Ok(pickle)
    }

    /// The pickle that `bytes` begins with, and what follows it.
    pub(super) fn first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Problem> {
        let mut machine = Machine { input: bytes, ..Machine::default() };
        loop {
            let offset = machine.at;
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => {
                    return Ok((Pickle { values: machine.values, root }, &bytes[machine.at..]));
                }
                Err(fault) => return Err(Problem::Pickle { offset, fault }),
            }
        }
    }

    /// All values, whatever refers to them.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value<'a>> {
        self.values.iter()
    }

    /// The number of the value that was pickled.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// The value of number `id`.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id]
    }

    /// Text, which Python 2 wrote as bytes.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Bytes, and the number of the value that holds them in the file.
    pub(super) fn bytes(&self, id: Id) -> Option<(Id, Cow<'a, [u8]>)> {
        match *self.get(id) {
            Value::Bytes(bytes) => Some((id, Cow::Borrowed(bytes))),
            Value::Latin1(text) => {
                let bytes = self.text(text)?.chars().map(u8::try_from);
                Some((text, Cow::Owned(bytes.collect::<Result<_, _>>().ok()?)))
            }
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

    /// What the value is, for an error.
    pub(super) fn describe(&self, id: Id) -> String {
        describe(&self.values, id)
    }
}

fn describe(values: &[Value], id: Id) -> String {
    match &values[id] {
        Value::None => "`None`".into(),
        Value::Bool(value) => format!("the bool `{value}`"),
        Value::Int(value) => format!("the integer `{value}`"),
        Value::Float => "a number".into(),
        Value::Text(text) => format!("the text `{}`", shortened(text)),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Latin1(_) => "bytes written as text".into(),
        Value::Tuple(items) => format!("a tuple of {}", items.len()),
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Dict(items) => format!("a dict of {}", items.len()),
        Value::Global(module, name) => {
            format!("the name `{}.{}`", shortened(module), shortened(name))
        }
        Value::Persistent(_) => "data outside the pickle".into(),
        Value::Call { callee, .. } => match &values[*callee] {
            Value::Global(module, name) => {
                format!("a call of `{}.{}`, which is not run", shortened(module), shortened(name))
            }
            _ => "a call of an object, which is not run".into(),
        },
    }
}

fn shortened(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", start.escape_debug())
}

/// The stack machine in the middle of a pickle.
#[derive(Default)]
struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Stack heights at the open marks.
    marks: Vec<usize>,
    memo: BTreeMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// Carries out one instruction; the last one gives the pickled value.
    fn step(&mut self) -> Result<Option<Id>, Fault> {
        if self.values.len() + self.stack.len() + self.marks.len() + self.memo.len() > MOST {
            return Err(Fault::Crowded);
        }
        match self.byte()? {
            // Frames only help a reader to read ahead.
            0x80 => drop(self.take(1)?), // PROTO
            0x95 => drop(self.take(8)?), // FRAME
            b'.' => return self.pop().map(Some),

            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.discard()?,
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }

            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => self.unsigned_integer(1)?,
            b'M' => self.unsigned_integer(2)?,
            b'J' => self.signed_integer(4)?,
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'G' => {
                self.take(8)?;
                self.push(Value::Float);
            }
            b'C' | b'U' => self.bytes(1)?,
            b'B' | b'T' => self.bytes(4)?,
            0x8e | 0x96 => self.bytes(8)?,
            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            0x8d => self.text(8)?,

            b')' => self.push(Value::Tuple(Vec::new())),
            0x85 => self.tuple_of(1)?,
            0x86 => self.tuple_of(2)?,
            0x87 => self.tuple_of(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            b']' => self.push(Value::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()));
                self.set_items(&items)?;
            }
            b's' => {
                let [key, value] = self.pop_last()?;
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }

            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => {
                let top = self.top()?;
                self.memo.insert(self.memo.len() as u64, top);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(module, name));
            }
            0x93 => {
                let [module, name] = self.pop_last()?;
                let global = Value::Global(self.as_text(module)?, self.as_text(name)?);
                self.push(global);
            }
            b'Q' => {
                let name = self.pop()?;
                self.push(Value::Persistent(name));
            }
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,

            other => return Err(Fault::Instruction(other)),
        }
        Ok(None)
    }

    /// Drops the top value, or the mark if there is none above it.
    fn discard(&mut self) -> Result<(), Fault> {
        if self.pop().is_err() {
            self.marks.pop().ok_or(Fault::Underflow)?;
        }
        Ok(())
    }

    /// Calls nothing: writes the call down, except for two whose result is plain data.
    fn call(&mut self) -> Result<(), Fault> {
        let [callee, arguments] = self.pop_last()?;
        let Value::Tuple(items) = &self.values[arguments] else {
            return Err(self.unexpected("a tuple of arguments", arguments));
        };
        let result = match (&self.values[callee], items.as_slice()) {
            (Value::Global("collections", "OrderedDict"), []) => Value::Dict(Vec::new()),
            (Value::Global("_codecs", "encode"), &[text, encoding])
                if matches!(self.values[encoding], Value::Text("latin1")) =>
            {
                Value::Latin1(text)
            }
            _ => Value::Call { callee, arguments, state: None },
        };
        self.push(result);
        Ok(())
    }

    fn build(&mut self) -> Result<(), Fault> {
        let new = self.pop()?;
        let object = self.top()?;
        match &mut self.values[object] {
            Value::Call { state, .. } => *state = Some(new),
            // An `OrderedDict` may have attributes beside its items; no array is among them.
            Value::Dict(_) => {}
            _ => return Err(self.unexpected("an object to give a state to", object)),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), Fault> {
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(Fault::Odd);
        };
        let dict = self.top()?;
        match &mut self.values[dict] {
            Value::Dict(known) => known.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(self.unexpected("a dict", dict)),
        }
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<(), Fault> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(known) => known.extend(items),
            _ => return Err(self.unexpected("a list", list)),
        }
        Ok(())
    }

    fn tuple_of(&mut self, length: usize) -> Result<(), Fault> {
        let start = self.stack.len().checked_sub(length).filter(|&start| start >= self.floor());
        let items = self.stack.split_off(start.ok_or(Fault::Underflow)?);
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// Numbers the top value; the number has `width` bytes.
    fn remember(&mut self, width: u64) -> Result<(), Fault> {
        let number = self.unsigned(width)?;
        let top = self.top()?;
        self.memo.insert(number, top);
        Ok(())
    }

    /// Pushes a numbered value once more; the number has `width` bytes.
    fn recall(&mut self, width: u64) -> Result<(), Fault> {
        let number = self.unsigned(width)?;
        let id = self.memo.get(&number).ok_or(Fault::Memo(number))?;
        self.stack.push(*id);
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// The stack height that the instructions since the last mark may not go below.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Fault> {
        self.stack[self.floor()..].last().copied().ok_or(Fault::Underflow)
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// The two top values, the upper one last.
    fn pop_last(&mut self) -> Result<[Id; 2], Fault> {
        let upper = self.pop()?;
        Ok([self.pop()?, upper])
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let height = self.marks.pop().ok_or(Fault::Underflow)?;
        Ok(self.stack.split_off(height))
    }

    fn unexpected(&self, expected: &'static str, got: Id) -> Fault {
        Fault::Kind { expected, got: describe(&self.values, got) }
    }

    fn as_text(&self, id: Id) -> Result<&'a str, Fault> {
        match &self.values[id] {
            Value::Text(text) => Ok(text),
            _ => Err(self.unexpected("text", id)),
        }
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Fault> {
        let rest = &self.input[self.at..];
        if length > rest.len() as u64 {
            return Err(Fault::End(length - rest.len() as u64));
        }
        let length = length as usize;
        self.at += length;
        Ok(&rest[..length])
    }

    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.input[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or(Fault::End(1))?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| Fault::Text)
    }

    /// A little-endian unsigned number of `width` bytes, at most 8.
    fn unsigned(&mut self, width: u64) -> Result<u64, Fault> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn unsigned_integer(&mut self, width: u64) -> Result<(), Fault> {
        let number = self.unsigned(width)?;
        self.push(Value::Int(number as i64));
        Ok(())
    }

    fn signed_integer(&mut self, width: u64) -> Result<(), Fault> {
        let unused = 64 - 8 * width as u32;
        let number = (self.unsigned(width)? as i64) << unused >> unused;
        self.push(Value::Int(number));
        Ok(())
    }

    /// A signed integer behind its length, which has `prefix` bytes.
    fn long(&mut self, prefix: u64) -> Result<(), Fault> {
        match self.unsigned(prefix)? {
            0 => self.push(Value::Int(0)),
            width @ 1..=8 => self.signed_integer(width)?,
            width => return Err(Fault::Integer(width)),
        }
        Ok(())
    }

    fn bytes(&mut self, prefix: u64) -> Result<(), Fault> {
        let length = self.unsigned(prefix)?;
        let bytes = self.take(length)?;
        self.push(Value::Bytes(bytes));
        Ok(())
    }

    fn text(&mut self, prefix: u64) -> Result<(), Fault> {
        let length = self.unsigned(prefix)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Fault::Text)?;
        self.push(Value::Text(text));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> Fault {
        match Pickle::parse(bytes).unwrap_err() {
            Problem::Pickle { fault, .. } => fault,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn integers_of_every_width_are_read() {
        for (bytes, expected) in [
            (&b"K\xff."[..], 255),
            (b"M\xff\xff.", 65535),
            (b"J\xfe\xff\xff\xff.", -2),
            (b"\x8a\x00.", 0),
            (b"\x8a\x02\x00\x80.", -32768),
            (b"\x8a\x08\0\0\0\0\0\0\0\x80.", i64::MIN),
            (b"\x8b\x01\0\0\0\x07.", 7),
        ] {
            let pickle = Pickle::parse(bytes).unwrap();
            assert!(matches!(pickle.get(pickle.root()), Value::Int(got) if *got == expected));
        }
        assert_eq!(fault(b"\x8a\x09\0\0\0\0\0\0\0\0\0."), Fault::Integer(9));
    }

    #[test]
    fn a_call_is_written_down_and_not_made() {
        let pickle = Pickle::parse(b"cos\nsystem\nX\x02\0\0\0ls\x85R.").unwrap();
        let got = pickle.describe(pickle.root());
        assert_eq!(got, "a call of `os.system`, which is not run");
    }

    #[test]
    fn a_huge_declared_size_is_refused_without_reserving_it() {
        let length = u64::MAX.to_le_bytes();
        assert_eq!(fault(&[&b"\x8e"[..], &length].concat()), Fault::End(u64::MAX));
        assert_eq!(fault(b"B\xff\xff\xff\xff12"), Fault::End(0xffff_fffd));
    }

    #[test]
    fn an_instruction_cannot_reach_below_its_mark() {
        assert_eq!(fault(b"N(\x85"), Fault::Underflow);
        assert_eq!(fault(b"N(q\0"), Fault::Underflow);
        assert!(Pickle::parse(b"N(0\x85.").is_ok(), "a discarded mark protects nothing");
    }

    #[test]
    fn what_is_not_read_is_refused() {
        assert_eq!(fault(b"P12\n."), Fault::Instruction(b'P'));
        assert_eq!(fault(b"N.N"), Fault::Trailing(1));
        assert_eq!(fault(b"."), Fault::Underflow);
        assert_eq!(fault(b"t"), Fault::Underflow);
        assert_eq!(fault(b"h\x05."), Fault::Memo(5));
        assert_eq!(fault(b"}(Nu."), Fault::Odd);
        assert_eq!(fault(b"X\x01\0\0\0\xff."), Fault::Text);
        assert!(matches!(fault(b"NNa."), Fault::Kind { expected: "a list", .. }));
        assert!(matches!(fault(b"NN\x93."), Fault::Kind { expected: "text", .. }));
        assert!(matches!(fault(b"NNb."), Fault::Kind { .. }));
        assert!(matches!(fault(b"NNR."), Fault::Kind { .. }));
    }

    #[test]
    fn a_million_nested_tuples_do_not_exhaust_the_stack() {
        let nested = [&b"N"[..], &[0x85; 1_000_000], b"."].concat();
        assert!(Pickle::parse(&nested).is_ok());
    }

    #[test]
    fn a_file_of_instructions_only_cannot_ask_for_memory_without_end() {
        for instruction in [b'N', b'2', b'(', 0x94] {
            let crowd = [&b"N"[..], &vec![instruction; MOST + 2]].concat();
            assert_eq!(fault(&crowd), Fault::Crowded);
        }
    }

    #[test]
    fn lists_and_ordered_dicts_are_read_with_their_items() {
        let pickle = Pickle::parse(b"](K\x01K\x02eK\x03a.").unwrap();
        assert!(matches!(pickle.get(pickle.root()), Value::List(items) if items.len() == 3));
        let ordered = b"ccollections\nOrderedDict\n)RK\x01K\x02s}b.";
        let pickle = Pickle::parse(ordered).unwrap();
        assert!(matches!(pickle.get(pickle.root()), Value::Dict(items) if items.len() == 1));
    }

    #[test]
    fn what_follows_the_first_pickle_is_given_back() {
        let (pickle, rest) = Pickle::first(b"K\x07.rest").unwrap();
        assert!(matches!(pickle.get(pickle.root()), Value::Int(7)));
        assert_eq!(rest, b"rest");
    }
}
