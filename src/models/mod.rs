//! Architectures: their layers, their names, and how their weights start.
//!
//! Weights carry torchvision's names (`features.0.weight`, …) and order (OIHW, `[out, in]`), so that
//! PyTorch checkpoints and templates fit by name. Loading files and training are left to others.

mod alexnet;
mod alexnet_official;
pub(crate) mod check;
mod init;
pub mod mlp;
mod network;
mod precision;
mod squeezenet;
mod vgg;

use serde::{Deserialize, Serialize};
use tch::nn;

pub use crate::range::OutOfRange;
pub use alexnet::{AlexNet, AlexNetMini, SMALLEST_IMAGE, alexnet};
pub use alexnet_official::AlexNetOfficial;
pub use mlp::Mlp;
use network::Builder;
pub use network::{Mode, Network};
pub use precision::Precision;
pub use squeezenet::SqueezeNet;
pub use vgg::Vgg16;

/// A network of the registry as an experiment file names it, `{name: alexnet, hidden: [256, 256]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Model {
    /// torchvision's AlexNet.
    Alexnet(AlexNet),
    /// The two-convolution relative for 28-pixel grey images.
    AlexnetMini(AlexNetMini),
    /// The AlexNet of the paper's experiments.
    AlexnetOfficial(AlexNetOfficial),
    /// torchvision's VGG-16.
    Vgg16(Vgg16),
    /// torchvision's SqueezeNet 1.1.
    #[serde(rename = "squeezenet1-1")]
    Squeezenet(SqueezeNet),
    /// One hidden layer, for the points of XOR-5D.
    Mlp(Mlp),
}

/// One line of the registry, for help and documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name in an experiment file.
    pub name: &'static str,
    /// What it is, in a line.
    pub help: &'static str,
    /// How an experiment file asks for it.
    pub example: &'static str,
}

/// Every network an experiment file can name.
pub const REGISTRY: [Entry; 6] = [
    AlexNet::ENTRY,
    AlexNetMini::ENTRY,
    AlexNetOfficial::ENTRY,
    Vgg16::ENTRY,
    SqueezeNet::ENTRY,
    Mlp::ENTRY,
];

/// What every architecture knows about itself.
trait Architecture {
    fn entry(&self) -> Entry;

    /// The layers, below `root`, of a network with `classes` outputs.
    fn layers<'a>(&self, root: &nn::Path<'a>, classes: usize) -> Builder<'a>;

    fn channels(&self) -> usize;

    fn check_options(&self) -> Result<(), OutOfRange>;

    fn check_image(&self, size: usize) -> Result<(), OutOfRange>;
}

impl Model {
    fn architecture(&self) -> &dyn Architecture {
        match self {
            Model::Alexnet(model) => model,
            Model::AlexnetMini(model) => model,
            Model::AlexnetOfficial(model) => model,
            Model::Vgg16(model) => model,
            Model::Squeezenet(model) => model,
            Model::Mlp(model) => model,
        }
    }

    /// Builds the network below `root` with `classes` outputs; an `mlp` has one, for two classes.
    pub fn build(&self, root: &nn::Path, classes: usize) -> Network {
        self.architecture().layers(root, classes).build()
    }

    /// Builds the network below `root` with all weights 0, which costs nothing: to look at its names
    /// and shapes, or to [`initialise`](Network::initialise) it.
    pub fn assemble(&self, root: &nn::Path, classes: usize) -> Network {
        self.architecture().layers(root, classes).assemble()
    }

