//! Tensors whose weights do not lie in row-major order: transposed ones, images with channels last.
//!
//! A kernel works through memory and cares for no order. Two things do: a mask, which says in row-major
//! order which sign each weight keeps and is [laid out](Order::lay_out) as the weights are; and the draw
//! of a random reset, which depends on a weight's row-major index, so that the same network gets the same
//! numbers however it lies in memory.

use thiserror::Error;

use crate::sign::SignMask;

/// Which weight lies where, for memory without gaps that is not in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The dimensions with more than one entry, the slowest in memory first.
    dimensions: Vec<Dimension>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dimension {
    size: usize,
    /// Weights from one entry to the next in memory.
    stride: usize,
    /// The same in row-major order.
    row_major: usize,
}

/// Strides that leave gaps between weights or lay two on one place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "shape {shape:?} with strides {strides:?} does not lie in memory weight by weight; make it \
     contiguous"
)]
pub struct NotDense {
    /// The tensor's shape.
    pub shape: Vec<usize>,
    /// Its strides, in weights.
    pub strides: Vec<usize>,
}

impl Order {
    /// The order of a tensor of this shape and these strides, in weights; `None` where it is row-major.
    ///
    /// # Errors
    /// When the weights do not fill their memory, each its own place.
    pub fn of(shape: &[usize], strides: &[usize]) -> Result<Option<Self>, NotDense> {
        let refused = || NotDense { shape: shape.to_vec(), strides: strides.to_vec() };
        if shape.len() != strides.len() {
            return Err(refused());
        }
        if shape.contains(&0) {
            return Ok(None);
        }
        let mut dimensions = Vec::new();
        let mut weights: usize = 1;
        for (&size, &stride) in shape.iter().zip(strides).rev() {
            if size > 1 {
                dimensions.push(Dimension { size, stride, row_major: weights });
            }
            weights = weights.checked_mul(size).ok_or_else(refused)?;
        }
        dimensions.sort_by_key(|dimension| std::cmp::Reverse(dimension.stride));
        let mut dense = 1;
        for dimension in dimensions.iter().rev() {
            if dimension.stride != dense {
                return Err(refused());
            }
            dense *= dimension.size;
        }
        let in_place = |dimension: &Dimension| dimension.stride == dimension.row_major;
        Ok((!dimensions.iter().all(in_place)).then_some(Order { dimensions }))
    }

    /// The row-major index of the weight at `place` in memory.
    pub fn row_major(&self, place: usize) -> usize {
        let index = |at: &Dimension| place / at.stride % at.size * at.row_major;
        self.dimensions.iter().map(index).sum()
    }

    /// The mask with its entries where the weights lie.
    ///
    /// # Panics
    /// When the mask has not one entry a weight.
    pub fn lay_out(&self, mask: &SignMask) -> SignMask {
        let weights: usize = self.dimensions.iter().map(|dimension| dimension.size).product();
        assert_eq!(mask.len(), weights, "a mask has one entry a weight");
        let signs: Vec<i8> = (0..weights).map(|place| mask.get(self.row_major(place))).collect();
        SignMask::from_signs(&signs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// O, H, W, I of a tensor `[2, 3, 2, 2]`, as PyTorch's `channels_last` lays it out.
    const SHAPE: [usize; 4] = [2, 3, 2, 2];
    const CHANNELS_LAST: [usize; 4] = [12, 1, 6, 3];

    #[test]
    fn row_major_memory_needs_no_order_whatever_the_strides_of_single_entries() {
        assert_eq!(Order::of(&SHAPE, &[12, 4, 2, 1]), Ok(None));
        assert_eq!(Order::of(&[1, 5, 1], &[77, 1, 3]), Ok(None));
        assert_eq!(Order::of(&[], &[]), Ok(None));
        assert_eq!(Order::of(&[3, 0], &[9, 9]), Ok(None));
    }

    #[test]
    fn every_place_is_that_of_the_weight_its_strides_name() {
        let order = Order::of(&SHAPE, &CHANNELS_LAST).unwrap().unwrap();
        let mut index = 0;
        for o in 0..2 {
            for i in 0..3 {
                for h in 0..2 {
                    for w in 0..2 {
                        assert_eq!(order.row_major(12 * o + i + 6 * h + 3 * w), index);
                        index += 1;
                    }
                }
            }
        }
    }

    #[test]
    fn a_mask_lies_as_its_transposed_weights_do() {
        let mask = SignMask::from_signs(&[1, -1, 0, -1, -1, 1]);
        let order = Order::of(&[2, 3], &[1, 2]).unwrap().unwrap();
        assert_eq!(order.lay_out(&mask).to_signs(), [1, -1, -1, -1, 0, 1]);
    }

    #[test]
    fn gaps_overlaps_and_strides_that_are_too_few_are_refused() {
        for (shape, strides) in
            [([2, 3], [4, 1]), ([2, 3], [0, 1]), ([2, 3], [3, 2]), ([2, 2], [1, 1])]
        {
            let error = Order::of(&shape, &strides).unwrap_err();
            assert_eq!((error.shape, error.strides), (shape.to_vec(), strides.to_vec()));
        }
        assert!(Order::of(&[2, 3], &[3]).is_err());
        assert!(Order::of(&[usize::MAX, 2], &[2, 1]).is_err());
    }
}
