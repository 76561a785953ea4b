//! A network as a list of layers under torchvision's names.
//!
//! torchvision's image networks are two `Sequential`s, `features` and `classifier`, whose layers are
//! numbered with the layers that have no weights counted in. Building ours from the same numbers
//! makes the names of the weights agree, so that checkpoints and templates load by name.
//!
//! The layers do not draw random numbers: in training, dropout takes them from the caller's
//! [`Stream`], so a run does not depend on libtorch's global generator, which all threads share. (On a
//! CUDA device the stream seeds that generator before each pass.)

use tch::{Device, Kind, TchError, Tensor, nn};

use super::Precision;
use super::init::{Law, Start};
use crate::cuda;
use crate::random::Stream;

/// One layer; weights are OIHW or `[out, in]`, activations NCHW or `[n, features]`.
#[derive(Debug)]
enum Layer {
    Conv {
        weight: Tensor,
        bias: Tensor,
        stride: i64,
        padding: i64,
        groups: i64,
    },
    Linear {
        weight: Tensor,
        bias: Tensor,
    },
    Relu,
    MaxPool(Pool),
    AverageTo(i64),
    Flatten,
    Dropout(f64),
    ResponseNorm(ResponseNorm),
    /// What each list of layers makes of the same input, one after the other in the channels.
    Branches([Vec<Layer>; 2]),
}

/// Square maximum pooling.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    pub kernel: i64,
    pub stride: i64,
    /// Whether a window that reaches over the edge counts.
    pub ceil: bool,
}

/// Local response normalisation over neighbouring channels:
/// x / (bias + alpha · mean of x² over `channels`)^beta, missing neighbours counted as 0.
///
/// **Source**: Krizhevsky, Sutskever and Hinton 2012, section 3.3, with the mean in the place of the
/// sum, as Caffe and PyTorch write it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseNorm {
    pub channels: i64,
    pub alpha: f64,
    pub beta: f64,
    pub bias: f64,
}

/// What distinguishes a training pass from an evaluation.
#[derive(Debug)]
pub enum Mode<'a> {
    /// Dropout is the identity.
    Evaluate,
    /// Dropout draws its masks from this stream.
    Train(&'a mut Stream),
}

/// A feed-forward network: images `[n, channels, height, width]` in, logits `[n, classes]` out.
#[derive(Debug)]
pub struct Network {
    layers: Vec<Layer>,
    starts: Vec<Start>,
    precision: Precision,
}

impl Network {
    /// The same network, computing in `precision`; by default in float32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Network { precision, ..self }
    }

    /// Draws every weight and bias anew, by the law of its layer, from streams of `seed`.
    ///
    /// # Errors
    /// What libtorch says when a copy fails.
    pub fn initialise(&self, seed: u64) -> Result<(), TchError> {
        self.starts.iter().try_for_each(|start| start.draw(seed))
    }

    /// Draws the magnitude of every weight anew from streams of `seed`: that of a normal number with the
    /// standard deviation that the layer starts with. Signs and biases stay.
    ///
    /// # Errors
    /// What libtorch says when a copy fails.
    pub fn draw_normal_magnitudes(&self, seed: u64) -> Result<(), TchError> {
        self.starts.iter().try_for_each(|start| start.draw_normal_magnitudes(seed))
    }

    /// The logits `[n, classes]`, float32, of `images` `[n, channels, height, width]`.
    ///
    /// # Errors
    /// What libtorch says when the shapes do not fit or memory runs out.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        match mode {
            Mode::Evaluate => self.logits(images, &mut |x, _| Ok(x.shallow_clone())),
            // Masks drawn here would have to travel. A GPU runs one cell at a time, so its generator is
            // this run's alone.
            Mode::Train(stream) if images.device().is_cuda() => {
                tch::manual_seed(stream.bits() as i64);
                self.logits(images, &mut |x, rate| x.f_dropout(rate, true))
            }
            Mode::Train(stream) => self.logits(images, &mut |x, rate| drop_out(x, rate, stream)),
        }
    }

    fn logits(&self, images: &Tensor, dropout: Dropout) -> Result<Tensor, TchError> {
        if images.device().is_cuda() {
            cuda::round_products(self.precision == Precision::Tf32);
        }
        // A tensor that has the kind already is not copied.
        let kind = self.precision.kind();
        let mut x = images.f_to_kind(kind)?;
        if self.precision == Precision::Bf16 {
            x = channels_last(&x)?;
        }
        pass(&self.layers, &x, kind, dropout)?.f_to_kind(Kind::Float)
    }
}

