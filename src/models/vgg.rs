//! torchvision's VGG-16 (Simonyan and Zisserman 2014), with a head as wide as one likes.

use serde::{Deserialize, Serialize};
use tch::nn;

use super::init::Law;
use super::network::{Builder, Network};
use super::{Architecture, Entry, OutOfRange, check};

/// The smallest image side for which the last pooling still has a row to pool.
const SMALLEST_IMAGE: usize = 32;

/// Channels of the 3 × 3 convolutions, up to each pooling.
const STAGES: [&[i64]; 5] =
    [&[64, 64], &[128, 128], &[256, 256, 256], &[512, 512, 512], &[512, 512, 512]];

/// The head of a VGG-16; its convolutions are always torchvision's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vgg16 {
    /// Widths of the two hidden layers of the head, 1 to 16,384.
    pub hidden: [usize; 2],
    /// Share of activations dropped after each hidden layer while training, in [0, 1).
    pub dropout: f64,
}

impl Default for Vgg16 {
    /// torchvision's: 4096 and 4096 hidden units, dropout 0.5; with 1000 classes 138,357,544
    /// parameters.
    fn default() -> Self {
        Vgg16 { hidden: [4096, 4096], dropout: 0.5 }
    }
}

impl Vgg16 {
    pub(super) const ENTRY: Entry = Entry {
        name: "vgg16",
        help: "torchvision's VGG-16, colour images of at least 32 px",
        example: "{name: vgg16, hidden: [256, 256], dropout: 0.5}",
    };

    /// Builds the network below `root` with `classes` outputs, for colour images of at least 32
    /// pixels a side.
    ///
    /// Layers: `features.{0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28}` (convolutions) and
    /// `classifier.{0, 3, 6}`, as in `torchvision/models/vgg.py`; initialised as there: convolutions
    /// normal with variance 2/fan-out, linear layers normal with deviation 0.01, biases 0.
    pub fn build(&self, root: &nn::Path, classes: usize) -> Network {
        self.layers(root, classes).build()
    }
}

impl Architecture for Vgg16 {
    fn entry(&self) -> Entry {
        Self::ENTRY
    }

    fn layers<'a>(&self, root: &nn::Path<'a>, classes: usize) -> Builder<'a> {
        let [first, second] = self.hidden.map(|width| width as i64);
        let mut builder = Builder::new(root, "features", Law::HeNormal);
        let mut input = 3;
        for stage in STAGES {
            for &output in stage {
                builder = builder.conv([input, output, 3], 1, 1).relu();
                input = output;
            }
            builder = builder.max_pool(2, 2);
        }
        builder
            .average(7)
            .flatten()
            .block("classifier")
            .law(Law::Normal(0.01))
            .linear(input * 7 * 7, first)
            .relu()
            .dropout(self.dropout)
            .linear(first, second)
            .relu()
            .dropout(self.dropout)
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
