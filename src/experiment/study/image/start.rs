//! How a cell starts: the magnitudes, biases and signs of its arm, and what of them is held.
//!
//! All arms of a seed begin with the same fresh network. Magnitudes come first, then biases, then
//! signs, and each step leaves alone what the others give: so the axes of an [`Arm`](crate::results::Arm) do not
//! depend on each other, and arms that take no magnitudes have the same ones bit for bit.

use tch::{TchError, nn};

use super::knowledge::Knowledge;
use crate::experiment::cell::ArmSpec;
use crate::experiment::study::{Failure, initial_seed};
use crate::models::Network;
use crate::random::Stream;
use crate::results::{Biases, Hold, Magnitudes, Signs, Zeros};
use crate::sign::{Shuffle, Template, is_below};
use crate::transfer::{self, Options};
use crate::weights::{Array, Checkpoint};

/// Draws the fresh network that a cell with this arm begins with, none for a source, from the streams
/// of `seed`.
///
/// # Errors
/// What libtorch says.
pub(crate) fn draw(net: &Network, arm: Option<&ArmSpec>, seed: u64) -> Result<(), TchError> {
    net.initialise(initial_seed(arm, seed))?;
    match arm.map(|arm| arm.magnitudes) {
        Some(Magnitudes::Normal) => net.draw_normal_magnitudes(seed),
        _ => Ok(()),
    }
}

/// Gives a fresh network the start of its arm; gives back its signs, as a template.
///
/// # Errors
/// When the source is missing, lacks what the arm takes or does not fit, or libtorch fails.
pub(crate) fn assign(
    arm: &ArmSpec,
    source: Option<&Knowledge>,
    variables: &nn::VarStore,
    seed: u64,
) -> Result<Template, Failure> {
    let except = arm.source.as_ref().map(|source| source.except.clone()).unwrap_or_default();
    let options = Options { except, ..Options::default() };
    let own = transfer::own_signs(variables)?;
    if let Some(magnitudes) = magnitudes(arm, source, seed)? {
        transfer::magnitudes(&magnitudes, variables, &options)?;
    }
    if takes_biases(arm) {
        transfer::biases(&weights(arm, source)?, variables, &options)?;
    }
    let signs = match arm.signs {
        Signs::Init => transfer::own_signs(variables)?,
        Signs::Random => {
            let random = transfer::own_signs(variables)?.random_like(Some(0.5), seed);
            transfer::signs(&random, variables, &Options::default())?.template
        }
        Signs::Informed | Signs::Misinformed => return Err(Failure::OtherKind),
        Signs::RandomShare
        | Signs::Source
        | Signs::Shuffled(_)
        | Signs::Flipped(_)
        | Signs::Opposite => {
            let known = source.ok_or(Failure::Lacks("signs"))?;
            let made = made_from(&in_layers(&known.template, &arm.only), arm.signs, seed);
            transfer::signs(&made, variables, &options)?.template
        }
    };
    Ok(match arm.zeros {
        Zeros::Free => signs,
        Zeros::Held => signs.filled_from(&own)?,
    })
}

/// The part of the starting signs that training must keep.
pub(crate) fn held(arm: Option<&ArmSpec>, start: &Template) -> Template {
    match arm.map(|arm| &arm.hold) {
        None | Some(Hold::None) => Template::new("nothing held"),
        Some(Hold::All) => start.clone(),
        Some(Hold::Layers(layers)) => start.subset(|name| is_in(name, layers)),
        Some(Hold::Except(layers)) => start.subset(|name| !is_in(name, layers)),
    }
}

/// The layers of a source's template that an arm takes; all where it names none.
pub(crate) fn in_layers(template: &Template, only: &[String]) -> Template {
    template.subset(|name| only.is_empty() || is_in(name, only))
}

fn is_in(name: &str, layers: &[String]) -> bool {
    layers.iter().any(|layer| is_below(name, layer))
}

/// The signs of `source` after what an arm does to them.
fn made_from(source: &Template, signs: Signs, seed: u64) -> Template {
    match signs {
        Signs::Init | Signs::Random | Signs::Informed | Signs::Misinformed | Signs::Source => {
            source.clone()
        }
        Signs::RandomShare => source.random_like(None, seed),
        Signs::Shuffled(kind) => source.shuffled(kind, seed),
        Signs::Flipped(fraction) => source.flipped(fraction, seed),
        Signs::Opposite => source.opposite(),
    }
}

fn takes_biases(arm: &ArmSpec) -> bool {
    match arm.biases {
        Some(biases) => biases == Biases::Source,
        None => arm.magnitudes == Magnitudes::Source,
    }
}

/// The source's tensors in the layers that `arm` takes.
fn weights(arm: &ArmSpec, source: Option<&Knowledge>) -> Result<Checkpoint, Failure> {
    let known = source.and_then(|known| known.weights.as_ref());
    let all = known.ok_or(Failure::Lacks("weights"))?;
    let taken = |name: &str| arm.only.is_empty() || is_in(name, &arm.only);
    let taken = all.iter().filter(|(name, _)| taken(name));
    Ok(taken.map(|(name, array)| (name.clone(), array.clone())).collect())
}

