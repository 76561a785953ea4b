//! One tensor of a file: its shape, and how its values lie there.
//!
//! A view takes no memory of its own size. Its signs are packed as the values pass by, and float32 are
//! made only where magnitudes are wanted. PyTorch's strides, NumPy's column-major order and the turned
//! kernels of other libraries are the same here: a walk over the values, dimension by dimension.

use std::sync::Arc;

use super::array::{Array, elements};
use super::data::Data;
use super::defect::Defect;
use super::floats::{Float, WORD};
use super::strides::{Step, each_run_in_order, each_run_of_a_walk, merged, row_major, span};
use crate::memory;
use crate::sign::{NotANumber, SignMask};

/// One tensor of a file.
#[derive(Clone, Debug)]
pub struct View {
    shape: Vec<usize>,
    /// The dimensions to walk along, the slowest first; as many values as the shape has.
    walk: Vec<Step>,
    /// Where the first value is, counted in values from `offset` bytes on.
    first: u64,
    /// Where the values begin in `data`, in bytes.
    offset: u64,
    data: Arc<Data>,
    values: Values,
}

/// What the values of a view are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Values {
    pub float: Float,
    /// Whether the highest byte comes first.
    pub big_endian: bool,
    /// Whether each stands for its opposite: PyTorch's lazy negation.
    pub negated: bool,
}

impl From<Float> for Values {
    fn from(float: Float) -> Self {
        Values { float, big_endian: false, negated: false }
    }
}

impl View {
    /// The tensor of `shape` whose values lie in `data` from `offset` bytes on; the first of them is
    /// value `first`, and neighbours along dimension `d` are `strides[d]` apart.
    ///
    /// # Errors
    /// Gives back the bytes that it needs, if they can be counted, where `data` has fewer.
    pub(super) fn new(
        shape: Vec<usize>,
        strides: &[usize],
        first: u64,
        (data, offset): (Arc<Data>, u64),
        values: Values,
    ) -> Result<View, Option<u64>> {
        let step = |(&extent, &stride): (&usize, &usize)| Step { extent, stride };
        let walk: Vec<Step> = shape.iter().zip(strides).map(step).collect();
        let width = values.float.width() as u64;
        let countable = elements(&shape).is_some();
        let needed = span(&walk)
            .filter(|_| countable)
            .and_then(|span| first.checked_add(span)?.checked_mul(width));
        let there = data.size().saturating_sub(offset);
        if needed.is_none_or(|needed| needed > there) {
            return Err(needed);
        }
        Ok(View { shape, walk, first, offset, data, values })
    }

    /// The extent of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        elements(&self.shape).expect("it was counted when the view was made")
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it shows the same bytes of the same file in the same way.
    pub(super) fn is_same(&self, other: &View) -> bool {
        self.shape == other.shape
            && self.walk == other.walk
            && (self.first, self.offset) == (other.first, other.offset)
            && self.values == other.values
            && self.data.is_same(&other.data)
    }

    /// The signs of its values.
    ///
    /// # Errors
    /// When a value is not a number, or cannot be read.
    pub fn signs(&self) -> Result<SignMask, Defect> {
        let Values { float, negated, .. } = self.values;
        let words = self.len().div_ceil(WORD);
        self.check_spread()?;
        // Two bits a value, and what is written of them.
        memory::check(4 * 8 * words as u64)?;
        let (mut sign, mut held) = (Vec::with_capacity(words), Vec::with_capacity(words));
        let mut nan = None;
        self.each_run(|bytes| {
            for word in bytes.chunks(WORD * float.width()) {
                let signs = float.signs(word);
                if signs.nan != 0 && nan.is_none() {
                    nan = Some(WORD * sign.len() + signs.nan.trailing_zeros() as usize);
                }
                sign.push(if negated { signs.negative } else { !signs.negative } & signs.held);
                held.push(signs.held);
            }
            Ok(())
        })?;
        match nan {
            Some(index) => Err(NotANumber { index }.into()),
            None => Ok(SignMask::from_words(self.len(), sign, Some(held))),
        }
    }

