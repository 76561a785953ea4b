//! Whether a checkpoint keeps the signs of a template.

use super::Error;
use crate::nearest::nearest;
use crate::sign::{Layer, Template};
use crate::weights::{Defect, View, Views};

/// What became of the signs of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The tensor.
    pub name: String,
    /// How many of its weights the template holds.
    pub held: usize,
    /// How many of these are strictly on the other side of zero.
    pub violators: usize,
    /// The first of them.
    pub first: Option<Violator>,
}

/// A weight on the wrong side of zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Violator {
    /// Where it is, along each dimension from 0 on.
    pub place: Vec<usize>,
    /// The weight.
    pub weight: f64,
}

/// What became of the signs of `template` in `checkpoint`, by tensor in name order. Tensors that the
/// template does not name are not looked at.
///
/// # Errors
/// When the checkpoint lacks a tensor of the template or has it in another shape, or one of its weights
/// cannot be read or is not a number: it has no sign that could be kept.
pub fn check(template: &Template, checkpoint: &Views) -> Result<Vec<Kept>, Error> {
    let misfits: Vec<_> =
        template.iter().filter_map(|(name, layer)| misfit(name, layer, checkpoint)).collect();
    if !misfits.is_empty() {
        return Err(Error::Checkpoint(misfits));
    }
    let kept = |(name, layer): (&str, &Layer)| {
        kept(name, layer, &checkpoint[name])
            .map_err(|defect| Error::Defect { name: name.into(), defect })
    };
    template.iter().map(kept).collect()
}

fn kept(name: &str, layer: &Layer, tensor: &View) -> Result<Kept, Defect> {
    let Layer { mask, shape, .. } = layer;
    let signs = tensor.signs()?;
    let violators = mask.opposed(&signs);
    let first = mask.opposed(&signs).next();
    let first = first.map(|index| -> Result<_, Defect> {
        Ok(Violator { place: place(index, shape), weight: tensor.value(index)? })
    });
    Ok(Kept {
        name: name.into(),
        held: mask.held_count(),
        violators: violators.count(),
        first: first.transpose()?,
    })
}

/// Why the tensor `name` of a template cannot be looked at in `checkpoint`.
fn misfit(name: &str, layer: &Layer, checkpoint: &Views) -> Option<String> {
    match checkpoint.get(name).map(View::shape) {
        Some(shape) if shape == layer.shape => None,
        Some(shape) => Some(format!("{name}: expected shape {:?}, got {shape:?}", layer.shape)),
        None => {
            let near = nearest(name, checkpoint.keys().map(String::as_str));
            let near = near.map_or(String::new(), |near| format!(", which has `{near}`"));
            Some(format!("{name}: not in the checkpoint{near}"))
        }
    }
}

/// Where the weight at `index` in row-major order is along each dimension.
fn place(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (along, side) in place.iter_mut().zip(shape).rev() {
        *along = index % side;
        index /= side;
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SignMask;
    use crate::weights::Array;

    fn template() -> Template {
        let mut template = Template::new("a test");
        let mask = SignMask::from_signs(&[1, -1, 0, 1, -1, 1]);
        template.insert("a.weight", [3, 2], mask).unwrap();
        template.insert("b.bias", [2], SignMask::from_signs(&[1, 1])).unwrap();
        template
    }

    fn checkpoint(weights: [f32; 6], shape: [usize; 2]) -> Views {
        let weights = Array::new(shape.to_vec(), weights.to_vec()).unwrap();
        let bias = Array::new(vec![2], vec![1.0, 0.0]).unwrap();
        let other = Array::new(vec![1], vec![-1.0]).unwrap();
        let named = [("a.weight", weights), ("b.bias", bias), ("other", other)];
        named.into_iter().map(|(name, array)| (name.to_owned(), View::from(array))).collect()
    }

    #[test]
    fn violators_are_counted_by_tensor_and_the_first_is_named() {
        let kept = check(&template(), &checkpoint([1.0, -1.0, 5.0, -0.5, 2.0, 1.0], [3, 2]));
        let [weight, bias] = &kept.unwrap()[..] else { panic!("one for each layer") };
        let first = Some(Violator { place: vec![1, 1], weight: -0.5 });
        let expected = Kept { name: "a.weight".into(), held: 5, violators: 2, first };
        assert_eq!(*weight, expected);
        assert_eq!((bias.held, bias.violators, &bias.first), (2, 0, &None));
    }

    #[test]
    fn zeros_and_free_weights_violate_nothing() {
        let kept = check(&template(), &checkpoint([0.0, -0.0, -7.0, 1.0, -1.0, 1.0], [3, 2]));
        assert!(kept.unwrap().iter().all(|kept| kept.violators == 0 && kept.first.is_none()));
    }

    #[test]
    fn a_tensor_that_is_missing_or_of_another_shape_is_refused_by_name() {
        let mut other = checkpoint([1.0; 6], [2, 3]);
        let bias = other.remove("b.bias").unwrap();
        other.insert("b.biases".into(), bias);
        assert_eq!(
            check(&template(), &other).unwrap_err().to_string(),
            "the checkpoint does not fit the template: a.weight: expected shape [3, 2], got [2, 3]; \
             b.bias: not in the checkpoint, which has `b.biases`"
        );
    }

    #[test]
    fn a_weight_that_is_no_number_is_refused_by_name() {
        let wrong = checkpoint([1.0, f32::NAN, 1.0, 1.0, 1.0, 1.0], [3, 2]);
        let error = check(&template(), &wrong).unwrap_err().to_string();
        assert!(error.starts_with("a.weight: weight 1: has no sign"), "{error}");
    }
}