    /// Its name in the registry.
    pub fn name(&self) -> &'static str {
        self.architecture().entry().name
    }

    /// Channels of the images it takes; none where it takes no images.
    pub fn channels(&self) -> usize {
        self.architecture().channels()
    }

    /// Checks the options and the side of the images, in pixels.
    ///
    /// # Errors
    /// The key, `model.…` or `data.image_size`, the legal values and the one given.
    pub fn check(&self, image_size: usize) -> Result<(), OutOfRange> {
        self.check_options()?;
        self.architecture().check_image(image_size)
    }

    /// Checks the options alone: with legal ones it can be built.
    pub(crate) fn check_options(&self) -> Result<(), OutOfRange> {
        self.architecture().check_options()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use tch::{Device, Kind, Tensor};

    fn shapes(variables: &nn::VarStore) -> Vec<(String, Vec<i64>)> {
        let mut shapes: Vec<_> = variables
            .variables()
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.size()))
            .collect();
        shapes.sort();
        shapes
    }

    #[test]
    fn alexnet_has_the_names_and_shapes_of_torchvision() {
        // python: [(n, list(p.shape)) for n, p in sorted(torchvision.models.alexnet().named_parameters())]
        let variables = nn::VarStore::new(Device::Cpu);
        alexnet(&variables.root(), 1000);
        let expected: [(&str, &[i64]); 16] = [
            ("classifier.1.bias", &[4096]),
            ("classifier.1.weight", &[4096, 9216]),
            ("classifier.4.bias", &[4096]),
            ("classifier.4.weight", &[4096, 4096]),
            ("classifier.6.bias", &[1000]),
            ("classifier.6.weight", &[1000, 4096]),
            ("features.0.bias", &[64]),
            ("features.0.weight", &[64, 3, 11, 11]),
            ("features.10.bias", &[256]),
            ("features.10.weight", &[256, 256, 3, 3]),
            ("features.3.bias", &[192]),
            ("features.3.weight", &[192, 64, 5, 5]),
            ("features.6.bias", &[384]),
            ("features.6.weight", &[384, 192, 3, 3]),
            ("features.8.bias", &[256]),
            ("features.8.weight", &[256, 384, 3, 3]),
        ];
        let expected = expected.map(|(name, shape)| (name.to_owned(), shape.to_vec()));
        assert_eq!(shapes(&variables), expected);
        let parameters: usize = variables.variables().values().map(|t| t.numel()).sum();
        assert_eq!(parameters, 61_100_840);
    }

    #[test]
    fn alexnet_takes_its_smallest_and_its_usual_images() {
        let variables = nn::VarStore::new(Device::Cpu);
        let net = AlexNet { hidden: [32, 16], dropout: 0.5 }.build(&variables.root(), 10);
        for side in [SMALLEST_IMAGE as i64, 64, 96, 224] {
            let images = Tensor::zeros([2, 3, side, side], (Kind::Float, Device::Cpu));
            assert_eq!(net.forward(&images, Mode::Evaluate).unwrap().size(), [2, 10]);
        }
        let small = SMALLEST_IMAGE as i64 - 1;
        let images = Tensor::zeros([2, 3, small, small], (Kind::Float, Device::Cpu));
        assert!(net.forward(&images, Mode::Evaluate).is_err());
    }

    #[test]
    fn every_entry_of_the_registry_parses_its_own_example() {
        for Entry { name, help, example } in REGISTRY {
            let model: Model = serde_yaml::from_str(example).unwrap();
            let written = serde_json::to_value(&model).unwrap();
            assert_eq!((&written["name"], model.name()), (&name.into(), name));
            assert!(!help.is_empty());
            assert!(model.check(28).is_ok() || model.check(227).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_network_of_the_registry_is_in_the_guide() {
        let guide = include_str!("../../docs/guide.md");
        for Entry { name, .. } in REGISTRY {
            assert!(guide.contains(&format!("| `{name}` |")), "{name}");
        }
    }

    #[test]
    fn the_same_seed_starts_from_the_same_bits_and_another_does_not() {
        let start = |seed| {
            let variables = nn::VarStore::new(Device::Cpu);
            AlexNetMini::default().build(&variables.root(), 10).initialise(seed).unwrap();
            variables.variables()["features.3.weight"].copy()
        };
        assert!(start(1).equal(&start(1)));
        assert!(!start(1).equal(&start(2)));
    }

    #[test]
    fn initial_weights_and_biases_are_uniform_within_one_over_root_fan_in() {
        let variables = nn::VarStore::new(Device::Cpu);
        AlexNetMini::default().build(&variables.root(), 10).initialise(1).unwrap();
        let tensors = variables.variables();
        for name in ["classifier.1.weight", "classifier.1.bias"] {
            let bound = 1.0 / f64::from(64 * 7 * 7).sqrt();
            let (least, most) = (tensors[name].min(), tensors[name].max());
            assert!(least.double_value(&[]) >= -bound && least.double_value(&[]) < -0.9 * bound);
            assert!(most.double_value(&[]) <= bound && most.double_value(&[]) > 0.9 * bound);
        }
        let deviation = tensors["classifier.1.weight"].std(false).double_value(&[]);
        let expected = 1.0 / f64::from(64 * 7 * 7).sqrt() / 3f64.sqrt();
        assert!((deviation / expected - 1.0).abs() < 0.01, "{deviation} {expected}");
    }

    #[test]
    fn bf16_rounds_the_products_and_leaves_weights_and_gradients_in_float32() {
        let build = |precision| {
            let variables = nn::VarStore::new(Device::Cpu);
            let net = AlexNetMini::default().build(&variables.root(), 10).with_precision(precision);
            net.initialise(1).unwrap();
            (variables, net)
        };
        let images = Tensor::ones([2, 1, 28, 28], (Kind::Float, Device::Cpu));
        let whole = build(Precision::Float32).1.forward(&images, Mode::Evaluate).unwrap();
        let (variables, net) = build(Precision::Bf16);
        let rounded = net.forward(&images, Mode::Evaluate).unwrap();
        assert_eq!(rounded.kind(), Kind::Float);
        assert!(!rounded.equal(&whole));
        // Eight bits of mantissa: a hundredth of the largest logit is a wide bound.
        let bound = 0.01 * whole.abs().max().double_value(&[]).max(0.1);
        assert!((&rounded - &whole).abs().max().double_value(&[]) < bound);
        rounded.sum(Kind::Float).backward();
        for (name, weight) in variables.variables() {
            assert_eq!((weight.kind(), weight.grad().kind()), (Kind::Float, Kind::Float), "{name}");
        }
    }

    #[test]
    fn dropout_keeps_the_mean_and_draws_only_from_its_stream() {
        let variables = nn::VarStore::new(Device::Cpu);
        let net = AlexNetMini { dropout: 0.5, ..Default::default() }.build(&variables.root(), 10);
        let images = Tensor::ones([8, 1, 28, 28], (Kind::Float, Device::Cpu));
        let logits =
            |seed| net.forward(&images, Mode::Train(&mut Stream::new(seed, "dropout"))).unwrap();
        assert!(logits(1).equal(&logits(1)));
        assert!(!logits(1).equal(&logits(2)));
        let evaluated = net.forward(&images, Mode::Evaluate).unwrap();
        assert!(evaluated.get(0).allclose(&evaluated.get(1), 1e-5, 1e-6, false));
    }

    #[test]
    fn a_network_starts_from_libtorchs_generator_until_a_seed_is_given() {
        let variables = nn::VarStore::new(Device::Cpu);
        AlexNetMini::default().build(&variables.root(), 10);
        for (name, tensor) in variables.variables() {
            assert!(tensor.abs().max().double_value(&[]) > 0.0, "{name}");
        }
    }

    fn parameters(model: &str) -> (usize, usize) {
        let model: Model = serde_yaml::from_str(model).unwrap();
        let variables = nn::VarStore::new(Device::Cpu);
        model.assemble(&variables.root(), 1000);
        let tensors = variables.variables();
        (tensors.len(), tensors.values().map(Tensor::numel).sum())
    }

    #[test]
    fn vgg16_and_squeezenet_have_the_parameters_of_torchvision() {
        // python: sum(p.numel() for p in torchvision.models.squeezenet1_1().parameters())
        assert_eq!(parameters("{name: squeezenet1-1}"), (52, 1_235_496));
        // torchvision's 138,357,544 less those of its hidden layers, 4096 wide, plus ours, 2 wide:
        // 138357544 - 25088*4096 - 4096*4097 - 4096 - 4096*1000 + 25088*2 + 2 + 2*2 + 2 + 2*1000
        assert_eq!(parameters("{name: vgg16, hidden: [2, 2]}"), (32, 14_767_872));
    }

    #[test]
    fn vgg16_and_squeezenet_take_their_smallest_images_and_no_smaller_ones() {
        for (model, least) in [("{name: vgg16, hidden: [2, 2]}", 32), ("{name: squeezenet1-1}", 17)]
        {
            let model: Model = serde_yaml::from_str(model).unwrap();
            assert!(model.check(least).is_ok() && model.check(least - 1).is_err());
            let variables = nn::VarStore::new(Device::Cpu);
            let net = model.build(&variables.root(), 10);
            let images = |side: usize| {
                Tensor::ones([2, 3, side as i64, side as i64], (Kind::Float, Device::Cpu))
            };
            assert_eq!(net.forward(&images(least), Mode::Evaluate).unwrap().size(), [2, 10]);
            assert!(net.forward(&images(least - 1), Mode::Evaluate).is_err());
        }
    }

    #[test]
    fn options_out_of_range_are_named_with_the_range() {
        let refusal = |model: &str| {
            let model: Model = serde_yaml::from_str(model).unwrap();
            model.check(227).unwrap_err().to_string()
        };
        assert_eq!(
            refusal("{name: alexnet-official, groups: 3}"),
            "model.groups: expected 1 or 2, got `3`"
        );
        for name in ["alexnet", "alexnet-official", "vgg16", "squeezenet1-1"] {
            assert_eq!(
                refusal(&format!("{{name: {name}, dropout: 1.0}}")),
                "model.dropout: expected a share in [0, 1), got `1`"
            );
        }
        assert_eq!(
            refusal("{name: vgg16, hidden: [4, 0]}"),
            "model.hidden: expected widths of at least 1 and at most 16384, got `0`"
        );
    }
}
