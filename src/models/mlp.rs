//! The networks of XOR-5D: five inputs, one hidden layer of ReLU units, one logit.
//!
//! The same start serves a [`Network`] of libtorch's and the lanes of
//! [`train::ensemble`](crate::train::ensemble): it is a function of the seed and the width alone.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor, nn};

use super::init::Law;
use super::network::{Builder, Network};
use super::{Architecture, Entry, OutOfRange, check};
use crate::random::Stream;
use crate::sign::{SignMask, Template};

/// Inputs of a network.
pub const INPUTS: usize = 5;

/// The names of its tensors, and which of the start's they are: `[H, 5]`, `[H]`, `[1, H]`, `[1]`.
pub const HIDDEN_WEIGHT: &str = "layers.0.weight";
#[allow(missing_docs)]
pub const HIDDEN_BIAS: &str = "layers.0.bias";
#[allow(missing_docs)]
pub const OUTPUT_WEIGHT: &str = "layers.2.weight";
#[allow(missing_docs)]
pub const OUTPUT_BIAS: &str = "layers.2.bias";

/// Kernels are drawn from a normal distribution of this deviation, cut at twice it.
const DEVIATION: f64 = 0.25;

/// A network with one hidden layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mlp {
    /// Units of the hidden layer, 1 to 16,384.
    pub hidden: usize,
}

impl Default for Mlp {
    /// 64 hidden units, the widest of the study.
    fn default() -> Self {
        Mlp { hidden: 64 }
    }
}

impl Mlp {
    pub(super) const ENTRY: Entry = Entry {
        name: "mlp",
        help: "one hidden layer of ReLU units and one logit, points of 5 coordinates",
        example: "{name: mlp, hidden: 64}",
    };

    /// Builds the network below `root`: points `[n, 5]` in, logits `[n, 1]` out. It starts as
    /// [`Weights::draw`] says once those are [copied](Weights::copy_to) to it.
    pub fn build(&self, root: &nn::Path) -> Network {
        self.layers(root, 2).build()
    }
}

impl Architecture for Mlp {
    fn entry(&self) -> Entry {
        Self::ENTRY
    }

    /// Two classes have one logit.
    fn layers<'a>(&self, root: &nn::Path<'a>, _classes: usize) -> Builder<'a> {
        let hidden = self.hidden as i64;
        Builder::new(root, "layers", Law::TruncatedNormal(DEVIATION))
            .linear(INPUTS as i64, hidden)
            .relu()
            .linear(hidden, 1)
    }

    fn channels(&self) -> usize {
        0
    }

    fn check_options(&self) -> Result<(), OutOfRange> {
        check::hidden(&[self.hidden])
    }

    fn check_image(&self, _: usize) -> Result<(), OutOfRange> {
        Ok(())
    }
}

/// All weights of an [`Mlp`], row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// `[H, 5]`, a row a hidden unit.
    pub hidden: Vec<[f32; INPUTS]>,
    /// `[H]`.
    pub hidden_bias: Vec<f32>,
    /// `[1, H]`.
    pub output: Vec<f32>,
    /// `[1]`.
    pub output_bias: f32,
}

impl Weights {
    /// The start of a network with `width` hidden units.
    ///
    /// Kernels are truncated normal (deviation parameter 0.25, values beyond twice it drawn again, no
    /// correction of the variance: the effective deviation is 0.22); the bias of `k` units is
    /// U(±√(3/k)), which is Keras' `glorot_uniform` on a vector.
    ///
    /// **Source**: `XOR/getSingleLayerNet.py` of the authors' code.
    pub fn draw(width: usize, seed: u64) -> Self {
        let stream = |name: &str| Stream::new(seed, &format!("init/{name}"));
        let mut kernel = stream(HIDDEN_WEIGHT);
        let hidden = (0..width).map(|_| [(); INPUTS].map(|()| truncated_normal(&mut kernel)));
        let hidden = hidden.collect();
        let mut kernel = stream(OUTPUT_WEIGHT);
        let output = (0..width).map(|_| truncated_normal(&mut kernel)).collect();
        let bias = |name, units: usize| -> Vec<f32> {
            let (mut stream, bound) = (stream(name), (3.0 / units as f32).sqrt());
            (0..units).map(|_| bound * (2.0 * stream.uniform() - 1.0)).collect()
        };
        Weights {
            hidden,
            output,
            hidden_bias: bias(HIDDEN_BIAS, width),
            output_bias: bias(OUTPUT_BIAS, 1)[0],
        }
    }

