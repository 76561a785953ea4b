//! The projection of one tile: a reset rule for the weights on the wrong side of zero.

use crate::kernel::draw::{Draws, ResetKey};
use crate::kernel::tile::TILE;
use crate::sign::{Reset, SignMask};

/// Weights that are asked, and reset, together: half a word, so that the mask's bits spread over
/// integers as wide as the weights.
const GROUP: usize = 32;

/// The signs one tensor is held to, and what becomes of a weight that left its own.
#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    /// One entry a weight, in the order of the slices.
    pub mask: &'a SignMask,
    /// What replaces a violator.
    pub reset: Reset,
    /// What the draws of [`Reset::Uniform`] depend on.
    pub key: ResetKey,
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
            start: start as u32,
        }
    }
}

/// A [`Hold`] cut to one chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    sign: &'a [u64],
    held: Option<&'a [u64]>,
    reset: Reset,
    draws: Draws,
    /// The low 32 bits of the first weight's index.
    start: u32,
}

impl Part<'_> {
    /// Projects the chunk's tile number `number` and gives back how many weights were reset.
    ///
    /// First every group is asked, without a branch, whether anything violates; only those that
    /// answered are reset and written.
    #[inline(always)]
    pub(super) fn project(&self, tile: &mut [f32; TILE], number: usize) -> u64 {
        let (groups, _) = tile.as_chunks_mut::<GROUP>();
        let mut violated = [0; TILE / GROUP];
        let mut count = 0;
        for (place, group) in groups.iter().enumerate() {
            violated[count] = place;
            count += usize::from(self.signs(number, place).are_violated(group));
        }
        let mut resets = 0;
        for &place in &violated[..count] {
            resets += self.reset(&mut groups[place], number, place);
        }
        resets.into()
    }

    /// The mask of a tile's group; after the end of the mask, one that zeros fulfil.
    #[inline(always)]
    fn signs(&self, tile: usize, place: usize) -> Signs {
        let first = tile * TILE + place * GROUP;
        let bits = |words: &[u64]| {
            let word = words.get(first / 64).copied().unwrap_or(u64::MAX);
            (word >> (first % 64)) as u32
        };
        Signs { negative: !bits(self.sign), held: self.held.map_or(u32::MAX, bits) }
    }

    /// Replaces the violators of a tile's group as [`Reset::apply`] does, and gives back their
    /// number.
    #[inline(always)]
    fn reset(&self, group: &mut [f32; GROUP], tile: usize, place: usize) -> u32 {
        let signs = self.signs(tile, place);
        match self.reset {
            Reset::Zero => signs.replace(group, |_, _, _| 0.0),
            Reset::Flip => signs.replace(group, |weight, _, _| -weight),
            Reset::Constant(magnitude) => {
                signs.replace(group, |_, negative, _| signed(magnitude.get(), negative))
            }
            Reset::Uniform(max) => {
                let first = self.start.wrapping_add((tile * TILE + place * GROUP) as u32);
                signs.replace(group, |_, negative, lane| {
                    signed(max.get() * self.draws.uniform(first.wrapping_add(lane)), negative)
                })
            }
        }
    }
}

/// The mask of one group, a bit a weight.
#[derive(Clone, Copy)]
struct Signs {
    /// Where the weight is to be negative.
    negative: u32,
    /// Where it is held.
    held: u32,
}

impl Signs {
    #[inline(always)]
    fn are_violated(self, group: &[f32; GROUP]) -> bool {
        let mut any = false;
        for (lane, weight) in group.iter().enumerate() {
            any |= self.is_violated(lane, *weight);
        }
        any
    }

    /// Replaces each violator by `reset(weight, negative, lane)` and gives back their number.
    #[inline(always)]
    fn replace(self, group: &mut [f32; GROUP], reset: impl Fn(f32, u32, u32) -> f32) -> u32 {
        let mut resets = 0;
        for (lane, weight) in group.iter_mut().enumerate() {
            let violates = self.is_violated(lane, *weight);
            let replacement = reset(*weight, self.negative >> lane, lane as u32);
            *weight = if violates { replacement } else { *weight };
            resets += u32::from(violates);
        }
        resets
    }

    /// Whether `weight · mask < 0`.
    #[inline(always)]
    fn is_violated(self, lane: usize, weight: f32) -> bool {
        (signed(weight, self.negative >> lane) < 0.0) & ((self.held >> lane) & 1 == 1)
    }
}

/// `value`, negated where the lowest bit of `negative` is 1.
#[inline(always)]
fn signed(value: f32, negative: u32) -> f32 {
    f32::from_bits(value.to_bits() ^ (negative << 31))
}
