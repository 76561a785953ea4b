//! Random numbers for the `uniform` reset, from a counter and not from a stream: a draw is a pure
//! function of (seed, step, tensor, index), so it costs nothing where no weight violates, and
//! threads, chunks and devices cannot change it.
//!
//! # Definition
//! So that it can be computed again elsewhere, in tensor operations for example. All arithmetic is
//! modulo 2⁶⁴ for the key and modulo 2³² for the draw; `>>` shifts zeros in.
//! ```text
//! mix(z)  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9          SplitMix64's finaliser
//!         z = (z ^ z >> 27) * 0x94d049bb133111eb
//!         z ^ z >> 31
//! key     k = 0; for x in seed, step, tensor, index >> 32: k = mix((k ^ x) + 0x9e3779b97f4a7c15)
//! draw    x = (index + k) mod 2^32                          the low half of the key
//!         x = (x ^ x >> 17) * 0xed5ad4bb                    the hash triple32
//!         x = (x ^ x >> 11 ^ k >> 32) * 0xac4c1b51          the high half of the key
//!         x = (x ^ x >> 15) * 0x31848bab
//!         x = x ^ x >> 14
//! u       (x >> 8) * 2^-24, in [0, 1)
//! ```
//! The per-weight part has 32-bit operations only, which vector units and tensor libraries have
//! (a 64-bit product is three instructions in AVX-512, and missing from AVX2).
//!
//! **Source**: SplitMix64, Steele, Lea and Flood, OOPSLA 2014; triple32, Wellons, hash-prospector,
//! 2018 (the keyed second round is ours).

/// What a random reset depends on beside the weight's index in its tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetKey {
    /// The run's seed for reset noise.
    pub seed: u64,
    /// The optimizer step.
    pub step: u64,
    /// A number that names the tensor, stable between runs.
    pub tensor: u64,
}

impl ResetKey {
    /// The number of the tensor called `name`: the first 8 bytes of the SHA-256 of its name.
    pub fn number(name: &str) -> u64 {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(name.as_bytes());
        u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }

    /// The key `k` of the definition, for weights whose index agrees with `index` above its low 32
    /// bits.
    pub fn mixed(self, index: u64) -> u64 {
        [self.seed, self.step, self.tensor, index >> 32]
            .into_iter()
            .fold(0, |key, word| mix((key ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }

    /// The uniform number `u` of weight `index`, a multiple of 2⁻²⁴ in [0, 1).
    pub fn uniform(self, index: u64) -> f32 {
        Draws::new(self, index).uniform(index as u32)
    }
}

/// The draws of one tensor at one step, for indices that agree above their low 32 bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Draws {
    low: u32,
    high: u32,
}

impl Draws {
    /// The draws around `index`.
    pub fn new(key: ResetKey, index: u64) -> Self {
        let mixed = key.mixed(index);
        Draws { low: mixed as u32, high: (mixed >> 32) as u32 }
    }

    /// The uniform number of the weight whose index has these low 32 bits.
    #[inline(always)]
    pub fn uniform(self, index: u32) -> f32 {
        let mut x = index.wrapping_add(self.low);
        x = (x ^ (x >> 17)).wrapping_mul(0xed5a_d4bb);
        x = (x ^ (x >> 11) ^ self.high).wrapping_mul(0xac4c_1b51);
        x = (x ^ (x >> 15)).wrapping_mul(0x3184_8bab);
        x ^= x >> 14;
        // Signed, because below AVX-512 there is no conversion from unsigned integers.
        (x >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32)
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u64, step: u64, tensor: u64, index: u64) -> f32 {
        ResetKey { seed, step, tensor }.uniform(index)
    }

    /// ```python
    /// def mix(z):
    ///     z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 % 2**64
    ///     z = (z ^ z >> 27) * 0x94d049bb133111eb % 2**64
    ///     return z ^ z >> 31
    /// def draw(seed, step, tensor, index):
    ///     k = 0
    ///     for x in seed, step, tensor, index >> 32:
    ///         k = mix(((k ^ x) + 0x9e3779b97f4a7c15) % 2**64)
    ///     x = (index + k) % 2**32
    ///     x = (x ^ x >> 17) * 0xed5ad4bb % 2**32
    ///     x = (x ^ x >> 11 ^ k >> 32) * 0xac4c1b51 % 2**32
    ///     x = (x ^ x >> 15) * 0x31848bab % 2**32
    ///     return (x ^ x >> 14) >> 8
    /// print([draw(*a) for a in ((0, 0, 0, 0), (1, 2, 3, 4), (2**64 - 1, 10**6, 7, 2**32 + 5))])
    /// ```
    #[test]
    fn draws_are_those_of_the_definition() {
        let draws =
            [draw(0, 0, 0, 0), draw(1, 2, 3, 4), draw(u64::MAX, 1_000_000, 7, (1 << 32) + 5)];
        assert_eq!(draws.map(|u| (u * (1 << 24) as f32) as u32), [836_044, 11_640_943, 4_933_465]);
    }

    #[test]
    fn draws_fill_the_unit_interval_evenly_along_every_coordinate() {
        let coordinates: [fn(u64) -> f32; 4] = [
            |x| draw(x, 2, 3, 4),
            |x| draw(1, x, 3, 4),
            |x| draw(1, 2, x, 4),
            |x| draw(1, 2, 3, x),
        ];
        for along in coordinates {
            let mut cells = [[0; 10]; 10];
            for x in 0..100_000 {
                cells[(along(x) * 10.0) as usize][(along(x + 1) * 10.0) as usize] += 1;
            }
            let chi_squared: f64 = cells
                .as_flattened()
                .iter()
                .map(|&n| f64::from(n - 1000_i32).powi(2) / 1000.0)
                .sum();
            // 99 degrees of freedom: mean 99, standard deviation 14.
            assert!((50.0..160.0).contains(&chi_squared), "{chi_squared}");
        }
    }

    #[test]
    fn draws_of_the_next_step_tensor_or_seed_are_unrelated() {
        let correlation = |other: fn(u64) -> f32| {
            let products = (0..100_000).map(|x| (draw(1, 2, 3, x) - 0.5) * (other(x) - 0.5));
            12.0 * f64::from(products.sum::<f32>()) / 1e5
        };
        let next: [fn(u64) -> f32; 4] = [
            |x| draw(2, 2, 3, x),
            |x| draw(1, 3, 3, x),
            |x| draw(1, 2, 4, x),
            |x| draw(1, 2, 3, x + (1 << 32)),
        ];
        // Five standard deviations of the correlation of 100,000 independent pairs.
        assert!(next.into_iter().all(|other| correlation(other).abs() < 0.016));
    }
}
