//! An optimizer over the variables of a network, with the signs of a template held.

mod file;
mod state;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use tch::{Device, Kind, TchError, Tensor, nn};

use super::fused::{Counts, Fused, Hold, ResetKey};
use super::{OutOfRange, Rule, Slices, tensor_ops};
use crate::sign::{Reset, SignMask, Template};

/// The update rule `R`, followed by the projection.
///
/// ```
/// use polarity::optim::{Adam, FrozenAdam};
/// use polarity::transfer;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let layer = nn::linear(vs.root() / "layer", 4, 2, Default::default());
/// let template = transfer::own_signs(&vs)?;
/// let mut optimizer = FrozenAdam::new(&vs, template, Adam { lr: 0.1, ..Adam::default() })?;
/// let images = Tensor::ones([8, 4], (Kind::Float, Device::Cpu));
/// for _ in 0..20 {
///     let loss = images.apply(&layer).sum(Kind::Float);
///     optimizer.backward_step(&loss)?;
/// }
/// assert_eq!(optimizer.violations()?, 0);
/// assert!(optimizer.counts()?.resets > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Frozen<R> {
    rule: R,
    /// The share of the rule's learning rate that steps take.
    rate: f64,
    reset: Reset,
    seed: u64,
    /// The digest of the template whose signs are held.
    template: String,
    /// The fused pass, for the tensors it reaches; without it every tensor goes by tensor operations.
    pub(super) fused: Option<Fused>,
    parameters: Vec<Parameter>,
}

/// One variable, what the rule keeps for it, and the signs it is held to.
#[derive(Debug)]
struct Parameter {
    name: String,
    /// Names the tensor to the random resets.
    number: u64,
    weight: Tensor,
    buffers: Vec<Tensor>,
    steps: u64,
    hold: Option<Signs>,
    /// The signs it was held to until they were released.
    released: Option<Signs>,
    counts: Counts,
    /// Counts of the tensor-operation route, still on the device: `[resets, sign_flips]`.
    tally: Option<[Tensor; 2]>,
}

#[derive(Debug)]
struct Signs {
    mask: SignMask,
    /// The mask on the weight's device, for the tensor-operation route.
    tensor: Option<Tensor>,
}

impl Signs {
    fn hold(&self, reset: Reset, key: ResetKey) -> Hold<'_> {
        Hold { mask: &self.mask, reset, key, order: None }
    }
}

