//! Figures: result tables become PNGs.
//!
//! A figure kind is a function from the tables of one experiment to one picture; [`kinds`] lists
//! them by name:
//!
//! - **error-vs-samples**: how wrong each arm is on the test images after the last step, and how much
//!   better or worse than the baseline with the same seeds. With one training size a row an arm: every
//!   run a dot, the median and the quartiles, and beside them the median of the paired differences with
//!   its 95 % interval, drawn and written. With several sizes the differences are in a panel below.
//! - **learning-curves**: how the validation error falls from before the first step on, a panel a
//!   training size, with a tick and a mark at every step that was evaluated.
//! - **fig2**, **fig3**, **thresholds** (A.2) and **weights** (A.3): the paper's, with censored times
//!   in place of dropped ones and pairs in place of unpaired runs.
//! - **controls**, **layers**, **dose-response**: what the signs of other arrangements, of single
//!   layers, or with a part of them flipped do.
//! - **telemetry**: how often weights cross zero and are put back, by layer and step.
//! - **fig1**, **fig4a**, **fig4bc**, **fig4d**: those of the paper's XOR study.
//!
//! An arm has the same colour and marker in every figure, by its name, and no two of a figure have both. An
//! arm that holds signs, be it of some layers or for some steps, has solid lines and full markers; a fluid
//! one, `hold: none`, has dashed lines and hollow markers. Every picture says in its caption how many
//! runs it shows, what its intervals are, what differs between runs, and which runs diverged. The
//! same tables give the same bytes on every machine.
//!
//! No figure tests anything: a star beside a picture would be of a family that the picture makes up. Claims
//! are tested, in the report.
//!
//! Nothing is trained here and no cell is read: what is not in the tables is not in a figure.

mod axis;
mod canvas;
mod curves;
mod dose_response;
mod error_vs_samples;
mod fig2;
mod fig3;
mod forest;
#[cfg(test)]
mod layout_tests;
mod learning_curves;
mod legend;
mod measured;
mod page;
mod panel;
mod published;
mod series;
mod sizes;
mod style;
mod telemetry;
#[cfg(test)]
mod tests;
mod text;
mod thresholds;
mod xor;

use std::io;
use std::path::{Path, PathBuf};

use self::canvas::Canvas;
use crate::results::table::{CurveRow, Trial};
use crate::results::{Arm, Epochs, Hold, Reference, Tables};

/// The tables of one experiment, and what a figure says about them.
#[derive(Clone, Debug)]
pub struct Results<'a> {
    /// The experiment's name, for error messages.
    pub name: &'a str,
    /// The figure's title, such as `Fashion-MNIST, AlexNet, 96 px`.
    pub title: &'a str,
    /// The arms to show, in this order. Rows of other arms are left out.
    pub arms: Vec<String>,
    /// Whether the signs of an arm are free throughout, for each arm; as long as `arms`. Arms of which
    /// this is not said are drawn as frozen ones.
    pub fluid: Vec<bool>,
    /// The arm that differences are taken to.
    pub baseline: Option<&'a str>,
    /// The error of guessing, in [0, 1].
    pub chance: f64,
    /// Validation accuracies that runs are to reach, in (0, 1); the first is the main one.
    pub thresholds: &'a [f64],
    /// Steps whose validation errors are shown one by one.
    pub steps: &'a [u64],
    /// The fraction of the source's signs that an arm has flipped, for each arm that is such; as long
    /// as `arms`.
    pub doses: Vec<Option<f64>>,
    /// Whether to show the paper's medians for Fashion-MNIST, beside our error of the same kind.
    pub published: bool,
    /// How numbers of epochs are counted; none where the trials have none.
    pub epochs: Option<Epochs>,
    /// The rows of `trials.csv`.
    pub trials: &'a [Trial],
    /// The rows of `curves.csv`; empty where the experiment records none.
    pub curves: &'a [CurveRow],
}

