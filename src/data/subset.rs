//! The order in which a seed takes images: training subsets are its beginning, validation its end.
//!
//! Subsets of one seed are nested, and validation images are never training images.

use serde::{Deserialize, Serialize};

use crate::random::Stream;

/// How training images are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subset {
    /// As many of each class, give or take one, while the classes last.
    #[default]
    Balanced,
    /// Uniformly, whatever the class.
    Uniform,
}

/// All places of `labels` in an order drawn from `stream`: any beginning of it is a subset of the kind
/// `subset`.
pub fn order(labels: &[u8], subset: Subset, stream: &mut Stream) -> Vec<usize> {
    let mut places: Vec<usize> = (0..labels.len()).collect();
    stream.shuffle(&mut places);
    if subset == Subset::Uniform {
        return places;
    }
    let mut queues: Vec<Vec<usize>> = vec![Vec::new(); 256];
    for place in places {
        queues[labels[place] as usize].push(place);
    }
    queues.retain(|queue| !queue.is_empty());
    let mut order = Vec::with_capacity(labels.len());
    while !queues.is_empty() {
        stream.shuffle(&mut queues);
        for queue in &mut queues {
            order.extend(queue.pop());
        }
        queues.retain(|queue| !queue.is_empty());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [u8; 12] = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2];

    fn drawn(subset: Subset, seed: u64) -> Vec<usize> {
        order(&LABELS, subset, &mut Stream::new(seed, "subset"))
    }

    #[test]
    fn every_image_is_taken_once() {
        for subset in [Subset::Balanced, Subset::Uniform] {
            let mut order = drawn(subset, 1);
            order.sort_unstable();
            assert_eq!(order, (0..12).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_beginning_is_balanced_while_the_classes_last() {
        for seed in 0..20 {
            let order = drawn(Subset::Balanced, seed);
            for taken in 1..=9 {
                let mut counts = [0; 3];
                order[..taken].iter().for_each(|&place| counts[LABELS[place] as usize] += 1);
                assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn another_seed_takes_other_images() {
        assert_ne!(drawn(Subset::Balanced, 1), drawn(Subset::Balanced, 2));
        assert_ne!(drawn(Subset::Uniform, 1), drawn(Subset::Uniform, 2));
    }
}
