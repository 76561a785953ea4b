//! An axis: which numbers it spans, how they are spaced, and where its ticks stand.

/// How numbers are spaced along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; for numbers above 0.
    Log,
    /// By log(1 + number / unit), so that 0 has a place and takes no more room than its neighbours; for
    /// numbers from 0.
    LogFrom(f64),
}

impl Scale {
    fn spaced(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.ln(),
            Scale::LogFrom(unit) => (value / unit).ln_1p(),
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
    /// What is written at the ticks, where that is not their number.
    pub(super) names: Vec<String>,
}

impl Axis {
    fn new(scale: Scale, [low, high]: [f64; 2], ticks: Vec<f64>) -> Axis {
        Axis { scale, low, high, ticks, names: vec![] }
    }

    /// An even axis that holds the finite ones of `values`, with about `count` steps from tick to tick. It
    /// ends with the values where that is near the last tick, else with the next tick, so that no part
    /// of it longer than half a step is without a number.
    pub(super) fn linear(values: impl IntoIterator<Item = f64>, count: usize) -> Axis {
        let (low, high) = extent(values);
        let (low, high) = if high > low { (low, high) } else { (low - 1.0, high + 1.0) };
        let step = round_step((high - low) / count.max(1) as f64);
        let end = |value: f64, outward: f64| {
            // In steps, outward from 0; an end that misses a tick by a rounding error is on it.
            let steps = outward * value / step - 1e-9;
            if steps - steps.floor() > 0.5 { outward * steps.ceil() * step } else { value }
        };
        let (low, high) = (end(low, -1.0), end(high, 1.0));
        let (first, last) =
            ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        let ticks = (first..=last).map(|multiple| multiple as f64 * step).collect();
        Axis::new(Scale::Linear, [low, high], ticks)
    }

    /// The same for percentages, which end at 0 and 100.
    pub(super) fn percent(values: impl IntoIterator<Item = f64>, count: usize) -> Axis {
        let Axis { scale, low, high, mut ticks, names } = Axis::linear(values, count);
        ticks.retain(|tick| (0.0..=100.0).contains(tick));
        Axis { scale, low: low.max(0.0), high: high.min(100.0), ticks, names }
    }

    /// An axis of training sizes, with a tick at each. A single size has no length of its own on a
    /// logarithmic axis and stands between its half and its double.
    pub(super) fn sizes(sizes: &[f64]) -> Axis {
        let (low, high) = extent(sizes.iter().copied());
        let ratio = if high > low { 1.0 } else { 2.0 };
        Axis::new(Scale::Log, [low / ratio, high * ratio], sizes.to_vec())
    }

    /// An axis of things that are no numbers, side by side: the first between 0 and 1, the next between
    /// 1 and 2.
    pub(super) fn groups(names: Vec<String>) -> Axis {
        let count = names.len();
        let middles = (0..count).map(|place| place as f64 + 0.5).collect();
        Axis { names, ..Axis::new(Scale::Linear, [0.0, count.max(1) as f64], middles) }
    }

    /// An axis of rows that are placed by hand, without ticks.
    pub(super) fn rows() -> Axis {
        Axis::new(Scale::Linear, [0.0, 1.0], vec![])
    }

    /// An axis of `steps`, rising, with a tick at each: spaced by the logarithm of one more than the step
    /// in units of the first above 0, so that what lies before that takes no more room than it has
    /// measurements.
    pub(super) fn steps(steps: &[f64]) -> Axis {
        let (low, high) = extent(steps.iter().copied());
        let high = if high > low { high } else { low + 1.0 };
        Axis::new(Scale::LogFrom(unit(steps)), [low, high], steps.to_vec())
    }

