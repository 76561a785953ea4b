//! How weights start: the laws that the published networks draw from, as a property of each layer.
//!
//! libtorch has one generator for all threads, and its numbers differ between devices; ours depend
//! on the seed and the tensor's name alone, so arms with the same seed start from the same bits.
//! Which layer follows which law is said where the network is built.

use tch::{TchError, Tensor};

use crate::random::Stream;

/// Values drawn and copied at once, so that a large layer needs no second copy of itself.
const CHUNK: i64 = 1 << 20;

/// A law for the weights and biases of one layer.
///
/// Fans are those of the weight `[out, in, …]`: the inputs to one output unit, and the outputs that
/// one input unit reaches, the window of a convolution counted in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Law {
    /// Weights and biases U(±1/√fan-in): PyTorch's default (`kaiming_uniform_` with a = √5).
    TorchDefault,
    /// Weights normal with variance 2/(fan-in + fan-out), none beyond two parameters σ of the normal
    /// law before it was cut, biases 0: Keras' `glorot_normal`, in which σ is corrected for the cut.
    GlorotNormal,
    /// Weights U(±√(6/(fan-in + fan-out))), biases 0: Keras' `glorot_uniform`.
    GlorotUniform,
    /// Weights normal with this σ, none beyond 2σ, so that their deviation is 0.8796 σ; biases 0:
    /// Keras' `TruncatedNormal`, which corrects nothing.
    TruncatedNormal(f64),
    /// Weights normal with variance 2/fan-out, biases 0: `kaiming_normal_(mode="fan_out")`.
    HeNormal,
    /// Weights U(±√(6/fan-in)), biases 0: `kaiming_uniform_`.
    HeUniform,
    /// Weights normal with this deviation, biases 0.
    Normal(f64),
}

/// The deviation of a standard normal variable that is cut off at ±2.
const CUT_DEVIATION: f64 = 0.879_625_661_034_239_8;

/// A law with its numbers filled in.
#[derive(Clone, Copy, Debug)]
enum Draw {
    Zero,
    /// In (−bound, bound), never 0, so that every weight has a sign.
    Uniform(f32),
    Normal(f64),
    /// Normal with this σ, redrawn beyond 2σ.
    Truncated(f64),
}

impl Law {
    fn weight(self, shape: &[i64]) -> Draw {
        let window: i64 = shape[2..].iter().product();
        let (fan_in, fan_out) = (shape[1] * window, shape[0] * window);
        let mean_fan = (fan_in + fan_out) as f64 / 2.0;
        match self {
            Law::TorchDefault => Draw::Uniform(1.0 / (fan_in as f32).sqrt()),
            Law::GlorotNormal => Draw::Truncated((1.0 / mean_fan).sqrt() / CUT_DEVIATION),
            Law::GlorotUniform => Draw::Uniform((3.0 / mean_fan).sqrt() as f32),
            Law::TruncatedNormal(sigma) => Draw::Truncated(sigma),
            Law::HeNormal => Draw::Normal((2.0 / fan_out as f64).sqrt()),
            Law::HeUniform => Draw::Uniform((6.0 / fan_in as f64).sqrt() as f32),
            Law::Normal(deviation) => Draw::Normal(deviation),
        }
    }

    /// The law of the bias beside a weight of `shape`.
    fn bias(self, shape: &[i64]) -> Draw {
        match self {
            Law::TorchDefault => self.weight(shape),
            _ => Draw::Zero,
        }
    }
}

/// Weight and bias of one layer, and how they start.
#[derive(Debug)]
pub(super) struct Start {
    /// The layer's name within the network: `features.0`.
    pub layer: String,
    pub weight: Tensor,
    pub bias: Tensor,
    pub law: Law,
}

impl Start {
    /// Draws weight and bias anew, each from the stream of its own name under `seed`.
    pub(super) fn draw(&self, seed: u64) -> Result<(), TchError> {
        let Start { layer, weight, bias, law } = self;
        let stream = |part: &str| Stream::new(seed, &format!("init/{layer}.{part}"));
        let shape = weight.size();
        law.weight(&shape).fill(weight, &mut stream("weight"))?;
        law.bias(&shape).fill(bias, &mut stream("bias"))
    }