/// Why an optimizer could not be made, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A hyperparameter out of its range.
    #[error(transparent)]
    Hyperparameter(#[from] OutOfRange),
    /// The template names a tensor that the network lacks.
    #[error("{name}: in the template but not in the network, which has {known}")]
    UnknownTensor {
        /// The tensor.
        name: String,
        /// What the network has.
        known: String,
    },
    /// The template holds a tensor of another shape.
    #[error("{name}: the network has shape {network:?}, the template {template:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the network.
        network: Vec<usize>,
        /// Its shape in the template.
        template: Vec<usize>,
    },
    /// A saved state that belongs to another network or rule, or is damaged.
    #[error("{name}: {what} in the saved state")]
    State {
        /// The tensor of the state.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file of a saved optimizer that cannot be written or read.
    #[error("{path}: {what}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

impl<R: Rule> Frozen<R> {
    /// The rule over all trainable variables of `variables`, with the signs of `template` held.
    ///
    /// Variables that the template does not name, and weights it leaves free, train as ever. Biases are
    /// held like any other variable where it names them, which [`Rules`](crate::sign::Rules) alone do. Weights
    /// that violate now are flipped, so that their magnitudes stay (as the authors start a run); from
    /// then on no held weight is on the wrong side of zero after a step.
    ///
    /// # Errors
    /// When a hyperparameter is out of range, or the template names a tensor that is not in
    /// `variables` or has another shape.
    pub fn new(variables: &nn::VarStore, template: Template, rule: R) -> Result<Self, Error> {
        rule.check()?;
        let mut named: Vec<_> = variables
            .variables()
            .into_iter()
            .filter(|(_, tensor)| tensor.requires_grad())
            .collect();
        named.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, layer) in template.iter() {
            let Some((_, tensor)) = named.iter().find(|(known, _)| known == name) else {
                let known = named.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>();
                return Err(Error::UnknownTensor { name: name.into(), known: known.join(", ") });
            };
            let network: Vec<usize> = tensor.size().iter().map(|&side| side as usize).collect();
            if network != layer.shape {
                let (name, template) = (name.into(), layer.shape.to_vec());
                return Err(Error::Shape { name, network, template });
            }
        }
        let buffers = rule.buffers().len();
        let parameters = named
            .into_iter()
            .map(|(name, weight)| {
                let mask = template.get(&name).map(|layer| layer.mask.clone());
                Parameter::new(name, weight, mask.filter(|mask| mask.held_count() > 0), buffers)
            })
            .collect::<Result<_, _>>()?;
        let mut frozen = Frozen {
            rule,
            rate: 1.0,
            reset: Reset::default(),
            seed: 0,
            template: template.digest(),
            fused: Some(Fused::new(NonZeroUsize::MIN)),
            parameters,
        };
        frozen.flip_violators()?;
        Ok(frozen)
    }

    /// Chooses what replaces a violator; by default uniform in [0, 0.001) on the right side.
    #[must_use]
    pub fn with_reset(self, reset: Reset) -> Self {
        Frozen { reset, ..self }
    }

    /// Chooses the seed of the random resets; by default 0.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Frozen { seed, ..self }
    }

    /// Chooses how many CPU threads a step uses; by default 1. The results do not depend on it.
    #[must_use]
    pub fn with_threads(self, threads: NonZeroUsize) -> Self {
        Frozen { fused: Some(Fused::new(threads)), ..self }
    }

    /// Takes `share` times the rule's learning rate from the next step on; at first it is 1.
    ///
    /// [`state`](Self::state) does not have it, as it has no hyperparameter: whoever goes on from a saved
    /// state sets it again.
    pub fn set_rate(&mut self, share: f64) {
        self.rate = share;
    }

    /// Lets every held sign go: from the next step on this is the plain rule. Moments and counts stay.
    pub fn release(&mut self) {
        self.parameters.iter_mut().for_each(Parameter::release);
    }

    /// Computes the gradients of `loss` and takes a step.
    ///
    /// The gradients are gone afterwards, and `grad` of the variables is neither read nor written, which
    /// spares a pass over the memory that zeroes them and one that adds to them. Where gradients are to be
    /// added up, clipped or looked at, call `backward` of the loss and [`step`](Self::step).
    ///
    /// # Errors
    /// What libtorch says.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<(), Error> {
        let gradients = self.gradients(loss)?;
        self.apply(gradients)
    }

    /// The gradient of `loss` for each variable; undefined for those that it does not depend on.
    pub(crate) fn gradients(&self, loss: &Tensor) -> Result<Vec<Tensor>, Error> {
        let weights: Vec<&Tensor> =
            self.parameters.iter().map(|parameter| &parameter.weight).collect();
        Ok(Tensor::f_run_backward(&[loss], &weights, false, false)?)
    }

    /// Zeroes all gradients.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn zero_grad(&mut self) -> Result<(), Error> {
        for parameter in &self.parameters {
            let mut gradient = parameter.weight.f_grad()?;
            if gradient.defined() {
                let _ = gradient.f_detach_()?.f_zero_()?;
            }
        }
        Ok(())
    }

    /// One step of the rule from the gradients as they are, then the projection. A variable without
    /// a gradient is left as it is.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn step(&mut self) -> Result<(), Error> {
        let gradients = self.parameters.iter().map(|parameter| parameter.weight.f_grad());
        let gradients = gradients.collect::<Result<_, _>>()?;
        self.apply(gradients)
    }

    /// One step of the rule from `gradients`, one for each variable, then the projection.
    pub(crate) fn apply(&mut self, gradients: Vec<Tensor>) -> Result<(), Error> {
        let rule = self.rule.at_rate(self.rate);
        tch::no_grad(|| {
            let mut on_cpu = Vec::new();
            for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
                if !gradient.defined() || parameter.weight.numel() == 0 {
                    continue;
                }
                parameter.steps += 1;
                if self.fused.is_some() && is_plain(&parameter.weight) {
                    on_cpu.push((gradient.f_to_kind(Kind::Float)?.f_contiguous()?, parameter));
                } else {
                    parameter.step(&rule, &gradient, self.reset, self.seed)?;
                }
            }
            let Some(fused) = self.fused else { return Ok(()) };
            let slices = on_cpu
                .iter_mut()
                .map(|(gradient, parameter)| parameter.slices(gradient, self.reset, self.seed));
            let counts = rule.update_fused(fused, slices.collect());
            for ((_, parameter), counts) in on_cpu.iter_mut().zip(counts) {
                parameter.counts += counts;
            }
            Ok(())
        })
    }

    /// Its variables, by name.
    fn weights(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.weight))
    }

    /// What the steps so far did to all weights: resets, and weights that crossed zero.
    ///
    /// # Errors
    /// What libtorch says when it reads the counts from another device.
    pub fn counts(&self) -> Result<Counts, Error> {
        let mut total = Counts::default();
        for (_, counts) in self.counts_by_tensor()? {
            total += counts;
        }
        Ok(total)
    }

    /// [`counts`](Self::counts) of each tensor, by name.
    ///
    /// # Errors
    /// As [`counts`](Self::counts).
    pub fn counts_by_tensor(&self) -> Result<Vec<(&str, Counts)>, Error> {
        self.parameters
            .iter()
            .map(|parameter| Ok((parameter.name.as_str(), parameter.counts_so_far()?)))
            .collect()
    }

    /// How many held weights are on the wrong side of zero now: none, after a step.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn violations(&self) -> Result<u64, Error> {
        let mut violations = 0;
        for Parameter { weight, hold, .. } in &self.parameters {
            violations += match hold {
                None => 0,
                Some(Signs { mask, .. }) if is_plain(weight) => mask.violators(values(weight)),
                Some(Signs { mask, .. }) => tensor_ops::violators(mask, weight)?,
            } as u64;
        }
        Ok(violations)
    }

    /// Flips what violates now.
    fn flip_violators(&mut self) -> Result<(), TchError> {
        tch::no_grad(|| {
            for parameter in &mut self.parameters {
                let _ = parameter.project(Reset::Flip, parameter.key(0))?;
                // The step may go by the fused pass, which has no use for it.
                parameter.hold.iter_mut().for_each(|signs| signs.tensor = None);
            }
            Ok(())
        })
    }
}

