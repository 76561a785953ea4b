//! How likely it is to have seen enough different kinds.
//!
//! The paper's theory of XOR asks it of hidden units. A unit's *pattern* is the signs of its weights, and
//! a pattern is useful when its output sign is the product of its two relevant input signs; a network whose
//! random signs are held can represent XOR if at least [`NEEDED`] different useful patterns are among its
//! units. Counted *loosely*, with the signs of the three noise inputs, 32 of 64 patterns are useful;
//! *strictly*, without them, 4 of 8 are: units that differ in noise alone serve the same quadrant.

/// Different useful patterns that suffice for XOR (the paper's k).
pub const NEEDED: usize = 3;

/// Useful patterns with the signs of the noise inputs counted, as the paper does; as many are useless.
pub const LOOSE: usize = 32;

/// Useful patterns without them.
pub const STRICT: usize = 4;

/// The probability that `units` independent units, each of `2 · useful` patterns with equal chance, have
/// at least [`NEEDED`] different useful ones among them.
///
/// All that is done is adding and multiplying what is not negative, so nothing cancels: right to 10⁻¹⁴ of
/// its value up to 64 units.
///
/// **Source**: the formula of the paper's appendix, here by its recurrence over units: with j different
/// useful patterns seen, the next unit brings a new one in `useful − j` ways of `2 · useful` and none in
/// `useful + j`.
///
/// # Examples
/// ```
/// use polarity::stats::occupancy::{LOOSE, capable};
/// assert_eq!(capable(2, LOOSE), 0.0);
/// assert_eq!(capable(3, LOOSE), (32.0 * 31.0 * 30.0) / (64.0 * 64.0 * 64.0));
/// ```
pub fn capable(units: usize, useful: usize) -> f64 {
    let share = |ways: usize| ways as f64 / (2 * useful) as f64;
    // chances[j] is that of j different useful patterns, the last that of NEEDED or more.
    let mut chances = [0.0; NEEDED + 1];
    chances[0] = 1.0;
    for _ in 0..units {
        let mut next = [0.0; NEEDED + 1];
        for seen in 0..NEEDED {
            next[seen] += chances[seen] * share(useful + seen);
            next[seen + 1] += chances[seen] * share(useful.saturating_sub(seen));
        }
        next[NEEDED] += chances[NEEDED];
        chances = next;
    }
    chances[NEEDED].min(1.0)
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
                    max_relative = 1e-14
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
            approx::assert_relative_eq!(capable(units, useful), expected, max_relative = 1e-14);
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
