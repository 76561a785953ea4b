//! Signs without a source: a rule for each tensor, chosen by its name.
//!
//! [`Rules`] is an ordered map from [patterns](Pattern) of names to rules. The *first* pattern that
//! matches a tensor's name decides it; a tensor that no pattern names is free. So are biases and
//! other tensors of one dimension, *unless* a rule names them: a rule does not look at the number of
//! dimensions, and `*` is every tensor there is. A pattern that matches no tensor is a mistake, and so
//! is one behind a pattern that takes all that it matches; a last `*` may find nothing left.
//!
//! [`Rules::template`] makes the template of a network from the names and shapes of its tensors, and a
//! [report](RuleReport) of what decided each. Layers of which nothing is held are not in the template.
//!
//! # The file
//! A YAML or JSON map, read by [`Deserialize`]:
//! ```yaml
//! "*.bias": free                                        # quotes, or YAML takes * for an alias
//! ff.*.weight: positive                                 # positive, negative, own, free
//! rec.weight_hh_l0: {dale: 0.8, seed: 1}                # a share of positive columns; seed 0 else
//! rec.weight_hh_l1: {dale: [1, 1, -1, 0], axis: row}    # a sign for each row; 0 is free
//! readout.weight: {edges: synapses.csv}                 # or [[FROM, TO, SIGN], …]
//! ```
//! A file of edges is looked for from the current folder, and read with the rules.
//!
//! ```
//! use polarity_core::sign::{RuleTensor, Rules};
//!
//! let rules: Rules = serde_json::from_str(r#"{"*.bias": "free", "ff.*": "positive"}"#)?;
//! let shapes = [("ff.weight", vec![2, 3]), ("ff.bias", vec![2])];
//! let tensors = shapes.iter().map(|(name, shape)| RuleTensor { name, shape, weights: None });
//! let (template, report) = rules.template(tensors, "an example")?;
//! assert_eq!(template.get("ff.weight").unwrap().mask.to_signs(), [1; 6]);
//! assert_eq!((template.len(), report.tensors[1].held), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dale;
pub mod edges;
mod error;
mod pattern;
mod written;

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

pub use self::dale::{Axis, Dale, DaleError};
pub use self::edges::{Edges, EdgesError};
pub use self::error::RuleError;
pub use self::pattern::Pattern;
use super::mask::SignMask;
use super::template::{Template, product};
use crate::nearest::nearest;

/// The signs of one tensor.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Rule {
    /// Every weight is positive.
    Positive,
    /// Every weight is negative.
    Negative,
    /// Every weight has the sign that it has; one that is 0 is free.
    Own,
    /// No weight is held.
    Free,
    /// One sign for each presynaptic unit.
    Dale(Dale),
    /// A sign for each edge of a wiring diagram, the other weights free.
    Edges(Edges),
}

/// Rules by patterns of names, in the order in which they are asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules(Vec<(Pattern, Rule)>);

/// A tensor of a network, as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct RuleTensor<'a> {
    /// Its name in the network.
    pub name: &'a str,
    /// `[out, in]`, OIHW, or any other.
    pub shape: &'a [usize],
    /// Its weights in row-major order, of which [`Rule::Own`] takes the signs; no other rule looks
    /// at them.
    pub weights: Option<&'a [f32]>,
}

/// What rules made of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleReport {
    /// Every tensor that was given, in that order.
    pub tensors: Vec<Ruled>,
}

/// What rules made of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruled {
    /// The tensor.
    pub name: String,
    /// The pattern that decided it and what its rule says; none where no pattern names the tensor.
    pub decided: Option<(Pattern, String)>,
    /// How many weights it has.
    pub weights: usize,
    /// How many of them are held. Those that are not have a free unit, no edge, or, under
    /// [`Rule::Own`], are 0.
    pub held: usize,
    /// How many are held positive.
    pub positive: usize,
}

