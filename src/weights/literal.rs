//! Numbers and texts in letters, as the pickle's protocol 0 writes them.

/// The bytes of a Python 2 text in quotes: `'a\x00\n'`.
pub(super) fn quoted(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.trim_ascii();
    let (&quote, rest) = line.split_first()?;
    let (&last, inner) = rest.split_last()?;
    if quote != last || !matches!(quote, b'\'' | b'"') {
        return None;
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, behind) = rest.split_first()?;
        rest = behind;
        bytes.push(match escape {
            b'\\' | b'\'' | b'"' => escape,
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'x' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                u8::try_from(number(digits, 16)?).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

/// The text of a line whose characters above 255, and some below, are written `\u005c`.
pub(super) fn escaped(line: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, behind)) = rest.split_first() {
        let width = match behind.first() {
            Some(b'u') if byte == b'\\' => 4,
            Some(b'U') if byte == b'\\' => 8,
            _ => {
                text.push(char::from(byte));
                rest = behind;
                continue;
            }
        };
        let (digits, behind) = behind[1..].split_at_checked(width)?;
        text.push(char::from_u32(number(digits, 16)?)?);
        rest = behind;
    }
    Some(text)
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // python2 -c 'print(repr("it'"'"'s \\ \x00\xff\n"))'
    #[test]
    fn a_python_2_text_is_read_from_its_quotes() {
        assert_eq!(quoted(br#""it's \\ \x00\xff\n""#).unwrap(), b"it's \\ \x00\xff\n");
        assert_eq!(quoted(b"''").unwrap(), b"");
        for wrong in [&b"'"[..], b"'a", b"'a\"", b"'\\x0'", b"'\\q'", b"a"] {
            assert_eq!(quoted(wrong), None);
        }
    }

    // pickle.dumps("\\ü\n€", 0)
    #[test]
    fn an_escaped_text_is_read_as_python_reads_it() {
        assert_eq!(escaped(b"\\u005c\xfc\\u000a\\u20ac").unwrap(), "\\ü\n€");
        assert_eq!(escaped(b"\\U0001f600").unwrap(), "😀");
        assert!(escaped(b"\\u12").is_none() && escaped(b"\\ud800").is_none());
    }
}
