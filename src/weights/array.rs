//! One array of a checkpoint, and the layouts that kernels come in.

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

    /// A convolution kernel `[height, width, in, out]`, as TensorFlow and Flax keep it, in
    /// PyTorch's `[out, in, height, width]`; nothing if the array has not 4 dimensions.
    pub fn hwio_to_oihw(&self) -> Option<Array> {
        self.permuted([3, 2, 0, 1])
    }

    /// A dense kernel `[in, out]`, as TensorFlow and Flax keep it, in PyTorch's `[out, in]`;
    /// nothing if the array has not 2 dimensions.
    pub fn io_to_oi(&self) -> Option<Array> {
        self.permuted([1, 0])
    }

    /// The array whose dimension `d` is this one's dimension `order[d]`.
    fn permuted<const RANK: usize>(&self, order: [usize; RANK]) -> Option<Array> {
        let from: [usize; RANK] = self.shape.as_slice().try_into().ok()?;
        let mut strides = [1; RANK];
        for dimension in (1..RANK).rev() {
            strides[dimension - 1] = strides[dimension] * from[dimension];
        }
        let shape = order.map(|dimension| from[dimension]);
        let steps = order.map(|dimension| strides[dimension]);

        let mut values = Vec::with_capacity(self.values.len());
        let mut index = [0; RANK];
        for _ in 0..self.values.len() {
            let at: usize = index.iter().zip(steps).map(|(i, step)| i * step).sum();
            values.push(self.values[at]);
            for dimension in (0..RANK).rev() {
                index[dimension] += 1;
                if index[dimension] < shape[dimension] {
                    break;
                }
                index[dimension] = 0;
            }
        }
        Some(Array { shape: shape.to_vec(), values })
    }
}

/// How many values `shape` holds, if that can be counted.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> Array {
        let values = (0..elements(shape).unwrap()).map(|i| i as f32).collect();
        Array::new(shape.to_vec(), values).unwrap()
    }

    #[test]
    fn values_must_fill_the_shape() {
        assert!(Array::new(vec![2, 3], vec![0.0; 6]).is_some());
        assert!(Array::new(vec![2, 3], vec![0.0; 5]).is_none());
        assert!(Array::new(vec![usize::MAX, 2], vec![]).is_none());
    }

    #[test]
    fn a_dense_kernel_is_transposed() {
        let turned = counting(&[2, 3]).io_to_oi().unwrap();
        assert_eq!(turned.shape(), [3, 2]);
        assert_eq!(turned.values(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    // import numpy as np
    // x = np.arange(24).reshape(2, 1, 3, 4).transpose(3, 2, 0, 1); print(x.shape, x.ravel())
    #[test]
    fn a_convolution_kernel_is_turned_as_numpy_does() {
        let turned = counting(&[2, 1, 3, 4]).hwio_to_oihw().unwrap();
        assert_eq!(turned.shape(), [4, 3, 2, 1]);
        let expected =
            [0, 12, 4, 16, 8, 20, 1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23];
        assert_eq!(turned.values(), expected.map(|value| value as f32));
    }

    #[test]
    fn an_array_of_another_rank_is_not_turned() {
        assert!(counting(&[2, 3]).hwio_to_oihw().is_none());
        assert!(counting(&[2]).io_to_oi().is_none());
    }

    #[test]
    fn an_empty_array_keeps_its_turned_shape() {
        assert_eq!(counting(&[0, 3]).io_to_oi().unwrap().shape(), [3, 0]);
    }
}
