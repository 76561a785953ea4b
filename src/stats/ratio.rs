//! Exact shares: whole numbers over whole numbers, so that equal ones are equal.
//!
//! An error of 469 in 500 less one of 448 in 500 is 21 in 500. As floating-point numbers 0.938 − 0.896
//! and 0.042 differ in their last bit, and ranks, ties and intervals would be decided by that bit.

use super::bootstrap;
use super::hypothesis::{SignedRank, signed_rank};
use super::interval::Interval;

/// A whole number of parts of one, in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    count: i128,
    of: i128,
}

impl Ratio {
    /// `count` of `of` parts; none of no parts.
    pub fn new(count: i64, of: u64) -> Option<Self> {
        (of > 0).then(|| Ratio::reduced(count.into(), of.into()))
    }

    /// A whole number.
    pub fn whole(count: u64) -> Self {
        Ratio { count: count.into(), of: 1 }
    }

    /// The difference; none where it has too many digits.
    pub fn minus(self, other: Ratio) -> Option<Self> {
        let turned = Ratio { count: -other.count, of: other.of };
        self.plus(turned)
    }

    /// The mean of `values`; none of no values, or where it has too many digits.
    pub fn mean(values: impl IntoIterator<Item = Ratio>) -> Option<Self> {
        let mut values = values.into_iter();
        let (mut sum, mut count) = (values.next()?, 1);
        for value in values {
            sum = sum.plus(value)?;
            count += 1;
        }
        Some(Ratio::reduced(sum.count, sum.of.checked_mul(count)?))
    }

    /// The number nearest to it. Different ratios of counts below 2²⁶ have different ones.
    pub fn value(self) -> f64 {
        self.count as f64 / self.of as f64
    }

    fn plus(self, other: Ratio) -> Option<Self> {
        let [left, right] = [self.count.checked_mul(other.of)?, other.count.checked_mul(self.of)?];
        Some(Ratio::reduced(left.checked_add(right)?, self.of.checked_mul(other.of)?))
    }

    fn reduced(count: i128, of: i128) -> Self {
        let shared = common(count, of);
        Ratio { count: count / shared, of: of / shared }
    }
}

/// The greatest common divisor of `a` and of `b`, which is above 0.
fn common(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while a > 0 {
        (a, b) = (b % a, a);
    }
    b as i128
}

/// Ratios with one denominator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    counts: Vec<i64>,
    of: i64,
}

impl Counts {
    /// `values`, in their order; none where their counts would not be exact as numbers.
    pub fn new(values: &[Ratio]) -> Option<Self> {
        const EXACT: u64 = 1 << 53;
        let of = values.iter().try_fold(1, |all: i128, value| {
            all.checked_mul(value.of / common(all, value.of)).filter(|of| *of < EXACT.into())
        })?;
        let count = |value: &Ratio| {
            let count = i64::try_from(value.count.checked_mul(of / value.of)?).ok()?;
            (count.unsigned_abs() < EXACT).then_some(count)
        };
        Some(Counts { counts: values.iter().map(count).collect::<Option<_>>()?, of: of as i64 })
    }

    /// The numbers of parts, of which [`of`](Self::of) are one.
    pub fn counts(&self) -> &[i64] {
        &self.counts
    }

    /// How many parts are one.
    pub fn of(&self) -> i64 {
        self.of
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The median and its interval; none of no values.
    pub fn median(&self) -> Option<Interval> {
        let counts: Vec<f64> = self.counts.iter().map(|count| *count as f64).collect();
        Some(self.in_ones(bootstrap::median(&counts)?))
    }

    /// The mean and its interval; none of no values, or where [`bootstrap::mean`] gives none.
    pub fn mean(&self) -> Option<Interval> {
        Some(self.in_ones(bootstrap::mean(&self.counts)?))
    }

    /// [`signed_rank`] of the counts.
    pub fn signed_rank(&self) -> Option<SignedRank> {
        signed_rank(&self.counts)
    }

    fn in_ones(&self, Interval { estimate, low, high }: Interval) -> Interval {
        let of = self.of as f64;
        Interval { estimate: estimate / of, low: low / of, high: high / of }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn errors(wrong: &[i64], of: u64) -> Vec<Ratio> {
        wrong.iter().map(|wrong| Ratio::new(*wrong, of).unwrap()).collect()
    }

    fn differences(first: &[Ratio], second: &[Ratio]) -> Counts {
        let of = |(a, b): (&Ratio, &Ratio)| a.minus(*b).unwrap();
        Counts::new(&first.iter().zip(second).map(of).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn differences_of_equally_many_images_are_tied_whatever_their_last_bit() {
        assert_ne!(0.938 - 0.896, 0.042);
        let first = errors(&[469, 21, 100, 300], 500);
        let second = errors(&[448, 0, 121, 250], 500);
        let found = differences(&first, &second).signed_rank().unwrap();
        // scipy.stats.wilcoxon([21, 21, -21, 50]): three ties share the rank 2.
        assert_eq!((found.statistic, found.effect), (2.0, 0.6));
    }

    #[test]
    fn shares_of_unequal_numbers_are_compared_exactly() {
        let found = differences(&errors(&[1], 3), &errors(&[1], 6));
        assert_eq!((found.counts(), found.of()), (&[1][..], 6));
        assert_eq!(Ratio::new(2, 6), Ratio::new(1, 3));
        assert_eq!(Ratio::mean(errors(&[1, 2], 4)), Ratio::new(3, 8));
        assert_eq!(Ratio::mean([Ratio::whole(3)]).unwrap().value(), 3.0);
    }

    #[test]
    fn nothing_is_a_share_of_nothing_and_no_digit_is_lost() {
        assert_eq!((Ratio::new(0, 0), Ratio::mean([])), (None, None));
        let odd = [Ratio::new(1, (1 << 40) + 1).unwrap(), Ratio::new(1, (1 << 40) - 1).unwrap()];
        assert_eq!(Counts::new(&odd), None);
        assert!(Counts::new(&[]).unwrap().median().is_none());
    }

    proptest! {
        #[test]
        fn as_many_wrong_images_more_in_both_arms_change_nothing(
            pairs in prop::collection::vec((0..400_i64, 0..400_i64), 1..20),
            more in 0..100_i64,
        ) {
            let of = |more: i64| {
                let arm = |arm: Vec<i64>| errors(&arm, 500);
                let (first, second): (Vec<i64>, Vec<i64>) =
                    pairs.iter().map(|(a, b)| (a + more, b + more)).unzip();
                differences(&arm(first), &arm(second))
            };
            prop_assert_eq!(of(0), of(more));
            prop_assert_eq!(of(0).median(), of(more).median());
        }
    }
}
