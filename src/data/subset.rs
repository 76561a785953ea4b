//! Which images a seed learns from and which it is validated on.
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

/// A split of images, by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Images to learn from, in an order of which any beginning is a subset of the kind asked for.
    pub training: Vec<usize>,
    /// Images to choose by: like all images in their shares of the classes.
    pub validation: Vec<usize>,
}

/// Splits images with these `labels`, `validation` of them for validation, by an order drawn from
/// `stream`.
///
/// # Panics
/// When more are asked for than there are.
pub fn split(labels: &[u16], validation: usize, subset: Subset, stream: &mut Stream) -> Split {
    let mut training: Vec<usize> = (0..labels.len()).collect();
    stream.shuffle(&mut training);
    match subset {
        Subset::Uniform => {
            let validation = training.split_off(labels.len() - validation);
            Split { training, validation }
        }
        Subset::Balanced => class_by_class(labels, &training, validation, stream),
    }
}

/// The images of one class that are still to be taken, last ones first.
struct Class {
    training: Vec<usize>,
    validation: Vec<usize>,
}

/// Takes places of `order` in rounds, one of each class that has some left.
fn class_by_class(
    labels: &[u16],
    order: &[usize],
    validation: usize,
    stream: &mut Stream,
) -> Split {
    let mut queues: Vec<Vec<usize>> = vec![Vec::new(); 256];
    order.iter().for_each(|&place| queues[labels[place] as usize].push(place));
    queues.retain(|queue| !queue.is_empty());
    let shares = apportion(validation, &queues.iter().map(Vec::len).collect::<Vec<_>>());
    let with_share = |(mut queue, share): (Vec<usize>, usize)| {
        let training = queue.split_off(share);
        Class { training, validation: queue }
    };
    let mut classes: Vec<Class> = queues.into_iter().zip(shares).map(with_share).collect();
    let training = rounds(&mut classes, |class| &mut class.training, stream);
    let validation = rounds(&mut classes, |class| &mut class.validation, stream);
    Split { training, validation }
}

fn rounds(
    classes: &mut [Class],
    part: impl Fn(&mut Class) -> &mut Vec<usize>,
    stream: &mut Stream,
) -> Vec<usize> {
    let mut order = Vec::new();
    while classes.iter_mut().any(|class| !part(class).is_empty()) {
        stream.shuffle(classes);
        classes.iter_mut().for_each(|class| order.extend(part(class).pop()));
    }
    order
}

/// `total` in shares like `sizes`, whole numbers by largest remainder.
fn apportion(total: usize, sizes: &[usize]) -> Vec<usize> {
    let all: usize = sizes.iter().sum();
    assert!(total <= all, "{total} images for validation of {all}");
    let mut shares: Vec<usize> = sizes.iter().map(|size| total * size / all.max(1)).collect();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(total * sizes[class] % all.max(1)));
    let missing = total - shares.iter().sum::<usize>();
    by_remainder[..missing].iter().for_each(|&class| shares[class] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [u16; 12] = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2];

    fn drawn(subset: Subset, seed: u64) -> Split {
        split(&LABELS, 4, subset, &mut Stream::new(seed, "subset"))
    }

    fn counts(places: &[usize]) -> [usize; 3] {
        let mut counts = [0; 3];
        places.iter().for_each(|&place| counts[LABELS[place] as usize] += 1);
        counts
    }

    #[test]
    fn every_image_is_taken_once() {
        for subset in [Subset::Balanced, Subset::Uniform] {
            let Split { training, validation } = drawn(subset, 1);
            assert_eq!(validation.len(), 4);
            let mut all = [training, validation].concat();
            all.sort_unstable();
            assert_eq!(all, (0..12).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_beginning_is_balanced_while_the_classes_last() {
        for seed in 0..20 {
            let Split { training, .. } = drawn(Subset::Balanced, seed);
            for taken in 1..=6 {
                let counts = counts(&training[..taken]);
                assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn validation_images_have_the_classes_in_the_shares_of_all() {
        for seed in 0..20 {
            assert_eq!(counts(&drawn(Subset::Balanced, seed).validation), [2, 1, 1]);
        }
        assert_eq!(apportion(5, &[6, 3, 3]), [3, 1, 1]);
        assert_eq!(apportion(0, &[6, 3]), [0, 0]);
        assert_eq!(apportion(10, &[7, 3]), [7, 3]);
    }

    #[test]
    fn another_seed_takes_other_images() {
        assert_ne!(drawn(Subset::Balanced, 1), drawn(Subset::Balanced, 2));
        assert_ne!(drawn(Subset::Uniform, 1), drawn(Subset::Uniform, 2));
    }
}
