//! A run as plain values, to go on from: what a file has to hold.
//!
//! Writing it down is left to others. The tensors are of the kinds that safetensors knows, and no note is
//! NaN or infinite, so JSON holds them all.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor, nn};

use super::best::{Best, Least};
use super::losses::Losses;
use super::{CurvePoint, Error, Run, Schedule, Seconds, Task};
use crate::optim::{Frozen, Rule, copy_of};

/// The prefix of the network's variables.
const WEIGHTS: &str = "weights/";

/// The prefix of [`Frozen::state`].
const OPTIMIZER: &str = "optimizer/";

/// The prefix of the best weights so far.
const BEST: &str = "best/";

/// The sum of the losses since the last evaluation, a float64 scalar; possibly not finite.
const LOSSES: &str = "losses/sum";

/// The complete state of a run between two steps.
#[derive(Debug)]
pub struct State {
    /// `weights/NAME`, every variable of the network; `optimizer/…`, what [`Frozen::state`] gives;
    /// `best/NAME`, the variables of the best step, unless that is the last of the schedule; and
    /// `losses/sum`, of the batches since the last evaluation, if any; on the network's device.
    pub tensors: Vec<(String, Tensor)>,
    /// All that is no tensor.
    pub notes: Notes,
}

/// What is known of a run beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notes {
    /// The seed of the task.
    pub seed: u64,
    /// Training images of the task.
    pub images: usize,
    /// The schedule of the task.
    pub schedule: Schedule,
    /// Steps taken.
    pub step: u64,
    /// Batches since the last evaluation.
    pub batches: u64,
    /// The least validation loss so far, where the schedule chooses by it.
    pub best: Option<Least>,
    /// Whether a loss became non-finite.
    pub diverged: bool,
    /// The evaluations so far.
    pub curve: Vec<CurvePoint>,
    /// Where the time went so far.
    pub seconds: Seconds,
}

impl<'a, R: Rule> Run<'a, R> {
    /// The state of the run, complete: [`resume`](Self::resume) goes on from it bit for bit.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn save(&self) -> Result<State, Error> {
        let State { tensors, notes } = self.state()?;
        let copy = |(name, tensor)| Ok((name, copy_of(&tensor)?));
        let tensors = tensors.into_iter().map(copy).collect::<Result<_, TchError>>()?;
        Ok(State { tensors, notes })
    }

    /// As [`save`](Self::save), but without copies: the tensors are those of the run, and change with its
    /// next step. For who writes them down before.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn state(&self) -> Result<State, Error> {
        Ok(State { tensors: self.tensors()?, notes: self.notes() })
    }

    fn notes(&self) -> Notes {
        Notes {
            seed: self.task.seed,
            images: self.task.train.len(),
            schedule: self.task.schedule.clone(),
            step: self.step,
            batches: self.losses.count,
            best: self.best.least,
            diverged: self.diverged,
            curve: self.curve.clone(),
            seconds: self.seconds,
        }
    }

    fn tensors(&self) -> Result<Vec<(String, Tensor)>, Error> {
        let mut tensors = Vec::new();
        for (name, weight) in variables(self.task.variables) {
            tensors.push((format!("{WEIGHTS}{name}"), weight));
        }
        for (name, tensor) in self.optimizer.state_in_place()? {
            tensors.push((format!("{OPTIMIZER}{name}"), tensor));
        }
        for (name, weight) in &self.best.weights {
            tensors.push((format!("{BEST}{name}"), weight.shallow_clone()));
        }
        if let Some(sum) = &self.losses.sum {
            tensors.push((LOSSES.into(), sum.shallow_clone()));
        }
        Ok(tensors)
    }

    /// The run that `state` was saved of: its network gets the saved weights, its optimizer the saved
    /// state. `task` and `optimizer` are made as they were for that run; images, template and
    /// hyperparameters are not in the state, and only their traces can be compared.
    ///
    /// # Errors
    /// When the state is of another seed, number of images, schedule, network or rule, or lacks something:
    /// nothing is changed then. When the saved weights do not have the signs that `optimizer` holds, and
    /// what libtorch says.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn resume(
        task: Task<'a>,
        optimizer: &'a mut Frozen<R>,
        state: &State,
    ) -> Result<Self, Error> {
        let notes = &state.notes;
        notes.check(&task)?;
        let Parts { weights, optimizer: moments, best, losses } = Parts::of(state, &task)?;
        optimizer.set_state(&moments)?;
        tch::no_grad(|| weights.into_iter().try_for_each(|(mut to, from)| to.f_copy_(from)))?;
        match optimizer.violations()? {
            0 => {}
            count => return Err(wrong("weights", format!("{count} have not the signs held"))),
        }
        let mut run = Run::unseen(task, optimizer);
        run.step = notes.step;
        run.losses = losses;
        run.best = best;
        run.curve = notes.curve.clone();
        run.diverged = notes.diverged;
        run.seconds = notes.seconds;
        Ok(run)
    }
}

