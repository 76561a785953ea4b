//! Signs (or magnitudes) from a source into a fresh network.
//!
//! Tensors meet by name and must agree in shape; where no name fits, what programs put in front of names
//! (`module.`, `model.`) is dropped. The report says of every tensor of either side whether it was taken
//! or why it was left, and nothing is skipped in silence. Only *constrained* tensors take part: weights of
//! two or more dimensions. Biases are not constrained (paper, section 2), unless a template names them,
//! which one made by [rules](crate::sign::Rules) may do.
//!
//! All that can be wrong is looked for before the first weight is written: an error leaves the network
//! as it was, unless libtorch itself fails between two tensors.
//!
//! Holding the signs afterwards is left to [`optim`](crate::optim), reading files to
//! [`sign`](crate::sign) and [`weights`](crate::weights).

mod check;
mod rules;

use std::collections::BTreeMap;

use tch::{Kind, TchError, Tensor, nn};

pub use self::check::{Kept, Violator, check};
pub use self::rules::{ruled_signs, ruled_signs_of};
use crate::sign::{NotANumber, RuleError, SignMask, Template, TemplateError, is_below};
use crate::weights::{Checkpoint, Defect, Naming, bare, renamed};

/// What to transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Layers that stay fresh although the source has them, by prefix: `classifier.6` or `features`.
    pub except: Vec<String>,
    /// Tensors that have another name in the source: pairs of (source, fresh) prefixes.
    pub rename: Vec<(String, String)>,
}

/// What was transferred.
#[derive(Clone, Debug)]
pub struct Report {
    /// The signs the network now has in every constrained tensor, and in biases that the source
    /// names: what to hold. Free where the source leaves a weight free; own signs in tensors the
    /// source lacks.
    pub template: Template,
    /// Tensors that took the source's values, in name order.
    pub taken: Vec<Taken>,
    /// Tensors that did not, in name order.
    pub left: Vec<Left>,
}

/// A tensor that took the source's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its name in the fresh network.
    pub name: String,
    /// Its name in the source.
    pub source: String,
    /// Number of its weights.
    pub weights: usize,
    /// How many of them changed sign.
    pub changed: usize,
}

/// A tensor that was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its name, in the network that has it.
    pub name: String,
    /// Why it was left.
    pub reason: Reason,
}

/// Why a tensor was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The source has no tensor of this name: the fresh network keeps its own.
    NotInSource,
    /// The fresh network has no tensor of this name.
    NotInNetwork,
    /// [`Options::except`] names it.
    Excepted,
}

