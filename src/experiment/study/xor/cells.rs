//! The cells of a study of XOR-5D: every training size, width, arm and seed.

use std::sync::Arc;

use super::check::no_mlp;
use crate::data::xor::NAME;
use crate::experiment::cell::{ArmSpec, Cell, DataSpec, RESULTS_VERSION, Spec, TrainSpec, XorSpec};
use crate::experiment::checked::Checked;
use crate::experiment::file::{Evaluations, EvaluationsWord, Experiment, Faithful, Hold};
use crate::experiment::problem::Problem;
use crate::models::{Mlp, Model, Precision};

/// The cells of `checked`, by training size, width, arm and seed.
///
/// # Errors
/// When its network is no `mlp`.
pub(super) fn cells(checked: &Checked, device: &str) -> Result<Vec<Cell>, Problem> {
    let Experiment { data, model, widths, arms, train, seeds, .. } = checked.experiment();
    let Model::Mlp(Mlp { hidden }) = model else { return Err(no_mlp()) };
    let widths = if widths.is_empty() { std::slice::from_ref(hidden) } else { widths };
    let is_faithful = |point| train.faithful.contains(&point);
    let mut cells = Vec::new();
    for &train_size in &data.train_sizes {
        for &hidden in widths {
            for (name, arm) in arms {
                let holds = arm.hold != Hold::None;
                let arm = ArmSpec {
                    signs: arm.signs,
                    magnitudes: arm.magnitudes,
                    hold: arm.hold.clone(),
                    reset: holds.then_some(arm.reset.unwrap_or(train.reset)),
                    reset_at_start: holds && is_faithful(Faithful::ResetAtStart),
                    ..ArmSpec::fresh()
                };
                let spec = Spec {
                    version: RESULTS_VERSION,
                    device: device.into(),
                    data: Arc::new(DataSpec::Xor(XorSpec {
                        law: NAME.into(),
                        train_size,
                        validation: data.validation,
                        test: data.test.unwrap_or(data.validation),
                        one_draw: is_faithful(Faithful::OneDraw),
                    })),
                    model: Model::Mlp(Mlp { hidden }),
                    arm: Some(Arc::new(arm)),
                    train: Arc::new(TrainSpec {
                        optimizer: train.optimizer.clone(),
                        batch: train.batch,
                        steps: checked.length().steps(train_size, train.batch),
                        rate: train.rate,
                        evaluate_at: Evaluations::Word(EvaluationsWord::EveryEpoch),
                        select: train.select,
                        threads: train.threads,
                        precision: Precision::Float32,
                    }),
                    seed: 0,
                };
                let settings = [("train_size", train_size as f64), ("width", hidden as f64)];
                let settings = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
                let of = |&seed| Cell::new(name, settings.clone(), Spec { seed, ..spec.clone() });
                cells.extend(seeds.0.iter().map(of));
            }
        }
    }
    Ok(cells)
}