    /// Units of the hidden layer, 1 to 16,384.
    pub fn width(&self) -> usize {
        self.hidden.len()
    }

    /// All values in one row: those of `hidden` row by row, then those of the others in their order.
    pub fn to_values(&self) -> Vec<f32> {
        let Weights { hidden, hidden_bias, output, output_bias } = self;
        [hidden.as_flattened(), hidden_bias, output, &[*output_bias]].concat()
    }

    /// The weights of which [`to_values`](Self::to_values) are `values`; none where they fill no network.
    pub fn of_values(values: &[f32]) -> Option<Self> {
        let (&output_bias, kernels) = values.split_last()?;
        let width = kernels.len() / (INPUTS + 2);
        if width == 0 || width * (INPUTS + 2) != kernels.len() {
            return None;
        }
        let (hidden, rest) = kernels.split_at(width * INPUTS);
        let (hidden_bias, output) = rest.split_at(width);
        Some(Weights {
            hidden: hidden.as_chunks().0.to_vec(),
            hidden_bias: hidden_bias.to_vec(),
            output: output.to_vec(),
            output_bias,
        })
    }

    /// Gives a network built by [`Mlp::build`] in `variables` these weights.
    ///
    /// # Errors
    /// What libtorch says when it is of another width.
    pub fn copy_to(&self, variables: &nn::VarStore) -> Result<(), TchError> {
        let tensors = variables.variables();
        for (name, values) in [
            (HIDDEN_WEIGHT, self.hidden.as_flattened()),
            (HIDDEN_BIAS, &self.hidden_bias),
            (OUTPUT_WEIGHT, &self.output),
            (OUTPUT_BIAS, &[self.output_bias]),
        ] {
            let tensor = &tensors[name];
            let values = Tensor::f_from_slice(values)?.f_reshape(tensor.size())?;
            tch::no_grad(|| tensor.shallow_clone().f_copy_(&values))?;
        }
        Ok(())
    }

    /// The weights of a network built by [`Mlp::build`] in `variables`.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn copy_from(variables: &nn::VarStore) -> Result<Self, TchError> {
        let tensors = variables.variables();
        let values = |name: &str| Vec::<f32>::try_from(tensors[name].f_detach()?.f_flatten(0, -1)?);
        Ok(Weights {
            hidden: values(HIDDEN_WEIGHT)?.as_chunks().0.to_vec(),
            hidden_bias: values(HIDDEN_BIAS)?,
            output: values(OUTPUT_WEIGHT)?,
            output_bias: values(OUTPUT_BIAS)?[0],
        })
    }
}

/// The signs an [`Mlp`]'s kernels are held to, as its [`Weights`] lie; 0 is free, biases always are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signs {
    /// `[H, 5]`.
    pub hidden: Vec<[i8; INPUTS]>,
    /// `[1, H]`.
    pub output: Vec<i8>,
}

impl Signs {
    /// The signs of `weights`; 0 is free.
    pub fn of(weights: &Weights) -> Self {
        let sign = |weight: f32| i8::from(weight > 0.0) - i8::from(weight < 0.0);
        Signs {
            hidden: weights.hidden.iter().map(|row| row.map(sign)).collect(),
            output: weights.output.iter().map(|weight| sign(*weight)).collect(),
        }
    }

    /// How many of `weights` are on the wrong side of zero.
    pub fn violations(&self, weights: &Weights) -> u64 {
        let hidden = self.hidden.as_flattened().iter().zip(weights.hidden.as_flattened());
        let all = hidden.chain(self.output.iter().zip(&weights.output));
        all.filter(|(sign, weight)| f32::from(**sign) * **weight < 0.0).count() as u64
    }

