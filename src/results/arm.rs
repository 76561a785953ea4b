//! An arm: one experimental condition, as a point in a space whose axes do not depend on each other.
//!
//! | axis | says | by default |
//! | --- | --- | --- |
//! | `signs` | which signs the network starts with | |
//! | `magnitudes` | which magnitudes | its own |
//! | `biases` | which biases | the source's beside its magnitudes, else its own |
//! | `only` | in which layers something is taken from the source | in all that it has |
//! | `zeros` | what becomes of a weight whose sign the source leaves open | it is free |
//! | `hold` | which of the starting signs training must keep | |
//! | `until` | when they are let go | never |
//! | `reset` | what replaces a weight that left its side | as in `train` |
//! | `lr` | the learning rate | that of `train` |
//!
//! So every condition of the paper and every control is one line. The start itself is made in
//! [`experiment`](crate::experiment), which also says which points cannot exist.

use serde::{Deserialize, Serialize};

use crate::sign::{Reset, Shuffle};

/// One experimental condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Which signs the network starts with.
    pub signs: Signs,
    /// Which magnitudes it starts with.
    #[serde(default)]
    pub magnitudes: Magnitudes,
    /// Which biases it starts with; by default the source's beside the source's magnitudes, else its
    /// own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub biases: Option<Biases>,
    /// The source it takes from, one of the experiment's `sources`; by default its `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The layers that take something from the source, by prefix; by default all that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// What becomes of weights whose sign the source leaves open.
    #[serde(default, skip_serializing_if = "Zeros::is_free")]
    pub zeros: Zeros,
    /// Which of these signs training must keep.
    pub hold: Hold,
    /// When the held signs are let go; by default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// The reset rule, by default that of `train`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
    /// The learning rate, above 0, by default that of `train`; so that arms can be compared each at its
    /// best. Images only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
}

/// The signs a network starts with, in the layers that the source has; others keep their own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signs {
    /// Its own random initial signs.
    Init,
    /// Drawn anew, plus or minus with equal chance, in every constrained layer.
    Random,
    /// Drawn anew, plus with the share of positive signs that the source has in the same tensor.
    RandomShare,
    /// The source's.
    Source,
    /// The source's, shuffled: the share of positive signs stays, their arrangement goes.
    Shuffled(Shuffle),
    /// The source's with this fraction of each layer's signs inverted.
    Flipped(f64),
    /// The source's, all inverted.
    Opposite,
    /// Its own in the hidden layer; each output weight's serves XOR
    /// ([`informed_sign`](crate::data::xor::informed_sign)). Data `xor-5d` only.
    Informed,
    /// The informed ones with every output weight's inverted. Data `xor-5d` only.
    Misinformed,
}

impl Signs {
    /// Whether they are made from the source's.
    pub fn need_source(self) -> bool {
        !matches!(self, Signs::Init | Signs::Random) && !self.know_xor()
    }

    /// Whether they are made from the law of XOR-5D.
    pub fn know_xor(self) -> bool {
        matches!(self, Signs::Informed | Signs::Misinformed)
    }
}

/// The magnitudes a network starts with, in the layers that the source has; others keep their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Magnitudes {
    /// Its own random initial magnitudes.
    #[default]
    Init,
    /// Its own, but drawn from a stream that no other arm shares, with the signs and the biases: such an
    /// arm is no twin of any other.
    Fresh,
    /// Drawn anew from a normal law with the standard deviation that the layer starts with, in every
    /// weight tensor: where magnitudes start uniform, more of these are near zero and some are larger than
    /// any of those, as in a trained network. Arms of one seed share them.
    Normal,
    /// The source's. With the source's signs this is IN-Weight in the paper.
    Source,
    /// The source's, shuffled: their distribution stays, their arrangement goes.
    Shuffled(Shuffle),
}

/// The biases a network starts with, in the layers that the source has; others keep their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Biases {
    /// Its own.
    Init,
    /// The source's.
    Source,
}

/// What becomes of a weight whose sign the source leaves open, such as the zeros between the groups
/// of an un-grouped AlexNet. (Weights that are kept 0 throughout are another network, one with grouped
/// convolutions.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Zeros {
    /// It keeps its own random sign at the start and is never held, as in the paper.
    #[default]
    Free,
    /// It is held to its own random sign, where its layer is held.
    Held,
}

impl Zeros {
    /// Whether they are free.
    pub(crate) fn is_free(&self) -> bool {
        *self == Zeros::Free
    }
}

