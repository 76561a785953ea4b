//! Experiments: a YAML file becomes a checked plan, the plan becomes cells, the cells become tables.
//!
//! [`Experiment`] is the file as written, [`Checked`] the same without mistakes, [`Plan`] the same with
//! its data at hand; only a plan can be [run](run()). A [`Cell`] is one training run, named by the digest
//! of what it computes, so a run that was cut off goes on where it was, and parts of a grid computed in
//! different places fit together. [`Records`] are the finished cells on disk; [`publish`] makes the
//! tables from them, which are read in [`results`](crate::results).
//!
//! Gradients are computed elsewhere, and nothing here prints. Inside, arrows point one way: `problem` ←
//! `file` ← `cell` ← `checked` ← `study` ← `check` ← `plan` ← `publish` ← `run`; `store` leans on `cell`
//! only, `savepoint` on nothing. What a kind of study is stays behind `study::Study`.

mod bundle;
pub mod cell;
mod check;
mod checked;
mod estimate;
pub mod file;
mod plan;
mod problem;
mod publish;
mod run;
mod savepoint;
mod store;
mod study;
pub mod verify;

pub use bundle::Bundle;
pub use cell::{Cell, RESULTS_VERSION, Spec};
pub use check::check_shown;
pub use checked::Checked;
pub use estimate::{Basis, CalibrationError, Estimate, Shape, bundled};
pub use file::{Error as FileError, Experiment, apply_overrides};
pub use plan::Plan;
pub use problem::{Mistakes, Problem};
pub use publish::{Published, is_published, publish};
pub use run::{
    Error as RunError, Event, Options as RunOptions, Part, Shard, Summary, Task, TaskError, run,
};
pub(crate) use store::Turn;
pub use store::{
    Contradiction, Damage, Error as StoreError, Record, Records, Store, write as write_results,
};
