//! The fused kernels alone, one tensor on all cores: `cargo bench --bench kernel`.
//!
//! A case with violators puts them back before every step, outside the timed part. How a whole step
//! compares with libtorch's is for `polarity bench`.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use polarity_core::kernel::{
    AdamStep, AdamTensor, Fused, Hold, Momentum, ProjectTensor, ResetKey, SgdStep, SgdTensor,
};
use polarity_core::random::Stream;
use polarity_core::sign::{Reset, SignMask};

const SIZES: [usize; 3] = [60_000, 3_800_000, 61_100_840];

/// What is held, and how many of the held weights violate after the update.
const HOLDS: [(&str, Option<usize>); 4] =
    [("no mask", None), ("no violator", Some(0)), ("0.1 %", Some(1000)), ("1 %", Some(100))];

const ADAM: AdamStep = AdamStep {
    lr: 1e-3,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weight_decay: 0.0,
    decoupled: false,
    step: 1,
};

fn kernels(criterion: &mut Criterion) {
    let fused = Fused::new(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    for size in SIZES {
        let mut tensor = Tensor::new(size);
        for (name, every) in HOLDS {
            bench(criterion, "adam", name, 28, &mut tensor, every, |tensor| tensor.adam(fused));
            bench(criterion, "sgd", name, 20, &mut tensor, every, |tensor| tensor.sgd(fused));
        }
        for (name, every) in &HOLDS[1..] {
            let project = |tensor: &mut Tensor| tensor.project(fused);
            bench(criterion, "projection", name, 4, &mut tensor, *every, project);
        }
    }
}

fn bench(
    criterion: &mut Criterion,
    kernel: &str,
    hold: &str,
    bytes: u64,
    tensor: &mut Tensor,
    every: Option<usize>,
    mut work: impl FnMut(&mut Tensor),
) {
    let size = tensor.weights.len();
    let mut group = criterion.benchmark_group(kernel);
    group.sample_size(12).throughput(Throughput::Bytes(bytes * size as u64));
    group.bench_function(BenchmarkId::new(hold, size), |bencher| {
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                tensor.put_back(every);
                let start = Instant::now();
                work(tensor);
                total += start.elapsed();
            }
            total
        });
    });
    group.finish();
}

/// A tensor with all that the optimizers keep for it.
struct Tensor {
    signs: Vec<f32>,
    mask: SignMask,
    held: bool,
    weights: Vec<f32>,
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Tensor {
    fn new(size: usize) -> Self {
        let mask = SignMask::random(size, 0.5, &mut Stream::new(1, "mask"));
        let [weights, gradient, first, second] = [(); 4].map(|()| vec![0.0; size]);
        Tensor { signs: mask.to_f32(), mask, held: true, weights, gradient, first, second }
    }

    /// Every weight on its side and moving away from zero, but every so many on the wrong side.
    fn put_back(&mut self, every: Option<usize>) {
        self.held = every.is_some();
        self.first.fill(0.0);
        self.second.fill(0.0);
        let weights = self.weights.iter_mut().zip(&mut self.gradient).zip(&self.signs);
        for (index, ((weight, gradient), sign)) in weights.enumerate() {
            let violates = every.is_some_and(|every| every > 0 && index % every == 0);
            *weight = if violates { -0.1 * sign } else { 0.1 * sign };
            *gradient = -1e-3 * sign;
        }
    }

    fn adam(&mut self, fused: Fused) {
        let Tensor { mask, held, weights, gradient, first, second, .. } = self;
        let hold = held.then(|| hold(mask));
        fused.adam(vec![AdamTensor {
            weights,
            gradient,
            first_moment: first,
            second_moment: second,
            step: ADAM,
            hold,
        }]);
    }

    fn sgd(&mut self, fused: Fused) {
        let Tensor { mask, held, weights, gradient, first, .. } = self;
        let hold = held.then(|| hold(mask));
        let momentum = Momentum {
            buffer: first,
            first: false,
            momentum: 0.9,
            dampening: 0.0,
            nesterov: false,
        };
        fused.sgd(vec![SgdTensor {
            weights,
            gradient,
            momentum: Some(momentum),
            step: SgdStep { lr: 1e-3, weight_decay: 0.0 },
            hold,
        }]);
    }

    fn project(&mut self, fused: Fused) {
        let Tensor { mask, weights, .. } = self;
        fused.project(vec![ProjectTensor { weights, hold: hold(mask) }]);
    }
}

fn hold(mask: &SignMask) -> Hold<'_> {
    Hold { mask, reset: Reset::default(), key: ResetKey { seed: 1, step: 2, tensor: 3 } }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
