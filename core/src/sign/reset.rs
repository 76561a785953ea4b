//! What a violator becomes: the four reset rules, and the plain projection that applies one.
//!
//! A violator is a weight with `weight × sign < 0`, strictly: zero is none, nor is a free weight,
//! nor NaN. The projection replaces every violator by the reset rule and leaves every other
//! weight's bits alone. [`project`] is the plain version, written to be read; the fast kernels of
//! `optim` are tested against it.
//!
//! Source: *Polarity Is All You Need to Learn and Transfer Faster* (ICML 2023), the reset of
//! Freeze-SGD; `check_polarity` in the authors' code, whose names stand beside each rule.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::mask::SignMask;
use crate::random::Stream;

/// The new value of a violator.
///
/// In files it is `zero`, `flip`, `{uniform: 0.001}` or `{constant: 0.001}`.
///
/// ```
/// use polarity_core::sign::Reset;
///
/// assert_eq!(Reset::uniform(0.001)?, Reset::default());
/// let error = Reset::constant(-0.1).unwrap_err().to_string();
/// assert_eq!(error, "constant: expected a finite number above 0, got `-0.1`");
/// # Ok::<(), polarity_core::sign::InvalidMagnitude>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Reset {
    /// 0, from where the optimizer may move it again (`zero`).
    Zero,
    /// The same magnitude on the right side of zero (`flip`).
    Flip,
    /// A magnitude drawn uniformly from [0, this) (`posRand`).
    Uniform(Magnitude),
    /// This magnitude (`posCon`).
    Constant(Magnitude),
}

/// A number that a reset rule may put on the right side of zero: finite and above 0. Any other
/// would leave violators, or weights that are no numbers.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Magnitude(f32);

/// A number that is no [`Magnitude`].
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{what}: expected a finite number above 0, got `{got}`")]
pub struct InvalidMagnitude {
    /// The rule that was to have it.
    what: &'static str,
    got: f32,
}

impl Magnitude {
    /// The magnitude `value`.
    ///
    /// # Errors
    /// When it is not finite and above 0.
    pub const fn new(value: f32) -> Result<Self, InvalidMagnitude> {
        Self::of("magnitude", value)
    }

    const fn of(what: &'static str, got: f32) -> Result<Self, InvalidMagnitude> {
        if got.is_finite() && got > 0.0 {
            Ok(Magnitude(got))
        } else {
            Err(InvalidMagnitude { what, got })
        }
    }

    /// The number, which is finite and above 0.
    #[inline(always)]
    pub const fn get(self) -> f32 {
        self.0
    }
}

impl TryFrom<f32> for Magnitude {
    type Error = InvalidMagnitude;

    fn try_from(value: f32) -> Result<Self, InvalidMagnitude> {
        Self::new(value)
    }
}

impl fmt::Display for Magnitude {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Default for Reset {
    /// The rule of all the paper's main results, uniform in [0, 0.001).
    fn default() -> Self {
        Reset::Uniform(Magnitude(1e-3))
    }
}

impl Reset {
    /// The rule that draws a magnitude uniformly from [0, `max`).
    ///
    /// # Errors
    /// When `max` is not finite and above 0.
    pub fn uniform(max: f32) -> Result<Self, InvalidMagnitude> {
        Magnitude::of("uniform", max).map(Reset::Uniform)
    }

    /// The rule that always gives `magnitude`.
    ///
    /// # Errors
    /// When `magnitude` is not finite and above 0.
    pub fn constant(magnitude: f32) -> Result<Self, InvalidMagnitude> {
        Magnitude::of("constant", magnitude).map(Reset::Constant)
    }

    /// What a violator of value `weight` becomes, where its weight must have `sign` (1 or −1).
    /// `draw` is a uniform number in [0, 1), which only the uniform rule looks at.
    pub fn apply(self, weight: f32, sign: f32, draw: f32) -> f32 {
        match self {
            Reset::Zero => 0.0,
            Reset::Flip => sign * weight.abs(),
            Reset::Uniform(max) => sign * (max.get() * draw),
            Reset::Constant(magnitude) => sign * magnitude.get(),
        }
    }

    /// Whether the rule needs a random number for each violator.
    pub fn is_random(self) -> bool {
        matches!(self, Reset::Uniform(_))
    }
}

/// Replaces every violator of `mask` among `weights` by the reset rule, and gives back how many
/// there were. No violator is left; all other weights keep their bits.
///
/// The uniform rule draws one number for each violator, in order; the other rules draw none.
///
/// # Panics
/// When there are more or fewer weights than the mask has entries.
pub fn project(weights: &mut [f32], mask: &SignMask, reset: Reset, stream: &mut Stream) -> usize {
    assert_eq!(weights.len(), mask.len(), "weights beside a mask of another length");
    let mut resets = 0;
    for (weight, sign) in weights.iter_mut().zip(mask.iter().map(f32::from)) {
        if *weight * sign < 0.0 {
            let draw = if reset.is_random() { stream.uniform() } else { 0.0 };
            *weight = reset.apply(*weight, sign, draw);
            resets += 1;
        }
    }
    resets
}

impl fmt::Display for Reset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reset::Zero => write!(out, "zero"),
            Reset::Flip => write!(out, "flip"),
            Reset::Uniform(max) => write!(out, "uniform({max})"),
            Reset::Constant(magnitude) => write!(out, "constant({magnitude})"),
        }
    }
}

