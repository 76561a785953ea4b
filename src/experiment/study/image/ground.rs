//! What the cells of a study of images learn from: images, and what their sources know.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use tch::Device;

use super::compute::{self, images};
use super::knowledge::Knowledge;
use super::material::Material;
use super::sources::{PlannedSource, SourceState};
use crate::experiment::cell::{Cell, Spec};
use crate::experiment::file::Select;
use crate::experiment::study::{Computed, Failure, Ground, Job, Pace, Watch, Work};
use crate::weights::Checkpoint;

/// Images, and sources by their digest.
#[derive(Debug)]
pub(super) struct ImageGround {
    device: Device,
    material: Material,
    /// The images of the cells that are sources, by the cell's id.
    of_sources: HashMap<String, Arc<Material>>,
    known: HashMap<String, Knowledge>,
}

impl ImageGround {
    pub(super) fn new(
        device: Device,
        material: Material,
        sources: IndexMap<String, Vec<PlannedSource>>,
    ) -> Self {
        let (mut of_sources, mut known) = (HashMap::new(), HashMap::new());
        for PlannedSource { spec, state, .. } in sources.into_values().flatten() {
            match state {
                SourceState::Ready(knowledge) => {
                    known.insert(spec.digest, *knowledge);
                }
                SourceState::Train(cell, material) => {
                    of_sources.insert(cell.id, material);
                }
            }
        }
        ImageGround { device, material, of_sources, known }
    }

    fn material(&self, cell: &Cell) -> &Material {
        self.of_sources.get(&cell.id).map_or(&self.material, |material| material)
    }

    fn source(&self, spec: &Spec) -> Result<Option<&Knowledge>, Failure> {
        let Some(digest) = spec.source() else { return Ok(None) };
        let known = self.known.get(digest);
        known.map(Some).ok_or_else(|| Failure::NoSource(digest.to_owned()))
    }

    fn cell(&self, cell: &Cell, watch: &Watch) -> Result<Computed, Failure> {
        let source = self.source(&cell.spec)?;
        let progress = &mut |progress| watch.step(cell, progress);
        compute::cell(&cell.spec, self.material(cell), source, self.device, progress)
    }
}

impl Ground for ImageGround {
    fn jobs<'a>(&self, cells: &[&'a Cell]) -> Vec<Job<'a>> {
        cells.iter().map(|cell| vec![*cell]).collect()
    }

    fn prepare(&mut self, _: &[&Cell]) {}

    fn learn(&mut self, first: &Cell, weights: Checkpoint) -> Result<(), Failure> {
        let knowledge = Knowledge::of_weights(weights, &format!("cell {}", first.id))?;
        self.known.insert(first.id.clone(), knowledge);
        Ok(())
    }

    fn compute(&self, job: &[&Cell], watch: &Watch) -> Vec<Result<Computed, Failure>> {
        job.iter().map(|cell| self.cell(cell, watch)).collect()
    }

    fn rounds_by_machine(&self) -> bool {
        true
    }

    fn pace(&self, cell: &Cell, steps: u64) -> Result<Pace, Failure> {
        compute::rehearse(&cell.spec, self.material(cell), self.device, steps)
    }

    fn work(&self, cell: &Cell) -> Option<Work> {
        let spec = images(&cell.spec).ok()?;
        let material = self.material(cell);
        let evaluations = cell.spec.train.evaluate_at.steps().len() * spec.validation;
        // The last weights, and the best ones.
        let tests = match cell.spec.train.select {
            Select::Best => 2,
            Select::Last => 1,
        };
        Some(Work {
            batch: cell.spec.train.batch.min(spec.train_size),
            evaluated: evaluations + tests * (spec.train_size + material.test.len()),
        })
    }
}
