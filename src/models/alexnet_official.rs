//! The AlexNet of the paper's experiments: Krizhevsky's layers under the 1000-way layer of ImageNet,
//! and a new head on top of it.
//!
//! Layers are numbered as PyTorch would number them:
//!
//! | paper | here | | paper | here |
//! | --- | --- | --- | --- | --- |
//! | conv1 | `features.0` | | fc6 | `classifier.0` |
//! | conv2 | `features.3` | | fc7 | `classifier.3` |
//! | conv3 | `features.6` | | fc8 | `classifier.6` |
//! | conv4 | `features.8` | | head | `classifier.8` |
//! | conv5 | `features.10` | | | |
//!
//! **Source**: `CV/AlexNet.py` of the authors' code. fc6 sees channels, rows, columns here, and rows,
//! columns, channels there: the same network, its weights in another order.

use serde::{Deserialize, Serialize};
use tch::nn;

use super::init::Law;
use super::network::{Builder, Network, ResponseNorm};
use super::{Architecture, Entry, OutOfRange, check};

/// The smallest image side for which the last pooling still has a row to pool.
const SMALLEST_IMAGE: usize = 67;

/// Deviation of the head's weights, before they are cut at twice it.
const HEAD_SIGMA: f64 = 0.25;

/// Krizhevsky's normalisation, which the authors left out.
const RESPONSE_NORM: ResponseNorm =
    ResponseNorm { channels: 5, alpha: 1e-4, beta: 0.75, bias: 1.0 };

/// The paper's AlexNet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlexNetOfficial {
    /// Parts of the second, fourth and fifth convolution that do not see each other: 1, or 2 as in
    /// the network that Krizhevsky trained on two GPUs.
    pub groups: usize,
    /// Whether local response normalisation follows the first two convolutions.
    pub lrn: bool,
    /// Share of activations dropped after each hidden layer while training, in [0, 1).
    pub dropout: f64,
}

impl Default for AlexNetOfficial {
    /// The authors': one group, no normalisation, dropout 0.5; with 10 classes 62,388,354 parameters.
    fn default() -> Self {
        AlexNetOfficial { groups: 1, lrn: false, dropout: 0.5 }
    }
}

impl AlexNetOfficial {
    pub(super) const ENTRY: Entry = Entry {
        name: "alexnet-official",
        help: "the paper's AlexNet with a new head on its 1000-way layer, colour images of 227 px",
        example: "{name: alexnet-official, groups: 1, lrn: false, dropout: 0.5}",
    };

    /// Builds the network below `root` with `classes` outputs, for colour images of 227 pixels a
    /// side, the published size. The 6 × 6 cells below fc6 are averages for other sizes, of at least
    /// 67 pixels.
    ///
    /// Convolutions start by Glorot's normal law, fc6 to fc8 by his uniform law, the head by a cut
    /// normal law with σ = 0.25, biases at 0.
    pub fn build(&self, root: &nn::Path, classes: usize) -> Network {
        self.layers(root, classes).build()
    }
}

impl Architecture for AlexNetOfficial {
    fn entry(&self) -> Entry {
        Self::ENTRY
    }