/// A kind of figure.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in experiment files, and the name of its PNG.
    pub name: &'static str,
    /// One line on what it shows.
    pub help: &'static str,
    /// Whether it needs a threshold (`report.thresholds`).
    pub needs_threshold: bool,
    /// Whether it needs a baseline.
    pub needs_baseline: bool,
    /// Draws its page; [`draw`] alone saves one.
    draw: fn(&Results) -> Result<Canvas, Error>,
}

/// Why a figure could not be drawn.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// There is no such kind.
    #[error("figures: `{kind}` is no kind of figure; expected one of {}", quoted(known))]
    UnknownKind { kind: String, known: Vec<String> },
    /// The baseline is none of the arms.
    #[error("{experiment}: baseline `{baseline}` is none of the arms {}", quoted(arms))]
    UnknownBaseline { experiment: String, baseline: String, arms: Vec<String> },
    /// There is no baseline, and the figure shows differences to one.
    #[error("{experiment}: the figure shows differences; expected a `baseline` among its arms")]
    NoBaseline { experiment: String },
    /// There is no threshold, and the figure shows what reaches one.
    #[error(
        "{experiment}: the figure shows what reaches an accuracy; expected `report.thresholds`"
    )]
    NoThreshold { experiment: String },
    /// The tables hold nothing to draw.
    #[error("{experiment}: no finished run with a {what}; run the experiment before its figures")]
    Empty { experiment: String, what: &'static str },
    /// Runs that must not be shown as repetitions of each other.
    #[error(
        "{experiment}: runs differ in `{setting}`, but figures show only `train_size` as a swept \
         setting; draw one value of `{setting}` at a time"
    )]
    Pooled { experiment: String, setting: String },
    /// An arm that the figure is about is missing.
    #[error("{experiment}: arms: this figure needs an arm `{arm}`, there are {}", quoted(arms))]
    MissingArm { experiment: String, arm: &'static str, arms: Vec<String> },
    /// A training size with no place on the axis.
    #[error("{experiment}: train_size: expected a number above 0, got `{size}`")]
    Size { experiment: String, size: f64 },
    /// The picture cannot be written.
    #[error("{path}: the figure cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// All kinds of figures.
pub fn kinds() -> &'static [Kind] {
    const PLAIN: Kind = Kind {
        name: "",
        help: "",
        needs_threshold: false,
        needs_baseline: false,
        draw: learning_curves::draw,
    };
    &[
        Kind {
            name: "error-vs-samples",
            help: "test error of each arm by number of training samples, with paired differences \
                   to the baseline arm",
            draw: error_vs_samples::draw,
            ..PLAIN
        },
        Kind {
            name: "learning-curves",
            help: "validation error of each arm by optimizer step, from before the first step on",
            draw: learning_curves::draw,
            ..PLAIN
        },
        Kind {
            name: "fig2",
            help: "the paper's figure 2: error, share of runs that reach an accuracy, and steps \
                   until they do; with the paper's own measure of error beside ours",
            needs_threshold: true,
            draw: fig2::draw,
            ..PLAIN
        },
        Kind {
            name: "fig3",
            help: "the paper's figure 3: differences to the baseline in the measures of figure 2, \
                   by pairs",
            needs_threshold: true,
            needs_baseline: true,
            draw: fig3::draw,
        },
        Kind {
            name: "thresholds",
            help: "the paper's figure A.2: share of runs that reach each of several accuracies, and \
                   steps until they do",
            needs_threshold: true,
            draw: thresholds::draw,
            ..PLAIN
        },
        Kind {
            name: "weights",
            help: "the paper's figure A.3: figure 2 of other arms, of the source's signs against its \
                   weights for example",
            needs_threshold: true,
            draw: fig2::draw,
            ..PLAIN
        },
        Kind {
            name: "controls",
            help: "difference of each arm to the baseline in test error, a panel a training size",
            needs_baseline: true,
            draw: forest::draw_controls,
            ..PLAIN
        },
        Kind {
            name: "layers",
            help: "difference of each arm to the baseline at the tabulated steps and at the end, at \
                   the smallest training size",
            needs_baseline: true,
            draw: forest::draw_layers,
            ..PLAIN
        },
        Kind {
            name: "dose-response",
            help: "error by the fraction of the source's signs that an arm has flipped",
            draw: dose_response::draw,
            ..PLAIN
        },
        Kind {
            name: "telemetry",
            help: "sign flips and resets by layer and optimizer step, at the largest training size",
            draw: telemetry::draw,
            ..PLAIN
        },
        Kind {
            name: "fig1",
            help: "XOR: epochs to 90 % and test error by number of training samples, widest network",
            draw: xor::fig1,
            ..PLAIN
        },
        Kind {
            name: "fig4a",
            help: "XOR: share above 95 % by width, beside the theory of random held signs",
            draw: xor::fig4a,
            ..PLAIN
        },
        Kind {
            name: "fig4bc",
            help: "XOR: share that learns, epochs and test error by samples, narrow to wide networks",
            draw: xor::fig4bc,
            ..PLAIN
        },
        Kind {
            name: "fig4d",
            help: "XOR: where held signs beat free ones, by width and number of training samples",
            draw: xor::fig4d,
            ..PLAIN
        },
    ]
}

