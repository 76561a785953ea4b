//! Floating-point numbers of any width: their signs, and their values as float32.
//!
//! In every format the first bit is the sign and the rest orders the magnitudes, so that a sign needs
//! no conversion: a float64 that no float32 can hold has one.

/// A floating-point type that a checkpoint may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float {
    /// Eight bits, four of them exponent, without infinities.
    E4m3,
    /// Eight bits, five of them exponent.
    E5m2,
    F16,
    Bf16,
    F32,
    F64,
}

/// Bytes of the values that one word of a mask speaks of, at most.
pub(super) const WORD: usize = u64::BITS as usize;

/// The signs of up to 64 values, a bit each, the first lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// Below zero, −0 included.
    pub negative: u64,
    /// Not zero.
    pub held: u64,
    /// Not a number.
    pub nan: u64,
}

impl Float {
    /// Bytes a value.
    pub(super) fn width(self) -> usize {
        match self {
            Float::E4m3 | Float::E5m2 => 1,
            Float::F16 | Float::Bf16 => 2,
            Float::F32 => 4,
            Float::F64 => 8,
        }
    }

    /// The bits of its greatest magnitude; those above are no numbers.
    fn greatest(self) -> u64 {
        match self {
            Float::E4m3 => 0x7e,
            Float::E5m2 => 0x7c,
            Float::F16 => 0x7c00,
            Float::Bf16 => 0x7f80,
            Float::F32 => 0x7f80_0000,
            Float::F64 => 0x7ff0_0000_0000_0000,
        }
    }

    /// The signs of the values in `bytes`, which are 64 at most, lowest byte first.
    pub(super) fn signs(self, bytes: &[u8]) -> Signs {
        let greatest = self.greatest();
        match self.width() {
            1 => signs(bytes, |[bits]: [u8; 1]| {
                let magnitude = bits & 0x7f;
                look(bits != magnitude, magnitude != 0, magnitude > greatest as u8)
            }),
            2 => signs(bytes, |value| {
                let bits = u16::from_le_bytes(value);
                let magnitude = bits & (u16::MAX >> 1);
                look(bits != magnitude, magnitude != 0, magnitude > greatest as u16)
            }),
            4 => signs(bytes, |value| {
                let bits = u32::from_le_bytes(value);
                let magnitude = bits & (u32::MAX >> 1);
                look(bits != magnitude, magnitude != 0, magnitude > greatest as u32)
            }),
            _ => signs(bytes, |value| {
                let bits = u64::from_le_bytes(value);
                let magnitude = bits & (u64::MAX >> 1);
                look(bits != magnitude, magnitude != 0, magnitude > greatest)
            }),
        }
    }

    /// Appends the values in `bytes`, lowest byte first, to `values`.
    ///
    /// # Errors
    /// Gives back the first float64 that is not zero but would be, or would become infinite: a
    /// weight must not lose its polarity to a conversion.
    pub(super) fn decode(self, bytes: &[u8], values: &mut Vec<f32>) -> Result<(), f64> {
        match self {
            Float::E4m3 => values.extend(bytes.iter().map(|&bits| quarter(bits))),
            Float::E5m2 => values.extend(bytes.iter().map(|&bits| half(u16::from(bits) << 8))),
            Float::F16 => values.extend(words(bytes).map(|word| half(u16::from_le_bytes(word)))),
            Float::Bf16 => values.extend(
                words(bytes).map(|word| f32::from_bits(u32::from(u16::from_le_bytes(word)) << 16)),
            ),
            Float::F32 => values.extend(words(bytes).map(f32::from_le_bytes)),
            Float::F64 => {
                for word in words(bytes) {
                    values.push(narrow(f64::from_le_bytes(word))?);
                }
            }
        }
        Ok(())
    }

    /// The one value in `bytes`, lowest byte first.
    pub(super) fn wide(self, bytes: &[u8]) -> f64 {
        if let (Float::F64, Ok(word)) = (self, bytes.try_into()) {
            return f64::from_le_bytes(word);
        }
        let mut value = Vec::with_capacity(1);
        self.decode(bytes, &mut value).expect("all but float64 fit a float32");
        value[0].into()
    }
}

/// What there is to know of one value, a bit each.
fn look(is_negative: bool, is_held: bool, is_nan: bool) -> u8 {
    u8::from(is_negative) | u8::from(is_held) << 1 | u8::from(is_nan) << 2
}

