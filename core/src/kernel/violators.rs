//! The violators of a block, noted while it is updated and put back together afterwards.
//!
//! Which weights violate is known only at the end of a long chain of arithmetic, and a branch on it
//! that the CPU guesses wrong empties its window. So there is none: words with violators go into a
//! list whose length grows by 0 or 1, their places into another, and sixteen places at a time are
//! reset, whichever words they are from. The list of a block is read only when the next block has
//! been updated, since numbers just written one by one cannot be loaded together at once.

use crate::kernel::block::BLOCK;
use crate::kernel::sides::WORD;

/// Weights that are reset together.
pub(super) const BATCH: usize = 16;

/// Violators of a word that are listed without a branch; more are rare.
const FEW: usize = 4;

/// Room for all places of a block and the filling of the last batch.
const ROOM: usize = BLOCK * WORD + BATCH;

/// The violators of one block.
pub(super) struct Violators {
    words: [Noted; BLOCK],
    noted: usize,
    places: [u32; ROOM],
    listed: usize,
    again: u64,
}

/// A word with violators.
#[derive(Clone, Copy)]
pub(super) struct Noted {
    /// Its number in the chunk.
    pub(super) word: usize,
    /// Its violators, a bit a weight.
    pub(super) violated: u64,
    /// Those of them that were violators before the step too.
    pub(super) again: u64,
}

impl Violators {
    #[inline(always)]
    pub(super) fn none() -> Self {
        let nothing = Noted { word: 0, violated: 0, again: 0 };
        let (words, places) = ([nothing; BLOCK], [0; ROOM]);
        Violators { words, noted: 0, places, listed: 0, again: 0 }
    }

    /// Notes the block's next word, which counts only if it has violators.
    #[inline(always)]
    pub(super) fn note(&mut self, noted: Noted) {
        self.words[self.noted % BLOCK] = noted;
        self.noted += usize::from(noted.violated != 0);
        self.again |= noted.again;
    }

    /// Lists the places of what was noted. The last batch is filled up with its first place.
    #[inline(always)]
    pub(super) fn list(&mut self) {
        let mut count = 0;
        for noted in &self.words[..self.noted] {
            let first = (noted.word * WORD) as u32;
            let mut left = noted.violated;
            for _ in 0..FEW {
                self.places[count % ROOM] = first.wrapping_add(left.trailing_zeros());
                count += usize::from(left != 0);
                left &= left.wrapping_sub(1);
            }
            while left != 0 {
                self.places[count % ROOM] = first + left.trailing_zeros();
                count += 1;
                left &= left - 1;
            }
        }
        let last = self.places[count.saturating_sub(1) / BATCH * BATCH];
        self.places[count..][..BATCH].copy_from_slice(&[last; BATCH]);
        self.listed = count;
    }

    /// The places of all violators in the chunk, in whole batches. A place may stand twice in the last
    /// one.
    #[inline(always)]
    pub(super) fn batches(&self) -> &[[u32; BATCH]] {
        &self.places.as_chunks().0[..self.listed.div_ceil(BATCH)]
    }

    /// The words with weights that were violators before the step too: none but in the first step
    /// after signs were changed.
    #[inline(always)]
    pub(super) fn again(&self) -> &[Noted] {
        if self.again == 0 { &[] } else { &self.words[..self.noted] }
    }

    /// Forgets them.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        (self.noted, self.listed, self.again) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(words: &[u64]) -> Violators {
        let mut violators = Violators::none();
        for (word, &violated) in words.iter().enumerate() {
            violators.note(Noted { word, violated, again: 0 });
        }
        violators.list();
        violators
    }

    proptest! {
        #[test]
        fn every_violator_is_listed_once_and_in_order_before_the_filling(
            words in prop::collection::vec(
                prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), (0..64).prop_map(|bit| 1_u64 << bit)],
                0..=BLOCK,
            ),
        ) {
            let places = (0..words.len() * WORD).filter(|place| words[place / 64] >> (place % 64) & 1 == 1);
            let places: Vec<u32> = places.map(|place| place as u32).collect();
            let violators = of(&words);
            let listed = violators.batches().as_flattened();
            prop_assert_eq!(listed.len(), places.len().next_multiple_of(BATCH));
            let (listed, filling) = listed.split_at(places.len());
            prop_assert_eq!(listed, &places);
            let last = listed.chunks(BATCH).next_back();
            prop_assert!(filling.iter().all(|place| Some(place) == last.and_then(<[u32]>::first)));
        }
    }

    #[test]
    fn what_is_cleared_is_empty() {
        let mut violators = of(&[3, 0, 1 << 63]);
        violators.clear();
        violators.list();
        assert!(violators.batches().is_empty());
        assert!(violators.again().is_empty());
    }
}
