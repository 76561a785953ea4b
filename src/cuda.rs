//! CUDA, where it is: loaded when it is first asked for, what is missing told apart, and how it multiplies.
//!
//! A program that was built beside a libtorch for the CPU computes on a GPU once `make setup DEVICE=cuda` has put the
//! libraries beside it: libtorch looks for its CUDA half when a device is first asked for, and that half is loaded
//! here, before. Nothing else of the program knows how libraries are loaded.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs;
use std::sync::OnceLock;

use tch::Cuda;

/// Why nothing computes on a GPU here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// The libtorch here is for the CPU alone.
    #[error("no libtorch with CUDA; `make setup DEVICE=cuda` fetches it")]
    Libtorch,
    /// A library of CUDA is missing or does not fit.
    #[error(
        "libtorch's CUDA half cannot be loaded: {0}; `make setup DEVICE=cuda` fetches all of it"
    )]
    Library(String),
    /// There is no driver.
    #[error(
        "no NVIDIA driver; install version {NEEDED} or later, or on a cluster ask for a GPU (`--gres gpu:1`)"
    )]
    Driver,
    /// The driver is too old.
    #[error(
        "the NVIDIA driver is version {0}, and CUDA 13 needs {NEEDED} or later; install a newer one"
    )]
    OldDriver(String),
    /// There is a driver, but no device that may be used.
    #[error("a driver, but no device; `nvidia-smi` lists them, and CUDA_VISIBLE_DEVICES is {0}")]
    Device(String),
}

/// The oldest driver that CUDA 13 runs on, by NVIDIA's release notes.
const NEEDED: u32 = 580;

/// How many GPUs can be computed on: at least one, or why there is none.
///
/// # Errors
/// What is missing first.
pub fn devices() -> Result<usize, Lack> {
    load()?;
    match Cuda::device_count() {
        count @ 1.. if Cuda::is_available() => Ok(count as usize),
        _ => Err(without_device(driver())),
    }
}

/// Whether GPUs may round the factors of float32 products to TF32, 10 bits behind the point: in this whole
/// program, forward and backward. libtorch's own choice is to round them in convolutions and nowhere else.
pub fn round_products(to_tf32: bool) {
    unsafe extern "C" {
        #[link_name = "_ZN2at13globalContextEv"]
        fn context() -> *mut c_void;
        #[link_name = "_ZN2at7Context17setAllowTF32CuDNNEb"]
        fn set_convolutions(context: *mut c_void, allowed: bool);
        #[link_name = "_ZN2at7Context18setAllowTF32CuBLASEb"]
        fn set_matrices(context: *mut c_void, allowed: bool);
    }
    // SAFETY: libtorch's own functions under the names that C++ compilers for Linux give them, a method's object
    // being its first argument; a libtorch without one of them does not link. The context lives as long as the
    // program, and its settings are atomic.
    unsafe {
        set_convolutions(context(), to_tf32);
        set_matrices(context(), to_tf32);
    }
}

/// Why a loaded CUDA half sees no device, beside a driver of this version.
fn without_device(driver: Option<String>) -> Lack {
    let Some(version) = driver else { return Lack::Driver };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major < NEEDED => Lack::OldDriver(version),
        _ => Lack::Device(match std::env::var("CUDA_VISIBLE_DEVICES") {
            Ok(visible) => format!("`{visible}`"),
            Err(_) => "not set".into(),
        }),
    }
}

/// The version of the NVIDIA driver, if there is one.
fn driver() -> Option<String> {
    version(&fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

/// `580.65.06` of `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  …`.
fn version(said: &str) -> Option<String> {
    let is_version =
        |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    said.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
}

/// Loads libtorch's CUDA half from where libtorch is, once.
fn load() -> Result<(), Lack> {
    static LOADED: OnceLock<Result<(), Lack>> = OnceLock::new();
    LOADED
        .get_or_init(|| if Cuda::is_available() { Ok(()) } else { open(c"libtorch_cuda.so") })
        .clone()
}

fn open(name: &CStr) -> Result<(), Lack> {
    const LAZY: c_int = 0x1;
    const GLOBAL: c_int = 0x100;
    unsafe extern "C" {
        fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
        fn dlerror() -> *const c_char;
    }
    // SAFETY: as POSIX declares them; the name ends with a zero, and the library is libtorch's own, whose
    // initialisers are those that a program linked with it runs when it starts.
    let library = unsafe { dlopen(name.as_ptr(), LAZY | GLOBAL) };
    if !library.is_null() {
        return Ok(());
    }
    // SAFETY: after an error it points to its words, up to a zero, until the next call on this thread.
    let words = unsafe { dlerror().as_ref().map(|words| CStr::from_ptr(words)) };
    let words = words.map_or_else(String::new, |words| words.to_string_lossy().into_owned());
    let is_itself = words.starts_with("libtorch_cuda.so:") && words.contains("No such file");
    Err(if is_itself { Lack::Libtorch } else { Lack::Library(words) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_driver_is_found_in_what_the_kernel_says() {
        for said in [
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:15:51 UTC 2025\n",
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 12",
        ] {
            assert_eq!(version(said).as_deref(), Some("580.65.06"), "{said}");
        }
        assert_eq!(version(""), None);
    }

    #[test]
    fn products_are_rounded_to_tf32_when_that_is_asked_for_and_not_otherwise() {
        unsafe extern "C" {
            #[link_name = "_ZN2at13globalContextEv"]
            fn context() -> *mut c_void;
            #[link_name = "_ZNK2at7Context15allowTF32CuBLASEv"]
            fn allows_matrices(context: *mut c_void) -> bool;
        }
        for rounds in [true, false] {
            round_products(rounds);
            // SAFETY: as in `round_products`.
            assert_eq!(unsafe { allows_matrices(context()) }, rounds);
        }
    }

    #[test]
    fn what_is_missing_is_told_apart() {
        assert_eq!(without_device(None), Lack::Driver);
        assert_eq!(without_device(Some("550.54.14".into())), Lack::OldDriver("550.54.14".into()));
        assert!(matches!(without_device(Some("580.65.06".into())), Lack::Device(_)));
        let lack = open(c"libtorch_cuda.so.of_nobody").unwrap_err();
        assert!(matches!(&lack, Lack::Library(words) if words.contains("of_nobody")), "{lack}");
    }
}