/// A rule as files spell it. A derived enum would not do: what it says of a misspelt rule names no
/// legal spelling.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Written {
    Word(String),
    Uniform { uniform: f32 },
    Constant { constant: f32 },
    Other(Value),
}

impl From<Reset> for Written {
    fn from(reset: Reset) -> Self {
        match reset {
            Reset::Zero => Written::Word("zero".to_string()),
            Reset::Flip => Written::Word("flip".to_string()),
            Reset::Uniform(max) => Written::Uniform { uniform: max.get() },
            Reset::Constant(magnitude) => Written::Constant { constant: magnitude.get() },
        }
    }
}

impl TryFrom<Written> for Reset {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let got = match written {
            Written::Uniform { uniform } => {
                return Reset::uniform(uniform).map_err(|error| error.to_string());
            }
            Written::Constant { constant } => {
                return Reset::constant(constant).map_err(|error| error.to_string());
            }
            Written::Word(word) => match word.as_str() {
                "zero" => return Ok(Reset::Zero),
                "flip" => return Ok(Reset::Flip),
                _ => word,
            },
            Written::Other(value) => value.to_string(),
        };
        Err(format!(
            "expected `zero`, `flip`, `{{uniform: NUMBER}}` or `{{constant: NUMBER}}`, got `{got}`"
        ))
    }
}

