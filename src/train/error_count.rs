//! An error as a count, so that equal errors are equal and differences are exact.
//!
//! A share in floating point is not: 0.938 − 0.896 and 0.042 differ in their last bit. Files have shares
//! all the same, which read better, and say beside them of how many.

use serde::{Deserialize, Serialize};

/// How many of a set of images are classified wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorCount {
    /// Images classified wrongly.
    pub wrong: u64,
    /// Images in all, at least one.
    pub of: u64,
}

impl ErrorCount {
    /// The share that is wrong, in [0, 1].
    pub fn value(self) -> f64 {
        self.wrong as f64 / self.of as f64
    }

    /// The count whose [`value`](Self::value) is `share`, of so many images; none where there is no such
    /// count.
    pub fn of_share(share: f64, of: u64) -> Option<Self> {
        let count = ErrorCount { wrong: (share * of as f64).round() as u64, of };
        (of > 0 && count.wrong <= of && count.value() == share).then_some(count)
    }

    /// The count of so many images that is nearest `share`, for tables that tests make up.
    #[cfg(test)]
    pub(crate) fn about(share: f64, of: u64) -> Self {
        ErrorCount { wrong: (share * of as f64).round() as u64, of }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_gives_its_count_back() {
        for of in [1, 7, 40, 500, 2000, 10_000] {
            for wrong in 0..=of {
                let count = ErrorCount { wrong, of };
                assert_eq!(ErrorCount::of_share(count.value(), of), Some(count));
            }
        }
    }

    #[test]
    fn a_share_that_is_no_whole_number_of_images_has_no_count() {
        for (share, of) in [(0.5, 7), (0.25, 0), (1.25, 4), (-0.25, 4), (f64::NAN, 4), (0.1235, 8)]
        {
            assert_eq!(ErrorCount::of_share(share, of), None, "{share} of {of}");
        }
    }
}
