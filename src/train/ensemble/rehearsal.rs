//! The work that benchmarks time: held nets at the study's batch size, and next to no evaluation.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use tch::Device;

use super::{Course, Member, Orders, alone};
use crate::data::xor::{Point, Purpose, QUAD, points};
use crate::models::mlp::{Signs, Weights};
use crate::optim::Adam;
use crate::sign::Reset;
use crate::train;

const BATCH: usize = 32;
const BATCHES: usize = 8;

/// Nets ready to be trained, as often as one likes.
#[derive(Debug)]
pub struct Rehearsal {
    starts: Vec<Weights>,
    train: Vec<Point>,
    validation: Vec<Point>,
    orders: Orders,
    course: Course,
}

impl Rehearsal {
    /// `nets` nets with `width` hidden units and held signs, for `epochs` epochs of 8 batches of 32
    /// points; they are evaluated on 4.
    pub fn new(nets: usize, width: usize, epochs: u64) -> Self {
        Rehearsal {
            starts: (0..nets as u64).map(|seed| Weights::draw(width, seed)).collect(),
            train: points(0, Purpose::Train, BATCH * BATCHES),
            validation: points(0, Purpose::Validation, QUAD),
            orders: Orders::new(BATCH * BATCHES, epochs, 0),
            course: Course { batch: BATCH, epochs, adam: Adam { lr: 0.03, ..Adam::default() } },
        }
    }

    /// Steps of one net.
    pub fn steps(&self) -> u64 {
        self.course.epochs * BATCHES as u64
    }

    /// Trains all of them side by side on `threads` threads.
    pub fn run(&self, threads: usize) {
        let members: Vec<Member> = (0..self.starts.len()).map(|net| self.member(net)).collect();
        train_all(&members, &self.course, threads);
    }

    /// Trains the first of them alone, through libtorch.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn run_alone(&self) -> Result<(), train::Error> {
        let go_on = &mut |_| ControlFlow::Continue(());
        alone(&self.member(0), &self.course, 0, Device::Cpu, go_on).map(drop)
    }

    fn member(&self, net: usize) -> Member<'_> {
        Member {
            start: self.starts[net].clone(),
            hold: Some(Signs::of(&self.starts[net])),
            reset: Reset::default(),
            reset_seed: net as u64,
            train: &self.train,
            validation: &self.validation,
            orders: &self.orders,
        }
    }
}

fn train_all(members: &[Member], course: &Course, threads: usize) {
    let trained = super::train(members, course, threads, &AtomicBool::new(false));
    assert!(trained.is_some(), "nobody stopped it");
}
