//! Looks at a file through a window that moves on: what is short is shown, what is long is passed
//! over and stays in the file.

use super::bytes::Bytes;
use super::fault::Fault;

/// The most bytes that are shown at once.
pub(super) const SHORT: u64 = 4096;

const WIDTH: usize = 1 << 16;

/// A place in a file, and the bytes behind it.
pub(super) struct Window<'a> {
    bytes: &'a Bytes,
    /// Where `shown` begins.
    start: u64,
    shown: Vec<u8>,
    /// The place, counted from `start`.
    at: usize,
}

impl<'a> Window<'a> {
    /// The first place of `bytes`.
    pub(super) fn new(bytes: &'a Bytes) -> Self {
        Window { bytes, start: 0, shown: Vec::new(), at: 0 }
    }

    /// How far from the first byte the place is.
    pub(super) fn place(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The next `length` bytes, which are [`SHORT`] at most.
    pub(super) fn take(&mut self, length: u64) -> Result<&[u8], Fault> {
        debug_assert!(length <= SHORT);
        let length = length as usize;
        if self.shown.len() - self.at < length {
            self.move_on()?;
        }
        let there = self.shown.len() - self.at;
        if there < length {
            return Err(Fault::End((length - there) as u64));
        }
        self.at += length;
        Ok(&self.shown[self.at - length..self.at])
    }

    /// The next `length` bytes, left where they are.
    pub(super) fn pass(&mut self, length: u64) -> Result<Bytes, Fault> {
        let place = self.place();
        let left = self.bytes.len() - place;
        let passed =
            self.bytes.part(place, length).ok_or(Fault::End(length.saturating_sub(left)))?;
        match usize::try_from(length) {
            Ok(length) if length <= self.shown.len() - self.at => self.at += length,
            _ => (self.start, self.at, self.shown) = (place + length, 0, Vec::new()),
        }
        Ok(passed)
    }

    /// The bytes up to the next line break, which is passed over.
    pub(super) fn line(&mut self) -> Result<Bytes, Fault> {
        let start = self.place();
        loop {
            let rest = &self.shown[self.at..];
            if let Some(length) = rest.iter().position(|&byte| byte == b'\n') {
                self.at += length + 1;
                let length = self.place() - 1 - start;
                return Ok(self.bytes.part(start, length).expect("it was just seen"));
            }
            self.at = self.shown.len();
            self.move_on()?;
            if self.shown.is_empty() {
                return Err(Fault::End(1));
            }
        }
    }

    /// Shows what follows the place.
    fn move_on(&mut self) -> Result<(), Fault> {
        self.start = self.place();
        self.at = 0;
        self.shown = self.bytes.after(self.start).head(WIDTH).map_err(Fault::unread)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_moves_over_a_long_file_without_losing_a_byte() {
        let content: Vec<u8> = (0..3 * WIDTH + 5).map(|at| (at % 251) as u8).collect();
        let bytes = Bytes::from(content.clone());
        let mut window = Window::new(&bytes);
        let mut seen = Vec::new();
        for length in (1..=SHORT).cycle() {
            let left = content.len() as u64 - window.place();
            if left == 0 {
                break;
            }
            if length % 7 == 0 {
                seen.extend(window.pass(length.min(left)).unwrap().all().unwrap());
            } else {
                seen.extend(window.take(length.min(left)).unwrap());
            }
        }
        assert!(seen == content);
        assert_eq!(window.take(3).unwrap_err(), Fault::End(3));
        assert_eq!(window.pass(2).unwrap_err(), Fault::End(2));
    }

    #[test]
    fn a_line_may_be_longer_than_the_window() {
        let long = "x".repeat(WIDTH + 100);
        let bytes = Bytes::from(format!("ab\n\n{long}\nrest").into_bytes());
        let mut window = Window::new(&bytes);
        assert_eq!(window.take(1).unwrap(), b"a");
        for expected in ["b", "", &long] {
            assert_eq!(window.line().unwrap().all().unwrap(), expected.as_bytes());
        }
        assert_eq!(window.line().unwrap_err(), Fault::End(1));
    }
}
