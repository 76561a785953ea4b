//! Claims: sentences that an experiment file makes before its run, each with the test that decides it.
//!
//! A claim stands in the file under `claims`, is in no cell's specification, and is carried by the
//! manifest with a [`digest`] of all of them, so that one can see whether it was changed after the
//! results were there. What became of it is in [`Answer`]; how a claim is checked before the run is left
//! to [`experiment`](crate::experiment).

mod answer;
mod said;
mod sample;
#[cfg(test)]
mod tests;
mod verdict;

pub use answer::{Answer, Evidence, answers};
pub use said::{
    Accuracy, AtStep, Claim, ClaimMeasure, Direction, Expected, Nothing, Step, Unit, digest,
};
pub use verdict::{Doubt, Verdict};
