//! What an experiment says of its data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::subset::Subset;

/// Images and how they are split and prepared.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// A registered data set (`polarity data list`), any name beside `files`, `cifar10` or `folder`, or
    /// `xor-5d`, whose points are drawn.
    pub name: String,
    /// The four IDX files of a data set of one's own.
    #[serde(default)]
    pub files: Option<IdxFiles>,
    /// CIFAR-10 of one's own: the folder `cifar-10-batches-bin`, or the archive that has it.
    #[serde(default)]
    pub cifar10: Option<PathBuf>,
    /// A folder of images of one's own.
    #[serde(default)]
    pub folder: Option<ImageFolder>,
    /// Side of the images after resizing, 1 to 2,048 pixels.
    #[serde(default = "image_size")]
    pub image_size: usize,
    /// Numbers of training images, each an own row of cells: 1 to as many as there are; of points, 4 to
    /// 1,000,000.
    pub train_sizes: Vec<usize>,
    /// Images split from the training set for curves and for choosing the best step, 1 to as many as there
    /// are; of points, 4 to 1,000,000.
    #[serde(default = "validation")]
    pub validation: usize,
    /// Test images used at the end: the first so many of the test set, by default all. Of points, 4 to
    /// 1,000,000, which must be said.
    #[serde(default)]
    pub test: Option<usize>,
    /// Labels to keep, 0 to 65,535, renumbered in this order; by default all.
    #[serde(default)]
    pub classes: Option<Vec<u16>>,
    /// How training images are chosen.
    #[serde(default)]
    pub subset: Subset,
    /// Which mean and deviation the pixels are scaled by.
    #[serde(default)]
    pub normalise: Normalise,
    /// The order in which the network reads the channels of colour images, or `grey`.
    #[serde(default)]
    pub channels: ChannelOrder,
}

/// The side of MNIST's images.
pub(crate) const IMAGE_SIZE: usize = 28;

fn image_size() -> usize {
    IMAGE_SIZE
}

fn validation() -> usize {
    500
}

/// A data set of one's own in MNIST's file format, plain or gzipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct IdxFiles {
    pub train_images: PathBuf,
    pub train_labels: PathBuf,
    pub test_images: PathBuf,
    pub test_labels: PathBuf,
}

/// A folder of images of one's own, PNG or JPEG, with a folder for each class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFolder {
    /// The folder: `train` and `test` (or `val`, `valid`) in it have the classes, or else it has them
    /// itself.
    pub path: PathBuf,
    /// The share of each class that is set apart for the test, in (0, 1), where there is no folder of test
    /// images.
    #[serde(default)]
    pub test_share: Option<f64>,
}

/// Mean and deviation that pixel values in [0, 1] are scaled by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "NormaliseText", into = "NormaliseText")]
pub enum Normalise {
    /// Those of the data set's own training images, which are what is published for the known ones.
    #[default]
    Dataset,
    /// torchvision's for ImageNet: what an ImageNet source was trained on.
    Imagenet,
    /// These, one number for each channel that the network reads, in its order, or one for all.
    Given(Moments),
}

/// A mean and a deviation above 0 for each channel, or one for all, of pixel values in [0, 1]; both
/// finite as 32-bit numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Moments {
    pub mean: Vec<f32>,
    pub deviation: Vec<f32>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected `dataset`, `imagenet` or `{mean: [0.5], deviation: [0.25]}`"
)]
enum NormaliseText {
    Word(NormaliseWord),
    Given(Moments),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NormaliseWord {
    Dataset,
    Imagenet,
}

impl From<NormaliseText> for Normalise {
    fn from(text: NormaliseText) -> Self {
        match text {
            NormaliseText::Word(NormaliseWord::Dataset) => Normalise::Dataset,
            NormaliseText::Word(NormaliseWord::Imagenet) => Normalise::Imagenet,
            NormaliseText::Given(moments) => Normalise::Given(moments),
        }
    }
}

impl From<Normalise> for NormaliseText {
    fn from(normalise: Normalise) -> Self {
        match normalise {
            Normalise::Dataset => NormaliseText::Word(NormaliseWord::Dataset),
            Normalise::Imagenet => NormaliseText::Word(NormaliseWord::Imagenet),
            Normalise::Given(moments) => NormaliseText::Given(moments),
        }
    }
}

/// The order in which a network reads the channels of colour images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelOrder {
    /// Red, green, blue, as PyTorch's networks do.
    #[default]
    Rgb,
    /// Blue, green, red, as Caffe's networks do.
    Bgr,
    /// None of them: colour images go into a network for grey ones, as their luma.
    Grey,
}

impl ChannelOrder {
    /// Whether it is the usual one, which a cell's name does not mention.
    pub fn is_rgb(&self) -> bool {
        *self == ChannelOrder::Rgb
    }
}
