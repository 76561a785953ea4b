//! The projection alone: for the start of a run, and for optimizers that are not fused.

use crate::kernel::Fused;
use crate::kernel::block::{BLOCK, padded};
use crate::kernel::hold::{Counts, Hold, Part};
use crate::kernel::parallel::CHUNK;
use crate::kernel::path::Kernel;
use crate::kernel::sides::{Lanes, WORD};
use crate::kernel::violators::Violators;

/// One tensor to project.
#[derive(Debug)]
pub struct ProjectTensor<'a> {
    /// Weights. Memory without violators is read only.
    pub weights: &'a mut [f32],
    /// The signs to hold.
    pub hold: Hold<'a>,
}

impl Fused {
    /// Replaces every violator in `tensors` and gives back what that did to each.
    ///
    /// # Panics
    /// When a mask has not one entry a weight.
    pub fn project(self, tensors: Vec<ProjectTensor<'_>>) -> Vec<Counts> {
        self.run(tensors, |ProjectTensor { weights, hold }| {
            hold.check(weights.len());
            weights
                .chunks_mut(CHUNK)
                .enumerate()
                .map(move |(number, weights)| Chunk { weights, hold: hold.part(number * CHUNK) })
        })
    }
}

/// A chunk of one tensor.
struct Chunk<'a> {
    weights: &'a mut [f32],
    hold: Part<'a>,
}

impl Kernel for Chunk<'_> {
    fn weights(&self) -> usize {
        self.weights.len()
    }

    #[inline(always)]
    fn run<L: Lanes>(self) -> Counts {
        let (words, rest) = self.weights.as_chunks_mut();
        let mut counts = project::<L>(words, &self.hold);
        if !rest.is_empty() {
            let mut last = [padded(rest)];
            counts += project::<L>(&mut last, &self.hold.after(words.len()));
            rest.copy_from_slice(&last[0][..rest.len()]);
        }
        counts
    }
}

/// Projects whole words. Each violator that is not zero afterwards has flipped its sign.
#[inline(always)]
fn project<L: Lanes>(weights: &mut [[f32; WORD]], hold: &Part<'_>) -> Counts {
    let mut counts = Counts::default();
    let mut violators = Violators::none();
    for first in (0..weights.len()).step_by(BLOCK) {
        for (word, weights) in weights.iter().enumerate().skip(first).take(BLOCK) {
            let violated = hold.violated(word, L::sides(weights));
            violators.note(word, violated, violated);
            counts.resets += u64::from(violated.count_ones());
        }
        counts.sign_flips += hold.reset(&mut violators, weights);
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::*;
    use crate::kernel::Order;
    use crate::kernel::testing::{
        LENGTHS, SHARES, bits, every_hold, everywhere, plain_projection, violating, weights,
    };
    use crate::sign::SignMask;

    proptest! {
        #[test]
        fn any_share_of_resets_at_any_length_equals_the_plain_one(
            length in 1..5000_usize,
            share in prop::sample::select(SHARES.to_vec()),
        ) {
            every_hold(length, |hold| {
                let start = violating(hold.mask, share);
                let mut expected = start.clone();
                let counts = plain_projection(&start, &mut expected, &hold);
                everywhere(|fused| {
                    let mut weights = start.clone();
                    let tensor = ProjectTensor { weights: &mut weights, hold };
                    assert_eq!(fused.project(vec![tensor]), [counts]);
                    assert_eq!(bits(&weights), bits(&expected), "{fused:?} {hold:?}");
                });
            });
        }
    }

    #[test]
    fn projection_equals_the_plain_one_bit_for_bit() {
        for length in LENGTHS {
            every_hold(length, |hold| {
                let before = weights(length, "weights");
                let mut expected = before.clone();
                let counts = plain_projection(&before, &mut expected, &hold);
                everywhere(|fused| {
                    let mut weights = before.clone();
                    let tensor = ProjectTensor { weights: &mut weights, hold };
                    assert_eq!(fused.project(vec![tensor]), [counts], "{fused:?} {length}");
                    assert_eq!(bits(&weights), bits(&expected), "{fused:?} {length}");
                });
            });
        }
    }

    #[test]
    fn projection_leaves_no_violator_and_every_other_weight_alone() {
        every_hold(1000, |hold| {
            let before = weights(1000, "weights");
            let mut after = before.clone();
            let fused = Fused::new(NonZeroUsize::MIN);
            let counts = fused.project(vec![ProjectTensor { weights: &mut after, hold }])[0];
            assert_eq!(counts.resets, hold.mask.violators(&before) as u64);
            assert_eq!(hold.mask.violators(&after), 0);
            for (index, (before, after)) in before.iter().zip(&after).enumerate() {
                if before * f32::from(hold.mask.get(index)) >= 0.0 || before.is_nan() {
                    assert_eq!(before.to_bits(), after.to_bits(), "weight {index}");
                }
            }
        });
    }

    #[test]
    fn every_tensor_has_its_own_counts_and_draws() {
        let length = 3 * CHUNK;
        let empty = SignMask::free(0);
        every_hold(length, |hold| {
            if !hold.reset.is_random() {
                return;
            }
            let before = weights(length, "weights");
            let mut other = hold;
            other.key.tensor += 1;
            everywhere(|fused| {
                let (mut first, mut second) = (before.clone(), before.clone());
                let counts = fused.project(vec![
                    ProjectTensor { weights: &mut first, hold },
                    ProjectTensor { weights: &mut [], hold: Hold { mask: &empty, ..hold } },
                    ProjectTensor { weights: &mut second, hold: other },
                ]);
                assert_eq!((counts[0].resets, counts[1].resets), (counts[2].resets, 0));
                assert_eq!(bits(&first) == bits(&second), counts[0].resets == 0);
            });
        });
    }

    #[test]
    fn weights_get_the_same_numbers_in_whatever_order_they_lie() {
        let (rows, columns) = (300, 500);
        let order = Order::of(&[rows, columns], &[1, rows]).unwrap().unwrap();
        let transposed = |weights: &[f32]| -> Vec<f32> {
            (0..weights.len()).map(|place| weights[order.row_major(place)]).collect()
        };
        every_hold(rows * columns, |hold| {
            let start = weights(rows * columns, "weights");
            let mut expected = start.clone();
            let counts = plain_projection(&start, &mut expected, &hold);
            let mask = order.lay_out(hold.mask);
            everywhere(|fused| {
                let mut weights = transposed(&start);
                let hold = Hold { mask: &mask, order: Some(&order), ..hold };
                let tensor = ProjectTensor { weights: &mut weights, hold };
                assert_eq!(fused.project(vec![tensor]), [counts]);
                assert_eq!(bits(&weights), bits(&transposed(&expected)), "{fused:?}");
            });
        });
    }

    #[test]
    #[should_panic(expected = "a mask has one entry a weight")]
    fn a_mask_of_another_length_is_refused() {
        every_hold(64, |hold| {
            let fused = Fused::new(NonZeroUsize::MIN);
            fused.project(vec![ProjectTensor { weights: &mut [0.0; 65], hold }]);
        });
    }
}
