//! Doubts about a report that its reader should have before trusting the numbers.

use std::fmt;

use indexmap::IndexMap;

use super::plain::line;
use crate::results::About;
use crate::results::claim::{self, Answer};
use crate::results::table::{Status, Trial};

/// The level below which a p value is usually called significant.
const LEVEL: f64 = 0.05;

/// Fewer test images than this leave more than a point of chance in a test error near one half.
const FEWEST_TEST_IMAGES: usize = 2500;

/// A doubt about the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caveat {
    /// The claims are not those that there were when the tables were written.
    OtherClaims,
    /// Too few pairs for so many claims: no adjusted p value can be small.
    FewPairs {
        /// The fewest pairs of a claim.
        pairs: usize,
        /// Claims of the file.
        claims: usize,
    },
    /// Cells with a non-finite loss or weight.
    Diverged(usize),
    /// Cells that never got better than guessing.
    Collapsed(usize),
    /// Cells that ended in an error, and the different reasons with their numbers of cells.
    Failed(usize, Vec<(String, usize)>),
    /// Cells that are in the experiment and not in the tables.
    Missing(usize),
    /// A test set so small that its chance shows in the errors.
    SmallTest(usize),
}

impl fmt::Display for Caveat {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Caveat::OtherClaims => write!(
                out,
                "the claims are not those that there were when the tables were written; `polarity run` \
                 writes their digest anew"
            ),
            Caveat::FewPairs { pairs, claims } => write!(
                out,
                "{pairs} pairs and {claims} claims: no adjusted p value can be below {:.2}, so a claim of \
                 {pairs} pairs that has a direction cannot hold",
                least_adjusted_p(*pairs, *claims)
            ),
            Caveat::Diverged(cells) => {
                write!(
                    out,
                    "{cells} cells diverged; they are in no median and no difference of errors and \
                     times, and in shares as cells like any"
                )
            }
            Caveat::Collapsed(cells) => write!(
                out,
                "{cells} cells never got better than guessing; they are in the medians and differences, \
                 but for the medians over learners"
            ),
            Caveat::Failed(cells, reasons) => {
                write!(out, "{cells} cells failed; `polarity run` tries them again")?;
                reasons.iter().try_for_each(|(reason, cells)| {
                    write!(out, "; {} ({cells} cells)", line(reason))
                })
            }
            Caveat::Missing(cells) => {
                write!(out, "{cells} cells have not run; `polarity run` runs them")
            }
            Caveat::SmallTest(images) => write!(
                out,
                "{images} test images: chance alone moves a single error near one half by {:.1} points",
                100.0 * (0.25 / *images as f64).sqrt()
            ),
        }
    }
}

/// What there is to say against the results of `about`.
pub(super) fn caveats(
    about: &About,
    trials: &[Trial],
    answers: &[Answer],
    collapsed: usize,
) -> Vec<Caveat> {
    let of_arms: Vec<&Trial> =
        trials.iter().filter(|trial| about.arms.contains_key(&trial.key.arm)).collect();
    let directed = answers.iter().filter(|answer| answer.claim.direction.is_some());
    let pairs = directed.filter_map(|answer| answer.evidence.map(|found| found.pairs)).min();
    let are_others = claim::digest(&about.claims) != about.claims_digest;
    let some = |count: usize, caveat: fn(usize) -> Caveat| (count > 0).then(|| caveat(count));
    [
        are_others.then_some(Caveat::OtherClaims),
        pairs
            .filter(|pairs| least_adjusted_p(*pairs, answers.len()) > LEVEL)
            .map(|pairs| Caveat::FewPairs { pairs, claims: answers.len() }),
        some(count(&of_arms, Status::Diverged), Caveat::Diverged),
        some(collapsed, Caveat::Collapsed),
        failed(&of_arms),
        some(about.planned.saturating_sub(of_arms.len()), Caveat::Missing),
        about.test.filter(|test| *test < FEWEST_TEST_IMAGES).map(Caveat::SmallTest),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The cells that failed, by reason.
fn failed(trials: &[&Trial]) -> Option<Caveat> {
    let mut reasons: IndexMap<&str, usize> = IndexMap::new();
    for reason in trials.iter().filter_map(|trial| trial.reason.as_deref()) {
        *reasons.entry(reason).or_default() += 1;
    }
    let cells = count(trials, Status::Failed);
    let reasons = reasons.into_iter().map(|(reason, cells)| (reason.to_owned(), cells)).collect();
    (cells > 0).then_some(Caveat::Failed(cells, reasons))
}

/// Holm's smallest p value when every pair of the clearest claim differs in the same direction.
fn least_adjusted_p(pairs: usize, claims: usize) -> f64 {
    (claims as f64 * 0.5f64.powi(pairs as i32 - 1)).min(1.0)
}

pub(super) fn count(trials: &[&Trial], status: Status) -> usize {
    trials.iter().filter(|trial| trial.outcome.status == status).count()
}
