//! One seed, many independent streams: every random choice of a run has a purpose, and each purpose
//! draws from a stream of its own.
//!
//! A run that draws one more number for one purpose does not move the numbers of another, so arms
//! with the same seed share their images, their initial magnitudes and their batch order. A stream
//! depends on the seed and the purpose's name alone: not on threads, devices or libtorch. [`opened_by`]
//! says which streams a piece of work draws from.
//!
//! Every room may use this one; it knows none of them.

mod journal;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

pub use journal::{Opened, opened_by};

/// Random numbers for one purpose of one seed.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `purpose` under `seed`, for example `"init/features.0.weight"`.
    ///
    /// The ChaCha8 key is the SHA-256 of the two, so neither near seeds nor near names are related.
    pub fn new(seed: u64, purpose: &str) -> Self {
        journal::note(seed, purpose);
        let mut key = Sha256::new();
        key.update(b"polarity-stream/1\0");
        key.update(seed.to_le_bytes());
        key.update(purpose.as_bytes());
        Stream(ChaCha8Rng::from_seed(key.finalize().into()))
    }

    /// A uniform 64-bit number.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform number in [0, 1), a multiple of 2⁻²⁴.
    pub fn uniform(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }

    /// A uniform number in (−1, 1), an odd multiple of 2⁻²⁴ and so never 0.
    pub fn symmetric(&mut self) -> f32 {
        2.0 * self.uniform() - 1.0 + 1.0 / (1 << 24) as f32
    }

    /// A uniform number in [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A standard normal number (Box and Muller's transform, of which one half is used).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform_f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform_f64()).cos()
    }

    /// A uniform number below `bound`, without bias.
    ///
    /// # Panics
    /// When `bound` is 0: there is no such number.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a number below 0 was asked for");
        let bound = bound as u64;
        let unbiased = u64::MAX - (u64::MAX % bound + 1) % bound;
        loop {
            let draw = self.0.next_u64();
            if draw <= unbiased {
                return (draw % bound) as usize;
            }
        }
    }

    /// Puts `items` in an order drawn uniformly from all orders (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_purpose_give_the_same_numbers() {
        let draw = || {
            let mut stream = Stream::new(7, "order");
            [stream.bits(), stream.bits()]
        };
        assert_eq!(draw(), draw());
    }

    #[test]
    fn another_seed_or_purpose_gives_other_numbers() {
        let first = |seed, purpose| Stream::new(seed, purpose).bits();
        assert_ne!(first(7, "order"), first(8, "order"));
        assert_ne!(first(7, "order"), first(7, "subset"));
    }

    #[test]
    fn uniform_numbers_fill_the_unit_interval_evenly() {
        let mut stream = Stream::new(1, "test");
        let mut tenths = [0; 10];
        for _ in 0..100_000 {
            tenths[(stream.uniform() * 10.0) as usize] += 1;
        }
        // Five standard deviations of a binomial(100,000, 0.1) count.
        assert!(tenths.iter().all(|count| (10_000_i32 - count).abs() < 475), "{tenths:?}");
    }

    #[test]
    fn symmetric_numbers_fill_both_sides_alike_and_are_odd_multiples() {
        let mut stream = Stream::new(1, "test");
        let draws: Vec<f32> = (0..10_000).map(|_| stream.symmetric()).collect();
        let odd = |x: &f32| (x * (1 << 24) as f32) as i64 % 2 != 0;
        assert!(draws.iter().all(|x| odd(x) && x.abs() < 1.0));
        // Five standard deviations of a mean of 10,000 uniform numbers.
        assert!((draws.iter().sum::<f32>() / 10_000.0).abs() < 0.029);
    }

    #[test]
    fn normal_numbers_have_the_moments_and_tails_of_the_normal_distribution() {
        let mut stream = Stream::new(1, "test");
        let numbers: Vec<f64> = (0..100_000).map(|_| stream.normal()).collect();
        let moment = |power| numbers.iter().map(|x| x.powi(power)).sum::<f64>() / 1e5;
        // Five standard errors each; the moments are 0, 1, 0 and 3.
        assert!(moment(1).abs() < 0.016 && (moment(2) - 1.0).abs() < 0.023);
        assert!(moment(3).abs() < 0.062 && (moment(4) - 3.0).abs() < 0.16);
        // scipy.stats.norm.sf(2) = 0.0227501
        let above = numbers.iter().filter(|x| **x > 2.0).count() as f64 / 1e5;
        assert!((above - 0.022_75).abs() < 0.0024, "{above}");
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_reaches_every_order() {
        let mut stream = Stream::new(1, "test");
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut items = [0, 1, 2];
            stream.shuffle(&mut items);
            seen.insert(items);
            items.sort_unstable();
            assert_eq!(items, [0, 1, 2]);
        }
        assert_eq!(seen.len(), 6);
    }
}