/// What makes of activations and a rate the activations that are left.
type Dropout<'a> = &'a mut dyn FnMut(&Tensor, f64) -> Result<Tensor, TchError>;

/// Sends `input`, which is of `kind`, through `layers`.
fn pass(
    layers: &[Layer],
    input: &Tensor,
    kind: Kind,
    dropout: Dropout,
) -> Result<Tensor, TchError> {
    let mut x = input.shallow_clone();
    for layer in layers {
        x = match layer {
            Layer::Conv { weight, bias, stride, padding, groups } => {
                let (stride, padding) = ([*stride, *stride], [*padding, *padding]);
                let (weight, bias) = (weight.f_to_kind(kind)?, bias.f_to_kind(kind)?);
                x.f_conv2d(&weight, Some(&bias), stride, padding, [1, 1], *groups)?
            }
            Layer::Linear { weight, bias } => {
                x.f_linear(&weight.f_to_kind(kind)?, Some(&bias.f_to_kind(kind)?))?
            }
            // In place: the convolution or linear layer before it does not need its output again.
            Layer::Relu => x.f_relu_()?,
            Layer::MaxPool(Pool { kernel, stride, ceil }) => {
                x.f_max_pool2d([*kernel; 2], [*stride; 2], [0, 0], [1, 1], *ceil)?
            }
            Layer::AverageTo(size) => x.f_adaptive_avg_pool2d([*size, *size])?,
            Layer::Flatten => x.f_flatten(1, -1)?,
            Layer::Dropout(rate) if *rate > 0.0 => dropout(&x, *rate)?,
            Layer::Dropout(_) => x,
            Layer::ResponseNorm(norm) => norm.forward(&x)?,
            Layer::Branches([first, second]) => {
                let outputs = [pass(first, &x, kind, dropout)?, pass(second, &x, kind, dropout)?];
                Tensor::f_cat(&outputs, 1)?
            }
        };
    }
    Ok(x)
}

impl ResponseNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let ResponseNorm { channels, alpha, beta, bias } = *self;
        let mean = x.f_square()?.f_unsqueeze(1)?.f_avg_pool3d(
            [channels, 1, 1],
            [1, 1, 1],
            [channels / 2, 0, 0],
            false,
            true,
            None,
        )?;
        let scale = mean.f_squeeze_dim(1)?.f_mul_scalar(alpha)?.f_add_scalar(bias)?;
        x.f_div(&scale.f_pow_tensor_scalar(beta)?)
    }
}

/// The same images with the values of a pixel side by side in memory, as oneDNN's and cuDNN's bfloat16
/// convolutions want them; layers hand the order on. In float32 it gains nothing on a CPU.
fn channels_last(images: &Tensor) -> Result<Tensor, TchError> {
    images.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// tch's own interface, for loops written against it: here dropout draws from libtorch's generator,
/// which `tch::manual_seed` sets.
impl nn::ModuleT for Network {
    fn forward_t(&self, images: &Tensor, train: bool) -> Tensor {
        self.logits(images, &mut |x, rate| x.f_dropout(rate, train))
            .expect("tch's interface has no errors: the images do not fit this network")
    }
}

/// Inverted dropout: zero with probability `rate`, else scaled by 1/(1 − rate).
fn drop_out(x: &Tensor, rate: f64, stream: &mut Stream) -> Result<Tensor, TchError> {
    let (rate, scale) = (rate as f32, 1.0 / (1.0 - rate as f32));
    let keep: Vec<f32> =
        (0..x.numel()).map(|_| if stream.uniform() < rate { 0.0 } else { scale }).collect();
    let keep = Tensor::f_from_slice(&keep)?.f_reshape(x.size())?;
    x.f_mul(&keep.f_to_device(x.device())?.f_to_kind(x.kind())?)
}

/// Appends layers to a network, numbering them as torchvision's `Sequential` does.
pub(super) struct Builder<'a> {
    root: nn::Path<'a>,
    block: &'static str,
    next: usize,
    law: Law,
    layers: Vec<Layer>,
    starts: Vec<Start>,
}

