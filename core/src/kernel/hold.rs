//! The projection: a reset rule for the weights on the wrong side of zero.

use crate::kernel::draw::{Draws, ResetKey};
use crate::kernel::order::Order;
use crate::kernel::sides::{Sides, WORD};
use crate::kernel::violators::{LINE, Noted, Violators};
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
    pub(super) fn reset(&self, violators: &mut Violators, weights: &mut [[f32; WORD]]) -> u64 {
        let (weights, lines) = (weights.as_flattened_mut().as_chunks_mut().0, violators.lines());
        let flips = match self.reset {
            Reset::Zero => replace(weights, lines, |_, _| 0.0),
            Reset::Flip => replace(weights, lines, |weight, _| -weight),
            Reset::Constant(magnitude) => {
                replace(weights, lines, |weight, _| opposite(magnitude.get(), weight))
            }
            Reset::Uniform(max) => match self.order {
                None => replace(weights, lines, |weight, place| {
                    let draw = self.draws.uniform((self.start as u32).wrapping_add(place));
                    opposite(max.get() * draw, weight)
                }),
                Some(order) => replace_each(weights, lines, |weight, place| {
                    let index = order.row_major(self.start + place as usize);
                    opposite(max.get() * self.key.uniform(index as u64), weight)
                }),
            },
        };
        violators.clear();
        flips
    }
}

/// Replaces each violator by `reset(weight, place)`, and counts those that had been violators before
/// and are on the other side of zero now. All weights of a line are computed, and those that are no
/// violators kept: that takes less time than to go from one violator to the next.
#[inline(always)]
fn replace(weights: &mut [[f32; LINE]], lines: &[Noted], reset: impl Fn(f32, u32) -> f32) -> u64 {
    let mut flips = [0_u32; LINE];
    for &Noted { line, violated, again } in lines {
        let weights = &mut weights[line as usize];
        for (lane, (weight, flips)) in weights.iter_mut().zip(&mut flips).enumerate() {
            let is_in = |bits: u16| u32::from(bits) >> lane & 1;
            let new = reset(*weight, line * LINE as u32 + lane as u32);
            *flips += is_in(again) & u32::from(new != 0.0);
            *weight = if is_in(violated) == 1 { new } else { *weight };
        }
    }
    flips.iter().sum::<u32>().into()
}

/// The same for a `reset` that is costly.
#[inline(always)]
fn replace_each(
    weights: &mut [[f32; LINE]],
    lines: &[Noted],
    reset: impl Fn(f32, u32) -> f32,
) -> u64 {
    let mut flips = 0;
    for &Noted { line, violated, again } in lines {
        for lane in (0..LINE).filter(|lane| violated >> lane & 1 == 1) {
            let weight = &mut weights[line as usize][lane];
            *weight = reset(*weight, line * LINE as u32 + lane as u32);
            flips += u64::from(again >> lane & u16::from(*weight != 0.0));
        }
    }
    flips
}

/// `value`, which has no sign, on the other side of zero than `weight`.
#[inline(always)]
fn opposite(value: f32, weight: f32) -> f32 {
    f32::from_bits(value.to_bits() | (!weight.to_bits() & (1 << 31)))
}
