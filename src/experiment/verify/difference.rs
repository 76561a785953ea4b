//! Where a published cell and a recomputed one differ, and by how much they may.
//!
//! Values are compared as the tables have them, where a number stands with as many digits as give it back
//! exactly: equal text is equal bits.

use std::collections::BTreeMap;

use crate::results::table::{CurveRow, Trial};

/// What rounding may come to, in words.
///
/// Rounding starts at 10⁻⁷ of a value and every step of training passes it on to all that follows: a cell of
/// the demo on two CPUs has the same loss before the first step, one that differs by 2 · 10⁻⁶ after eight, by
/// 1 % after 24, and a test error 7 points apart in the end, which is as far apart as two seeds are. So it is
/// the early evaluations that tell whether the same was computed, and the late ones tell little.
pub const TOLERANCE: &str = "before the first step, losses to 0.01 % and errors to 0.5 points; up to step 10, \
    losses and counts to 1 % and errors to 2 points; later, when training has amplified the rounding, losses and \
    counts to 25 % and errors to 15 points, as from the first on where a cell takes from a source that was trained \
    again; counts that differ by no more than 20, and late losses by no more than 0.01, are close. How the cell ended, \
    its steps, its images, and that held signs hold, are the same everywhere";

/// Steps that rounding has not grown in.
const EARLY: u64 = 10;

/// Counts that differ by no more are close, however small they are.
const FEW: f64 = 20.0;

/// Late losses that differ by no more, in nats, are close: of what has been learned by heart 10⁻⁴ is as much
/// as 2 · 10⁻⁴.
const LITTLE: f64 = 0.01;

/// A value that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The column, of a curve with its step: `test_error`, `step 8 validation_loss`.
    pub of: String,
    /// The published value.
    pub published: String,
    /// The value that came out.
    pub computed: String,
    is_small: bool,
}

impl Difference {
    /// Whether rounding that training amplifies may come to it.
    pub fn is_small(&self) -> bool {
        self.is_small
    }
}

/// How far a value may be off.
#[derive(Clone, Copy, Debug)]
enum Slack {
    /// Not at all.
    None,
    /// Anywhere: a choice among values that are nearly equal.
    Any,
    /// By so much.
    Absolute(f64),
    /// By this share of the larger one.
    Relative(f64),
    /// By this share of the larger one, or by so much.
    Either(f64, f64),
}

/// Where the first of two cells, with its curve, differs from the second. Rounding has grown from the first
/// step on in a cell that `takes_from_training`: its source was trained again, and came to other weights.
pub(super) fn differences(
    cells: [&Trial; 2],
    curves: [Vec<CurveRow>; 2],
    takes_from_training: bool,
) -> Vec<Difference> {
    let [published, computed] = cells.map(Trial::values);
    let mut found = compared("", published, computed, of_trial);
    let [published, computed] = &curves;
    if published.len() != computed.len() {
        let count = |curve: &[CurveRow]| curve.len().to_string();
        found.push(Difference {
            of: "evaluations".into(),
            published: count(published),
            computed: count(computed),
            is_small: false,
        });
    }
    for (published, computed) in published.iter().zip(computed) {
        let place = format!("step {} ", published.point.step);
        let slack = match published.point.step {
            _ if takes_from_training => of_late,
            0 => of_start,
            1..=EARLY => of_early,
            _ => of_late,
        };
        found.extend(compared(&place, published.values(), computed.values(), slack));
    }
    found
}

/// Where two rows with the same columns differ.
fn compared(
    place: &str,
    published: Vec<(String, String)>,
    computed: Vec<(String, String)>,
    slack: fn(&str) -> Slack,
) -> Vec<Difference> {
    let mut theirs: BTreeMap<String, String> = published.into_iter().collect();
    let mut found = Vec::new();
    for (name, computed) in computed {
        let published = theirs.remove(&name).unwrap_or_default();
        if published != computed {
            let is_small = slack(&name).covers(&published, &computed);
            found.push(Difference { of: format!("{place}{name}"), published, computed, is_small });
        }
    }
    let left = theirs.into_iter().filter(|(_, published)| !published.is_empty());
    found.extend(left.map(|(name, published)| Difference {
        of: format!("{place}{name}"),
        published,
        computed: String::new(),
        is_small: false,
    }));
    found
}

/// How far a value of the row may be off.
fn of_trial(column: &str) -> Slack {
    match column {
        "best_step" | "epochs_to_90" => Slack::Any,
        "violations_after" => Slack::Relative(0.25),
        "resets" | "sign_flips" => Slack::Either(0.25, FEW),
        name if name.contains("error") => Slack::Absolute(0.15),
        _ => Slack::None,
    }
}

/// How far a value of the curve may be off, before the first step.
fn of_start(column: &str) -> Slack {
    match column {
        "validation_loss" => Slack::Relative(1e-4),
        "validation_error" => Slack::Absolute(0.005),
        _ => Slack::None,
    }
}

/// How far a value of the curve may be off, after a few steps.
fn of_early(column: &str) -> Slack {
    match column {
        "step" => Slack::None,
        "train_loss" | "validation_loss" => Slack::Relative(0.01),
        "validation_error" => Slack::Absolute(0.02),
        _ => Slack::Either(0.01, FEW),
    }
}

/// How far a value of the curve may be off, after many; what is counted by tensor is in the counts of all.
fn of_late(column: &str) -> Slack {
    match column {
        "step" => Slack::None,
        "train_loss" | "validation_loss" => Slack::Either(0.25, LITTLE),
        "validation_error" => Slack::Absolute(0.15),
        "resets" | "sign_flips" => Slack::Either(0.25, FEW),
        _ => Slack::Any,
    }
}

impl Slack {
    /// Whether one value may stand where the other does.
    fn covers(self, published: &str, computed: &str) -> bool {
        let (Ok(published), Ok(computed)) = (published.parse::<f64>(), computed.parse::<f64>())
        else {
            // Of two values one is not there: a choice that was made by nobody.
            return matches!(self, Slack::Any);
        };
        let (off, larger) = ((published - computed).abs(), published.abs().max(computed.abs()));
        match self {
            Slack::None => false,
            Slack::Any => true,
            Slack::Absolute(most) => off <= most,
            Slack::Relative(most) => off <= most * larger,
            Slack::Either(share, most) => off <= most.max(share * larger),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_values_are_held_to_more_than_late_ones_and_what_does_not_round_to_all() {
        assert!(of_start("validation_loss").covers("2.30", "2.30001"));
        assert!(!of_start("validation_loss").covers("2.30", "2.31"));
        assert!(of_early("validation_loss").covers("2.30", "2.31"));
        assert!(!of_early("validation_error").covers("0.64", "0.67"));
        assert!(of_late("validation_error").covers("0.64", "0.67"));
        assert!(of_late("train_loss").covers("0.00012", "0.00009"));
        assert!(!of_late("train_loss").covers("0.12", "0.08"));
        assert!(of_trial("test_error").covers("0.7095", "0.7835"));
        assert!(!of_trial("test_error").covers("0.5", "0.66"));
        assert!(of_trial("best_step").covers("8", "64"));
        assert!(of_trial("sign_flips").covers("3", "20"));
        for column in ["status", "steps", "test_images", "validation_images"] {
            assert!(!of_trial(column).covers("64", "65"), "{column}");
        }
        assert!(!of_trial("violations_after").covers("0", "1"), "held signs hold");
        assert!(!of_trial("test_error").covers("", "0.5"), "an error that is not there");
    }
}
