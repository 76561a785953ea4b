//! The compiled part of the Python package `polarity_torch`: [`polarity_core`] for PyTorch's tensors.
//!
//! It knows nothing of PyTorch, not even its headers: tensors come as addresses and lengths, so that one
//! build serves every version. Python asks the tensors what only PyTorch knows (kind, strides, device,
//! how long their storage is); all that numbers can show is checked here once more before memory is
//! touched (`memory`). A panic would be a bug of ours, and becomes a `RuntimeError`.
//!
//! | file | owns |
//! | --- | --- |
//! | `template`, `rules` | templates: files, what is derived from them, or made from rules |
//! | `signs` | the signs of one tensor, laid out as its weights are |
//! | `adam`, `sgd`, `project` | one step or one projection of many tensors; `step` what they share |
//! | `memory` | addresses that may be used, and why others may not |

mod adam;
mod memory;
mod project;
mod rules;
mod sgd;
mod signs;
mod step;
mod template;

/// Sign templates and the steps that hold them.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use super::adam::{adam, eg_adam};
    #[pymodule_export]
    use super::memory::Refused;
    #[pymodule_export]
    use super::project::project;
    #[pymodule_export]
    use super::rules::{Rules, matching};
    #[pymodule_export]
    use super::sgd::{eg, sgd};
    #[pymodule_export]
    use super::signs::{Signs, number};
    #[pymodule_export]
    use super::step::Reset;
    #[pymodule_export]
    use super::template::{Template, builtin};
}