/// Draws the kind of figure named `kind` as `<folder>/<kind>.png`, and gives back that path. The
/// folder is made where it is missing, and a picture that is there is replaced by a whole one only.
///
/// # Errors
/// When there is no such kind, the tables hold nothing for it, or the file cannot be written.
pub fn draw(kind: &str, results: &Results, folder: &Path) -> Result<PathBuf, Error> {
    let Some(kind) = kinds().iter().find(|known| known.name == kind) else {
        let known = kinds().iter().map(|kind| kind.name.to_owned()).collect();
        return Err(Error::UnknownKind { kind: kind.to_owned(), known });
    };
    let page = (kind.draw)(results)?;
    let path = folder.join(kind.name).with_extension("png");
    let write = |path: &Path, source| Error::Write { path: path.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(|source| write(folder, source))?;
    page.save(&path).map_err(|source| write(&path, source))?;
    Ok(path)
}

impl<'a> Results<'a> {
    /// What `tables` say of `arms`, by default of all.
    pub fn new(tables: &'a Tables, arms: Option<&[String]>) -> Self {
        let Tables { about, trials, curves } = tables;
        let arms = arms.map_or_else(|| about.arms.keys().cloned().collect(), <[String]>::to_vec);
        let dose = |arm: &String| about.arms.get(arm).and_then(Arm::dose);
        let is_fluid = |arm: &String| about.arms.get(arm).is_some_and(|arm| arm.hold == Hold::None);
        let baseline = about.baseline.as_deref();
        Results {
            name: &about.name,
            title: &about.title,
            baseline: baseline.filter(|baseline| arms.iter().any(|arm| arm == baseline)),
            chance: about.chance,
            epochs: Epochs::new(about, trials),
            thresholds: &about.tabulated.thresholds,
            steps: &about.tabulated.steps,
            doses: arms.iter().map(dose).collect(),
            fluid: arms.iter().map(is_fluid).collect(),
            arms,
            published: about.reference == Some(Reference::Published),
            trials,
            curves,
        }
    }

    /// The baseline's place among the arms.
    fn baseline(&self) -> Result<Option<usize>, Error> {
        let Some(baseline) = self.baseline else {
            return Ok(None);
        };
        match self.arms.iter().position(|arm| arm == baseline) {
            Some(place) => Ok(Some(place)),
            None => Err(Error::UnknownBaseline {
                experiment: self.name.to_owned(),
                baseline: baseline.to_owned(),
                arms: self.arms.to_vec(),
            }),
        }
    }

    /// The baseline's place among the arms, for a figure of differences.
    fn required_baseline(&self) -> Result<usize, Error> {
        self.baseline()?.ok_or_else(|| Error::NoBaseline { experiment: self.name.to_owned() })
    }

    /// The main threshold.
    fn threshold(&self) -> Result<f64, Error> {
        let first = self.thresholds.first().copied();
        first.ok_or_else(|| Error::NoThreshold { experiment: self.name.to_owned() })
    }
}
