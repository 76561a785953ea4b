//! The template: the sign masks of a network by the names of its weights, and where they came from.
//!
//! Every derived template (a subset, a shuffle, …) says in its [`source`](Template::source) how it
//! was made. Each layer draws from a random stream of its own, named after it, so a layer that
//! comes or goes changes no other layer's signs.
//!
//! How a template is stored is in [`file`](super::file); how its names meet another network's is
//! left to `transfer`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::mask::{SignMask, share};
use crate::nearest::{hint, nearest};
use crate::random::Stream;

const CREATED_BY: &str = concat!("polarity ", env!("CARGO_PKG_VERSION"));

/// The sign masks of a network, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    layers: BTreeMap<String, Layer>,
    source: String,
    created_by: String,
}

/// One tensor of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// OIHW or `[out, in]`; its product is the mask's length.
    pub shape: Vec<usize>,
    /// Row-major over the shape.
    pub mask: SignMask,
}

/// What a shuffle keeps together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shuffle {
    /// Signs move anywhere within their tensor: the tensor's share of positive signs stays.
    Tensor,
    /// Signs move within their filter, the weights of one output channel: each filter's share
    /// stays.
    Filter,
}

/// How far two templates agree, as the share of equal signs among the weights that both hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Each layer that either template names; `None` where they hold no weight together.
    pub layers: Vec<(String, Option<f64>)>,
    /// Over the weights of all layers; `None` where they hold no weight together.
    pub overall: Option<f64>,
}

/// What templates refuse.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// A layer of this name is there already.
    #[error("{name}: the layer is there already; expected each name once; take another name")]
    DuplicateLayer {
        /// The layer.
        name: String,
    },
    /// The product of a shape cannot be counted.
    #[error("{name}: expected a shape with fewer than 2^64 weights, got {shape:?}")]
    ShapeOverflow {
        /// The layer.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A mask is longer or shorter than its shape says.
    #[error("{name}: expected {expected} signs for shape {shape:?}, got {got}")]
    WrongLength {
        /// The layer.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The shape's product.
        expected: usize,
        /// The mask's length.
        got: usize,
    },
    /// Two templates give one name different shapes.
    #[error("{name}: expected shape {expected:?}, got {got:?}; only equal shapes can be compared")]
    ShapesDiffer {
        /// The layer.
        name: String,
        /// Its shape in the first template.
        expected: Vec<usize>,
        /// Its shape in the second.
        got: Vec<usize>,
    },
    /// A prefix that no layer has.
    #[error(
        "layer `{prefix}`: matches nothing; expected one of {}, or whole components from the left \
         of one{}",
        legal.join(", "), hint(nearest)
    )]
    UnknownPrefix {
        /// The prefix as it was typed.
        prefix: String,
        /// The names of all layers.
        legal: Vec<String>,
        /// The nearest name or beginning of one.
        nearest: Option<String>,
    },
}

impl Layer {
    /// How many weights one filter (output channel) has; in row-major order they stand together.
    fn filter_len(&self) -> usize {
        let filters = self.shape.first().copied().unwrap_or(1);
        self.mask.len().checked_div(filters).unwrap_or(0).max(1)
    }

    fn must_have_the_shape_of(&self, other: &Layer, name: &str) -> Result<(), TemplateError> {
        if self.shape == other.shape {
            return Ok(());
        }
        let (expected, got) = (self.shape.clone(), other.shape.clone());
        Err(TemplateError::ShapesDiffer { name: name.to_string(), expected, got })
    }
}

impl Template {
    /// A template without layers. `source` says what the signs were taken from, where that came
    /// from, and its sha256.
    pub fn new(source: impl Into<String>) -> Self {
        Self::with_provenance(source.into(), CREATED_BY.to_string())
    }

    pub(super) fn with_provenance(source: String, created_by: String) -> Self {
        Template { layers: BTreeMap::new(), source, created_by }
    }

