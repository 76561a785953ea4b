//! What the cells of a study of images learn from: images, and what their sources know.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use tch::Device;

use super::compute::{self, Pace, images};
use super::knowledge::Knowledge;
use super::material::Material;
use super::sources::{PlannedSource, SourceState};
use crate::experiment::cell::{Cell, ImageSpec, Spec};
use crate::experiment::file::Select;
use crate::experiment::study::{Computed, Failure, Ground, Job, Watch};
use crate::weights::Checkpoint;

/// Steps that are timed to know how fast cells are, after some that are not.
const REHEARSED_STEPS: u64 = 4;

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

    /// Images that a cell evaluates in all.
    fn evaluated(&self, cell: &Cell, spec: &ImageSpec) -> u64 {
        let evaluations = cell.spec.train.evaluate_at.steps().len() * spec.validation;
        // The last weights, and the best ones.
        let tests = match cell.spec.train.select {
            Select::Best => 2,
            Select::Last => 1,
        };
        (evaluations + tests * (spec.train_size + self.material(cell).test.len())) as u64
    }

    fn cell(&self, cell: &Cell, watch: &Watch) -> Result<Computed, Failure> {
        let source = self.source(&cell.spec)?;
        compute::cell(cell, self.material(cell), source, self.device, watch)
    }
}

impl Ground for ImageGround {
    fn jobs<'a>(&self, cells: &[&'a Cell]) -> Vec<Job<'a>> {
        cells.iter().map(|cell| vec![*cell]).collect()
    }

    fn bundles<'a>(&self, cells: &[&'a Cell]) -> Vec<Job<'a>> {
        self.jobs(cells)
    }

    /// Images through the network: thrice in a step, once in an evaluation.
    fn cost(&self, cell: &Cell) -> f64 {
        let Ok(spec) = images(&cell.spec) else { return 0.0 };
        let train = &cell.spec.train;
        let learned = 3 * train.batch.min(spec.train_size) as u64 * train.steps;
        (learned + self.evaluated(cell, spec)) as f64
    }

    fn cost_here(&self, bundle: &[&Cell]) -> f64 {
        bundle.iter().map(|cell| self.cost(cell)).sum()
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

    fn pace(&self, cell: &Cell) -> Result<f64, Failure> {
        let spec = images(&cell.spec)?;
        let Pace { step, image } =
            compute::rehearse(&cell.spec, self.material(cell), self.device, REHEARSED_STEPS)?;
        let evaluation = self.evaluated(cell, spec) as f64 * image;
        Ok((cell.spec.train.steps as f64 * step + evaluation) / self.cost(cell))
    }
}
