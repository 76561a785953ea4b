//! Which files of a folder are images of which class, for training and for the test.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::memory::TooMuch;
use crate::random::Stream;

/// What people call the folders of the images to train on, to test on and to validate with.
const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 2] = ["test", "testing"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];

/// What operating systems leave behind, beside what is hidden.
const LEFTOVERS: [&str; 7] = [
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "__macosx",
    "@eadir",
    "$recycle.bin",
    "system volume information",
];

/// The most classes: a label has 16 bits.
const MOST_CLASSES: usize = 1 << 16;

/// The classes to train on and those to test on, which are the same in the same order.
#[derive(Debug)]
pub(super) struct Tree {
    pub train: Vec<Class>,
    pub test: Vec<Class>,
    /// What was not looked at, a sentence each.
    pub notes: Vec<String>,
}

/// The files of one class, in name order.
#[derive(Debug)]
pub(super) struct Class {
    pub name: String,
    pub files: Vec<PathBuf>,
}

impl Tree {
    /// The images below `path`; `test_share` is the share of each class that is set apart for the test,
    /// if there is no folder of test images.
    pub(super) fn read(path: &Path, test_share: Option<f64>) -> Result<Self, Error> {
        if !path.is_dir() {
            return Err(match what(path) {
                Some(what) => Error::stray(path, what, "a folder of images"),
                None => Error::Missing(path.to_owned()),
            });
        }
        let mut passed = Passed::default();
        let root = passed.entries(path)?;
        let part = |names: &[&str]| {
            let is_one =
                |path: &&PathBuf| names.contains(&lower(path).as_str()) && has_folders(path);
            root.iter().find(is_one).cloned()
        };
        let (train, test, validation) = (part(&TRAIN), part(&TEST), part(&VALIDATION));
        let mut notes = Vec::new();
        if let (Some(_), Some(other)) = (&test, &validation) {
            let name = other.file_name().unwrap_or_default().to_string_lossy();
            notes.push(format!(
                "`{name}` is not read: images for validation are split from those to train on"
            ));
        }
        let [train, test] = match (train, test.or(validation), test_share) {
            (Some(train), Some(test), None) => same(&mut passed, &train, test)?,
            (Some(train), None, Some(share)) => split(&mut passed, &train, share)?,
            (None, None, Some(share)) => split(&mut passed, path, share)?,
            (train, test, _) => {
                return Err(Error::Share {
                    folder: path.to_owned(),
                    has: [train.is_some(), test.is_some()],
                });
            }
        };
        notes.extend(passed.note());
        Ok(Tree { train, test, notes })
    }
}

/// The classes of two folders, which must have the same.
fn same(passed: &mut Passed, train: &Path, test: PathBuf) -> Result<[Vec<Class>; 2], Error> {
    let parts = [classes(passed, train)?, classes(passed, &test)?];
    let names = |part: &[Class]| part.iter().map(|class| class.name.clone()).collect();
    let [expected, got]: [Vec<String>; 2] = [names(&parts[0]), names(&parts[1])];
    match expected == got {
        true => Ok(parts),
        false => Err(Error::Classes { folder: test, expected, got }),
    }
}

/// The classes of one folder, a `share` of each for the test.
fn split(passed: &mut Passed, folder: &Path, share: f64) -> Result<[Vec<Class>; 2], Error> {
    let split = classes(passed, folder)?.into_iter().map(|class| class.split(folder, share));
    let (train, test) = split.collect::<Result<_, _>>()?;
    Ok([train, test])
}

