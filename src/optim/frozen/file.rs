//! An optimizer and its weights in one file, to go on training from.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::state::wrong;
use super::{Error, Frozen};
use crate::optim::Rule;
use crate::sign::Reset;
use crate::tensors;

/// The prefix of the weights in the file.
const WEIGHTS: &str = "weights/";

/// The prefix of [`Frozen::state`] in the file.
const OPTIMIZER: &str = "optimizer/";

/// What the next steps depend on and no tensor tells.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    /// The digest of the template whose signs are held.
    template: String,
    reset: Reset,
    seed: u64,
    rate: f64,
}

impl<R: Rule> Frozen<R> {
    /// Writes the weights, the [state](Self::state) (moments, steps and counts), the template's digest, the
    /// reset rule, its seed and the [rate](Self::set_rate) to `path`, a safetensors file, whole or not at all.
    /// [`load`](Self::load) goes on from it bit for bit.
    ///
    /// What the loop around it draws (batches, dropout) is the loop's to keep; [`train::Run`] has all of that.
    ///
    /// [`train::Run`]: crate::train::Run
    ///
    /// ```
    /// use polarity::optim::{Adam, FrozenAdam};
    /// use polarity::transfer;
    /// use tch::{Device, Kind, Tensor, nn};
    ///
    /// let vs = nn::VarStore::new(Device::Cpu);
    /// let layer = nn::linear(vs.root() / "layer", 4, 2, Default::default());
    /// let template = transfer::own_signs(&vs)?;
    /// let loss = || Tensor::ones([8, 4], (Kind::Float, Device::Cpu)).apply(&layer).sum(Kind::Float);
    ///
    /// let mut optimizer = FrozenAdam::new(&vs, template.clone(), Adam::default())?;
    /// optimizer.backward_step(&loss())?;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("training.safetensors");
    /// optimizer.save(&path)?;
    /// optimizer.backward_step(&loss())?;
    /// let went_on = loss().double_value(&[]);
    ///
    /// // Later, in another process: the same network, template and rule.
    /// let mut optimizer = FrozenAdam::new(&vs, template, Adam::default())?;
    /// optimizer.load(&path)?;
    /// optimizer.backward_step(&loss())?;
    /// assert_eq!(loss().double_value(&[]), went_on);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be written, and what libtorch says; a file that was there stays then.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let mut kept: Vec<(String, Tensor)> = self
            .weights()
            .map(|(name, weight)| (format!("{WEIGHTS}{name}"), weight.shallow_clone()))
            .collect();
        let state = self.state_in_place()?;
        kept.extend(state.into_iter().map(|(name, tensor)| (format!("{OPTIMIZER}{name}"), tensor)));
        let path = path.as_ref();
        tensors::write(path, &self.notes(), &kept).map_err(|error| of_file(path, error))
    }

    /// Takes up what [`save`](Self::save) wrote: the weights of the network become those of the file, and the
    /// next step is the one that would have come next there. The optimizer was made for the same network, with
    /// the same template, rule, reset rule and seed; the rate is that of the file.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or was saved of another network, template, rule, reset rule
    /// or seed; nothing is changed then.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let (saved, kept) = tensors::read::<Notes>(path).map_err(|error| of_file(path, error))?;
        let rate = saved.rate;
        let expected = Notes { rate, ..self.notes() };
        if saved != expected {
            let what = format!("expected {expected:?}, got {saved:?}");
            return Err(wrong("notes".into(), what));
        }
        let (mut weights, mut state) = (Vec::new(), Vec::new());
        for (name, tensor) in kept {
            match (name.strip_prefix(WEIGHTS), name.strip_prefix(OPTIMIZER)) {
                (Some(weight), _) => weights.push((weight.to_owned(), tensor)),
                (_, Some(number)) => state.push((number.to_owned(), tensor)),
                _ => return Err(wrong(name, "unknown,")),
            }
        }
        let weights = self.fitting(weights)?;
        self.set_state(&state)?;
        tch::no_grad(|| weights.into_iter().try_for_each(|(mut to, from)| to.f_copy_(&from)))?;
        self.set_rate(rate);
        Ok(())
    }

    fn notes(&self) -> Notes {
        let Frozen { template, reset, seed, rate, .. } = self;
        Notes { template: template.clone(), reset: *reset, seed: *seed, rate: *rate }
    }

    /// Each variable beside its value in `saved`, which has these and no others.
    fn fitting(&self, saved: Vec<(String, Tensor)>) -> Result<Vec<(Tensor, Tensor)>, Error> {
        let mut left = saved;
        let mut fitting = Vec::new();
        for (name, weight) in self.weights() {
            let place = left.iter().position(|(known, _)| known == name);
            let place = place.ok_or_else(|| wrong(format!("{WEIGHTS}{name}"), "missing"))?;
            let (_, value) = left.swap_remove(place);
            let form = |tensor: &Tensor| (tensor.kind(), tensor.size());
            let (expected, got) = (form(weight), form(&value));
            if expected != got {
                let what = format!("expected {expected:?}, got {got:?}");
                return Err(wrong(format!("{WEIGHTS}{name}"), what));
            }
            fitting.push((weight.shallow_clone(), value));
        }
        match left.pop() {
            Some((name, _)) => Err(wrong(format!("{WEIGHTS}{name}"), "unknown to this network,")),
            None => Ok(fitting),
        }
    }
}

