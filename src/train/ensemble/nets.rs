//! The nets of a block, one a lane: forward, backward, Adam, projection and counts.
//!
//! All that is known of a weight lies side by side for the nets of the block: its values are one
//! vector, its moments two more. A step goes over the batch twice. Forward, two points at a time, their
//! coordinates stay in registers while the hidden units pass by. Backward, one hidden unit at a time,
//! its seven gradients stay in registers while the points pass by, and its weights are updated and
//! projected right after, so gradients never reach the memory.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes, inputs and roles are numbers that several arrays share"
)]

use super::logistic::Logistic;
use super::vector::{MOST_LANES, Vector};
use crate::data::xor::Point;
use crate::models::mlp::{HIDDEN_WEIGHT, INPUTS, OUTPUT_WEIGHT, Signs, Weights};
use crate::optim::fused::{AdamScalars, Draws, ResetKey};
use crate::sign::Reset;

/// Weights of a hidden unit: those of its inputs, then these.
const BIAS: usize = INPUTS;
const OUTPUT: usize = INPUTS + 1;
const ROLES: usize = INPUTS + 2;

/// Points whose losses are summed in single precision before they join the total.
const SUMMED: usize = 100;

/// One point of each net.
#[derive(Clone, Copy)]
pub(super) struct Points<V> {
    x: [V; INPUTS],
    /// 0 or 1.
    class: V,
}

impl<V: Vector> Points<V> {
    #[inline(always)]
    pub(super) fn empty() -> Self {
        Points { x: [V::splat(0.0); INPUTS], class: V::splat(0.0) }
    }

    #[inline(always)]
    pub(super) fn set(&mut self, lane: usize, point: &Point) {
        for (place, x) in self.x.iter_mut().zip(point.x) {
            place.lanes_mut()[lane] = x;
        }
        self.class.lanes_mut()[lane] = f32::from(point.class);
    }
}

/// A weight of each net, with Adam's moments.
#[derive(Clone, Copy)]
struct Weight<V> {
    value: V,
    first: V,
    second: V,
}

impl<V: Vector> Weight<V> {
    #[inline(always)]
    fn zero() -> Self {
        let zero = V::splat(0.0);
        Weight { value: zero, first: zero, second: zero }
    }

    /// A step of Adam as [`fused`](crate::optim::fused) takes it, bit for bit.
    #[inline(always)]
    fn update(&mut self, gradient: V, adam: &AdamScalars) {
        let scalar = V::splat;
        let gradient = match adam.decay {
            Some(decay) => gradient.add(scalar(decay).mul(self.value)),
            None => gradient,
        };
        let first = scalar(adam.keep_first).mul(self.first);
        self.first = flushed(first.add(scalar(adam.gain_first).mul(gradient)));
        let second = scalar(adam.keep_second).mul(self.second);
        let square = scalar(adam.gain_second).mul(gradient).mul(gradient);
        self.second = flushed(second.add(square));
        let root = self.second.sqrt().mul(scalar(adam.root_scale)).add(scalar(adam.eps));
        let kept = self.value.mul(scalar(adam.shrink));
        self.value = kept.sub(scalar(adam.rate).mul(self.first).div(root));
    }
}

#[inline(always)]
fn flushed<V: Vector>(moment: V) -> V {
    let is_subnormal = moment.abs().less(V::splat(f32::MIN_POSITIVE));
    V::select(is_subnormal, V::splat(0.0), moment)
}

/// 1 for each net whose weight went from one side of zero to the other.
#[inline(always)]
fn crossed<V: Vector>(before: V, after: V) -> V {
    let zero = V::splat(0.0);
    let apart = V::both(before.min(after).less(zero), zero.less(before.max(after)));
    V::select(apart, V::splat(1.0), zero)
}

/// A hidden unit of each net.
#[derive(Clone, Copy)]
struct Unit<V> {
    weights: [Weight<V>; ROLES],
    /// The sign each must keep, 0 where it is free.
    signs: [V; ROLES],
}

impl<V: Vector> Unit<V> {
    /// max(0, w · x + b); no number where the sum is none.
    #[inline(always)]
    fn activation(&self, x: &[V; INPUTS]) -> V {
        let mut sum = self.weights[BIAS].value;
        for input in 0..INPUTS {
            sum = sum.add(self.weights[input].value.mul(x[input]));
        }
        V::splat(0.0).max(sum)
    }