    /// The value at `index` in row-major order.
    ///
    /// # Errors
    /// When it cannot be read.
    ///
    /// # Panics
    /// When there is none.
    pub fn value(&self, index: usize) -> Result<f64, Defect> {
        let Values { float, negated, .. } = self.values;
        let width = float.width();
        let (mut place, mut found) = (index * width, None);
        self.each_run(|bytes| {
            match bytes.get(place..place + width) {
                Some(value) if found.is_none() => found = Some(float.wide(value)),
                _ => place = place.saturating_sub(bytes.len()),
            }
            Ok(())
        })?;
        let value = found.expect("a value of the tensor");
        Ok(if negated { -value } else { value })
    }

    /// Its values as float32.
    ///
    /// # Errors
    /// When a float64 does not fit, or a value cannot be read.
    pub fn array(&self) -> Result<Array, Defect> {
        self.check_spread()?;
        memory::check(4 * self.len() as u64)?;
        let mut values = Vec::with_capacity(self.len());
        let Values { float, negated, .. } = self.values;
        self.each_run(|bytes| float.decode(bytes, &mut values).map_err(Defect::Range))?;
        if negated {
            values.iter_mut().for_each(|value| *value = -*value);
        }
        Ok(Array::new(self.shape.clone(), values).expect("a run for each value of the shape"))
    }

    /// Refuses a view that shows a value again and again, as a broadcast tensor does, until they are more
    /// than a network has where the file has none: what is asked of the memory is what the file holds.
    pub(super) fn check_spread(&self) -> Result<(), Defect> {
        const MOST_SPREAD: u64 = 1 << 24;
        let stored = self.data.size() / self.values.float.width() as u64;
        match self.len() as u64 {
            shown if shown > stored.saturating_add(MOST_SPREAD) => {
                Err(Defect::Spread { shown, stored })
            }
            _ => Ok(()),
        }
    }

    /// Shows the values in row-major order as runs of bytes, lowest first, each but the last a
    /// multiple of [`WORD`] values.
    fn each_run(
        &self,
        mut visit: impl FnMut(&mut [u8]) -> Result<(), Defect>,
    ) -> Result<(), Defect> {
        if self.is_empty() {
            return Ok(());
        }
        let width = self.values.float.width();
        let bytes = self.data.open()?.after(self.offset + self.first * width as u64);
        let mut ordered = |run: &mut [u8]| {
            if self.values.big_endian {
                run.chunks_exact_mut(width).for_each(<[u8]>::reverse);
            }
            visit(run)
        };
        match merged(&self.walk).as_slice() {
            [] => each_run_in_order(&bytes, width, &mut ordered),
            [Step { extent, stride: 1 }] => each_run_in_order(&bytes, extent * width, &mut ordered),
            walk => each_run_of_a_walk(&bytes, width, walk, &mut ordered),
        }
    }

    /// A convolution kernel `[height, width, in, out]`, as TensorFlow and Flax keep it, in
    /// PyTorch's `[out, in, height, width]`; nothing if it has not 4 dimensions.
    pub(super) fn hwio_to_oihw(&self) -> Option<View> {
        self.permuted([3, 2, 0, 1])
    }

    /// A dense kernel `[in, out]`, as TensorFlow and Flax keep it, in PyTorch's `[out, in]`;
    /// nothing if it has not 2 dimensions.
    pub(super) fn io_to_oi(&self) -> Option<View> {
        self.permuted([1, 0])
    }

