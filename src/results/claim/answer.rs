//! What became of each claim of an experiment.
//!
//! The difference of a claim is the median over its pairs, of shares of cells that learn the mean, with
//! its BCa interval; its p value is that of Wilcoxon's signed-rank test, adjusted by Holm's method over all
//! claims of the file, decided or not. A claim without a pair counts in that family with p = 1.

use super::said::{Accuracy, AtStep, Claim, ClaimMeasure, Step};
use super::sample::Sample;
use super::verdict::{Doubt, Verdict};
use crate::results::report::Measure;
use crate::results::table::{CurveIndex, CurveRow, Trial};
use crate::results::{About, Epochs, Paired};
use crate::stats::Interval;
use crate::stats::hypothesis::{SignedRank, holm};

/// A claim and what the results say of it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The claim.
    pub claim: Claim,
    /// What became of it.
    pub verdict: Verdict,
    /// What it was tested on; none without pairs.
    pub evidence: Option<Evidence>,
}

/// The test of a claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Pairs of observations: of seeds, or of sources.
    pub pairs: usize,
    /// The first arm less the second.
    pub difference: Interval,
    /// Wilcoxon's two-sided test that the differences are symmetric about zero.
    pub test: SignedRank,
    /// Its p value, adjusted over the claims of the file.
    pub p_holm: f64,
}

/// The answers to the claims of `about`, in their order.
pub fn answers(about: &About, trials: &[Trial], curves: &[CurveRow]) -> Vec<Answer> {
    if about.claims.is_empty() {
        return Vec::new();
    }
    let curves = CurveIndex::new(curves);
    let evidence = |claim| evidence(claim, about, trials, &curves);
    let found: Vec<Option<Evidence>> = about.claims.iter().map(evidence).collect();
    let p: Vec<f64> =
        found.iter().map(|found| found.map_or(1.0, |evidence| evidence.test.p)).collect();
    let adjusted = holm(&p).expect("p values are probabilities");
    let answer = |((claim, found), p_holm): ((&Claim, Option<Evidence>), f64)| {
        let evidence = found.map(|evidence| Evidence { p_holm, ..evidence });
        let verdict = claim.expected().zip(evidence).map(|(expected, evidence)| {
            Verdict::new(expected, evidence.difference, evidence.p_holm)
        });
        let verdict = verdict.unwrap_or(Verdict::Undecided(Doubt::NoPairs));
        Answer { claim: claim.clone(), verdict, evidence }
    };
    about.claims.iter().zip(found).zip(adjusted).map(answer).collect()
}

/// The test of `claim`, its p value not yet adjusted; none without pairs.
fn evidence(
    claim: &Claim,
    about: &About,
    trials: &[Trial],
    curves: &CurveIndex,
) -> Option<Evidence> {
    let measure = measure(&claim.measure, Epochs::new(about, trials))?;
    let [first, second] = Sample::new(claim, measure, about, trials, curves).by(claim.unit);
    let paired = Paired::new(&first, &second)?;
    let difference = match claim.measure {
        ClaimMeasure::Learned(_) => paired.mean()?,
        _ => paired.median(),
    };
    let test = paired.test();
    Some(Evidence { pairs: paired.pairs(), difference, test, p_holm: test.p })
}

/// What `asked` is among what reports measure; none where the results have no such thing.
fn measure(asked: &ClaimMeasure, epochs: Option<Epochs>) -> Option<Measure> {
    Some(match asked {
        ClaimMeasure::TestError(AtStep { step }) => match step {
            Step::Last => Measure::TestErrorLast,
            Step::Chosen => Measure::TestError,
            Step::At(_) => return None,
        },
        ClaimMeasure::ValidationError(AtStep { step }) => match step {
            Step::Last => Measure::ValidationErrorLast,
            Step::Chosen => Measure::ValidationError,
            Step::At(step) => Measure::ValidationErrorAt(*step),
        },
        ClaimMeasure::StepsTo(Accuracy { accuracy }) => Measure::StepsTo(*accuracy),
        ClaimMeasure::EpochsTo90(_) => Measure::EpochsTo90(epochs?),
        ClaimMeasure::Learned(_) => Measure::Learned,
    })
}
