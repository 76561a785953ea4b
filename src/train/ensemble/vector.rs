//! One number of each net of a block, and what a CPU does with all of them at once.
//!
//! A [`Vector`] is a register: eight nets in AVX2, sixteen in AVX-512, and a plain array elsewhere.
//! Every operation is one that IEEE 754 rounds correctly, none is fused with another, and lanes never
//! meet, so a net's numbers are the same bits on every [`Path`] and in every lane.

use crate::optim::fused::Path;

/// The most lanes of a vector.
pub const MOST_LANES: usize = 16;

/// A float32 of each net of a block.
///
/// Methods are `#[inline(always)]`, and so must be what calls them up to [`run`]: only then are they
/// compiled into the function that enables the path's instructions.
pub(super) trait Vector: Copy {
    /// Nets side by side.
    const LANES: usize;
    /// A yes or no of each net.
    type Mask: Copy;

    fn splat(value: f32) -> Self;
    fn lanes(&self) -> &[f32];
    fn lanes_mut(&mut self) -> &mut [f32];
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn sqrt(self) -> Self;
    fn abs(self) -> Self;
    /// The lesser; `other` where one of the two is no number.
    fn min(self, other: Self) -> Self;
    /// The greater; `other` where one of the two is no number.
    fn max(self, other: Self) -> Self;
    /// Whether `self < other`; no where one of the two is no number.
    fn less(self, other: Self) -> Self::Mask;
    fn both(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// A bit a lane, the first lane's the lowest.
    fn bits(mask: Self::Mask) -> u32;
    /// `self` with the low bits of `exponent`'s representation added to its exponent.
    fn scaled(self, exponent: Self) -> Self;
}

/// Something to do with vectors of any path.
pub(super) trait Job {
    type Output;

    /// Does it; must be `#[inline(always)]`.
    fn run<V: Vector>(self) -> Self::Output;
}

/// Nets side by side on `path`.
pub(super) fn lanes(path: Path) -> usize {
    match path {
        Path::Portable | Path::Avx2 => 8,
        Path::Avx512 => MOST_LANES,
    }
}

/// Runs `job` compiled for `path`.
///
/// # Panics
/// When this CPU has no such instructions.
pub(super) fn run<J: Job>(path: Path, job: J) -> J::Output {
    assert!(path.is_available(), "this CPU cannot run the {path:?} path");
    match path {
        Path::Portable => job.run::<portable::Eight>(),
        // SAFETY: the assertion above found the features that `with_avx2` enables.
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => unsafe { x86::with_avx2(job) },
        // SAFETY: the assertion above found the features that `with_avx512` enables.
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => unsafe { x86::with_avx512(job) },
        #[cfg(not(target_arch = "x86_64"))]
        Path::Avx2 | Path::Avx512 => unreachable!("not available on this architecture"),
    }
}

mod portable {
    use super::Vector;

    #[derive(Clone, Copy)]
    #[repr(align(32))]
    pub(super) struct Eight([f32; 8]);

    impl Eight {
        #[inline(always)]
        fn zip(self, other: Self, combine: impl Fn(f32, f32) -> f32) -> Self {
            let mut lanes = self.0;
            for (lane, other) in lanes.iter_mut().zip(other.0) {
                *lane = combine(*lane, other);
            }
            Eight(lanes)
        }
    }

    impl Vector for Eight {
        const LANES: usize = 8;
        type Mask = [bool; 8];

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Eight([value; 8])
        }

        #[inline(always)]
        fn lanes(&self) -> &[f32] {
            &self.0
        }

        #[inline(always)]
        fn lanes_mut(&mut self) -> &mut [f32] {
            &mut self.0
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            self.zip(other, |a, b| a + b)
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            self.zip(other, |a, b| a - b)
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            self.zip(other, |a, b| a * b)
        }

        #[inline(always)]
        fn div(self, other: Self) -> Self {
            self.zip(other, |a, b| a / b)
        }

        #[inline(always)]
        fn sqrt(self) -> Self {
            Eight(self.0.map(f32::sqrt))
        }

        #[inline(always)]
        fn abs(self) -> Self {
            Eight(self.0.map(f32::abs))
        }

        #[inline(always)]
        fn min(self, other: Self) -> Self {
            self.zip(other, |a, b| if a < b { a } else { b })
        }

        #[inline(always)]
        fn max(self, other: Self) -> Self {
            self.zip(other, |a, b| if a > b { a } else { b })
        }

        #[inline(always)]
        fn less(self, other: Self) -> [bool; 8] {
            let mut mask = [false; 8];
            for (lane, is_less) in mask.iter_mut().enumerate() {
                *is_less = self.0[lane] < other.0[lane];
            }
            mask
        }

        #[inline(always)]
        fn both(a: [bool; 8], b: [bool; 8]) -> [bool; 8] {
            let mut mask = a;
            for (lane, other) in mask.iter_mut().zip(b) {
                *lane &= other;
            }
            mask
        }

        #[inline(always)]
        fn select(mask: [bool; 8], yes: Self, no: Self) -> Self {
            let mut lanes = no.0;
            for (lane, chosen) in lanes.iter_mut().enumerate() {
                *chosen = if mask[lane] { yes.0[lane] } else { *chosen };
            }
            Eight(lanes)
        }

