//! The fused kernels beside the memory they run in: `cargo bench --bench kernel [-- WEIGHTS…]`.
//!
//! For each size and number of threads the cases run in turn, round after round, so that whatever
//! else the machine does meets all of them; printed are medians with their quartiles. `of triad` is
//! the share of the bandwidth that `a = b + s · c` reaches over the same buffers in the same rounds,
//! 12 bytes a weight counted. (A CPU that reads a line before it writes it moves 16 for the triad,
//! so a kernel that writes only what it has read can pass 1.)

use std::num::NonZeroUsize;
use std::time::Instant;

use polarity::optim::fused::{
    AdamStep, AdamTensor, Counts, Fused, Hold, Momentum, ProjectTensor, ResetKey, SgdStep,
    SgdTensor,
};
use polarity::sign::{Reset, SignMask};

const SIZES: [usize; 3] = [60_000, 3_800_000, 61_100_840];

/// One thing to time.
struct Case {
    name: &'static str,
    work: Work,
    /// Bytes a weight that have to be read and written.
    bytes: f64,
    /// Share of the weights that violate after the update.
    violators: f64,
}

#[derive(Clone, Copy)]
enum Work {
    Triad,
    Adam(Mask),
    Sgd(Mask),
    Project,
}

#[derive(Clone, Copy)]
enum Mask {
    None,
    Free,
    Held(Reset),
}

const RANDOM: Mask = Mask::Held(Reset::Uniform(1e-3));
const ZERO: Mask = Mask::Held(Reset::Zero);

const CASES: [Case; 12] = [
    Case::new("triad", Work::Triad, 12.0, 0.0),
    Case::new("adam, no mask", Work::Adam(Mask::None), 28.0, 0.0),
    Case::new("adam, all free", Work::Adam(Mask::Free), 28.25, 0.0),
    Case::new("adam, held, 0 % reset", Work::Adam(RANDOM), 28.125, 0.0),
    Case::new("adam, held, 0.1 % zero", Work::Adam(ZERO), 28.125, 0.001),
    Case::new("adam, held, 0.1 % random", Work::Adam(RANDOM), 28.125, 0.001),
    Case::new("adam, held, 1 % zero", Work::Adam(ZERO), 28.125, 0.01),
    Case::new("adam, held, 1 % random", Work::Adam(RANDOM), 28.125, 0.01),
    Case::new("sgd, no mask", Work::Sgd(Mask::None), 20.0, 0.0),
    Case::new("sgd, held, 1 % random", Work::Sgd(RANDOM), 20.125, 0.01),
    Case::new("projection, 0 % reset", Work::Project, 4.125, 0.0),
    Case::new("projection, 1 % random", Work::Project, 4.125, 0.01),
];

impl Case {
    const fn new(name: &'static str, work: Work, bytes: f64, violators: f64) -> Self {
        Case { name, work, bytes, violators }
    }
}

fn main() {
    let asked: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    for size in if asked.is_empty() { SIZES.to_vec() } else { asked } {
        let mut model = Model::new(size);
        for threads in [1, cores] {
            run(&mut model, threads);
        }
    }
}

/// Times all cases over one model and prints a line for each.
fn run(model: &mut Model, threads: usize) {
    let fused = Fused::new(NonZeroUsize::new(threads).expect("at least one core"));
    let size = model.mask.len();
    let rounds = (300_000_000 / size).clamp(12, 500);
    let mut times = vec![Vec::with_capacity(rounds); CASES.len()];
    for _ in 0..rounds {
        for (case, times) in CASES.iter().zip(&mut times) {
            model.prepare(case);
            let start = Instant::now();
            let counts = model.work(case.work, fused, threads);
            times.push(start.elapsed().as_secs_f64());
            assert_eq!(counts.resets > 0, case.violators > 0.0, "{}", case.name);
        }
    }

    println!("{size} weights, {threads} threads, {:?}, {rounds} rounds", fused.path());
    println!("  {:26}{:>9}{:>19}{:>8}{:>10}", "", "ms", "quartiles", "GB/s", "of triad");
    let mut triad = None;
    for (case, times) in CASES.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let [low, median, high] = [1, 2, 3].map(|quarter| times[times.len() * quarter / 4]);
        let rate = case.bytes * size as f64 / median;
        let triad = *triad.get_or_insert(rate);
        println!(
            "  {:26}{:9.3}{:9.3} …{:8.3}{:8.1}{:10.2}",
            case.name,
            1e3 * median,
            1e3 * low,
            1e3 * high,
            1e-9 * rate,
            rate / triad
        );
    }
}

