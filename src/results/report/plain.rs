//! Words of strangers in our text: an arm's name may hold anything, and must break no table and no
//! terminal.

use std::fmt::Write;

/// `text` on one line: control characters, line breaks and marks that turn the writing direction show as
/// `\u{…}`.
pub(in crate::results) fn line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        match is_unseen(c) {
            true => write!(line, "{}", c.escape_unicode()).expect("a string takes all text"),
            false => line.push(c),
        }
        line
    })
}

/// `text` as a cell of a Markdown table.
pub(super) fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

/// `text` between backticks, in a sentence or a cell.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", line(text).replace('`', "'"))
}

fn is_unseen(c: char) -> bool {
    let breaks_line = matches!(c, '\u{2028}' | '\u{2029}');
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || breaks_line || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_breaks_neither_line_nor_cell_nor_terminal() {
        assert_eq!(cell("a|b\r\nc\u{1b}[31m\u{202e}"), "a\\|b\\u{d}\\u{a}c\\u{1b}[31m\\u{202e}");
        assert_eq!(code("a`b"), "`a'b`");
        assert_eq!(line("fluid, größer – 10 %"), "fluid, größer – 10 %");
    }
}
