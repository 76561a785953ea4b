//! The sign mask: {+1, −1, 0 = free} for every weight of one tensor, in one bit a weight.
//!
//! Two bit vectors in row-major order, least significant bit first in `u64` words: `sign` (1 =
//! positive) and, only where some weights are free, `held` (1 = held). The form is canonical:
//! padding bits are 0, the sign bit of a free weight is 0, and a `held` of all ones is left out. So
//! masks that say the same are equal, word for word.
//!
//! A mask does not know its tensor's shape or name (see [`Template`](super::Template)) and changes
//! no weight (see [`project`](super::project)).

use thiserror::Error;

use crate::random::Stream;

const WORD: usize = u64::BITS as usize;

/// The signs that the weights of one tensor must keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignMask {
    len: usize,
    sign: Vec<u64>,
    held: Option<Vec<u64>>,
}

/// A weight that is NaN has no sign, so no mask can be taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "weight {index}: has no sign; expected a number, got `NaN`; take a checkpoint from before \
     the training diverged"
)]
pub struct NotANumber {
    /// Where it stands, in row-major order.
    pub index: usize,
}

impl SignMask {
    /// The signs of `weights`. A weight of 0 or −0 is free; infinities have signs like any number.
    ///
    /// # Errors
    /// The first NaN.
    pub fn of_weights(weights: &[f32]) -> Result<Self, NotANumber> {
        match weights.iter().position(|weight| weight.is_nan()) {
            Some(index) => Err(NotANumber { index }),
            None => Ok(Self::pack(weights.len(), |index| {
                i8::from(weights[index] > 0.0) - i8::from(weights[index] < 0.0)
            })),
        }
    }

    /// The mask whose entries are the signs of `signs`: above 0, below 0, or free.
    pub fn from_signs(signs: &[i8]) -> Self {
        Self::pack(signs.len(), |index| signs[index])
    }

    /// A mask that holds none of `len` weights.
    pub fn free(len: usize) -> Self {
        Self::pack(len, |_| 0)
    }

    /// A mask that holds all of `len` weights, each positive with probability `positive`.
    ///
    /// # Panics
    /// When `positive` is not in [0, 1].
    pub fn random(len: usize, positive: f64, stream: &mut Stream) -> Self {
        Self::from_signs(&vec![1; len]).redrawn(positive, stream)
    }

    /// The mask of these words, put into canonical form: entry `i` is bit `i % 64` of word `i / 64`, in
    /// `sign` 1 where it is positive and in `held` 1 where it is held. `held` of `None` holds all
    /// weights.
    ///
    /// # Panics
    /// When the words are not just enough for `len` bits.
    pub fn from_words(len: usize, mut sign: Vec<u64>, held: Option<Vec<u64>>) -> Self {
        assert_eq!(sign.len(), len.div_ceil(WORD), "words of a mask of {len} weights");
        let mut held = held.unwrap_or_else(|| vec![u64::MAX; sign.len()]);
        assert_eq!(held.len(), sign.len(), "words of a mask of {len} weights");
        if let Some(last) = held.last_mut() {
            *last &= used_bits(len);
        }
        for (sign, held) in sign.iter_mut().zip(&held) {
            *sign &= held;
        }
        let held = (count(&held) < len).then_some(held);
        SignMask { len, sign, held }
    }

    /// Packs the sign of `entry(index)`, which is called once for each index, in order.
    pub(super) fn pack(len: usize, mut entry: impl FnMut(usize) -> i8) -> Self {
        let mut sign = Vec::with_capacity(len.div_ceil(WORD));
        let mut held = Vec::with_capacity(len.div_ceil(WORD));
        for start in (0..len).step_by(WORD) {
            let (mut signs, mut holds) = (0, 0);
            for bit in 0..WORD.min(len - start) {
                let entry = entry(start + bit);
                signs |= u64::from(entry > 0) << bit;
                holds |= u64::from(entry != 0) << bit;
            }
            sign.push(signs);
            held.push(holds);
        }
        Self::from_words(len, sign, Some(held))
    }

