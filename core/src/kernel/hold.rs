//! The projection: a reset rule for the weights on the wrong side of zero.

use crate::kernel::draw::{Draws, ResetKey};
use crate::kernel::order::Order;
use crate::kernel::sides::{Lanes, Sides, WORD};
use crate::kernel::violators::{BATCH, Violators};
use crate::sign::{Reset, SignMask};

/// The signs one tensor is held to, and what becomes of a weight that left its own.
#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    /// One entry a weight, in the order of the slices.
    pub mask: &'a SignMask,
    /// What replaces a violator.
    pub reset: Reset,
    /// What the draws of [`Reset::Uniform`] depend on.
    pub key: ResetKey,
    /// How the weights lie in memory, where not in row-major order. The mask lies as they do.
    pub order: Option<&'a Order>,
}

/// What happened to the weights of one tensor in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Violators replaced by the reset rule.
    pub resets: u64,
    /// Weights strictly on one side of zero before the step and strictly on the other after it, the
    /// projection included.
    pub sign_flips: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.resets += other.resets;
        self.sign_flips += other.sign_flips;
    }
}

impl<'a> Hold<'a> {
    /// # Panics
    /// When the mask has not one entry a weight.
    pub(super) fn check(&self, weights: usize) {
        assert_eq!(self.mask.len(), weights, "a mask has one entry a weight");
    }

    /// The part of the hold that begins at weight `start`, the first of a word.
    pub(super) fn part(&self, start: usize) -> Part<'a> {
        let word = start / u64::BITS as usize;
        Part {
            sign: &self.mask.sign_words()[word..],
            held: self.mask.held_words().map(|held| &held[word..]),
            reset: self.reset,
            draws: Draws::new(self.key, start as u64),
            key: self.key,
            order: self.order,
            start,
        }
    }
}

/// A [`Hold`] cut to one chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    sign: &'a [u64],
    held: Option<&'a [u64]>,
    reset: Reset,
    /// The draws of the chunk, whose indices agree above their low 32 bits.
    draws: Draws,
    key: ResetKey,
    order: Option<&'a Order>,
    /// Where the first weight lies in its tensor.
    start: usize,
}

impl Part<'_> {
    /// What comes after the first `words` words.
    #[inline(always)]
    pub(super) fn after(&self, words: usize) -> Self {
        Part {
            sign: &self.sign[words..],
            held: self.held.map(|held| &held[words..]),
            start: self.start + words * WORD,
            ..*self
        }
    }

    /// Which weights of word number `word` are on the wrong side.
    #[inline(always)]
    pub(super) fn violated(&self, word: usize, sides: Sides) -> u64 {
        let sign = self.sign[word];
        let wrong = (sides.below & sign) | (sides.above & !sign);
        match self.held {
            Some(held) => wrong & held[word],
            None => wrong,
        }
    }

    /// The signs of word number `word`: 1, −1, or 0 where a weight is free.
    #[inline(always)]
    pub(super) fn signs(&self, word: usize) -> [f32; WORD] {
        let sign = self.sign[word];
        let held = self.held.map_or(u64::MAX, |held| held[word]);
        let mut signs = [0.0; WORD];
        // A byte at a time: vectors of 32-bit lanes have no shifts of 64 bits.
        for (place, lanes) in signs.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let byte = |word: u64| (word >> (8 * place)) as u32;
            for (lane, one) in lanes.iter_mut().enumerate() {
                let magnitude = (byte(held) >> lane & 1) * 1.0_f32.to_bits();
                *one = f32::from_bits(magnitude | (!byte(sign) >> lane & 1) << 31);
            }
        }
        signs
    }

    /// Replaces `violators` among the part's `weights` as [`Reset::apply`] does, forgets them, and
    /// gives back the sign flips among those that had been violators before the step.
    #[inline(always)]
    pub(super) fn reset<L: Lanes>(
        &self,
        violators: &mut Violators,
        weights: &mut [[f32; WORD]],
    ) -> u64 {
        let (flat, batches) = (weights.as_flattened_mut(), violators.batches());
        match self.reset {
            Reset::Zero => replace(flat, batches, |_, _| 0.0),
            Reset::Flip => replace(flat, batches, |weight, _| -weight),
            Reset::Constant(magnitude) => {
                replace(flat, batches, |weight, _| opposite(magnitude.get(), weight))
            }
            Reset::Uniform(max) => match self.order {
                None => replace(flat, batches, |weight, place| {
                    let draw = self.draws.uniform((self.start as u32).wrapping_add(place));
                    opposite(max.get() * draw, weight)
                }),
                Some(order) => replace(flat, batches, |weight, place| {
                    let index = order.row_major(self.start + place as usize);
                    opposite(max.get() * self.key.uniform(index as u64), weight)
                }),
            },
        }
        let mut flips = 0;
        for noted in violators.again() {
            let Sides { below, above } = L::sides(&weights[noted.word]);
            flips += u64::from((noted.again & (below | above)).count_ones());
        }
        violators.clear();
        flips
    }
}

/// Replaces the weight at each place by `reset(weight, place)`. Each batch is read before it is
/// written, so that a place may stand twice in it.
#[inline(always)]
fn replace(weights: &mut [f32], batches: &[[u32; BATCH]], reset: impl Fn(f32, u32) -> f32) {
    for places in batches {
        let mut new = [0.0; BATCH];
        for (new, &place) in new.iter_mut().zip(places) {
            *new = weights[place as usize];
        }
        for (new, &place) in new.iter_mut().zip(places) {
            *new = reset(*new, place);
        }
        for (&new, &place) in new.iter().zip(places) {
            weights[place as usize] = new;
        }
    }
}

/// `value`, which has no sign, on the other side of zero than `weight`.
#[inline(always)]
fn opposite(value: f32, weight: f32) -> f32 {
    f32::from_bits(value.to_bits() | (!weight.to_bits() & (1 << 31)))
}
