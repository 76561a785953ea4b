//! The cells of a study of images: every training size, arm and seed.

use std::sync::Arc;

use indexmap::IndexMap;

use super::sources::{PlannedSource, settings};
use super::{Course, Draft, Place, schedule};
use crate::experiment::cell::{
    ArmSpec, Cell, DataSpec, ImageSpec, RESULTS_VERSION, Share, SourceSpec, Spec, TrainSpec,
};
use crate::experiment::checked::Checked;
use crate::experiment::file::{Arm, Evaluations, Experiment, Hold, PrecisionChoice, Until};
use crate::experiment::problem::{Problem, Problems};
use crate::experiment::study::device_name;

/// The courses of every training size; what does not fit into one is added to `problems`.
pub(super) fn courses(checked: &Checked, place: &Place, problems: &mut Problems) -> Vec<Course> {
    let Experiment { data, arms, .. } = checked.experiment();
    let mut courses = Vec::new();
    for &size in &data.train_sizes {
        let Some(train) = problems.take(training(checked, place, size)) else { continue };
        let mut releases = Vec::new();
        for (name, arm) in arms {
            let step = arm.until.map(|until| release(name, until, size, &train));
            releases.push(step.and_then(|step| problems.take(step)));
        }
        courses.push(Course { size, train, releases });
    }
    courses
}

fn training(checked: &Checked, place: &Place, size: usize) -> Result<TrainSpec, Problem> {
    let train = &checked.experiment().train;
    let evaluate_at = schedule::evaluations(checked, size)?;
    if train.precision == PrecisionChoice::Tf32 && !place.device.is_cuda() {
        let what = "`tf32` is arithmetic of GPUs; run with `--device cuda:0`, or choose `float32`";
        return Err(Problem::unfit("train.precision", what));
    }
    Ok(TrainSpec {
        optimizer: train.optimizer.clone(),
        batch: train.batch,
        steps: checked.length().steps(size, train.batch),
        rate: train.rate,
        evaluate_at: Evaluations::Steps(evaluate_at.into_iter().collect()),
        select: train.select,
        threads: train.threads,
        precision: train.precision.on(place.device),
    })
}

impl Draft<'_> {
    /// The cells of the arms, from the `share` of the training images.
    pub(super) fn cells(
        &self,
        share: Share,
        sources: &IndexMap<String, Vec<PlannedSource>>,
        courses: &[Course],
    ) -> Vec<Cell> {
        let experiment = self.checked.experiment();
        let mut cells = Vec::new();
        for Course { size, train, releases } in courses {
            let data = Arc::new(self.images(share, *size));
            for ((name, arm), release_at) in experiment.arms.iter().zip(releases) {
                let source = experiment.source_of(arm).filter(|_| arm.needs_source());
                let source = source.and_then(|(name, _)| sources.get(name));
                let of_seeds: Vec<Option<&PlannedSource>> =
                    source.map_or(vec![None], |of_seeds| of_seeds.iter().map(Some).collect());
                let mut train = train.clone();
                if let Some(lr) = arm.lr {
                    train.optimizer = train.optimizer.with_lr(lr);
                }
                let train = Arc::new(train);
                for source in of_seeds {
                    let arm = self.arm(arm, source.map(|source| &source.spec), *release_at);
                    let settings = settings(*size, source.and_then(|source| source.seed));
                    let spec = Spec {
                        version: RESULTS_VERSION,
                        device: device_name(self.place.device).into(),
                        data: data.clone(),
                        model: experiment.model.clone(),
                        arm: Some(Arc::new(arm)),
                        train: train.clone(),
                        seed: 0,
                    };
                    let of =
                        |&seed| Cell::new(name, settings.clone(), Spec { seed, ..spec.clone() });
                    cells.extend(experiment.seeds.0.iter().map(of));
                }
            }
        }
        cells
    }

    fn images(&self, share: Share, size: usize) -> DataSpec {
        let data = &self.checked.experiment().data;
        DataSpec::Images(ImageSpec {
            digest: self.set.digest.clone(),
            share,
            classes: data.classes.clone(),
            image_size: data.image_size,
            normalise: data.normalise.clone(),
            channels: data.channels,
            subset: data.subset,
            train_size: size,
            validation: data.validation,
            test: data.test,
        })
    }

    fn arm(&self, arm: &Arm, source: Option<&SourceSpec>, release_at: Option<u64>) -> ArmSpec {
        let rule = arm.reset.unwrap_or(self.checked.experiment().train.reset);
        let usual = Arm { biases: None, ..arm.clone() };
        ArmSpec {
            signs: arm.signs,
            magnitudes: arm.magnitudes,
            biases: arm.biases.filter(|_| arm.takes_biases() != usual.takes_biases()),
            only: arm.only.clone(),
            zeros: arm.zeros,
            hold: arm.hold.clone(),
            release_at,
            reset: (arm.hold != Hold::None).then_some(rule),
            reset_at_start: false,
            source: source.cloned(),
        }
    }
}

/// The last step at which the arm `name` holds its signs.
fn release(name: &str, until: Until, size: usize, train: &TrainSpec) -> Result<u64, Problem> {
    let steps_an_epoch = size.div_ceil(train.batch) as u64;
    let step = until.step(steps_an_epoch);
    if (1..train.steps).contains(&step) {
        return Ok(step);
    }
    let last = train.steps - 1;
    let legal = match until {
        _ if last == 0 => "more than one step to train".into(),
        Until::Epoch(_) if last < steps_an_epoch => "more than one epoch to train".into(),
        Until::Step(_) => format!("a step of 1 to {last}"),
        Until::Epoch(_) => format!("an epoch of 1 to {}", last / steps_an_epoch),
    };
    let (Until::Step(got) | Until::Epoch(got)) = until;
    let expected = format!("{legal} (with {size} images there are {} steps)", train.steps);
    Err(Problem::value(format!("arms.{name}.until"), expected, got))
}