    /// Adds the layer `name`.
    ///
    /// # Errors
    /// When the name is taken, or the mask is not as long as the shape's product.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        mask: SignMask,
    ) -> Result<(), TemplateError> {
        let (name, shape) = (name.into(), shape.into());
        let Some(expected) = product(&shape) else {
            return Err(TemplateError::ShapeOverflow { name, shape });
        };
        if mask.len() != expected {
            return Err(TemplateError::WrongLength { name, shape, expected, got: mask.len() });
        }
        if self.layers.contains_key(&name) {
            return Err(TemplateError::DuplicateLayer { name });
        }
        self.layers.insert(name, Layer { shape, mask });
        Ok(())
    }

    /// The layer `name`.
    pub fn get(&self, name: &str) -> Option<&Layer> {
        self.layers.get(name)
    }

    /// All layers by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Layer)> {
        self.layers.iter().map(|(name, layer)| (name.as_str(), layer))
    }

    /// The names of all layers, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.keys().map(String::as_str)
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is no layer.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// How many weights all layers have, free ones included.
    pub fn weights(&self) -> usize {
        self.masks().map(SignMask::len).sum()
    }

    /// How many weights all layers hold.
    pub fn held(&self) -> usize {
        self.masks().map(SignMask::held_count).sum()
    }

    /// The share of positive signs among the held weights; `None` when none is held.
    pub fn positive_fraction(&self) -> Option<f64> {
        let positive = self.masks().map(SignMask::positive_count).sum();
        share(positive, self.held())
    }

    /// What the signs were taken from, and what was done to them since.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The program that made this template, with its version.
    pub fn created_by(&self) -> &str {
        &self.created_by
    }

    /// The layers whose name `keep` accepts.
    pub fn subset(&self, keep: impl Fn(&str) -> bool) -> Self {
        let mut subset = self.clone();
        subset.layers.retain(|name, _| keep(name));
        if subset.len() < self.len() {
            let names: Vec<&str> = subset.names().collect();
            let (kept, all) = (names.len(), self.len());
            let note = format!("only {kept} of {all} layers: {}", names.join(", "));
            subset.note(&note);
        }
        subset
    }

    /// The same layers under the names that `new` gives them.
    ///
    /// # Errors
    /// When two layers come to the same name.
    pub fn renamed(&self, new: impl Fn(&str) -> String) -> Result<Self, TemplateError> {
        let mut renamed = Self::with_provenance(self.source.clone(), self.created_by.clone());
        let mut changes = Vec::new();
        for (name, layer) in &self.layers {
            let new = new(name);
            if new != *name {
                changes.push(format!("{name} is {new}"));
            }
            renamed.insert(new, layer.shape.clone(), layer.mask.clone())?;
        }
        if !changes.is_empty() {
            renamed.note(&format!("renamed: {}", changes.join(", ")));
        }
        Ok(renamed)
    }

    /// The layers that begin with one of `prefixes`, component by dotted component: `features`
    /// matches `features.0.weight`, and `feat` does not.
    ///
    /// # Errors
    /// The first prefix that matches no layer, with the legal names and the nearest of them.
    pub fn subset_by_prefixes(&self, prefixes: &[String]) -> Result<Self, TemplateError> {
        for prefix in prefixes {
            if !self.names().any(|name| is_below(name, prefix)) {
                return Err(self.unknown_prefix(prefix));
            }
        }
        Ok(self.subset(|name| prefixes.iter().any(|prefix| is_below(name, prefix))))
    }

    fn unknown_prefix(&self, prefix: &str) -> TemplateError {
        let beginnings = self
            .names()
            .flat_map(|name| name.match_indices('.').map(|(dot, _)| &name[..dot]).chain([name]));
        TemplateError::UnknownPrefix {
            prefix: prefix.to_string(),
            legal: self.names().map(str::to_string).collect(),
            nearest: nearest(prefix, beginnings).map(str::to_string),
        }
    }

    /// The same entries in another place: a control that keeps the shares of positive signs and
    /// loses their arrangement.
    pub fn shuffled(&self, within: Shuffle, seed: u64) -> Self {
        let note = format!("shuffled within each {within}, seed {seed}");
        self.derived(&note, |name, layer| {
            let group_len = match within {
                Shuffle::Tensor => layer.mask.len().max(1),
                Shuffle::Filter => layer.filter_len(),
            };
            let mut stream = Stream::new(seed, &format!("template/shuffle/{name}"));
            layer.mask.shuffled_in_groups(group_len, &mut stream)
        })
    }

    /// The template with a `fraction` of each layer's held signs inverted.
    ///
    /// # Panics
    /// When `fraction` is not in [0, 1].
    pub fn flipped(&self, fraction: f64, seed: u64) -> Self {
        let note = format!("flipped a fraction of {fraction}, seed {seed}");
        self.derived(&note, |name, layer| {
            let mut stream = Stream::new(seed, &format!("template/flip/{name}"));
            layer.mask.flipped(fraction, &mut stream)
        })
    }

    /// The template with every held sign inverted.
    pub fn opposite(&self) -> Self {
        self.derived("opposite", |_, layer| layer.mask.opposite())
    }

    /// A template of the same shapes with a random sign for every held weight, each positive with
    /// probability `positive`, or, when that is `None`, with its own layer's share. Free weights
    /// stay free.
    ///
    /// # Panics
    /// When `positive` is not in [0, 1].
    pub fn random_like(&self, positive: Option<f64>, seed: u64) -> Self {
        let note = match positive {
            Some(positive) => format!("redrawn with a share of {positive} positive, seed {seed}"),
            None => format!("redrawn with each layer's share positive, seed {seed}"),
        };
        self.derived(&note, |name, layer| {
            let mut stream = Stream::new(seed, &format!("template/random/{name}"));
            match positive.or(layer.mask.positive_fraction()) {
                Some(positive) => layer.mask.redrawn(positive, &mut stream),
                None => layer.mask.clone(),
            }
        })
    }

    /// The template with the sign that `other` has for it wherever a weight is free; layers that
    /// `other` lacks stay as they are.
    ///
    /// # Errors
    /// When a layer of the same name has another shape.
    pub fn filled_from(&self, other: &Self) -> Result<Self, TemplateError> {
        let mut filled = self.clone();
        for (name, layer) in &mut filled.layers {
            if let Some(others) = other.get(name) {
                layer.must_have_the_shape_of(others, name)?;
                layer.mask = layer.mask.filled_from(&others.mask);
            }
        }
        filled.note(&format!("free weights as in: {}", other.source));
        Ok(filled)
    }

    /// How far this template and `other` agree.
    ///
    /// # Errors
    /// When a layer of the same name has another shape.
    pub fn agreement(&self, other: &Self) -> Result<Agreement, TemplateError> {
        let mut layers: BTreeMap<&str, Option<f64>> =
            self.names().chain(other.names()).map(|name| (name, None)).collect();
        let (mut equal, mut both) = (0, 0);
        for (name, layer) in self.iter() {
            let Some(others) = other.get(name) else {
                continue;
            };
            layer.must_have_the_shape_of(others, name)?;
            let counts = layer.mask.agreement_counts(&others.mask);
            layers.insert(name, share(counts.0, counts.1));
            equal += counts.0;
            both += counts.1;
        }
        let layers = layers.into_iter().map(|(name, share)| (name.to_string(), share)).collect();
        Ok(Agreement { layers, overall: share(equal, both) })
    }

    fn masks(&self) -> impl Iterator<Item = &SignMask> {
        self.layers.values().map(|layer| &layer.mask)
    }

    fn derived(&self, note: &str, change: impl Fn(&str, &Layer) -> SignMask) -> Self {
        let mut derived = self.clone();
        for (name, layer) in &mut derived.layers {
            layer.mask = change(name, layer);
        }
        derived.note(note);
        derived
    }

    /// Adds what was done to the provenance.
    fn note(&mut self, what: &str) {
        self.source = format!("{}; {what}", self.source);
        self.created_by = CREATED_BY.to_string();
    }
}

