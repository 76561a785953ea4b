//! Signs and the kernels that hold them, without tensors: the core of `polarity`.
//!
//! A weight's sign is its *polarity*. This crate says which sign each weight must keep (a mask, a
//! template, its file) and steps and projects slices of weights so that they keep it. It knows no
//! tensor library and opens no files but templates and tables of edges, so that it compiles in
//! seconds, runs under Miri and valgrind, and serves any framework. The package `polarity` shows it
//! all again under its own name.
//!
//! | room | owns |
//! | --- | --- |
//! | [`sign`] | masks, templates, the rules that make them, reset rules, the template file |
//! | [`kernel`] | steps that hold signs: slices in, slices out, the same bits on every CPU |
//! | [`random`] | one seed, streams by purpose |
//! | [`digest`], [`files`], [`nearest`] | hexadecimal digests, whole files, mistyped words |
//!
//! Arrows point one way: `random`, `digest`, `files`, `nearest` ← `sign` ← `kernel`.

pub mod digest;
pub mod files;
pub mod kernel;
pub mod nearest;
pub mod random;
pub mod sign;