impl Rule {
    /// The mask that the rule gives `tensor`.
    ///
    /// # Errors
    /// When the tensor's shape does not fit the rule, or it needs weights that are not there or have
    /// no sign.
    fn mask(&self, tensor: &RuleTensor<'_>) -> Result<SignMask, RuleError> {
        let &RuleTensor { name, shape, weights } = tensor;
        let name_it = || name.to_string();
        let Some(count) = product(shape) else {
            return Err(RuleError::Overflow { name: name_it(), shape: shape.to_vec() });
        };
        match self {
            Rule::Positive => Ok(SignMask::pack(count, |_| 1)),
            Rule::Negative => Ok(SignMask::pack(count, |_| -1)),
            Rule::Free => Ok(SignMask::free(count)),
            Rule::Own => {
                let weights = weights.ok_or_else(|| RuleError::NoWeights { name: name_it() })?;
                if weights.len() != count {
                    let (shape, got) = (shape.to_vec(), weights.len());
                    return Err(RuleError::WrongLength { name: name_it(), shape, got });
                }
                SignMask::of_weights(weights)
                    .map_err(|error| RuleError::NotANumber { name: name_it(), error })
            }
            Rule::Dale(dale) => {
                dale.mask(name, shape).map_err(|error| RuleError::Dale { name: name_it(), error })
            }
            Rule::Edges(edges) => {
                edges.mask(shape).map_err(|error| RuleError::Edges { name: name_it(), error })
            }
        }
    }
}

impl Rules {
    /// Rules that name no tensor.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule for what `pattern` matches and no earlier pattern does.
    ///
    /// # Errors
    /// When the pattern is there already.
    pub fn insert(&mut self, pattern: Pattern, rule: Rule) -> Result<(), RuleError> {
        if self.0.iter().any(|(known, _)| *known == pattern) {
            return Err(RuleError::Duplicate { pattern: pattern.to_string() });
        }
        self.0.push((pattern, rule));
        Ok(())
    }

    /// The patterns and their rules, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Pattern, &Rule)> {
        self.0.iter().map(|(pattern, rule)| (pattern, rule))
    }

    /// The first pattern that matches `name`, and its rule.
    pub fn decide(&self, name: &str) -> Option<(&Pattern, &Rule)> {
        self.iter().find(|(pattern, _)| pattern.matches(name))
    }

    /// The template of a network with these `tensors`, and what decided each. `origin` says what the
    /// network is and, where [`Rule::Own`] takes signs from it, its sha256; the template's source has
    /// it beside the rules.
    ///
    /// # Errors
    /// A pattern that matches no tensor or stands behind one that takes all that it matches, or the
    /// first tensor that its rule does not fit.
    pub fn template<'a>(
        &self,
        tensors: impl IntoIterator<Item = RuleTensor<'a>>,
        origin: &str,
    ) -> Result<(Template, RuleReport), RuleError> {
        let tensors: Vec<_> = tensors.into_iter().collect();
        let names: Vec<_> = tensors.iter().map(|tensor| tensor.name).collect();
        self.must_each_match_one_of(&names)?;
        let mut template = Template::new(format!("rules {self} for {origin}"));
        let mut report = RuleReport { tensors: Vec::with_capacity(tensors.len()) };
        for tensor in &tensors {
            let found = self.decide(tensor.name);
            let mask = found.map_or(&Rule::Free, |(_, rule)| rule).mask(tensor)?;
            report.tensors.push(Ruled {
                name: tensor.name.to_string(),
                decided: found.map(|(pattern, rule)| (pattern.clone(), rule.to_string())),
                weights: mask.len(),
                held: mask.held_count(),
                positive: mask.positive_count(),
            });
            if mask.held_count() > 0 {
                template.insert(tensor.name, tensor.shape, mask)?;
            }
        }
        Ok((template, report))
    }

    /// Refuses a pattern that matches none of `names`, or only such as one earlier pattern takes.
    fn must_each_match_one_of(&self, names: &[&str]) -> Result<(), RuleError> {
        for (place, (pattern, _)) in self.iter().enumerate() {
            let matched = names.iter().filter(|name| pattern.matches(name));
            let Some(first) = matched.clone().next() else {
                return Err(RuleError::UnknownPattern {
                    pattern: pattern.to_string(),
                    legal: names.iter().map(|name| name.to_string()).collect(),
                    nearest: nearest(pattern.as_str(), names.iter().copied()).map(str::to_string),
                });
            };
            let takes_all = |earlier: &&Pattern| matched.clone().all(|name| earlier.matches(name));
            let mut earlier = self.iter().take(place).map(|(earlier, _)| earlier);
            if let Some(earlier) = earlier.find(takes_all) {
                let (pattern, earlier) = (pattern.to_string(), earlier.to_string());
                return Err(RuleError::Hidden { pattern, earlier, name: first.to_string() });
            }
        }
        Ok(())
    }
}

