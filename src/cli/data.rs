//! `polarity data`: gets and lists data sets and source weights.

use clap::{Args, Subcommand};

use super::say::say;
use super::{Failure, print};
use crate::catalog;
use crate::fetch::{Package, State, cache_dir};

/// Get and list data sets and source weights
#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// Get data sets or source weights, check them, and keep them in the cache
    Fetch(Fetch),
    /// List what can be fetched and what is there
    List,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity data fetch fashion-mnist
  polarity data fetch alexnet-imagenet     the weights behind the built-in template

The cache is $POLARITY_CACHE, else $XDG_CACHE_HOME/polarity, else ~/.cache/polarity.")]
pub(super) struct Fetch {
    /// Names from `polarity data list`
    #[arg(required = true)]
    names: Vec<String>,
}

impl DataCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            DataCommand::Fetch(Fetch { names }) => fetch(&names),
            DataCommand::List => list(),
        }
    }
}

fn fetch(names: &[String]) -> Result<(), Failure> {
    let cache = cache_dir().map_err(Failure::input)?;
    let packages: Vec<&Package> = names
        .iter()
        .map(|name| catalog::find(name).map_err(Failure::input))
        .collect::<Result<_, _>>()?;
    for package in packages {
        let fetched = package.fetch(&cache, &mut |line| say(line)).map_err(Failure::work)?;
        print(&format!("{}: ready in {}\n", package.name, fetched.folder.display()))?;
    }
    Ok(())
}

fn list() -> Result<(), Failure> {
    let cache = cache_dir().map_err(Failure::input)?;
    let width = catalog::packages().map(|package| package.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for package in catalog::packages() {
        let state = match worst(package, &cache) {
            State::Ready => "ready",
            State::Damaged => "damaged",
            State::Missing => "missing",
        };
        let Package { name, help, licence, .. } = package;
        text += &format!("{name:<width$}  {state:<8} {help} ({licence})\n");
    }
    print(&text)
}

/// What the cache has of a package: ready only if every file is.
pub(super) fn worst(package: &Package, cache: &std::path::Path) -> State {
    let states =
        package.files.iter().map(|file| package.state(file, cache).unwrap_or(State::Damaged));
    states.max_by_key(|state| *state as u8).unwrap_or(State::Missing)
}
