//! How the values of a tensor lie in memory or in a file, and how to walk along them.
//!
//! A walk that is in order is read as it lies. Of a large one whose slowest dimension lies closest
//! together, slices are read, so that it never takes memory of its own size.

use super::bytes::Bytes;
use super::defect::Defect;

/// A dimension of a walk: how many values it has, and how far apart they lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub extent: usize,
    pub stride: usize,
}

/// Bytes that are read at once.
pub(super) const AT_ONCE: usize = 1 << 18;

/// The strides of a tensor of `shape` whose last dimension lies closest together.
pub(super) fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = column_major(&shape.iter().rev().copied().collect::<Vec<_>>());
    strides.reverse();
    strides
}

/// The strides of a tensor of `shape` whose first dimension lies closest together.
pub(super) fn column_major(shape: &[usize]) -> Vec<usize> {
    let mut next = 1_usize;
    shape
        .iter()
        .map(|&extent| {
            let stride = next;
            next = next.saturating_mul(extent);
            stride
        })
        .collect()
}

/// How many stored values a walk reaches over, if that can be counted.
pub(super) fn span(walk: &[Step]) -> Option<u64> {
    if walk.iter().any(|step| step.extent == 0) {
        return Some(0);
    }
    walk.iter().try_fold(1_u64, |span, step| {
        span.checked_add((step.extent as u64 - 1).checked_mul(step.stride as u64)?)
    })
}

/// The same walk in as few steps as can be.
pub(super) fn merged(walk: &[Step]) -> Vec<Step> {
    let mut merged: Vec<Step> = Vec::new();
    for step in walk.iter().filter(|step| step.extent != 1) {
        match merged.last_mut() {
            Some(last) if last.stride == step.extent.saturating_mul(step.stride) => {
                *last = Step { extent: last.extent * step.extent, stride: step.stride };
            }
            _ => merged.push(*step),
        }
    }
    merged
}

/// Who looks at the values, run by run.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&mut [u8]) -> Result<(), Defect>;

/// Shows the first `length` of `bytes`.
pub(super) fn each_run_in_order(bytes: &Bytes, length: usize, visit: Visit) -> Result<(), Defect> {
    let mut run = vec![0; AT_ONCE.min(length)];
    for start in (0..length).step_by(AT_ONCE) {
        let run = &mut run[..AT_ONCE.min(length - start)];
        bytes.read_at(start as u64, run)?;
        visit(run)?;
    }
    Ok(())
}

/// Shows the values along `walk`, which begins with the first of `bytes`; each has `width`.
pub(super) fn each_run_of_a_walk(
    bytes: &Bytes,
    width: usize,
    walk: &[Step],
    visit: Visit,
) -> Result<(), Defect> {
    let mut runs = Runs { width, run: Vec::with_capacity(AT_ONCE), visit };
    let reach = span(walk).expect("it was counted when the view was made") * width as u64;
    match slices(walk, width) {
        Some(most) if reach > LARGE as u64 => runs.gather_in_slices(bytes, walk, most)?,
        _ => {
            let stored = bytes.part(0, reach).expect("the view ends in its data").all()?;
            runs.gather(&stored, walk)?;
        }
    }
    runs.finish()
}

/// A tensor of more bytes is not read as a whole.
pub(super) const LARGE: usize = 32 << 20;

/// How many indices of the slowest dimension of `walk` make a slice of at most [`LARGE`] bytes, where
/// they lie side by side and are worth a read of the disk.
pub(super) fn slices(walk: &[Step], width: usize) -> Option<usize> {
    const WORTH: usize = 512;
    let (slowest, others) = walk.split_first()?;
    let row: usize = others.iter().map(|step| step.extent).product();
    let most = (LARGE / width).checked_div(row)?.min(slowest.extent);
    (slowest.stride == 1 && most * width >= WORTH).then_some(most)
}

/// The values so far that have not been shown.
struct Runs<'v> {
    width: usize,
    run: Vec<u8>,
    visit: Visit<'v>,
}

impl Runs<'_> {
    /// Takes the values along `walk` from `stored`.
    fn gather(&mut self, stored: &[u8], walk: &[Step]) -> Result<(), Defect> {
        match self.width {
            1 => self.gather_of::<1>(stored, walk),
            2 => self.gather_of::<2>(stored, walk),
            4 => self.gather_of::<4>(stored, walk),
            _ => self.gather_of::<8>(stored, walk),
        }
    }

    fn gather_of<const WIDTH: usize>(
        &mut self,
        stored: &[u8],
        walk: &[Step],
    ) -> Result<(), Defect> {
        let values: &[[u8; WIDTH]] = stored.as_chunks().0;
        let (fastest, others) = walk.split_last().expect("a walk of no step is one value");
        each_place(others, |row| {
            let mut index = 0;
            while index < fastest.extent {
                let room = (AT_ONCE - self.run.len()) / WIDTH;
                let end = fastest.extent.min(index + room);
                for index in index..end {
                    self.run.extend_from_slice(&values[row + index * fastest.stride]);
                }
                index = end;
                if self.run.len() == AT_ONCE {
                    (self.visit)(&mut self.run)?;
                    self.run.clear();
                }
            }
            Ok(())
        })
    }

    /// The same from a file, `most` indices of the slowest dimension at a time.
    fn gather_in_slices(
        &mut self,
        bytes: &Bytes,
        walk: &[Step],
        most: usize,
    ) -> Result<(), Defect> {
        let (slowest, others) = walk.split_first().expect("a walk of no step is one value");
        let extents: Vec<usize> = others.iter().map(|step| step.extent).collect();
        let width = self.width;
        let mut stored = vec![0; width * most * extents.iter().product::<usize>()];
        for start in (0..slowest.extent).step_by(most) {
            let count = most.min(slowest.extent - start);
            let mut slices = stored.chunks_exact_mut(width * count);
            each_place(others, |place| {
                let values = slices.next().expect("one for each place");
                Ok(bytes.read_at(((place + start) * width) as u64, values)?)
            })?;
            let strides = row_major(&extents).into_iter().map(|stride| stride * count);
            let inner = extents.iter().zip(strides);
            let walk: Vec<Step> = [Step { extent: count, stride: 1 }]
                .into_iter()
                .chain(inner.map(|(&extent, stride)| Step { extent, stride }))
                .collect();
            self.gather(&stored, &walk)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Defect> {
        if self.run.is_empty() { Ok(()) } else { (self.visit)(&mut self.run) }
    }
}

/// Every place along `walk` in its order.
fn each_place(
    walk: &[Step],
    mut visit: impl FnMut(usize) -> Result<(), Defect>,
) -> Result<(), Defect> {
    let mut index = vec![0; walk.len()];
    'places: loop {
        visit(index.iter().zip(walk).map(|(at, step)| at * step.stride).sum())?;
        for (at, step) in index.iter_mut().zip(walk).rev() {
            *at += 1;
            if *at < step.extent {
                continue 'places;
            }
            *at = 0;
        }
        return Ok(());
    }
}
