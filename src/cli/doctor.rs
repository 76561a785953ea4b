//! `polarity doctor`: what is here, what is missing, and the command that mends it.

use std::path::Path;

use anyhow::anyhow;
use tch::{Device, Kind, Tensor};

use super::{Failure, data, print};
use crate::catalog;
use crate::cuda;
use crate::fetch::{State, cache_dir};

/// One thing looked at.
struct Check {
    what: String,
    found: Result<String, String>,
}

pub(super) fn run() -> Result<(), Failure> {
    let cache = cache_dir().map_err(Failure::input)?;
    let mut checks = vec![version(), libtorch(), devices(), threads(), writable(&cache)];
    checks.extend(catalog::packages().map(|package| {
        let (name, there) = (package.name, data::worst(package, &cache));
        let mend = |state: &str| Err(format!("{state}; `polarity data fetch {name}`"));
        let found = match there {
            State::Ready => Ok(format!("ready in {}", package.folder(&cache).display())),
            State::Missing => mend("missing"),
            State::Damaged => mend("damaged"),
        };
        Check { what: format!("{} {name}", package.room), found }
    }));
    let width = checks.iter().map(|check| check.what.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { what, found } in &checks {
        let (mark, found) = match found {
            Ok(found) => ("ok  ", found),
            Err(found) => ("miss", found),
        };
        text += &format!("{mark}  {what:<width$}  {found}\n");
    }
    print(&text)?;
    // Data may be missing on purpose; without libtorch or a place to write nothing works.
    match checks[..5].iter().find(|check| check.found.is_err()) {
        Some(check) => Err(Failure::Work(anyhow!("{} is not in order", check.what))),
        None => Ok(()),
    }
}

fn version() -> Check {
    Check { what: "polarity".into(), found: Ok(env!("CARGO_PKG_VERSION").into()) }
}

fn libtorch() -> Check {
    let sum = Tensor::f_ones([3], (Kind::Float, Device::Cpu))
        .and_then(|ones| ones.f_sum(Kind::Float))
        .and_then(|sum| sum.f_double_value(&[]));
    let found = match sum {
        Ok(3.0) => match (crate::libtorch(), crate::LIBTORCH) {
            (loaded, built_for) if loaded == built_for => Ok(format!("{loaded}, computes")),
            (loaded, built_for) => Err(format!(
                "{loaded} is loaded in place of {built_for}; is one in LD_PRELOAD or LD_LIBRARY_PATH?"
            )),
        },
        Ok(other) => Err(format!("1 + 1 + 1 gave {other}; `make setup` fetches libtorch again")),
        Err(error) => Err(format!("{error}; `make setup` fetches libtorch again")),
    };
    Check { what: "libtorch".into(), found }
}

fn devices() -> Check {
    let found = match cuda::devices() {
        Ok(count) => format!("cpu and {count} CUDA devices"),
        Err(lack) => format!("cpu; for CUDA: {lack}"),
    };
    Check { what: "devices".into(), found: Ok(found) }
}

fn threads() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Check { what: "threads".into(), found: Ok(format!("{cores} cores")) }
}

fn writable(cache: &Path) -> Check {
    let found = std::fs::create_dir_all(cache)
        .and_then(|()| tempfile::tempfile_in(cache))
        .map(|_| format!("{} can be written", cache.display()))
        .map_err(|error| format!("{}: {error}; set POLARITY_CACHE=DIR", cache.display()));
    Check { what: "cache".into(), found }
}