impl<'a> Builder<'a> {
    /// Starts the block `name` (`features` or `classifier`) at layer 0; its weights start by `law`.
    pub(super) fn new(root: &nn::Path<'a>, name: &'static str, law: Law) -> Self {
        let root = root.clone();
        Builder { root, block: name, next: 0, law, layers: Vec::new(), starts: Vec::new() }
    }

    /// Starts the next block at layer 0, keeping the layers so far.
    pub(super) fn block(self, name: &'static str) -> Self {
        Builder { block: name, next: 0, ..self }
    }

    /// Lets the weights of the layers to come start by `law`.
    pub(super) fn law(self, law: Law) -> Self {
        Builder { law, ..self }
    }

    /// A convolution of `[in, out, kernel]`.
    pub(super) fn conv(self, shape: [i64; 3], stride: i64, padding: i64) -> Self {
        self.grouped_conv(shape, stride, padding, 1)
    }

    /// A convolution whose `groups` parts of the output each see their part of the input.
    pub(super) fn grouped_conv(
        mut self,
        [input, output, kernel]: [i64; 3],
        stride: i64,
        padding: i64,
        groups: i64,
    ) -> Self {
        let name = self.name();
        let [weight, bias] = self.weights(name, &[output, input / groups, kernel, kernel]);
        self.numbered(Layer::Conv { weight, bias, stride, padding, groups })
    }

    pub(super) fn linear(mut self, input: i64, output: i64) -> Self {
        let name = self.name();
        let [weight, bias] = self.weights(name, &[output, input]);
        self.numbered(Layer::Linear { weight, bias })
    }

    pub(super) fn relu(self) -> Self {
        self.numbered(Layer::Relu)
    }

    pub(super) fn max_pool(self, kernel: i64, stride: i64) -> Self {
        self.numbered(Layer::MaxPool(Pool { kernel, stride, ceil: false }))
    }

    /// Maximum pooling in which a window that reaches over the edge counts.
    pub(super) fn max_pool_ceil(self, kernel: i64, stride: i64) -> Self {
        self.numbered(Layer::MaxPool(Pool { kernel, stride, ceil: true }))
    }

    pub(super) fn dropout(self, rate: f64) -> Self {
        self.numbered(Layer::Dropout(rate))
    }

    /// SqueezeNet's fire module: `squeeze` channels feed `expand` channels of 1 × 1 and as many of
    /// 3 × 3 convolutions. One number; its layers are `squeeze`, `expand1x1` and `expand3x3`.
    pub(super) fn fire(mut self, input: i64, squeeze: i64, expand: i64) -> Self {
        let mut conv = |part: &str, input: i64, output: i64, kernel: i64| {
            let name = format!("{}.{part}", self.name());
            let [weight, bias] = self.weights(name, &[output, input, kernel, kernel]);
            let padding = kernel / 2;
            let conv = Layer::Conv { weight, bias, stride: 1, padding, groups: 1 };
            vec![conv, Layer::Relu]
        };
        let first = conv("squeeze", input, squeeze, 1);
        let branches =
            [conv("expand1x1", squeeze, expand, 1), conv("expand3x3", squeeze, expand, 3)];
        self.layers.extend(first);
        self.numbered(Layer::Branches(branches))
    }