impl Notes {
    /// Refuses the notes of a run of another task.
    fn check(&self, task: &Task) -> Result<(), Error> {
        let Schedule { batch, steps, evaluate_at, keep_best, release_at, rate } = task.schedule;
        let saved = &self.schedule;
        same("seed", &task.seed, &self.seed)?;
        same("images", &task.train.len(), &self.images)?;
        same("schedule.batch", batch, &saved.batch)?;
        same("schedule.steps", steps, &saved.steps)?;
        same("schedule.evaluate_at", evaluate_at, &saved.evaluate_at)?;
        same("schedule.keep_best", keep_best, &saved.keep_best)?;
        same("schedule.release_at", release_at, &saved.release_at)?;
        same("schedule.rate", rate, &saved.rate)?;
        if self.step > *steps {
            let what = format!("expected at most {steps} steps, got {}", self.step);
            return Err(wrong("step", what));
        }
        Ok(())
    }

    /// Whether the best weights are kept beside those that the network has.
    fn keeps_best(&self) -> bool {
        self.best.is_some_and(|best| best.step != self.schedule.steps)
    }
}

/// The tensors of a state, each found and compared with what it is for.
struct Parts<'a> {
    /// A variable of the network, and its saved value.
    weights: Vec<(Tensor, &'a Tensor)>,
    optimizer: Vec<(String, Tensor)>,
    best: Best,
    losses: Losses,
}

impl<'a> Parts<'a> {
    fn of(state: &'a State, task: &Task) -> Result<Self, Error> {
        let notes = &state.notes;
        let mut left = Left(BTreeMap::new());
        let mut optimizer = Vec::new();
        for (name, tensor) in &state.tensors {
            match name.strip_prefix(OPTIMIZER) {
                Some(name) => optimizer.push((name.to_owned(), tensor.shallow_clone())),
                None => drop(left.0.insert(name, tensor)),
            }
        }
        let (mut weights, mut best) = (Vec::new(), Vec::new());
        for (name, variable) in variables(task.variables) {
            if notes.keeps_best() {
                let saved = left.take(&format!("{BEST}{name}"), &variable)?;
                best.push((name.clone(), placed(saved, &variable)?));
            }
            let saved = left.take(&format!("{WEIGHTS}{name}"), &variable)?;
            weights.push((variable, saved));
        }
        let losses = left.losses(notes.batches, task.variables)?;
        if let Some(name) = left.0.into_keys().next() {
            return Err(wrong(name, "unknown to this run,"));
        }
        let best = Best { least: notes.best, weights: best };
        Ok(Parts { weights, optimizer, best, losses })
    }
}

/// The tensors of a state that nobody took yet.
struct Left<'a>(BTreeMap<&'a str, &'a Tensor>);

impl<'a> Left<'a> {
    /// The tensor `name`, which is to be like `expected`.
    fn take(&mut self, name: &str, expected: &Tensor) -> Result<&'a Tensor, Error> {
        let found = self.0.remove(name).ok_or_else(|| wrong(name, "missing"))?;
        let form = |tensor: &Tensor| (tensor.kind(), tensor.size());
        let (expected, got) = (form(expected), form(found));
        if expected != got {
            return Err(wrong(name, format!("expected {expected:?}, got {got:?}")));
        }
        Ok(found)
    }

    fn losses(&mut self, count: u64, variables: &nn::VarStore) -> Result<Losses, Error> {
        let scalar = Tensor::f_zeros([], (Kind::Double, variables.device()))?;
        let sum =
            (count > 0).then(|| placed(self.take(LOSSES, &scalar)?, &scalar).map_err(Error::from));
        Ok(Losses { sum: sum.transpose()?, count })
    }
}

/// A copy of `saved` where `place` is.
fn placed(saved: &Tensor, place: &Tensor) -> Result<Tensor, TchError> {
    let mut copy = place.f_detach()?.f_empty_like()?;
    copy.f_copy_(saved)?;
    Ok(copy)
}

/// All variables, trained or not, in name order.
fn variables(variables: &nn::VarStore) -> BTreeMap<String, Tensor> {
    variables.variables().into_iter().collect()
}

fn same<T: PartialEq + Debug>(name: &str, expected: &T, got: &T) -> Result<(), Error> {
    if expected == got {
        return Ok(());
    }
    Err(wrong(name, format!("expected {expected:?}, got {got:?}")))
}

fn wrong(name: &str, what: impl Into<String>) -> Error {
    Error::State { name: name.into(), what: what.into() }
}

#[cfg(test)]
mod tests;
