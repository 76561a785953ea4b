//! One step of the optimizers over the weights of an AlexNet, with gradients that stay.
//!
//! Plain optimizers are libtorch's, through tch; frozen ones hold every weight of a layer to its first
//! sign and reset at random, the paper's rule. All step over the same weights along the same
//! gradients, so that at every step some weights leave their side: [`Case::resets`] says how many.

use std::num::NonZeroUsize;

use serde_json::{Value, json};
use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, TchError, Tensor};

use super::Error;
use super::memory::Triad;
use super::spread::{Contender, Spread, in_turn, rounded};
use crate::models::{AlexNet, AlexNetMini, Model};
use crate::optim::fused::{Fused, Hold, ProjectTensor, ResetKey};
use crate::optim::{Adam, Frozen, Optimizer, Rule, Sgd};
use crate::random::Stream;
use crate::sign::{Reset, SignMask, Template};
use crate::transfer;

pub(super) const TRIAD: &str = "triad, a = b + s * c";
pub(super) const LIBTORCH_ADAM: &str = "Adam of libtorch";
pub(super) const LIBTORCH_ADAM_WHERE: &str = "Adam of libtorch, then where";
pub(super) const FLUID_ADAM: &str = "Adam, nothing held";
pub(super) const FREE_ADAM: &str = "Adam, all-free mask";
pub(super) const FROZEN_ADAM: &str = "Adam, frozen";
pub(super) const LIBTORCH_SGD: &str = "SGD of libtorch";
pub(super) const LIBTORCH_SGD_WHERE: &str = "SGD of libtorch, then where";
pub(super) const FLUID_SGD: &str = "SGD, nothing held";
pub(super) const FROZEN_SGD: &str = "SGD, frozen";
pub(super) const PROJECTION: &str = "projection alone";

/// So small that about one weight in a thousand leaves its side between two steps of one case.
const LEARNING_RATE: f64 = 2e-6;
const MOMENTUM: f64 = 0.9;

/// The network whose weights are stepped over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `alexnet-mini` with a hidden layer of 13: 60 thousand weights, which fit into a core's cache.
    Mini,
    /// AlexNet with a head as narrow as the demo's: 4.9 million.
    Narrow,
    /// torchvision's AlexNet: 61 million.
    Whole,
}

impl Subject {
    /// All, the smallest first.
    pub const ALL: [Subject; 3] = [Subject::Mini, Subject::Narrow, Subject::Whole];

    fn model(self) -> (Model, usize) {
        match self {
            Subject::Mini => (Model::AlexnetMini(AlexNetMini { hidden: 13, dropout: 0.0 }), 10),
            Subject::Narrow => (Model::Alexnet(AlexNet { hidden: [256, 256], dropout: 0.0 }), 10),
            Subject::Whole => (Model::Alexnet(AlexNet::default()), 1000),
        }
    }

    fn rounds(self) -> usize {
        match self {
            Subject::Mini => 200,
            Subject::Narrow => 40,
            Subject::Whole => 12,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str(match self {
            Subject::Mini => "alexnet-mini, 60 thousand weights",
            Subject::Narrow => "AlexNet with a narrow head, 4.9 million weights",
            Subject::Whole => "AlexNet, 61.1 million weights",
        })
    }
}

/// The time of a step in one case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What was timed.
    pub name: &'static str,
    /// Weights and biases stepped over.
    pub weights: usize,
    /// Threads.
    pub threads: NonZeroUsize,
    /// Steps timed.
    pub rounds: usize,
    /// The seconds a step.
    pub seconds: Spread,
    /// Bytes a weight that a step has to read and write; none where it is libtorch's.
    pub bytes: Option<f64>,
    /// Share of the weights reset in a step, on average, in [0, 1].
    pub resets: f64,
}

impl Case {
    /// Bytes a second, of those a step has to read and write.
    pub fn bandwidth(&self) -> Option<f64> {
        self.bytes.map(|bytes| bytes * self.weights as f64 / self.seconds.median)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "case": self.name,
            "weights": self.weights,
            "threads": self.threads,
            "rounds": self.rounds,
            "ms": rounded(1e3 * self.seconds.median),
            "low_ms": rounded(1e3 * self.seconds.low),
            "high_ms": rounded(1e3 * self.seconds.high),
            "bytes_a_weight": self.bytes,
            "gb_per_second": self.bandwidth().map(|bandwidth| rounded(1e-9 * bandwidth)),
            "resets": rounded(self.resets),
        })
    }
}

