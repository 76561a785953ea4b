//! The images of an experiment: split between source and fresh networks, reduced to the classes
//! wanted, and described as a network's input.

use crate::data::{DataSet, Images};
use crate::experiment::cell::Share;
use crate::experiment::file::{ChannelOrder, Data, Moments, Normalise};
use crate::random::Stream;
use crate::train::Input;

/// torchvision's mean and deviation of ImageNet's channels (red, green, blue), of values in [0, 1].
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// What one kind of cell learns from and is tested on.
#[derive(Debug)]
pub(super) struct Material {
    /// Images for training and validation.
    pub(super) train: Images,
    /// Images for the test at the end.
    pub(super) test: Images,
    /// What the network expects of them.
    pub(super) input: Input,
}

impl Material {
    /// The `share` of `set`, with the labels `classes` only, renumbered in their order; the test
    /// images are the first `test` of those classes. A share of more images than there are is all of them.
    pub(super) fn new(
        set: &DataSet,
        share: Share,
        classes: Option<&[u16]>,
        test: Option<usize>,
        input: Input,
    ) -> Self {
        let all = |images: &Images| (0..images.len()).collect::<Vec<_>>();
        let train = of_classes(&set.train, &of_share(&set.train, share), classes);
        let mut tested = all(&set.test);
        if let Some(classes) = classes {
            tested.retain(|&index| classes.contains(&set.test.labels[index]));
        }
        tested.truncate(test.unwrap_or(usize::MAX));
        Material { train, test: of_classes(&set.test, &tested, classes), input }
    }

    /// The same images with their channels in `order`; they come as red, green, blue.
    pub(super) fn in_order(mut self, order: ChannelOrder) -> Self {
        if order == ChannelOrder::Bgr {
            reverse_channels(&mut self.train);
            reverse_channels(&mut self.test);
        }
        self
    }
}

fn reverse_channels(images: &mut Images) {
    let area = images.height * images.width;
    for image in images.pixels.chunks_mut(images.channels * area) {
        let (front, back) = image.split_at_mut(images.channels / 2 * area);
        let last = back.len() - front.len();
        for (plane, other) in front.chunks_mut(area).zip(back[last..].chunks_mut(area).rev()) {
            plane.swap_with_slice(other);
        }
    }
}

/// What a network with `channels` channels expects of the images of `set`.
pub(crate) fn input(set: &DataSet, data: &Data, channels: usize) -> Input {
    let fit = |mut values: Vec<f32>| {
        if values.len() != channels {
            values = vec![values[0]; channels];
        }
        if data.channels == ChannelOrder::Bgr {
            values.reverse();
        }
        values
    };
    let [mean, deviation] = match &data.normalise {
        Normalise::Imagenet => IMAGENET.map(|values| fit(values.into())),
        Normalise::Dataset => {
            let (means, deviations) = moments(&set.train).into_iter().unzip();
            [means, deviations].map(fit)
        }
        // These are in the network's order already.
        Normalise::Given(Moments { mean, deviation }) => [mean, deviation].map(|values| {
            let all = || vec![values[0]; channels];
            if values.len() == channels { values.clone() } else { all() }
        }),
    };
    Input { channels, size: data.image_size, mean, deviation }
}

/// Mean and deviation of each channel, of values in [0, 1].
fn moments(images: &Images) -> Vec<(f32, f32)> {
    let area = images.height * images.width;
    (0..images.channels)
        .map(|channel| {
            let mut counts = [0u64; 256];
            for plane in images.pixels.chunks(area).skip(channel).step_by(images.channels) {
                plane.iter().for_each(|&pixel| counts[pixel as usize] += 1);
            }
            let total = (images.len() * area) as f64;
            let mean_of = |value: fn(f64) -> f64| -> f64 {
                let weigh =
                    |(pixel, &count): (usize, &u64)| value(pixel as f64 / 255.0) * count as f64;
                counts.iter().enumerate().map(weigh).sum::<f64>() / total
            };
            let mean = mean_of(|x| x);
            let variance = mean_of(|x| x * x) - mean * mean;
            (mean as f32, variance.sqrt().max(1.0 / 255.0) as f32)
        })
        .collect()
}

fn of_share(images: &Images, share: Share) -> Vec<usize> {
    let mut order: Vec<usize> = (0..images.len()).collect();
    let (Share::Source { images: count, seed } | Share::Rest { images: count, seed }) = share
    else {
        return order;
    };
    Stream::new(seed, "share").shuffle(&mut order);
    let mut part = match share {
        Share::Rest { .. } => order.split_off(count.min(order.len())),
        _ => order[..count.min(order.len())].to_vec(),
    };
    part.sort_unstable();
    part
}

