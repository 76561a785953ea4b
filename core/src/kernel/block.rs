//! The words of the mask and their weights: what a kernel works on at a time.
//!
//! A word of the mask and its sixty-four weights are updated by a plain loop of fixed length that
//! the compiler turns into vector instructions. Violators are put back a block of words later, while
//! all of them are still in the innermost caches.

use crate::kernel::sides::WORD;

/// Words of the mask in a block.
pub(super) const BLOCK: usize = 16;

/// How far ahead memory is asked for, in weights. Four streams at once are more than the hardware
/// follows well, and it stops at each page: this is worth 6 % of a free step of Adam over 61 M
/// weights and 12 % of a held one.
const AHEAD: usize = 8 * WORD;

/// Asks for the memory eight words after this one. Not for a whole block at once: that is more lines
/// than the CPU can wait for.
#[inline(always)]
pub(super) fn prefetch(word: &[f32; WORD]) {
    #[cfg(target_arch = "x86_64")]
    for line in word.as_chunks::<16>().0 {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let ahead = line.as_ptr().wrapping_add(AHEAD);
        // SAFETY: a prefetch is a hint: it neither faults nor reads, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

/// The rest of a slice as a word, filled up with zeros: no violators, no sign flips.
#[inline(always)]
pub(super) fn padded(rest: &[f32]) -> [f32; WORD] {
    let mut word = [0.0; WORD];
    word[..rest.len()].copy_from_slice(rest);
    word
}
