//! Networks whose weights keep their sign.

pub mod random;