/// Which signs training must keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "HoldText", into = "HoldText")]
pub enum Hold {
    /// All: the network is frozen.
    All,
    /// None: the network is fluid.
    None,
    /// Those of the layers with these prefixes.
    Layers(Vec<String>),
    /// Those of all layers but the ones with these prefixes.
    Except(Vec<String>),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected `all`, `none` or a list of layers, or `{except: […]}` with one"
)]
enum HoldText {
    Word(HoldWord),
    Layers(Vec<String>),
    Except(HoldExcept),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum HoldWord {
    All,
    None,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldExcept {
    except: Vec<String>,
}

impl From<HoldText> for Hold {
    fn from(text: HoldText) -> Self {
        match text {
            HoldText::Word(HoldWord::All) => Hold::All,
            HoldText::Word(HoldWord::None) => Hold::None,
            HoldText::Layers(layers) => Hold::Layers(layers),
            HoldText::Except(HoldExcept { except }) => Hold::Except(except),
        }
    }
}

impl From<Hold> for HoldText {
    fn from(hold: Hold) -> Self {
        match hold {
            Hold::All => HoldText::Word(HoldWord::All),
            Hold::None => HoldText::Word(HoldWord::None),
            Hold::Layers(layers) => HoldText::Layers(layers),
            Hold::Except(except) => HoldText::Except(HoldExcept { except }),
        }
    }
}

/// The last moment at which signs are held; from then on the network is fluid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// After this optimizer step, from 1 on.
    Step(u64),
    /// After the last step of this epoch, from 1 on.
    Epoch(u64),
}

impl Until {
    /// The last step that is held, where an epoch has so many steps.
    pub fn step(self, steps_an_epoch: u64) -> u64 {
        match self {
            Until::Step(step) => step,
            Until::Epoch(epoch) => epoch.saturating_mul(steps_an_epoch),
        }
    }
}

impl Default for Arm {
    /// The fluid network as it is initialised.
    fn default() -> Self {
        Arm {
            signs: Signs::Init,
            magnitudes: Magnitudes::Init,
            biases: None,
            source: None,
            only: Vec::new(),
            zeros: Zeros::Free,
            hold: Hold::None,
            until: None,
            reset: None,
            lr: None,
        }
    }
}

impl Arm {
    /// Whether it takes signs, magnitudes or biases from the source.
    pub fn needs_source(&self) -> bool {
        self.signs.need_source() || self.needs_weights()
    }

    /// Whether it takes what a template does not have: magnitudes or biases of the source.
    pub fn needs_weights(&self) -> bool {
        matches!(self.magnitudes, Magnitudes::Source | Magnitudes::Shuffled(_))
            || self.takes_biases()
    }

    /// Whether it takes the source's biases.
    pub fn takes_biases(&self) -> bool {
        let beside_magnitudes = match self.magnitudes {
            Magnitudes::Source => Biases::Source,
            Magnitudes::Init | Magnitudes::Fresh | Magnitudes::Normal | Magnitudes::Shuffled(_) => {
                Biases::Init
            }
        };
        self.biases.unwrap_or(beside_magnitudes) == Biases::Source
    }

    /// The fraction of the source's signs that are flipped, where the arm does nothing else to them and
    /// holds all or none throughout.
    pub fn dose(&self) -> Option<f64> {
        let dose = match self.signs {
            Signs::Source => 0.0,
            Signs::Flipped(fraction) => fraction,
            Signs::Opposite => 1.0,
            _ => return None,
        };
        let (hold, source) = (self.hold.clone(), self.source.clone());
        let plain = Arm { signs: self.signs, hold, source, ..Arm::default() };
        (*self == plain && matches!(self.hold, Hold::All | Hold::None)).then_some(dose)
    }

    /// What the arm does, in a sentence.
    pub fn explain(&self) -> String {
        let mut text = format!("starts with {} on {}", self.signs.explain(), self.magnitudes());
        if let Some(source) = &self.source {
            text += &format!(", where the source is `{source}`");
        }
        if !self.only.is_empty() {
            text += &format!(", in {} only", self.only.join(", "));
        }
        if self.zeros == Zeros::Held {
            text += ", and its own signs where the source leaves them open";
        }
        text += &match &self.hold {
            Hold::All => "; all signs held".to_owned(),
            Hold::None => "; no sign held".to_owned(),
            Hold::Layers(layers) => format!("; signs held in {}", layers.join(", ")),
            Hold::Except(layers) => format!("; all signs held but those of {}", layers.join(", ")),
        };
        match self.until {
            None => {}
            Some(Until::Step(step)) => text += &format!(" until step {step}, then free"),
            Some(Until::Epoch(epoch)) => text += &format!(" until epoch {epoch}, then free"),
        }
        if let Some(reset) = self.reset {
            text += &format!("; reset rule {reset}");
        }
        if let Some(lr) = self.lr {
            text += &format!("; learning rate {lr}");
        }
        text
    }

