//! One parallel region for a whole model: the chunks of all tensors in one queue.
//!
//! The caller takes them from the front and its helpers from the back, so that two threads read far
//! from each other: on two cores this is worth up to 5 % of a step over 61 M weights.
//!
//! Threads start with the step and end with it, which takes some tens of microseconds; between
//! steps the cores belong to libtorch. A thread that meets one of its OpenMP workers on its core
//! takes fewer chunks meanwhile.

use std::sync::Mutex;

use crate::kernel::Fused;
use crate::kernel::hold::Counts;
use crate::kernel::path::Kernel;

/// Weights in a chunk, about 1 MB of traffic for Adam. A power of two, so that the indices in a
/// chunk agree above their low 32 bits, and a multiple of a block.
pub(super) const CHUNK: usize = 1 << 15;

/// Weights that are worth a thread: a hundred microseconds of work.
const SHARE: usize = 4 * CHUNK;

/// The chunks of all tensors, each with its tensor's number.
type Chunks<K> = std::vec::IntoIter<(usize, K)>;

impl Fused {
    /// Runs the kernels that `cut` makes of each tensor and gives back the counts of each tensor.
    pub(super) fn run<T, K, I>(self, tensors: Vec<T>, cut: impl Fn(T) -> I) -> Vec<Counts>
    where
        K: Kernel + Send,
        I: Iterator<Item = K>,
    {
        let count = tensors.len();
        let chunks: Vec<(usize, K)> = tensors
            .into_iter()
            .enumerate()
            .flat_map(|(tensor, slices)| cut(slices).map(move |chunk| (tensor, chunk)))
            .collect();
        let weights: usize = chunks.iter().map(|(_, chunk)| chunk.weights()).sum();
        let helpers = self.threads.get().min(weights / SHARE).saturating_sub(1);

        let queue = Mutex::new(chunks.into_iter());
        let work = |end: fn(&mut Chunks<K>) -> Option<(usize, K)>| {
            let next =
                || end(&mut queue.lock().expect("no thread panics while it holds the queue"));
            let mut counts = vec![Counts::default(); count];
            while let Some((tensor, chunk)) = next() {
                counts[tensor] += self.path.run(chunk);
            }
            counts
        };
        std::thread::scope(|scope| {
            let helpers: Vec<_> =
                (0..helpers).map(|_| scope.spawn(|| work(Chunks::next_back))).collect();
            let mut total = work(Chunks::next);
            for helper in helpers {
                let counts = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                total.iter_mut().zip(counts).for_each(|(total, part)| *total += part);
            }
            total
        })
    }
}
