//! Reads a Python pickle as plain values, and runs nothing.
//!
//! A pickle is a program for a small stack machine, and some of its instructions name a Python object
//! and call it. Here a name stays a name and a call stays a [`Value::Object`] (`value.rs`). Long texts and
//! bytes stay in the file. (The crate `serde-pickle` recurses, copies what is shared, and drops the
//! names of what is called.)
//!
//! Read are the instructions of protocols 0 to 5, but for the registry of extensions and for buffers
//! that are kept elsewhere.

use std::collections::BTreeMap;

use super::Problem;
use super::bytes::Bytes;
use super::fault::{Fault, MOST};
use super::literal;
use super::value::{self, Blob, Id, Object, Pickle, Value, describe};
use super::window::{SHORT, Window};

impl Pickle {
    /// The values that the pickle `bytes` describes.
    pub(super) fn parse(bytes: &Bytes) -> Result<Self, Problem> {
        let (pickle, rest) = Pickle::first(bytes)?;
        match rest.len() {
            0 => Ok(pickle),
            more => {
                let offset = bytes.len() - more;
                Err(Problem::Pickle { offset, fault: Fault::Trailing(more) })
            }
        }
    }

    /// The pickle that `bytes` begin with, and what follows it.
    pub(super) fn first(bytes: &Bytes) -> Result<(Self, Bytes), Problem> {
        let mut machine = Machine::new(bytes);
        loop {
            let offset = machine.input.place();
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => {
                    let rest = bytes.after(machine.input.place());
                    return Ok((Pickle { values: machine.values, root }, rest));
                }
                Err(fault) => return Err(Problem::Pickle { offset, fault }),
            }
        }
    }
}

/// The stack machine in the middle of a pickle.
struct Machine<'a> {
    input: Window<'a>,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Stack heights at the open marks.
    marks: Vec<usize>,
    memo: BTreeMap<u64, Id>,
    /// How many more bytes may be copied of values that are there already: a few bytes of instructions
    /// can ask for a copy of the longest list, as often as they like.
    copies: u64,
}

/// What every file may copy, whatever its length.
const COPIES: u64 = 1 << 20;

impl<'a> Machine<'a> {
    fn new(bytes: &'a Bytes) -> Self {
        Machine {
            copies: COPIES.saturating_add(bytes.len().saturating_mul(8)),
            input: Window::new(bytes),
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: BTreeMap::new(),
        }
    }