    /// Gradients of its weights, from its activations and the derivatives of the loss by the logits.
    #[inline(always)]
    fn gradients(&self, activations: &[V], residuals: &[V], batch: &[Points<V>]) -> [V; ROLES] {
        let zero = V::splat(0.0);
        let output = self.weights[OUTPUT].value;
        let mut sums = [zero; ROLES];
        let points = batch.len();
        let (activations, residuals) = (&activations[..points], &residuals[..points]);
        for point in 0..points {
            let (active, residual) = (activations[point], residuals[point]);
            sums[OUTPUT] = sums[OUTPUT].add(residual.mul(active));
            let back = V::select(zero.less(active), residual.mul(output), zero);
            sums[BIAS] = sums[BIAS].add(back);
            for input in 0..INPUTS {
                sums[input] = sums[input].add(back.mul(batch[point].x[input]));
            }
        }
        sums
    }
}

/// What puts violators back.
#[derive(Clone, Debug)]
struct Resets {
    rule: Reset,
    seeds: [u64; MOST_LANES],
    /// Numbers of the two kernels.
    tensors: [u64; 2],
    /// The draws of this step in each kernel, a lane each.
    draws: [[Draws; MOST_LANES]; 2],
}

impl Resets {
    /// Turns to the draws of `step`.
    #[inline(always)]
    fn begin<V: Vector>(&mut self, step: u64) {
        if !self.rule.is_random() {
            return;
        }
        for (tensor, draws) in self.tensors.into_iter().zip(&mut self.draws) {
            for lane in 0..V::LANES {
                let key = ResetKey { seed: self.seeds[lane], step, tensor };
                draws[lane] = Draws::new(key, 0);
            }
        }
    }

    /// What violators of the weight `index` of a kernel become; `signs` are the signs they must have.
    #[inline(always)]
    fn replacement<V: Vector>(&self, value: V, signs: V, kernel: usize, index: usize) -> V {
        match self.rule {
            Reset::Zero => V::splat(0.0),
            Reset::Flip => signs.mul(value.abs()),
            Reset::Constant(magnitude) => signs.mul(V::splat(magnitude.get())),
            Reset::Uniform(max) => {
                let mut uniform = V::splat(0.0);
                for (lane, value) in uniform.lanes_mut().iter_mut().enumerate() {
                    *value = self.draws[kernel][lane].uniform(index as u32);
                }
                signs.mul(V::splat(max.get()).mul(uniform))
            }
        }
    }
}

/// What happened to the weights of each net.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Times a weight was put back.
    pub(super) resets: [u64; MOST_LANES],
    /// Times a weight went from one side of zero to the other.
    pub(super) flips: [u64; MOST_LANES],
}

/// How each net does on its points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores {
    /// Mean losses.
    pub(super) losses: [f64; MOST_LANES],
    /// Points classified wrongly.
    pub(super) wrong: [u64; MOST_LANES],
    /// Points in all.
    pub(super) of: u64,
}

/// The nets of a block, all of one width.
pub(super) struct Nets<V> {
    units: Vec<Unit<V>>,
    bias: Weight<V>,
    holding: Resets,
    /// Resets and flips that are not in the tally yet; whole numbers.
    counts: [V; 2],
    tally: Tally,
    steps: u64,
    /// Of each unit in turn, for each point of the batch.
    activations: Vec<V>,
    residuals: Vec<V>,
}

impl<V: Vector> Nets<V> {
    /// Free nets with `width` hidden units, all weights 0, for batches of at most `batch` points.
    #[inline(always)]
    pub(super) fn new(width: usize, batch: usize) -> Self {
        let zero = V::splat(0.0);
        let unit = Unit { weights: [Weight::zero(); ROLES], signs: [zero; ROLES] };
        Nets {
            units: vec![unit; width],
            bias: Weight::zero(),
            holding: Resets {
                rule: Reset::Zero,
                seeds: [0; MOST_LANES],
                tensors: [HIDDEN_WEIGHT, OUTPUT_WEIGHT].map(ResetKey::number),
                draws: [[Draws::default(); MOST_LANES]; 2],
            },
            counts: [zero; 2],
            tally: Tally::default(),
            steps: 0,
            activations: vec![zero; width * batch],
            residuals: vec![zero; batch],
        }
    }

    /// Gives the net in `lane` its weights.
    #[inline(always)]
    pub(super) fn set(&mut self, lane: usize, weights: &Weights) {
        self.put(lane, weights, |weight| &mut weight.value);
    }

