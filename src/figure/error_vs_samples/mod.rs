//! Test error after the last step by number of training samples.
//!
//! With one training size it is a [strip](strip): a row an arm, every run a dot, the median and the
//! quartiles drawn over them, and beside them the paired difference to the baseline with its
//! interval. With several it is [two panels](lines) over the sizes: the errors above, the
//! differences below.

mod lines;
mod strip;

use super::canvas::Canvas;
use super::measured::{Runs, Values, difference};
use super::style::{Look, looks};
use super::{Error, Results};
use crate::results::{BySeed, Measure};
use crate::stats::Interval;

/// What both forms show.
struct Shown<'a> {
    results: &'a Results<'a>,
    runs: Runs<'a>,
    /// The test errors after the last step by training size and arm, and what is paired of them.
    errors: Vec<Vec<Values>>,
    compared: Vec<Vec<BySeed>>,
    baseline: Option<usize>,
    looks: Vec<Look>,
}

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let baseline = results.baseline()?;
    let runs = Runs::new(results)?;
    let measure = Measure::TestErrorLast;
    let (errors, compared) = (runs.values(measure), runs.compared(measure));
    let looks = looks(&results.arms, &results.fluid);
    let shown = Shown { results, runs, errors, compared, baseline, looks };
    Ok(match shown.errors.len() {
        1 => strip::draw(&shown),
        _ => lines::draw(&shown),
    })
}

impl Shown<'_> {
    /// The errors of `arm` at the size at `place`, in %.
    fn percent(&self, place: usize, arm: usize) -> Vec<f64> {
        self.errors[place][arm].iter().map(|error| 100.0 * error).collect()
    }

    /// The median difference of `arm` to `baseline` at the size at `place`, in points; the baseline itself
    /// has none.
    fn difference(&self, place: usize, arm: usize, baseline: usize) -> Option<Interval> {
        if arm == baseline {
            return None;
        }
        let [own, other] = [arm, baseline].map(|arm| &self.compared[place][arm]);
        difference(own, other, 100.0)
    }

    /// How many errors an arm and size has.
    fn counts(&self) -> impl Iterator<Item = usize> + Clone {
        let counts: Vec<usize> = self.errors.iter().flatten().map(Vec::len).collect();
        counts.into_iter()
    }
}