/// Every rule, for tests that walk them.
#[cfg(test)]
pub(crate) const RULES: [Reset; 4] =
    [Reset::Zero, Reset::Flip, Reset::Uniform(Magnitude(1e-3)), Reset::Constant(Magnitude(1e-3))];

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn stream() -> Stream {
        Stream::new(5, "test")
    }

    fn weight() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => -1.0..1.0_f32,
            1 => any::<f32>(),
            1 => prop::sample::select(vec![
                0.0, -0.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY,
                1e-45, -1e-45, f32::MAX, f32::MIN,
            ]),
        ]
    }

    #[test]
    fn each_rule_gives_its_own_value() {
        let mask = SignMask::from_signs(&[1, -1, 0]);
        let after = |rule| {
            let mut weights = [-0.5, 0.25, -0.125];
            assert_eq!(project(&mut weights, &mask, rule, &mut stream()), 2);
            weights
        };
        assert_eq!(after(Reset::Zero), [0.0, 0.0, -0.125]);
        assert_eq!(after(Reset::Flip), [0.5, -0.25, -0.125]);
        assert_eq!(after(Reset::constant(0.01).unwrap()), [0.01, -0.01, -0.125]);
        let [first, second, free] = after(Reset::uniform(0.01).unwrap());
        assert!(
            (0.0..0.01).contains(&first) && (-0.01..=0.0).contains(&second),
            "{first} {second}"
        );
        assert_eq!(free, -0.125);
    }

    #[test]
    fn the_uniform_rule_fills_its_interval_and_never_reaches_the_end() {
        let largest = Stream::new(0, "test").uniform().max(1.0 - 1.0 / (1 << 24) as f32);
        for max in [1e-3, 1.0, 3.0, f32::MAX] {
            assert!(Reset::uniform(max).unwrap().apply(-1.0, 1.0, largest) < max);
        }
        let mut weights = vec![-1.0; 10_000];
        let mask = SignMask::from_signs(&[1; 10_000]);
        project(&mut weights, &mask, Reset::uniform(0.5).unwrap(), &mut stream());
        let mean = weights.iter().sum::<f32>() / 10_000.0;
        // Five standard errors of the mean of 10,000 uniform numbers in [0, 0.5).
        assert!((mean - 0.25).abs() < 0.0073, "{mean}");
    }

    #[test]
    fn flipping_negative_infinity_gives_infinity() {
        assert_eq!(Reset::Flip.apply(f32::NEG_INFINITY, 1.0, 0.0), f32::INFINITY);
    }

    #[test]
    fn only_the_uniform_rule_draws() {
        for rule in RULES {
            let (mut used, mut unused) = (stream(), stream());
            project(&mut [-1.0, 1.0], &SignMask::from_signs(&[1, 1]), rule, &mut used);
            assert_eq!(used.bits() != unused.bits(), rule.is_random(), "{rule}");
        }
    }

    #[test]
    fn every_rule_is_read_as_it_is_written() {
        let spelled = ["zero", "flip", "{uniform: 0.001}", "{constant: 0.001}"];
        for (rule, spelled) in RULES.into_iter().zip(spelled) {
            assert_eq!(serde_yaml::from_str::<Reset>(spelled).unwrap(), rule);
            let yaml = serde_yaml::to_string(&rule).unwrap();
            assert_eq!(serde_yaml::from_str::<Reset>(&yaml).unwrap(), rule, "{yaml}");
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<Reset>(&json).unwrap(), rule, "{json}");
        }
        assert_eq!(serde_json::to_string(&Reset::default()).unwrap(), r#"{"uniform":0.001}"#);
        assert_eq!(serde_yaml::from_str::<Reset>("{uniform: 1}").ok(), Reset::uniform(1.0).ok());
    }

    #[test]
    fn a_magnitude_that_is_not_finite_and_above_zero_is_refused_with_the_legal_range() {
        for magnitude in ["0", "-0.1", ".inf", ".nan", "1e60"] {
            for rule in ["uniform", "constant"] {
                let yaml = format!("{{{rule}: {magnitude}}}");
                let error = serde_yaml::from_str::<Reset>(&yaml).unwrap_err().to_string();
                let expected = format!("{rule}: expected a finite number above 0, got `");
                assert!(error.contains(&expected), "{yaml}: {error}");
            }
        }
    }

    #[test]
    fn a_rule_with_a_magnitude_that_would_leave_violators_cannot_be_made() {
        for wrong in [-0.1, -f32::MIN_POSITIVE, 0.0, -0.0, f32::NAN, f32::INFINITY, f32::MIN] {
            let words = format!("expected a finite number above 0, got `{wrong}`");
            let said = |error: InvalidMagnitude| error.to_string();
            assert_eq!(Magnitude::new(wrong).map_err(said), Err(format!("magnitude: {words}")));
            assert_eq!(
                Magnitude::try_from(wrong).map_err(said),
                Err(format!("magnitude: {words}"))
            );
            assert_eq!(Reset::uniform(wrong).map_err(said), Err(format!("uniform: {words}")));
            assert_eq!(Reset::constant(wrong).map_err(said), Err(format!("constant: {words}")));
        }
        for legal in [1e-45, f32::MIN_POSITIVE, 1e-3, f32::MAX] {
            assert_eq!(Magnitude::new(legal).map(Magnitude::get), Ok(legal));
        }
    }

    #[test]
    fn a_drawn_magnitude_that_rounds_to_zero_is_no_violator() {
        let tiny = Reset::uniform(1e-45).unwrap();
        let mut weights = [-1.0, 1.0];
        let mask = SignMask::from_signs(&[1, -1]);
        assert_eq!(project(&mut weights, &mask, tiny, &mut stream()), 2);
        assert_eq!(mask.violators(&weights), 0);
    }

    #[test]
    fn anything_else_is_refused_with_the_legal_spellings() {
        let wrong =
            ["uniform", "Zero", "{}", "{zero: 1}", "{uniform: 1, constant: 1}", "[flip]", "3"];
        for yaml in wrong {
            let error = serde_yaml::from_str::<Reset>(yaml).unwrap_err().to_string();
            assert!(error.contains("`{uniform: NUMBER}`"), "{yaml}: {error}");
            assert!(error.contains(", got `"), "{yaml}: {error}");
        }
    }

    #[test]
    fn the_default_is_the_rule_of_the_paper() {
        assert_eq!(Reset::default().to_string(), "uniform(0.001)");
    }

    proptest! {
        #[test]
        fn projection_leaves_no_violator_and_touches_nothing_else(
            entries in vec((-1..=1_i8, weight()), 0..200),
        ) {
            let (signs, before): (Vec<i8>, Vec<f32>) = entries.into_iter().unzip();
            let mask = SignMask::from_signs(&signs);
            for rule in RULES {
                let mut after = before.clone();
                let resets = project(&mut after, &mask, rule, &mut stream());
                prop_assert_eq!(resets, mask.violators(&before), "{}", rule);
                prop_assert_eq!(mask.violators(&after), 0, "{}", rule);
                for ((before, after), sign) in before.iter().zip(&after).zip(&signs) {
                    let violates = *before * f32::from(*sign) < 0.0;
                    if !violates {
                        prop_assert_eq!(before.to_bits(), after.to_bits(), "{}", rule);
                    }
                }
            }
        }

        #[test]
        fn projecting_twice_is_projecting_once(entries in vec((-1..=1_i8, weight()), 0..200)) {
            let (signs, before): (Vec<i8>, Vec<f32>) = entries.into_iter().unzip();
            let mask = SignMask::from_signs(&signs);
            for rule in RULES {
                let mut weights = before.clone();
                project(&mut weights, &mask, rule, &mut stream());
                let once: Vec<u32> = weights.iter().map(|weight| weight.to_bits()).collect();
                prop_assert_eq!(project(&mut weights, &mask, rule, &mut stream()), 0);
                let twice: Vec<u32> = weights.iter().map(|weight| weight.to_bits()).collect();
                prop_assert_eq!(once, twice, "{}", rule);
            }
        }
    }
}
