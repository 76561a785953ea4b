//! Statistics: numbers in, numbers out.
//!
//! Arms share their seeds, so what counts is the *paired* difference by seed: its median, a
//! [`bootstrap`] interval and a [signed-rank test](hypothesis::signed_rank), with
//! [Holm's correction](hypothesis::holm) over the family of tests. Errors are [counts](ratio), so that
//! equal ones are equal.
//!
//! A value that is no number never slips into a result: every function answers `None` when one is
//! among its input, so callers say themselves what they leave out. Columns, arms and files are
//! left to those callers.

pub mod bootstrap;
pub mod hypothesis;
pub mod interval;
pub mod occupancy;
pub mod proportion;
pub mod quantile;
pub mod rank_sum;
pub mod ratio;
pub mod survival;

pub use interval::{CONFIDENCE, Interval};
pub use ratio::{Counts, Ratio};
