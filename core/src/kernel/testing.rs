//! What the tests of the kernels share: inputs with every awkward number in them, every way to run,
//! and the projection as one would write it.

use std::num::NonZeroUsize;

use proptest::prelude::*;

use crate::kernel::{Counts, Fused, Hold, Path, ResetKey};
use crate::random::Stream;
use crate::sign::SignMask;
use crate::sign::reset::RULES;

/// Around the sizes of a word and a block, and one of several chunks.
pub(super) const LENGTHS: [usize; 12] =
    [0, 1, 63, 64, 65, 127, 1023, 1024, 1025, 2047, 3000, 70_001];

const AWKWARD: [f32; 12] = [
    0.0,
    -0.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1e-40,
    -1e-40,
];

/// Numbers in [−1, 1), every sixteenth one awkward.
pub(super) fn weights(length: usize, purpose: &str) -> Vec<f32> {
    let mut stream = Stream::new(11, purpose);
    let mut draw = || match stream.below(16) {
        0 => AWKWARD[stream.below(AWKWARD.len())],
        _ => 2.0 * stream.uniform() - 1.0,
    };
    (0..length).map(|_| draw()).collect()
}

/// Weights on their own side of `mask`, but a `share` of them on the other.
pub(super) fn violating(mask: &SignMask, share: f32) -> Vec<f32> {
    let mut stream = Stream::new(13, "violating");
    let mut draw = |sign: i8| {
        let side = if stream.uniform() < share { -1.0 } else { 1.0 };
        side * f32::from(sign) * (0.5 + stream.uniform())
    };
    (0..mask.len()).map(|index| draw(mask.get(index))).collect()
}

/// Shares of the weights to reset, from none to all.
pub(super) const SHARES: [f32; 6] = [0.0, 0.001, 0.01, 0.04, 0.5, 1.0];

/// Any numbers at all.
pub(super) fn any_weights(length: usize) -> impl Strategy<Value = Vec<f32>> {
    let weight = prop_oneof![-1.0..1.0_f32, any::<f32>(), prop::sample::select(AWKWARD.to_vec())];
    prop::collection::vec(weight, length)
}

/// Runs `test` with every reset rule on a mask that is all held and one that is partly free.
pub(super) fn every_hold(length: usize, mut test: impl FnMut(Hold<'_>)) {
    let mut stream = Stream::new(12, "mask");
    let mut signs: Vec<i8> = (0..length).map(|_| 2 * stream.below(2) as i8 - 1).collect();
    let held = SignMask::from_signs(&signs);
    signs.iter_mut().for_each(|sign| *sign *= stream.below(2) as i8);
    let mixed = SignMask::from_signs(&signs);
    let key = ResetKey { seed: 1, step: 2, tensor: 3 };
    for reset in RULES {
        for mask in [&held, &mixed] {
            test(Hold { mask, reset, key, order: None });
        }
    }
}

/// Runs `test` on every path this CPU has, with 1, 2 and 5 threads.
pub(super) fn everywhere(mut test: impl FnMut(Fused)) {
    for path in Path::ALL.into_iter().filter(|path| path.is_available()) {
        for threads in [1, 2, 5] {
            test(Fused::new(NonZeroUsize::new(threads).expect("not 0")).with_path(path));
        }
    }
}

/// The bits of each number, those of one NaN for any NaN.
pub(super) fn bits(numbers: &[f32]) -> Vec<u32> {
    let bits = |number: &f32| {
        if number.is_nan() { f32::NAN.to_bits() } else { number.to_bits() }
    };
    numbers.iter().map(bits).collect()
}

/// The projection of `weights`, which were `before` when the step began.
pub(super) fn plain_projection(before: &[f32], weights: &mut [f32], hold: &Hold<'_>) -> Counts {
    let mut resets = 0;
    for (index, weight) in weights.iter_mut().enumerate() {
        let sign = f32::from(hold.mask.get(index));
        if *weight * sign < 0.0 {
            *weight = hold.reset.apply(*weight, sign, hold.key.uniform(index as u64));
            resets += 1;
        }
    }
    Counts { resets, ..fluid(before, weights) }
}

/// The counts of a step that projects nothing.
pub(super) fn fluid(before: &[f32], after: &[f32]) -> Counts {
    let flips = before.iter().zip(after).filter(|(before, after)| {
        (**before < 0.0 && **after > 0.0) || (**before > 0.0 && **after < 0.0)
    });
    Counts { resets: 0, sign_flips: flips.count() as u64 }
}
