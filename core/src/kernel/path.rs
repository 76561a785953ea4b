//! One source, several instruction sets: the kernels are plain Rust, compiled once for each
//! [`Path`], and the CPU says at run time which may be used.

use crate::kernel::hold::Counts;
use crate::kernel::sides::{self, Lanes};

/// The instructions a kernel is compiled for. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// What every CPU of this architecture has (SSE2 on x86-64, NEON on 64-bit Arm).
    Portable,
    /// AVX2 with BMI1 and POPCNT, eight weights at once (x86-64).
    Avx2,
    /// AVX-512, sixteen weights at once (x86-64).
    Avx512,
}

impl Path {
    /// Every path, the slowest first.
    pub const ALL: [Path; 3] = [Path::Portable, Path::Avx2, Path::Avx512];

    /// The fastest path this CPU can run.
    pub fn best() -> Path {
        let mut fastest_first = Path::ALL.into_iter().rev();
        fastest_first.find(|path| path.is_available()).expect("the portable path runs everywhere")
    }

    /// Whether this CPU can run the path.
    pub fn is_available(self) -> bool {
        match self {
            Path::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => {
                Path::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Path::Avx2 | Path::Avx512 => false,
        }
    }

    /// Runs `kernel` compiled for this path.
    ///
    /// # Panics
    /// When this CPU has no such instructions.
    pub(super) fn run(self, kernel: impl Kernel) -> Counts {
        assert!(self.is_available(), "this CPU cannot run the {self:?} path");
        match self {
            Path::Portable => kernel.run::<sides::Portable>(),
            // SAFETY: the assertion above found every feature that `with_avx2` enables.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => unsafe { with_avx2(kernel) },
            // SAFETY: the assertion above found every feature that `with_avx512` enables.
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => unsafe { with_avx512(kernel) },
            #[cfg(not(target_arch = "x86_64"))]
            Path::Avx2 | Path::Avx512 => unreachable!("not available on this architecture"),
        }
    }
}

/// A pass over one chunk, with all it needs inside.
///
/// `run` and what it calls must be `#[inline(always)]`: only then is it compiled into the function
/// that enables the path's instructions.
pub(super) trait Kernel {
    /// How many weights the pass goes over.
    fn weights(&self) -> usize;

    /// Does the pass, with the lanes of the path it runs on.
    fn run<L: Lanes>(self) -> Counts;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn with_avx2(kernel: impl Kernel) -> Counts {
    kernel.run::<sides::Avx2>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,bmi1,popcnt")]
fn with_avx512(kernel: impl Kernel) -> Counts {
    kernel.run::<sides::Avx512>()
}
