//! Rust as words and signs: comments, strings, characters and lifetimes are left out.

/// A word (`use`, `Mask`, `8`), `::`, or any other single sign.
#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

/// The tokens of a Rust file that compiles.
pub fn tokens(mut rest: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let silent = silent(rest);
        let length = silent.unwrap_or_else(|| spoken(rest, first));
        let (text, behind) = rest.split_at(length);
        if silent.is_none() {
            tokens.push(Token { text: text.to_owned(), line });
        }
        line += text.matches('\n').count();
        rest = behind;
    }
    tokens
}

/// Bytes of the word or sign that `rest` starts with.
fn spoken(rest: &str, first: char) -> usize {
    if rest.starts_with("::") {
        return 2;
    }
    word(rest).max(first.len_utf8())
}

/// Bytes of the white space, comment, literal or lifetime that `rest` starts with.
fn silent(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with(char::is_whitespace) {
        return Some(rest.len() - rest.trim_start().len());
    }
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|&p| {
        let behind = rest.strip_prefix(p).unwrap_or_default();
        behind.starts_with('"')
            || p.ends_with('r') && behind.trim_start_matches('#').starts_with('"')
            || (p == "b" || p.is_empty()) && behind.starts_with('\'')
    })?;
    let literal = &rest[prefix.len()..];
    let length = match literal.starts_with('\'') {
        true => quote(literal),
        false if prefix.ends_with('r') => raw_string(literal),
        false => escaped(literal, '"'),
    };
    Some(prefix.len() + length)
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
}

/// Comments stand in comments.
fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 {
        let next = rest[at..].find("/*").unwrap_or(usize::MAX);
        let end = rest[at..].find("*/").expect("a comment ends");
        depth = if next < end { depth + 1 } else { depth - 1 };
        at += next.min(end) + 2;
    }
    at
}

/// A string up to the quote that has as many `#` behind it as stand before it.
fn raw_string(literal: &str) -> usize {
    let hashes = literal.find('"').expect("a raw string starts");
    let end = format!("\"{}", "#".repeat(hashes));
    hashes + 1 + literal[hashes + 1..].find(&end).expect("a raw string ends") + end.len()
}

/// A literal up to the next `quote` that no `\` stands before.
fn escaped(literal: &str, quote: char) -> usize {
    let mut chars = literal.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    literal.len()
}

/// A character or a lifetime.
fn quote(literal: &str) -> usize {
    let mut chars = literal.chars().skip(1);
    let (first, second) = (chars.next(), chars.next());
    match first == Some('\\') || second == Some('\'') {
        true => escaped(literal, '\''),
        false => 1 + word(&literal[1..]),
    }
}