    /// Carries out one instruction; the last one gives the pickled value.
    fn step(&mut self) -> Result<Option<Id>, Fault> {
        if self.values.len() + self.stack.len() + self.marks.len() + self.memo.len() > MOST {
            return Err(Fault::Crowded);
        }
        match self.byte()? {
            // Frames only help a reader to read ahead.
            0x80 => drop(self.input.take(1)?), // PROTO
            0x95 => drop(self.input.take(8)?), // FRAME
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
            b'I' | b'L' => self.integer_in_letters()?,
            b'F' => {
                self.input.line()?;
                self.push(Value::Float);
            }
            b'G' => {
                self.input.take(8)?;
                self.push(Value::Float);
            }
            b'C' | b'U' => self.bytes(1)?,
            b'B' | b'T' => self.bytes(4)?,
            0x8e | 0x96 => self.bytes(8)?,
            b'S' => {
                let bytes = literal::quoted(&self.line()?).ok_or(Fault::Literal)?;
                self.push(Value::Bytes(Blob::of(bytes)));
            }
            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'V' => {
                let text = literal::escaped(&self.line()?).ok_or(Fault::Literal)?;
                self.push(Value::Text(Blob::of(text.into())));
            }

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
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            0x8f => self.push(Value::Set(Vec::new())),
            0x91 => {
                let items = self.pop_to_mark()?;
                self.push(Value::Set(items));
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
            b'p' => {
                let number = self.number_in_letters()?;
                self.remember_as(number)?;
            }
            0x94 => self.remember_as(self.memo.len() as u64)?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'g' => {
                let number = self.number_in_letters()?;
                self.recall_as(number)?;
            }

            b'c' => self.global_in_lines()?,
            0x93 => {
                let [module, name] = self.pop_last()?;
                let path = [self.as_text(module)?, self.as_text(name)?];
                self.copied(path[0].len() + path[1].len())?;
                self.push(Value::Global(Box::new(path)));
            }
            b'P' => {
                let name = self.line()?;
                self.push(Value::Text(Blob::of(name)));
                let name = self.pop()?;
                self.push(Value::Persistent(name));
            }
            b'Q' => {
                let name = self.pop()?;
                self.push(Value::Persistent(name));
            }
            b'R' | 0x81 => {
                let [class, arguments] = self.pop_last()?;
                self.call(class, arguments)?;
            }
            0x92 => {
                let named = self.pop()?;
                let [class, arguments] = self.pop_last()?;
                self.call(class, arguments)?;
                self.stack.push(named);
                self.build()?;
            }
            b'i' => {
                self.global_in_lines()?;
                let class = self.pop()?;
                let arguments = self.pop_to_mark()?;
                self.call_with(class, arguments)?;
            }
            b'o' => {
                let mut arguments = self.pop_to_mark()?;
                if arguments.is_empty() {
                    return Err(Fault::Underflow);
                }
                let class = arguments.remove(0);
                self.call_with(class, arguments)?;
            }
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

    fn call_with(&mut self, class: Id, arguments: Vec<Id>) -> Result<(), Fault> {
        self.push(Value::Tuple(arguments));
        let arguments = self.pop()?;
        self.call(class, arguments)
    }

    /// Calls nothing: writes the call down, except for those whose result is plain data.
    fn call(&mut self, class: Id, arguments: Id) -> Result<(), Fault> {
        let Value::Tuple(items) = &self.values[arguments] else {
            return Err(self.unexpected("a tuple of arguments", arguments));
        };
        let object = |class, arguments, states| {
            let (items, appended) = (Vec::new(), Vec::new());
            Value::Object(Box::new(Object { class, arguments, states, items, appended }))
        };
        let plain = match (value::global(&self.values, class), items.as_slice()) {
            (
                Some(("collections", "OrderedDict") | ("builtins" | "__builtin__", "dict")),
                items,
            ) => self.pairs(items).map(Value::Dict),
            (Some(("collections", "defaultdict")), [] | [_]) => Some(Value::Dict(Vec::new())),
            (Some(("builtins" | "__builtin__", "set" | "frozenset")), [items]) => {
                self.sequence(*items).map(|items| Value::Set(items.to_vec()))
            }
            // How the first protocols make an object: its class, a class above it, and what that holds.
            (Some(("copyreg" | "copy_reg", "_reconstructor")), &[class, _, state]) => {
                self.push(Value::Tuple(Vec::new()));
                let none = self.pop()?;
                Some(object(class, none, vec![state]))
            }
            _ => None,
        };
        let copied = match &plain {
            Some(Value::Dict(items)) => size_of_val(items.as_slice()),
            Some(Value::Set(items)) => size_of_val(items.as_slice()),
            _ => 0,
        };
        self.push(plain.unwrap_or_else(|| object(class, arguments, Vec::new())));
        self.copied(copied)
    }

    /// Counts `bytes` that were copied.
    fn copied(&mut self, bytes: usize) -> Result<(), Fault> {
        self.copies = self.copies.checked_sub(bytes as u64).ok_or(Fault::Copies)?;
        Ok(())
    }

    /// The items of a dict that is made from a list of pairs, as Python 2 writes an `OrderedDict`.
    fn pairs(&self, arguments: &[Id]) -> Option<Vec<(Id, Id)>> {
        let [list] = arguments else { return arguments.is_empty().then(Vec::new) };
        let pair = |&item: &Id| match self.sequence(item) {
            Some(&[key, value]) => Some((key, value)),
            _ => None,
        };
        self.sequence(*list)?.iter().map(pair).collect()
    }

    fn sequence(&self, id: Id) -> Option<&[Id]> {
        match &self.values[id] {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    fn build(&mut self) -> Result<(), Fault> {
        let new = self.pop()?;
        let object = self.top()?;
        match &mut self.values[object] {
            Value::Object(object) => object.states.push(new),
            // A dict may have attributes beside its items; no array is among them.
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
        let known = match &mut self.values[dict] {
            Value::Dict(known) => known,
            Value::Object(object) => &mut object.items,
            _ => return Err(self.unexpected("a dict", dict)),
        };
        known.extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<(), Fault> {
        let list = self.top()?;
        let known = match &mut self.values[list] {
            Value::List(known) | Value::Set(known) => known,
            Value::Object(object) => &mut object.appended,
            _ => return Err(self.unexpected("a list", list)),
        };
        known.extend(items);
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
        self.remember_as(number)
    }

    fn remember_as(&mut self, number: u64) -> Result<(), Fault> {
        let top = self.top()?;
        self.memo.insert(number, top);
        Ok(())
    }

    /// Pushes a numbered value once more; the number has `width` bytes.
    fn recall(&mut self, width: u64) -> Result<(), Fault> {
        let number = self.unsigned(width)?;
        self.recall_as(number)
    }

    fn recall_as(&mut self, number: u64) -> Result<(), Fault> {
        let id = self.memo.get(&number).ok_or(Fault::Memo(number))?;
        self.stack.push(*id);
        Ok(())
    }

    fn push(&mut self, value: Value) {
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

    fn as_text(&self, id: Id) -> Result<String, Fault> {
        let text = value::text(&self.values, id);
        text.map(str::to_owned).ok_or_else(|| self.unexpected("text", id))
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.input.take(1)?[0])
    }

    /// A line, without its end.
    fn line(&mut self) -> Result<Vec<u8>, Fault> {
        self.input.line()?.all().map_err(Fault::unread)
    }

    fn line_of_text(&mut self) -> Result<String, Fault> {
        String::from_utf8(self.line()?).map_err(|_| Fault::Text)
    }

    fn global_in_lines(&mut self) -> Result<(), Fault> {
        let path = [self.line_of_text()?, self.line_of_text()?];
        self.push(Value::Global(Box::new(path)));
        Ok(())
    }

    fn number_in_letters(&mut self) -> Result<u64, Fault> {
        self.line_of_text()?.trim().parse().map_err(|_| Fault::Literal)
    }

    /// `12`, `12L` since there were two kinds of integers, and `00` and `01` for the bools.
    fn integer_in_letters(&mut self) -> Result<(), Fault> {
        let line = self.line_of_text()?;
        let digits = line.trim().trim_end_matches('L');
        let is_number = !digits.is_empty()
            && digits.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
        self.push(match (digits, digits.parse()) {
            ("00", _) => Value::Bool(false),
            ("01", _) => Value::Bool(true),
            (_, Ok(number)) => Value::Int(number),
            _ if is_number => Value::Huge(digits.as_bytes().into()),
            _ => return Err(Fault::Literal),
        });
        Ok(())
    }

    /// A little-endian unsigned number of `width` bytes, at most 8.
    fn unsigned(&mut self, width: u64) -> Result<u64, Fault> {
        let bytes = self.input.take(width)?;
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
            width @ 9..=SHORT => {
                let bytes = self.input.take(width)?.into();
                self.push(Value::Huge(bytes));
            }
            width => {
                self.input.pass(width)?;
                self.push(Value::Huge(Box::default()));
            }
        }
        Ok(())
    }

    fn bytes(&mut self, prefix: u64) -> Result<(), Fault> {
        let blob = self.blob(prefix)?;
        self.push(Value::Bytes(blob));
        Ok(())
    }

    fn text(&mut self, prefix: u64) -> Result<(), Fault> {
        let blob = self.blob(prefix)?;
        if let Blob::Short(bytes) = &blob {
            std::str::from_utf8(bytes).map_err(|_| Fault::Text)?;
        }
        self.push(Value::Text(blob));
        Ok(())
    }

    fn blob(&mut self, prefix: u64) -> Result<Blob, Fault> {
        Ok(match self.unsigned(prefix)? {
            length @ 0..=SHORT => Blob::Short(self.input.take(length)?.into()),
            length => Blob::Long(self.input.pass(length)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> Result<Pickle, Problem> {
        Pickle::parse(&bytes.to_vec().into())
    }

    fn fault(bytes: &[u8]) -> Fault {
        match parsed(bytes).unwrap_err() {
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
            let pickle = parsed(bytes).unwrap();
            assert!(matches!(pickle.get(pickle.root()), Value::Int(got) if *got == expected));
        }
        let huge = parsed(b"\x8a\x09\0\0\0\0\0\0\0\0\x01.").unwrap();
        assert!(matches!(huge.get(huge.root()), Value::Huge(bytes) if bytes[8] == 1));
        let huger = [&b"\x8b\0\0\x01\0"[..], &[7; 1 << 16], b"."].concat();
        let huger = parsed(&huger).unwrap();
        assert!(matches!(huger.get(huger.root()), Value::Huge(_)));
    }

    #[test]
    fn a_call_is_written_down_and_not_made() {
        let pickle = parsed(b"cos\nsystem\nX\x02\0\0\0ls\x85R.").unwrap();
        let got = pickle.describe(pickle.root());
        assert_eq!(got, "an object of `os.system`, which is not made");
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
        assert!(parsed(b"N(0\x85.").is_ok(), "a discarded mark protects nothing");
    }

    #[test]
    fn what_is_not_read_is_refused() {
        assert_eq!(fault(b"\x82\x01."), Fault::Instruction(0x82));
        assert_eq!(fault(b"\x97."), Fault::Instruction(0x97));
        assert_eq!(fault(b"Ix\n."), Fault::Literal);
        assert_eq!(fault(b"S'a\n."), Fault::Literal);
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
        assert!(parsed(&nested).is_ok());
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
        let pickle = parsed(b"](K\x01K\x02eK\x03a.").unwrap();
        assert!(matches!(pickle.get(pickle.root()), Value::List(items) if items.len() == 3));
        let ordered = b"ccollections\nOrderedDict\n)RK\x01K\x02s}b.";
        let pickle = parsed(ordered).unwrap();
        assert!(matches!(pickle.get(pickle.root()), Value::Dict(items) if items.len() == 1));
    }

    #[test]
    fn what_follows_the_first_pickle_is_given_back() {
        let (pickle, rest) = Pickle::first(&b"K\x07.rest".to_vec().into()).unwrap();
        assert!(matches!(pickle.get(pickle.root()), Value::Int(7)));
        assert_eq!(rest.all().unwrap(), b"rest");
    }

    // pickle.dumps({"a": (1, -2, True, 1.5, None), "é": [2**70]}, 0)
    #[test]
    fn the_first_protocol_is_read_in_its_letters() {
        let bytes = b"(dp0\nVa\np1\n(I1\nI-2\nI01\nF1.5\nNtp2\nsV\xe9\np3\n(lp4\nL1180591620717411303424L\nas.";
        let pickle = parsed(bytes).unwrap();
        let Value::Dict(items) = pickle.get(pickle.root()) else { panic!("{pickle:?}") };
        let texts: Vec<_> = items.iter().map(|&(key, _)| pickle.text(key).unwrap()).collect();
        assert_eq!(texts, ["a", "é"]);
        let [one, two, yes, ..] = *pickle.sequence(items[0].1).unwrap() else { panic!() };
        assert!(
            matches!(pickle.get(one), Value::Int(1)) && matches!(pickle.get(two), Value::Int(-2))
        );
        assert!(matches!(pickle.get(yes), Value::Bool(true)));
        let huge = pickle.sequence(items[1].1).unwrap()[0];
        assert!(matches!(pickle.get(huge), Value::Huge(digits) if digits.len() == 22));
    }

    // Python 2.7: pickle.dumps(OrderedDict([("a", 1)]), 2)
    #[test]
    fn an_ordered_dict_of_python_2_has_its_pairs_as_items() {
        let bytes = b"\x80\x02ccollections\nOrderedDict\nq\0]q\x01]q\x02(U\x01aq\x03K\x01ea\x85q\x04Rq\x05.";
        let pickle = parsed(bytes).unwrap();
        let Value::Dict(items) = pickle.get(pickle.root()) else { panic!("{pickle:?}") };
        assert_eq!(pickle.text(items[0].0), Some("a"));
    }

    #[test]
    fn sets_and_objects_of_every_way_are_read() {
        // {1}, frozenset({1}), and objects by INST, OBJ and __newobj_ex__.
        for (bytes, expected) in [
            (&b"\x8f(K\x01\x90."[..], "a set of 1"),
            (b"(K\x01\x91.", "a set of 1"),
            (b"c__builtin__\nset\n]K\x01a\x85R.", "a set of 1"),
            (b"(K\x01ia\nB\n.", "an object of `a.B`, which is not made"),
            (b"(ca\nB\nK\x01o.", "an object of `a.B`, which is not made"),
            (b"ca\nB\n)}\x92.", "an object of `a.B`, which is not made"),
            (
                b"ccopy_reg\n_reconstructor\n(ca\nB\nc__builtin__\nobject\nNtR.",
                "an object of `a.B`, which is not made",
            ),
        ] {
            let pickle = parsed(bytes).unwrap();
            assert_eq!(pickle.describe(pickle.root()), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(fault(b"(o."), Fault::Underflow);
    }

    #[test]
    fn long_bytes_and_texts_stay_in_the_file() {
        let long = vec![b'x'; 1 << 20];
        for (instruction, end) in [(b'B', "1048576 bytes"), (b'X', "a text of 1048576 bytes")] {
            let bytes = [&[instruction][..], &(1_u32 << 20).to_le_bytes(), &long, b"."].concat();
            let pickle = parsed(&bytes).unwrap();
            assert_eq!(pickle.describe(pickle.root()), end);
            assert_eq!(pickle.text(pickle.root()), None);
        }
    }
}
