//! torchvision's SqueezeNet 1.1 (Iandola et al. 2016): no fully connected layer, 1.2 M parameters.

use serde::{Deserialize, Serialize};
use tch::nn;

use super::init::Law;
use super::network::{Builder, Network};
use super::{Architecture, Entry, OutOfRange, check};

/// The smallest image side for which the last pooling still has two rows to pool.
const SMALLEST_IMAGE: usize = 17;

/// SqueezeNet 1.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqueezeNet {
    /// Share of activations dropped before the last convolution while training, in [0, 1).
    pub dropout: f64,
}

impl Default for SqueezeNet {
    /// torchvision's dropout 0.5; with 1000 classes 1,235,496 parameters.
    fn default() -> Self {
        SqueezeNet { dropout: 0.5 }
    }
}

impl SqueezeNet {
    pub(super) const ENTRY: Entry = Entry {
        name: "squeezenet1-1",
        help: "torchvision's SqueezeNet 1.1, colour images of at least 17 px",
        example: "{name: squeezenet1-1, dropout: 0.5}",
    };

    /// Builds the network below `root` with `classes` outputs, for colour images of at least 17
    /// pixels a side.
    ///
    /// Layers: `features.0`, the fire modules `features.{3, 4, 6, 7, 9, 10, 11, 12}` with
    /// `.squeeze`, `.expand1x1` and `.expand3x3` each, and `classifier.1`, as in
    /// `torchvision/models/squeezenet.py`; initialised as there: U(±√(6/fan-in)), the last
    /// convolution normal with deviation 0.01, biases 0.
    pub fn build(&self, root: &nn::Path, classes: usize) -> Network {
        self.layers(root, classes).build()
    }
}

impl Architecture for SqueezeNet {
    fn entry(&self) -> Entry {
        Self::ENTRY
    }

    fn layers<'a>(&self, root: &nn::Path<'a>, classes: usize) -> Builder<'a> {
        Builder::new(root, "features", Law::HeUniform)
            .conv([3, 64, 3], 2, 0)
            .relu()
            .max_pool_ceil(3, 2)
            .fire(64, 16, 64)
            .fire(128, 16, 64)
            .max_pool_ceil(3, 2)
            .fire(128, 32, 128)
            .fire(256, 32, 128)
            .max_pool_ceil(3, 2)
            .fire(256, 48, 192)
            .fire(384, 48, 192)
            .fire(384, 64, 256)
            .fire(512, 64, 256)
            .block("classifier")
            .dropout(self.dropout)
            .law(Law::Normal(0.01))
            .conv([512, classes as i64, 1], 1, 0)
            .relu()
            .average(1)
            .flatten()
    }

    fn channels(&self) -> usize {
        3
    }

    fn check_options(&self) -> Result<(), OutOfRange> {
        check::dropout(self.dropout)
    }

    fn check_image(&self, size: usize) -> Result<(), OutOfRange> {
        check::image_at_least(SMALLEST_IMAGE, size, Self::ENTRY)
    }
}