/// The magnitudes that `arm` takes from the source, if any.
fn magnitudes(
    arm: &ArmSpec,
    source: Option<&Knowledge>,
    seed: u64,
) -> Result<Option<Checkpoint>, Failure> {
    Ok(match arm.magnitudes {
        Magnitudes::Init | Magnitudes::Fresh | Magnitudes::Normal => None,
        Magnitudes::Source => Some(weights(arm, source)?),
        Magnitudes::Shuffled(kind) => Some(shuffled(&weights(arm, source)?, kind, seed)),
    })
}

/// The same values in another place; each tensor draws from a stream of its own.
fn shuffled(weights: &Checkpoint, kind: Shuffle, seed: u64) -> Checkpoint {
    let of_tensor = |(name, array): (&String, &Array)| {
        let mut values = array.values().to_vec();
        let filters = match kind {
            Shuffle::Tensor => 1,
            Shuffle::Filter => array.shape().first().copied().unwrap_or(1),
        };
        let mut stream = Stream::new(seed, &format!("magnitudes/shuffle/{name}"));
        let length = (values.len() / filters.max(1)).max(1);
        values.chunks_mut(length).for_each(|filter| stream.shuffle(filter));
        let shape = array.shape().to_vec();
        (name.clone(), Array::new(shape, values).expect("a shuffle keeps the number of values"))
    };
    weights.iter().map(of_tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::cell::SourceSpec;
    use crate::models::AlexNetMini;
    use tch::{Device, Tensor};

    const CONVOLUTION: &str = "features.3.weight";
    const HEAD: &str = "classifier.4.weight";

    fn fresh(seed: u64) -> nn::VarStore {
        let variables = nn::VarStore::new(Device::Cpu);
        let net = AlexNetMini { hidden: 8, dropout: 0.0 }.build(&variables.root(), 4);
        net.initialise(seed).unwrap();
        variables
    }

    /// A source of the same network; the first half of one convolution is zero.
    fn source() -> Knowledge {
        let tensors = fresh(99).variables().into_iter().map(|(name, tensor)| {
            let shape = tensor.size().iter().map(|&side| side as usize).collect();
            let mut values = values(&tensor);
            if name == CONVOLUTION {
                let half = values.len() / 2;
                values[..half].fill(0.0);
            }
            (name, Array::new(shape, values).unwrap())
        });
        Knowledge::of_weights(tensors.collect(), "a test").unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.detach().flatten(0, -1)).unwrap()
    }

    /// The values of every tensor by name after the start of an arm, and the template.
    fn started(arm: &str, seed: u64) -> (Vec<(String, Vec<f32>)>, Template) {
        let value: serde_json::Value = serde_yaml::from_str(arm).unwrap();
        let mut arm: ArmSpec = serde_json::from_value(value).unwrap();
        arm.source = Some(SourceSpec { digest: String::new(), except: vec![] });
        let variables = fresh(seed);
        let template = assign(&arm, Some(&source()), &variables, seed).unwrap();
        let mut tensors: Vec<_> =
            variables.variables().iter().map(|(name, w)| (name.clone(), values(w))).collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        (tensors, template)
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    fn magnitudes_of(tensors: &[(String, Vec<f32>)]) -> Vec<(String, Vec<u32>)> {
        let bits = |values: &[f32]| values.iter().map(|value| value.abs().to_bits()).collect();
        tensors.iter().map(|(name, values)| (name.clone(), bits(values))).collect()
    }

    fn tensor<'a>(tensors: &'a [(String, Vec<f32>)], name: &str) -> &'a [f32] {
        &tensors.iter().find(|(known, _)| known == name).unwrap().1
    }

    fn source_values(name: &str) -> Vec<f32> {
        source().weights.unwrap()[name].values().to_vec()
    }

    #[test]
    fn every_arm_without_the_sources_magnitudes_has_the_same_ones_bit_for_bit() {
        let expected = magnitudes_of(&started("{signs: init, magnitudes: init, hold: none}", 7).0);
        for signs in [
            "random",
            "random-share",
            "source",
            "opposite",
            "{shuffled: tensor}",
            "{shuffled: filter}",
            "{flipped: 0.3}",
            "source, only: [features.0]",
            "source, zeros: held",
        ] {
            let (tensors, _) =
                started(&format!("{{signs: {signs}, magnitudes: init, hold: all}}"), 7);
            assert_eq!(magnitudes_of(&tensors), expected, "{signs}");
        }
        assert_ne!(
            magnitudes_of(&started("{signs: init, magnitudes: init, hold: none}", 8).0),
            expected
        );
    }

    #[test]
    fn signs_and_magnitudes_of_the_source_are_its_weights_bit_for_bit() {
        let (tensors, template) = started("{signs: source, magnitudes: source, hold: all}", 7);
        for (name, values) in &tensors {
            assert_eq!(bits(values), bits(&source_values(name)), "{name}");
        }
        let zeros = template.get(CONVOLUTION).unwrap();
        assert_eq!(zeros.mask.held_count(), zeros.mask.len() / 2);
    }

    #[test]
    fn the_sources_magnitudes_take_signs_of_any_kind() {
        let (own, _) = started("{signs: init, magnitudes: init, hold: none}", 7);
        let (tensors, _) = started("{signs: init, magnitudes: source, hold: all}", 7);
        for ((name, values), (_, own)) in
            tensors.iter().zip(&own).filter(|((n, _), _)| n != CONVOLUTION)
        {
            if name.ends_with("weight") {
                let expected: Vec<f32> = source_values(name)
                    .iter()
                    .zip(own)
                    .map(|(new, old)| if *old < 0.0 { -new.abs() } else { new.abs() })
                    .collect();
                assert_eq!(bits(values), bits(&expected), "{name}");
            } else {
                assert_eq!(bits(values), bits(&source_values(name)), "{name}");
            }
        }
        let (random, _) = started("{signs: random, magnitudes: source, hold: all}", 7);
        assert_ne!(tensor(&random, HEAD), tensor(&tensors, HEAD));
    }

    #[test]
    fn shuffled_magnitudes_keep_their_values_and_the_sources_signs_their_places() {
        let sorted = |values: &[f32]| {
            let mut sorted: Vec<f32> = values.iter().map(|value| value.abs()).collect();
            sorted.sort_by(f32::total_cmp);
            sorted
        };
        let (tensors, template) =
            started("{signs: source, magnitudes: {shuffled: tensor}, hold: all}", 7);
        let (found, expected) = (tensor(&tensors, HEAD), source_values(HEAD));
        assert_eq!(sorted(found), sorted(&expected));
        assert_ne!(
            magnitudes_of(&[(HEAD.into(), found.to_vec())]),
            magnitudes_of(&[(HEAD.into(), expected)])
        );
        assert_eq!(template.get(HEAD).unwrap().mask.violators(found), 0);
        let (by_filter, _) =
            started("{signs: source, magnitudes: {shuffled: filter}, hold: all}", 7);
        for (found, expected) in
            tensor(&by_filter, HEAD).chunks(8).zip(source_values(HEAD).chunks(8))
        {
            assert_eq!(sorted(found), sorted(expected));
        }
    }

    #[test]
    fn biases_come_alone_or_stay_away() {
        let bias = |arm| tensor(&started(arm, 7).0, "features.0.bias").to_vec();
        let own = bias("{signs: init, magnitudes: init, hold: none}");
        let theirs = source_values("features.0.bias");
        assert_eq!(bias("{signs: source, magnitudes: init, biases: source, hold: all}"), theirs);
        assert_eq!(bias("{signs: source, magnitudes: source, biases: init, hold: all}"), own);
    }

    #[test]
    fn only_the_named_layers_take_something_from_the_source() {
        let (own, _) = started("{signs: init, magnitudes: init, hold: none}", 7);
        let (tensors, template) =
            started("{signs: source, magnitudes: source, only: [features.0], hold: all}", 7);
        assert_eq!(tensor(&tensors, "features.0.weight"), source_values("features.0.weight"));
        for name in [CONVOLUTION, HEAD, "features.3.bias"] {
            assert_eq!(tensor(&tensors, name), tensor(&own, name), "{name}");
        }
        assert_eq!(template.len(), 4);
    }

    #[test]
    fn the_share_of_positive_signs_is_the_sources() {
        let (_, template) = started("{signs: random-share, magnitudes: init, hold: all}", 7);
        let share = |template: &Template| {
            template.get("classifier.1.weight").unwrap().mask.positive_fraction().unwrap()
        };
        // 25,088 draws: four standard deviations.
        assert!((share(&template) - share(&source().template)).abs() < 0.0127);
        assert_ne!(template.get(HEAD), source().template.get(HEAD));
    }

    #[test]
    fn weights_that_the_source_leaves_open_are_free_or_held_to_their_own_sign() {
        let (tensors, free) = started("{signs: source, magnitudes: init, hold: all}", 7);
        let (_, held) = started("{signs: source, magnitudes: init, zeros: held, hold: all}", 7);
        let mask = |template: &Template| template.get(CONVOLUTION).unwrap().mask.clone();
        assert_eq!(mask(&free).held_count(), mask(&free).len() / 2);
        assert_eq!(mask(&held).held_count(), mask(&held).len());
        assert_eq!(mask(&held).violators(tensor(&tensors, CONVOLUTION)), 0);
    }

    #[test]
    fn layers_are_held_by_name_or_all_but_some() {
        let names = |hold: &str| -> Vec<String> {
            let arm = format!("{{signs: source, magnitudes: init, hold: {hold}}}");
            let value: serde_json::Value = serde_yaml::from_str(&arm).unwrap();
            let arm: ArmSpec = serde_json::from_value(value).unwrap();
            let start = started("{signs: source, magnitudes: init, hold: all}", 7).1;
            held(Some(&arm), &start).names().map(str::to_owned).collect()
        };
        assert_eq!(names("[features]"), ["features.0.weight", CONVOLUTION]);
        assert_eq!(names("{except: [features, classifier.1]}"), [HEAD]);
        assert_eq!(names("all").len(), 4);
        assert!(names("none").is_empty());
    }
}
