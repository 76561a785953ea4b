//! A few words of the mask and their weights: what a kernel works on at a time.
//!
//! A tile stays in the innermost cache while it is updated, projected and counted, and each of
//! these is a plain loop of fixed length that the compiler turns into vector instructions. With a
//! larger tile the loops no longer overlap in the CPU's window; with a smaller one, the branch on
//! what violates is mispredicted more often.

/// Words of the mask in a tile.
pub(super) const WORDS: usize = 4;

/// Weights in a tile.
pub(super) const TILE: usize = WORDS * u64::BITS as usize;

/// How far ahead memory is asked for, in weights. Four streams at once are more than the hardware
/// follows well, and it stops at each page: this is worth 6 % of a free step of Adam over 61 M
/// weights and 12 % of a held one, and hides what the mask costs (`cargo bench --bench kernel`).
const AHEAD: usize = 2 * TILE;

/// Asks for the memory two tiles after sixty-four of this tile's weights. Not for a whole tile at
/// once: that is more lines than the CPU can wait for.
#[inline(always)]
pub(super) fn prefetch(tile: &[f32; TILE], word: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in tile.as_chunks::<16>().0[4 * word..][..4].iter() {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let ahead = line.as_ptr().wrapping_add(AHEAD);
        // SAFETY: a prefetch is a hint: it neither faults nor reads, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (tile, word);
}

/// The rest of a slice as a tile, filled up with zeros: no violators, no sign flips.
#[inline(always)]
pub(super) fn padded(rest: &[f32]) -> [f32; TILE] {
    let mut tile = [0.0; TILE];
    tile[..rest.len()].copy_from_slice(rest);
    tile
}

/// How many weights are strictly on the other side of zero than before.
#[inline(always)]
pub(super) fn sign_flips(before: &[f32; TILE], after: &[f32; TILE]) -> u64 {
    let mut flips = 0_u32;
    for (before, after) in before.iter().zip(after) {
        let up = (*before < 0.0) & (*after > 0.0);
        let down = (*before > 0.0) & (*after < 0.0);
        flips += u32::from(up | down);
    }
    flips.into()
}
