//! The order in which a run takes its images: a function of seed, epoch and step.

use crate::random::Stream;

/// The order in which an epoch, from 1 on, takes `images` images.
pub(super) fn epoch_order(images: usize, epoch: u64, seed: u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..images).collect();
    Stream::new(seed, &format!("order/{epoch}")).shuffle(&mut places);
    places
}

/// Batches of places, in an order drawn anew each epoch.
#[derive(Debug)]
pub(super) struct Order {
    batch: usize,
    seed: u64,
    /// The epoch that `places` are in the order of; 0 before the first.
    epoch: u64,
    places: Vec<usize>,
}

impl Order {
    /// # Panics
    /// When there are no images or a batch has none.
    pub(super) fn new(images: usize, batch: usize, seed: u64) -> Self {
        assert!(images > 0 && batch > 0, "a run without images has no batches");
        Order { batch, seed, epoch: 0, places: (0..images).collect() }
    }

    /// The places of step `step`, from 1 on.
    pub(super) fn batch(&mut self, step: u64) -> &[usize] {
        let images = self.places.len();
        let steps = images.div_ceil(self.batch) as u64;
        let (epoch, place) = ((step - 1) / steps + 1, (step - 1) % steps);
        if epoch != self.epoch {
            self.places = epoch_order(images, epoch, self.seed);
            self.epoch = epoch;
        }
        let start = place as usize * self.batch;
        &self.places[start..images.min(start + self.batch)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_sees_every_image_once_and_keeps_the_partial_batch() {
        let mut order = Order::new(5, 2, 1);
        for epoch in 0..2 {
            let batches = [1, 2, 3].map(|step| order.batch(3 * epoch + step).to_vec());
            assert_eq!(batches.each_ref().map(Vec::len), [2, 2, 1]);
            let mut places = batches.concat();
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn the_batch_order_depends_on_the_seed_and_the_epoch() {
        let epoch = |seed, epoch| Order::new(100, 100, seed).batch(epoch).to_vec();
        assert_eq!(epoch(1, 1), epoch(1, 1));
        assert_ne!(epoch(1, 1), epoch(2, 1));
        assert_ne!(epoch(1, 1), epoch(1, 2));
        assert_eq!(epoch(1, 2), epoch_order(100, 2, 1));
    }

    #[test]
    fn a_batch_does_not_depend_on_those_before() {
        let mut through = Order::new(7, 3, 1);
        for step in 1..=12 {
            assert_eq!(Order::new(7, 3, 1).batch(step), through.batch(step), "step {step}");
        }
    }
}