/// Why nothing was transferred.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Tensors of the same name differ in shape.
    #[error("the source does not fit the network: {}; leave these layers fresh with `except`", .0.join("; "))]
    Shapes(Vec<String>),
    /// Two tensors of the source have the same name in the network, by [`Options::rename`].
    #[error(
        "{name}: both `{}` and `{}` of the source come to it; give each another name with `rename`",
        .sources[0], .sources[1]
    )]
    Twice {
        /// The tensor of the network.
        name: String,
        /// Those of the source, in name order.
        sources: [String; 2],
    },
    /// No tensor of the source is in the network.
    #[error(
        "no tensor of the source is in the network: the source has {source_names}; the network has {network_names}"
    )]
    NothingInCommon {
        /// What the source has.
        source_names: String,
        /// What the network has.
        network_names: String,
    },
    /// `except` names no layer of the network.
    #[error("except: `{prefix}` is no layer of the network, which has {known}")]
    UnknownLayer {
        /// The prefix.
        prefix: String,
        /// What the network has.
        known: String,
    },
    /// A weight of the network or the source is not a number.
    #[error("{name}: {error}")]
    NotANumber {
        /// The tensor.
        name: String,
        /// Which weight.
        error: NotANumber,
    },
    /// A tensor of a checkpoint cannot be used.
    #[error("{name}: {defect}")]
    Defect {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        defect: Defect,
    },
    /// The checkpoint lacks tensors of the template, or has them in another shape.
    #[error("the checkpoint does not fit the template: {}", .0.join("; "))]
    Checkpoint(Vec<String>),
    /// Rules that do not fit the network.
    #[error(transparent)]
    Rules(#[from] RuleError),
    /// A template could not be put together.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// Gives the weights of `variables` the signs of `source`; every magnitude stays bit for bit.
///
/// A weight that is 0 stays 0, and one that the source leaves free keeps its sign.
///
/// # Errors
/// When a tensor has another shape in the source, when two of the source come to one of the network,
/// when the two sides have no tensor in common, when `options.except` names no layer, or when a weight
/// that is taken or kept is not a number. Nothing is changed then.
pub fn signs(
    source: &Template,
    variables: &nn::VarStore,
    options: &Options,
) -> Result<Report, Error> {
    let named = |name: &str| source.names().any(|theirs| renamed(theirs, &options.rename) == name);
    let mut fresh = sorted(variables);
    fresh.retain(|(name, tensor)| is_constrained(tensor) || named(name));
    let shapes = source.iter().map(|(name, layer)| (name, layer.shape.as_slice()));
    let (matches, left) = pair(shapes, &fresh, options)?;
    let mut template = Template::new(source.source());
    for found in &matches {
        let layer = source.get(&found.source).expect("the pair was made from its names");
        template.insert(&found.fresh, layer.shape.clone(), layer.mask.clone())?;
    }
    for (name, layer) in own_signs(variables)?.iter() {
        if template.get(name).is_none() {
            template.insert(name, layer.shape.clone(), layer.mask.clone())?;
        }
    }
    let taken = matches
        .into_iter()
        .map(|found| {
            let mask = &template.get(&found.fresh).expect("it was inserted above").mask;
            let changed = take_signs(mask, &found.weight)?;
            let weights = mask.len();
            Ok(Taken { name: found.fresh, source: found.source, weights, changed })
        })
        .collect::<Result<_, Error>>()?;
    Ok(Report { template, taken, left })
}

/// Gives `weight` the signs of `mask`; gives back how many changed.
fn take_signs(mask: &SignMask, weight: &Tensor) -> Result<usize, TchError> {
    let mut values = to_vec(weight)?;
    let mut changed = 0;
    for (value, sign) in values.iter_mut().zip(mask.iter()) {
        if are_opposed(*value, f32::from(sign)) {
            *value = -*value;
            changed += 1;
        }
    }
    set(weight, &values)?;
    Ok(changed)
}

/// Gives the weights of `variables` the source's values, and its biases where `biases` is set: the
/// usual start of fine-tuning (IN-Weight in the paper). The template is the signs of the weights the
/// network then has.
///
/// # Errors
/// As [`signs`].
pub fn weights(
    source: &Checkpoint,
    variables: &nn::VarStore,
    biases: bool,
    options: &Options,
) -> Result<Report, Error> {
    let dimensions = if biases { 1.. } else { 2.. };
    copy(source, variables, options, |count| dimensions.contains(&count), |_, new| new)
}

/// Gives the weights of `variables` the source's magnitudes and leaves them their own signs. A weight
/// that is 0 counts as positive.
///
/// # Errors
/// As [`signs`].
pub fn magnitudes(
    source: &Checkpoint,
    variables: &nn::VarStore,
    options: &Options,
) -> Result<Report, Error> {
    // A zero of the source stays the zero it is, whatever the sign.
    let with_own_sign = |old: f32, new: f32| if are_opposed(old, new) { -new } else { new };
    let keep_sign =
        |old: f32, new: f32| if old == 0.0 { new.abs() } else { with_own_sign(old, new) };
    copy(source, variables, options, |count| count >= 2, keep_sign)
}

/// Gives `variables` the source's biases and leaves every weight as it is.
///
/// # Errors
/// As [`signs`].
pub fn biases(
    source: &Checkpoint,
    variables: &nn::VarStore,
    options: &Options,
) -> Result<Report, Error> {
    copy(source, variables, options, |count| count == 1, |_, new| new)
}

/// Replaces every value of the tensors with as many dimensions as `takes` accepts by
/// `value(old, source's)`.
fn copy(
    source: &Checkpoint,
    variables: &nn::VarStore,
    options: &Options,
    takes: impl Fn(usize) -> bool,
    value: impl Fn(f32, f32) -> f32,
) -> Result<Report, Error> {
    let mut fresh = sorted(variables);
    fresh.retain(|(_, tensor)| takes(tensor.dim()));
    let shapes = source
        .iter()
        .filter(|(_, array)| takes(array.shape().len()))
        .map(|(name, array)| (name.as_str(), array.shape()));
    let (matches, left) = pair(shapes, &fresh, options)?;
    check_numbers(source, variables, &matches)?;
    let mut taken = Vec::new();
    for Match { source: source_name, fresh: name, weight } in matches {
        let before = to_vec(&weight)?;
        let pairs = before.iter().zip(source[&source_name].values());
        let after: Vec<f32> = pairs.map(|(old, new)| value(*old, *new)).collect();
        let opposed = |(old, new): &(&f32, &f32)| are_opposed(**old, **new);
        let changed = before.iter().zip(&after).filter(opposed).count();
        set(&weight, &after)?;
        taken.push(Taken { name, source: source_name, weights: after.len(), changed });
    }
    Ok(Report { template: own_signs(variables)?, taken, left })
}

/// Refuses a NaN in what `matches` take of `source` and in the weights that `variables` keep.
fn check_numbers(
    source: &Checkpoint,
    variables: &nn::VarStore,
    matches: &[Match],
) -> Result<(), Error> {
    for found in matches {
        mask_of(&found.source, source[&found.source].values())?;
    }
    for (name, weight) in constrained(variables) {
        if !matches.iter().any(|found| found.fresh == name) {
            mask_of(&name, &to_vec(&weight)?)?;
        }
    }
    Ok(())
}

/// Whether two values are strictly on different sides of zero. (Their product would say so too, but it
/// is 0 for weights as small as 10⁻²³.)
fn are_opposed(one: f32, other: f32) -> bool {
    (one < 0.0 && other > 0.0) || (one > 0.0 && other < 0.0)
}

/// The signs a network has now, in every constrained tensor. A weight that is 0 is free.
///
/// # Errors
/// When a weight is not a number.
pub fn own_signs(variables: &nn::VarStore) -> Result<Template, Error> {
    let mut template = Template::new("the network's own signs");
    for (name, weight) in constrained(variables) {
        let mask = mask_of(&name, &to_vec(&weight)?)?;
        template.insert(name, shape(&weight), mask)?;
    }
    Ok(template)
}

/// `template` with names changed as `naming` says; the usual prefixes are dropped where none is the
/// network's.
///
/// # Errors
/// When two tensors come to the same name.
pub fn named(template: &Template, naming: &Naming) -> Result<Template, TemplateError> {
    let old: Vec<&str> = template.names().collect();
    let new = naming.names(&old);
    let changed = old.into_iter().zip(new).collect::<BTreeMap<_, _>>();
    template.renamed(|name| changed[name].clone())
}

/// The signs of a checkpoint's constrained tensors.
///
/// # Errors
/// When a weight is not a number.
pub fn signs_of(source: &Checkpoint, provenance: &str) -> Result<Template, Error> {
    let mut template = Template::new(provenance);
    for (name, array) in source.iter().filter(|(_, array)| array.shape().len() >= 2) {
        let mask = mask_of(name, array.values())?;
        template.insert(name, array.shape().to_vec(), mask)?;
    }
    Ok(template)
}

/// The signs of the tensor `name`.
fn mask_of(name: &str, values: &[f32]) -> Result<SignMask, Error> {
    SignMask::of_weights(values).map_err(|error| Error::NotANumber { name: name.into(), error })
}

/// How many weights of `variables` are on the other side of zero than `template` says.
///
/// # Errors
/// What libtorch says.
pub fn violations(template: &Template, variables: &nn::VarStore) -> Result<u64, Error> {
    let mut violations = 0;
    for (name, weight) in sorted(variables) {
        if let Some(layer) = template.get(&name) {
            violations += layer.mask.violators(&to_vec(&weight)?) as u64;
        }
    }
    Ok(violations)
}

/// The trainable tensors of two or more dimensions, in name order.
pub fn constrained(variables: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut tensors = sorted(variables);
    tensors.retain(|(_, tensor)| is_constrained(tensor));
    tensors
}

fn is_constrained(tensor: &Tensor) -> bool {
    tensor.dim() >= 2
}

fn sorted(variables: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut tensors: Vec<_> = variables.variables().into_iter().collect();
    tensors.retain(|(_, tensor)| tensor.requires_grad());
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

/// A tensor that both sides have.
struct Match {
    source: String,
    fresh: String,
    weight: Tensor,
}

/// Pairs the tensors of both sides, or says all that does not fit.
fn pair<'a>(
    source: impl Iterator<Item = (&'a str, &'a [usize])>,
    fresh: &[(String, Tensor)],
    options: &Options,
) -> Result<(Vec<Match>, Vec<Left>), Error> {
    let source: Vec<_> = source.collect();
    let fresh_names = || list(fresh.iter().map(|(name, _)| name.as_str()));
    let unknown = |prefix: &&String| !fresh.iter().any(|(name, _)| is_below(name, prefix));
    if let Some(prefix) = options.except.iter().find(unknown) {
        return Err(Error::UnknownLayer { prefix: prefix.clone(), known: fresh_names() });
    }
    let excepted = |name: &str| options.except.iter().any(|prefix| is_below(name, prefix));

    let is_fresh = |name: &str| fresh.iter().any(|(known, _)| known == name);
    let names: Vec<_> = source.iter().map(|(name, _)| renamed(name, &options.rename)).collect();
    let names = bare(&names, is_fresh).unwrap_or(names);
    let (mut matches, mut left, mut misfits) = (Vec::new(), Vec::new(), Vec::new());
    for ((name, source_shape), fresh_name) in source.iter().zip(names) {
        match fresh.iter().find(|(known, _)| *known == fresh_name) {
            None => left.push(Left { name: (*name).into(), reason: Reason::NotInNetwork }),
            Some(_) if excepted(&fresh_name) => {}
            Some((_, weight)) if shape(weight) != *source_shape => misfits.push(format!(
                "{fresh_name}: expected shape {:?}, got {source_shape:?}",
                shape(weight)
            )),
            Some((_, weight)) => matches.push(Match {
                source: (*name).into(),
                fresh: fresh_name,
                weight: weight.shallow_clone(),
            }),
        }
    }
    if !misfits.is_empty() {
        return Err(Error::Shapes(misfits));
    }
    matches.sort_by(|a, b| (&a.fresh, &a.source).cmp(&(&b.fresh, &b.source)));
    if let Some(pair) = matches.windows(2).find(|pair| pair[0].fresh == pair[1].fresh) {
        let sources = [&pair[0], &pair[1]].map(|found| found.source.clone());
        return Err(Error::Twice { name: pair[0].fresh.clone(), sources });
    }
    if matches.is_empty() {
        let source_names = list(source.iter().map(|(name, _)| *name));
        return Err(Error::NothingInCommon { source_names, network_names: fresh_names() });
    }
    for (name, _) in fresh {
        if excepted(name) {
            left.push(Left { name: name.clone(), reason: Reason::Excepted });
        } else if !matches.iter().any(|found| found.fresh == *name) {
            left.push(Left { name: name.clone(), reason: Reason::NotInSource });
        }
    }
    left.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((matches, left))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size().iter().map(|&side| side as usize).collect()
}

/// The values in row-major order, as float32.
fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_detach()?.f_to_kind(Kind::Float)?.f_contiguous()?.f_flatten(0, -1)?;
    Vec::<f32>::try_from(flat)
}

fn set(tensor: &Tensor, values: &[f32]) -> Result<(), TchError> {
    let values = Tensor::f_from_slice(values)?.f_reshape(tensor.size())?;
    tch::no_grad(|| tensor.shallow_clone().f_copy_(&values))
}