fn of_classes(images: &Images, indices: &[usize], classes: Option<&[u16]>) -> Images {
    let size = images.channels * images.height * images.width;
    let mut chosen = Images { pixels: Vec::new(), labels: Vec::new(), ..*images };
    chosen.classes = classes.map_or(images.classes, <[u16]>::len);
    for &index in indices {
        let label = images.labels[index];
        let new = match classes {
            None => Some(label),
            Some(classes) => classes.iter().position(|&class| class == label).map(|at| at as u16),
        };
        if let Some(label) = new {
            chosen.labels.push(label);
            chosen.pixels.extend_from_slice(&images.pixels[index * size..(index + 1) * size]);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One grey pixel an image, its value the image's number; three classes in turn.
    fn images(count: usize) -> Images {
        let labels = (0..count).map(|image| (image % 3) as u16).collect();
        let pixels = (0..count).map(|image| image as u8).collect();
        Images { channels: 1, height: 1, width: 1, pixels, labels, classes: 3 }
    }

    fn set() -> DataSet {
        DataSet {
            name: "numbers".into(),
            train: images(30),
            test: images(12),
            digest: "none".into(),
            notes: Vec::new(),
        }
    }

    fn material(share: Share, classes: Option<&[u16]>) -> Material {
        let input = Input { channels: 1, size: 1, mean: vec![0.0], deviation: vec![1.0] };
        Material::new(&set(), share, classes, Some(5), input)
    }

    #[test]
    fn source_and_fresh_networks_share_no_image_and_leave_none_out() {
        let source = material(Share::Source { images: 10, seed: 4 }, None);
        let rest = material(Share::Rest { images: 10, seed: 4 }, None);
        assert_eq!((source.train.len(), rest.train.len()), (10, 20));
        let mut all = [source.train.pixels, rest.train.pixels].concat();
        all.sort_unstable();
        assert_eq!(all, set().train.pixels);
    }

    #[test]
    fn classes_are_renumbered_in_the_order_asked_for() {
        let chosen = material(Share::Whole, Some(&[2, 0]));
        assert_eq!((chosen.train.classes, chosen.train.len()), (2, 20));
        for (pixel, label) in chosen.train.pixels.iter().zip(&chosen.train.labels) {
            assert_eq!(*label, if pixel % 3 == 2 { 0 } else { 1 });
        }
        assert_eq!(chosen.test.pixels, [0, 2, 3, 5, 6]);
    }

    #[test]
    fn moments_are_those_of_values_in_the_unit_interval() {
        // python: import numpy as np; x = np.array([0, 51, 255, 102]) / 255; print(x.mean(), x.std())
        let pixels = vec![0, 51, 255, 102];
        let one = Images { pixels, height: 2, width: 2, labels: vec![0], ..images(1) };
        let (mean, deviation) = moments(&one)[0];
        assert!((mean - 0.4).abs() < 1e-6 && (deviation - 0.374_165_74).abs() < 1e-6);
    }

    fn colours() -> DataSet {
        // Two images of two pixels: red 0 and 255, green 51, blue 102.
        let one = [0, 255, 51, 51, 102, 102];
        let images = Images {
            channels: 3,
            height: 1,
            width: 2,
            pixels: [one, one].concat(),
            labels: vec![0, 1],
            classes: 2,
        };
        DataSet { train: images.clone(), test: images, ..set() }
    }

    fn data(more: &str) -> Data {
        serde_yaml::from_str(&format!("{{name: colours, train_sizes: [1]{more}}}")).unwrap()
    }

    #[test]
    fn a_network_that_reads_blue_first_gets_its_channels_and_moments_in_that_order() {
        let input = input(&colours(), &data(", channels: bgr"), 3);
        assert_eq!(input.mean, [0.4, 0.2, 0.5]);
        let material = Material::new(&colours(), Share::Whole, None, None, input);
        let material = material.in_order(ChannelOrder::Bgr);
        assert_eq!(material.train.pixels[..6], [102, 102, 51, 51, 0, 255]);
        assert_eq!(material.test.pixels, material.train.pixels);
    }

    #[test]
    fn moments_that_are_given_are_in_the_networks_order_or_one_for_all() {
        let given = |mean: &str, order: &str| {
            let more =
                format!(", normalise: {{mean: {mean}, deviation: [0.5]}}, channels: {order}");
            input(&colours(), &data(&more), 3)
        };
        assert_eq!(given("[0.1, 0.2, 0.3]", "bgr").mean, [0.1, 0.2, 0.3]);
        assert_eq!(given("[0.1]", "rgb").mean, [0.1; 3]);
        assert_eq!(given("[0.1]", "rgb").deviation, [0.5; 3]);
        let imagenet = input(&colours(), &data(", normalise: imagenet, channels: bgr"), 3);
        assert_eq!(imagenet.mean, [0.406, 0.456, 0.485]);
    }

    // The authors' constants for Fashion-MNIST, of values up to 255: 72.9403522321, 90.0211823513.
    #[test]
    fn the_moments_of_fashion_mnist_are_the_published_ones() {
        let cache = crate::fetch::cache_dir().unwrap();
        let spec = crate::data::Spec::Registered("fashion-mnist".into());
        let Ok(set) = crate::data::load(&spec, &cache) else {
            eprintln!("skipped: fashion-mnist is not in the cache");
            return;
        };
        let [(mean, deviation)] = moments(&set.train)[..] else { panic!("one channel") };
        assert!((mean * 255.0 - 72.940_35).abs() < 1e-3, "{mean}");
        assert!((deviation * 255.0 - 90.021_18).abs() < 1e-3, "{deviation}");
    }
}
