//! A training step of AlexNet on one device, part by part.
//!
//! A GPU computes behind the program's back, so here every part ends by waiting for it; training never does.

use std::time::Instant;

use serde_json::{Value, json};
use tch::{Cuda, Device, Tensor, nn};

use super::Error;
use super::spread::{Spread, rounded};
use super::training::{CLASSES, images};
use crate::models::{AlexNet, Mode, Network, Precision};
use crate::optim::{Adam, FrozenAdam};
use crate::random::Stream;
use crate::sign::Template;
use crate::train::ImageSet;
use crate::transfer;

/// The images of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Their side in pixels.
    pub side: usize,
    /// How many.
    pub batch: usize,
}

/// Small images, and those of the paper's size.
pub const SHAPES: [Shape; 2] = [Shape { side: 64, batch: 1000 }, Shape { side: 227, batch: 256 }];

const ROUNDS: usize = 15;
const PRECISIONS: [(&str, Precision); 3] =
    [("float32", Precision::Float32), ("tf32", Precision::Tf32), ("bf16", Precision::Bf16)];

/// The time of a step and of its parts.
#[derive(Clone, Debug)]
pub struct DeviceStep {
    /// Its images.
    pub shape: Shape,
    /// What its products are computed in.
    pub precision: &'static str,
    /// Whether every weight's sign is held.
    pub held: bool,
    /// Steps timed.
    pub rounds: usize,
    /// Seconds of the batch, the forward pass with its loss, the backward pass, and the optimizer with the
    /// projection.
    pub parts: [Spread; 4],
    /// Seconds in all.
    pub total: Spread,
}

impl DeviceStep {
    fn new(subject: &Subject, seconds: &[[f64; 4]]) -> Self {
        let part = |index: usize| Spread::of(seconds.iter().map(|parts| parts[index]).collect());
        DeviceStep {
            shape: subject.shape,
            precision: subject.precision,
            held: subject.held,
            rounds: seconds.len(),
            parts: std::array::from_fn(part),
            total: Spread::of(seconds.iter().map(|parts| parts.iter().sum()).collect()),
        }
    }

    /// Images a second.
    pub fn images_per_second(&self) -> f64 {
        self.shape.batch as f64 / self.total.median
    }

    pub(super) fn to_json(&self) -> Value {
        let ms = |seconds: f64| rounded(1e3 * seconds);
        let [data, forward, backward, optimizer] = self.parts.map(|part| ms(part.median));
        json!({
            "image_size": self.shape.side,
            "batch": self.shape.batch,
            "precision": self.precision,
            "held": self.held,
            "rounds": self.rounds,
            "data_ms": data,
            "forward_ms": forward,
            "backward_ms": backward,
            "optimizer_ms": optimizer,
            "ms": ms(self.total.median),
            "low_ms": ms(self.total.low),
            "high_ms": ms(self.total.high),
            "images_per_second": rounded(self.images_per_second()),
        })
    }
}

/// Times steps on `device` in turn, for each of the `shapes` in every precision with signs held and free.
///
/// # Errors
/// What libtorch says, when the device's memory runs out for example.
pub fn measure(device: Device, shapes: &[Shape]) -> Result<Vec<DeviceStep>, Error> {
    let mut steps = Vec::new();
    for &shape in shapes {
        let set = images(shape.batch, shape.side, device)?;
        let mut subjects = Vec::new();
        for (precision, computes) in PRECISIONS {
            for held in [false, true] {
                subjects.push(Subject::new(shape, (precision, computes), held, device)?);
            }
        }
        let mut seconds = vec![Vec::new(); subjects.len()];
        // The first round allocates and chooses kernels.
        for round in 0..=ROUNDS {
            for (subject, seconds) in subjects.iter_mut().zip(&mut seconds) {
                let step = subject.step(&set)?;
                seconds.extend((round > 0).then_some(step));
            }
        }
        steps.extend(
            subjects.iter().zip(&seconds).map(|(it, seconds)| DeviceStep::new(it, seconds)),
        );
    }
    Ok(steps)
}

/// A network in training.
struct Subject {
    shape: Shape,
    precision: &'static str,
    held: bool,
    net: Network,
    optimizer: FrozenAdam,
    device: Device,
    steps: u64,
}

impl Subject {
    fn new(
        shape: Shape,
        (precision, computes): (&'static str, Precision),
        held: bool,
        device: Device,
    ) -> Result<Self, Error> {
        let variables = nn::VarStore::new(device);
        let net = AlexNet::default().build(&variables.root(), CLASSES).with_precision(computes);
        net.initialise(1)?;
        let signs =
            if held { transfer::own_signs(&variables)? } else { Template::new("nothing held") };
        let optimizer = FrozenAdam::new(&variables, signs, Adam::default())?;
        Ok(Subject { shape, precision, held, net, optimizer, device, steps: 0 })
    }

    /// The seconds of a step's parts.
    fn step(&mut self, set: &ImageSet) -> Result<[f64; 4], Error> {
        let device = self.device;
        let mut clock = Instant::now();
        let mut lap = || {
            if let Device::Cuda(index) = device {
                Cuda::synchronize(index as i64);
            }
            std::mem::replace(&mut clock, Instant::now()).elapsed().as_secs_f64()
        };
        lap();
        let (images, labels) = set.slice(0, self.shape.batch)?;
        let data = lap();
        let mut dropout = Stream::new(self.steps, "dropout");
        let logits = self.net.forward(&images, Mode::Train(&mut dropout))?;
        let loss: Tensor = logits.cross_entropy_for_logits(&labels);
        let forward = lap();
        let gradients = self.optimizer.gradients(&loss)?;
        let backward = lap();
        self.optimizer.apply(gradients)?;
        self.steps += 1;
        Ok([data, forward, backward, lap()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_step_is_timed_in_parts_that_come_to_its_time() {
        let shape = Shape { side: 64, batch: 1 };
        let mut held = Subject::new(shape, PRECISIONS[0], true, Device::Cpu).unwrap();
        let set = images(1, 64, Device::Cpu).unwrap();
        let seconds = [(); 3].map(|()| held.step(&set).unwrap());
        assert_eq!(held.optimizer.violations().unwrap(), 0);
        let step = DeviceStep::new(&held, &seconds);
        let json = step.to_json();
        assert_eq!((&json["image_size"], &json["held"]), (&json!(64), &json!(true)));
        let parts = ["data_ms", "forward_ms", "backward_ms", "optimizer_ms"];
        let sum: f64 = parts.iter().map(|part| json[part].as_f64().unwrap()).sum();
        assert!(sum > 0.0 && json["high_ms"].as_f64().unwrap() * 4.0 >= sum, "{json}");
    }
}
