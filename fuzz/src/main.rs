//! Hands libFuzzer's bytes to the reader of the format that `POLARITY_FUZZ` names, under a limit of memory.
//!
//! One program for all formats: each has a corpus of its own and runs in a process of its own
//! (`run.py`). What a reader may not do ends the process, and libFuzzer writes down the bytes.

#![no_main]

mod formats;

use std::alloc::System;
use std::env;
use std::sync::LazyLock;

use cap::Cap;
use formats::{FORMATS, Format, allowance, find};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

static FORMAT: LazyLock<&Format> = LazyLock::new(|| {
    let name = env::var("POLARITY_FUZZ").unwrap_or_default();
    find(&name).unwrap_or_else(|| {
        let names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
        panic!("POLARITY_FUZZ: expected one of {}, got `{name}`", names.join(", "))
    })
});

fuzz_target!(|bytes: &[u8]| {
    let read = FORMAT.read;
    let most = MEMORY.allocated() + allowance(bytes.len());
    MEMORY.set_limit(most).expect("there is room for more");
    read(bytes);
    MEMORY.set_limit(usize::MAX).expect("there is room for all");
});
