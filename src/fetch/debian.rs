//! Data out of a Debian package, without root and without installing it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::run;

/// The files of the newest version of `package` as a tar archive in `scratch`. None of its scripts is
/// run.
///
/// apt checks the archive's signatures; its own lists of packages are used, or, where it has none,
/// lists of our own that live as long as `scratch`.
pub(super) fn archive(package: &str, scratch: &Path) -> Result<PathBuf, String> {
    let io = |error: std::io::Error| error.to_string();
    if download(package, scratch, &[]).is_err() {
        let mut options = Vec::new();
        for (key, folder) in
            [("Dir::State", "state"), ("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")]
        {
            let path = scratch.join(folder);
            fs::create_dir_all(path.join("partial")).map_err(io)?;
            options.extend(["-o".to_owned(), format!("{key}={}", path.display())]);
        }
        fs::create_dir_all(scratch.join("cache/archives/partial")).map_err(io)?;
        run(Command::new("apt-get").args(&options).arg("update"))?;
        download(package, scratch, &options)?;
    }
    let package = fs::read_dir(scratch)
        .map_err(io)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or("`apt-get` left no package file")?;
    let archive = scratch.join("files.tar");
    let out = fs::File::create(&archive).map_err(io)?;
    run(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(out))?;
    Ok(archive)
}

fn download(package: &str, folder: &Path, options: &[String]) -> Result<(), String> {
    run(Command::new("apt-get").args(options).args(["download", package]).current_dir(folder))
}
