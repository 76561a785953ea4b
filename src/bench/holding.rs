//! What holding signs adds to a step, by how many weights the step resets.
//!
//! A training resets 1 to 4 % of the weights a step, so that is where holding has to be measured: a
//! step that resets next to nothing says nothing of the reset. Here a given share of the weights
//! leaves its side in every step; a held and a free copy of them take their steps in turn, along the
//! same gradient and over the same moments.

use std::num::NonZeroUsize;
use std::time::Instant;

use serde_json::{Value, json};

use super::spread::{Spread, rounded};
use crate::optim::fused::{
    AdamStep, AdamTensor, Counts, Fused, Hold, Momentum, ResetKey, SgdStep, SgdTensor,
};
use crate::random::Stream;
use crate::sign::{Reset, SignMask};

pub(super) const ADAM: &str = "Adam";
const SGD: &str = "SGD with momentum";

/// The shares of the weights that are reset in a step.
const SHARES: [f64; 4] = [0.0, 0.001, 0.01, 0.04];

/// Twice what the reset rule gives back at most, so that a weight that was reset leaves its side at
/// the next step again.
const LEARNING_RATE: f64 = 2e-3;

/// Weights of torchvision's AlexNet.
const WEIGHTS: usize = 61_100_840;
const ROUNDS: usize = 15;

/// The times of a held and of a free step at one share of resets.
#[derive(Clone, Debug)]
pub struct Holding {
    /// The update rule.
    pub rule: &'static str,
    /// Weights stepped over.
    pub weights: usize,
    /// Threads.
    pub threads: NonZeroUsize,
    /// Steps timed.
    pub rounds: usize,
    /// Share of the weights that a step resets, in [0, 1].
    pub resets: f64,
    /// The seconds of a step that holds nothing.
    pub free: Spread,
    /// The seconds of a step that holds every sign.
    pub held: Spread,
}

impl Holding {
    /// The held step in free ones, by their medians.
    pub fn ratio(&self) -> f64 {
        self.held.median / self.free.median
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "rule": self.rule,
            "weights": self.weights,
            "threads": self.threads,
            "rounds": self.rounds,
            "resets": rounded(self.resets),
            "free_ms": rounded(1e3 * self.free.median),
            "held_ms": rounded(1e3 * self.held.median),
            "held_low_ms": rounded(1e3 * self.held.low),
            "held_high_ms": rounded(1e3 * self.held.high),
            "held_over_free": rounded(self.ratio()),
        })
    }
}

/// Times held and free steps of Adam and SGD on `threads` threads, by rule and share.
pub(super) fn measure(threads: NonZeroUsize) -> Vec<Holding> {
    let mut weights = Weights::new(WEIGHTS, threads);
    let rules: [(&'static str, StepOf); 2] = [(ADAM, Weights::adam), (SGD, Weights::sgd)];
    let mut measured = Vec::new();
    for (rule, step) in rules {
        for share in SHARES {
            weights.put_back(share);
            measured.push(weights.time(rule, step, threads));
        }
    }
    measured
}

/// Takes a step of a rule, held or free, by its number.
type StepOf = fn(&mut Weights, bool, u64) -> Counts;

/// Weights twice, and what their steps have in common.
struct Weights {
    fused: Fused,
    mask: SignMask,
    held: Vec<f32>,
    free: Vec<f32>,
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Weights {
    fn new(count: usize, threads: NonZeroUsize) -> Self {
        let mask = SignMask::random(count, 0.5, &mut Stream::new(1, "mask"));
        let [held, free, gradient, first, second] = [(); 5].map(|()| vec![0.0; count]);
        Weights { fused: Fused::new(threads), mask, held, free, gradient, first, second }
    }

    /// A `share` of the weights near zero and pushed over it, the others far and pushed away.
    fn put_back(&mut self, share: f64) {
        let mut stream = Stream::new(2, "share");
        for index in 0..self.held.len() {
            let sign = f32::from(self.mask.get(index));
            let leaves = f64::from(stream.uniform()) < share;
            let [weight, gradient] = if leaves { [1e-4, 1.0] } else { [0.1, -1.0] };
            self.held[index] = weight * sign;
            self.free[index] = weight * sign;
            self.gradient[index] = gradient * sign;
        }
        self.first.fill(0.0);
        self.second.fill(0.0);
    }

    fn time(&mut self, rule: &'static str, step: StepOf, threads: NonZeroUsize) -> Holding {
        let mut seconds = [const { Vec::new() }; 2];
        let mut resets = 0;
        for round in 0..=ROUNDS {
            for held in [round % 2 == 0, round % 2 == 1] {
                let start = Instant::now();
                let counts = step(self, held, 1 + round as u64);
                if round > 0 {
                    seconds[usize::from(held)].push(start.elapsed().as_secs_f64());
                    resets += counts.resets;
                }
            }
        }
        let [free, held] = seconds.map(Spread::of);
        let weights = self.held.len();
        let resets = resets as f64 / (ROUNDS * weights) as f64;
        Holding { rule, weights, threads, rounds: ROUNDS, resets, free, held }
    }

    fn adam(&mut self, held: bool, step: u64) -> Counts {
        let hold = held.then(|| hold(&self.mask, step));
        let step = AdamStep {
            lr: LEARNING_RATE,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            step,
        };
        let tensor = AdamTensor {
            weights: if held { &mut self.held } else { &mut self.free },
            gradient: &self.gradient,
            first_moment: &mut self.first,
            second_moment: &mut self.second,
            step,
            hold,
        };
        self.fused.adam(vec![tensor])[0]
    }

    fn sgd(&mut self, held: bool, step: u64) -> Counts {
        let hold = held.then(|| hold(&self.mask, step));
        let momentum = Momentum {
            buffer: &mut self.first,
            first: false,
            momentum: 0.9,
            dampening: 0.0,
            nesterov: false,
        };
        let tensor = SgdTensor {
            weights: if held { &mut self.held } else { &mut self.free },
            gradient: &self.gradient,
            momentum: Some(momentum),
            step: SgdStep { lr: LEARNING_RATE, weight_decay: 0.0 },
            hold,
        };
        self.fused.sgd(vec![tensor])[0]
    }
}

fn hold(mask: &SignMask, step: u64) -> Hold<'_> {
    let key = ResetKey { seed: 1, step, tensor: 3 };
    Hold { mask, reset: Reset::default(), key, order: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_resets_the_share_that_is_asked_for() {
        let mut weights = Weights::new(100_000, NonZeroUsize::MIN);
        for step in [Weights::adam, Weights::sgd] {
            for share in SHARES {
                weights.put_back(share);
                let holding = weights.time(ADAM, step, NonZeroUsize::MIN);
                let deviation = (share * (1.0 - share) / 100_000.0).sqrt();
                assert!((holding.resets - share).abs() <= 5.0 * deviation, "{holding:?}");
            }
        }
    }
}
