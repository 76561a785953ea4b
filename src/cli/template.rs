//! `polarity template`: makes and inspects templates.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use super::say::{say, word};
use super::{Failure, print, print_bytes};
use crate::sign::{Agreement, Template};
use crate::weights::{self, Contents, Layout, Naming, Wanted, sources};
use crate::{fetch, files};

/// Make and inspect templates, the sign masks of a network
#[derive(Debug, Subcommand)]
pub(super) enum TemplateCommand {
    /// Take the signs of a checkpoint's weights (tensors of two or more dimensions)
    Extract(Extract),
    /// Say what a template holds
    Info(Info),
    /// Compare the signs of two templates
    Diff(Diff),
    /// Draw random signs for the shapes of another template
    Random(Random),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity template extract model.pth -o model.template.safetensors
  polarity template extract run7.ckpt --key ema --strip module -o run7.template.safetensors
  polarity template extract bvlc_alexnet.npy --layout bvlc-alexnet -o bvlc.template.safetensors
  polarity template extract alexnet-imagenet -o templates/alexnet-imagenet.safetensors

Read are safetensors (with an index, too), PyTorch's .pth and .pt (state dicts, checkpoints of a
training, modules, TorchScript), tch's .ot, NumPy's .npy and .npz, and pickles of dicts and lists of
arrays. Of a checkpoint of a training the network is taken; what is no weight is left out, and told.
Nothing in a file is ever executed.")]
pub(super) struct Extract {
    /// A checkpoint file, or weights of `polarity data list`
    source: String,
    /// The template to write; `-` for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Only these layers, for example `features` or `features.0`; may be given again
    #[arg(long, value_name = "PREFIX")]
    layer: Vec<String>,
    /// The dict in the file that is the network, keys joined by dots, for example `ema` or
    /// `model.state_dict`
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Drop this from the front of names, for example `module`; may be given again
    #[arg(long, value_name = "PREFIX")]
    strip: Vec<String>,
    /// Call what begins with FROM by TO, for example `conv1=features.0`; may be given again
    #[arg(long, value_name = "FROM=TO", value_parser = renaming)]
    rename: Vec<(String, String)>,
    /// How the file names and lays out its arrays: `torchvision`, `bvlc-alexnet` (its two groups
    /// opened with free weights) or `bvlc-alexnet-grouped`
    #[arg(long, value_name = "LAYOUT", default_value_t)]
    layout: Layout,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  polarity template info alexnet-imagenet")]
pub(super) struct Info {
    /// A template file, or the name of a built-in template
    template: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  polarity template diff a.safetensors b.safetensors")]
pub(super) struct Diff {
    /// A template file, or the name of a built-in template
    first: String,
    /// Another
    second: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity template random alexnet-imagenet --seed 1 -o random.safetensors
  polarity template random alexnet-imagenet --positive 0.5 -o even.safetensors")]
pub(super) struct Random {
    /// The template whose names, shapes and free weights to keep
    like: String,
    /// The template to write; `-` for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Chance of a positive sign, in [0, 1] [default: each tensor's own share]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    positive: Option<f64>,
    /// Seed of the signs
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

fn renaming(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.into(), to.into())),
        _ => Err("expected FROM=TO, such as `conv1=features.0`".into()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number in [0, 1]".into()),
    }
}

impl TemplateCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            TemplateCommand::Extract(command) => command.run(),
            TemplateCommand::Info(command) => command.run(),
            TemplateCommand::Diff(command) => command.run(),
            TemplateCommand::Random(command) => command.run(),
        }
    }
}

impl Extract {
    fn run(self) -> Result<(), Failure> {
        let Extract { source, output, layer, key, strip, rename, layout } = self;
        // Without a place for a cache a file can be read all the same.
        let cache = match sources::find(&source) {
            Some(_) => fetch::cache_dir().map_err(Failure::input)?,
            None => PathBuf::new(),
        };
        let wanted = Wanted { key, naming: Naming { strip, rename, network: Vec::new() } };
        let Contents { views, account, provenance } =
            sources::open(&source, layout, &wanted, &cache).map_err(Failure::input)?;
        for line in account.to_string().lines() {
            say(&format!("{source}: {line}"));
        }
        let template = weights::signs(&views, provenance);
        let mut template =
            template.map_err(|problem| Failure::Input(anyhow!("{source}: {problem}")))?;
        if !layer.is_empty() {
            template = template.subset_by_prefixes(&layer).map_err(Failure::input)?;
        }
        if template.is_empty() {
            return Err(Failure::Input(anyhow!("{source}: no tensor of two or more dimensions")));
        }
        save(&template, &output, &[&source])
    }
}