impl fmt::Display for Shuffle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Shuffle::Tensor => "tensor",
            Shuffle::Filter => "filter",
        })
    }
}

/// How many weights a shape has; `None` when they cannot be counted.
pub(super) fn product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1, |product: usize, size| product.checked_mul(*size))
}

/// Whether `name` is `prefix` or something inside it: `features.0.weight` is below `features`.
pub fn is_below(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let mut template = Template::new("a test");
        let mut stream = Stream::new(1, "test");
        for (name, shape) in [
            ("features.0.weight", vec![4, 3, 5, 5]),
            ("features.3.weight", vec![6, 4, 3, 3]),
            ("classifier.1.weight", vec![10, 20]),
        ] {
            let mask = SignMask::random(product(&shape).unwrap(), 0.4, &mut stream);
            template.insert(name, shape, mask).unwrap();
        }
        let half_free: Vec<i8> = (0..12).map(|index| [1, 0, -1, 0][index % 4]).collect();
        template.insert("half.weight", [3, 4], SignMask::from_signs(&half_free)).unwrap();
        template
    }

    fn signs(template: &Template, name: &str) -> Vec<i8> {
        template.get(name).unwrap().mask.to_signs()
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| word.to_string()).collect()
    }

    #[test]
    fn a_template_counts_its_weights() {
        let template = template();
        assert_eq!((template.len(), template.is_empty()), (4, false));
        assert_eq!(template.weights(), 300 + 216 + 200 + 12);
        assert_eq!(template.held(), template.weights() - 6);
        let positive: usize = template.iter().map(|(_, layer)| layer.mask.positive_count()).sum();
        assert_eq!(template.positive_fraction(), Some(positive as f64 / template.held() as f64));
        assert_eq!(Template::new("nothing").positive_fraction(), None);
    }

    #[test]
    fn free_weights_are_filled_from_another_template_and_held_ones_stay() {
        let mut other = template().opposite();
        other.layers.remove("classifier.1.weight");
        let plus = SignMask::from_signs(&[1; 12]);
        other.layers.get_mut("half.weight").unwrap().mask = plus;
        let filled = template().filled_from(&other).unwrap();
        assert_eq!(signs(&filled, "half.weight"), [1, 1, -1, 1, 1, 1, -1, 1, 1, 1, -1, 1]);
        for name in ["features.0.weight", "classifier.1.weight"] {
            assert_eq!(signs(&filled, name), signs(&template(), name));
        }
        other.layers.get_mut("half.weight").unwrap().shape = vec![4, 3];
        let error = template().filled_from(&other).unwrap_err().to_string();
        assert!(error.starts_with("half.weight: expected shape [3, 4], got [4, 3]"), "{error}");
    }

    #[test]
    fn layers_come_in_the_order_of_their_names() {
        let template = template();
        let names: Vec<&str> = template.names().collect();
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn a_mask_that_does_not_fit_its_shape_is_refused() {
        let error = template().insert("new", [2, 3], SignMask::free(5)).unwrap_err();
        assert_eq!(error.to_string(), "new: expected 6 signs for shape [2, 3], got 5");
    }

    #[test]
    fn a_name_is_taken_once() {
        let error = template().insert("half.weight", [1], SignMask::free(1)).unwrap_err();
        assert_eq!(error, TemplateError::DuplicateLayer { name: "half.weight".into() });
    }

    #[test]
    fn a_shape_that_overflows_is_refused() {
        let error = template().insert("new", [usize::MAX, 2], SignMask::free(0)).unwrap_err();
        assert!(matches!(error, TemplateError::ShapeOverflow { .. }), "{error}");
    }

    #[test]
    fn a_prefix_matches_whole_components_and_whole_names() {
        let template = template();
        let subset = template.subset_by_prefixes(&strings(&["features", "half.weight"])).unwrap();
        assert!(subset.names().eq(["features.0.weight", "features.3.weight", "half.weight"]));
        assert!(
            subset
                .source()
                .ends_with("only 3 of 4 layers: features.0.weight, features.3.weight, half.weight")
        );
        assert!(template.subset_by_prefixes(&strings(&["feat"])).is_err());
        assert!(template.subset_by_prefixes(&strings(&["features.0.w"])).is_err());
    }

    #[test]
    fn a_prefix_that_matches_nothing_is_refused_with_the_legal_names_and_the_nearest() {
        let error = template().subset_by_prefixes(&strings(&["features", "clasifier"]));
        assert_eq!(
            error.unwrap_err().to_string(),
            "layer `clasifier`: matches nothing; expected one of classifier.1.weight, \
             features.0.weight, features.3.weight, half.weight, or whole components from the left \
             of one; did you mean `classifier`?"
        );
    }

    #[test]
    fn a_subset_of_everything_is_the_template_itself() {
        assert_eq!(template().subset(|_| true), template());
    }

    #[test]
    fn a_shuffle_within_the_tensor_keeps_the_counts_and_moves_the_signs() {
        let (before, after) = (template(), template().shuffled(Shuffle::Tensor, 7));
        for ((name, before), (_, after)) in before.iter().zip(after.iter()) {
            assert_eq!(before.mask.positive_count(), after.mask.positive_count(), "{name}");
            assert_eq!(before.mask.held_count(), after.mask.held_count(), "{name}");
            assert_ne!(before.mask, after.mask, "{name}");
        }
        assert_eq!(after.source(), "a test; shuffled within each tensor, seed 7");
    }

    #[test]
    fn a_shuffle_within_the_filter_keeps_the_counts_of_every_filter() {
        let (before, after) = (template(), template().shuffled(Shuffle::Filter, 7));
        for (name, filter_len) in [("features.0.weight", 75), ("half.weight", 4)] {
            let (before, after) = (signs(&before, name), signs(&after, name));
            assert_ne!(before, after);
            for (before, after) in before.chunks(filter_len).zip(after.chunks(filter_len)) {
                let count = |signs: &[i8], kind| signs.iter().filter(|&&sign| sign == kind).count();
                for kind in [-1, 0, 1] {
                    assert_eq!(count(before, kind), count(after, kind), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_layer_that_goes_changes_no_other_layers_signs() {
        let whole = template();
        let part = whole.subset(|name| name == "features.3.weight");
        let same = |change: &dyn Fn(&Template) -> Template| {
            assert_eq!(
                signs(&change(&whole), "features.3.weight"),
                signs(&change(&part), "features.3.weight")
            );
        };
        same(&|template| template.shuffled(Shuffle::Tensor, 3));
        same(&|template| template.flipped(0.3, 3));
        same(&|template| template.random_like(None, 3));
    }

    #[test]
    fn the_seed_decides_the_signs() {
        let template = template();
        assert_eq!(template.random_like(None, 1), template.random_like(None, 1));
        let agreement = template.random_like(None, 1).agreement(&template.random_like(None, 2));
        assert!(agreement.unwrap().overall.unwrap() < 0.7);
    }

    #[test]
    fn flipping_a_fraction_leaves_that_much_agreement() {
        let template = template();
        let agreement = template.agreement(&template.flipped(0.1, 1)).unwrap();
        let features = &agreement.layers[1];
        assert_eq!(features, &("features.0.weight".to_string(), Some(0.9)));
        assert_eq!(template.agreement(&template.opposite()).unwrap().overall, Some(0.0));
    }

    #[test]
    fn a_random_template_keeps_shapes_and_free_weights() {
        let template = template();
        let random = template.random_like(Some(1.0), 1);
        assert_eq!(random.positive_fraction(), Some(1.0));
        assert_eq!(random.held(), template.held());
        for (name, layer) in template.iter() {
            assert_eq!(random.get(name).unwrap().shape, layer.shape);
        }
    }

    #[test]
    fn agreement_lists_the_layers_of_both_and_compares_what_they_share() {
        let template = template();
        let mut other = template.subset(|name| name.starts_with("features"));
        other.insert("head.weight", [1], SignMask::free(1)).unwrap();
        let agreement = template.agreement(&other).unwrap();
        let listed: Vec<(&str, Option<f64>)> =
            agreement.layers.iter().map(|(name, share)| (name.as_str(), *share)).collect();
        assert_eq!(
            listed,
            [
                ("classifier.1.weight", None),
                ("features.0.weight", Some(1.0)),
                ("features.3.weight", Some(1.0)),
                ("half.weight", None),
                ("head.weight", None),
            ]
        );
        assert_eq!(agreement.overall, Some(1.0));
    }

    #[test]
    fn templates_with_other_shapes_are_not_compared() {
        let template = template();
        let mut other = Template::new("another");
        other.insert("half.weight", [4, 3], SignMask::free(12)).unwrap();
        let error = template.agreement(&other).unwrap_err();
        assert!(error.to_string().starts_with("half.weight: expected shape [3, 4], got [4, 3]"));
    }
}