    /// Gives the net in `lane` its first and second moments.
    #[inline(always)]
    pub(super) fn set_moments(&mut self, lane: usize, [first, second]: &[Weights; 2]) {
        self.put(lane, first, |weight| &mut weight.first);
        self.put(lane, second, |weight| &mut weight.second);
    }

    /// Gives the net in `lane` what happened to its weights before.
    #[inline(always)]
    pub(super) fn set_tally(&mut self, lane: usize, resets: u64, flips: u64) {
        (self.tally.resets[lane], self.tally.flips[lane]) = (resets, flips);
    }

    /// The next step is the one after so many.
    #[inline(always)]
    pub(super) fn go_on_after(&mut self, steps: u64) {
        self.steps = steps;
    }

    #[inline(always)]
    fn put(&mut self, lane: usize, values: &Weights, part: impl Fn(&mut Weight<V>) -> &mut V) {
        let set = |weight: &mut Weight<V>, value| part(weight).lanes_mut()[lane] = value;
        for (number, unit) in self.units.iter_mut().enumerate() {
            for input in 0..INPUTS {
                set(&mut unit.weights[input], values.hidden[number][input]);
            }
            set(&mut unit.weights[BIAS], values.hidden_bias[number]);
            set(&mut unit.weights[OUTPUT], values.output[number]);
        }
        set(&mut self.bias, values.output_bias);
    }

    /// Holds the net in `lane` to `signs`; all held nets of a block have the same `rule`.
    #[inline(always)]
    pub(super) fn hold(&mut self, lane: usize, signs: &Signs, rule: Reset, seed: u64) {
        for (number, unit) in self.units.iter_mut().enumerate() {
            for input in 0..INPUTS {
                unit.signs[input].lanes_mut()[lane] = f32::from(signs.hidden[number][input]);
            }
            unit.signs[OUTPUT].lanes_mut()[lane] = f32::from(signs.output[number]);
        }
        self.holding.rule = rule;
        self.holding.seeds[lane] = seed;
    }

    /// The weights of the net in `lane`.
    #[inline(always)]
    pub(super) fn get(&self, lane: usize) -> Weights {
        self.take(lane, |weight| weight.value)
    }

    /// The first and second moments of the net in `lane`.
    #[inline(always)]
    pub(super) fn moments(&self, lane: usize) -> [Weights; 2] {
        [self.take(lane, |weight| weight.first), self.take(lane, |weight| weight.second)]
    }

    #[inline(always)]
    fn take(&self, lane: usize, part: impl Fn(&Weight<V>) -> V) -> Weights {
        let get = |weight: &Weight<V>| part(weight).lanes()[lane];
        let mut values = Weights {
            hidden: Vec::with_capacity(self.units.len()),
            hidden_bias: Vec::with_capacity(self.units.len()),
            output: Vec::with_capacity(self.units.len()),
            output_bias: get(&self.bias),
        };
        for unit in &self.units {
            let mut row = [0.0; INPUTS];
            for (input, value) in row.iter_mut().enumerate() {
                *value = get(&unit.weights[input]);
            }
            values.hidden.push(row);
            values.hidden_bias.push(get(&unit.weights[BIAS]));
            values.output.push(get(&unit.weights[OUTPUT]));
        }
        values
    }

    /// What happened to the weights so far. Asked at least every 10⁴ steps, no count is rounded.
    #[inline(always)]
    pub(super) fn tally(&mut self) -> &Tally {
        for lane in 0..V::LANES {
            self.tally.resets[lane] += self.counts[0].lanes()[lane] as u64;
            self.tally.flips[lane] += self.counts[1].lanes()[lane] as u64;
        }
        self.counts = [V::splat(0.0); 2];
        &self.tally
    }

    /// Whether all weights of each net are finite numbers. A loss may be finite where one is not: a unit
    /// whose bias is −∞ is silent.
    #[inline(always)]
    pub(super) fn are_finite(&self) -> [bool; MOST_LANES] {
        // Less itself, a finite number is 0 and any other is none.
        let mut sum = self.bias.value.sub(self.bias.value);
        for unit in &self.units {
            for weight in &unit.weights {
                sum = sum.add(weight.value.sub(weight.value));
            }
        }
        let mut finite = [false; MOST_LANES];
        for lane in 0..V::LANES {
            finite[lane] = sum.lanes()[lane] == 0.0;
        }
        finite
    }

