//! Networks whose weights keep their sign.

pub mod experiment;
pub mod figure;
pub mod data;
pub mod fetch;
pub mod random;
pub mod sign;
pub mod stats;
pub mod catalog;
pub mod data;
pub mod fetch;
pub mod random;
pub mod weights;
