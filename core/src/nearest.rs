//! The legal word nearest to a mistyped one, for error messages.

/// The first of `words` with the fewest edits from `typed`; `None` when even that one is no near
/// miss, more than half of `typed` away.
pub fn nearest<'a>(typed: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (edits, word) =
        words.into_iter().map(|word| (edits(typed, word), word)).min_by_key(|(edits, _)| *edits)?;
    (2 * edits <= typed.chars().count()).then_some(word)
}

/// `; did you mean …` for the end of an error message, or nothing.
pub fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |word| format!("; did you mean `{word}`?"))
}

/// The Levenshtein distance: insertions, deletions and replacements of one character.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, old) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = done + 1;
        for (column, new) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(old != *new);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_as_levenshtein_did() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("features", "features"), 0);
    }

    #[test]
    fn a_near_miss_has_a_proposal_and_a_far_one_has_none() {
        let words = ["features", "classifier"];
        assert_eq!(nearest("clasifier", words), Some("classifier"));
        assert_eq!(nearest("head", words), None);
        assert_eq!(nearest("head", []), None);
    }
}
