//! Networks whose weights keep their sign.
//!
//! A weight's sign is its *polarity*. Wang et al. (ICML 2023) found that a network whose polarities are
//! well chosen in advance, and then held while only the magnitudes learn, learns from less data and in
//! less time; and that the polarities of a trained network, one bit a weight, are a good medium of
//! transfer. This library does both.
//!
//! # The method
//! Every constrained weight `w` (of a kernel; of a bias only where a rule names it) has a mask `t` in {+1, −1, 0}; 0 leaves it
//! free. After each optimizer step, every *violator*, a weight with `w · t < 0`, is put back by a reset
//! rule: 0, `t · |w|`, `t · u` with `u` uniform in [0, 0.001), or `t · c`. A network is *frozen* when
//! its signs are held throughout, *fluid* when they are free.
//!
//! ```
//! use polarity::optim::{Adam, FrozenAdam};
//! use polarity::{models::AlexNet, sign::Template, transfer};
//! use tch::{Device, Kind, Tensor, nn, nn::ModuleT};
//!
//! let vs = nn::VarStore::new(Device::cuda_if_available());
//! let net = AlexNet { hidden: [64, 64], dropout: 0.5 }.build(&vs.root(), 10);
//!
//! // The signs come from ImageNet, the magnitudes stay fresh.
//! let source = Template::open("alexnet-imagenet")?;
//! let report = transfer::signs(&source, &vs, &transfer::Options::default())?;
//! assert_eq!(report.taken.len(), 5);
//!
//! let mut opt = FrozenAdam::new(&vs, report.template, Adam { lr: 1e-3, ..Adam::default() })?;
//! let images = Tensor::rand([4, 3, 64, 64], (Kind::Float, vs.device()));
//! let labels = Tensor::arange(4, (Kind::Int64, vs.device()));
//! let loss = net.forward_t(&images, true).cross_entropy_for_logits(&labels);
//! opt.backward_step(&loss)?; // a step of Adam, then the projection
//! assert_eq!(opt.violations()?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rooms
//! | room | owns |
//! | --- | --- |
//! | [`sign`] | masks, templates, the rules that make them, reset rules, the template file; no tensors |
//! | [`kernel`] | the steps that hold signs, over slices on the CPU |
//! | [`optim`] | update rules that hold signs, over tensors, and their state |
//! | [`tensors`] | named tensors and notes in one file, to go on from |
//! | [`transfer`] | signs or weights of a source into a fresh network, by name |
//! | [`weights`] | other people's checkpoints as named arrays |
//! | [`models`] | architectures, their names and initialisation |
//! | [`data`] | data sets and the order in which a seed takes their images |
//! | [`cuda`] | loading CUDA where it is, and what is missing where it is not |
//! | [`fetch`], [`catalog`] | published files, brought into the cache and pinned by digest |
//! | [`train`] | one training run |
//! | [`experiment`] | YAML → plan → cells → tables |
//! | [`results`] | finished tables, what they are about, and their report |
//! | [`slurm`] | a grid as a Slurm job array |
//! | [`stats`] | medians, intervals, tests |
//! | [`figure`] | tables → PNG |
//! | [`mod@bench`] | how fast all this is beside libtorch |
//! | [`random`] | one seed, streams by purpose |
//! | [`cli`] | the program's words and exit codes |
//!
//! `sign`, `kernel` and `random` are the package `polarity-core`, which needs no libtorch, shown again.
//! Arrows point one way: `sign` ← `kernel` ← `optim`, `transfer` ← `train` ← `experiment` ← `cli`, and
//! `results` ← `figure`, `experiment`.

pub mod bench;
pub mod catalog;
pub mod cli;
pub mod cuda;
pub mod data;
pub mod experiment;
pub mod fetch;
pub mod figure;
mod machine;
mod memory;
pub mod models;
pub mod optim;
mod range;
pub mod results;
pub mod slurm;
pub mod stats;
pub mod tensors;
pub mod train;
pub mod transfer;
pub mod weights;

use polarity_core::{digest, files, nearest};
pub use polarity_core::{kernel, random, sign};

/// The libtorch this library is built for.
pub const LIBTORCH: &str = "2.11.0";

/// The version of the libtorch that is loaded, as it says itself: [`LIBTORCH`], unless something put
/// another one in its place.
pub fn libtorch() -> String {
    unsafe extern "C" {
        fn aoti_torch_abi_version() -> u64;
    }
    // SAFETY: declared so in libtorch's `aoti_torch/c/shim.h`; it takes nothing and gives back a constant.
    let [major, minor, patch, ..] = unsafe { aoti_torch_abi_version() }.to_be_bytes();
    format!("{major}.{minor}.{patch}")
}

/// The code of the README and of the guide, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/guide.md")]
pub struct Pages;
