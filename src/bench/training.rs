//! A whole training step of torchvision's AlexNet: 224 px, batch 32, 1000 classes.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::time::Instant;

use serde_json::{Value, json};
use tch::nn::{self, ModuleT, OptimizerConfig};
use tch::{Device, Kind, Tensor};

use super::Error;
use super::spread::{Spread, rounded};
use crate::data::Images;
use crate::models::{AlexNet, Network, Precision};
use crate::optim::{Adam, FrozenAdam};
use crate::random::Stream;
use crate::sign::Template;
use crate::train::{self, ImageSet, Input, Rate, Schedule, Seconds, Task};
use crate::transfer;

pub(super) const FROZEN: &str = "frozen Adam, float32";
pub(super) const FLUID: &str = "Adam, nothing held, float32";
pub(super) const FROZEN_BF16: &str = "frozen Adam, bf16";
pub(super) const LIBTORCH: &str = "Adam of libtorch, nothing held, float32";

const ROUNDS: usize = 5;
const BATCH: usize = 32;
const IMAGE: usize = 224;
pub(super) const CLASSES: usize = 1000;

/// The time of a training step and of its parts.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was trained, and how.
    pub name: &'static str,
    /// Steps timed.
    pub rounds: usize,
    /// Seconds of forward pass and loss.
    pub forward: Spread,
    /// Seconds of the backward pass.
    pub backward: Spread,
    /// Seconds of optimizer and projection.
    pub optimizer: Spread,
    /// Seconds in all.
    pub total: Spread,
    /// Share of the weights and biases reset in a step, on average, in [0, 1].
    pub resets: f64,
}

impl Step {
    fn new(name: &'static str, rounds: &[Seconds], resets: f64) -> Self {
        let spread = |part: fn(&Seconds) -> f64| Spread::of(rounds.iter().map(part).collect());
        Step {
            name,
            rounds: rounds.len(),
            forward: spread(|seconds| seconds.forward),
            backward: spread(|seconds| seconds.backward),
            optimizer: spread(|seconds| seconds.optimizer),
            total: spread(|s| s.data + s.forward + s.backward + s.optimizer),
            resets,
        }
    }

    /// Images a second.
    pub fn images_per_second(&self) -> f64 {
        BATCH as f64 / self.total.median
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "case": self.name,
            "batch": BATCH,
            "image_size": IMAGE,
            "rounds": self.rounds,
            "forward_ms": rounded(1e3 * self.forward.median),
            "backward_ms": rounded(1e3 * self.backward.median),
            "optimizer_ms": rounded(1e3 * self.optimizer.median),
            "ms": rounded(1e3 * self.total.median),
            "low_ms": rounded(1e3 * self.total.low),
            "high_ms": rounded(1e3 * self.total.high),
            "images_per_second": rounded(self.images_per_second()),
            "resets": rounded(self.resets),
        })
    }
}

/// Times the step in turn: with signs held and without, held in bfloat16, and as one writes it with
/// tch alone.
pub(super) fn measure(threads: NonZeroUsize) -> Result<Vec<Step>, Error> {
    tch::set_num_threads(threads.get() as i32);
    let images = [images(BATCH, IMAGE, Device::Cpu)?, images(1, IMAGE, Device::Cpu)?];
    let mut ours = [
        Ours::new(Precision::Float32, true, threads)?,
        Ours::new(Precision::Float32, false, threads)?,
        Ours::new(Precision::Bf16, true, threads)?,
    ];
    let mut libtorch = Libtorch::new()?;
    let emulated = Precision::fastest(Device::Cpu) == Precision::Float32;
    let mut seconds = [const { Vec::new() }; 4];
    for round in 0..=ROUNDS {
        let [held, free, bf16] = &mut ours;
        let steps = [
            Some(held.step(&images)?),
            Some(free.step(&images)?),
            // Emulated, it takes half a minute a step, and nobody will want it: once is enough.
            (!emulated || round == 1).then(|| bf16.step(&images)).transpose()?,
            Some(libtorch.step()?),
        ];
        if round > 0 {
            seconds.iter_mut().zip(steps).for_each(|(all, step)| all.extend(step));
        }
    }
    let mut resets = [0.0; 4];
    for (share, ours) in resets.iter_mut().zip(&ours) {
        *share = ours.resets()?;
    }
    let names = [FROZEN, FLUID, FROZEN_BF16, LIBTORCH];
    let steps = names.into_iter().zip(&seconds).zip(resets);
    Ok(steps.map(|((name, seconds), resets)| Step::new(name, seconds, resets)).collect())
}

