//! Studies of XOR-5D: small networks with one hidden layer, on points that are drawn.
//!
//! A cell stays a cell, with an id and a line of its own. Cells of one width and training size are only
//! *computed* side by side, as many as the CPU has lanes; which of them share a block changes no bit, so
//! resuming and sharding know nothing of blocks.

mod cells;
mod check;
mod ground;
mod lessons;
mod paused;

use indexmap::IndexMap;

use super::{Opened, Place, Study, device_name};
use crate::experiment::checked::Checked;
use crate::experiment::file::Experiment;
use crate::experiment::problem::Problems;
use ground::XorGround;

/// The kind of study.
#[derive(Debug)]
pub(crate) struct Xor;

impl Study for Xor {
    fn settings(&self, _: &Experiment) -> &'static [&'static str] {
        &["train_size", "width"]
    }

    fn check(&self, experiment: &Experiment, problems: &mut Problems) {
        check::check(experiment, problems);
    }

    fn open(&self, checked: &Checked, place: &Place) -> Result<Opened, Problems> {
        Ok(Opened {
            cells: cells::cells(checked, device_name(place.device))?,
            firsts: Vec::new(),
            ground: Box::new(XorGround::new(place.device)),
            data_digest: None,
            source_digests: IndexMap::new(),
            notes: Vec::new(),
            classes: 2,
        })
    }
}
