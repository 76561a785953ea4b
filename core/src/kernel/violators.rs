//! The violators of a block, noted while it is updated and put back together afterwards.
//!
//! Which weights violate is known only at the end of a long chain of arithmetic, and a branch on it
//! that the CPU guesses wrong empties its window. So there is one a block: lines of sixteen weights
//! with violators go into a list whose length grows by 0 or 1, and a line is put back as a whole, by
//! choosing for each of its weights.

use crate::kernel::block::BLOCK;
use crate::kernel::sides::WORD;

/// Weights that are put back together: those of a line of the cache.
pub(super) const LINE: usize = 16;

/// Lines of a word.
const LINES: usize = WORD / LINE;

/// The violators of one block.
pub(super) struct Violators {
    lines: [Noted; BLOCK * LINES],
    noted: usize,
}

/// A line with violators.
#[derive(Clone, Copy)]
pub(super) struct Noted {
    /// Its number in the chunk.
    pub(super) line: u32,
    /// Its violators, a bit a weight.
    pub(super) violated: u16,
    /// Those of them that were violators before the step too.
    pub(super) again: u16,
}

impl Violators {
    #[inline(always)]
    pub(super) fn none() -> Self {
        let nothing = Noted { line: 0, violated: 0, again: 0 };
        Violators { lines: [nothing; BLOCK * LINES], noted: 0 }
    }

    /// Notes word number `word` of the chunk, whose violators are `violated`, and `again` those of
    /// them that were violators before the step too.
    #[inline(always)]
    pub(super) fn note(&mut self, word: usize, violated: u64, again: u64) {
        for part in 0..LINES {
            let of_line = |bits: u64| (bits >> (part * LINE)) as u16;
            let (violated, again) = (of_line(violated), of_line(again));
            let line = (word * LINES + part) as u32;
            self.lines[self.noted % (BLOCK * LINES)] = Noted { line, violated, again };
            self.noted += usize::from(violated != 0);
        }
    }

    /// The lines with violators.
    #[inline(always)]
    pub(super) fn lines(&self) -> &[Noted] {
        &self.lines[..self.noted]
    }

    /// Forgets them.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.noted = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(words: &[u64]) -> Violators {
        let mut violators = Violators::none();
        for (word, &violated) in words.iter().enumerate() {
            violators.note(word, violated, 0);
        }
        violators
    }

    proptest! {
        #[test]
        fn every_violator_is_noted_once_and_in_order(
            words in prop::collection::vec(
                prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), (0..64).prop_map(|bit| 1_u64 << bit)],
                0..=BLOCK,
            ),
        ) {
            let places = (0..words.len() * WORD).filter(|place| words[place / WORD] >> (place % WORD) & 1 == 1);
            let violators = of(&words);
            let noted = violators.lines().iter().flat_map(|noted| {
                let lanes = (0..LINE).filter(|lane| noted.violated >> lane & 1 == 1);
                lanes.map(|lane| noted.line as usize * LINE + lane)
            });
            prop_assert!(noted.eq(places));
            prop_assert!(violators.lines().iter().all(|noted| noted.violated != 0));
        }
    }

    #[test]
    fn what_is_cleared_is_empty() {
        let mut violators = of(&[3, 0, 1 << 63]);
        violators.clear();
        assert!(violators.lines().is_empty());
    }
}