/// `count` images of noise, of this `side` for a network on `device`.
pub(super) fn images(count: usize, side: usize, device: Device) -> Result<ImageSet, Error> {
    let mut stream = Stream::new(1, "images");
    let pixels = (0..count * 28 * 28).map(|_| stream.below(256) as u8).collect();
    let labels = (0..count).map(|image| (image % CLASSES) as u16).collect();
    let source = Images { channels: 1, height: 28, width: 28, pixels, labels, classes: CLASSES };
    let (mean, deviation) = (vec![0.5; 3], vec![0.25; 3]);
    let input = Input { channels: 3, size: side, mean, deviation };
    let all: Vec<usize> = (0..count).collect();
    Ok(ImageSet::new(&source, &all, &input, device)?)
}

fn network(precision: Precision) -> Result<(nn::VarStore, Network), Error> {
    let variables = nn::VarStore::new(Device::Cpu);
    let net = AlexNet::default().build(&variables.root(), CLASSES).with_precision(precision);
    net.initialise(1)?;
    Ok((variables, net))
}

/// The step that experiments take.
struct Ours {
    variables: nn::VarStore,
    net: Network,
    optimizer: FrozenAdam,
    steps: usize,
}

impl Ours {
    fn new(precision: Precision, held: bool, threads: NonZeroUsize) -> Result<Self, Error> {
        let (variables, net) = network(precision)?;
        let signs = match held {
            true => transfer::own_signs(&variables)?,
            false => Template::new("nothing held"),
        };
        let optimizer = FrozenAdam::new(&variables, signs, Adam::default())?.with_threads(threads);
        Ok(Ours { variables, net, optimizer, steps: 0 })
    }

    fn step(&mut self, [train, validation]: &[ImageSet; 2]) -> Result<Seconds, Error> {
        let schedule = Schedule {
            batch: BATCH,
            steps: 1,
            evaluate_at: [].into(),
            keep_best: false,
            release_at: None,
            rate: Rate::Constant,
        };
        let task = Task {
            net: &self.net,
            variables: &self.variables,
            train,
            validation,
            schedule: &schedule,
            seed: 1,
        };
        let fit = train::fit(&task, &mut self.optimizer, &mut |_| ControlFlow::Continue(()))?;
        self.steps += 1;
        Ok(fit.seconds)
    }

    /// The share of the weights reset in a step so far.
    fn resets(&self) -> Result<f64, Error> {
        let weights: usize = self.variables.variables().values().map(Tensor::numel).sum();
        let resets = self.optimizer.counts()?.resets;
        Ok(resets as f64 / (self.steps.max(1) * weights) as f64)
    }
}

/// The step as one writes it with tch alone.
struct Libtorch {
    net: Network,
    optimizer: nn::Optimizer,
    images: Tensor,
    labels: Tensor,
}

impl Libtorch {
    fn new() -> Result<Self, Error> {
        let (variables, net) = network(Precision::Float32)?;
        let optimizer = nn::Adam::default().build(&variables, Adam::default().lr)?;
        let (batch, side) = (BATCH as i64, IMAGE as i64);
        let images = Tensor::f_rand([batch, 3, side, side], (Kind::Float, Device::Cpu))?;
        let labels = Tensor::f_arange(batch, (Kind::Int64, Device::Cpu))?;
        Ok(Libtorch { net, optimizer, images, labels })
    }

    fn step(&mut self) -> Result<Seconds, Error> {
        let start = Instant::now();
        let logits = self.net.forward_t(&self.images, true);
        let loss = logits.cross_entropy_for_logits(&self.labels);
        let forward = start.elapsed();
        self.optimizer.zero_grad();
        loss.f_backward()?;
        let backward = start.elapsed() - forward;
        self.optimizer.step();
        let optimizer = start.elapsed() - forward - backward;
        let [forward, backward, optimizer] =
            [forward, backward, optimizer].map(|part| part.as_secs_f64());
        Ok(Seconds { forward, backward, optimizer, ..Seconds::default() })
    }
}