    /// An axis of counts from 0, with ticks at 0, 1, 10, 100, ….
    pub(super) fn counts(values: impl IntoIterator<Item = f64>) -> Axis {
        let high = extent(values).1.max(1.0);
        let decades = (0..).map(|power| 10.0_f64.powi(power)).take_while(|tick| *tick <= high);
        let ticks = std::iter::once(0.0).chain(decades).collect();
        Axis::new(Scale::LogFrom(1.0), [0.0, high], ticks)
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

    /// What is written at the tick at `place`.
    pub(super) fn tick_name(&self, place: usize) -> String {
        self.names.get(place).cloned().unwrap_or_else(|| tick_text(self.ticks[place]))
    }
}

/// The first of `steps` above 0, by which they are spaced; 1 where there is none.
pub(super) fn unit(steps: &[f64]) -> f64 {
    steps.iter().copied().find(|step| *step > 0.0).unwrap_or(1.0)
}

/// The least and the greatest finite value; 0 and 0 when there is none.
fn extent(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite
        .map(|value| (value, value))
        .reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
        .unwrap_or((0.0, 0.0))
}

/// The nearest to `rough` of 1, 2 or 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10.0_f64.powi(rough.log10().floor() as i32);
    let apart = |step: &f64| (step / rough).max(rough / step);
    [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .min_by(|a, b| apart(a).total_cmp(&apart(b)))
        .expect("there are four steps to choose from")
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
    fn an_even_axis_cuts_nothing_and_has_numbers_as_far_as_it_goes() {
        let axis = Axis::linear([0.0, 0.5, 93.0], 5);
        assert_eq!((axis.ticks, axis.high), (vec![0.0, 20.0, 40.0, 60.0, 80.0, 100.0], 100.0));
        let axis = Axis::linear([20.0, 83.0], 3);
        assert_eq!((axis.ticks, axis.low, axis.high), (vec![20.0, 40.0, 60.0, 80.0], 20.0, 83.0));
        // What the differences of a layer looked like: half of them below 0, and no tick there.
        assert_eq!(Axis::linear([-4.6, 9.1, 0.0], 3).ticks, [-5.0, 0.0, 5.0, 10.0]);
        for values in [[-4.6, 9.1], [-61.0, -47.0], [-0.24, 0.3], [1e-3, 7e5]] {
            let axis = Axis::linear(values, 3);
            assert!(values.iter().all(|value| axis.holds(*value)), "{axis:?}");
            assert!(axis.ticks.iter().all(|tick| axis.holds(*tick)), "{axis:?}");
        }
    }

    #[test]
    fn an_axis_has_room_for_one_value_and_for_none() {
        for values in [vec![3.0, 3.0], vec![], vec![f64::NAN]] {
            let axis = Axis::linear(values, 5);
            assert!(axis.low < axis.high && axis.ticks.len() >= 2, "{axis:?}");
        }
        assert_eq!(Axis::percent([100.0], 5).high, 100.0);
        let axis = Axis::steps(&[]);
        assert!(axis.low < axis.high, "{axis:?}");
    }

    #[test]
    fn equal_factors_are_equal_lengths_on_a_log_axis() {
        let axis = Axis::sizes(&[100.0, 1000.0, 10_000.0]);
        let length = |a, b| axis.share(b) - axis.share(a);
        let (first, second) = (length(100.0, 1000.0), length(1000.0, 10_000.0));
        approx::assert_abs_diff_eq!(first, second, epsilon = 1e-12);
    }

    #[test]
    fn a_single_size_stands_in_the_middle() {
        let axis = Axis::sizes(&[60.0]);
        approx::assert_abs_diff_eq!(axis.share(60.0), 0.5, epsilon = 1e-12);
        assert_eq!((axis.low, axis.high, axis.ticks), (30.0, 120.0, vec![60.0]));
    }

    #[test]
    fn things_side_by_side_are_written_by_name_in_the_middle_of_equal_parts() {
        let axis = Axis::groups(vec!["50".into(), "6000".into()]);
        assert_eq!((axis.share(axis.ticks[0]), axis.share(axis.ticks[1])), (0.25, 0.75));
        assert_eq!([axis.tick_name(0), axis.tick_name(1)], ["50", "6000"]);
    }

    #[test]
    fn every_step_has_a_tick_and_none_takes_most_of_the_axis() {
        for steps in [
            &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0][..],
            &[0.0, 15.0, 30.0, 50.0, 75.0, 100.0, 150.0],
            &[0.0, 8.0, 16.0, 24.0, 32.0, 48.0, 64.0],
            &[15.0, 30.0, 50.0, 75.0, 100.0, 150.0],
        ] {
            let axis = Axis::steps(steps);
            assert_eq!(axis.ticks, steps);
            assert_eq!((axis.share(steps[0]), axis.share(steps[steps.len() - 1])), (0.0, 1.0));
            let widest = steps.windows(2).map(|pair| axis.share(pair[1]) - axis.share(pair[0]));
            let widest = widest.fold(0.0, f64::max);
            assert!(widest < 0.36, "{steps:?}: {widest}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        let texts = [0.0, -2.5, 0.30000000000000004, 6000.0, 25_000.0].map(tick_text);
        assert_eq!(texts, ["0", "−2.5", "0.3", "6000", "25,000"]);
    }
}
