//! Nets between two epochs as tensors and notes, which a file can hold.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use crate::experiment::cell::Cell;
use crate::models::mlp::Weights;
use crate::train::CurvePoint;
use crate::train::ensemble::{Paused, Trained, Underway};

/// What is known of the nets beside their weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notes {
    /// The ids of their cells.
    cells: Vec<String>,
    epoch: u64,
    nets: Vec<NetNotes>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetNotes {
    curve: Vec<CurvePoint>,
    best_step: u64,
    diverged: bool,
}

/// What a net has a row of in one tensor each: its weights now, Adam's moments, the weights to choose.
const PARTS: [&str; 4] = ["weights", "exp_avg", "exp_avg_sq", "best"];

/// The nets of the cells of `job` as a file has them.
pub(super) fn written(
    job: &[&Cell],
    paused: &Paused,
) -> Result<(Notes, Vec<(String, Tensor)>), TchError> {
    let parts = PARTS.iter().enumerate().map(|(part, name)| {
        let rows = paused.nets.iter().map(|net| parts(net)[part].to_values());
        let rows: Vec<Tensor> =
            rows.map(|row| Tensor::f_from_slice(&row)).collect::<Result<_, _>>()?;
        Ok(((*name).to_owned(), Tensor::f_stack(&rows, 0)?))
    });
    let tensors = parts.collect::<Result<_, TchError>>()?;
    let notes = |Trained { curve, best_step, diverged, .. }: &Trained| NetNotes {
        curve: curve.clone(),
        best_step: *best_step,
        diverged: *diverged,
    };
    let nets = paused.nets.iter().map(|net| notes(&net.trained)).collect();
    Ok((Notes { cells: ids(job), epoch: paused.epoch, nets }, tensors))
}

/// The nets of the cells of `job`, all `width` units wide, that a file holds.
///
/// # Errors
/// When it holds others.
pub(super) fn read(
    job: &[&Cell],
    width: usize,
    notes: Notes,
    tensors: &[(String, Tensor)],
) -> Result<Paused, String> {
    if notes.cells != ids(job) || notes.nets.len() != job.len() {
        return Err("of other cells side by side".into());
    }
    let rows = PARTS.map(|name| rows(name, job.len(), width, tensors));
    let [weights, first, second, best] = rows;
    let (weights, first, second, best) = (weights?, first?, second?, best?);
    let rows = weights.into_iter().zip(first).zip(second).zip(best);
    let nets = notes.nets.into_iter().zip(rows).map(|(notes, (((last, first), second), best))| {
        let NetNotes { curve, best_step, diverged } = notes;
        let trained = Trained { curve, best_step, weights: best, last, diverged };
        Underway { trained, moments: [first, second] }
    });
    Ok(Paused { epoch: notes.epoch, nets: nets.collect() })
}

fn ids(job: &[&Cell]) -> Vec<String> {
    job.iter().map(|cell| cell.id.clone()).collect()
}

/// As [`PARTS`] names them.
fn parts(net: &Underway) -> [&Weights; 4] {
    let [first, second] = &net.moments;
    [&net.trained.last, first, second, &net.trained.weights]
}

/// The rows of the tensor `name`, as weights of nets.
fn rows(
    name: &str,
    count: usize,
    width: usize,
    tensors: &[(String, Tensor)],
) -> Result<Vec<Weights>, String> {
    let found = tensors.iter().find(|(known, _)| known == name);
    let (_, tensor) = found.ok_or_else(|| format!("{name}: missing"))?;
    let rows = Vec::<Vec<f32>>::try_from(tensor).map_err(|error| format!("{name}: {error}"))?;
    let weights: Option<Vec<Weights>> = rows.iter().map(|row| Weights::of_values(row)).collect();
    weights
        .filter(|all| all.len() == count && all.iter().all(|net| net.width() == width))
        .ok_or_else(|| format!("{name}: of shape {:?}", tensor.size()))
}
