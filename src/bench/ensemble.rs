//! The small networks of the XOR study: many side by side, and one alone through libtorch.

use std::num::NonZeroUsize;
use std::time::Instant;

use serde_json::{Value, json};

use super::Error;
use super::spread::{Contender, Spread, in_turn, rounded};
use crate::train::ensemble::Rehearsal;

/// Nets trained side by side: sixteen full vectors of the widest kind.
const NETS: usize = 256;
const EPOCHS: u64 = 25;
const ROUNDS: usize = 5;

/// The speed of networks of one width.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// Hidden units.
    pub width: usize,
    /// Steps of one net in a second, all nets together, on all threads.
    pub together: f64,
    /// Steps in a second of one net alone, through libtorch on one thread.
    pub alone: f64,
}

impl Ensemble {
    /// Floating-point operations a second, those of the activation of the output left out.
    ///
    /// A step takes 28 a hidden unit and point (13 forward, 15 backward, over 32 points) and 15 a weight
    /// for Adam.
    pub fn flops(&self) -> f64 {
        let a_step = self.width * 32 * 28 + (7 * self.width + 1) * 15;
        self.together * a_step as f64
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "width": self.width,
            "nets": NETS,
            "net_steps_per_second": rounded(self.together),
            "alone_steps_per_second": rounded(self.alone),
            "gflops": rounded(1e-9 * self.flops()),
        })
    }
}

/// Times nets of the widths of the study's figures on `threads` threads.
pub(super) fn measure(threads: NonZeroUsize) -> Result<Vec<Ensemble>, Error> {
    // A net so small only gets slower on more.
    tch::set_num_threads(1);
    let mut ensembles = Vec::new();
    for width in [10, 20, 64] {
        let together = Together(Rehearsal::new(NETS, width, EPOCHS), threads.get());
        let steps = together.0.steps() as f64;
        let spread = in_turn(ROUNDS, &mut [Box::new(together)])?[0];
        let together = NETS as f64 * steps / spread.median;
        ensembles.push(Ensemble { width, together, alone: alone(width)? });
    }
    Ok(ensembles)
}

fn alone(width: usize) -> Result<f64, Error> {
    let rehearsal = Rehearsal::new(1, width, EPOCHS);
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        rehearsal.run_alone()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(rehearsal.steps() as f64 / Spread::of(seconds).median)
}

struct Together(Rehearsal, usize);

impl Contender for Together {
    fn step(&mut self) -> Result<(), Error> {
        self.0.run(self.1);
        Ok(())
    }
}
