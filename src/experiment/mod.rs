//! Experiments: a YAML file becomes a checked plan, the plan becomes cells, the cells become tables.
//!
//! [`Experiment`] is the file as written, [`Plan`] the same after every check; only a plan can be
//! [run](run()). A [`Cell`] is one training run, named by the digest of what it computes, so a run that was
//! cut off goes on where it was, and parts of a grid computed in different places fit together.
//! [`Records`] are the finished cells on disk; the tables are made from them, and read in
//! [`results`](crate::results).
//!
//! Gradients are computed elsewhere, and nothing here prints.

mod calibrate;
mod cell;
mod check;
mod compute;
pub mod config;
mod material;
mod plan;
mod run;
mod schedule;
mod sources;
mod start;
mod store;
mod xor;

pub use calibrate::{CalibrationError, Shape, calibrate};
pub use cell::{RESULTS_VERSION, Spec};
pub use compute::Knowledge;
pub use config::{Error as ConfigError, Experiment};
pub use material::Material;
pub use plan::{Cell, Error as PlanError, Plan};
pub use run::{Error as RunError, Event, Options as RunOptions, Summary, run};
pub use sources::{PlannedSource, SourceState};
pub use store::{Damage, Error as StoreError, Record, Records, Store, write as write_results};