impl Parameter {
    fn new(
        name: String,
        weight: Tensor,
        mask: Option<SignMask>,
        buffers: usize,
    ) -> Result<Self, TchError> {
        let number = ResetKey::number(&name);
        let zeros = || weight.f_zeros_like()?.f_detach();
        let buffers = (0..buffers).map(|_| zeros()).collect::<Result<_, _>>()?;
        let hold = mask.map(|mask| Signs { mask, tensor: None });
        let counts = Counts::default();
        let (steps, released, tally) = (0, None, None);
        Ok(Parameter { name, number, weight, buffers, steps, hold, released, counts, tally })
    }

    fn release(&mut self) {
        if let Some(Signs { mask, .. }) = self.hold.take() {
            self.released = Some(Signs { mask, tensor: None });
        }
    }

    /// Undoes [`release`](Self::release).
    fn hold_again(&mut self) {
        self.hold = self.hold.take().or(self.released.take());
    }

    fn key(&self, seed: u64) -> ResetKey {
        ResetKey { seed, step: self.steps, tensor: self.number }
    }

    fn slices<'a>(&'a mut self, gradient: &'a Tensor, reset: Reset, seed: u64) -> Slices<'a> {
        let key = self.key(seed);
        Slices {
            step: self.steps,
            hold: self.hold.as_ref().map(|signs| signs.hold(reset, key)),
            weights: values_mut(&mut self.weight),
            gradient: values(gradient),
            buffers: self.buffers.iter_mut().map(values_mut).collect(),
        }
    }

    /// One step and the projection by tensor operations.
    fn step(
        &mut self,
        rule: &impl Rule,
        gradient: &Tensor,
        reset: Reset,
        seed: u64,
    ) -> Result<(), TchError> {
        let before = tensor_ops::copy_of(&self.weight)?;
        self.put_mask_on_device()?;
        let signs = self.hold.as_ref().and_then(|signs| signs.tensor.as_ref());
        rule.update(self.steps, &mut self.weight, gradient, signs, &mut self.buffers)?;
        let resets = self.project(reset, self.key(seed))?;
        let flips = tensor_ops::sign_flips(&before, &self.weight)?;
        self.tally = Some(match self.tally.take() {
            None => [resets, flips],
            Some([resets_before, flips_before]) => {
                [resets_before.f_add(&resets)?, flips_before.f_add(&flips)?]
            }
        });
        Ok(())
    }

    /// Projects by tensor operations; gives back the number of resets, on the weight's device.
    fn project(&mut self, reset: Reset, key: ResetKey) -> Result<Tensor, TchError> {
        self.put_mask_on_device()?;
        match self.hold.as_ref().and_then(|signs| signs.tensor.as_ref()) {
            Some(mask) => tensor_ops::project(&mut self.weight, mask, reset, key),
            None => Tensor::f_zeros([], (Kind::Int64, self.weight.device())),
        }
    }

    /// Makes the mask's tensor, where signs are held and it is not there yet.
    fn put_mask_on_device(&mut self) -> Result<(), TchError> {
        if let Some(Signs { mask, tensor: tensor @ None }) = &mut self.hold {
            *tensor = Some(tensor_ops::mask_like(mask, &self.weight)?);
        }
        Ok(())
    }

    fn counts_so_far(&self) -> Result<Counts, TchError> {
        let mut counts = self.counts;
        if let Some([resets, flips]) = &self.tally {
            counts += Counts {
                resets: resets.f_int64_value(&[])? as u64,
                sign_flips: flips.f_int64_value(&[])? as u64,
            };
        }
        Ok(counts)
    }
}

/// The values of a contiguous float32 CPU tensor, in row-major order.
fn values(tensor: &Tensor) -> &[f32] {
    assert!(is_plain(tensor), "the caller chose tensors that lie in memory value by value");
    // SAFETY: such a tensor is `numel` floats from `data_ptr` on, which live as long as the tensor.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>(), tensor.numel()) }
}

/// [`values`], to change them.
fn values_mut(tensor: &mut Tensor) -> &mut [f32] {
    assert!(is_plain(tensor), "the caller chose tensors that lie in memory value by value");
    // SAFETY: as in `values`; nobody else reads them meanwhile, since libtorch does not work in the
    // background on the CPU and the optimizer alone takes slices of its tensors, each once.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), tensor.numel()) }
}

/// Whether a tensor is on the CPU, float32, and its values lie in row-major order.
fn is_plain(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && tensor.is_contiguous()
}