/// Looks at every value, then gathers the bits eight at a time; both loops become vectors.
fn signs<const WIDTH: usize>(bytes: &[u8], look: impl Fn([u8; WIDTH]) -> u8) -> Signs {
    let mut looks = [0; WORD];
    for (seen, value) in looks.iter_mut().zip(words(bytes)) {
        *seen = look(value);
    }
    let mut signs = Signs::default();
    for (eighth, seen) in looks.as_chunks().0.iter().enumerate() {
        let seen = u64::from_le_bytes(*seen);
        signs.negative |= lowest_bits(seen) << (8 * eighth);
        signs.held |= lowest_bits(seen >> 1) << (8 * eighth);
        signs.nan |= lowest_bits(seen >> 2) << (8 * eighth);
    }
    signs
}

/// The lowest bit of each byte of `bytes`, side by side: the product brings that of byte `i` to bit
/// 56 + `i`, and nothing else comes there.
fn lowest_bits(bytes: u64) -> u64 {
    (bytes & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56
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

/// The value of eight bits with four of exponent, PyTorch's `float8_e4m3fn`.
fn quarter(bits: u8) -> f32 {
    let exponent = i32::from(bits >> 3 & 0xf);
    let fraction = f32::from(bits & 7) / 8.0;
    let magnitude = match (bits & 0x7f, exponent) {
        (0x7f, _) => f32::NAN,
        (_, 0) => fraction * 2_f32.powi(-6),
        _ => (1.0 + fraction) * 2_f32.powi(exponent - 7),
    };
    if bits >> 7 == 1 { -magnitude } else { magnitude }
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

    fn decoded(float: Float, bytes: &[u8]) -> Result<Vec<f32>, f64> {
        let mut values = Vec::new();
        float.decode(bytes, &mut values).map(|()| values)
    }

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

    // bits = torch.tensor([0x01, 0x07, 0x08, 0x38, 0xc4, 0x7e], dtype=torch.uint8)
    // print(bits.view(torch.float8_e4m3fn).float(), bits.view(torch.float8_e5m2).float())
    #[test]
    fn eight_bits_are_read_as_pytorch_reads_them() {
        let bits = [0x01, 0x07, 0x08, 0x38, 0xc4, 0x7e];
        let four = [0.001953125, 0.013671875, 0.015625, 1.0, -3.0, 448.0];
        assert_eq!(decoded(Float::E4m3, &bits).unwrap(), four);
        let five = [1.5258789e-5, 0.00010681152, 0.00012207031, 0.5, -4.0];
        assert_eq!(decoded(Float::E5m2, &bits[..5]).unwrap(), five);
        assert!(decoded(Float::E4m3, &[0xff]).unwrap()[0].is_nan());
    }

    #[test]
    fn brain_floats_are_the_upper_half_of_float32() {
        assert_eq!(decoded(Float::Bf16, &[0x80, 0x3f, 0x20, 0xc0]), Ok(vec![1.0, -2.5]));
    }

    #[test]
    fn a_float64_that_loses_its_polarity_is_given_back() {
        let decode = |value: f64| decoded(Float::F64, &value.to_le_bytes());
        assert_eq!(decode(-0.1), Ok(vec![-0.1]));
        assert_eq!(decode(0.0), Ok(vec![0.0]));
        assert_eq!(decode(-1e-300), Err(-1e-300));
        assert_eq!(decode(1e300), Err(1e300));
        assert_eq!(decode(f64::INFINITY), Ok(vec![f32::INFINITY]));
    }

    #[test]
    fn signs_are_those_of_the_values_in_every_format() {
        for float in [Float::E4m3, Float::E5m2, Float::F16, Float::Bf16, Float::F32, Float::F64] {
            let width = float.width();
            for length in [0, 1, 7, 63, 64] {
                // Bits from a multiplicative generator, with zeros, infinities and NaN among them.
                let mut bytes: Vec<u8> =
                    (0..length * width).map(|at| (at * at * 151 + at * 7) as u8).collect();
                if length > 7 {
                    let top = width - 1;
                    bytes[..3 * width].fill(0);
                    bytes[width + top] = 0x80;
                    bytes[2 * width..3 * width].fill(0xff);
                }
                let bytes_of = |at: usize| &bytes[at * width..(at + 1) * width];
                let signs = float.signs(&bytes);
                for at in 0..length {
                    let bit = |word: u64| word >> at & 1 == 1;
                    let value = match float {
                        Float::F64 => f64::from_le_bytes(bytes_of(at).try_into().unwrap()),
                        _ => f64::from(decoded(float, bytes_of(at)).unwrap()[0]),
                    };
                    assert_eq!(bit(signs.nan), value.is_nan(), "{float:?} {at}");
                    assert_eq!(bit(signs.held), value != 0.0, "{float:?} {at}");
                    if !value.is_nan() {
                        assert_eq!(bit(signs.negative), value.is_sign_negative(), "{float:?} {at}");
                    }
                }
                let beyond = u64::MAX.checked_shl(length as u32).unwrap_or(0);
                assert_eq!((signs.negative | signs.held | signs.nan) & beyond, 0);
            }
        }
    }
}
