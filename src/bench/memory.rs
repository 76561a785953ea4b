//! What the memory allows: `a = b + s · c` over buffers as large as the weights.
//!
//! **Source**: the triad of McCalpin's STREAM. It counts 12 bytes a number; a CPU that reads a line
//! before it writes it moves 16, so a kernel that writes only what it has read can pass it.

use super::Error;
use super::spread::Contender;

/// Three buffers and the threads that go over them.
pub(super) struct Triad {
    buffers: [Vec<f32>; 3],
    threads: usize,
}

impl Triad {
    /// Bytes a number that the triad is counted with.
    pub(super) const BYTES: f64 = 12.0;

    pub(super) fn new(length: usize, threads: usize) -> Self {
        Triad { buffers: [0.0, 1.0, 2.0].map(|value| vec![value; length]), threads }
    }
}

impl Contender for Triad {
    fn step(&mut self) -> Result<(), Error> {
        let [a, b, c] = &mut self.buffers;
        let share = a.len().div_ceil(self.threads).max(1);
        let mut parts = a.chunks_mut(share).zip(b.chunks(share)).zip(c.chunks(share));
        std::thread::scope(|scope| {
            let own = parts.next();
            for part in parts {
                scope.spawn(|| add(part));
            }
            own.into_iter().for_each(add);
        });
        Ok(())
    }
}

fn add(((a, b), c): ((&mut [f32], &[f32]), &[f32])) {
    for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
        *a = b + 0.5 * c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_triad_reaches_every_number_with_any_number_of_threads() {
        for threads in [1, 2, 3] {
            let mut triad = Triad::new(1001, threads);
            triad.step().unwrap();
            assert_eq!(triad.buffers[0], [2.0; 1001]);
        }
    }
}
