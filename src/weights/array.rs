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

    /// The array of `shape` whose neighbours along dimension `d` lie `strides[d]` apart in `values`,
    /// or nothing if it reaches beyond them.
    pub(super) fn strided(shape: Vec<usize>, strides: &[usize], values: &[f32]) -> Option<Array> {
        let count = elements(&shape)?;
        if span(&shape, strides)? > values.len() {
            return None;
        }
        let mut gathered = Vec::with_capacity(count);
        let (Some(&length), Some(&step)) = (shape.last(), strides.last()) else {
            return Array::new(shape, values[..1].to_vec());
        };
        let outer = &shape[..shape.len() - 1];
        let mut index = vec![0; outer.len()];
        while gathered.len() < count {
            let row: usize = index.iter().zip(strides).map(|(i, stride)| i * stride).sum();
            gathered.extend((0..length).map(|place| values[row + place * step]));
            for dimension in (0..outer.len()).rev() {
                index[dimension] += 1;
                if index[dimension] < outer[dimension] {
                    break;
                }
                index[dimension] = 0;
            }
        }
        Array::new(shape, gathered)
    }

    /// The same values in the same order, in another shape; nothing if they do not fill it.
    pub(super) fn reshaped(self, shape: Vec<usize>) -> Option<Array> {
        Array::new(shape, self.values)
    }

    /// A kernel of two groups, `[out, in / 2, …]`, as one that sees all inputs, `[out, in, …]`: what
    /// the groups do not connect is 0. Nothing if the outputs do not make two groups.
    pub(super) fn ungrouped(&self) -> Option<Array> {
        let [outputs, inputs] = *self.shape.first_chunk()?;
        if outputs % 2 != 0 {
            return None;
        }
        let row = self.values.len().checked_div(outputs).filter(|row| *row > 0)?;
        let mut values = Vec::with_capacity(2 * self.values.len());
        for (output, weights) in self.values.chunks(row).enumerate() {
            let (before, after) = if output < outputs / 2 { (0, row) } else { (row, 0) };
            values.extend(std::iter::repeat_n(0.0, before));
            values.extend(weights);
            values.extend(std::iter::repeat_n(0.0, after));
        }
        let mut shape = self.shape.clone();
        shape[1] = 2 * inputs;
        Array::new(shape, values)
    }

    /// The array whose dimension `d` is this one's dimension `order[d]`.
    fn permuted<const RANK: usize>(&self, order: [usize; RANK]) -> Option<Array> {
        let from: [usize; RANK] = self.shape.as_slice().try_into().ok()?;
        let mut strides = stored(from.iter().rev());
        strides.reverse();
        let shape = order.map(|dimension| from[dimension]);
        let steps = order.map(|dimension| strides[dimension]);
        Array::strided(shape.to_vec(), &steps, &self.values)
    }
}

/// The strides of dimensions with these extents, the one stored closest together first.
pub(super) fn stored<'a>(extents: impl Iterator<Item = &'a usize>) -> Vec<usize> {
    let mut next = 1_usize;
    extents
        .map(|&extent| {
            let stride = next;
            next = next.saturating_mul(extent);
            stride
        })
        .collect()
}

/// How many stored values an array of `shape` and `strides` reaches over, if that can be counted.
pub(super) fn span(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().zip(strides).try_fold(1_usize, |span, (&extent, &stride)| {
        span.checked_add((extent - 1).checked_mul(stride)?)
    })
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

    #[test]
    fn a_strided_array_is_gathered_and_may_not_reach_beyond_its_values() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let strided = |shape: &[usize], strides: &[usize]| {
            Array::strided(shape.to_vec(), strides, &values).map(Array::into_values)
        };
        assert_eq!(strided(&[2, 2], &[1, 3]).unwrap(), [0.0, 3.0, 1.0, 4.0]);
        assert_eq!(strided(&[3], &[0]).unwrap(), [0.0; 3]);
        assert_eq!(strided(&[], &[]).unwrap(), [0.0]);
        assert_eq!(strided(&[0, 9], &[1, 1]).unwrap(), [0.0; 0]);
        assert_eq!(strided(&[2, 3], &[4, 1]), None);
        assert_eq!(strided(&[2, 2], &[usize::MAX, 1]), None);
    }

    // w = np.arange(8).reshape(4, 2, 1); full = np.zeros((4, 4, 1))
    // full[:2, :2] = w[:2]; full[2:, 2:] = w[2:]
    #[test]
    fn groups_are_opened_with_zeros_between_them() {
        let full = counting(&[4, 2, 1]).ungrouped().unwrap();
        assert_eq!(full.shape(), [4, 4, 1]);
        let expected = [0, 1, 0, 0, 2, 3, 0, 0, 0, 0, 4, 5, 0, 0, 6, 7];
        assert_eq!(full.values(), expected.map(|value| value as f32));
        assert!(counting(&[0, 2]).ungrouped().is_none() && counting(&[2]).ungrouped().is_none());
    }
}
