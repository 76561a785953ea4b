//! Numbers and sentences as figures write them.

use super::Results;
use super::axis::tick_text;
use super::canvas::{Align, Canvas, Point, Type};
use super::measured::{Runs, Untrained};
use super::style::{AXIS, CAPTION, MARGIN, TITLE};
use crate::results::{BySeed, Paired};
use crate::stats::Interval;

/// Height of a caption's line.
const LINE: f64 = 30.0;

/// Below this many pairs a bootstrap interval is said to be rough.
const FEW_PAIRS: usize = 10;

/// What varies between runs.
pub(super) const VARIES: &str = "Runs of one arm differ in training subset, initial weights and \
                                 batch order; arms share these seed by seed.";

/// A difference in points with its interval: `−12.3 [−15.0, −9.1]`.
pub(super) fn difference(interval: Interval) -> String {
    let Interval { estimate, low, high } = interval;
    format!("{} [{}, {}]", signed(estimate), signed(low), signed(high))
}

/// One decimal and a sign unless that shows as zero.
fn signed(value: f64) -> String {
    let sign = match (value * 10.0).round() {
        tenths if tenths > 0.0 => "+",
        tenths if tenths < 0.0 => "−",
        _ => "",
    };
    if value.is_finite() { format!("{sign}{:.1}", value.abs()) } else { format!("{sign}∞") }
}

/// The training size as a heading ends with it; nothing where no size is swept.
pub(super) fn with_samples(size: Option<f64>) -> String {
    size.map_or(String::new(), |size| format!(" with {} training samples", tick_text(size)))
}

/// What a panel of differences to the arm `baseline` shows.
pub(super) fn difference_to(baseline: &str) -> String {
    format!("difference to {}, points", AXIS.fit(baseline, 320.0))
}

/// Least and greatest of `counts`: `5`, or `4–5`.
pub(super) fn range(counts: impl Iterator<Item = usize> + Clone) -> String {
    match (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0)) {
        (least, most) if least == most => most.to_string(),
        (least, most) => format!("{least}–{most}"),
    }
}

/// What the differences are, when there is a baseline, and what differs between runs.
pub(super) fn about_runs(runs: &Runs, errors: &[Vec<BySeed>], baseline: Option<usize>) -> String {
    let mut text = String::new();
    if let Some(baseline) = baseline {
        text += "Differences: median over the seeds that both arms have, and its 95 % interval \
                 (BCa bootstrap), not tested. ";
        let counts = |at: &Vec<BySeed>| {
            let of = |arm: &BySeed| Some(Paired::new(arm, &at[baseline])?.pairs());
            at.iter().filter_map(of).min()
        };
        let least = errors.iter().filter_map(counts).min();
        if least.is_some_and(|pairs| pairs < FEW_PAIRS) {
            text += "With fewer than 10 pairs the intervals are rough. ";
        }
    }
    text + runs.about_sources() + VARIES
}

/// Which arms were not trained in runs that chose step 0, and how often; nothing when none was.
pub(super) fn about_untrained(results: &Results, runs: &Runs) -> String {
    let untrained = runs.untrained();
    let counts = results.arms.iter().enumerate().filter_map(|(arm, name)| {
        let sum = |count: fn(&Untrained) -> usize| -> usize {
            untrained.iter().map(|at| count(&at[arm])).sum()
        };
        let chose = sum(|counted| counted.runs);
        (chose > 0).then(|| format!("{name} {chose} of {}", sum(|counted| counted.of)))
    });
    match counts.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => none,
        counts => format!(
            "Untrained, since step 0 was chosen: {counts}; an arm of which at least half the runs were is \
             crossed out there. "
        ),
    }
}

/// Writes the figure's title, smaller where it is too long for one line.
pub(super) fn title(canvas: &mut Canvas, title: &str) {
    let room = canvas.width() - 2.0 * MARGIN;
    let size = TITLE.size * (room / TITLE.width(title).max(1.0)).min(1.0);
    canvas.text(title, (MARGIN, 46.0), Align::Left, Type { size, ..TITLE });
}

/// The height of `text` as a caption of `width` pixels.
pub(super) fn caption_height(text: &str, width: f64) -> f64 {
    CAPTION.wrap(text, width).len() as f64 * LINE
}

/// Writes `text` as a caption of `width` pixels from the upper left corner `at`.
pub(super) fn caption(canvas: &mut Canvas, text: &str, at: Point, width: f64) {
    for (i, line) in CAPTION.wrap(text, width).iter().enumerate() {
        canvas.text(line, (at.0, at.1 + (i as f64 + 0.5) * LINE), Align::Left, CAPTION);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_written_with_its_interval() {
        let written = |estimate, low, high| difference(Interval { estimate, low, high });
        assert_eq!(written(-12.34, -15.0, -9.06), "−12.3 [−15.0, −9.1]");
        assert_eq!(written(0.04, -0.04, 1.0), "0.0 [0.0, +1.0]");
        assert_eq!(written(2.0, f64::NEG_INFINITY, f64::INFINITY), "+2.0 [−∞, +∞]");
    }

    #[test]
    fn counts_that_differ_are_written_as_a_range() {
        assert_eq!(range([5, 5].into_iter()), "5");
        assert_eq!(range([5, 4].into_iter()), "4–5");
    }
}
