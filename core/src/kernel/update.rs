//! The pass all optimizers share; a [`Rule`] says what they do with one weight.

use crate::kernel::hold::{Counts, Hold, Part};
use crate::kernel::parallel::CHUNK;
use crate::kernel::path::Kernel;
use crate::kernel::tile::{TILE, WORDS, padded, prefetch, sign_flips};

/// What an optimizer does with one weight that has `N` numbers of state.
pub(super) trait Rule<const N: usize>: Copy + Send {
    /// The weight and its state after a step along `gradient`. `#[inline(always)]`, and without
    /// branches that depend on the weight.
    fn update(&self, weight: f32, gradient: f32, state: [f32; N]) -> (f32, [f32; N]);
}

/// `state`, or 0 where it is smaller than the smallest normal number.
///
/// The state of a weight whose gradient stays 0 decays for ever: after some hundred steps it is
/// subnormal, rounding keeps it there, and each step over it takes ten times as long. So small, it
/// moves no weight.
#[inline(always)]
pub(super) fn flushed(state: f32) -> f32 {
    if state.abs() < f32::MIN_POSITIVE { 0.0 } else { state }
}

/// A chunk of one tensor, with all that a step needs.
#[derive(Debug)]
pub(super) struct Update<'a, R, const N: usize> {
    weights: &'a mut [f32],
    gradient: &'a [f32],
    state: [&'a mut [f32]; N],
    rule: R,
    hold: Option<Part<'a>>,
}

impl<'a, R: Rule<N>, const N: usize> Update<'a, R, N> {
    /// Cuts a tensor into chunks.
    ///
    /// # Panics
    /// When gradient, state or mask are not as long as the weights.
    pub(super) fn cut(
        weights: &'a mut [f32],
        gradient: &'a [f32],
        state: [&'a mut [f32]; N],
        rule: R,
        hold: Option<Hold<'a>>,
    ) -> impl Iterator<Item = Self> {
        assert_eq!(gradient.len(), weights.len(), "a gradient is as long as its weights");
        for state in &state {
            assert_eq!(state.len(), weights.len(), "state is as long as its weights");
        }
        if let Some(hold) = hold {
            hold.check(weights.len());
        }
        let mut state = state.map(|state| state.chunks_mut(CHUNK));
        weights.chunks_mut(CHUNK).zip(gradient.chunks(CHUNK)).enumerate().map(
            move |(number, (weights, gradient))| Update {
                weights,
                gradient,
                state: state.each_mut().map(|state| state.next().expect("as long as the weights")),
                rule,
                hold: hold.map(|hold| hold.part(number * CHUNK)),
            },
        )
    }
}

impl<R: Rule<N>, const N: usize> Kernel for Update<'_, R, N> {
    fn weights(&self) -> usize {
        self.weights.len()
    }

    #[inline(always)]
    fn run(self) -> Counts {
        let Update { weights, gradient, state, rule, hold } = self;
        let (weights, rest) = weights.as_chunks_mut::<TILE>();
        let (gradient, gradient_rest) = gradient.as_chunks::<TILE>();
        let mut state = state.map(|state| state.as_chunks_mut::<TILE>());
        let whole = weights.len();
        let mut counts = Counts::default();

        for (number, (weights, gradient)) in weights.iter_mut().zip(gradient).enumerate() {
            let state = state.each_mut().map(|(state, _)| &mut state[number]);
            counts += tile(weights, gradient, state, &rule, &hold, number);
        }

        if !rest.is_empty() {
            let mut weights = padded(rest);
            let mut states = state.each_ref().map(|(_, rest)| padded(rest));
            let gradient = padded(gradient_rest);
            counts += tile(&mut weights, &gradient, states.each_mut(), &rule, &hold, whole);
            rest.copy_from_slice(&weights[..rest.len()]);
            for ((_, rest), state) in state.into_iter().zip(&states) {
                rest.copy_from_slice(&state[..rest.len()]);
            }
        }
        counts
    }
}

/// One step of a tile: update, projection, counts.
#[inline(always)]
fn tile<R: Rule<N>, const N: usize>(
    weights: &mut [f32; TILE],
    gradient: &[f32; TILE],
    state: [&mut [f32; TILE]; N],
    rule: &R,
    hold: &Option<Part<'_>>,
    number: usize,
) -> Counts {
    let before = *weights;
    for word in 0..WORDS {
        prefetch(weights, word);
        prefetch(gradient, word);
        for state in &state {
            prefetch(state, word);
        }
        for lane in word * 64..(word + 1) * 64 {
            let old = std::array::from_fn(|index| state[index][lane]);
            let (weight, new) = rule.update(weights[lane], gradient[lane], old);
            weights[lane] = weight;
            for index in 0..N {
                state[index][lane] = new[index];
            }
        }
    }
    // No closure here: it would be compiled without the path's instructions.
    let resets = match hold {
        Some(hold) => hold.project(weights, number),
        None => 0,
    };
    Counts { resets, sign_flips: sign_flips(&before, weights) }
}