    /// How many weights the mask speaks of, free ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no weight at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry of one weight: 1, −1, or 0 where it is free.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn get(&self, index: usize) -> i8 {
        assert!(index < self.len, "weight {index} of a mask of {}", self.len);
        let bit = |words: &[u64]| (words[index / WORD] >> (index % WORD)) & 1 == 1;
        match &self.held {
            Some(held) if !bit(held) => 0,
            _ if bit(&self.sign) => 1,
            _ => -1,
        }
    }

    /// The entries in order: 1, −1, or 0 where the weight is free.
    pub fn iter(&self) -> impl Iterator<Item = i8> + '_ {
        (0..self.len).map(|index| self.get(index))
    }

    /// The entries as bytes: 1, −1, or 0 where the weight is free.
    pub fn to_signs(&self) -> Vec<i8> {
        self.iter().collect()
    }

    /// The entries as numbers to multiply with: 1, −1, or 0 where the weight is free.
    pub fn to_f32(&self) -> Vec<f32> {
        self.iter().map(f32::from).collect()
    }

    /// How many weights are held.
    pub fn held_count(&self) -> usize {
        self.held.as_deref().map_or(self.len, count)
    }

    /// How many weights are held positive.
    pub fn positive_count(&self) -> usize {
        count(&self.sign)
    }

    /// The share of positive signs among the held weights; `None` when none is held.
    pub fn positive_fraction(&self) -> Option<f64> {
        share(self.positive_count(), self.held_count())
    }

    /// The sign bits: bit `i % 64` of word `i / 64` is 1 where weight `i` is held positive.
    pub fn sign_words(&self) -> &[u64] {
        &self.sign
    }

    /// The held bits, laid out as the sign bits; `None` when all weights are held.
    pub fn held_words(&self) -> Option<&[u64]> {
        self.held.as_deref()
    }

    /// The same entries in an order drawn uniformly from all orders.
    pub fn shuffled(&self, stream: &mut Stream) -> Self {
        self.shuffled_in_groups(self.len.max(1), stream)
    }

    /// The same entries, shuffled within each run of `group_len`; the last run may be shorter.
    ///
    /// A run is a filter when `group_len` is the number of weights of one output channel.
    ///
    /// # Panics
    /// When `group_len` is 0.
    pub fn shuffled_in_groups(&self, group_len: usize, stream: &mut Stream) -> Self {
        assert!(group_len > 0, "a group of no weights cannot be shuffled");
        // Entries of one kind are alike, so an order is drawn by dealing out what is left of each
        // kind. That passes over the memory once; Fisher–Yates would jump through it.
        let (mut positive, mut held, mut left) = (0, 0, 0);
        Self::pack(self.len, |index| {
            if left == 0 {
                let end = self.len.min(index + group_len);
                for entry in (index..end).map(|index| self.get(index)) {
                    positive += usize::from(entry > 0);
                    held += usize::from(entry != 0);
                }
                left = end - index;
            }
            let draw = stream.below(left);
            left -= 1;
            if draw >= held {
                return 0;
            }
            held -= 1;
            if draw >= positive {
                return -1;
            }
            positive -= 1;
            1
        })
    }

    /// The mask with a `fraction` of its held signs inverted: exactly round(fraction · held) of
    /// them, chosen uniformly.
    ///
    /// # Panics
    /// When `fraction` is not in [0, 1].
    pub fn flipped(&self, fraction: f64, stream: &mut Stream) -> Self {
        assert_fraction(fraction);
        let mut held = self.held_count();
        let mut flips = (fraction * held as f64).round() as usize;
        Self::pack(self.len, |index| {
            let entry = self.get(index);
            if entry == 0 || flips == 0 {
                return entry;
            }
            let flip = stream.below(held) < flips;
            held -= 1;
            flips -= usize::from(flip);
            if flip { -entry } else { entry }
        })
    }

    /// The mask with a new sign for every held weight, positive with probability `positive`.
    ///
    /// # Panics
    /// When `positive` is not in [0, 1].
    pub fn redrawn(&self, positive: f64, stream: &mut Stream) -> Self {
        assert_fraction(positive);
        Self::pack(self.len, |index| match self.get(index) {
            0 => 0,
            _ if stream.uniform_f64() < positive => 1,
            _ => -1,
        })
    }

    /// The mask with every held sign inverted.
    pub fn opposite(&self) -> Self {
        let sign = self.sign.iter().map(|word| !word).collect();
        Self::from_words(self.len, sign, self.held.clone())
    }

    /// The mask with the entry of `other` wherever it leaves a weight free.
    ///
    /// # Panics
    /// When the masks differ in length.
    pub fn filled_from(&self, other: &Self) -> Self {
        assert_eq!(self.len, other.len, "a mask can only be filled from one as long");
        let words = 0..self.sign.len();
        let sign =
            words.clone().map(|word| self.sign[word] | (other.sign[word] & !self.held_word(word)));
        let held = words.map(|word| self.held_word(word) | other.held_word(word));
        Self::from_words(self.len, sign.collect(), Some(held.collect()))
    }

    /// The share of equal signs among the weights that both masks hold; `None` when there is none.
    ///
    /// # Panics
    /// When the masks differ in length.
    pub fn agreement(&self, other: &Self) -> Option<f64> {
        let (equal, both) = self.agreement_counts(other);
        share(equal, both)
    }

    /// How many weights have equal signs, and how many are held, in both masks.
    pub(super) fn agreement_counts(&self, other: &Self) -> (usize, usize) {
        assert_eq!(self.len, other.len, "masks of different lengths cannot agree");
        let (mut equal, mut both) = (0, 0);
        for word in 0..self.sign.len() {
            let held = self.held_word(word) & other.held_word(word);
            equal += (held & !(self.sign[word] ^ other.sign[word])).count_ones() as usize;
            both += held.count_ones() as usize;
        }
        (equal, both)
    }

    /// How many `weights` are violators: strictly on the other side of zero than their held sign.
    ///
    /// # Panics
    /// When there are more or fewer weights than entries.
    pub fn violators(&self, weights: &[f32]) -> usize {
        assert_eq!(self.len, weights.len(), "weights beside a mask of another length");
        let violates = |(sign, weight): &(i8, &f32)| f32::from(*sign) * *weight < 0.0;
        self.iter().zip(weights).filter(violates).count()
    }

    /// Where both masks hold a sign and not the same one, in order.
    ///
    /// # Panics
    /// When the masks differ in length.
    pub fn opposed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        assert_eq!(self.len, other.len, "masks of different lengths cannot be opposed");
        let in_word = |word: usize| {
            let held = self.held_word(word) & other.held_word(word);
            let opposed = held & (self.sign[word] ^ other.sign[word]);
            let bits = (0..WORD).filter(move |bit| opposed >> bit & 1 == 1);
            bits.map(move |bit| word * WORD + bit)
        };
        (0..self.sign.len()).flat_map(in_word)
    }

    fn held_word(&self, word: usize) -> u64 {
        match &self.held {
            Some(held) => held[word],
            None if word + 1 == self.sign.len() => used_bits(self.len),
            None => u64::MAX,
        }
    }
}

