//! Finished results: the tables of an experiment, what they are about, and the report made from them.
//!
//! A results folder has `trials.csv`, `curves.csv` and `manifest.json`, and nothing else is needed to
//! report or draw it: not the file that made it, nor the cells. How the tables come about is left to
//! [`experiment`](crate::experiment); this room knows no YAML, no store and no libtorch.

mod about;
mod arm;
pub mod claim;
mod epochs;
mod folder;
mod paired;
pub mod report;
pub mod table;
mod times;
mod unit;

pub use about::{About, Faithful, Figure, Reference, Tabulated};
pub use arm::{Arm, Biases, Hold, Magnitudes, Signs, Until, Zeros};
pub use epochs::Epochs;
pub use folder::{Error as FolderError, Tables};
pub use paired::{Paired, by_seed};
pub use report::{Caveat, Comparison, Estimate, Measure, Report, Row};
pub use table::{CurveIndex, Status, Timing};
pub use times::{Error as TimesError, TIMINGS, Times};
pub(crate) use unit::counted;
pub use unit::{BySeed, RunSeed};
