//! Signs by rules for a network or a checkpoint, where there is no source to take them from.
//!
//! What a rule is, and how its file is written, is in [`sign::rule`](crate::sign::rule).

use tch::nn;

use super::{Error, shape, sorted, to_vec};
use crate::sign::{Rule, RuleReport, RuleTensor, Rules, Template};
use crate::weights::Checkpoint;

/// The template that `rules` make for the trainable variables of a network, and what decided each;
/// `origin` says what network it is.
///
/// # Errors
/// A pattern that matches no variable, or the first variable that its rule does not fit.
pub fn ruled_signs(
    rules: &Rules,
    variables: &nn::VarStore,
    origin: &str,
) -> Result<(Template, RuleReport), Error> {
    let mut tensors = Vec::new();
    for (name, tensor) in sorted(variables) {
        let takes_own = matches!(rules.decide(&name), Some((_, Rule::Own)));
        let weights = if takes_own { Some(to_vec(&tensor)?) } else { None };
        tensors.push((name, shape(&tensor), weights));
    }
    let tensors = tensors.iter().map(|(name, shape, weights)| RuleTensor {
        name,
        shape,
        weights: weights.as_deref(),
    });
    Ok(rules.template(tensors, origin)?)
}

/// The template that `rules` make for the tensors of a checkpoint, and what decided each.
///
/// # Errors
/// A pattern that matches no tensor, or the first tensor that its rule does not fit.
pub fn ruled_signs_of(
    rules: &Rules,
    checkpoint: &Checkpoint,
    provenance: &str,
) -> Result<(Template, RuleReport), Error> {
    let tensors = checkpoint.iter().map(|(name, array)| RuleTensor {
        name,
        shape: array.shape(),
        weights: Some(array.values()),
    });
    Ok(rules.template(tensors, provenance)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Tensor};

    use super::*;
    use crate::weights::Array;

    fn rules() -> Rules {
        let json = r#"{"*.bias": "free", "ff.weight": "own", "rec.weight": {"dale": [1, -1]}}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_network_and_its_checkpoint_get_the_same_signs() {
        let values = [("ff.weight", vec![1.0, -2.0, 0.0, 4.0]), ("rec.weight", vec![0.5; 4])];
        let variables = nn::VarStore::new(Device::Cpu);
        let mut checkpoint = Checkpoint::new();
        for (name, values) in values {
            let (room, _) = name.split_once('.').unwrap();
            let tensor = Tensor::from_slice(&values).reshape([2, 2]);
            let _ = variables.root().sub(room).var_copy("weight", &tensor);
            checkpoint.insert(name.into(), Array::new(vec![2, 2], values).unwrap());
        }
        let _ = variables.root().sub("ff").var_copy("bias", &Tensor::from_slice(&[1f32, 1.0]));
        checkpoint.insert("ff.bias".into(), Array::new(vec![2], vec![1.0; 2]).unwrap());

        let (template, report) = ruled_signs(&rules(), &variables, "a test").unwrap();
        assert_eq!(
            ruled_signs_of(&rules(), &checkpoint, "a test").unwrap(),
            (template.clone(), report)
        );
        let signs = |name| template.get(name).unwrap().mask.to_signs();
        assert_eq!(signs("ff.weight"), [1, -1, 0, 1]);
        assert_eq!(signs("rec.weight"), [1, -1, 1, -1]);
        assert_eq!(template.len(), 2);
    }
}