    /// Draws the magnitude of every weight anew, that of a normal number with the deviation of the
    /// layer's law, from a stream of its own under `seed`; signs and biases stay.
    pub(super) fn draw_normal_magnitudes(&self, seed: u64) -> Result<(), TchError> {
        let Start { layer, weight, law, .. } = self;
        let mut stream = Stream::new(seed, &format!("magnitudes/normal/{layer}"));
        let deviation = law.weight(&weight.size()).deviation();
        rewrite(weight, |own| {
            let magnitude = (deviation * stream.normal()).abs() as f32;
            // A zero would have no sign.
            magnitude.max(f32::MIN_POSITIVE).copysign(own)
        })
    }
}

/// Puts `value` of each value in its place, in row-major order.
fn rewrite(tensor: &Tensor, mut value: impl FnMut(f32) -> f32) -> Result<(), TchError> {
    tch::no_grad(|| {
        let flat = tensor.f_view([-1])?;
        let count = flat.size1()?;
        for start in (0..count).step_by(CHUNK as usize) {
            let mut part = flat.f_narrow(0, start, CHUNK.min(count - start))?;
            let values = Vec::<f32>::try_from(&part)?.into_iter().map(&mut value);
            part.f_copy_(&Tensor::f_from_slice(&values.collect::<Vec<f32>>())?)?;
        }
        Ok(())
    })
}

impl Draw {
    fn fill(self, tensor: &Tensor, stream: &mut Stream) -> Result<(), TchError> {
        if let Draw::Zero = self {
            return tch::no_grad(|| tensor.shallow_clone().f_zero_().map(drop));
        }
        rewrite(tensor, |_| self.value(stream))
    }

    /// The standard deviation of its values.
    fn deviation(self) -> f64 {
        match self {
            Draw::Zero => 0.0,
            Draw::Uniform(bound) => f64::from(bound) / 3.0_f64.sqrt(),
            Draw::Normal(deviation) => deviation,
            Draw::Truncated(sigma) => CUT_DEVIATION * sigma,
        }
    }

