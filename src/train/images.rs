//! Images on their device, and batches of them as a network takes them: resized, scaled.

use tch::{Device, Kind, TchError, Tensor};

use crate::data::Images;
use crate::data::xor::{DIMENSIONS, Point};

/// What a network expects of its images.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Channels; grey images are copied into each.
    pub channels: usize,
    /// Side in pixels; images are resized bilinearly (half-pixel centres, no antialiasing).
    pub size: usize,
    /// Mean of each channel, of values in [0, 1], which is subtracted.
    pub mean: Vec<f32>,
    /// Deviation of each channel, by which is divided.
    pub deviation: Vec<f32>,
}

/// Images and labels on a device, given to a network a batch at a time.
///
/// Images stay bytes at their own size until a batch is asked for, so that 50,000 of CIFAR-10 take 154 MB
/// where they would take 31 GB as a network of 227 px wants them.
#[derive(Debug)]
pub struct ImageSet {
    /// `[n, channels, height, width]`, uint8 or, of points, `[n, 5]`, float32.
    images: Tensor,
    /// `[n]`, int64.
    labels: Tensor,
    /// What is done to images; none to points.
    preparation: Option<Preparation>,
}

impl ImageSet {
    /// The images `indices` of `source`, in that order, for a network that expects `input`, on `device`.
    ///
    /// # Errors
    /// What libtorch says, when memory runs out for example.
    pub fn new(
        source: &Images,
        indices: &[usize],
        input: &Input,
        device: Device,
    ) -> Result<Self, TchError> {
        let (channels, height, width) = (source.channels, source.height, source.width);
        let size = channels * height * width;
        let mut pixels = Vec::with_capacity(indices.len() * size);
        for &index in indices {
            pixels.extend_from_slice(&source.pixels[index * size..(index + 1) * size]);
        }
        let labels: Vec<i64> = indices.iter().map(|&index| source.labels[index].into()).collect();
        let shape = [indices.len(), channels, height, width].map(|side| side as i64);
        Ok(ImageSet {
            images: Tensor::f_from_slice(&pixels)?.f_reshape(shape)?.f_to_device(device)?,
            labels: Tensor::f_from_slice(&labels)?.f_to_device(device)?,
            preparation: Some(Preparation::new(input, device)?),
        })
    }

    /// The points of XOR-5D as `[n, 5]`, with their classes, on `device`.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn of_points(points: &[Point], device: Device) -> Result<Self, TchError> {
        let coordinates: Vec<f32> = points.iter().flat_map(|point| point.x).collect();
        let labels: Vec<i64> = points.iter().map(|point| point.class.into()).collect();
        let shape = [points.len() as i64, DIMENSIONS as i64];
        let images = Tensor::f_from_slice(&coordinates)?.f_reshape(shape)?.f_to_device(device)?;
        let labels = Tensor::f_from_slice(&labels)?.f_to_device(device)?;
        Ok(ImageSet { images, labels, preparation: None })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.numel()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The images and labels at `places`, in that order, prepared.
    pub(super) fn select(&self, places: &[usize]) -> Result<(Tensor, Tensor), TchError> {
        let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
        let places = Tensor::f_from_slice(&places)?.f_to_device(self.labels.device())?;
        let images = self.prepared(self.images.f_index_select(0, &places)?)?;
        Ok((images, self.labels.f_index_select(0, &places)?))
    }

    /// `count` images and labels from `start` on, prepared.
    pub(crate) fn slice(&self, start: usize, count: usize) -> Result<(Tensor, Tensor), TchError> {
        let (start, count) = (start as i64, count as i64);
        let images = self.prepared(self.images.f_narrow(0, start, count)?)?;
        Ok((images, self.labels.f_narrow(0, start, count)?))
    }

    fn prepared(&self, images: Tensor) -> Result<Tensor, TchError> {
        match &self.preparation {
            Some(preparation) => preparation.apply(&images),
            None => Ok(images),
        }
    }
}

/// What makes bytes a network's input: values in [0, 1], resized, scaled.
#[derive(Debug)]
struct Preparation {
    size: i64,
    /// `[1, channels, 1, 1]`.
    mean: Tensor,
    /// `[1, channels, 1, 1]`.
    deviation: Tensor,
}

impl Preparation {
    fn new(input: &Input, device: Device) -> Result<Self, TchError> {
        let of_channels = |values: &[f32]| {
            let values = Tensor::f_from_slice(values)?.f_reshape([1, values.len() as i64, 1, 1])?;
            values.f_to_device(device)
        };
        let (mean, deviation) = (of_channels(&input.mean)?, of_channels(&input.deviation)?);
        Ok(Preparation { size: input.size as i64, mean, deviation })
    }

    /// `[n, channels of the images, height, width]` → `[n, channels of the network, size, size]`.
    fn apply(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let images = images.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?;
        resized(&images, self.size)?.f_sub(&self.mean)?.f_div(&self.deviation)
    }
}

fn resized(images: &Tensor, size: i64) -> Result<Tensor, TchError> {
    if images.size()[2..] == [size, size] {
        return Ok(images.shallow_clone());
    }
    images.f_upsample_bilinear2d([size, size], false, None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Images {
        let pixels = vec![0, 255, 51, 102, 255, 0, 0, 0];
        Images { channels: 1, height: 2, width: 2, pixels, labels: vec![7, 3], classes: 10 }
    }

    fn prepared(size: usize, indices: &[usize]) -> (Vec<f32>, Vec<i64>) {
        let input = Input { channels: 1, size, mean: vec![0.5], deviation: vec![0.25] };
        let set = ImageSet::new(&source(), indices, &input, Device::Cpu).unwrap();
        let (images, labels) = set.slice(0, set.len()).unwrap();
        (Vec::try_from(images.flatten(0, -1)).unwrap(), Vec::try_from(labels).unwrap())
    }

    #[test]
    fn images_come_in_the_order_asked_for_and_scaled() {
        let (pixels, labels) = prepared(2, &[1, 0]);
        assert_eq!(labels, [3, 7]);
        let expected = [2.0, -2.0, -2.0, -2.0, -2.0, 2.0, -1.2, -0.4];
        for (pixel, expected) in pixels.iter().zip(expected) {
            assert!((pixel - expected).abs() < 1e-6, "{pixel} {expected}");
        }
    }

    #[test]
    fn images_are_resized_between_the_centres_of_their_pixels() {
        // Centres of 4 pixels over 2 are at −0.25, 0.25, 0.75 and 1.25; edges are repeated.
        let (pixels, _) = prepared(4, &[0]);
        let first_row = [0.0, 0.25, 0.75, 1.0].map(|value: f32| (value - 0.5) / 0.25);
        for (pixel, expected) in pixels.iter().zip(first_row) {
            assert!((pixel - expected).abs() < 1e-6, "{pixel} {expected}");
        }
    }

    #[test]
    fn grey_images_are_copied_into_every_channel() {
        let input =
            Input { channels: 3, size: 2, mean: vec![0.0, 0.5, 1.0], deviation: vec![1.0; 3] };
        let set = ImageSet::new(&source(), &[0], &input, Device::Cpu).unwrap();
        let (images, _) = set.slice(0, 1).unwrap();
        assert_eq!(images.size(), [1, 3, 2, 2]);
        let channel =
            |index| Vec::<f32>::try_from(images.get(0).get(index).flatten(0, -1)).unwrap();
        assert_eq!(channel(0)[1], 1.0);
        assert_eq!(channel(1)[1], 0.5);
        assert_eq!(channel(2)[1], 0.0);
    }
}