    fn layers<'a>(&self, root: &nn::Path<'a>, classes: usize) -> Builder<'a> {
        let groups = self.groups as i64;
        let norm = self.lrn.then_some(RESPONSE_NORM);
        Builder::new(root, "features", Law::GlorotNormal)
            .conv([3, 96, 11], 4, 0)
            .relu()
            .response_norm(norm)
            .max_pool(3, 2)
            .grouped_conv([96, 256, 5], 1, 2, groups)
            .relu()
            .response_norm(norm)
            .max_pool(3, 2)
            .conv([256, 384, 3], 1, 1)
            .relu()
            .grouped_conv([384, 384, 3], 1, 1, groups)
            .relu()
            .grouped_conv([384, 256, 3], 1, 1, groups)
            .relu()
            .max_pool(3, 2)
            .average(6)
            .flatten()
            .block("classifier")
            .law(Law::GlorotUniform)
            .linear(256 * 6 * 6, 4096)
            .relu()
            .dropout(self.dropout)
            .linear(4096, 4096)
            .relu()
            .dropout(self.dropout)
            .linear(4096, 1000)
            .relu()
            .law(Law::TruncatedNormal(HEAD_SIGMA))
            .linear(1000, classes as i64)
    }

    fn channels(&self) -> usize {
        3
    }

    fn check_options(&self) -> Result<(), OutOfRange> {
        if !matches!(self.groups, 1 | 2) {
            return Err(OutOfRange::new("model.groups", "1 or 2", self.groups));
        }
        check::dropout(self.dropout)
    }

    fn check_image(&self, size: usize) -> Result<(), OutOfRange> {
        check::image_at_least(SMALLEST_IMAGE, size, Self::ENTRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Mode;
    use tch::{Device, Kind, Tensor};

    fn built(net: AlexNetOfficial) -> (nn::VarStore, Network) {
        let variables = nn::VarStore::new(Device::Cpu);
        let net = net.build(&variables.root(), 10);
        (variables, net)
    }

    // The table of the authors' layers: kernels OIHW, then [out, in].
    #[test]
    fn every_layer_has_the_published_size_and_62_388_354_parameters_in_all() {
        let (variables, _) = built(AlexNetOfficial::default());
        let tensors = variables.variables();
        let kernels: [(&str, &[i64]); 9] = [
            ("features.0", &[96, 3, 11, 11]),
            ("features.3", &[256, 96, 5, 5]),
            ("features.6", &[384, 256, 3, 3]),
            ("features.8", &[384, 384, 3, 3]),
            ("features.10", &[256, 384, 3, 3]),
            ("classifier.0", &[4096, 9216]),
            ("classifier.3", &[4096, 4096]),
            ("classifier.6", &[1000, 4096]),
            ("classifier.8", &[10, 1000]),
        ];
        for (layer, shape) in kernels {
            assert_eq!(tensors[&format!("{layer}.weight")].size(), shape, "{layer}");
            assert_eq!(tensors[&format!("{layer}.bias")].size(), shape[..1], "{layer}");
        }
        let weights = tensors.values().filter(|t| t.dim() >= 2).map(Tensor::numel).sum::<usize>();
        assert_eq!(weights, 62_377_776);
        let parameters = tensors.values().map(Tensor::numel).sum::<usize>();
        assert_eq!((tensors.len(), parameters), (18, 62_388_354));
    }

    #[test]
    fn each_layer_starts_by_its_published_law() {
        let (variables, net) = built(AlexNetOfficial::default());
        net.initialise(1).unwrap();
        let tensors = variables.variables();
        let deviation = |layer: &str| {
            tensors[&format!("{layer}.weight")].square().mean(Kind::Double).sqrt().double_value(&[])
        };
        let greatest =
            |layer: &str| tensors[&format!("{layer}.weight")].abs().max().double_value(&[]);
        // Fans: conv1 363 and 11,616; fc8 4096 and 1000; the head's deviation is 0.8796 × 0.25.
        assert!((deviation("features.0") / (2.0 / 11_979_f64).sqrt() - 1.0).abs() < 0.01);
        let bound = (6.0 / 5096_f64).sqrt();
        assert!((deviation("classifier.6") * 3f64.sqrt() / bound - 1.0).abs() < 0.01);
        assert!(greatest("classifier.6") <= bound);
        assert!((deviation("classifier.8") / 0.219_906 - 1.0).abs() < 0.02);
        assert!(greatest("classifier.8") <= 0.5);
        let biases = tensors.iter().filter(|(name, _)| name.ends_with("bias"));
        assert!(biases.into_iter().all(|(_, bias)| bias.abs().max().double_value(&[]) == 0.0));
    }

    #[test]
    fn it_takes_images_of_the_published_and_of_the_smallest_size() {
        let (_variables, net) = built(AlexNetOfficial { lrn: true, ..Default::default() });
        let images = |side| Tensor::zeros([1, 3, side, side], (Kind::Float, Device::Cpu));
        for side in [227, SMALLEST_IMAGE as i64] {
            assert_eq!(net.forward(&images(side), Mode::Evaluate).unwrap().size(), [1, 10]);
        }
        assert!(net.forward(&images(SMALLEST_IMAGE as i64 - 1), Mode::Evaluate).is_err());
    }

    #[test]
    fn two_groups_have_half_the_kernels_of_the_second_fourth_and_fifth_convolution() {
        let (variables, _) = built(AlexNetOfficial { groups: 2, ..Default::default() });
        let tensors = variables.variables();
        assert_eq!(tensors["features.3.weight"].size(), [256, 48, 5, 5]);
        assert_eq!(tensors["features.8.weight"].size(), [384, 192, 3, 3]);
        assert_eq!(tensors["features.10.weight"].size(), [256, 192, 3, 3]);
        let parameters = tensors.values().map(Tensor::numel).sum::<usize>();
        assert_eq!(parameters, 62_388_354 - 1_413_120);
    }
}
