//! Bytes that are written as text: each is the code point of its number, and the text is UTF-8.

use std::io::{self, BufRead, Read};

/// Reads the bytes that a text stands for.
pub(super) struct Decoder<R> {
    text: R,
}

impl<R: BufRead> Decoder<R> {
    /// The bytes of `text`.
    pub(super) fn new(text: R) -> Self {
        Decoder { text }
    }

    fn next(&mut self) -> io::Result<Option<u8>> {
        let Some(first) = self.byte()? else { return Ok(None) };
        match first {
            0..0x80 => Ok(Some(first)),
            0xc2 | 0xc3 => match self.byte()? {
                Some(second @ 0x80..0xc0) => Ok(Some(first << 6 | second & 0x3f)),
                _ => Err(not_bytes()),
            },
            _ => Err(not_bytes()),
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let next = self.text.fill_buf()?.first().copied();
        self.text.consume(usize::from(next.is_some()));
        Ok(next)
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        for (count, place) in into.iter_mut().enumerate() {
            match self.next()? {
                Some(byte) => *place = byte,
                None => return Ok(count),
            }
        }
        Ok(into.len())
    }
}

fn not_bytes() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a text that should be bytes has other characters")
}

/// How many bytes `text` stands for; none if it has other characters.
pub(super) fn length(text: impl Read) -> io::Result<Option<u64>> {
    let mut bytes = Decoder::new(io::BufReader::with_capacity(1 << 16, text));
    match io::copy(&mut bytes, &mut io::sink()) {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_being_written_as_text() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        assert_eq!(length(text.as_bytes()).unwrap(), Some(256));
        let mut read = Vec::new();
        Decoder::new(text.as_bytes()).read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);
    }

    #[test]
    fn a_text_with_other_characters_is_no_bytes() {
        for text in ["caf\u{100}".as_bytes(), "€".as_bytes(), b"\xc3", b"\xc3a", b"\xff"] {
            assert_eq!(length(text).unwrap(), None);
        }
    }
}
