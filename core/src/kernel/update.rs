//! The pass all optimizers share; a [`Rule`] says what they do with one weight.

use crate::kernel::block::{BLOCK, padded};
use crate::kernel::hold::{Counts, Hold, Part};
use crate::kernel::parallel::CHUNK;
use crate::kernel::path::Kernel;
use crate::kernel::sides::{Lanes, Sides, WORD};
use crate::kernel::violators::Violators;

/// What an optimizer does with one weight that has `N` numbers of state.
///
/// All of it is `#[inline(always)]`, and without branches that depend on the weight.
pub(super) trait Rule<const N: usize>: Copy + Send {
    /// Whether [`update`](Self::update) looks at the sign; it is 0 where nobody does.
    const LOOKS_AT_SIGN: bool = false;

    /// What a step takes off a weight, and the new state. `decaying` is what decay through the
    /// gradient draws towards 0: the weight itself, except for rules that move it in another way.
    fn change(&self, decaying: f32, gradient: f32, state: [f32; N]) -> (f32, [f32; N]);

    /// What decay that does not go through the gradient leaves of a weight, as a factor.
    #[inline(always)]
    fn shrink(&self) -> f32 {
        1.0
    }

    /// The weight and its state after a step along `gradient`. `sign` is the one it must keep: 1, −1,
    /// or 0 where it is free.
    #[inline(always)]
    fn update(&self, sign: f32, weight: f32, gradient: f32, state: [f32; N]) -> (f32, [f32; N]) {
        let _ = sign;
        let (change, state) = self.change(weight, gradient, state);
        (weight * self.shrink() - change, state)
    }
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
    fn run<L: Lanes>(self) -> Counts {
        let Update { weights, gradient, state, rule, hold } = self;
        let (weights, rest) = weights.as_chunks_mut();
        let (gradient, gradient_rest) = gradient.as_chunks();
        let mut state = state.map(|state| state.as_chunks_mut());
        let words = state.each_mut().map(|(words, _)| &mut **words);
        let mut counts = blocks::<L, R, N>(weights, gradient, words, &rule, hold);
        if !rest.is_empty() {
            let mut last = [padded(rest)];
            let mut states = state.each_ref().map(|(_, rest)| [padded(rest)]);
            let words = states.each_mut().map(|words| &mut words[..]);
            let hold = hold.map(|hold| hold.after(weights.len()));
            let gradient = [padded(gradient_rest)];
            counts += blocks::<L, R, N>(&mut last, &gradient, words, &rule, hold);
            rest.copy_from_slice(&last[0][..rest.len()]);
            for ((_, rest), words) in state.into_iter().zip(&states) {
                rest.copy_from_slice(&words[0][..rest.len()]);
            }
        }
        counts
    }
}

/// One step of whole words. Violators are put back at the end of their block.
#[inline(always)]
fn blocks<L: Lanes, R: Rule<N>, const N: usize>(
    weights: &mut [[f32; WORD]],
    gradient: &[[f32; WORD]],
    mut state: [&mut [[f32; WORD]]; N],
    rule: &R,
    hold: Option<Part<'_>>,
) -> Counts {
    let mut counts = Counts::default();
    let mut violators = Violators::none();
    for first in (0..weights.len()).step_by(BLOCK) {
        for word in first..weights.len().min(first + BLOCK) {
            let state = state.each_mut().map(|state| &mut state[word]);
            let signs = match &hold {
                Some(hold) if R::LOOKS_AT_SIGN => hold.signs(word),
                _ => [0.0; WORD],
            };
            let [before, after] =
                self::word::<L, R, N>(&signs, &mut weights[word], &gradient[word], state, rule);
            let mut crossed = before.crossed(after);
            if let Some(hold) = &hold {
                let violated = hold.violated(word, after);
                violators.note(word, violated, violated & hold.violated(word, before));
                counts.resets += u64::from(violated.count_ones());
                crossed &= !violated;
            }
            counts.sign_flips += u64::from(crossed.count_ones());
        }
        if let Some(hold) = &hold {
            counts.sign_flips += hold.reset(&mut violators, weights);
        }
    }
    counts
}

/// Updates a word's weights and gives back their sides before and after.
#[inline(always)]
fn word<L: Lanes, R: Rule<N>, const N: usize>(
    signs: &[f32; WORD],
    weights: &mut [f32; WORD],
    gradient: &[f32; WORD],
    state: [&mut [f32; WORD]; N],
    rule: &R,
) -> [Sides; 2] {
    let before = L::sides(weights);
    for lane in 0..WORD {
        let old = std::array::from_fn(|index| state[index][lane]);
        let (weight, new) = rule.update(signs[lane], weights[lane], gradient[lane], old);
        weights[lane] = weight;
        for index in 0..N {
            state[index][lane] = new[index];
        }
    }
    [before, L::sides(weights)]
}
