//! `polarity template rule`: signs by rules, where there is no source to take them from.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};
use tch::{Device, nn};

use super::{is_stdout, save};
use crate::cli::reading::Reading;
use crate::cli::say::say;
use crate::cli::{Failure, print};
use crate::models::{Model, REGISTRY};
use crate::sign::{RuleReport, RuleTensor, Ruled, Rules, Template};
use crate::transfer;
use crate::weights::{self, Contents};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity template rule --rules rules.yaml --like model.pth -o rules.safetensors
  polarity template rule --rules rules.yaml --like alexnet-mini --classes 4 -o rules.safetensors
  polarity template rule --rules rules.yaml --like '{name: vgg16, hidden: [8, 8]}' -o t.safetensors

A file of rules is a map, in YAML or JSON, from patterns of names to rules. The first pattern that
matches a tensor decides it; what no pattern names is free. For example:
  \"*.bias\": free                                        * is any characters, ? is one
  ff.*.weight: positive                                 positive, negative, own or free
  rec.weight: {dale: 0.8, seed: 1}                      a share of positive columns
  rec2.weight: {dale: [1, -1, 0], axis: row}            a sign for each row, 0 is free
  out.weight: {edges: synapses.csv}                     a table from,to,sign")]
pub(in crate::cli) struct RuleCommand {
    /// The file of rules
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// Whose tensors: a checkpoint file, weights of `polarity data list`, or a network as an
    /// experiment's `model` names it
    #[arg(long, value_name = "CHECKPOINT|NETWORK")]
    like: String,
    /// The template to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How many classes a network tells apart
    #[arg(long, value_name = "N", default_value = "10")]
    classes: NonZeroUsize,
    #[command(flatten)]
    reading: Reading,
}

impl RuleCommand {
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        let RuleCommand { rules, like, output, classes, reading } = self;
        let (file, rules) = (rules.display().to_string(), load(&rules)?);
        let made = match network(&like)? {
            Some(model) => of_network(&rules, &model, classes.get()),
            None => {
                let Contents { views, provenance, .. } = reading.open(&like, Vec::new())?;
                let within = |problem| Failure::Input(anyhow!("{like}: {problem}"));
                let weights = weights::checkpoint(&views).map_err(within)?;
                transfer::ruled_signs_of(&rules, &weights, &provenance.finish().map_err(within)?)
            }
        };
        let (template, report) =
            made.map_err(|error| Failure::Input(anyhow!("{file}: {error}")))?;
        if template.is_empty() {
            return Err(Failure::Input(anyhow!("{file}: holds no weight of {like}")));
        }
        if is_stdout(&output) {
            say(&table(&report));
        } else {
            print(&table(&report))?;
        }
        save(&template, &output, &[&file, &like])
    }
}

/// The rules of a YAML or JSON file.
fn load(file: &Path) -> Result<Rules, Failure> {
    let wrong = |what: String| Failure::Input(anyhow!("{}: {what}", file.display()));
    let text =
        std::fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let has_star = text.lines().any(|line| line.trim_start().starts_with('*'));
    serde_yaml::from_str(&text).map_err(|error| {
        let star = "; a pattern that begins with `*` must stand in quotes";
        wrong(format!("{error}{}", if has_star { star } else { "" }))
    })
}

/// The network that `like` names; none where it is a checkpoint.
fn network(like: &str) -> Result<Option<Model>, Failure> {
    let wrong = |what: String| Failure::Input(anyhow!("--like {like}: {what}"));
    let written: Value = if REGISTRY.iter().any(|entry| entry.name == like) {
        json!({ "name": like })
    } else if like.starts_with('{') {
        serde_yaml::from_str(like).map_err(|error| wrong(error.to_string()))?
    } else {
        return Ok(None);
    };
    let model: Model = serde_json::from_value(written).map_err(|error| wrong(error.to_string()))?;
    model.check_options().map_err(|error| wrong(error.to_string()))?;
    Ok(Some(model))
}

/// What `rules` make of the names and shapes of `model`, which has no weights yet.
fn of_network(
    rules: &Rules,
    model: &Model,
    classes: usize,
) -> Result<(Template, RuleReport), transfer::Error> {
    let variables = nn::VarStore::new(Device::Cpu);
    model.assemble(&variables.root(), classes);
    let mut shapes: Vec<(String, Vec<usize>)> = variables
        .variables()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.size().iter().map(|side| *side as usize).collect()))
        .collect();
    shapes.sort();
    let tensors = shapes.iter().map(|(name, shape)| RuleTensor { name, shape, weights: None });
    let written = serde_json::to_string(model).expect("a network of an experiment file is JSON");
    Ok(rules.template(tensors, &format!("the network {written} with {classes} classes"))?)
}

/// What decided every tensor, and what is held of it.
fn table(report: &RuleReport) -> String {
    let names = report.tensors.iter().map(|tensor| tensor.name.chars().count());
    let width = names.max().unwrap_or(0).max("tensor".len());
    let mut text = format!(
        "{:<width$}  {:>10}  {:>10}  {:>10}  decided by\n",
        "tensor", "weights", "held", "positive"
    );
    for Ruled { name, decided, weights, held, positive } in &report.tensors {
        let decided = match decided {
            Some((pattern, rule)) => format!("{pattern}: {rule}"),
            None => "no pattern, so it is free".into(),
        };
        text += &format!("{name:<width$}  {weights:>10}  {held:>10}  {positive:>10}  {decided}\n");
    }
    text
}