    fn value(self, stream: &mut Stream) -> f32 {
        match self {
            Draw::Zero => 0.0,
            Draw::Uniform(bound) => bound * stream.symmetric(),
            Draw::Normal(deviation) => (deviation * stream.normal()) as f32,
            Draw::Truncated(sigma) => loop {
                let value = stream.normal();
                if value.abs() <= 2.0 {
                    return (sigma * value) as f32;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ContinuousCDF, Normal, Uniform};
    use tch::{Device, Kind};

    /// 256 outputs of 40 inputs through a window of 5: fan-in 200, fan-out 1280.
    const SHAPE: [i64; 3] = [256, 40, 5];

    fn start(law: Law) -> Start {
        let weight = Tensor::ones(SHAPE, (Kind::Float, Device::Cpu));
        let bias = Tensor::ones([SHAPE[0]], (Kind::Float, Device::Cpu));
        Start { layer: "layer".into(), weight, bias, law }
    }

    fn drawn(law: Law) -> [Vec<f64>; 2] {
        let start = start(law);
        start.draw(1).unwrap();
        let values = |tensor: &Tensor| Vec::<f64>::try_from(tensor.view([-1])).unwrap();
        [values(&start.weight), values(&start.bias)]
    }

    /// The greatest distance between the drawn and the expected distribution is what 51,200 draws
    /// of that law exceed once in 10⁹ times (Kolmogorov).
    fn follow(mut values: Vec<f64>, law: impl Fn(f64) -> f64) {
        values.sort_by(f64::total_cmp);
        let count = values.len() as f64;
        let distance = values
            .iter()
            .enumerate()
            .map(|(rank, &value)| (law(value) - (rank as f64 + 0.5) / count).abs())
            .fold(0.0, f64::max);
        assert!(distance < 3.3 / count.sqrt(), "{distance}");
    }

    /// Every law once.
    const LAWS: [Law; 7] = [
        Law::TorchDefault,
        Law::GlorotNormal,
        Law::GlorotUniform,
        Law::TruncatedNormal(0.25),
        Law::HeNormal,
        Law::HeUniform,
        Law::Normal(0.01),
    ];

    fn uniform(bound: f64) -> impl Fn(f64) -> f64 {
        let law = Uniform::new(-bound, bound).unwrap();
        move |value| law.cdf(value)
    }

    fn gaussian(sigma: f64) -> impl Fn(f64) -> f64 {
        let law = Normal::new(0.0, sigma).unwrap();
        move |value| law.cdf(value)
    }

    fn truncated(sigma: f64) -> impl Fn(f64) -> f64 {
        let law = Normal::new(0.0, sigma).unwrap();
        let below = law.cdf(-2.0 * sigma);
        move |value| (law.cdf(value) - below) / (1.0 - 2.0 * below)
    }

    fn deviation(values: &[f64]) -> f64 {
        (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn weights_follow_the_law_of_their_layer() {
        // fan-in 200, fan-out 1280; GlorotNormal: √(2/1480)/0.87962566
        follow(drawn(Law::TorchDefault)[0].clone(), uniform(0.070_710_678));
        follow(drawn(Law::GlorotUniform)[0].clone(), uniform(0.063_671_731));
        follow(drawn(Law::HeUniform)[0].clone(), uniform(0.173_205_081));
        follow(drawn(Law::GlorotNormal)[0].clone(), truncated(0.041_791_331));
        follow(drawn(Law::TruncatedNormal(0.25))[0].clone(), truncated(0.25));
        follow(drawn(Law::HeNormal)[0].clone(), gaussian(0.039_528_471));
        follow(drawn(Law::Normal(0.01))[0].clone(), gaussian(0.01));
    }

    #[test]
    fn glorot_normal_corrects_its_deviation_for_the_cut_and_the_head_does_not() {
        let glorot = &drawn(Law::GlorotNormal)[0];
        assert!((deviation(glorot) / (2.0 / 1480.0_f64).sqrt() - 1.0).abs() < 0.01);
        let bound = 2.0 * (2.0 / 1480.0_f64).sqrt() / 0.879_625_66;
        assert!(glorot.iter().all(|value| value.abs() <= bound * 1.000_001));
        assert!(glorot.iter().any(|value| value.abs() > bound * 0.99));

        let head = &drawn(Law::TruncatedNormal(0.25))[0];
        assert!((deviation(head) / (0.25 * 0.879_625_66) - 1.0).abs() < 0.01);
        assert!(head.iter().all(|value| value.abs() <= 0.5));
    }

    #[test]
    fn biases_start_at_zero_except_in_pytorchs_default() {
        for law in LAWS.into_iter().filter(|law| !matches!(law, Law::TorchDefault)) {
            assert!(drawn(law)[1].iter().all(|&bias| bias == 0.0), "{law:?}");
        }
        let [_, biases] = drawn(Law::TorchDefault);
        let bound = 0.070_710_678;
        assert!(biases.iter().all(|bias| bias.abs() <= bound));
        assert!(biases.iter().any(|bias| bias.abs() > 0.9 * bound));
    }

    #[test]
    fn normal_magnitudes_have_the_deviation_of_the_law_and_leave_signs_and_biases() {
        for law in LAWS {
            let start = start(law);
            start.draw(1).unwrap();
            let values = |tensor: &Tensor| Vec::<f64>::try_from(tensor.view([-1])).unwrap();
            let (own, biases) = (values(&start.weight), values(&start.bias));
            start.draw_normal_magnitudes(1).unwrap();
            let (weights, kept) = (values(&start.weight), values(&start.bias));
            assert_eq!(biases, kept, "{law:?}");
            let same_sign = |(a, b): (&f64, &f64)| a.is_sign_negative() == b.is_sign_negative();
            assert!(own.iter().zip(&weights).all(same_sign), "{law:?}");
            assert!((deviation(&weights) / deviation(&own) - 1.0).abs() < 0.015, "{law:?}");
            follow(weights, gaussian(law.weight(&SHAPE).deviation()));
        }
    }

    #[test]
    fn every_tensor_has_a_stream_of_its_own() {
        let [weights, biases] = drawn(Law::TorchDefault);
        assert_ne!(weights[..8], biases[..8]);
        assert_eq!(drawn(Law::GlorotNormal), drawn(Law::GlorotNormal));
    }
}
