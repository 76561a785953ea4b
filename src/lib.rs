//! Networks whose weights keep their sign.

pub mod catalog;
pub mod cli;
pub mod data;
pub mod experiment;
pub mod fetch;
pub mod figure;
mod files;
pub mod models;
mod nearest;
pub mod optim;
pub mod random;
pub mod sign;
pub mod stats;
pub mod train;
pub mod transfer;
pub mod weights;

/// The libtorch this library is built for.
pub const LIBTORCH: &str = "2.11.0";
