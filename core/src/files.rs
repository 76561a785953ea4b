//! Writing a file whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Writes `bytes` to `path`: into a new file of the same folder, to the disk, then over the name.
/// Who reads `path` meanwhile, or after a crash, sees the old file or the new one.
///
/// A file that is there keeps its mode, and one that may not be written is not replaced. Where `path` is
/// a link, the file is meant that it leads to. What is no regular file, a pipe or a device, and what lies
/// in `/dev` or `/proc`, is written into and never replaced.
///
/// # Errors
/// When the folder or the file cannot be written, or the disk fails; a regular file is as it was then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// As [`write_atomically`], with the bytes that `write` writes.
///
/// # Errors
/// As [`write_atomically`], and what `write` says.
pub fn write_atomically_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    match meant(path)? {
        Meant::Beside(target, mode) => name(beside(&target, write, mode)?, &target),
        Meant::Into(mut file) => write(&mut file),
    }
}

/// What a file is to hold, on the disk already under a name of its own: files that belong together are all
/// staged before the first is given its name, so that a full disk leaves all of them as they were.
///
/// Dropped, it leaves nothing behind. What is no regular file is written into when it is committed.
#[derive(Debug)]
pub struct Staged(Place);

#[derive(Debug)]
enum Place {
    Beside(NamedTempFile, PathBuf),
    Into(File, Vec<u8>),
}

impl Staged {
    /// Writes `bytes`, which are meant for `path`, beside it.
    ///
    /// # Errors
    /// When the folder or the file cannot be written, or the disk fails.
    pub fn new(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        Ok(Staged(match meant(path)? {
            Meant::Beside(target, mode) => {
                Place::Beside(beside(&target, |file| file.write_all(bytes), mode)?, target)
            }
            Meant::Into(file) => Place::Into(file, bytes.to_owned()),
        }))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the folder cannot be written, or the disk fails.
    pub fn commit(self) -> io::Result<()> {
        match self.0 {
            Place::Beside(file, path) => name(file, &path),
            Place::Into(mut file, bytes) => file.write_all(&bytes),
        }
    }
}

/// Whether two paths lead to the same file, which is there.
pub fn are_same(one: &Path, other: &Path) -> bool {
    let number = |path| fs::metadata(path).map(|about: fs::Metadata| (about.dev(), about.ino()));
    matches!((number(one), number(other)), (Ok(one), Ok(other)) if one == other)
}

/// What is meant by a path: a file to be replaced, which keeps its mode, or one to be written into.
enum Meant {
    Beside(PathBuf, Option<Permissions>),
    Into(File),
}

fn meant(path: &Path) -> io::Result<Meant> {
    let target = target(path)?;
    let old = match File::options().write(true).open(&target) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Meant::Beside(target, None));
        }
        Err(error) => return Err(error),
    };
    let about = old.metadata()?;
    Ok(match about.is_file() && !is_of_the_system(&target) {
        true => Meant::Beside(target, Some(about.permissions())),
        false => Meant::Into(old),
    })
}

fn name(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// A new file in the folder of `path` that holds what `write` writes, on the disk.
fn beside(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
    mode: Option<Permissions>,
) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".polarity-")
        // What File::create would ask for; the umask takes its part from it.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder(path))?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Where the links from `path` on lead; nothing needs to be there.
fn target(path: &Path) -> io::Result<PathBuf> {
    const MOST_LINKS: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        // The links of `/proc` name pipes by words that are no path.
        if is_of_the_system(&target) {
            return Ok(target);
        }
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many links, which may lead to each other"))
}

fn is_of_the_system(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_old_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, b"a longer old text").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_mode_is_that_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let mode =
            |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        write_atomically(&folder.path().join("ours"), b"").unwrap();
        File::create(folder.path().join("plain")).unwrap();
        assert_eq!(mode("ours"), mode("plain"));
    }

    #[test]
    fn a_file_that_is_there_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "old").unwrap();
        for mode in [0o600, 0o640, 0o755] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            write_atomically(&path, b"new").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        }
    }

    #[test]
    fn a_link_leads_to_the_file_and_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("inner")).unwrap();
        fs::write(at("inner/file"), "old").unwrap();
        std::os::unix::fs::symlink("inner/file", at("near")).unwrap();
        std::os::unix::fs::symlink(at("near"), at("far")).unwrap();
        std::os::unix::fs::symlink("inner/none", at("dangling")).unwrap();
        write_atomically(&at("far"), b"new").unwrap();
        write_atomically(&at("dangling"), b"made").unwrap();
        assert_eq!(fs::read(at("inner/file")).unwrap(), b"new");
        assert_eq!(fs::read(at("inner/none")).unwrap(), b"made");
        for link in ["near", "far", "dangling"] {
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
        }
        std::os::unix::fs::symlink("round", at("round")).unwrap();
        assert!(write_atomically(&at("round"), b"").is_err());
    }

    #[test]
    fn a_device_and_a_pipe_are_written_into_and_not_replaced() {
        use std::io::Read;
        use std::os::fd::AsRawFd;

        write_atomically(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let (mut reader, writer) = io::pipe().unwrap();
        write_atomically(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd())), b"through")
            .unwrap();
        drop(writer);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "through");
    }

    #[test]
    fn a_file_is_the_same_by_any_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "").unwrap();
        fs::write(at("other"), "").unwrap();
        fs::hard_link(at("file"), at("hard")).unwrap();
        std::os::unix::fs::symlink("file", at("soft")).unwrap();
        for same in ["file", "hard", "soft", "./file"] {
            assert!(are_same(&at("file"), &at(same)), "{same}");
        }
        assert!(!are_same(&at("file"), &at("other")) && !are_same(&at("none"), &at("none")));
    }

    #[test]
    fn what_is_staged_is_nowhere_until_it_is_committed_and_leaves_nothing_when_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old"), "old").unwrap();
        let staged = ["old", "new"].map(|name| Staged::new(&at(name), b"text").unwrap());
        assert_eq!(fs::read(at("old")).unwrap(), b"old");
        assert!(!at("new").exists());
        let [first, second] = staged;
        first.commit().unwrap();
        drop(second);
        assert_eq!(fs::read(at("old")).unwrap(), b"text");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_no_file_behind() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("taken/by-a-folder")).unwrap();
        assert!(write_atomically(&folder.path().join("taken"), b"new").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
