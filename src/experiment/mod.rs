//! Experiments: a YAML file becomes a checked plan, the plan becomes cells, the cells become tables.
//!
//! [`Experiment`] is the file as written, [`Plan`] the same after every check; only a plan can be
//! [run](run()). A [`Cell`] is one training run, named by the digest of what it computes, so a run that was
//! cut off goes on where it was, and parts of a grid computed in different places fit together.
//! [`Records`] are the finished cells on disk; the tables and the [`Report`] are made from them.
//!
//! Gradients are computed elsewhere, and nothing here prints.

mod arm;
mod calibrate;
mod cell;
mod check;
mod compute;
pub mod config;
mod curve_index;
mod epochs;
mod material;
mod plan;
mod report;
mod run;
mod schedule;
mod sources;
mod start;
mod store;
pub mod table;
mod tables;
mod times;
mod xor;

pub use arm::{Arm, Biases, Hold, Magnitudes, Signs, Until, Zeros};
pub use calibrate::{CalibrationError, Shape, calibrate};
pub use cell::{RESULTS_VERSION, Spec};
pub use compute::Knowledge;
pub use config::{Error as ConfigError, Experiment, Figure, Reference};
pub use curve_index::CurveIndex;
pub use epochs::Epochs;
pub use material::Material;
pub use plan::{Cell, Error as PlanError, Plan};
pub use report::{Caveat, Comparison, Estimate, Measure, Report, Row};
pub use run::{Error as RunError, Event, Options as RunOptions, Summary, run};
pub use sources::{PlannedSource, SourceState};
pub use store::{
    Damage, Error as StoreError, Record, Records, Store, Timing, write as write_results,
};
pub use table::Status;
pub use tables::{Error as TablesError, Tables};
pub use times::{Error as TimesError, Times};
