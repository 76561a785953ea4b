//! Bytes that are written as text: each is the code point of its number, and the text is UTF-8.

use std::io::{self, BufRead, Read};

/// Reads the bytes that a text stands for.
pub(super) struct Decoder<R> {
    text: R,
    /// The first byte of a character whose second has not come; 0 if there is none.
    first: u8,
}

impl<R: BufRead> Decoder<R> {
    /// The bytes of `text`.
    pub(super) fn new(text: R) -> Self {
        Decoder { text, first: 0 }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let text = self.text.fill_buf()?;
            if text.is_empty() {
                return if self.first == 0 { Ok(0) } else { Err(not_bytes()) };
            }
            let used = text.len().min(into.len());
            let made = decode(&text[..used], &mut self.first, into).ok_or_else(not_bytes)?;
            self.text.consume(used);
            if made > 0 {
                return Ok(made);
            }
        }
    }
}

/// Writes the bytes that `text` stands for into `into`, which is as long, and gives back how many there
/// are; none if it has other characters. Without a branch, since half of all weights' bytes are of two.
fn decode(text: &[u8], first: &mut u8, into: &mut [u8]) -> Option<usize> {
    let (mut made, mut is_wrong) = (0, false);
    for &byte in text {
        let is_second = byte & 0xc0 == 0x80;
        let is_first = byte & 0xfe == 0xc2;
        is_wrong |= (is_second != (*first != 0)) | (byte >= 0xc0 && !is_first);
        into[made] = *first << 6 | if is_second { byte & 0x3f } else { byte };
        made += usize::from(!is_first);
        *first = if is_first { byte } else { 0 };
    }
    (!is_wrong).then_some(made)
}

fn not_bytes() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a text that should be bytes has other characters")
}

/// How many bytes `text` stands for; none if it has other characters. That every character is whole is
/// left to the reader.
pub(super) fn length(mut text: impl Read) -> io::Result<Option<u64>> {
    let (mut length, mut is_bytes) = (0, true);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match text.read(&mut buffer)? {
            0 => return Ok(is_bytes.then_some(length)),
            count => {
                let text = &buffer[..count];
                let begins = |byte: &&u8| !(0x80..0xc0).contains(*byte);
                length += text.iter().filter(begins).count() as u64;
                is_bytes &= text.iter().all(|byte| !(0xc4..).contains(byte));
            }
        }
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
        for text in ["caf\u{100}".as_bytes(), "€".as_bytes(), b"\xff"] {
            assert_eq!(length(text).unwrap(), None);
        }
        for text in ["€".as_bytes(), b"\xc3", b"\xc3a", b"\x80"] {
            assert!(Decoder::new(text).read_to_end(&mut Vec::new()).is_err());
        }
    }

    #[test]
    fn a_character_may_come_in_two_reads() {
        let halves = b"a\xc3".chain(&b"\xbfb"[..]);
        let mut read = Vec::new();
        Decoder::new(halves).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"a\xffb");
    }
}