/// `part / whole`, or `None` of nothing.
pub(super) fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The bits of the last word of `len` bits that are no padding.
fn used_bits(len: usize) -> u64 {
    match len % WORD {
        0 => u64::MAX,
        bits => (1 << bits) - 1,
    }
}

fn count(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

fn assert_fraction(fraction: f64) {
    assert!((0.0..=1.0).contains(&fraction), "a fraction is in [0, 1], not {fraction}");
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LENGTHS: [usize; 11] = [0, 1, 7, 8, 9, 63, 64, 65, 127, 128, 129];

    fn signs() -> impl Strategy<Value = Vec<i8>> {
        prop_oneof![vec(-1..=1_i8, 0..200), vec(prop_oneof![Just(-1_i8), Just(1)], 0..200)]
    }

    fn stream() -> Stream {
        Stream::new(3, "test")
    }

    proptest! {
        #[test]
        fn filling_takes_the_other_masks_entry_exactly_where_a_weight_is_free(
            pairs in vec((-1..=1_i8, -1..=1_i8), 0..200),
        ) {
            let (mine, other): (Vec<i8>, Vec<i8>) = pairs.iter().copied().unzip();
            let expected: Vec<i8> =
                pairs.iter().map(|(mine, other)| if *mine == 0 { *other } else { *mine }).collect();
            let filled = SignMask::from_signs(&mine).filled_from(&SignMask::from_signs(&other));
            prop_assert_eq!(filled, SignMask::from_signs(&expected));
        }
    }

    #[test]
    fn zero_of_either_sign_is_free_and_infinities_are_held() {
        let weights = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1e-45];
        let mask = SignMask::of_weights(&weights).unwrap();
        assert_eq!(mask.to_signs(), [0, 0, 1, -1, 1, -1]);
    }

    #[test]
    fn nan_is_refused_where_it_stands() {
        let error = SignMask::of_weights(&[1.0, f32::NAN, f32::NAN]).unwrap_err();
        assert_eq!(error, NotANumber { index: 1 });
        assert!(error.to_string().starts_with("weight 1: has no sign"), "{error}");
    }

    #[test]
    fn packing_and_unpacking_keep_every_entry_at_word_boundaries() {
        for len in LENGTHS {
            for period in [1, 2, 3] {
                let signs: Vec<i8> = (0..len).map(|i| 1 - (i % period) as i8).collect();
                let mask = SignMask::from_signs(&signs);
                assert_eq!(mask.to_signs(), signs, "length {len}, period {period}");
                assert_eq!(mask.len(), len);
                assert_eq!(mask.sign_words().len(), len.div_ceil(64));
            }
        }
    }

    #[test]
    fn the_first_weight_is_the_least_significant_bit() {
        let mask = SignMask::from_signs(&[1, -1, 0, 1]);
        assert_eq!(mask.sign_words(), [0b1001]);
        assert_eq!(mask.held_words(), Some(&[0b1011][..]));
    }

    #[test]
    fn a_mask_that_holds_everything_stores_no_held_bits() {
        for len in LENGTHS {
            let mask = SignMask::from_signs(&vec![-1; len]);
            assert_eq!(mask.held_words(), None);
            assert_eq!(mask.held_count(), len);
        }
    }

    #[test]
    fn words_that_say_the_same_give_equal_masks() {
        let plain = SignMask::from_words(3, vec![0b001], None);
        assert_eq!(plain, SignMask::from_words(3, vec![!0b110], Some(vec![u64::MAX])));
        let free = SignMask::from_words(3, vec![0b000], Some(vec![0b101]));
        assert_eq!(free, SignMask::from_words(3, vec![0b010], Some(vec![0b101])));
    }

    #[test]
    fn a_free_mask_has_no_positive_share_and_agrees_with_nothing() {
        let mask = SignMask::free(65);
        assert_eq!((mask.held_count(), mask.positive_count()), (0, 0));
        assert_eq!(mask.positive_fraction(), None);
        assert_eq!(mask.agreement(&SignMask::random(65, 0.5, &mut stream())), None);
    }

    #[test]
    fn a_random_mask_has_the_share_asked_for() {
        let mut stream = stream();
        assert_eq!(SignMask::random(999, 0.0, &mut stream).positive_count(), 0);
        assert_eq!(SignMask::random(999, 1.0, &mut stream).positive_count(), 999);
        let positive = SignMask::random(100_000, 0.3, &mut stream).positive_count();
        // Five standard deviations of a binomial(100,000, 0.3) count.
        assert!(positive.abs_diff(30_000) < 725, "{positive}");
    }

    #[test]
    fn a_shuffle_reaches_every_order_equally_often() {
        let mask = SignMask::from_signs(&[1, 1, -1, 0]);
        let mut stream = stream();
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..12_000 {
            *seen.entry(mask.shuffled(&mut stream).to_signs()).or_insert(0_i32) += 1;
        }
        // Twelve orders; five standard deviations of a binomial(12,000, 1/12) count.
        assert_eq!(seen.len(), 12);
        assert!(seen.values().all(|count| (count - 1000).abs() < 152), "{seen:?}");
    }

    #[test]
    fn flipping_reaches_every_choice_equally_often() {
        let mask = SignMask::from_signs(&[1, 0, 1, 1, -1]);
        let mut stream = stream();
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            *seen.entry(mask.flipped(0.5, &mut stream).to_signs()).or_insert(0_i32) += 1;
        }
        // Two of four, six choices; five standard deviations of a binomial(6000, 1/6) count.
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|count| (count - 1000).abs() < 145), "{seen:?}");
    }

    #[test]
    fn zero_is_no_violator_and_a_free_weight_never_is_one() {
        let mask = SignMask::from_signs(&[1, 1, -1, -1, 0, 1, -1]);
        let weights = [-1e-45, -0.0, 0.0, f32::INFINITY, -1.0, f32::NAN, -2.0];
        assert_eq!(mask.violators(&weights), 2);
    }

    #[test]
    #[should_panic(expected = "a fraction is in [0, 1], not NaN")]
    fn a_fraction_that_is_no_number_is_our_own_bug() {
        SignMask::free(1).flipped(f64::NAN, &mut stream());
    }

    proptest! {
        #[test]
        fn masks_are_opposed_where_their_signs_are(
            pairs in prop::collection::vec((-1_i8..=1, -1_i8..=1), 0..200),
        ) {
            let (ours, others): (Vec<i8>, Vec<i8>) = pairs.iter().copied().unzip();
            let [mask, other] = [&ours, &others].map(|signs| SignMask::from_signs(signs));
            let expected: Vec<usize> = (0..pairs.len()).filter(|&i| ours[i] * others[i] < 0).collect();
            prop_assert_eq!(mask.opposed(&other).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn unpacking_gives_what_was_packed(signs in signs()) {
            let mask = SignMask::from_signs(&signs);
            prop_assert_eq!(mask.to_signs(), signs.clone());
            prop_assert_eq!(mask.held_count(), signs.iter().filter(|&&sign| sign != 0).count());
            prop_assert_eq!(mask.positive_count(), signs.iter().filter(|&&sign| sign > 0).count());
            prop_assert_eq!(&SignMask::of_weights(&mask.to_f32()).unwrap(), &mask);
        }

        #[test]
        fn masks_are_equal_when_their_entries_are(a in signs(), b in signs()) {
            let equal = SignMask::from_signs(&a) == SignMask::from_signs(&b);
            prop_assert_eq!(equal, a == b);
        }

        #[test]
        fn a_shuffle_keeps_the_counts_of_every_group(signs in signs(), group_len in 1..70_usize) {
            let mask = SignMask::from_signs(&signs);
            let shuffled = mask.shuffled_in_groups(group_len, &mut stream()).to_signs();
            prop_assert_eq!(shuffled.len(), signs.len());
            for (before, after) in signs.chunks(group_len).zip(shuffled.chunks(group_len)) {
                let sorted = |group: &[i8]| {
                    let mut group = group.to_vec();
                    group.sort_unstable();
                    group
                };
                prop_assert_eq!(sorted(before), sorted(after));
            }
        }

        #[test]
        fn flipping_inverts_exactly_the_fraction_of_the_held(
            signs in signs(), fraction in 0.0..=1.0_f64,
        ) {
            let mask = SignMask::from_signs(&signs);
            let flipped = mask.flipped(fraction, &mut stream());
            let inverted = signs.iter().zip(flipped.iter()).filter(|(a, b)| **a != *b).count();
            let expected = (fraction * mask.held_count() as f64).round() as usize;
            prop_assert_eq!(inverted, expected);
            prop_assert!(signs.iter().zip(flipped.iter()).all(|(a, b)| a.abs() == b.abs()));
        }

        #[test]
        fn the_opposite_disagrees_everywhere_and_undoes_itself(signs in signs()) {
            let mask = SignMask::from_signs(&signs);
            let opposite = mask.opposite();
            prop_assert!(opposite.iter().eq(signs.iter().map(|sign| -sign)));
            prop_assert_eq!(&opposite.opposite(), &mask);
            prop_assert_eq!(&mask.flipped(1.0, &mut stream()), &opposite);
            if mask.held_count() > 0 {
                prop_assert_eq!(mask.agreement(&mask), Some(1.0));
                prop_assert_eq!(mask.agreement(&opposite), Some(0.0));
            }
        }

        #[test]
        fn agreement_counts_only_what_both_hold(pairs in vec((-1..=1_i8, -1..=1_i8), 0..200)) {
            let (a, b): (Vec<i8>, Vec<i8>) = pairs.iter().copied().unzip();
            let both: Vec<bool> =
                pairs.iter().filter(|(a, b)| a * b != 0).map(|(a, b)| a == b).collect();
            let expected = share(both.iter().filter(|&&equal| equal).count(), both.len());
            let agreement = SignMask::from_signs(&a).agreement(&SignMask::from_signs(&b));
            prop_assert_eq!(agreement, expected);
        }

        #[test]
        fn a_random_mask_holds_every_weight(len in 0..200_usize, positive in 0.0..=1.0_f64) {
            prop_assert_eq!(SignMask::random(len, positive, &mut stream()).held_count(), len);
        }

        #[test]
        fn redrawing_keeps_free_weights_free(signs in signs()) {
            let redrawn = SignMask::from_signs(&signs).redrawn(0.5, &mut stream());
            prop_assert!(signs.iter().zip(redrawn.iter()).all(|(a, b)| a.abs() == b.abs()));
        }
    }
}
