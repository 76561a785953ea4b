//! How many epochs cells needed to learn, those that never did included.

use super::about::{About, Faithful};
use super::table::{Status, Trial};
use crate::stats::survival::{self, Time};
use crate::stats::{Interval, bootstrap};

/// How numbers of epochs are counted and summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// Epochs that a cell had.
    pub most: u64,
    /// Whether the first epoch has the number 0, as in the published study; else 1.
    pub from_zero: bool,
    /// Whether cells that never learned are left out, as in the published study; else they count as
    /// censored at their last epoch.
    pub survivors_only: bool,
}

impl Epochs {
    /// How `about` asks for it; none where the trials say nothing of epochs.
    pub fn new(about: &About, trials: &[Trial]) -> Option<Self> {
        let has_milestones = trials.iter().any(|trial| trial.outcome.milestones.is_some());
        Some(Epochs {
            most: about.epochs.filter(|_| has_milestones)?,
            from_zero: about.is_faithful(Faithful::EpochsFromZero),
            survivors_only: about.is_faithful(Faithful::SurvivorsOnly),
        })
    }

    /// The number of the last epoch.
    pub fn last(self) -> u64 {
        self.most - u64::from(self.from_zero)
    }

    /// The epochs that a cell needed, infinite where it never learned; none where it does not say, or
    /// diverged before its last.
    pub fn of(self, trial: &Trial) -> Option<f64> {
        if trial.outcome.status == Status::Diverged {
            return None;
        }
        let needed = trial.outcome.milestones?.epochs_to_90;
        let counted = |epochs| (epochs - u64::from(self.from_zero)) as f64;
        Some(needed.map_or(f64::INFINITY, counted))
    }

    /// `needed` numbers of epochs as times; cells that never learned are censored, or left out.
    pub fn times(self, needed: &[f64]) -> Vec<Time> {
        let time = |epochs: &f64| match epochs.is_finite() {
            true => Some(Time { time: *epochs, reached: true }),
            false if self.survivors_only => None,
            false => Some(Time { time: self.last() as f64, reached: false }),
        };
        needed.iter().filter_map(time).collect()
    }

    /// The median of `needed` numbers of epochs and its interval: of Kaplan and Meier's curve, or of the
    /// cells that learned.
    pub fn median(self, needed: &[f64]) -> Option<Interval> {
        let times = self.times(needed);
        match self.survivors_only {
            true => bootstrap::median(&times.iter().map(|run| run.time).collect::<Vec<_>>()),
            false => survival::median(&times),
        }
    }
}