    /// One step of Adam along the mean gradient over `batch`, then the projection.
    #[inline(always)]
    pub(super) fn step(&mut self, batch: &[Points<V>], adam: &AdamScalars) {
        self.steps += 1;
        self.holding.begin::<V>(self.steps);
        let whole = batch.len() / 2 * 2;
        for point in (0..whole).step_by(2) {
            self.forward::<2>(batch, point);
        }
        if whole < batch.len() {
            self.forward::<1>(batch, whole);
        }
        let mut sum = V::splat(0.0);
        for &residual in &self.residuals[..batch.len()] {
            sum = sum.add(residual);
        }
        let before = self.bias.value;
        self.bias.update(sum, adam);
        self.counts[1] = self.counts[1].add(crossed(before, self.bias.value));
        for unit in 0..self.units.len() {
            self.backward(unit, batch, adam);
        }
    }

    /// Activations and residuals of `T` points from `from` on.
    #[inline(always)]
    fn forward<const T: usize>(&mut self, batch: &[Points<V>], from: usize) {
        let points: &[Points<V>; T] =
            batch[from..].first_chunk().expect("the caller leaves so many points");
        let points = *points;
        let mut logits = [self.bias.value; T];
        let kept = self.activations.chunks_exact_mut(batch.len());
        for (unit, kept) in self.units.iter().zip(kept) {
            let kept: &mut [V; T] = kept[from..].first_chunk_mut().expect("one activation a point");
            let output = unit.weights[OUTPUT].value;
            for point in 0..T {
                let active = unit.activation(&points[point].x);
                kept[point] = active;
                logits[point] = logits[point].add(active.mul(output));
            }
        }
        let share = V::splat(1.0 / batch.len() as f32);
        for point in 0..T {
            let sigmoid = Logistic::new(logits[point]).sigmoid();
            self.residuals[from + point] = sigmoid.sub(points[point].class).mul(share);
        }
    }

    /// Updates the weights of the hidden unit `number` in all nets.
    #[inline(always)]
    fn backward(&mut self, number: usize, batch: &[Points<V>], adam: &AdamScalars) {
        let unit = &mut self.units[number];
        let activations = &self.activations[number * batch.len()..][..batch.len()];
        let gradients = unit.gradients(activations, &self.residuals, batch);
        let (zero, one) = (V::splat(0.0), V::splat(1.0));
        let [mut resets, mut flips] = self.counts;
        for role in 0..ROLES {
            let (weight, signs) = (&mut unit.weights[role], unit.signs[role]);
            let before = weight.value;
            weight.update(gradients[role], adam);
            let violators = weight.value.mul(signs).less(zero);
            if role != BIAS && V::bits(violators) != 0 {
                let (kernel, index) =
                    if role == OUTPUT { (1, number) } else { (0, number * INPUTS + role) };
                let replacement = self.holding.replacement(weight.value, signs, kernel, index);
                weight.value = V::select(violators, replacement, weight.value);
                resets = resets.add(V::select(violators, one, zero));
            }
            flips = flips.add(crossed(before, weight.value));
        }
        self.counts = [resets, flips];
    }

    /// How the nets do on `points`.
    #[inline(always)]
    pub(super) fn evaluate(&self, points: &[Points<V>]) -> Scores {
        let (mut losses, mut wrong) = ([0.0; MOST_LANES], [0; MOST_LANES]);
        for part in points.chunks(SUMMED) {
            let mut sums = [V::splat(0.0); 2];
            let (pairs, rest) = part.as_chunks::<2>();
            for pair in pairs {
                self.judge(pair, &mut sums);
            }
            for point in rest {
                self.judge(&[*point], &mut sums);
            }
            for lane in 0..V::LANES {
                losses[lane] += f64::from(sums[0].lanes()[lane]);
                wrong[lane] += sums[1].lanes()[lane] as u64;
            }
        }
        let count = points.len() as f64;
        Scores { losses: losses.map(|sum| sum / count), wrong, of: points.len() as u64 }
    }

    /// Adds losses and mistakes on some points to `sums`.
    #[inline(always)]
    fn judge<const T: usize>(&self, points: &[Points<V>; T], sums: &mut [V; 2]) {
        let points = *points;
        let mut logits = [self.bias.value; T];
        for unit in &self.units {
            let output = unit.weights[OUTPUT].value;
            for point in 0..T {
                logits[point] = logits[point].add(unit.activation(&points[point].x).mul(output));
            }
        }
        let zero = V::splat(0.0);
        for point in 0..T {
            let (logit, class) = (logits[point], points[point].class);
            sums[0] = sums[0].add(Logistic::new(logit).loss(class));
            let other = V::splat(1.0).sub(class);
            sums[1] = sums[1].add(V::select(zero.less(logit), other, class));
        }
    }
}
