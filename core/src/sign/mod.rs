//! The core of the method, without tensors and without training: one bit a weight.
//!
//! A [`SignMask`] says for every weight of one tensor which sign it must keep, or that it is free.
//! A [`Template`] names the masks of a whole network and says where they came from; the
//! [file](mod@file) it lives in is plain safetensors. A weight on the wrong side of zero is a
//! *violator*, and a [`Reset`] rule says what it becomes; [`project`] applies the rule to a slice.
//! Where there is no source to take signs from, [`Rules`] say which a network shall have.
//!
//! ```
//! use polarity_core::random::Stream;
//! use polarity_core::sign::{Reset, SignMask, project};
//!
//! let source = [0.3, -0.1, 0.0, 2.0];
//! let mask = SignMask::of_weights(&source)?;
//! assert_eq!(mask.to_signs(), [1, -1, 0, 1]);
//!
//! let mut fresh = [-0.5, -0.5, -0.5, 0.5];
//! let resets = project(&mut fresh, &mask, Reset::Flip, &mut Stream::new(0, "example"));
//! assert_eq!((resets, fresh), (1, [0.5, -0.5, -0.5, 0.5]));
//! # Ok::<(), polarity_core::sign::NotANumber>(())
//! ```
//!
//! Left to others: the fast projections (`optim`), names that differ between networks (`transfer`),
//! and reading foreign checkpoints (`weights`).

pub mod builtin;
pub mod file;
pub mod mask;
pub mod reset;
pub mod rule;
pub mod template;

pub use file::{FileError, Flaw};
pub use mask::{NotANumber, SignMask};
pub use reset::{InvalidMagnitude, Magnitude, Reset, project};
pub use rule::{
    Axis, Dale, DaleError, Edges, EdgesError, Pattern, Rule, RuleError, RuleReport, RuleTensor,
    Ruled, Rules,
};
pub use template::{Agreement, Layer, Shuffle, Template, TemplateError, is_below};