    fn magnitudes(&self) -> String {
        let magnitudes = match self.magnitudes {
            Magnitudes::Init => "random magnitudes".to_owned(),
            Magnitudes::Fresh => "magnitudes that no other arm shares".to_owned(),
            Magnitudes::Normal => "random magnitudes of a normal law".to_owned(),
            Magnitudes::Source => "the source's magnitudes".to_owned(),
            Magnitudes::Shuffled(kind) => {
                format!("the source's magnitudes, shuffled within each {kind}")
            }
        };
        let biases = if self.takes_biases() { "the source's" } else { "random" };
        match self.needs_weights() {
            true => format!("{magnitudes} with {biases} biases"),
            false => magnitudes,
        }
    }
}

impl Signs {
    fn explain(self) -> String {
        match self {
            Signs::Init => "its own random signs".to_owned(),
            Signs::Random => "signs drawn anew".to_owned(),
            Signs::RandomShare => {
                "signs drawn anew with the source's share of positive ones in each tensor"
                    .to_owned()
            }
            Signs::Source => "the source's signs".to_owned(),
            Signs::Shuffled(kind) => format!("the source's signs, shuffled within each {kind}"),
            Signs::Flipped(fraction) => {
                format!("the source's signs, {} % of them flipped", 100.0 * fraction)
            }
            Signs::Opposite => "the source's signs, all inverted".to_owned(),
            Signs::Informed => "output signs that serve XOR and random other signs".to_owned(),
            Signs::Misinformed => "output signs that work against XOR and random others".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(text: &str) -> Arm {
        let value: serde_json::Value = serde_yaml::from_str(text).unwrap();
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_form_of_an_arm_is_read() {
        assert_eq!(arm("{signs: {flipped: 0.1}, hold: all}").signs, Signs::Flipped(0.1));
        assert_eq!(arm("{signs: random-share, hold: all}").signs, Signs::RandomShare);
        let shuffled = arm("{signs: {shuffled: filter}, hold: [features]}");
        assert_eq!(shuffled.signs, Signs::Shuffled(Shuffle::Filter));
        assert_eq!(shuffled.hold, Hold::Layers(vec!["features".into()]));
        let head_free = arm("{signs: source, hold: {except: [classifier.6]}, zeros: held}");
        assert_eq!(head_free.hold, Hold::Except(vec!["classifier.6".into()]));
        assert_eq!(head_free.zeros, Zeros::Held);
        let released = arm("{signs: source, only: [features.0], hold: all, until: {epoch: 4}}");
        assert_eq!(released.until.map(|until| until.step(3)), Some(12));
        assert_eq!(released.only, ["features.0"]);
        let magnitudes = arm("{signs: source, magnitudes: {shuffled: tensor}, hold: none}");
        assert_eq!(magnitudes.magnitudes, Magnitudes::Shuffled(Shuffle::Tensor));
    }

    #[test]
    fn an_arm_survives_being_written_and_read() {
        for text in [
            "{signs: init, hold: none}",
            "{signs: {shuffled: tensor}, magnitudes: source, biases: init, hold: [a]}",
            "{signs: source, only: [a, b], zeros: held, hold: {except: [b]}, until: {step: 3}}",
            "{signs: init, hold: none, lr: 0.01}",
        ] {
            let written = serde_json::to_value(arm(text)).unwrap();
            assert_eq!(serde_json::from_value::<Arm>(written).unwrap(), arm(text), "{text}");
        }
    }

    #[test]
    fn biases_come_with_the_magnitudes_unless_the_arm_says_otherwise() {
        let takes = |text| arm(text).takes_biases();
        assert!(takes("{signs: source, magnitudes: source, hold: none}"));
        assert!(!takes("{signs: source, magnitudes: source, biases: init, hold: none}"));
        assert!(!takes("{signs: source, hold: none}"));
        assert!(takes("{signs: source, biases: source, hold: none}"));
        assert!(!takes("{signs: source, magnitudes: {shuffled: tensor}, hold: none}"));
    }

    #[test]
    fn only_arms_that_differ_in_the_fraction_have_a_dose() {
        let dose = |text| arm(text).dose();
        assert_eq!(dose("{signs: source, hold: all}"), Some(0.0));
        assert_eq!(dose("{signs: {flipped: 0.2}, hold: none}"), Some(0.2));
        assert_eq!(dose("{signs: opposite, hold: all}"), Some(1.0));
        for other in [
            "{signs: init, hold: all}",
            "{signs: source, magnitudes: source, hold: all}",
            "{signs: source, only: [a], hold: all}",
            "{signs: source, hold: {except: [a]}}",
            "{signs: source, hold: all, until: {step: 1}}",
            "{signs: source, hold: all, lr: 0.1}",
        ] {
            assert_eq!(dose(other), None, "{other}");
        }
    }

    #[test]
    fn every_axis_shows_in_the_sentence() {
        let said = |text| arm(text).explain();
        assert_eq!(
            said("{signs: init, hold: none}"),
            "starts with its own random signs on random magnitudes; no sign held"
        );
        assert_eq!(
            said("{signs: {shuffled: filter}, only: [features.0], hold: all, until: {step: 8}}"),
            "starts with the source's signs, shuffled within each filter on random magnitudes, in \
             features.0 only; all signs held until step 8, then free"
        );
        assert_eq!(
            said("{signs: random, magnitudes: source, hold: {except: [head]}, reset: flip}"),
            "starts with signs drawn anew on the source's magnitudes with the source's biases; all \
             signs held but those of head; reset rule flip"
        );
        assert_eq!(
            said("{signs: source, magnitudes: normal, hold: all}"),
            "starts with the source's signs on random magnitudes of a normal law; all signs held"
        );
        assert_eq!(
            said("{signs: init, hold: none, lr: 0.003}"),
            "starts with its own random signs on random magnitudes; no sign held; learning rate 0.003"
        );
        assert!(said("{signs: source, zeros: held, hold: all}").contains("leaves them open"));
    }
}