    /// The same as a template, for a [`Frozen`](crate::optim::Frozen) optimizer.
    pub fn template(&self, source: &str) -> Template {
        let mut template = Template::new(source);
        let (hidden, output) = (self.hidden.as_flattened(), &self.output);
        for (name, shape, signs) in [
            (HIDDEN_WEIGHT, [self.hidden.len(), INPUTS], hidden),
            (OUTPUT_WEIGHT, [1, self.output.len()], output),
        ] {
            template
                .insert(name, shape, SignMask::from_signs(signs))
                .expect("the two names differ, and the signs fill their shapes");
        }
        template
    }
}

fn truncated_normal(stream: &mut Stream) -> f32 {
    loop {
        let value = stream.normal();
        if value.abs() <= 2.0 {
            return (DEVIATION * value) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Mode;
    use tch::{Device, Kind};

    fn many() -> Weights {
        Weights::draw(20_000, 1)
    }

    fn deviation(values: &[f32]) -> f64 {
        let square = |value: &f32| f64::from(*value).powi(2);
        (values.iter().map(square).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn kernels_are_normal_cut_at_two_deviations_and_not_widened_for_it() {
        let start = many();
        for kernel in [start.hidden.as_flattened(), &start.output] {
            assert!(kernel.iter().all(|weight| weight.abs() <= 0.5));
            assert!(kernel.iter().any(|weight| weight.abs() > 0.49));
            // scipy.stats.truncnorm(-2, 2, scale=0.25).std()
            let found = deviation(kernel);
            assert!((found - 0.219_906).abs() < 0.004, "{found}");
            let positive = kernel.iter().filter(|weight| **weight > 0.0).count() as f64;
            let share = positive / kernel.len() as f64;
            assert!((share - 0.5).abs() < 0.018, "{share}");
        }
    }

    #[test]
    fn biases_are_uniform_in_the_glorot_bound_of_their_vector() {
        let start = many();
        let bound = (3.0_f64 / 20_000.0).sqrt();
        assert!(start.hidden_bias.iter().all(|bias| f64::from(bias.abs()) <= bound));
        let found = deviation(&start.hidden_bias);
        assert!((found / (bound / 3_f64.sqrt()) - 1.0).abs() < 0.02, "{found}");
        let outputs: Vec<f32> =
            (0..10_000).map(|seed| Weights::draw(1, seed).output_bias).collect();
        assert!(outputs.iter().all(|bias| bias.abs() <= 3_f32.sqrt()));
        let found = deviation(&outputs);
        assert!((found - 1.0).abs() < 0.03, "{found}");
    }

    #[test]
    fn the_start_depends_on_the_seed_alone() {
        assert_eq!(Weights::draw(7, 3), Weights::draw(7, 3));
        assert_ne!(Weights::draw(7, 3), Weights::draw(7, 4));
    }

    #[test]
    fn a_row_of_values_is_the_same_weights_again_and_one_of_another_length_none() {
        let start = Weights::draw(7, 3);
        let mut values = start.to_values();
        assert_eq!(Weights::of_values(&values), Some(start));
        values.pop();
        assert_eq!(Weights::of_values(&values), None);
        assert_eq!(Weights::of_values(&[]), None);
        assert_eq!(Weights::of_values(&[1.0]), None);
    }

    #[test]
    fn a_network_of_libtorch_has_the_start_and_gives_it_back() {
        let variables = nn::VarStore::new(Device::Cpu);
        let net = Mlp { hidden: 7 }.build(&variables.root());
        let start = Weights::draw(7, 3);
        start.copy_to(&variables).unwrap();
        assert_eq!(Weights::copy_from(&variables).unwrap(), start);
        assert_eq!(variables.variables().values().map(Tensor::numel).sum::<usize>(), 7 * 7 + 1);

        let x = [0.5_f32, -1.0, 2.0, 0.0, 1.0];
        let points = Tensor::from_slice(&x).reshape([1, 5]);
        let logit = net.forward(&points, Mode::Evaluate).unwrap();
        assert_eq!((logit.size(), logit.kind()), (vec![1, 1], Kind::Float));
        let unit = |row: usize| {
            let sum: f32 = start.hidden[row].iter().zip(x).map(|(w, x)| w * x).sum();
            start.output[row] * (sum + start.hidden_bias[row]).max(0.0)
        };
        let expected = (0..7).map(unit).sum::<f32>() + start.output_bias;
        assert!((logit.double_value(&[0, 0]) as f32 - expected).abs() < 1e-6);
    }
}
