//! The figures of the XOR study, numbered as in the paper.
//!
//! - **fig1**: epochs to 90 % and test error by number of training samples, at the greatest width.
//! - **fig4a**: the theory of random held signs by width, and the share of networks above 95 % at the
//!   greatest training size beside it.
//! - **fig4bc**: the share that learns, epochs and errors by number of samples, at the published widths 10
//!   and 20, at narrow ones, and at the widest.
//! - **fig4d**: three maps of width by samples that say where held signs beat free ones.
//!
//! **Source**: Figures 1 and 4 of the paper. Ours draw simulations at their true width (the published
//! one is a unit off), count runs that never learned as censored, and show ties as ties.

mod by_samples;
mod by_width;
mod maps;
#[cfg(test)]
pub(super) mod tests;

pub(super) use by_samples::{fig1, fig4bc};
pub(super) use by_width::fig4a;
pub(super) use maps::fig4d;

use std::collections::BTreeMap;

use super::canvas::{Canvas, Stroke};
use super::panel::Panel;
use super::sizes::TRAIN_SIZE;
use super::style::Look;
use super::{Error, Results};
use crate::results::Epochs;
use crate::results::table::Trial;
use crate::stats::Interval;
use crate::stats::proportion::wilson;
use crate::stats::quantile::{Quartiles, quartiles};

/// Networks above this accuracy represent XOR: the validation error they are below.
const REPRESENTS: f64 = 0.05;

/// The trials of a study, by arm, training size and width.
struct Study<'a> {
    epochs: Epochs,
    groups: BTreeMap<(usize, u64, u64), Group<'a>>,
}

/// The runs of one arm at one training size and width.
#[derive(Default)]
struct Group<'a>(Vec<&'a Trial>);

impl<'a> Study<'a> {
    /// # Errors
    /// When no trial of the arms has milestones and a width.
    fn new(results: &Results<'a>) -> Result<Self, Error> {
        let empty = || Error::Empty {
            experiment: results.name.to_owned(),
            what: "width and milestones, as a study of XOR has them",
        };
        let epochs = results.epochs.ok_or_else(empty)?;
        let mut groups: BTreeMap<_, Group> = BTreeMap::new();
        for trial in results.trials {
            let arm = results.arms.iter().position(|arm| *arm == trial.key.arm);
            let setting = |name| trial.key.setting(name).map(|value| value as u64);
            let (Some(arm), Some(size), Some(width), Some(_)) =
                (arm, setting(TRAIN_SIZE), setting("width"), trial.outcome.milestones)
            else {
                continue;
            };
            groups.entry((arm, size, width)).or_default().0.push(trial);
        }
        if groups.is_empty() {
            return Err(empty());
        }
        Ok(Study { epochs, groups })
    }

    fn group(&self, arm: usize, size: u64, width: u64) -> Option<&Group<'a>> {
        self.groups.get(&(arm, size, width))
    }

    /// The training sizes, rising.
    fn sizes(&self) -> Vec<u64> {
        rising(self.groups.keys().map(|(_, size, _)| *size))
    }

    /// The widths, rising.
    fn widths(&self) -> Vec<u64> {
        rising(self.groups.keys().map(|(_, _, width)| *width))
    }

    /// Numbers of runs of the groups that `kept` keeps.
    fn counts(&self, kept: impl Fn(u64, u64) -> bool) -> impl Iterator<Item = usize> + Clone {
        let kept = self.groups.iter().filter(|((_, size, width), _)| kept(*size, *width));
        kept.map(|(_, group)| group.0.len()).collect::<Vec<_>>().into_iter()
    }
}

fn rising(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

impl Group<'_> {
    /// Quartiles of the test errors, in %.
    fn errors(&self) -> Option<Quartiles> {
        let errors = self.0.iter().filter_map(|trial| trial.outcome.test_error);
        quartiles(&errors.map(|error| 100.0 * error.value()).collect::<Vec<_>>())
    }

    /// The share that learned, in %.
    fn learned(&self) -> Option<Interval> {
        self.share(|trial| trial.outcome.milestones.is_some_and(|m| m.epochs_to_90.is_some()))
    }

    /// The share that was above 95 % after any epoch, in %.
    fn represent(&self) -> Option<Interval> {
        self.share(|trial| {
            trial.outcome.milestones.is_some_and(|m| m.least_validation_error.value() < REPRESENTS)
        })
    }

    fn share(&self, is_so: impl Fn(&Trial) -> bool) -> Option<Interval> {
        let successes = self.0.iter().filter(|trial| is_so(trial)).count();
        let Interval { estimate, low, high } = wilson(successes as u64, self.0.len() as u64)?;
        Some(Interval { estimate: 100.0 * estimate, low: 100.0 * low, high: 100.0 * high })
    }

    /// The median number of epochs to 90 %.
    fn median_epochs(&self, epochs: Epochs) -> Option<Interval> {
        let needed: Vec<f64> = self.0.iter().filter_map(|trial| epochs.of(trial)).collect();
        epochs.median(&needed)
    }
}

/// The most pixels between neighbouring arms where they stand side by side.
const DODGE: f64 = 17.0;

/// How far each of `arms` stands from its place: arms share a place along a line, and stand side by
/// side where the panel has one place alone.
fn shifts(arms: usize, places: usize, panel: &Panel) -> Vec<f64> {
    let apart = match places {
        1 => (0.7 * panel.area.width() / arms.max(1) as f64).min(DODGE),
        _ => 0.0,
    };
    (0..arms).map(|arm| (arm as f64 - (arms.max(1) - 1) as f64 / 2.0) * apart).collect()
}

/// Draws the ends of an arm's quantity, `(x, high, low)` on the page: a band along several places, a
/// bar at a single one.
fn draw_ends(canvas: &mut Canvas, ends: &[(f64, f64, f64)], look: Look) {
    match *ends {
        [(x, high, low)] => {
            canvas.line(&[(x, low), (x, high)], Stroke::solid(look.color().faint(0.55), 4.0));
        }
        _ => canvas.band(ends, look.color().faint(0.08)),
    }
}

/// How a caption says what medians of epochs are.
fn about_epochs(epochs: Epochs) -> String {
    let first = u8::from(!epochs.from_zero);
    match epochs.survivors_only {
        true => format!(
            "Epochs: median over the runs that reached 90 % only, with its 95 % interval (bootstrap); the \
             first epoch is {first}."
        ),
        false => format!(
            "Epochs: Kaplan–Meier median with its 95 % interval; runs that never reached 90 % are censored \
             at epoch {}, and a median or an end beyond it is at `never`; the first epoch is {first}.",
            epochs.last()
        ),
    }
}
