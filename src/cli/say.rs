//! Words to people, without what a terminal would obey.
//!
//! Names of files, tensors and arms are strangers' texts, and may move a cursor or hide what follows. What
//! is said on stderr is not worth a training: who reads it may leave at any time.

use std::borrow::Cow;
use std::io::Write;

/// Says a line on stderr; one that nobody reads is dropped.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(line));
}

/// `text` with every character that a terminal would obey written out, but for line breaks and
/// tabulators.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    written_out(text, |c| is_obeyed(c) && c != '\n' && c != '\t')
}

/// A name, on one line.
pub(super) fn word(name: &str) -> Cow<'_, str> {
    written_out(name, is_obeyed)
}

/// Control characters, and those that turn the direction of writing.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn written_out(text: &str, is_meant: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_meant) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_meant(c) {
            true => plain.extend(c.escape_default()),
            false => plain.push(c),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_written_out_and_the_rest_stays() {
        assert_eq!(plain("a\x1b[31mb\u{9b}c\u{202e}d\x07"), r"a\u{1b}[31mb\u{9b}c\u{202e}d\u{7}");
        assert_eq!(plain("größer\tals\nnichts, 10⁻³⁰⁰ `x`"), "größer\tals\nnichts, 10⁻³⁰⁰ `x`");
        assert_eq!(word("a\nb\r"), r"a\nb\r");
    }
}
