//! How long a cell trains, and after which steps it looks at the validation images.
//!
//! By default looking costs about a tenth of a run: an image that is evaluated costs a third of one that
//! is learned from (a forward pass against a forward and a backward pass), so the cells of an experiment
//! look so often that they evaluate at most three images for ten that they learn from. Few images are
//! learned from soonest, so the steps that are left are the late powers of two.

use std::collections::BTreeSet;

use crate::experiment::checked::Checked;
use crate::experiment::file::limits::MOST_EVALUATIONS;
use crate::experiment::file::{Evaluations, EvaluationsWord, Experiment};
use crate::experiment::problem::Problem;
use crate::results::claim::{AtStep, Claim, ClaimMeasure, Step};

/// Images evaluated for each that is learned from, by default.
const EVALUATED: f64 = 0.3;

/// The steps after which the validation images are evaluated when `checked` trains on `size` images, the
/// first and the last among them.
///
/// # Errors
/// When the file asks for steps that do not come, or tabulates some that it does not evaluate.
pub(crate) fn evaluations(checked: &Checked, size: usize) -> Result<BTreeSet<u64>, Problem> {
    let Experiment { train, data, report, .. } = checked.experiment();
    let steps = checked.length().steps(size, train.batch);
    let check_late = |key: &str, asked: &BTreeSet<u64>| match asked.last() {
        Some(late) if *late > steps => {
            let expected = format!("steps of at most {steps} (with {size} images)");
            Err(Problem::value(key, expected, late))
        }
        _ => Ok(()),
    };
    let tabulated: BTreeSet<u64> = report.steps.iter().copied().collect();
    check_late("report.steps", &tabulated)?;
    let mut evaluate_at: BTreeSet<u64> = match &train.evaluate_at {
        Some(Evaluations::Steps(given)) => given.iter().copied().collect(),
        Some(Evaluations::Word(EvaluationsWord::EveryEpoch)) => {
            check_count(steps / size.div_ceil(train.batch) as u64)?;
            every_epoch(steps, size, train.batch).collect()
        }
        None => &affordable(steps, train.batch.min(size), data.validation) | &tabulated,
    };
    check_count(evaluate_at.len() as u64)?;
    check_late("train.evaluate_at", &evaluate_at)?;
    evaluate_at.extend([0, steps]);
    check_claims(&checked.experiment().claims, size, &evaluate_at)?;
    match tabulated.difference(&evaluate_at).next() {
        Some(step) => {
            let expected = format!("steps that `train.evaluate_at` names ({evaluate_at:?})");
            Err(Problem::value("report.steps", expected, step))
        }
        None => Ok(evaluate_at),
    }
}

/// Whether the steps that `claims` over `size` images name are evaluated.
fn check_claims(claims: &[Claim], size: usize, evaluated: &BTreeSet<u64>) -> Result<(), Problem> {
    let is_about = |claim: &&Claim| {
        claim.at.get("train_size").is_none_or(|sizes| sizes.contains(&(size as u64)))
    };
    for claim in claims.iter().filter(is_about) {
        let ClaimMeasure::ValidationError(AtStep { step: Step::At(step) }) = claim.measure else {
            continue;
        };
        if !evaluated.contains(&step) {
            let key = format!("claims.{}.measure.validation_error.step", claim.id);
            let expected = format!(
                "a step that is evaluated with {size} images ({evaluated:?}; `train.evaluate_at` \
                 names them)"
            );
            return Err(Problem::value(key, expected, step));
        }
    }
    Ok(())
}

/// Whether so many evaluations can stand in a specification.
fn check_count(count: u64) -> Result<(), Problem> {
    if count <= MOST_EVALUATIONS {
        return Ok(());
    }
    let expected = format!("at most {MOST_EVALUATIONS} evaluations");
    Err(Problem::value("train.evaluate_at", expected, format!("{count} of them")))
}

/// The steps at which an epoch over `size` images ends, and 0.
pub(crate) fn every_epoch(steps: u64, size: usize, batch: usize) -> impl Iterator<Item = u64> {
    (0..=steps).step_by(size.div_ceil(batch))
}

/// The last powers of two below `steps`, as many as are worth their cost beside the first and last step.
fn affordable(steps: u64, batch: usize, validation: usize) -> BTreeSet<u64> {
    let learned_from = steps as f64 * batch as f64;
    let looks = (EVALUATED * learned_from / validation as f64) as usize;
    let late_powers = (0..64).rev().map(|power| 1 << power).skip_while(|step| *step >= steps);
    late_powers.take(looks.saturating_sub(2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_evaluation_costs_a_tenth_of_training() {
        for (steps, batch, validation) in [(100, 25, 100), (600, 1000, 2500), (1000, 32, 500)] {
            let looks = affordable(steps, batch, validation).len() + 2;
            let evaluated = (looks * validation) as f64;
            assert!(evaluated <= 0.3 * (steps as usize * batch) as f64, "{steps} {looks}");
        }
    }

    #[test]
    fn steps_that_can_be_afforded_are_the_late_powers_of_two() {
        let few = BTreeSet::from([8, 16, 32, 64]);
        assert_eq!(affordable(100, 20, 100), few);
        assert_eq!(affordable(100, 20, 10).len(), 7);
        assert!(affordable(100, 20, 1000).is_empty());
        assert!(affordable(1, 1000, 1).is_empty());
    }
}
