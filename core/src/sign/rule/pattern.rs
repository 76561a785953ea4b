//! Patterns of tensor names: `*` stands for any run of characters, `?` for one.

use std::fmt;

/// A pattern of names. Dots are characters like any other, so `*.bias` is every bias there is.
///
/// ```
/// use polarity_core::sign::Pattern;
///
/// let pattern = Pattern::new("ff.*.weight");
/// assert!(pattern.matches("ff.0.weight") && pattern.matches("ff.3.1.weight"));
/// assert!(!pattern.matches("ff.weight") && !pattern.matches("ff.0.weight_g"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern as it is written.
    pub fn new(written: impl Into<String>) -> Self {
        Pattern(written.into())
    }

    /// How it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` is as the pattern says.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        let name: Vec<char> = name.chars().collect();
        let (mut done, mut read) = (0, 0);
        // Where the last `*` stands, and up to where it has taken the name.
        let mut star = None;
        while read < name.len() {
            match pattern.get(done) {
                Some('*') => {
                    star = Some((done, read));
                    done += 1;
                }
                Some(letter) if *letter == '?' || *letter == name[read] => {
                    done += 1;
                    read += 1;
                }
                _ => {
                    // What followed the `*` does not fit here: it takes one character more.
                    let Some((place, taken)) = &mut star else { return false };
                    *taken += 1;
                    (done, read) = (*place + 1, *taken);
                }
            }
        }
        pattern[done..].iter().all(|letter| *letter == '*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Matching as one would define it.
    fn plain(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], _) => name.is_empty(),
            (['*', rest @ ..], _) => (0..=name.len()).any(|taken| plain(rest, &name[taken..])),
            (['?', rest @ ..], [_, left @ ..]) => plain(rest, left),
            ([letter, rest @ ..], [first, left @ ..]) => letter == first && plain(rest, left),
            (_, []) => false,
        }
    }

    #[test]
    fn a_name_without_signs_matches_itself_alone() {
        let pattern = Pattern::new("rec.weight_hh_l0");
        assert!(pattern.matches("rec.weight_hh_l0"));
        assert!(!pattern.matches("rec.weight_hh_l0_reverse") && !pattern.matches("weight_hh_l0"));
        assert!(Pattern::new("").matches("") && !Pattern::new("").matches("a"));
    }

    #[test]
    fn a_question_mark_is_one_character_whatever_its_bytes() {
        assert!(Pattern::new("l?").matches("l1") && Pattern::new("l?").matches("lä"));
        assert!(!Pattern::new("l?").matches("l") && !Pattern::new("l?").matches("l12"));
    }

    #[test]
    fn a_long_name_of_many_near_matches_is_decided_quickly() {
        let pattern = Pattern::new("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b");
        assert!(!pattern.matches(&"a".repeat(10_000)));
    }

    proptest! {
        #[test]
        fn every_pattern_matches_what_its_definition_says(
            pattern in "[ab*?]{0,8}",
            name in "[ab]{0,8}",
        ) {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                Pattern::new(pattern.clone()).matches(&name),
                plain(&letters(&pattern), &letters(&name))
            );
        }
    }
}
