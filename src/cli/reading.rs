//! How a command reads somebody's checkpoint: which dict of it, under which names, in which layout.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::say::say;
use crate::fetch;
use crate::weights::{Contents, Layout, Naming, Wanted, sources};

/// What is read of a checkpoint, and how.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// The dict in the file that is the network, keys joined by dots, for example `ema` or
    /// `model.state_dict`
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Drop this from the front of names, for example `module`; may be given again
    #[arg(long, value_name = "PREFIX")]
    strip: Vec<String>,
    /// Call what begins with FROM by TO, for example `conv1=features.0`; may be given again
    #[arg(long, value_name = "FROM=TO", value_parser = renaming)]
    rename: Vec<(String, String)>,
    /// How the file names and lays out its arrays: `torchvision`, `bvlc-alexnet` (its two groups
    /// opened with free weights) or `bvlc-alexnet-grouped`
    #[arg(long, value_name = "LAYOUT", default_value_t)]
    layout: Layout,
}

impl Reading {
    /// What the checkpoint `source`, a file or a name of `polarity data list`, holds; says what was put
    /// aside. Where the names of the `network` that it is for are known, and none of its own is one of
    /// them, what programs put in front of names is dropped.
    pub(super) fn open(self, source: &str, network: Vec<String>) -> Result<Contents, Failure> {
        let Reading { key, strip, rename, layout } = self;
        // Without a place for a cache a file can be read all the same.
        let cache = match sources::find(source) {
            Some(_) => fetch::cache_dir().map_err(Failure::input)?,
            None => PathBuf::new(),
        };
        let wanted = Wanted { key, naming: Naming { strip, rename, network } };
        let contents = sources::open(source, layout, &wanted, &cache).map_err(Failure::input)?;
        for line in contents.account.to_string().lines() {
            say(&format!("{source}: {line}"));
        }
        Ok(contents)
    }
}

fn renaming(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.into(), to.into())),
        _ => Err("expected FROM=TO, such as `conv1=features.0`".into()),
    }
}
