//! On which side of zero weights are, as bits like the mask's: then violators and sign flips of
//! sixty-four weights are a few operations on integers.

/// Weights that go with one word of the mask.
pub(super) const WORD: usize = u64::BITS as usize;

/// Which of a word's weights are strictly below and which strictly above zero, a bit a weight. Zero,
/// −0 and NaN are neither.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sides {
    pub(super) below: u64,
    pub(super) above: u64,
}

impl Sides {
    /// The weights that were strictly on one side and are now strictly on the other.
    #[inline(always)]
    pub(super) fn crossed(self, now: Sides) -> u64 {
        (self.below & now.above) | (self.above & now.below)
    }
}

/// How a path finds the sides of a word: the one thing that compilers do not make vector instructions
/// of by themselves.
pub(super) trait Lanes {
    /// The sides of `weights`. `#[inline(always)]`, and called only where the path's instructions are
    /// enabled.
    fn sides(weights: &[f32; WORD]) -> Sides;
}

/// The lanes of [`Path::Portable`](super::Path::Portable).
pub(super) struct Portable;

impl Lanes for Portable {
    #[inline(always)]
    fn sides(weights: &[f32; WORD]) -> Sides {
        let mut sides = Sides::default();
        for (lane, weight) in weights.iter().enumerate() {
            sides.below |= u64::from(*weight < 0.0) << lane;
            sides.above |= u64::from(*weight > 0.0) << lane;
        }
        sides
    }
}

/// The lanes of [`Path::Avx2`](super::Path::Avx2).
#[cfg(target_arch = "x86_64")]
pub(super) struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx2 {
    #[inline(always)]
    fn sides(weights: &[f32; WORD]) -> Sides {
        use std::arch::x86_64::*;
        let mut sides = Sides::default();
        for (place, lanes) in weights.as_chunks::<8>().0.iter().enumerate() {
            // SAFETY: eight floats are there to load, and `Path::run` found AVX2.
            let (below, above) = unsafe {
                let (lanes, zero) = (_mm256_loadu_ps(lanes.as_ptr()), _mm256_setzero_ps());
                (
                    _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(lanes, zero)),
                    _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(lanes, zero)),
                )
            };
            sides.below |= (below as u64) << (8 * place);
            sides.above |= (above as u64) << (8 * place);
        }
        sides
    }
}

/// The lanes of [`Path::Avx512`](super::Path::Avx512).
#[cfg(target_arch = "x86_64")]
pub(super) struct Avx512;

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx512 {
    #[inline(always)]
    fn sides(weights: &[f32; WORD]) -> Sides {
        use std::arch::x86_64::*;
        let (mut below, mut above) = ([0; 4], [0; 4]);
        for (place, lanes) in weights.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: sixteen floats are there to load, and `Path::run` found AVX-512.
            unsafe {
                let (lanes, zero) = (_mm512_loadu_ps(lanes.as_ptr()), _mm512_setzero_ps());
                below[place] = u32::from(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(lanes, zero));
                above[place] = u32::from(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(lanes, zero));
            }
        }
        // SAFETY: `Path::run` found AVX-512.
        unsafe { Sides { below: joined(below), above: joined(above) } }
    }
}

/// Four times sixteen bits, put together in the mask registers.
///
/// # Safety
/// The CPU must have AVX-512 BW.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn joined(parts: [u32; 4]) -> u64 {
    use std::arch::x86_64::*;
    // SAFETY: as this function's.
    unsafe {
        let low = _mm512_kunpackw(parts[1], parts[0]);
        let high = _mm512_kunpackw(parts[3], parts[2]);
        _mm512_kunpackd(high.into(), low.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Counts;
    use crate::kernel::path::{Kernel, Path};
    use crate::kernel::testing::{any_weights, weights};
    use proptest::prelude::*;

    /// A kernel that keeps the sides of a word.
    struct Look<'a>(&'a [f32; WORD], &'a mut Sides);

    impl Kernel for Look<'_> {
        fn weights(&self) -> usize {
            WORD
        }

        #[inline(always)]
        fn run<L: Lanes>(self) -> Counts {
            *self.1 = L::sides(self.0);
            Counts::default()
        }
    }

    fn assert_every_path_sees(word: &[f32; WORD]) -> Result<(), TestCaseError> {
        for path in Path::ALL.into_iter().filter(|path| path.is_available()) {
            let mut sides = Sides::default();
            path.run(Look(word, &mut sides));
            for (lane, weight) in word.iter().enumerate() {
                let bit = |bits: u64| bits >> lane & 1 == 1;
                prop_assert_eq!(bit(sides.below), *weight < 0.0, "{:?} {}", path, weight);
                prop_assert_eq!(bit(sides.above), *weight > 0.0, "{:?} {}", path, weight);
            }
        }
        Ok(())
    }

    #[test]
    fn awkward_numbers_are_on_the_same_side_on_every_path() {
        let many = weights(100 * WORD, "sides");
        for word in many.as_chunks().0 {
            assert_every_path_sees(word).unwrap();
        }
    }

    proptest! {
        #[test]
        fn every_path_sees_every_weight_on_its_side(weights in any_weights(WORD)) {
            assert_every_path_sees(weights.as_slice().try_into().unwrap())?;
        }
    }
}
