//! The seeds of an experiment.

use serde::{Deserialize, Serialize};

use super::limits::MOST_CELLS;

/// The seeds of an experiment: `0..20` (the end excluded) or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SeedsText", into = "Vec<u64>")]
pub struct Seeds(pub Vec<u64>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a range like `0..20` or a list like `[0, 1, 2]`")]
enum SeedsText {
    Range(String),
    List(Vec<u64>),
}

impl TryFrom<SeedsText> for Seeds {
    type Error = String;

    fn try_from(text: SeedsText) -> Result<Self, String> {
        let range = match text {
            SeedsText::List(seeds) => return Ok(Seeds(seeds)),
            SeedsText::Range(range) => range,
        };
        let ends = range.split_once("..").and_then(|(from, to)| {
            Some((from.trim().parse::<u64>().ok()?, to.trim().parse::<u64>().ok()?))
        });
        match ends {
            Some((from, to)) if from < to && to - from <= MOST_CELLS => {
                Ok(Seeds((from..to).collect()))
            }
            Some((from, to)) if from < to => {
                Err(format!("expected at most {MOST_CELLS} seeds, got `{range}`"))
            }
            _ => Err(format!(
                "expected a range like `0..20` or a list like `[0, 1, 2]`, got `{range}`"
            )),
        }
    }
}

impl From<Seeds> for Vec<u64> {
    fn from(seeds: Seeds) -> Self {
        seeds.0
    }
}
