//! XOR-5D: points whose class is XOR of the signs of their first two coordinates; three are noise.
//!
//! Points come in quads, one of each group, so every set is balanced to the point. The training set
//! of a seed is an endless sequence of quads of which a set takes the beginning: the sets of one seed
//! are nested. Validation and test points come from streams of their own.
//!
//! | group | x₁ | x₂ | class |
//! | --- | --- | --- | --- |
//! | A | U − 1 | U − 1 | 1 |
//! | B | U + 0.05 | U + 0.05 | 1 |
//! | C | U − 1 | U + 0.05 | 0 |
//! | D | U + 0.05 | U − 1 | 0 |
//!
//! U is uniform in [0, 1), drawn anew each time; x₃ to x₅ are normal with mean 1 and deviation 1,
//! whatever the class. Class 1 is that of *equal* signs; (0, 0.05) is a gap on both axes.
//!
//! **Source**: *Polarity Is All You Need to Learn and Transfer Faster* (ICML 2023), section 3.1;
//! `generateXOR` in the authors' code, which draws one data set for all runs. Which networks learn from
//! the points is left to others.

use crate::random::Stream;

/// What an experiment file calls these data.
pub const NAME: &str = "xor-5d";

/// Coordinates of a point.
pub const DIMENSIONS: usize = 5;

/// Points of a quad, one a group: sizes of sets are multiples of it.
pub const QUAD: usize = 4;

/// The least positive value of x₁ and x₂.
const GAP: f32 = 0.05;

/// A point and its class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Its coordinates, the two that count first.
    pub x: [f32; DIMENSIONS],
    /// 1 where x₁ and x₂ have the same sign, else 0.
    pub class: u8,
}

/// What a set of points is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Purpose {
    Train,
    Validation,
    Test,
}

/// `count` points of `seed` for `purpose`, quad by quad in the order A, B, C, D.
///
/// # Panics
/// When `count` is no multiple of [`QUAD`].
pub fn points(seed: u64, purpose: Purpose, count: usize) -> Vec<Point> {
    assert!(count.is_multiple_of(QUAD), "{count} points are not the same number of each group");
    let name = match purpose {
        Purpose::Train => "xor/train",
        Purpose::Validation => "xor/validation",
        Purpose::Test => "xor/test",
    };
    let mut stream = Stream::new(seed, name);
    let groups = [(false, false), (true, true), (false, true), (true, false)];
    let quads = std::iter::repeat_n(groups, count / QUAD).flatten();
    quads.map(|positive| point(positive, &mut stream)).collect()
}

fn point(positive: (bool, bool), stream: &mut Stream) -> Point {
    let mut side =
        |positive| if positive { stream.uniform() + GAP } else { stream.uniform() - 1.0 };
    let (x1, x2) = (side(positive.0), side(positive.1));
    let noise = [(); 3].map(|()| (1.0 + stream.normal()) as f32);
    let x = [x1, x2, noise[0], noise[1], noise[2]];
    Point { x, class: u8::from(positive.0 == positive.1) }
}

/// The sign of an output weight that serves XOR, for a hidden unit with these input weights: + where
/// its weights from x₁ and x₂ have equal signs, − where they differ, 0 where one is 0.
///
/// **Source**: the rule of Freeze-informed (`XOR/weightFreeze.py`), as the code has it; its comment says
/// the opposite.
pub fn informed_sign(weights: &[f32; DIMENSIONS]) -> i8 {
    let sign = |weight: f32| i8::from(weight > 0.0) - i8::from(weight < 0.0);
    sign(weights[0]) * sign(weights[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(points: &[Point], keep: impl Fn(&Point) -> Option<f32>) -> Vec<f64> {
        points.iter().filter_map(keep).map(f64::from).collect()
    }

    fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let square = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        (mean, (square / values.len() as f64).sqrt())
    }

    #[test]
    fn the_class_is_one_where_the_first_two_signs_are_equal() {
        for Point { x, class } in points(3, Purpose::Train, 400) {
            assert_eq!(class == 1, x[0] * x[1] > 0.0, "{x:?}");
        }
    }

    #[test]
    fn every_quad_has_a_point_of_each_quadrant() {
        for quad in points(3, Purpose::Test, 400).chunks(QUAD) {
            let sides: Vec<_> = quad.iter().map(|p| (p.x[0] > 0.0, p.x[1] > 0.0)).collect();
            assert_eq!(sides, [(false, false), (true, true), (false, true), (true, false)]);
        }
    }

    #[test]
    fn the_two_coordinates_fill_their_intervals_and_leave_the_gap() {
        let points = points(1, Purpose::Train, 40_000);
        for axis in 0..2 {
            let below = column(&points, |p| (p.x[axis] < 0.0).then_some(p.x[axis]));
            let above = column(&points, |p| (p.x[axis] >= 0.0).then_some(p.x[axis]));
            assert_eq!((below.len(), above.len()), (20_000, 20_000));
            for (values, low, high) in [(below, -1.0, 0.0), (above, 0.05, 1.05)] {
                assert!(values.iter().all(|x| (low - 1e-6..=high + 1e-6).contains(x)));
                // Five standard errors of the mean and of the deviation of 20,000 uniform numbers.
                let (mean, deviation) = mean_and_deviation(&values);
                assert!((mean - (low + 0.5)).abs() < 0.0103, "{mean}");
                assert!((deviation - 1.0 / 12_f64.sqrt()).abs() < 0.0065, "{deviation}");
            }
        }
    }

    #[test]
    fn noise_is_normal_around_one_and_knows_no_class() {
        let points = points(2, Purpose::Validation, 40_000);
        for axis in 2..DIMENSIONS {
            for class in [0, 1] {
                let values = column(&points, |p| (p.class == class).then_some(p.x[axis]));
                let (mean, deviation) = mean_and_deviation(&values);
                // Five standard errors for 20,000 normal numbers.
                assert!((mean - 1.0).abs() < 0.036, "{mean}");
                assert!((deviation - 1.0).abs() < 0.026, "{deviation}");
            }
        }
    }

    #[test]
    fn smaller_sets_of_a_seed_are_the_beginning_of_larger_ones() {
        let [small, large] = [8, 100].map(|count| points(5, Purpose::Train, count));
        assert_eq!(small, large[..8]);
    }

    #[test]
    fn seeds_and_purposes_have_different_points() {
        let first = |seed, purpose| points(seed, purpose, 4)[0];
        assert_ne!(first(1, Purpose::Train), first(2, Purpose::Train));
        assert_ne!(first(1, Purpose::Train), first(1, Purpose::Test));
        assert_ne!(first(1, Purpose::Validation), first(1, Purpose::Test));
    }

    #[test]
    fn the_informed_sign_is_positive_where_the_relevant_weights_agree() {
        let sign = |x1, x2| informed_sign(&[x1, x2, -9.0, 9.0, 0.0]);
        assert_eq!(
            [sign(0.1, 2.0), sign(-0.1, -2.0), sign(0.1, -2.0), sign(-0.1, 2.0)],
            [1, 1, -1, -1]
        );
        assert_eq!([sign(0.0, 1.0), sign(-1.0, -0.0)], [0, 0]);
    }
}