/// The classes in `folder`: its own folders.
fn classes(passed: &mut Passed, folder: &Path) -> Result<Vec<Class>, Error> {
    let mut classes = Vec::new();
    for path in passed.entries(folder)? {
        if !path.is_dir() {
            let what = what(&path).unwrap_or("is gone");
            return Err(Error::stray(&path, what, "a folder of one class"));
        }
        let files = passed.entries(&path)?;
        if let Some(path) = files.iter().find(|file| !is_image(file)) {
            let what = what(path).unwrap_or("is gone");
            return Err(Error::stray(path, what, "an image called `.png`, `.jpg` or `.jpeg`"));
        }
        if files.is_empty() {
            return Err(Error::EmptyClass(path));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        classes.push(Class { name, files });
    }
    if !(2..=MOST_CLASSES).contains(&classes.len()) {
        return Err(Error::ClassCount { folder: folder.to_owned(), got: classes.len() });
    }
    Ok(classes)
}

/// The files that are no images and nobody's mistake.
#[derive(Default)]
struct Passed {
    count: usize,
    names: BTreeSet<String>,
}

impl Passed {
    /// What is in `folder`, in name order, without what operating systems leave there.
    fn entries(&mut self, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let read = |cause| Error::Read { path: folder.to_owned(), cause };
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(read)? {
            let path = entry.map_err(read)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match name.starts_with('.') || name == "Icon\r" || LEFTOVERS.contains(&&*lower(&path)) {
                true => {
                    self.count += 1;
                    self.names.insert(name);
                }
                false => entries.push(path),
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn note(self) -> Option<String> {
        const SHOWN: usize = 5;
        let shown = self.names.iter().take(SHOWN).map(|name| format!("`{}`", name.escape_debug()));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let more = if self.names.len() > SHOWN { ", …" } else { "" };
        let files = if self.count == 1 { "file" } else { "files" };
        let note = format!(
            "passed over {} {files} that operating systems leave: {shown}{more}",
            self.count
        );
        (self.count > 0).then_some(note)
    }
}

fn lower(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// Whether there are folders in `path`: a class called `train` has none.
fn has_folders(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return false };
    entries.flatten().any(|entry| entry.path().is_dir() && !lower(&entry.path()).starts_with('.'))
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    path.is_file() && ["png", "jpg", "jpeg"].iter().any(|known| extension == *known)
}

/// What is at `path`, if anything is.
fn what(path: &Path) -> Option<&'static str> {
    let about = fs::symlink_metadata(path).ok()?;
    Some(match fs::metadata(path) {
        Err(_) if about.is_symlink() => "is a link to nothing",
        Ok(about) if about.is_dir() => "is a folder",
        Ok(about) if about.is_file() => "is a file",
        _ => "is no file",
    })
}

impl Class {
    /// The class without a `share` of its files, and these; which ones depends on their number and
    /// the class's name alone.
    fn split(self, folder: &Path, share: f64) -> Result<(Class, Class), Error> {
        let count = self.files.len();
        if count < 2 {
            return Err(Error::EmptyClass(folder.join(&self.name)));
        }
        let tested = ((count as f64 * share).round() as usize).clamp(1, count - 1);
        let mut order: Vec<usize> = (0..count).collect();
        Stream::new(0, &format!("folder/{}", self.name)).shuffle(&mut order);
        let mut is_tested = vec![false; count];
        order[..tested].iter().for_each(|&place| is_tested[place] = true);
        let pick = |wanted: bool| {
            let files = self.files.iter().zip(&is_tested).filter(|(_, tested)| **tested == wanted);
            let files = files.map(|(file, _)| file.clone()).collect();
            Class { name: self.name.clone(), files }
        };
        Ok((pick(false), pick(true)))
    }
}

/// A folder of images that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing at the folder's path.
    #[error("{}: there is no such folder", .0.display())]
    Missing(PathBuf),
    /// A folder or file cannot be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file is no image that can be decoded.
    #[error("{}: cannot be decoded: {cause}; expected a PNG or JPEG image", file.display())]
    Image {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: String,
    },
    /// Something lies where it does not belong.
    #[error("{}: {what}; expected {expected}; move it elsewhere", path.display())]
    Stray {
        /// What lies there.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What should.
        expected: &'static str,
    },
    /// A class has no image, or not two to split.
    #[error("{}: expected at least one image to train on and one to test on", .0.display())]
    EmptyClass(PathBuf),
    /// There are too few classes or too many.
    #[error(
        "{}: expected 2 to {MOST_CLASSES} folders, one for each class, got {got}",
        folder.display()
    )]
    ClassCount {
        /// The folder.
        folder: PathBuf,
        /// How many it has.
        got: usize,
    },
    /// The test images have other classes than the training images.
    #[error("{}: expected the classes to train on, {expected:?}, got {got:?}", folder.display())]
    Classes {
        /// The folder of the test images.
        folder: PathBuf,
        /// The classes of the training images.
        expected: Vec<String>,
        /// Those of the test images.
        got: Vec<String>,
    },
    /// A share for the test is asked for beside test images, or one of the parts is not there.
    #[error("{}: {}", folder.display(), split_or_share(*has))]
    Share {
        /// The folder.
        folder: PathBuf,
        /// Whether it has a folder of images to train on, and one of those to test on.
        has: [bool; 2],
    },
    /// All pictures together take more memory than there is.
    #[error(
        "{}: {pictures} pictures of {side} × {side} pixels: {cause}; make `data.image_size` smaller",
        folder.display()
    )]
    Memory {
        /// The folder.
        folder: PathBuf,
        /// How many pictures it has.
        pictures: usize,
        /// The side of each, in pixels.
        side: usize,
        /// What they take and what is there.
        cause: TooMuch,
    },
}

impl Error {
    fn stray(path: &Path, what: &'static str, expected: &'static str) -> Self {
        Error::Stray { path: path.to_owned(), what, expected }
    }
}

fn split_or_share(has: [bool; 2]) -> &'static str {
    match has {
        [true, true] => {
            "has `train` and `test`, so `test_share` has nothing to set apart; take it out"
        }
        [true, false] => {
            "has `train` and no `test`, `val` or `valid`; add one, or `test_share` to set a share of each \
             class apart"
        }
        [false, true] => "has `test` and no `train`; add the images to train on",
        [false, false] => {
            "expected the folders `train` and `test`, or `test_share` to set a share of each class apart"
        }
    }
}
