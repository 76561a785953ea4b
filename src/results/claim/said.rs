//! Claims as a file says them.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::digest::sha256;

/// A sentence and its test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Names it: letters, digits, `-`, `_`.
    pub id: String,
    /// The sentence.
    pub says: String,
    /// The arms: what is tested is the first less the second.
    pub arms: [String; 2],
    /// What is compared.
    pub measure: ClaimMeasure,
    /// Values of swept settings, by name; a seed counts with its mean over them. Of a setting that is not
    /// named, all.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub at: IndexMap<String, Vec<u64>>,
    /// Whether the difference is claimed to be below or above zero; or give `within`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// By how much at least, in the direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// That the difference is at most so large, whatever its direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<f64>,
    /// What is counted as one observation.
    #[serde(default)]
    pub unit: Unit,
}

/// A side of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The first arm has less.
    Less,
    /// The first arm has more.
    Greater,
}

/// What is one observation of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A seed.
    #[default]
    Seed,
    /// A source: the mean over the fresh networks that take from it.
    SourceSeed,
}

/// What a claim compares, as a file says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimMeasure {
    /// The share of test images that are wrong, after the step.
    TestError(AtStep),
    /// The share of validation images that are wrong, after the step.
    ValidationError(AtStep),
    /// The steps until the validation accuracy first reaches one; a run in which it never does counts
    /// with its last.
    StepsTo(Accuracy),
    /// For points: the epochs until 90 % of the validation points are right; a cell that never gets there
    /// counts with its last.
    #[serde(rename = "epochs_to_90")]
    EpochsTo90(Nothing),
    /// For points: the share of cells that ever get there.
    Learned(Nothing),
}

/// `{step: …}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtStep {
    /// After which step.
    pub step: Step,
}

/// The step after which something is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StepText", into = "StepText")]
pub enum Step {
    /// The last.
    Last,
    /// That which the validation loss chose.
    Chosen,
    /// This one; 0 is before training.
    At(u64),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected `last`, `chosen` or a number of steps")]
enum StepText {
    At(u64),
    Word(StepWord),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StepWord {
    Last,
    Chosen,
}

impl From<StepText> for Step {
    fn from(text: StepText) -> Self {
        match text {
            StepText::At(step) => Step::At(step),
            StepText::Word(StepWord::Last) => Step::Last,
            StepText::Word(StepWord::Chosen) => Step::Chosen,
        }
    }
}

impl From<Step> for StepText {
    fn from(step: Step) -> Self {
        match step {
            Step::At(step) => StepText::At(step),
            Step::Last => StepText::Word(StepWord::Last),
            Step::Chosen => StepText::Word(StepWord::Chosen),
        }
    }
}

/// `{accuracy: …}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// A validation accuracy in (0, 1).
    pub accuracy: f64,
}

/// `{}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What a claim expects of the difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// More than the margin on one side of zero.
    Beyond(Direction, f64),
    /// At most so far from zero.
    Within(f64),
}

impl Claim {
    /// What it expects; none where it says nothing of it, or two things.
    pub fn expected(&self) -> Option<Expected> {
        match (self.direction, self.within) {
            (Some(direction), None) => {
                Some(Expected::Beyond(direction, self.margin.unwrap_or(0.0)))
            }
            (None, Some(within)) if self.margin.is_none() => Some(Expected::Within(within)),
            _ => None,
        }
    }

    /// The settings that it is about, as a table has them: `100, 250`.
    pub fn setting_text(&self) -> String {
        let of = |(name, values): (&String, &Vec<u64>)| {
            let values: Vec<String> = values.iter().map(u64::to_string).collect();
            format!("{name} {}", values.join(", "))
        };
        self.at.iter().map(of).collect::<Vec<_>>().join("; ")
    }
}

impl Unit {
    /// What its observations are called.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Seed => "seeds",
            Unit::SourceSeed => "sources",
        }
    }
}

impl ClaimMeasure {
    /// What it is, in words.
    pub fn name(&self) -> String {
        let after = |AtStep { step }: &AtStep| match step {
            Step::Last => "after the last step".to_owned(),
            Step::Chosen => "after the chosen step".to_owned(),
            Step::At(0) => "before training".to_owned(),
            Step::At(1) => "after 1 step".to_owned(),
            Step::At(step) => format!("after {step} steps"),
        };
        match self {
            ClaimMeasure::TestError(at) => format!("test error {}", after(at)),
            ClaimMeasure::ValidationError(at) => format!("validation error {}", after(at)),
            ClaimMeasure::StepsTo(Accuracy { accuracy }) => {
                format!("steps to {:.0} % accuracy", 100.0 * accuracy)
            }
            ClaimMeasure::EpochsTo90(_) => "epochs to 90 % accuracy".into(),
            ClaimMeasure::Learned(_) => "share of cells that learn".into(),
        }
    }

    /// Whether it is a share, written in percent; else it is counted.
    pub fn is_share(&self) -> bool {
        !matches!(self, ClaimMeasure::StepsTo(_) | ClaimMeasure::EpochsTo90(_))
    }
}

/// The SHA-256 of `claims` as JSON without spaces, in lower-case hexadecimal; none of none.
pub fn digest(claims: &[Claim]) -> Option<String> {
    let text = serde_json::to_string(claims).expect("claims are words and finite numbers");
    (!claims.is_empty()).then(|| sha256(text.as_bytes()))
}