/// Times a step of every case over `subject` on `threads` threads.
pub(super) fn measure(subject: Subject, threads: NonZeroUsize) -> Result<Vec<Case>, Error> {
    tch::set_num_threads(threads.get() as i32);
    let variables = variables(subject)?;
    let signs = transfer::own_signs(&variables)?;
    let free = all_free(&signs);
    let none = Template::new("nothing held");
    let weights: usize = variables.variables().values().map(Tensor::numel).sum();

    let adam = Optimizer::Adam(Adam { lr: LEARNING_RATE, ..Adam::default() });
    let sgd = Optimizer::Sgd(Sgd { lr: LEARNING_RATE, momentum: MOMENTUM, ..Sgd::default() });
    let ours = |rule: &Optimizer, template: &Template| -> Result<Box<dyn Contender>, Error> {
        let frozen = Frozen::new(&variables, template.clone(), rule.clone())?;
        Ok(Box::new(frozen.with_reset(Reset::default()).with_threads(threads)))
    };
    let libtorch_adam = || nn::Adam::default().build(&variables, LEARNING_RATE);
    let libtorch_sgd =
        || nn::Sgd { momentum: MOMENTUM, ..Default::default() }.build(&variables, LEARNING_RATE);
    let by_where = || Where::new(&variables).map(Some);
    let entries: Vec<(&'static str, Option<f64>, Box<dyn Contender>)> = vec![
        (TRIAD, Some(Triad::BYTES), Box::new(Triad::new(weights, threads.get()))),
        (LIBTORCH_ADAM, None, Box::new(Libtorch(libtorch_adam()?, None))),
        (LIBTORCH_ADAM_WHERE, None, Box::new(Libtorch(libtorch_adam()?, by_where()?))),
        (FLUID_ADAM, Some(28.0), ours(&adam, &none)?),
        (FREE_ADAM, Some(28.0), ours(&adam, &free)?),
        (FROZEN_ADAM, Some(28.125), ours(&adam, &signs)?),
        (LIBTORCH_SGD, None, Box::new(Libtorch(libtorch_sgd()?, None))),
        (LIBTORCH_SGD_WHERE, None, Box::new(Libtorch(libtorch_sgd()?, by_where()?))),
        (FLUID_SGD, Some(20.0), ours(&sgd, &none)?),
        (FROZEN_SGD, Some(20.125), ours(&sgd, &signs)?),
        (PROJECTION, Some(4.125), Box::new(Projection::new(weights, threads))),
    ];

    let mut names = Vec::new();
    let mut contenders = Vec::new();
    for (name, bytes, contender) in entries {
        names.push((name, bytes));
        contenders.push(contender);
    }
    let rounds = subject.rounds();
    let spreads = in_turn(rounds, &mut contenders)?;
    let cases = names.into_iter().zip(spreads).zip(&contenders);
    cases
        .map(|(((name, bytes), seconds), contender)| {
            let resets = contender.resets()? as f64 / ((rounds + 1) * weights) as f64;
            Ok(Case { name, weights, threads, rounds, seconds, bytes, resets })
        })
        .collect()
}

/// The weights of `subject`, with gradients.
fn variables(subject: Subject) -> Result<nn::VarStore, TchError> {
    let variables = nn::VarStore::new(Device::Cpu);
    let (model, classes) = subject.model();
    model.assemble(&variables.root(), classes).initialise(1)?;
    for (name, tensor) in variables.variables() {
        let mut stream = Stream::new(1, &format!("gradient/{name}"));
        let gradient: Vec<f32> = (0..tensor.numel()).map(|_| stream.uniform() - 0.5).collect();
        let gradient = Tensor::f_from_slice(&gradient)?.f_reshape(tensor.size())?;
        tensor.f_mul(&gradient)?.f_sum(Kind::Float)?.f_backward()?;
    }
    Ok(variables)
}

fn all_free(template: &Template) -> Template {
    let mut free = Template::new("all free");
    for (name, layer) in template.iter() {
        free.insert(name, layer.shape.clone(), SignMask::free(layer.mask.len()))
            .expect("a template's own name and shape");
    }
    free
}

impl<R: Rule> Contender for Frozen<R> {
    fn step(&mut self) -> Result<(), Error> {
        Ok(Frozen::step(self)?)
    }

    fn resets(&self) -> Result<u64, Error> {
        Ok(self.counts()?.resets)
    }
}

/// An optimizer of libtorch, and what holds the signs after it.
struct Libtorch(nn::Optimizer, Option<Where>);

impl Contender for Libtorch {
    fn step(&mut self) -> Result<(), Error> {
        self.0.step();
        Ok(self.1.as_mut().map_or(Ok(()), Where::project)?)
    }
}

/// The projection as one writes it with tensor operations: `w = where(w · t < 0, t · u, w)`.
struct Where(Vec<[Tensor; 2]>);

impl Where {
    fn new(variables: &nn::VarStore) -> Result<Self, TchError> {
        let weights = transfer::constrained(variables).into_iter();
        let with_sign = |(_, weight): (String, Tensor)| {
            let weight = weight.f_detach()?;
            let sign = weight.f_sign()?;
            Ok([weight, sign])
        };
        Ok(Where(weights.map(with_sign).collect::<Result<_, TchError>>()?))
    }

    fn project(&mut self) -> Result<(), TchError> {
        for [weight, sign] in &mut self.0 {
            let violates = weight.f_mul(sign)?.f_lt(0.0)?;
            let reset = sign.f_rand_like()?.f_mul_scalar_(1e-3)?.f_mul(sign)?;
            weight.f_copy_(&reset.f_where_self(&violates, weight)?)?;
        }
        Ok(())
    }
}

/// The projection alone, over weights of which one in a thousand violates.
struct Projection {
    weights: Vec<f32>,
    mask: SignMask,
    fused: Fused,
    resets: u64,
}

impl Projection {
    fn new(length: usize, threads: NonZeroUsize) -> Self {
        let mut stream = Stream::new(1, "projection");
        let weights: Vec<f32> = (0..length).map(|_| stream.uniform() - 0.5).collect();
        let mask = SignMask::of_weights(&weights).expect("uniform numbers are finite");
        Projection { weights, mask, fused: Fused::new(threads), resets: 0 }
    }
}

impl Contender for Projection {
    fn prepare(&mut self) {
        self.weights.iter_mut().step_by(1000).for_each(|weight| *weight = -*weight);
    }

    fn step(&mut self) -> Result<(), Error> {
        let key = ResetKey { seed: 1, step: self.resets, tensor: 3 };
        let hold = Hold { mask: &self.mask, reset: Reset::default(), key, order: None };
        let counts = self.fused.project(vec![ProjectTensor { weights: &mut self.weights, hold }]);
        self.resets += counts[0].resets;
        Ok(())
    }

    fn resets(&self) -> Result<u64, Error> {
        Ok(self.resets)
    }
}
