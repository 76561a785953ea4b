//! The layers of a network that an arm or a source may name.

use tch::{Device, nn};

use crate::experiment::file::{Arm, Hold};
use crate::experiment::problem::{Problem, Problems};
use crate::models::Model;
use crate::nearest::nearest;
use crate::sign::is_below;
use crate::transfer;

/// The weights of a network that can be held; none where the network cannot be built.
pub(super) struct Layers(Vec<String>);

impl Layers {
    pub(super) fn of(model: &Model) -> Self {
        if model.check_options().is_err() {
            return Layers(Vec::new());
        }
        let variables = nn::VarStore::new(Device::Cpu);
        model.assemble(&variables.root(), 2);
        let names = transfer::constrained(&variables);
        Layers(names.into_iter().map(|(name, _)| name).collect())
    }

    /// Their names.
    pub(super) fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether the layers that an arm holds or leaves free are there.
    pub(super) fn check_hold(&self, key: &str, arm: &Arm, problems: &mut Problems) {
        match &arm.hold {
            Hold::All | Hold::None => {}
            Hold::Layers(held) => self.check(&format!("{key}.hold"), held, problems),
            Hold::Except(free) => self.check(&format!("{key}.hold.except"), free, problems),
        }
    }

    /// Whether each of `wanted` is a layer of the network, or the start of some names.
    pub(super) fn check(&self, key: &str, wanted: &[String], problems: &mut Problems) {
        let Layers(names) = self;
        let is_there = |layer: &String| names.iter().any(|name| is_below(name, layer));
        for layer in wanted.iter().filter(|layer| !names.is_empty() && !is_there(layer)) {
            let expected = format!(
                "layers of the network, `{}` or what stands before a dot",
                names.join("`, `")
            );
            let near = nearest(layer, names.iter().flat_map(|name| beginnings(name)));
            problems.add(Problem::value(key, expected, layer).meaning(near));
        }
    }
}

/// `features.0.weight`, and what stands before each of its dots.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.match_indices('.').map(|(end, _)| &name[..end]);
    dots.chain([name])
}
