//! The header of an `.npy` file: a dict in Python's words, `{'descr': '<f4', 'fortran_order': False,
//! 'shape': (3, 4), }`.

use super::Problem;
use super::value::shortened;

/// What an `.npy` file begins with.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// The most bytes that a header may have, with what stands before it. NumPy's own has a hundred.
pub(super) const LONGEST: usize = 1 << 16;

/// What the header of an `.npy` file says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// The element type; for one of several fields, all that is said of it.
    pub descr: String,
    pub is_column_major: bool,
    pub shape: Vec<usize>,
}

impl Header {
    /// The header at the beginning of the file `head`, and how long it is.
    pub(super) fn parse(head: &[u8], name: &str) -> Result<(Self, usize), Problem> {
        let malformed =
            |expected, got: String| Problem::Malformed { array: name.into(), expected, got };
        let (text, length) = text(head).ok_or_else(|| {
            malformed("a whole header of an `.npy` file", format!("{} bytes", head.len()))
        })?;
        // Latin-1, but for the names of fields.
        let words = String::from_utf8_lossy(text);
        let header = Words { rest: words.trim() }.header().ok_or_else(|| {
            let got = format!("the header `{}`", shortened(words.trim()));
            malformed("a header with `descr`, `fortran_order` and `shape`", got)
        })?;
        Ok((header, length))
    }
}

/// The header's text, in version 1, 2 or 3 of the format, and where it ends.
fn text(head: &[u8]) -> Option<(&[u8], usize)> {
    let rest = head.strip_prefix(MAGIC)?;
    let (&[major, _minor], rest) = rest.split_first_chunk()?;
    let (length, rest) = match major {
        1 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(length)), rest)
        }
        2 | 3 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (u32::from_le_bytes(length) as usize, rest)
        }
        _ => return None,
    };
    let (text, behind) = rest.split_at_checked(length)?;
    Some((text, head.len() - behind.len()))
}

/// What is left of a text in Python's words.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// A dict of the three keys, in any order.
    fn header(mut self) -> Option<Header> {
        let (mut descr, mut order, mut shape) = (None, None, None);
        self.sign("{")?;
        while self.sign("}").is_none() {
            let key = self.quoted()?;
            self.sign(":")?;
            match key {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => order = Some(self.bool()?),
                "shape" => shape = Some(self.shape()?),
                _ => return None,
            }
            if self.sign(",").is_none() && !self.rest.starts_with('}') {
                return None;
            }
        }
        self.rest.is_empty().then_some(())?;
        Some(Header { descr: descr?, is_column_major: order?, shape: shape? })
    }

    /// Passes over `sign`, if it comes next, and the spaces behind it.
    fn sign(&mut self, sign: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(sign)?.trim_start();
        Some(())
    }

    fn quoted(&mut self) -> Option<&'a str> {
        let quote = self.rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (text, rest) = self.rest[1..].split_once(quote)?;
        self.rest = rest.trim_start();
        Some(text)
    }

    /// A text, or the list of the fields of a record.
    fn descr(&mut self) -> Option<String> {
        // Python 2 marks texts of one kind.
        let _ = self.sign("u").or_else(|| self.sign("b"));
        if !self.rest.starts_with('[') {
            return self.quoted().map(str::to_owned);
        }
        let end = self.rest.rfind(']')?;
        let fields = &self.rest[..=end];
        self.rest = self.rest[end + 1..].trim_start();
        Some(fields.to_owned())
    }

    fn bool(&mut self) -> Option<bool> {
        match self.sign("True") {
            Some(()) => Some(true),
            None => self.sign("False").map(|()| false),
        }
    }

    fn shape(&mut self) -> Option<Vec<usize>> {
        self.sign("(")?;
        let mut shape = Vec::new();
        while self.sign(")").is_none() {
            let digits = self.rest.find(|c: char| !c.is_ascii_digit())?;
            shape.push(self.rest[..digits].parse().ok()?);
            // Python 2 has long numbers.
            self.rest = self.rest[digits..].trim_start_matches('L').trim_start();
            if self.sign(",").is_none() && !self.rest.starts_with(')') {
                return None;
            }
        }
        Some(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Option<Header> {
        Words { rest: text.trim() }.header()
    }

    #[test]
    fn a_header_is_read_however_it_is_written() {
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 3), }   \n",
            "{'shape': (5, 3), 'fortran_order': False, 'descr': '<f4'}",
            "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(5,3)}",
            "{'descr': u'<f4', 'fortran_order': False, 'shape': (5L, 3L), }",
            "{ 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 5 , 3 , ) , }",
        ] {
            let expected =
                Header { descr: "<f4".into(), is_column_major: false, shape: vec![5, 3] };
            assert_eq!(header(text), Some(expected), "{text}");
        }
        let scalar = header("{'descr': '|b1', 'fortran_order': True, 'shape': ()}").unwrap();
        assert!(scalar.shape.is_empty() && scalar.is_column_major);
        let record =
            "{'descr': [('x', '<f4'), ('y', '<f4')], 'fortran_order': False, 'shape': (2,)}";
        assert_eq!(header(record).unwrap().descr, "[('x', '<f4'), ('y', '<f4')]");
    }

    #[test]
    fn a_header_that_numpy_would_not_read_is_refused() {
        for text in [
            "{'descr': '<f4', 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
            "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (2,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} more",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2",
        ] {
            assert_eq!(header(text), None, "{text}");
        }
    }
}
