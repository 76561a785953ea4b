//! What the numbers say of a claim.

use super::said::{Direction, Expected};
use crate::stats::Interval;

/// The level of every test of a claim.
pub(super) const LEVEL: f64 = 0.05;

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The numbers are as it says.
    Holds,
    /// The numbers are as it denies.
    DoesNotHold,
    /// Neither, and why.
    Undecided(Doubt),
}

/// Why a claim is undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// There is no pair of its cells.
    NoPairs,
    /// The interval has both what the claim says and what it denies.
    Both,
    /// Whatever the truth, the claim could not be seen to hold.
    CouldNotBeSeen,
    /// The difference is as claimed, and its adjusted p value above the level.
    Chance,
}

impl Verdict {
    /// That of `difference`, whose test came to `p_holm` after adjustment.
    ///
    /// A direction holds where p is at most 0.05 and the difference is on its side, with a margin
    /// where the whole interval is beyond it; it does not hold where the whole interval is on the other
    /// side. A bound holds where the whole interval lies within it, and does not where it lies outside.
    pub fn new(expected: Expected, difference: Interval, p_holm: f64) -> Self {
        match expected {
            Expected::Within(bound) => within(bound, difference),
            Expected::Beyond(direction, margin) => {
                let Interval { estimate, low, high } = difference;
                let towards = match direction {
                    Direction::Greater => difference,
                    Direction::Less => Interval { estimate: -estimate, low: -high, high: -low },
                };
                beyond(margin, towards, p_holm)
            }
        }
    }

    /// The verdict in words.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::DoesNotHold => "does not hold",
            Verdict::Undecided(_) => "undecided",
        }
    }

    /// Why it is none, in words.
    pub fn doubt(&self) -> Option<&'static str> {
        match self {
            Verdict::Holds | Verdict::DoesNotHold => None,
            Verdict::Undecided(doubt) => Some(match doubt {
                Doubt::NoPairs => "no pair of its cells is there",
                Doubt::Both => "the interval reaches to both sides",
                Doubt::CouldNotBeSeen => "could not be seen: the interval is wider than the margin",
                Doubt::Chance => "the adjusted p value is above 0.05",
            }),
        }
    }
}

/// Whether a difference is above `margin`.
fn beyond(margin: f64, Interval { estimate, low, high }: Interval, p_holm: f64) -> Verdict {
    let is_beyond = if margin > 0.0 { low > margin } else { estimate > 0.0 };
    match is_beyond {
        _ if high < margin => Verdict::DoesNotHold,
        true if p_holm <= LEVEL => Verdict::Holds,
        true => Verdict::Undecided(Doubt::Chance),
        false => Verdict::Undecided(Doubt::Both),
    }
}

/// Whether a difference is nearer to zero than `bound`.
fn within(bound: f64, Interval { low, high, .. }: Interval) -> Verdict {
    match () {
        () if -bound < low && high < bound => Verdict::Holds,
        () if low >= bound || high <= -bound => Verdict::DoesNotHold,
        () if (high - low) / 2.0 > bound => Verdict::Undecided(Doubt::CouldNotBeSeen),
        () => Verdict::Undecided(Doubt::Both),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interval(estimate: f64, low: f64, high: f64) -> Interval {
        Interval { estimate, low, high }
    }

    fn of(expected: Expected, [estimate, low, high]: [f64; 3], p: f64) -> Verdict {
        Verdict::new(expected, interval(estimate, low, high), p)
    }

    #[test]
    fn a_direction_holds_where_the_difference_has_it_and_chance_is_unlikely() {
        let less = Expected::Beyond(Direction::Less, 0.0);
        assert_eq!(of(less, [-3.0, -5.0, -1.0], 0.01), Verdict::Holds);
        assert_eq!(of(less, [-3.0, -5.0, -1.0], 0.06), Verdict::Undecided(Doubt::Chance));
        assert_eq!(of(less, [3.0, -1.0, 5.0], 0.01), Verdict::Undecided(Doubt::Both));
        assert_eq!(of(less, [3.0, 1.0, 5.0], 0.01), Verdict::DoesNotHold);
    }

    #[test]
    fn with_a_margin_the_whole_interval_is_beyond_it_or_on_the_other_side() {
        let greater = Expected::Beyond(Direction::Greater, 2.0);
        assert_eq!(of(greater, [4.0, 2.5, 5.0], 0.01), Verdict::Holds);
        assert_eq!(of(greater, [4.0, 1.5, 5.0], 0.01), Verdict::Undecided(Doubt::Both));
        assert_eq!(of(greater, [1.0, 0.5, 1.5], 0.01), Verdict::DoesNotHold);
    }

    #[test]
    fn a_bound_holds_inside_not_outside_and_cannot_be_seen_by_a_wider_interval() {
        let within = Expected::Within(1.0);
        assert_eq!(of(within, [0.2, -0.5, 0.9], 1.0), Verdict::Holds);
        assert_eq!(of(within, [3.0, 1.5, 4.0], 0.001), Verdict::DoesNotHold);
        assert_eq!(of(within, [0.9, 0.3, 1.4], 0.001), Verdict::Undecided(Doubt::Both));
        let wide = of(within, [0.0, -3.0, 3.0], 1.0);
        let words = "could not be seen: the interval is wider than the margin";
        assert_eq!((wide.name(), wide.doubt()), ("undecided", Some(words)));
        let unbounded = Verdict::new(within, Interval::unbounded(0.0), 1.0);
        assert_eq!(unbounded, wide);
    }

    proptest! {
        #[test]
        fn the_other_direction_of_the_turned_difference_has_the_same_verdict(
            (estimate, low, high) in (-9..9_i32, 0..9_i32, 0..9_i32),
            margin in 0..4_i32,
            p in 0.0..0.1_f64,
        ) {
            let [estimate, margin] = [estimate, margin].map(f64::from);
            let there = interval(estimate, estimate - f64::from(low), estimate + f64::from(high));
            let back = interval(-estimate, -there.high, -there.low);
            let expected = |direction| Expected::Beyond(direction, margin);
            prop_assert_eq!(
                Verdict::new(expected(Direction::Less), there, p),
                Verdict::new(expected(Direction::Greater), back, p)
            );
            let within = Expected::Within(margin.max(0.5));
            prop_assert_eq!(Verdict::new(within, there, p), Verdict::new(within, back, p));
        }
    }
}
