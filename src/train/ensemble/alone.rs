//! The same net by itself, through libtorch: the reference, and the way on other devices.

use std::ops::ControlFlow;

use tch::{Device, nn};

use super::{Course, Member, Trained};
use crate::models::Mlp;
use crate::models::mlp::Weights;
use crate::optim::Frozen;
use crate::sign::Template;
use crate::train::{self, ImageSet, Progress, Rate, Schedule, Task};

/// Trains `member` alone on `device`, with the batch order of `seed`; `progress` is called after every
/// step and may stop it.
///
/// # Errors
/// When `progress` breaks, and what libtorch says.
pub fn alone(
    member: &Member,
    course: &Course,
    seed: u64,
    device: Device,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Trained, train::Error> {
    let variables = nn::VarStore::new(device);
    let net = Mlp { hidden: member.start.width() }.build(&variables.root());
    member.start.copy_to(&variables)?;
    let template = match &member.hold {
        Some(signs) => signs.template("the signs of the start"),
        None => Template::new("nothing held"),
    };
    let mut optimizer = Frozen::new(&variables, template, course.adam)?
        .with_reset(member.reset)
        .with_seed(member.reset_seed);
    let epoch = member.train.len().div_ceil(course.batch) as u64;
    let schedule = Schedule {
        batch: course.batch,
        steps: course.epochs * epoch,
        evaluate_at: (1..=course.epochs).map(|number| number * epoch).collect(),
        keep_best: true,
        release_at: None,
        rate: Rate::Constant,
    };
    let task = Task {
        net: &net,
        variables: &variables,
        train: &ImageSet::of_points(member.train, device)?,
        validation: &ImageSet::of_points(member.validation, device)?,
        schedule: &schedule,
        seed,
    };
    let ended = train::to_the_end(&task, &mut optimizer, progress)?;
    let last = Weights::copy_from(&variables)?;
    let fit = ended.choose()?;
    let weights = Weights::copy_from(&variables)?;
    let (curve, best_step, diverged) = (fit.curve, fit.best_step, fit.diverged);
    Ok(Trained { curve, best_step, weights, last, diverged })
}
