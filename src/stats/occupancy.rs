//! How likely it is to have seen enough different kinds: exact counts, no approximation.
//!
//! The paper's theory of XOR asks it of hidden units. A unit's *pattern* is the signs of its weights, and
//! a pattern is useful when its output sign is the product of its two relevant input signs; a network whose
//! random signs are held can represent XOR if at least [`NEEDED`] different useful patterns are among its
//! units. Counted *loosely*, with the signs of the three noise inputs, 32 of 64 patterns are useful;
//! *strictly*, without them, 4 of 8 are: units that differ in noise alone serve the same quadrant.
//!
//! The counts outgrow every machine integer (64⁶⁴ is 2³⁸⁴), but all that is done to them is adding and
//! multiplying by small numbers, which 20 lines do exactly.

/// Different useful patterns that suffice for XOR (the paper's k).
pub const NEEDED: usize = 3;

/// Useful patterns with the signs of the noise inputs counted, as the paper does; as many are useless.
pub const LOOSE: usize = 32;

/// Useful patterns without them.
pub const STRICT: usize = 4;

/// The probability that `units` independent units, each of `2 · useful` patterns with equal chance, have
/// at least [`NEEDED`] different useful ones among them; right to two units in the last place.
///
/// **Source**: the formula of the paper's appendix, here by its recurrence over units: with j different
/// useful patterns seen, the next unit brings a new one in `useful − j` ways and none in `useful + j`.
///
/// # Examples
/// ```
/// use polarity::stats::occupancy::{LOOSE, capable};
/// assert_eq!(capable(2, LOOSE), 0.0);
/// assert_eq!(capable(3, LOOSE), (32.0 * 31.0 * 30.0) / (64.0 * 64.0 * 64.0));
/// ```
pub fn capable(units: usize, useful: usize) -> f64 {
    // ways[j] counts the sequences with j different useful patterns, the last those with NEEDED or more.
    let mut ways: [Natural; NEEDED + 1] = Default::default();
    ways[0] = Natural(vec![1]);
    for _ in 0..units {
        let mut next: [Natural; NEEDED + 1] = Default::default();
        for (seen, ways) in ways.iter().enumerate() {
            if seen == NEEDED {
                next[seen].add(&ways.times(2 * useful));
                continue;
            }
            next[seen].add(&ways.times(useful + seen));
            next[seen + 1].add(&ways.times(useful.saturating_sub(seen)));
        }
        ways = next;
    }
    let mut all = Natural::default();
    ways.iter().for_each(|ways| all.add(ways));
    ways[NEEDED].over(&all)
}

/// A natural number of any size: digits to the base 2³², the lowest first, the highest not 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Natural(Vec<u32>);

impl Natural {
    fn times(&self, factor: usize) -> Natural {
        let mut product = Vec::with_capacity(self.0.len() + 1);
        let mut carry = 0;
        for &digit in &self.0 {
            carry += u64::from(digit) * factor as u64;
            product.push(carry as u32);
            carry >>= 32;
        }
        product.push(carry as u32);
        Natural::trimmed(product)
    }

    fn add(&mut self, other: &Natural) {
        let digits = self.0.len().max(other.0.len()) + 1;
        self.0.resize(digits, 0);
        let mut carry = 0;
        for (place, digit) in self.0.iter_mut().enumerate() {
            carry += u64::from(*digit) + u64::from(other.0.get(place).copied().unwrap_or(0));
            *digit = carry as u32;
            carry >>= 32;
        }
        *self = Natural::trimmed(std::mem::take(&mut self.0));
    }

    fn trimmed(mut digits: Vec<u32>) -> Natural {
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Natural(digits)
    }

    /// The quotient of two, rounded thrice.
    fn over(&self, other: &Natural) -> f64 {
        let top = self.0.len().max(other.0.len());
        self.scaled(top) / other.scaled(top)
    }

    /// The number over 2³² to the power of `digits`, from its three highest digits at most: they hold at
    /// least 65 bits.
    fn scaled(&self, digits: usize) -> f64 {
        let highest = self.0.iter().enumerate().rev().take(3).rev();
        let digit = |(place, digit): (usize, &u32)| {
            f64::from(*digit) * (-32.0 * (digits - place) as f64).exp2()
        };
        highest.map(digit).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by trying all sequences of `units` patterns, the first `useful` of which are useful.
    fn enumerated(units: u32, useful: usize) -> f64 {
        let patterns = 2 * useful;
        let is_capable = |sequence: usize| {
            let mut seen = 0_u64;
            let mut rest = sequence;
            for _ in 0..units {
                seen |= u64::from(rest % patterns < useful) << (rest % patterns);
                rest /= patterns;
            }
            seen.count_ones() as usize >= NEEDED
        };
        let all = patterns.pow(units);
        (0..all).filter(|sequence| is_capable(*sequence)).count() as f64 / all as f64
    }

    #[test]
    fn small_networks_are_as_enumerated() {
        for (useful, most) in [(STRICT, 6), (LOOSE, 3), (2, 5), (3, 6)] {
            for units in 0..=most {
                approx::assert_relative_eq!(
                    capable(units as usize, useful),
                    enumerated(units, useful),
                    max_relative = 1e-15
                );
            }
        }
    }

    // from fractions import Fraction as F; from math import comb
    // def P(n, m):
    //     q = lambda j, m_: M**n if j == 0 else comb(m_, j) * ((M + j)**n - sum(q(p, j) for p in range(j)))
    //     M = m; return float(1 - F(sum(q(j, m) for j in range(3)), (2 * m)**n))
    // [P(n, m) for n, m in ((4, 32), (10, 32), (30, 32), (64, 32), (4, 4), (10, 4), (64, 4))]
    #[test]
    fn wide_networks_are_as_the_papers_formula_has_it() {
        for (units, useful, expected) in EXPECTED {
            approx::assert_relative_eq!(capable(units, useful), expected, max_relative = 1e-15);
        }
    }

    const EXPECTED: [(usize, usize, f64); 7] = [
        (4, 32, 0.2891349792480469),
        (10, 32, 0.9330752383980299),
        (30, 32, 0.9999989700832502),
        (64, 32, 0.999999999999999),
        (4, 4, 0.134765625),
        (10, 4, 0.7319488003849983),
        (64, 4, 0.9999999394565519),
    ];

    #[test]
    fn wider_networks_are_likelier_to_be_capable_and_the_strict_count_less_so() {
        for useful in [LOOSE, STRICT] {
            let by_width: Vec<f64> = (0..=64).map(|units| capable(units, useful)).collect();
            assert!(by_width.windows(2).all(|pair| pair[0] <= pair[1]));
            assert!(by_width[64] > 1.0 - 1e-6 && by_width[64] <= 1.0);
        }
        assert!((3..30).all(|units| capable(units, STRICT) < capable(units, LOOSE)));
    }
}
