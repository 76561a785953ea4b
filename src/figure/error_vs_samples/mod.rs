//! Test error by number of training samples.
//!
//! With one training size it is a [strip](strip): a row an arm, every run a dot, the median and the
//! quartiles drawn over them, and beside them the paired difference to the baseline with its
//! interval. With several it is [two panels](lines) over the sizes: the errors above, the
//! differences below.

mod lines;
mod strip;

use super::canvas::Canvas;
use super::runs::by_size;
use super::style::looks;
use super::{Error, Results};

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let baseline = results.baseline()?;
    let sizes = by_size(results)?;
    let looks = looks(&results.arms, &results.fluid);
    Ok(match &sizes[..] {
        [only] => strip::draw(results, only, baseline, &looks),
        several => lines::draw(results, several, baseline, &looks),
    })
}