impl Info {
    fn run(self) -> Result<(), Failure> {
        let template = Template::open(&self.template).map_err(Failure::input)?;
        if self.json {
            let text = serde_json::to_string_pretty(&as_json(&template)).map_err(Failure::work)?;
            return print_bytes(format!("{text}\n").as_bytes());
        }
        let mut text = format!(
            "source      {}\nmade by     {}\ndigest      {}\n",
            word(template.source()),
            word(template.created_by()),
            template.digest()
        );
        text += &format!(
            "weights     {} in {} tensors, {} held, {:.2} % of them positive\n\n",
            template.weights(),
            template.len(),
            template.held(),
            100.0 * template.positive_fraction().unwrap_or(0.0)
        );
        let names = template.names().map(|name| word(name).chars().count());
        let width = names.max().unwrap_or(0).max("tensor".len());
        text += &format!(
            "{:<width$}  {:>10}  {:>10}  {:>10}  shape\n",
            "tensor", "weights", "held", "positive"
        );
        for (name, layer) in template.iter() {
            let mask = &layer.mask;
            let positive = 100.0 * mask.positive_fraction().unwrap_or(0.0);
            let (weights, held) = (mask.len(), mask.held_count());
            let (name, shape) = (word(name), &layer.shape);
            text += &format!(
                "{name:<width$}  {weights:>10}  {held:>10}  {positive:>8.2} %  {shape:?}\n"
            );
        }
        print(&text)
    }
}

fn as_json(template: &Template) -> serde_json::Value {
    let tensors = template.iter().map(|(name, layer)| {
        json!({
            "name": name,
            "shape": layer.shape,
            "weights": layer.mask.len(),
            "held": layer.mask.held_count(),
            "positive": layer.mask.positive_fraction(),
        })
    });
    json!({
        "source": template.source(),
        "created_by": template.created_by(),
        "digest": template.digest(),
        "weights": template.weights(),
        "held": template.held(),
        "positive": template.positive_fraction(),
        "tensors": tensors.collect::<Vec<_>>(),
    })
}

impl Diff {
    fn run(self) -> Result<(), Failure> {
        let first = Template::open(&self.first).map_err(Failure::input)?;
        let second = Template::open(&self.second).map_err(Failure::input)?;
        let Agreement { layers, overall } = first.agreement(&second).map_err(Failure::input)?;
        let percent = |share: Option<f64>| match share {
            Some(share) => format!("{:.2} %", 100.0 * share),
            None => "nothing held by both".into(),
        };
        let mut text = String::from("Share of equal signs, among weights that both hold:\n");
        for (name, share) in layers {
            text += &format!("  {}  {}\n", word(&name), percent(share));
        }
        text += &format!("  in all  {}\n", percent(overall));
        print(&text)
    }
}

impl Random {
    fn run(self) -> Result<(), Failure> {
        let like = Template::open(&self.like).map_err(Failure::input)?;
        save(&like.random_like(self.positive, self.seed), &self.output, &[&self.like])
    }
}

/// Writes `template` to `output`, `-` for stdout; `inputs` are the files that it was made from.
fn save(template: &Template, output: &Path, inputs: &[&str]) -> Result<(), Failure> {
    let bytes = template.to_bytes();
    let (weights, tensors, length) = (template.weights(), template.len(), bytes.len());
    let said = format!("the signs of {weights} weights in {tensors} tensors, {length} bytes");
    if STDOUT.map(Path::new).contains(&output) {
        say(&format!("stdout: {said}"));
        return print_bytes(&bytes);
    }
    if let Some(input) = inputs.iter().find(|input| files::are_same(Path::new(input), output)) {
        return Err(Failure::Input(anyhow!(
            "--output: `{}` is the file `{input}`, which is read; choose another",
            output.display()
        )));
    }
    template.save(output).map_err(Failure::work)?;
    print(&format!("{}: {said}\n", output.display()))
}

/// The paths that mean stdout.
const STDOUT: [&str; 2] = ["-", "/dev/stdout"];