fn of_file(path: &Path, error: tensors::Error) -> Error {
    match error {
        tensors::Error::Torch(error) => Error::Torch(error),
        other => Error::File { path: path.to_owned(), what: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, nn};

    use super::*;
    use crate::optim::{Adam, FrozenAdam, FrozenSgd, Sgd};
    use crate::sign::Template;
    use crate::transfer;

    struct Net {
        variables: nn::VarStore,
        layer: nn::Linear,
    }

    impl Net {
        fn new() -> Self {
            let variables = nn::VarStore::new(Device::Cpu);
            let layer = nn::linear(variables.root() / "layer", 6, 3, Default::default());
            for (name, mut tensor) in variables.variables() {
                let count = tensor.numel() as i64;
                let shift = name.len() as f64;
                let values = Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.37 + shift;
                tch::no_grad(|| tensor.copy_(&(values.sin() * 0.1).reshape(tensor.size())));
            }
            Net { variables, layer }
        }

        fn signs(&self) -> Template {
            transfer::own_signs(&self.variables).unwrap()
        }

        fn adam(&self) -> FrozenAdam {
            let rule = Adam { lr: 0.05, ..Adam::default() };
            FrozenAdam::new(&self.variables, self.signs(), rule).unwrap().with_seed(5)
        }

        fn step<R: Rule>(&self, optimizer: &mut Frozen<R>, number: i64) {
            let images = Tensor::arange(24, (Kind::Float, Device::Cpu)).reshape([4, 6]) * 0.1;
            let loss = ((images + number).sin().apply(&self.layer) - 1.0).square().sum(Kind::Float);
            optimizer.backward_step(&loss).unwrap();
        }

        fn bits(&self) -> Vec<u32> {
            let mut all: Vec<_> = self.variables.variables().into_iter().collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            let values = |tensor: Tensor| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
            all.into_iter().flat_map(|(_, tensor)| values(tensor)).map(f32::to_bits).collect()
        }
    }

    #[test]
    fn a_loaded_optimizer_goes_on_bit_for_bit_and_a_cold_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.safetensors");
        let net = Net::new();
        let mut optimizer = net.adam();
        optimizer.set_rate(0.5);
        (0..6).for_each(|number| net.step(&mut optimizer, number));
        optimizer.save(&path).unwrap();
        let cold = net.bits();
        (6..12).for_each(|number| net.step(&mut optimizer, number));
        assert!(optimizer.counts().unwrap().resets > 0);

        let other = Net::new();
        let mut loaded = other.adam();
        loaded.load(&path).unwrap();
        assert_eq!(other.bits(), cold);
        (6..12).for_each(|number| other.step(&mut loaded, number));
        assert_eq!(other.bits(), net.bits());
        assert_eq!(loaded.counts().unwrap(), optimizer.counts().unwrap());

        let restarted = Net::new();
        restarted.adam().load(&path).unwrap();
        let mut fresh = restarted.adam();
        (6..12).for_each(|number| restarted.step(&mut fresh, number));
        assert_ne!(restarted.bits(), net.bits());
    }

    #[test]
    fn a_file_of_another_training_is_refused_and_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.safetensors");
        let net = Net::new();
        net.adam().save(&path).unwrap();
        let refused = |words: &str, message: String| {
            assert!(message.contains(words), "{message}\n{words}");
            assert_eq!(net.bits(), Net::new().bits());
        };
        let said = |result: Result<(), Error>| result.unwrap_err().to_string();
        refused("seed: 6", said(net.adam().with_seed(6).load(&path)));
        refused("reset: Flip", said(net.adam().with_reset(Reset::Flip).load(&path)));
        let held_nothing = FrozenAdam::new(&net.variables, Template::new("none"), Adam::default());
        refused("template", said(held_nothing.unwrap().with_seed(5).load(&path)));
        let sgd = FrozenSgd::new(&net.variables, net.signs(), Sgd { lr: 0.1, ..Sgd::default() });
        refused("unknown to this rule", said(sgd.unwrap().with_seed(5).load(&path)));
        let wider = nn::VarStore::new(Device::Cpu);
        let _layer = nn::linear(wider.root() / "layer", 6, 4, Default::default());
        let mut other = FrozenAdam::new(&wider, Template::new("none"), Adam::default()).unwrap();
        other.template = net.adam().template;
        let message = said(other.with_seed(5).load(&path));
        assert!(message.contains("weights/layer.bias: expected (Float, [4])"), "{message}");
        std::fs::write(&path, &std::fs::read(&path).unwrap()[..100]).unwrap();
        refused("kept.safetensors: cut off or altered", said(net.adam().load(&path)));
        refused("No such file", said(net.adam().load(folder.path().join("none"))));
    }
}