        #[inline(always)]
        fn bits(mask: [bool; 8]) -> u32 {
            mask.iter().enumerate().fold(0, |bits, (lane, set)| bits | u32::from(*set) << lane)
        }

        #[inline(always)]
        fn scaled(self, exponent: Self) -> Self {
            self.zip(exponent, |value, exponent| {
                f32::from_bits(value.to_bits().wrapping_add(exponent.to_bits() << 23))
            })
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Job, MOST_LANES, Vector};

    #[target_feature(enable = "avx2")]
    pub(super) fn with_avx2<J: Job>(job: J) -> J::Output {
        job.run::<Avx2>()
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
    pub(super) fn with_avx512<J: Job>(job: J) -> J::Output {
        job.run::<Avx512>()
    }

    /// Made in [`with_avx2`] only.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(__m256);

    /// Made in [`with_avx512`] only.
    #[derive(Clone, Copy)]
    pub(super) struct Avx512(__m512);

    /// The methods that differ between the two in their width alone.
    macro_rules! common {
        ($lanes:expr, $splat:ident, $add:ident, $sub:ident, $mul:ident, $div:ident, $sqrt:ident,
         $min:ident, $max:ident) => {
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(value: f32) -> Self {
                // SAFETY: this and every operation below run in a function that enables the path's
                // instructions, since values of this type are made nowhere else.
                Self(unsafe { $splat(value) })
            }

            #[inline(always)]
            fn lanes(&self) -> &[f32] {
                // SAFETY: the register in memory is so many floats, each any bits.
                unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), $lanes) }
            }

            #[inline(always)]
            fn lanes_mut(&mut self) -> &mut [f32] {
                // SAFETY: as in `lanes`; the borrow is exclusive.
                unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(self).cast(), $lanes) }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $sub(self.0, other.0) })
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $mul(self.0, other.0) })
            }

            #[inline(always)]
            fn div(self, other: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $div(self.0, other.0) })
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $sqrt(self.0) })
            }

            #[inline(always)]
            fn min(self, other: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $min(self.0, other.0) })
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // SAFETY: as in `splat`.
                Self(unsafe { $max(self.0, other.0) })
            }
        };
    }

    impl Vector for Avx2 {
        type Mask = __m256;

        common!(
            8,
            _mm256_set1_ps,
            _mm256_add_ps,
            _mm256_sub_ps,
            _mm256_mul_ps,
            _mm256_div_ps,
            _mm256_sqrt_ps,
            _mm256_min_ps,
            _mm256_max_ps
        );

        #[inline(always)]
        fn abs(self) -> Self {
            // SAFETY: as in `splat`.
            Self(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0) })
        }

        #[inline(always)]
        fn less(self, other: Self) -> __m256 {
            // SAFETY: as in `splat`.
            unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, other.0) }
        }

        #[inline(always)]
        fn both(a: __m256, b: __m256) -> __m256 {
            // SAFETY: as in `splat`.
            unsafe { _mm256_and_ps(a, b) }
        }

        #[inline(always)]
        fn select(mask: __m256, yes: Self, no: Self) -> Self {
            // SAFETY: as in `splat`.
            Self(unsafe { _mm256_blendv_ps(no.0, yes.0, mask) })
        }

        #[inline(always)]
        fn bits(mask: __m256) -> u32 {
            // SAFETY: as in `splat`.
            unsafe { _mm256_movemask_ps(mask) as u32 }
        }

        #[inline(always)]
        fn scaled(self, exponent: Self) -> Self {
            // SAFETY: as in `splat`.
            Self(unsafe {
                let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(exponent.0));
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(self.0), exponent))
            })
        }
    }

    impl Vector for Avx512 {
        type Mask = __mmask16;

        common!(
            MOST_LANES,
            _mm512_set1_ps,
            _mm512_add_ps,
            _mm512_sub_ps,
            _mm512_mul_ps,
            _mm512_div_ps,
            _mm512_sqrt_ps,
            _mm512_min_ps,
            _mm512_max_ps
        );

        #[inline(always)]
        fn abs(self) -> Self {
            // SAFETY: as in `splat`.
            Self(unsafe { _mm512_abs_ps(self.0) })
        }

        #[inline(always)]
        fn less(self, other: Self) -> __mmask16 {
            // SAFETY: as in `splat`.
            unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, other.0) }
        }

        #[inline(always)]
        fn both(a: __mmask16, b: __mmask16) -> __mmask16 {
            a & b
        }

        #[inline(always)]
        fn select(mask: __mmask16, yes: Self, no: Self) -> Self {
            // SAFETY: as in `splat`.
            Self(unsafe { _mm512_mask_blend_ps(mask, no.0, yes.0) })
        }

        #[inline(always)]
        fn bits(mask: __mmask16) -> u32 {
            mask.into()
        }

        #[inline(always)]
        fn scaled(self, exponent: Self) -> Self {
            // SAFETY: as in `splat`.
            Self(unsafe {
                let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(exponent.0));
                _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(self.0), exponent))
            })
        }
    }
}