    /// The same values in the same order, in another shape; nothing if they do not fill it.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Option<View> {
        (elements(&shape) == Some(self.len())).then(|| View { shape, ..self.clone() })
    }

    /// The first dimension split in several; nothing if they do not fill it.
    pub(super) fn split(&self, extents: &[usize]) -> Option<View> {
        let (first, rest) = self.walk.split_first()?;
        if self.walk.len() != self.shape.len() || elements(extents) != Some(first.extent) {
            return None;
        }
        let mut stride = first.stride;
        let mut walk: Vec<Step> = extents
            .iter()
            .rev()
            .map(|&extent| {
                let step = Step { extent, stride };
                stride = stride.saturating_mul(extent);
                step
            })
            .collect();
        walk.reverse();
        walk.extend(rest);
        let shape = walk.iter().map(|step| step.extent).collect();
        Some(View { shape, walk, ..self.clone() })
    }

    /// A kernel of two groups, `[out, in / 2, …]`, as one that sees all inputs, `[out, in, …]`: what
    /// the groups do not connect is 0. Nothing if the outputs do not make two groups.
    ///
    /// # Errors
    /// When a value cannot be read.
    pub(super) fn ungrouped(&self) -> Result<Option<View>, Defect> {
        let Some(&[outputs, inputs]) = self.shape.first_chunk() else { return Ok(None) };
        let width = self.values.float.width();
        let row = width * self.len().checked_div(outputs).unwrap_or(0);
        if outputs % 2 != 0 || row == 0 {
            return Ok(None);
        }
        memory::check(3 * (row * outputs) as u64)?;
        let mut grouped = Vec::with_capacity(row * outputs);
        self.each_run(|bytes| {
            grouped.extend_from_slice(bytes);
            Ok(())
        })?;
        let mut opened = vec![0; 2 * row * outputs];
        for (output, weights) in grouped.chunks(row).enumerate() {
            let start = row * (2 * output + usize::from(output >= outputs / 2));
            opened[start..start + row].copy_from_slice(weights);
        }
        let mut shape = self.shape.clone();
        shape[1] = 2 * inputs;
        let values = Values { big_endian: false, ..self.values };
        let data = Arc::new(Data::plain(opened.into()));
        let strides = row_major(&shape);
        Ok(View::new(shape, &strides, 0, (data, 0), values).ok())
    }

    /// The tensor whose dimension `d` is this one's dimension `order[d]`.
    fn permuted<const RANK: usize>(&self, order: [usize; RANK]) -> Option<View> {
        let walk: &[Step; RANK] = self.walk.as_slice().try_into().ok()?;
        if self.shape.len() != RANK {
            return None;
        }
        let shape = order.map(|dimension| self.shape[dimension]).to_vec();
        Some(View { shape, walk: order.map(|dimension| walk[dimension]).to_vec(), ..self.clone() })
    }
}

impl From<Array> for View {
    /// A view of the values of `array`, which are no file's.
    fn from(array: Array) -> Self {
        let shape = array.shape().to_vec();
        let bytes: Vec<u8> = array.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        let data = (Arc::new(Data::plain(bytes.into())), 0);
        let view = View::new(shape.clone(), &row_major(&shape), 0, data, Float::F32.into());
        view.expect("an array's values fill its shape")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::strides::{AT_ONCE, LARGE, column_major, slices};

    fn data(values: &[f32]) -> (Arc<Data>, u64) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        (Arc::new(Data::plain(bytes.into())), 0)
    }

    fn counting(shape: &[usize]) -> View {
        let values = (0..elements(shape).unwrap()).map(|i| i as f32).collect();
        Array::new(shape.to_vec(), values).unwrap().into()
    }

    fn values(view: &View) -> Vec<f32> {
        view.array().unwrap().into_values()
    }