    /// Local response normalisation if any, unnumbered: the weights have the same names without it.
    pub(super) fn response_norm(mut self, norm: Option<ResponseNorm>) -> Self {
        self.layers.extend(norm.map(Layer::ResponseNorm));
        self
    }

    /// Average pooling to `size` × `size`, unnumbered as in torchvision, which has it between blocks.
    pub(super) fn average(mut self, size: i64) -> Self {
        self.layers.push(Layer::AverageTo(size));
        self
    }

    /// One row an image, unnumbered as in torchvision.
    pub(super) fn flatten(mut self) -> Self {
        self.layers.push(Layer::Flatten);
        self
    }

    /// The network, its weights drawn from a seed that libtorch's generator gives, which
    /// `tch::manual_seed` sets; [`Network::initialise`] draws them from a seed of one's own.
    pub(super) fn build(self) -> Network {
        let network = self.assemble();
        let seed = Tensor::randint(i64::MAX, [1], (Kind::Int64, Device::Cpu)).int64_value(&[0]);
        network.initialise(seed as u64).expect("tensors that were just made can be written");
        network
    }

    /// The network with all weights and biases 0.
    pub(super) fn assemble(self) -> Network {
        let Builder { layers, starts, .. } = self;
        Network { layers, starts, precision: Precision::default() }
    }

    fn numbered(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self.next += 1;
        self
    }

    /// The name of the layer to come, within the network.
    fn name(&self) -> String {
        format!("{}.{}", self.block, self.next)
    }

    /// Weight and bias of the layer `name`.
    fn weights(&mut self, name: String, shape: &[i64]) -> [Tensor; 2] {
        let path = name.split('.').fold(self.root.clone(), |path, part| path / part);
        let weight = path.zeros("weight", shape);
        let bias = path.zeros("bias", &shape[..1]);
        let [w, b] = [weight.shallow_clone(), bias.shallow_clone()];
        self.starts.push(Start { layer: name, weight: w, bias: b, law: self.law });
        [weight, bias]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // import torch
    // x = torch.arange(-6., 6.).reshape(1, 6, 1, 2)
    // print(torch.nn.functional.local_response_norm(x, 5, alpha=0.5, beta=0.75, k=1.0).flatten())
    #[test]
    fn response_normalisation_is_that_of_pytorch() {
        let x = Tensor::arange_start(-6, 6, (Kind::Float, Device::Cpu)).view([1, 6, 1, 2]);
        let norm = ResponseNorm { channels: 5, alpha: 0.5, beta: 0.75, bias: 1.0 };
        let got = Vec::<f32>::try_from(norm.forward(&x).unwrap().flatten(0, -1)).unwrap();
        let expected = RESPONSE_NORM;
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-5, "{got} {expected}");
        }
    }

    const RESPONSE_NORM: [f32; 12] = [
        -1.457_113_3,
        -1.618_305_9,
        -0.971_408_84,
        -0.955_108_9,
        -0.464_736_2,
        -0.278_437_67,
        0.0,
        0.278_437_67,
        0.798_768_2,
        0.955_108_9,
        1.754_765_3,
        1.618_305_9,
    ];

    #[test]
    fn groups_see_only_their_part_of_the_input() {
        let variables = nn::VarStore::new(Device::Cpu);
        let net = Builder::new(&variables.root(), "features", Law::TorchDefault)
            .grouped_conv([4, 6, 1], 1, 0, 2)
            .build();
        assert_eq!(variables.variables()["features.0.weight"].size(), [6, 2, 1, 1]);
        let zero = Tensor::zeros([1, 4, 1, 1], (Kind::Float, Device::Cpu));
        let first = zero.copy();
        let _ = first.narrow(1, 0, 2).fill_(1.0);
        let outputs = |x: &Tensor| net.forward(x, Mode::Evaluate).unwrap();
        let same = outputs(&zero).eq_tensor(&outputs(&first)).flatten(0, -1);
        assert_eq!(Vec::<bool>::try_from(same).unwrap(), [false, false, false, true, true, true]);
    }
}
