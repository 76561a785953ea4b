//! A network as a list of layers under torchvision's names.
//!
//! torchvision's AlexNet family is two `Sequential`s, `features` and `classifier`, whose layers are
//! numbered with the layers that have no weights counted in. Building ours from the same numbers
//! makes the names of the weights agree, so that checkpoints and templates load by name.
//!
//! The layers do not draw random numbers: in training, dropout takes them from the caller's
//! [`Stream`], so a run does not depend on libtorch's global generator, which all threads share.

use tch::{Kind, TchError, Tensor, nn};

use super::Precision;
use crate::random::Stream;

/// One layer; weights are OIHW or `[out, in]`, activations NCHW or `[n, features]`.
#[derive(Debug)]
enum Layer {
    Conv { weight: Tensor, bias: Tensor, stride: i64, padding: i64 },
    Linear { weight: Tensor, bias: Tensor },
    Relu,
    MaxPool { kernel: i64, stride: i64 },
    AverageTo(i64),
    Flatten,
    Dropout(f64),
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
    precision: Precision,
}

impl Network {
    /// The same network, computing in `precision`; by default in float32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Network { precision, ..self }
    }

    /// The logits `[n, classes]`, float32, of `images` `[n, channels, height, width]`.
    ///
    /// # Errors
    /// What libtorch says when the shapes do not fit or memory runs out.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        match mode {
            Mode::Evaluate => self.pass(images, |x, _| Ok(x.shallow_clone())),
            Mode::Train(stream) => self.pass(images, |x, rate| drop_out(x, rate, stream)),
        }
    }

    fn pass(
        &self,
        images: &Tensor,
        mut dropout: impl FnMut(&Tensor, f64) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        // A tensor that has the kind already is not copied.
        let kind = self.precision.kind();
        let mut x = images.f_to_kind(kind)?;
        if self.precision == Precision::Bf16 {
            x = channels_last(&x)?;
        }
        for layer in &self.layers {
            x = match layer {
                Layer::Conv { weight, bias, stride, padding } => {
                    let (stride, padding) = ([*stride, *stride], [*padding, *padding]);
                    let (weight, bias) = (weight.f_to_kind(kind)?, bias.f_to_kind(kind)?);
                    x.f_conv2d(&weight, Some(&bias), stride, padding, [1, 1], 1)?
                }
                Layer::Linear { weight, bias } => {
                    x.f_linear(&weight.f_to_kind(kind)?, Some(&bias.f_to_kind(kind)?))?
                }
                // In place: the convolution or linear layer before it does not need its output again.
                Layer::Relu => x.f_relu_()?,
                Layer::MaxPool { kernel, stride } => {
                    x.f_max_pool2d([*kernel; 2], [*stride; 2], [0, 0], [1, 1], false)?
                }
                Layer::AverageTo(size) => x.f_adaptive_avg_pool2d([*size, *size])?,
                Layer::Flatten => x.f_flatten(1, -1)?,
                Layer::Dropout(rate) if *rate > 0.0 => dropout(&x, *rate)?,
                Layer::Dropout(_) => x,
            };
        }
        x.f_to_kind(Kind::Float)
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
        self.pass(images, |x, rate| x.f_dropout(rate, train))
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
    path: nn::Path<'a>,
    next: usize,
    layers: Vec<Layer>,
}

impl<'a> Builder<'a> {
    /// Starts the block `name` (`features` or `classifier`) at layer 0.
    pub(super) fn new(root: &nn::Path<'a>, name: &str) -> Self {
        Builder { path: root / name, next: 0, layers: Vec::new() }
    }

    /// Starts the next block at layer 0, keeping the layers so far.
    pub(super) fn block(self, root: &nn::Path<'a>, name: &str) -> Self {
        Builder { path: root / name, next: 0, layers: self.layers }
    }

    pub(super) fn conv(self, shape: [i64; 3], stride: i64, padding: i64) -> Self {
        let [input, output, kernel] = shape;
        let [weight, bias] = self.weights(&[output, input, kernel, kernel]);
        self.layer(Layer::Conv { weight, bias, stride, padding })
    }

    pub(super) fn linear(self, input: i64, output: i64) -> Self {
        let [weight, bias] = self.weights(&[output, input]);
        self.layer(Layer::Linear { weight, bias })
    }

    pub(super) fn relu(self) -> Self {
        self.layer(Layer::Relu)
    }

    pub(super) fn max_pool(self, kernel: i64, stride: i64) -> Self {
        self.layer(Layer::MaxPool { kernel, stride })
    }

    pub(super) fn dropout(self, rate: f64) -> Self {
        self.layer(Layer::Dropout(rate))
    }

    /// Average pooling to `size` × `size`, then one row an image: between the blocks, unnumbered.
    pub(super) fn average_and_flatten(mut self, size: i64) -> Self {
        self.layers.extend([Layer::AverageTo(size), Layer::Flatten]);
        self
    }

    pub(super) fn build(self) -> Network {
        Network { layers: self.layers, precision: Precision::default() }
    }

    fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self.next += 1;
        self
    }

    /// Weight and bias of the layer to come, both U(±1/√fan-in), PyTorch's default.
    fn weights(&self, shape: &[i64]) -> [Tensor; 2] {
        let bound = 1.0 / (shape[1..].iter().product::<i64>() as f64).sqrt();
        let init = nn::Init::Uniform { lo: -bound, up: bound };
        let path = &self.path / self.next;
        [path.var("weight", shape, init), path.var("bias", &shape[..1], init)]
    }
}
