//! Little-endian floating-point numbers of any width, as float32.

/// A floating-point type that a checkpoint may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Float {
    F16,
    Bf16,
    F32,
    F64,
}

impl Float {
    /// Bytes a value.
    pub(super) fn width(self) -> usize {
        match self {
            Float::F16 | Float::Bf16 => 2,
            Float::F32 => 4,
            Float::F64 => 8,
        }
    }

    /// The values in `bytes`; an incomplete last value is left out.
    ///
    /// # Errors
    /// Gives back the first float64 that is not zero but would be, or would become infinite: a
    /// weight must not lose its polarity to a conversion.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<Vec<f32>, f64> {
        Ok(match self {
            Float::F16 => words(bytes).map(|word| half(u16::from_le_bytes(word))).collect(),
            Float::Bf16 => words(bytes)
                .map(|word| f32::from_bits(u32::from(u16::from_le_bytes(word)) << 16))
                .collect(),
            Float::F32 => words(bytes).map(f32::from_le_bytes).collect(),
            Float::F64 => {
                return words(bytes).map(|word| narrow(f64::from_le_bytes(word))).collect();
            }
        })
    }
}

fn words<const WIDTH: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; WIDTH]> {
    bytes.as_chunks().0.iter().copied()
}

/// The value of an IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    let magnitude = match exponent {
        0 => (fraction as f32 * 2_f32.powi(-24)).to_bits(),
        0x1f => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

fn narrow(wide: f64) -> Result<f32, f64> {
    let value = wide as f32;
    if (value == 0.0 && wide != 0.0) || (value.is_infinite() && wide.is_finite()) {
        return Err(wide);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    // import numpy as np; print(np.array(BITS, dtype='u2').view('f2').astype('f4'))
    #[test]
    fn half_precision_is_read_as_numpy_reads_it() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 5.9604645e-8),
            (0x03ff, 6.097555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.33325195),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
        assert!(half(0x8000).is_sign_negative());
    }

    #[test]
    fn every_finite_half_lies_above_the_one_before() {
        for bits in 0..0x7c00 {
            assert!(half(bits) < half(bits + 1), "{bits:#06x}");
            assert_eq!(half(bits | 0x8000), -half(bits));
        }
    }

    #[test]
    fn brain_floats_are_the_upper_half_of_float32() {
        assert_eq!(Float::Bf16.decode(&[0x80, 0x3f, 0x20, 0xc0]), Ok(vec![1.0, -2.5]));
    }

    #[test]
    fn a_float64_that_loses_its_polarity_is_given_back() {
        let decode = |value: f64| Float::F64.decode(&value.to_le_bytes());
        assert_eq!(decode(-0.1), Ok(vec![-0.1]));
        assert_eq!(decode(0.0), Ok(vec![0.0]));
        assert_eq!(decode(-1e-300), Err(-1e-300));
        assert_eq!(decode(1e300), Err(1e300));
        assert_eq!(decode(f64::INFINITY), Ok(vec![f32::INFINITY]));
    }
}
