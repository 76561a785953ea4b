//! One array of a checkpoint as float32.

/// A float32 array in row-major order; its values always fill its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Array {
    /// The array of `shape` with `values` in row-major order, or nothing if they do not fill it.
    pub fn new(shape: Vec<usize>, values: Vec<f32>) -> Option<Array> {
        (elements(&shape) == Some(values.len())).then_some(Array { shape, values })
    }

    /// The extent of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values in row-major order, moved out.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

/// How many values `shape` holds, if that can be counted.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_must_fill_the_shape() {
        assert!(Array::new(vec![2, 3], vec![0.0; 6]).is_some());
        assert!(Array::new(vec![2, 3], vec![0.0; 5]).is_none());
        assert!(Array::new(vec![usize::MAX, 2], vec![]).is_none());
    }
}