impl RuleReport {
    /// The tensors that no pattern names, which are free.
    pub fn unnamed(&self) -> impl Iterator<Item = &Ruled> {
        self.tensors.iter().filter(|tensor| tensor.decided.is_none())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Positive => out.write_str("positive"),
            Rule::Negative => out.write_str("negative"),
            Rule::Own => out.write_str("own"),
            Rule::Free => out.write_str("free"),
            Rule::Dale(dale) => dale.fmt(out),
            Rule::Edges(edges) => edges.fmt(out),
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<_> =
            self.iter().map(|(pattern, rule)| format!("{pattern}: {rule}")).collect();
        write!(out, "{{{}}}", rules.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::file::FORMAT;

    /// A small recurrent network: its tensors' names, shapes and weights.
    struct Network(Vec<(&'static str, Vec<usize>, Vec<f32>)>);

    impl Network {
        fn new() -> Self {
            let of = |name, shape: &[usize]| {
                let weights = (0..shape.iter().product()).map(|index| index as f32 - 2.0);
                (name, shape.to_vec(), weights.collect())
            };
            Network(vec![
                of("ff.0.weight", &[3, 2]),
                of("ff.0.bias", &[3]),
                of("rec.weight_hh_l0", &[4, 4]),
                of("rec.bias_hh_l0", &[4]),
                of("gain", &[3]),
            ])
        }

        fn tensors(&self, with_weights: bool) -> impl Iterator<Item = RuleTensor<'_>> {
            self.0.iter().map(move |(name, shape, weights)| RuleTensor {
                name,
                shape,
                weights: with_weights.then_some(weights),
            })
        }

        fn ruled(&self, yaml: &str) -> Result<(Template, RuleReport), RuleError> {
            rules(yaml).template(self.tensors(true), "a test")
        }

        fn refusal(&self, yaml: &str) -> String {
            self.ruled(yaml).unwrap_err().to_string()
        }
    }

    fn rules(yaml: &str) -> Rules {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn signs(template: &Template, name: &str) -> Vec<i8> {
        template.get(name).unwrap().mask.to_signs()
    }

    #[test]
    fn the_first_pattern_that_matches_decides() {
        let yaml = "{'*.bias': free, 'ff.*': positive, 'rec.*': negative}";
        let (template, report) = Network::new().ruled(yaml).unwrap();
        let names: Vec<_> = template.names().collect();
        assert_eq!(names, ["ff.0.weight", "rec.bias_hh_l0", "rec.weight_hh_l0"]);
        assert_eq!(signs(&template, "ff.0.weight"), [1; 6]);
        assert_eq!(signs(&template, "rec.weight_hh_l0"), [-1; 16]);
        let decided: Vec<_> =
            report.tensors.iter().map(|t| t.decided.as_ref().map(|(p, _)| p.as_str())).collect();
        let [ff, bias, rec] = ["ff.*", "*.bias", "rec.*"].map(Some);
        assert_eq!(decided, [ff, bias, rec, rec, None]);
    }

    #[test]
    fn what_no_pattern_names_is_free_and_reported() {
        let (template, report) = Network::new().ruled("{'ff.0.weight': own}").unwrap();
        assert_eq!(template.len(), 1);
        let unnamed: Vec<_> = report.unnamed().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(unnamed, ["ff.0.bias", "rec.weight_hh_l0", "rec.bias_hh_l0", "gain"]);
        assert!(report.unnamed().all(|tensor| tensor.held == 0 && tensor.weights > 0));
    }

    #[test]
    fn tensors_of_one_dimension_are_held_where_a_rule_names_them() {
        let (template, _) = Network::new().ruled("{'*': positive}").unwrap();
        assert_eq!(template.len(), 5);
        assert_eq!(signs(&template, "gain"), [1; 3]);
        let (template, _) = Network::new().ruled("{gain: {dale: [1, 0, -1], axis: row}}").unwrap();
        assert_eq!(signs(&template, "gain"), [1, 0, -1]);
    }

    #[test]
    fn own_signs_are_those_of_the_weights_and_zeros_are_free() {
        let (template, report) = Network::new().ruled("{'ff.0.weight': own}").unwrap();
        assert_eq!(signs(&template, "ff.0.weight"), [-1, -1, 0, 1, 1, 1]);
        let Ruled { weights, held, positive, .. } = report.tensors[0];
        assert_eq!((weights, held, positive), (6, 5, 3));
    }

    #[test]
    fn a_layer_of_which_nothing_is_held_is_not_in_the_template() {
        let zeros = RuleTensor { name: "w", shape: &[1, 2], weights: Some(&[0.0, -0.0]) };
        let (template, report) = rules("{w: own}").template([zeros], "a test").unwrap();
        assert_eq!((template.len(), report.tensors[0].held), (0, 0));
        let (template, _) = rules("{w: {dale: [0, 0]}}").template([zeros], "a test").unwrap();
        assert!(template.is_empty());
    }

    #[test]
    fn only_own_looks_at_weights() {
        let network = Network::new();
        let yaml = "{'ff.0.weight': negative, 'rec.weight_hh_l0': {edges: [[0, 1, 1]]}, \
                    '*': {dale: 0.5, axis: row}}";
        let (without, _) = rules(yaml).template(network.tensors(false), "a test").unwrap();
        assert_eq!(without, network.ruled(yaml).unwrap().0);
        let error = rules("{gain: own}").template(network.tensors(false), "").unwrap_err();
        assert!(error.to_string().starts_with("gain: `own` takes the signs"), "{error}");
    }

    #[test]
    fn weights_that_are_no_numbers_or_of_another_length_are_refused_by_name() {
        let tensor = |weights| RuleTensor { name: "w", shape: &[1, 2], weights: Some(weights) };
        let refusal = |weights| rules("{w: own}").template([tensor(weights)], "").unwrap_err();
        assert!(refusal(&[1.0, f32::NAN]).to_string().starts_with("w: weight 1: has no sign"));
        let error = refusal(&[1.0]).to_string();
        assert_eq!(error, "w: expected as many weights as shape [1, 2] has, got 1");
        let huge = RuleTensor { name: "w", shape: &[usize::MAX, 2], weights: None };
        let error = rules("{w: positive}").template([huge], "").unwrap_err();
        assert!(error.to_string().contains("fewer than 2^64 weights"), "{error}");
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_refused_with_the_nearest_name() {
        assert_eq!(
            Network::new().refusal("{'ff.*': positive, rec.weight_hh_l1: own}"),
            "pattern `rec.weight_hh_l1`: matches no tensor; expected one of ff.0.weight, ff.0.bias, \
             rec.weight_hh_l0, rec.bias_hh_l0, gain, or a pattern of one (`*` is any characters, `?` \
             one); did you mean `rec.weight_hh_l0`?"
        );
    }

    #[test]
    fn a_pattern_behind_one_that_takes_all_of_its_own_is_refused() {
        assert_eq!(
            Network::new().refusal("{'ff.*': positive, '*.bias': free, 'rec*': own}"),
            "pattern `*.bias`: decides no tensor, since `ff.*` comes first and matches `ff.0.bias` \
             and all else that it would; put `*.bias` above it, or leave it out"
        );
    }

    #[test]
    fn a_last_pattern_for_what_is_left_may_find_nothing() {
        let yaml = "{'ff.*': positive, 'rec*': own, gain: free, '*': negative}";
        let (template, report) = Network::new().ruled(yaml).unwrap();
        assert_eq!((template.len(), report.unnamed().count()), (4, 0));
    }

    #[test]
    fn a_tensor_that_does_not_fit_its_rule_is_refused_by_name() {
        let network = Network::new();
        let error = network.refusal("{rec.weight_hh_l0: {dale: [1, -1]}}");
        assert!(error.starts_with("rec.weight_hh_l0: dale: expected 4 signs"), "{error}");
        let error = network.refusal("{rec.weight_hh_l0: {edges: [[0, 4, 1]]}}");
        assert!(error.starts_with("rec.weight_hh_l0: edges: row 1: to: expected"), "{error}");
    }

    #[test]
    fn the_same_pattern_twice_is_refused() {
        let mut rules = Rules::new();
        rules.insert(Pattern::new("*"), Rule::Free).unwrap();
        let error = rules.insert(Pattern::new("*"), Rule::Own).unwrap_err().to_string();
        assert_eq!(error, "pattern `*`: is there already; expected each pattern once");
    }

    #[test]
    fn the_provenance_says_that_rules_made_it_and_lists_them() {
        let yaml = "{'*.bias': free, 'ff.*': positive, 'rec.w*': {dale: 0.75, seed: 3}}";
        let (template, _) = Network::new().ruled(yaml).unwrap();
        assert_eq!(
            template.source(),
            "rules {*.bias: free, ff.*: positive, rec.w*: dale(0.75 of the columns positive, seed 3)} \
             for a test"
        );
        let bytes = template.to_bytes();
        assert_eq!(Template::from_bytes(&bytes, FORMAT).unwrap(), template);
    }
}
