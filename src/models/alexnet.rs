//! torchvision's AlexNet ("One weird trick", Krizhevsky 2014), with a head as wide as one likes, and
//! a small relative for 28-pixel images.

use serde::{Deserialize, Serialize};
use tch::nn;

use super::init::Law;
use super::network::{Builder, Network};
use super::{Architecture, Entry, OutOfRange, check};

/// The smallest image side for which the last pooling still has a row to pool.
pub const SMALLEST_IMAGE: usize = 63;

/// The head of an AlexNet; its convolutions are always torchvision's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlexNet {
    /// Widths of the two hidden layers of the head, 1 to 16,384.
    pub hidden: [usize; 2],
    /// Share of activations dropped before each hidden layer while training, in [0, 1).
    pub dropout: f64,
}

impl Default for AlexNet {
    /// torchvision's: 4096 and 4096 hidden units, dropout 0.5; with 1000 classes 61,100,840 parameters.
    fn default() -> Self {
        AlexNet { hidden: [4096, 4096], dropout: 0.5 }
    }
}

impl AlexNet {
    pub(super) const ENTRY: Entry = Entry {
        name: "alexnet",
        help: "torchvision's AlexNet, colour images of at least 63 px",
        example: "{name: alexnet, hidden: [256, 256], dropout: 0.5}",
    };

    /// Builds the network below `root` with `classes` outputs, for colour images of at least
    /// [`SMALLEST_IMAGE`] pixels a side.
    ///
    /// Layers: `features.{0, 3, 6, 8, 10}` (convolutions) and `classifier.{1, 4, 6}`, as in
    /// `torchvision/models/alexnet.py`; initialised U(±1/√fan-in) as there.
    pub fn build(&self, root: &nn::Path, classes: usize) -> Network {
        self.layers(root, classes).build()
    }
}

impl Architecture for AlexNet {
    fn entry(&self) -> Entry {
        Self::ENTRY
    }

    fn layers<'a>(&self, root: &nn::Path<'a>, classes: usize) -> Builder<'a> {
        let [first, second] = self.hidden.map(|width| width as i64);
        Builder::new(root, "features", Law::TorchDefault)
            .conv([3, 64, 11], 4, 2)
            .relu()
            .max_pool(3, 2)
            .conv([64, 192, 5], 1, 2)
            .relu()
            .max_pool(3, 2)
            .conv([192, 384, 3], 1, 1)
            .relu()
            .conv([384, 256, 3], 1, 1)
            .relu()
            .conv([256, 256, 3], 1, 1)
            .relu()
            .max_pool(3, 2)
            .average(6)
            .flatten()
            .block("classifier")
            .dropout(self.dropout)
            .linear(256 * 6 * 6, first)
            .relu()
            .dropout(self.dropout)
            .linear(first, second)
            .relu()
            .linear(second, classes as i64)
    }

    fn channels(&self) -> usize {
        3
    }

    fn check_options(&self) -> Result<(), OutOfRange> {
        check::hidden(&self.hidden)?;
        check::dropout(self.dropout)
    }

    fn check_image(&self, size: usize) -> Result<(), OutOfRange> {
        check::image_at_least(SMALLEST_IMAGE, size, Self::ENTRY)
    }
}

/// torchvision's AlexNet with `classes` outputs, below `root`.
pub fn alexnet(root: &nn::Path, classes: usize) -> Network {
    AlexNet::default().build(root, classes)
}

/// An AlexNet small enough to train in a minute on one core: two convolutions, one hidden layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlexNetMini {
    /// Width of the hidden layer, 1 to 16,384.
    pub hidden: usize,
    /// Share of activations dropped before each linear layer while training, in [0, 1).
    pub dropout: f64,
}

impl Default for AlexNetMini {
    /// 256 hidden units, no dropout.
    fn default() -> Self {
        AlexNetMini { hidden: 256, dropout: 0.0 }
    }
}

impl AlexNetMini {
    pub(super) const ENTRY: Entry = Entry {
        name: "alexnet-mini",
        help: "two convolutions and one hidden layer, grey images of 28 px",
        example: "{name: alexnet-mini, hidden: 256, dropout: 0}",
    };

    /// The side of the images it takes, in pixels.
    pub const IMAGE: usize = 28;

    /// Builds the network below `root` with `classes` outputs, for grey images of 28 × 28 pixels.
    ///
    /// Layers: `features.{0, 3}` (5 × 5 and 3 × 3 convolutions, 32 and 64 channels, each followed by
    /// ReLU and 2 × 2 pooling) and `classifier.{1, 4}`; initialised U(±1/√fan-in).
    pub fn build(&self, root: &nn::Path, classes: usize) -> Network {
        self.layers(root, classes).build()
    }
}

impl Architecture for AlexNetMini {
    fn entry(&self) -> Entry {
        Self::ENTRY
    }

    fn layers<'a>(&self, root: &nn::Path<'a>, classes: usize) -> Builder<'a> {
        let hidden = self.hidden as i64;
        Builder::new(root, "features", Law::TorchDefault)
            .conv([1, 32, 5], 1, 2)
            .relu()
            .max_pool(2, 2)
            .conv([32, 64, 3], 1, 1)
            .relu()
            .max_pool(2, 2)
            .average(7)
            .flatten()
            .block("classifier")
            .dropout(self.dropout)
            .linear(64 * 7 * 7, hidden)
            .relu()
            .dropout(self.dropout)
            .linear(hidden, classes as i64)
    }

    fn channels(&self) -> usize {
        1
    }

    fn check_options(&self) -> Result<(), OutOfRange> {
        check::hidden(&[self.hidden])?;
        check::dropout(self.dropout)
    }

    fn check_image(&self, size: usize) -> Result<(), OutOfRange> {
        let (name, side) = (Self::ENTRY.name, Self::IMAGE);
        match size == side {
            true => Ok(()),
            false => {
                let expected = format!("{side} pixels, as {name} takes");
                Err(OutOfRange::new("data.image_size", expected, size))
            }
        }
    }
}
