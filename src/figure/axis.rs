//! An axis: which numbers it spans, how they are spaced, and where its ticks stand.

use crate::stats::Interval;
use crate::stats::quantile::quantile;

/// How numbers are spaced along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; for numbers above 0.
    Log,
    /// By the logarithm of one more than the number, so that 0 has a place; for numbers from 0.
    LogOnePlus,
}

impl Scale {
    fn spaced(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.ln(),
            Scale::LogOnePlus => value.ln_1p(),
        }
    }
}

/// The numbers from `low` to `high`, spaced by a scale, with a tick at some of them.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// An even axis over the finite ones of `values` with a margin, and about `count` ticks at
    /// round numbers.
    pub(super) fn linear(values: impl IntoIterator<Item = f64>, count: usize) -> Axis {
        let (low, high) = extent(values);
        let margin = if high > low { (high - low) * 0.05 } else { 1.0 };
        let (low, high) = (low - margin, high + margin);
        Axis { scale: Scale::Linear, low, high, ticks: round_ticks(low, high, count) }
    }

    /// The same for percentages, which end at 0 and 100.
    pub(super) fn percent(values: impl IntoIterator<Item = f64>, count: usize) -> Axis {
        let axis = Axis::linear(values, count);
        let (low, high) = (axis.low.max(0.0), axis.high.min(100.0));
        Axis { low, high, ticks: round_ticks(low, high, count), ..axis }
    }

    /// An axis of training sizes, with a tick at each and a margin of `margin` of its length. A single
    /// size has no length of its own on a logarithmic axis and stands between its half and its double.
    pub(super) fn sizes(sizes: &[f64], margin: f64) -> Axis {
        let (low, high) = extent(sizes.iter().copied());
        let ratio = if high > low { (high / low).powf(margin) } else { 2.0 };
        Axis { scale: Scale::Log, low: low / ratio, high: high * ratio, ticks: sizes.to_vec() }
    }

    /// An axis of steps from 0 to `last`, with ticks at 0, 1, 2, 5, 10, 20, …, or at 0, 1, 10, 100, …
    /// where the former would be too many.
    pub(super) fn steps(last: f64) -> Axis {
        const MANY: f64 = 1000.0;
        let last = last.max(1.0);
        let factors: &[f64] = if last > MANY { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = (0..).map(|power| 10.0_f64.powi(power));
        let round = decades.flat_map(|ten| factors.iter().map(move |factor| factor * ten));
        let ticks = std::iter::once(0.0).chain(round.take_while(|tick| *tick <= last)).collect();
        Axis { scale: Scale::LogOnePlus, low: 0.0, high: last, ticks }
    }

    /// Where `value` stands between the ends, 0 at `low` and 1 at `high`.
    pub(super) fn share(&self, value: f64) -> f64 {
        let [low, high, value] = [self.low, self.high, value].map(|v| self.scale.spaced(v));
        (value - low) / (high - low)
    }

    /// Whether `value` is between the ends.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The ends of `intervals` that an axis of differences should reach: all estimates, and the ends that
/// are not far out beyond the others, so that one long interval does not press the rest together.
pub(super) fn near_ends(intervals: impl IntoIterator<Item = Interval>) -> Vec<f64> {
    const FAR: f64 = 2.5;
    let intervals: Vec<Interval> = intervals.into_iter().collect();
    let ends = || intervals.iter().flat_map(|i| [i.low, i.high]).filter(|end| end.is_finite());
    let sizes: Vec<f64> = ends().map(f64::abs).collect();
    let far = FAR * quantile(&sizes, 0.85).unwrap_or(0.0);
    let near = ends().filter(|end| end.abs() <= far);
    near.chain(intervals.iter().map(|interval| interval.estimate)).chain([0.0]).collect()
}

/// The least and the greatest finite value; 0 and 0 when there is none.
fn extent(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite
        .map(|value| (value, value))
        .reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
        .unwrap_or((0.0, 0.0))
}

/// The multiples of 1, 2 or 5 times a power of ten in [low, high], about `count` of them.
fn round_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count.max(1) as f64;
    let power = 10.0_f64.powi(rough.log10().floor() as i32);
    let apart = |step: &f64| (step / rough).max(rough / step);
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .min_by(|a, b| apart(a).total_cmp(&apart(b)))
        .expect("there are four steps to choose from");
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|multiple| multiple as f64 * step).collect()
}

/// A tick's number: no more decimals than it has, a true minus, and thousands set apart.
pub(super) fn tick_text(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    let text = rounded.abs().to_string();
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(w, r)| (w, Some(r)));
    let mut out = String::from(if rounded < 0.0 { "−" } else { "" });
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 && whole.len() > 4 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(rest) = rest {
        out.push('.');
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(round_ticks(0.0, 90.0, 5), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(
            round_ticks(-0.24, 0.31, 6),
            [-0.2, -0.1, 0.0, 0.1, 0.2, 0.3_f64].map(|tick| (tick * 10.0_f64).round() * 0.1)
        );
        assert_eq!(Axis::steps(60.0).ticks, [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(Axis::steps(2000.0).ticks, [0.0, 1.0, 10.0, 100.0, 1000.0]);
    }

    #[test]
    fn one_long_interval_does_not_press_the_others_together() {
        let interval = |estimate, low, high| Interval { estimate, low, high };
        let mut intervals = vec![interval(1.0, -2.0, 3.0); 9];
        intervals.push(interval(4.0, -1.0, 80.0));
        intervals.push(interval(0.5, f64::NEG_INFINITY, f64::INFINITY));
        let ends = near_ends(intervals);
        assert!(ends.contains(&4.0) && ends.contains(&-2.0) && !ends.contains(&80.0), "{ends:?}");
        assert_eq!(near_ends([]), [0.0]);
    }

    #[test]
    fn an_axis_has_room_for_one_value_and_for_none() {
        for values in [vec![3.0, 3.0], vec![], vec![f64::NAN]] {
            let axis = Axis::linear(values, 5);
            assert!(axis.low < axis.high && axis.ticks.len() >= 2, "{axis:?}");
        }
    }

    #[test]
    fn equal_factors_are_equal_lengths_on_a_log_axis() {
        let axis = Axis::sizes(&[100.0, 1000.0, 10_000.0], 0.05);
        let length = |a, b| axis.share(b) - axis.share(a);
        let (first, second) = (length(100.0, 1000.0), length(1000.0, 10_000.0));
        approx::assert_abs_diff_eq!(first, second, epsilon = 1e-12);
    }

    #[test]
    fn a_single_size_stands_in_the_middle() {
        let axis = Axis::sizes(&[60.0], 0.04);
        approx::assert_abs_diff_eq!(axis.share(60.0), 0.5, epsilon = 1e-12);
        assert_eq!((axis.low, axis.high, axis.ticks), (30.0, 120.0, vec![60.0]));
    }

    #[test]
    fn early_steps_have_room_and_step_zero_has_a_place() {
        let axis = Axis::steps(160.0);
        assert_eq!((axis.share(0.0), axis.share(160.0)), (0.0, 1.0));
        assert!(axis.share(5.0) > 0.3);
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        let texts = [0.0, -2.5, 0.30000000000000004, 6000.0, 25_000.0].map(tick_text);
        assert_eq!(texts, ["0", "−2.5", "0.3", "6000", "25,000"]);
    }
}
