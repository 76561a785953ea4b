//! What an optimizer knows beside the weights, as named tensors.

use std::collections::BTreeMap;

use tch::{Kind, TchError, Tensor};

use super::{Counts, Error, Frozen, Parameter, Rule, tensor_ops};

/// The numbers of each variable, beside the tensors of the rule.
const NUMBERS: [&str; 4] = ["step", "resets", "sign_flips", "released"];

impl<R: Rule> Frozen<R> {
    /// What the next steps depend on beside the weights, as named tensors, which any checkpoint can hold.
    ///
    /// Of each variable `NAME` there are the tensors of the rule, `NAME.exp_avg` and the like, of the
    /// weight's shape, and four numbers, int64 scalars: `NAME.step`, the steps it took; `NAME.resets` and
    /// `NAME.sign_flips`, its [`counts`](Self::counts); and `NAME.released`, 1 where signs were held and
    /// are [released](Self::release). Rule, template, reset rule and seed are not in it: the optimizer
    /// that takes it up was made of the same.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>, Error> {
        let copy = |(name, tensor)| Ok((name, tensor_ops::copy_of(&tensor)?));
        self.state_in_place()?.into_iter().map(copy).collect()
    }

    /// As [`state`](Self::state), but the tensors of the rule are its own, which change with the next step.
    pub(crate) fn state_in_place(&self) -> Result<Vec<(String, Tensor)>, Error> {
        let mut state = Vec::new();
        for parameter in &self.parameters {
            let name = |part: &str| format!("{}.{part}", parameter.name);
            for (buffer, tensor) in self.rule.buffers().iter().zip(&parameter.buffers) {
                state.push((name(buffer), tensor.shallow_clone()));
            }
            for (number, value) in NUMBERS.iter().zip(parameter.numbers()?) {
                state.push((name(number), Tensor::from(value as i64)));
            }
        }
        Ok(state)
    }

    /// Takes up a [`state`](Self::state): the next step is the one that would have come next there, and
    /// counts go on from there.
    ///
    /// # Errors
    /// When a tensor is missing, unknown, or has another shape or kind; nothing is changed then.
    pub fn set_state(&mut self, state: &[(String, Tensor)]) -> Result<(), Error> {
        let mut left: BTreeMap<&str, &Tensor> =
            state.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let buffers = self.rule.buffers();
        let saved = self.parameters.iter().map(|parameter| parameter.find(buffers, &mut left));
        let saved = saved.collect::<Result<Vec<_>, _>>()?;
        if let Some(name) = left.into_keys().next() {
            return Err(wrong(name.into(), "unknown to this rule and network,"));
        }
        for (parameter, saved) in self.parameters.iter_mut().zip(saved) {
            parameter.take_up(saved)?;
        }
        Ok(())
    }
}

/// What a state holds for one variable.
struct Saved<'a> {
    buffers: Vec<&'a Tensor>,
    /// As [`NUMBERS`] names them.
    numbers: [u64; 4],
}

impl Parameter {
    /// As [`NUMBERS`] names them.
    fn numbers(&self) -> Result<[u64; 4], TchError> {
        let Counts { resets, sign_flips } = self.counts_so_far()?;
        Ok([self.steps, resets, sign_flips, self.released.is_some().into()])
    }

    /// Takes what belongs to this variable out of `left`.
    fn find<'a>(
        &self,
        buffers: &[&str],
        left: &mut BTreeMap<&str, &'a Tensor>,
    ) -> Result<Saved<'a>, Error> {
        let mut take = |part: &str, shape: &[i64], kind: Kind| {
            let name = format!("{}.{part}", self.name);
            match left.remove(name.as_str()) {
                Some(tensor) if tensor.size() == shape && tensor.kind() == kind => Ok(tensor),
                Some(tensor) => {
                    let got = (tensor.kind(), tensor.size());
                    let what = format!("expected {kind:?} {shape:?}, got {:?} {:?}", got.0, got.1);
                    Err(wrong(name, what))
                }
                None => Err(wrong(name, "missing")),
            }
        };
        let (shape, kind) = (self.weight.size(), self.weight.kind());
        let buffers = buffers.iter().map(|buffer| take(buffer, &shape, kind));
        let buffers = buffers.collect::<Result<_, _>>()?;
        let mut numbers = [0; 4];
        for (number, part) in numbers.iter_mut().zip(NUMBERS) {
            let value = take(part, &[], Kind::Int64)?.f_int64_value(&[])?;
            *number = u64::try_from(value).map_err(|_| {
                let what = format!("expected a number of at least 0, got `{value}`");
                wrong(format!("{}.{part}", self.name), what)
            })?;
        }
        Ok(Saved { buffers, numbers })
    }

    fn take_up(&mut self, saved: Saved) -> Result<(), TchError> {
        for (buffer, saved) in self.buffers.iter_mut().zip(saved.buffers) {
            buffer.f_copy_(saved)?;
        }
        let [steps, resets, sign_flips, released] = saved.numbers;
        self.steps = steps;
        (self.counts, self.tally) = (Counts { resets, sign_flips }, None);
        if released == 0 {
            self.hold_again()
        } else {
            self.release()
        }
        Ok(())
    }
}

pub(super) fn wrong(name: String, what: impl Into<String>) -> Error {
    Error::State { name, what: what.into() }
}