    #[test]
    fn a_dense_kernel_is_transposed() {
        let turned = counting(&[2, 3]).io_to_oi().unwrap();
        assert_eq!(turned.shape(), [3, 2]);
        assert_eq!(values(&turned), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    // import numpy as np
    // x = np.arange(24).reshape(2, 1, 3, 4).transpose(3, 2, 0, 1); print(x.shape, x.ravel())
    #[test]
    fn a_convolution_kernel_is_turned_as_numpy_does() {
        let turned = counting(&[2, 1, 3, 4]).hwio_to_oihw().unwrap();
        assert_eq!(turned.shape(), [4, 3, 2, 1]);
        let expected =
            [0, 12, 4, 16, 8, 20, 1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23];
        assert_eq!(values(&turned), expected.map(|value| value as f32));
    }

    #[test]
    fn a_tensor_of_another_rank_is_not_turned() {
        assert!(counting(&[2, 3]).hwio_to_oihw().is_none());
        assert!(counting(&[2]).io_to_oi().is_none());
        assert!(counting(&[2, 2]).reshaped(vec![4]).unwrap().io_to_oi().is_none());
    }

    #[test]
    fn an_empty_tensor_keeps_its_turned_shape() {
        let turned = counting(&[0, 3]).io_to_oi().unwrap();
        assert_eq!((turned.shape(), values(&turned)), (&[3, 0][..], vec![]));
    }

    #[test]
    fn a_strided_tensor_is_gathered_and_may_not_reach_beyond_its_values() {
        let strided = |shape: &[usize], strides: &[usize], first| {
            let data = data(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
            let view = View::new(shape.to_vec(), strides, first, data, Float::F32.into());
            view.map(|view| values(&view))
        };
        assert_eq!(strided(&[2, 2], &[1, 3], 0).unwrap(), [0.0, 3.0, 1.0, 4.0]);
        assert_eq!(strided(&[2, 2], &[1, 3], 1).unwrap(), [1.0, 4.0, 2.0, 5.0]);
        assert_eq!(strided(&[3], &[0], 2).unwrap(), [2.0; 3]);
        assert_eq!(strided(&[], &[], 5).unwrap(), [5.0]);
        assert_eq!(strided(&[0, 9], &[1, 1], 0).unwrap(), [0.0; 0]);
        assert_eq!(strided(&[2, 3], &[4, 1], 0), Err(Some(28)));
        assert_eq!(strided(&[1], &[1], 6), Err(Some(28)));
        assert_eq!(strided(&[2, 2], &[usize::MAX, 1], 0), Err(None));
        assert_eq!(strided(&[usize::MAX, 2], &[0, 0], 0), Err(None));
    }

    #[test]
    fn long_tensors_are_read_in_runs_and_short_ones_at_once() {
        let count = AT_ONCE / 4 + 77;
        let view = counting(&[count]);
        let expected: Vec<f32> = (0..count).map(|i| i as f32).collect();
        assert_eq!(values(&view), expected);
        let square = counting(&[300, 300]);
        let turned = values(&square.io_to_oi().unwrap());
        assert!((0..90_000).all(|at| turned[at] == ((at % 300) * 300 + at / 300) as f32));
        let signs = square.io_to_oi().unwrap().signs().unwrap();
        assert_eq!((signs.len(), signs.held_count(), signs.get(0)), (90_000, 89_999, 0));
    }

    #[test]
    fn a_large_turned_tensor_is_read_in_slices() {
        let (rows, columns, depth) = (1000, 1001, 9);
        let count = rows * columns * depth;
        let bytes: Vec<u8> = (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect();
        assert!(bytes.len() > LARGE);
        let data = (Arc::new(Data::plain(bytes.into())), 0);
        let shape = vec![rows, columns, depth];
        let strides = column_major(&shape);
        let view = View::new(shape, &strides, 0, data, Float::F32.into()).unwrap();
        let most = slices(&view.walk, 4).unwrap();
        assert!(most < rows, "{most} rows at a time");
        let expected = (0..count).map(|at| {
            let (row, column, layer) = (at / depth / columns, at / depth % columns, at % depth);
            (row + rows * (column + columns * layer)) as f32
        });
        assert!(values(&view).into_iter().eq(expected));
    }

    #[test]
    fn signs_are_those_of_the_values_whatever_their_bytes() {
        let content = [-1.5, 0.0, 2.0, -0.0, f32::NEG_INFINITY, 1e-40];
        let signs = [-1, 0, 1, 0, -1, 1];
        let bytes = |big_endian| -> Vec<u8> {
            let one = |value: &f32| match big_endian {
                true => value.to_be_bytes(),
                false => value.to_le_bytes(),
            };
            content.iter().flat_map(one).collect()
        };
        for (big_endian, negated) in [(false, false), (true, false), (false, true), (true, true)] {
            let data = (Arc::new(Data::plain(bytes(big_endian).into())), 0);
            let values = Values { float: Float::F32, big_endian, negated };
            let view = View::new(vec![2, 3], &[3, 1], 0, data, values).unwrap();
            let by = if negated { -1.0 } else { 1.0 };
            let expected = signs.map(|sign| if negated { -sign } else { sign });
            assert_eq!(view.signs().unwrap().to_signs(), expected);
            assert_eq!(view.array().unwrap().values(), content.map(|value| by * value));
        }
    }

    #[test]
    fn a_weight_that_is_no_number_is_found_where_it_stands() {
        let mut content = vec![1.0; 200];
        content[131] = f32::NAN;
        let view = View::new(vec![200], &[1], 0, data(&content), Float::F32.into()).unwrap();
        let refused = view.signs().unwrap_err().to_string();
        assert!(refused.starts_with("weight 131: has no sign"), "{refused}");
    }

    #[test]
    fn a_float64_beyond_float32_has_a_sign_and_no_float32() {
        let bytes: Vec<u8> = [-1e-300_f64, 1e300].iter().flat_map(|v| v.to_le_bytes()).collect();
        let data = (Arc::new(Data::plain(bytes.into())), 0);
        let view = View::new(vec![2], &[1], 0, data, Float::F64.into()).unwrap();
        assert_eq!(view.signs().unwrap().to_signs(), [-1, 1]);
        assert!(matches!(view.array(), Err(Defect::Range(value)) if value == -1e-300));
    }

    #[test]
    fn a_value_shown_a_million_million_times_is_refused() {
        let shape = vec![1 << 20, 1 << 28];
        let view = View::new(shape, &[0, 0], 0, data(&[1.0]), Float::F32.into()).unwrap();
        for refused in [view.signs().unwrap_err(), view.array().unwrap_err()] {
            assert!(matches!(refused, Defect::Spread { stored: 1, .. }), "{refused}");
        }
        let few = View::new(vec![1 << 10, 1 << 10], &[0, 0], 0, data(&[-1.0]), Float::F32.into());
        assert_eq!(few.unwrap().signs().unwrap().get((1 << 20) - 1), -1);
    }

    #[test]
    fn a_shape_whose_bytes_run_over_64_bits_is_refused() {
        let view = View::new(vec![1 << 62], &[0], 0, data(&[1.0]), Float::F32.into()).unwrap();
        for refused in [view.signs().unwrap_err(), view.array().unwrap_err()] {
            assert!(refused.to_string().starts_with("shows 4611686018427387904 values of 1 "));
        }
    }

    // w = np.arange(8).reshape(4, 2, 1); full = np.zeros((4, 4, 1))
    // full[:2, :2] = w[:2]; full[2:, 2:] = w[2:]
    #[test]
    fn groups_are_opened_with_zeros_between_them() {
        let full = counting(&[4, 2, 1]).ungrouped().unwrap().unwrap();
        assert_eq!(full.shape(), [4, 4, 1]);
        let expected = [0, 1, 0, 0, 2, 3, 0, 0, 0, 0, 4, 5, 0, 0, 6, 7];
        assert_eq!(values(&full), expected.map(|value| value as f32));
        assert!(counting(&[0, 2]).ungrouped().unwrap().is_none());
        assert!(counting(&[2]).ungrouped().unwrap().is_none());
    }

    // w = np.arange(12).reshape(6, 2); w.reshape(1, 2, 3, 2).transpose(3, 2, 0, 1).reshape(2, 6)
    #[test]
    fn a_dimension_is_split_and_turned_and_joined_again() {
        let split = counting(&[6, 2]).split(&[1, 2, 3]).unwrap();
        assert_eq!(split.shape(), [1, 2, 3, 2]);
        let joined = split.hwio_to_oihw().unwrap().reshaped(vec![2, 6]).unwrap();
        assert_eq!(values(&joined), [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11].map(|v| v as f32));
        assert!(counting(&[7, 2]).split(&[1, 2, 3]).is_none());
        assert!(joined.split(&[2, 1]).is_none(), "its dimensions are no longer steps");
    }
}
