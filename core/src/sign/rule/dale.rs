//! Dale's law: all weights that leave one unit have one sign.
//!
//! A unit is excitatory or inhibitory, and so are all its synapses. A layer's weight is
//! `[post, pre, …]` in PyTorch, so a presynaptic unit is a *column* (dimension 1); where a library
//! keeps `[pre, post]`, as transposed convolutions do, it is a *row* (dimension 0). Dimensions after
//! the second, a convolution's kernel, go with their unit.
//!
//! **Source**: Dale's principle as networks are trained under it: Song, Yang and Wang, *PLoS
//! Computational Biology* 12(2), 2016; Cornford and others, *Learning to live with Dale's principle*,
//! ICLR 2021.

use std::fmt;

use serde::Deserialize;
use thiserror::Error;

use crate::random::Stream;
use crate::sign::mask::SignMask;

/// One sign for each presynaptic unit of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Dale {
    units: Units,
    axis: Axis,
}

#[derive(Clone, Debug, PartialEq)]
enum Units {
    /// 1, −1, or 0 where the unit is free.
    Given(Vec<i8>),
    /// As large a share of positive units as this, at places drawn under a seed.
    Drawn { positive: f64, seed: u64 },
}

/// Which dimension of a tensor counts the presynaptic units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Dimension 1: tensors are `[post, pre, …]`, as PyTorch's are.
    #[default]
    Column,
    /// Dimension 0: tensors are `[pre, …]`.
    Row,
}

/// Why units have no signs.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum DaleError {
    /// A share of positive units that is none.
    #[error("dale: expected a share of positive units in [0, 1], got `{0}`")]
    Share(f64),
    /// A unit's sign that is none.
    #[error("dale: unit {unit}: expected 1 (excitatory), -1 (inhibitory) or 0 (free), got `{got}`")]
    Sign {
        /// Which unit, from 0 on.
        unit: usize,
        /// What it was given.
        got: String,
    },
    /// A tensor that lacks the dimension of the units.
    #[error(
        "dale: expected a tensor with {axis}s, one for each presynaptic unit, got shape {shape:?}\
         {}", way_out(*axis, shape)
    )]
    Dimensions {
        /// Where the units should be.
        axis: Axis,
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// More or fewer signs than units.
    #[error("dale: expected {expected} signs, one for each {axis} of shape {shape:?}, got {got}")]
    Units {
        /// Where the units are.
        axis: Axis,
        /// The tensor's shape.
        shape: Vec<usize>,
        /// How many units that makes.
        expected: usize,
        /// How many signs were given.
        got: usize,
    },
}

fn way_out(axis: Axis, shape: &[usize]) -> &'static str {
    match (axis, shape) {
        (Axis::Column, [_]) => "; with `axis: row` each entry is a unit's",
        _ => "",
    }
}

impl Dale {
    /// These signs, one for each unit: 1, −1, or 0 where the unit's weights are free.
    ///
    /// # Errors
    /// The first sign that is none of these.
    pub fn of_signs(signs: impl Into<Vec<i8>>) -> Result<Self, DaleError> {
        let signs = signs.into();
        if let Some(unit) = signs.iter().position(|sign| !(-1..=1).contains(sign)) {
            return Err(DaleError::Sign { unit, got: signs[unit].to_string() });
        }
        Ok(Dale { units: Units::Given(signs), axis: Axis::default() })
    }

    /// Exactly round(`positive` · units) positive units of each tensor, the others negative, at
    /// places drawn from the stream `rule/dale/NAME` of `seed`.
    ///
    /// # Errors
    /// When `positive` is not in [0, 1].
    pub fn of_share(positive: f64, seed: u64) -> Result<Self, DaleError> {
        if !(0.0..=1.0).contains(&positive) {
            return Err(DaleError::Share(positive));
        }
        Ok(Dale { units: Units::Drawn { positive, seed }, axis: Axis::default() })
    }

    /// The same signs for units along `axis`.
    #[must_use]
    pub fn along(self, axis: Axis) -> Self {
        Dale { axis, ..self }
    }

    /// The mask of the tensor `name`, which has `shape`.
    ///
    /// # Errors
    /// When the tensor lacks the units' dimension, or has more or fewer units than signs were given.
    pub(super) fn mask(&self, name: &str, shape: &[usize]) -> Result<SignMask, DaleError> {
        let axis = self.axis;
        let Some((&units, inner)) = shape.get(axis.dimension()..).and_then(<[_]>::split_first)
        else {
            return Err(DaleError::Dimensions { axis, shape: shape.to_vec() });
        };
        let signs = self.signs(name, units);
        if signs.len() != units {
            let (expected, got) = (units, signs.len());
            return Err(DaleError::Units { axis, shape: shape.to_vec(), expected, got });
        }
        let run: usize = inner.iter().product();
        let weights = shape.iter().product();
        Ok(SignMask::pack(weights, |index| signs[index / run % units]))
    }

    /// The signs of the `units` of the tensor `name`, if they are drawn.
    fn signs(&self, name: &str, units: usize) -> Vec<i8> {
        match &self.units {
            Units::Given(signs) => signs.clone(),
            Units::Drawn { positive, seed } => {
                let mut signs = vec![-1; units];
                signs[..(positive * units as f64).round() as usize].fill(1);
                Stream::new(*seed, &format!("rule/dale/{name}")).shuffle(&mut signs);
                signs
            }
        }
    }
}

impl Axis {
    fn dimension(self) -> usize {
        match self {
            Axis::Row => 0,
            Axis::Column => 1,
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Axis::Column => "column",
            Axis::Row => "row",
        })
    }
}

