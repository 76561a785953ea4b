//! `polarity check`: whether a checkpoint keeps the signs of a template.

use anyhow::anyhow;
use clap::Args;

use super::reading::Reading;
use super::{Failure, print};
use crate::sign::Template;
use crate::transfer::{self, Kept, Violator};

/// Check that a checkpoint keeps every sign of a template
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity check trained.pth template.safetensors
  polarity check trained.npz alexnet-imagenet

Read is all that `template extract` reads. A weight of 0 violates nothing, nor does a free one.

Exit codes: 0 every sign is kept, 1 some are violated, 2 the two do not fit or a weight is NaN.")]
pub(super) struct Check {
    /// A checkpoint file, or weights of `polarity data list`
    model: String,
    /// A template file, or the name of a built-in template
    template: String,
    #[command(flatten)]
    reading: Reading,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Check { model, template, reading } = self;
        let held = Template::open(&template).map_err(Failure::input)?;
        let within = |error: String| Failure::Input(anyhow!("{model}: {error}"));
        let names = held.names().map(str::to_owned).collect();
        let views = reading.open(&model, names)?.views;
        let kept = transfer::check(&held, &views).map_err(|error| within(error.to_string()))?;
        print(&table(&kept))?;
        let violators: usize = kept.iter().map(|kept| kept.violators).sum();
        let (weights, tensors) = (held.held(), held.len());
        if violators > 0 {
            return Err(Failure::Work(anyhow!(
                "{model}: violates {violators} of the {weights} signs that {template} holds in \
                 {tensors} tensors"
            )));
        }
        print(&format!("{model} keeps all {weights} signs that {template} holds\n"))
    }
}

/// The violators by tensor.
fn table(kept: &[Kept]) -> String {
    let names = kept.iter().map(|kept| kept.name.chars().count());
    let width = names.max().unwrap_or(0).max("tensor".len());
    let mut text = format!("{:<width$}  {:>10}  {:>10}  first\n", "tensor", "held", "violators");
    for Kept { name, held, violators, first } in kept {
        let first = first.as_ref().map_or("-".into(), |Violator { place, weight }| {
            let side = if *weight < 0.0 { "positive" } else { "negative" };
            format!("{place:?} is {}, held {side}", shortest(*weight))
        });
        text += &format!("{name:<width$}  {held:>10}  {violators:>10}  {first}\n");
    }
    text
}

/// A weight with no more digits than tell it from its neighbours; most are float32.
fn shortest(weight: f64) -> String {
    let narrow = weight as f32;
    if f64::from(narrow) == weight { format!("{narrow:e}") } else { format!("{weight:e}") }
}