/// A model of one tensor.
struct Model {
    weights: Aligned,
    gradient: Aligned,
    first: Aligned,
    second: Aligned,
    mask: SignMask,
    free: SignMask,
}

impl Model {
    fn new(size: usize) -> Self {
        let signs: Vec<i8> =
            (0..size).map(|index| if hash(index) & 1 == 1 { 1 } else { -1 }).collect();
        Model {
            weights: Aligned::new(size),
            gradient: Aligned::new(size),
            first: Aligned::new(size),
            second: Aligned::new(size),
            mask: SignMask::from_signs(&signs),
            free: SignMask::free(size),
        }
    }

    /// Puts violators-to-be near zero on their own side, where a step of 0.001 takes them over, and
    /// for the projection on the wrong side.
    fn prepare(&mut self, case: &Case) {
        let limit = (case.violators * (1_u64 << 32) as f64) as u64;
        let over = if matches!(case.work, Work::Project) { -1e-4 } else { 1e-4 };
        for (index, (weight, gradient)) in
            self.weights.get().iter_mut().zip(self.gradient.get()).enumerate()
        {
            let hash = hash(index);
            let sign = if hash & 1 == 1 { 1.0 } else { -1.0 };
            let violates = hash >> 32 < limit;
            *weight = if violates { sign * over } else { sign * 0.1 };
            *gradient = if violates { sign * 1e-3 } else { -sign * 1e-3 };
        }
        self.first.get().fill(0.0);
        self.second.get().fill(0.0);
    }

    fn work(&mut self, work: Work, fused: Fused, threads: usize) -> Counts {
        let Model { weights, gradient, first, second, mask, free } = self;
        let (weights, gradient) = (weights.get(), gradient.get());
        let (first, second) = (first.get(), second.get());
        let hold = |mask_kind| {
            let key = ResetKey { seed: 1, step: 2, tensor: 3 };
            match mask_kind {
                Mask::None => None,
                Mask::Free => Some(Hold { mask: free, reset: Reset::Zero, key }),
                Mask::Held(reset) => Some(Hold { mask, reset, key }),
            }
        };
        let counts = match work {
            Work::Triad => {
                triad(first, weights, gradient, threads);
                return Counts::default();
            }
            Work::Adam(mask) => fused.adam(vec![AdamTensor {
                weights,
                gradient,
                first_moment: first,
                second_moment: second,
                step: AdamStep {
                    lr: 1e-3,
                    beta1: 0.9,
                    beta2: 0.999,
                    eps: 1e-8,
                    weight_decay: 0.0,
                    decoupled: false,
                    step: 1,
                },
                hold: hold(mask),
            }]),
            Work::Sgd(mask) => fused.sgd(vec![SgdTensor {
                weights,
                gradient,
                momentum: Some(Momentum {
                    buffer: first,
                    first: false,
                    momentum: 0.9,
                    dampening: 0.0,
                    nesterov: false,
                }),
                step: SgdStep { lr: 1.0, weight_decay: 0.0 },
                hold: hold(mask),
            }]),
            Work::Project => {
                let hold = hold(RANDOM).expect("a mask that holds");
                fused.project(vec![ProjectTensor { weights, hold }])
            }
        };
        counts[0]
    }
}

/// a = b + s · c.
fn triad(a: &mut [f32], b: &[f32], c: &[f32], threads: usize) {
    let share = a.len().div_ceil(threads);
    let run = |a: &mut [f32], b: &[f32], c: &[f32]| {
        a.iter_mut().zip(b).zip(c).for_each(|((a, b), c)| *a = b + 0.5 * c);
    };
    if threads == 1 {
        return run(a, b, c);
    }
    std::thread::scope(|scope| {
        for ((a, b), c) in a.chunks_mut(share).zip(b.chunks(share)).zip(c.chunks(share)) {
            scope.spawn(move || run(a, b, c));
        }
    });
}

/// Numbers that begin on a cache line, as libtorch's do.
struct Aligned {
    numbers: Vec<f32>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let numbers = vec![0.0; length + 16];
        let start = numbers.as_ptr().align_offset(64);
        Aligned { numbers, start, length }
    }

    fn get(&mut self) -> &mut [f32] {
        &mut self.numbers[self.start..self.start + self.length]
    }
}

/// SplitMix64's number `index`.
fn hash(index: usize) -> u64 {
    let mut z = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