impl fmt::Display for Dale {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.units {
            Units::Given(signs) => write!(out, "dale({} {}s as given)", signs.len(), self.axis),
            Units::Drawn { positive, seed } => {
                write!(out, "dale({positive} of the {}s positive, seed {seed})", self.axis)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signs(dale: &Dale, shape: &[usize]) -> Vec<i8> {
        dale.mask("rec.weight_hh_l0", shape).unwrap().to_signs()
    }

    #[test]
    fn a_unit_is_a_column_and_by_choice_a_row() {
        let dale = Dale::of_signs([1, -1, 0]).unwrap();
        assert_eq!(signs(&dale, &[2, 3]), [1, -1, 0, 1, -1, 0]);
        assert_eq!(signs(&dale.along(Axis::Row), &[3, 2]), [1, 1, -1, -1, 0, 0]);
    }

    #[test]
    fn trailing_dimensions_go_with_their_unit() {
        let dale = Dale::of_signs([1, -1]).unwrap();
        assert_eq!(signs(&dale, &[2, 2, 1, 2]), [1, 1, -1, -1, 1, 1, -1, -1]);
        assert_eq!(signs(&dale.along(Axis::Row), &[2, 2, 2]), [1, 1, 1, 1, -1, -1, -1, -1]);
    }

    #[test]
    fn a_vector_has_rows_and_no_columns() {
        let dale = Dale::of_signs([1, -1]).unwrap();
        let error = dale.mask("gain", &[2]).unwrap_err().to_string();
        assert_eq!(
            error,
            "dale: expected a tensor with columns, one for each presynaptic unit, got shape [2]; \
             with `axis: row` each entry is a unit's"
        );
        assert_eq!(signs(&dale.clone().along(Axis::Row), &[2]), [1, -1]);
        assert!(dale.along(Axis::Row).mask("scale", &[]).is_err());
    }

    #[test]
    fn signs_must_be_as_many_as_units() {
        let dale = Dale::of_signs([1, -1, 0]).unwrap();
        assert_eq!(
            dale.mask("w", &[3, 2]).unwrap_err().to_string(),
            "dale: expected 2 signs, one for each column of shape [3, 2], got 3"
        );
    }

    #[test]
    fn signs_and_shares_out_of_range_are_refused() {
        let error = Dale::of_signs([1, 2]).unwrap_err().to_string();
        assert!(error.starts_with("dale: unit 1: expected 1 (excitatory)"), "{error}");
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let error = Dale::of_share(share, 0).unwrap_err().to_string();
            assert!(error.contains("in [0, 1], got `"), "{error}");
        }
    }

    #[test]
    fn a_share_draws_other_places_for_another_seed_and_another_tensor() {
        let dale = |seed| Dale::of_share(0.5, seed).unwrap();
        let places = |seed, name: &str| dale(seed).mask(name, &[1, 100]).unwrap();
        assert_eq!(places(1, "a"), places(1, "a"));
        assert_ne!(places(1, "a"), places(2, "a"));
        assert_ne!(places(1, "a"), places(1, "b"));
    }

    /// `chacha8(key)` gives the words of the cipher's key stream, with a counter from 0 on:
    /// ```python
    /// key = sha256(b"polarity-stream/1\0" + pack("<Q", 1) + b"rule/dale/rec.weight_hh_l0").digest()
    /// words, signs = chacha8(key), [1] * 8 + [-1] * 2
    /// for last in range(9, 0, -1):
    ///     place = (next(words) | next(words) << 32) % (last + 1)   # far below the bias's bound
    ///     signs[last], signs[place] = signs[place], signs[last]
    /// print(signs)
    /// ```
    #[test]
    fn the_places_of_a_seed_are_those_of_the_definition() {
        let dale = Dale::of_share(0.8, 1).unwrap();
        assert_eq!(signs(&dale, &[1, 10]), [1, 1, 1, 1, -1, 1, 1, -1, 1, 1]);
    }

    proptest! {
        #[test]
        fn a_share_is_met_to_the_unit(positive in 0.0..=1.0_f64, units in 0..200_usize, seed: u64) {
            let dale = Dale::of_share(positive, seed).unwrap();
            let mask = dale.mask("w", &[3, units]).unwrap();
            let expected = (positive * units as f64).round() as usize;
            prop_assert_eq!(mask.positive_count(), 3 * expected);
            prop_assert_eq!(mask.held_count(), 3 * units);
            let signs = mask.to_signs();
            for column in 0..units {
                prop_assert!((0..3).all(|row| signs[row * units + column] == signs[column]));
            }
        }

        #[test]
        fn every_weight_has_the_sign_of_its_unit(
            shape in prop::collection::vec(0..5_usize, 2..5),
            row: bool,
        ) {
            let (axis, dimension) = if row { (Axis::Row, 0) } else { (Axis::Column, 1) };
            let of_unit = |unit: usize| [1, -1, 0][unit % 3];
            let given: Vec<i8> = (0..shape[dimension]).map(of_unit).collect();
            let mask = Dale::of_signs(given).unwrap().along(axis).mask("w", &shape).unwrap();
            for (index, sign) in mask.iter().enumerate() {
                let mut place = index;
                let mut places: Vec<usize> = shape
                    .iter()
                    .rev()
                    .map(|side| {
                        let along = place % side;
                        place /= side;
                        along
                    })
                    .collect();
                places.reverse();
                prop_assert_eq!(sign, of_unit(places[dimension]));
            }
        }
    }
}
