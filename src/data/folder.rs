//! Reads a folder of images: `train/CLASS/NAME.png` and `test/CLASS/NAME.jpg`, or `CLASS/NAME.png`
//! with a share of each class set apart for the test.
//!
//! Classes and files are taken in the order of their names, so that the same folder gives the same
//! data set everywhere. Each image is scaled until its shorter side fits and cut to a square around
//! its centre. If all images are grey the data set is grey, else all are taken as red, green, blue;
//! transparency is dropped.

use std::fs;
use std::io::{self, Cursor};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use image::imageops::FilterType;
use image::io::{Limits, Reader};
use image::{DynamicImage, ImageError};

use super::Images;
use crate::digest::sha256;
use crate::random::Stream;

/// Sides beyond which a file is taken for a mistake or an attack.
const LARGEST_SIDE: u32 = 16_384;

/// A data set read from a folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub train: Images,
    pub test: Images,
    pub digest: String,
}

/// The images below `path` as squares of `side` pixels. `test_share` is the share of each class that
/// is set apart for the test, if `path` has no folders `train` and `test`.
pub(super) fn open(path: &Path, side: usize, test_share: Option<f64>) -> Result<Folder, Error> {
    let [train, test] = parts(path, test_share)?;
    let classes = train.len();
    let [train, test] = [train, test].map(|classes| decode(&classes, path, side));
    let (train, test) = (train?, test?);
    let grey = train.iter().chain(&test).all(|picture| !picture.pixels.color().has_color());
    let digests: String =
        train.iter().chain(&test).map(|picture| format!("{}\n", picture.digest)).collect();
    let [train, test] = [train, test].map(|pictures| images(&pictures, side, classes, grey));
    Ok(Folder { train, test, digest: sha256(digests.as_bytes()) })
}

/// The files of one class, in name order.
#[derive(Debug)]
struct Class {
    name: String,
    files: Vec<PathBuf>,
}

/// The classes to train on and those to test on, which are the same in the same order.
fn parts(path: &Path, test_share: Option<f64>) -> Result<[Vec<Class>; 2], Error> {
    let [train, test] = ["train", "test"].map(|part| path.join(part));
    match (train.is_dir() || test.is_dir(), test_share) {
        (true, None) => {
            let parts = [classes(&train)?, classes(&test)?];
            let names = |part: &[Class]| part.iter().map(|class| class.name.clone()).collect();
            let [expected, got]: [Vec<String>; 2] = [names(&parts[0]), names(&parts[1])];
            if expected != got {
                return Err(Error::Classes { folder: test, expected, got });
            }
            Ok(parts)
        }
        (false, Some(share)) => {
            let (train, test) = classes(path)?
                .into_iter()
                .map(|class| class.split(path, share))
                .collect::<Result<_, _>>()?;
            Ok([train, test])
        }
        (split, _) => Err(Error::Share { folder: path.to_owned(), split }),
    }
}

/// The classes in `folder`: its own folders.
fn classes(folder: &Path) -> Result<Vec<Class>, Error> {
    let class = |path: PathBuf| {
        if !path.is_dir() {
            return Err(Error::Stray { path, expected: "a folder of one class" });
        }
        let files = entries(&path)?;
        if let Some(path) = files.iter().find(|file| !is_image(file)) {
            let path = path.clone();
            return Err(Error::Stray {
                path,
                expected: "an image called `.png`, `.jpg` or `.jpeg`",
            });
        }
        if files.is_empty() {
            return Err(Error::EmptyClass(path));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Class { name, files })
    };
    let classes = entries(folder)?.into_iter().map(class).collect::<Result<Vec<_>, _>>()?;
    if !(2..=256).contains(&classes.len()) {
        return Err(Error::ClassCount { folder: folder.to_owned(), got: classes.len() });
    }
    Ok(classes)
}

/// What is in `folder`, in name order, without hidden files.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = |cause| Error::Read { path: folder.to_owned(), cause };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    path.is_file() && ["png", "jpg", "jpeg"].iter().any(|known| extension == *known)
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

/// One image: a square, its class, and what identifies it.
struct Picture {
    pixels: DynamicImage,
    label: u8,
    /// The SHA-256 of the file and its path below the folder.
    digest: String,
}

/// The images of `classes`, in order, on all cores.
fn decode(classes: &[Class], root: &Path, side: usize) -> Result<Vec<Picture>, Error> {
    let files: Vec<(u8, &PathBuf)> = (0..=u8::MAX)
        .zip(classes)
        .flat_map(|(label, class)| class.files.iter().map(move |file| (label, file)))
        .collect();
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = files.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let workers: Vec<_> = files
            .chunks(share)
            .map(|files| {
                let picture = |&(label, file): &(u8, &PathBuf)| picture(file, root, side, label);
                scope.spawn(move || files.iter().map(picture).collect::<Result<Vec<_>, _>>())
            })
            .collect();
        let mut pictures = Vec::with_capacity(files.len());
        for worker in workers {
            pictures.extend(worker.join().expect("decoding gives errors and does not panic")?);
        }
        Ok(pictures)
    })
}

fn picture(file: &Path, root: &Path, side: usize, label: u8) -> Result<Picture, Error> {
    let bytes = fs::read(file).map_err(|cause| Error::Read { path: file.to_owned(), cause })?;
    let decoded = decoded(&bytes)
        .map_err(|cause| Error::Image { file: file.to_owned(), cause: cause.to_string() })?;
    if decoded.width() == 0 || decoded.height() == 0 {
        return Err(Error::Image { file: file.to_owned(), cause: "it has no pixel".into() });
    }
    let pixels = decoded.resize_to_fill(side as u32, side as u32, FilterType::Triangle);
    let place = file.strip_prefix(root).unwrap_or(file).display();
    Ok(Picture { pixels, label, digest: format!("{} {place}", sha256(&bytes)) })
}

fn decoded(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    let mut reader = Reader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    reader.limits(limits);
    reader.decode()
}

fn images(pictures: &[Picture], side: usize, classes: usize, grey: bool) -> Images {
    let channels = if grey { 1 } else { 3 };
    let mut pixels = Vec::with_capacity(pictures.len() * channels * side * side);
    for Picture { pixels: picture, .. } in pictures {
        let interleaved =
            if grey { picture.to_luma8().into_raw() } else { picture.to_rgb8().into_raw() };
        for channel in 0..channels {
            pixels.extend(interleaved.iter().skip(channel).step_by(channels));
        }
    }
    let labels = pictures.iter().map(|picture| picture.label).collect();
    Images { channels, height: side, width: side, pixels, labels, classes }
}

/// A folder of images that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    #[error("{}: expected {expected}; move it elsewhere", path.display())]
    Stray {
        /// What lies there.
        path: PathBuf,
        /// What should.
        expected: &'static str,
    },
    /// A class has no image, or not two to split.
    #[error("{}: expected at least one image to train on and one to test on", .0.display())]
    EmptyClass(PathBuf),
    /// There are too few classes or too many.
    #[error("{}: expected 2 to 256 folders, one for each class, got {got}", folder.display())]
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
    /// A share for the test is asked for beside test images, or neither is there.
    #[error("{}: {}", folder.display(), split_or_share(*split))]
    Share {
        /// The folder.
        folder: PathBuf,
        /// Whether it has folders `train` or `test`.
        split: bool,
    },
}

fn split_or_share(split: bool) -> &'static str {
    if split {
        "has `train` and `test`, so `test_share` has nothing to set apart; take it out"
    } else {
        "expected the folders `train` and `test`, or `test_share` to set a share of each class apart"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, ImageFormat, RgbImage};

    struct Tree(tempfile::TempDir);

    impl Tree {
        /// Two classes, `a` and `b`, with two training images and one test image each.
        fn new() -> Tree {
            let tree = Tree(tempfile::tempdir().unwrap());
            for (class, red) in [("a", 10), ("b", 200)] {
                tree.colour(&format!("train/{class}/2.png"), 8, 6, [red, 0, 1]);
                tree.colour(&format!("train/{class}/1.png"), 6, 8, [red, 0, 2]);
                tree.colour(&format!("test/{class}/3.png"), 6, 6, [red, 0, 3]);
            }
            tree
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::write(self.path(name), bytes).unwrap();
        }

        fn colour(&self, name: &str, width: u32, height: u32, colour: [u8; 3]) {
            let image = RgbImage::from_pixel(width, height, image::Rgb(colour));
            self.save(name, DynamicImage::ImageRgb8(image));
        }

        fn grey(&self, name: &str, value: u8) {
            self.save(
                name,
                DynamicImage::ImageLuma8(GrayImage::from_pixel(4, 4, image::Luma([value]))),
            );
        }

        fn save(&self, name: &str, image: DynamicImage) {
            let mut bytes = Cursor::new(Vec::new());
            let format = ImageFormat::from_path(name).unwrap();
            image.write_to(&mut bytes, format).unwrap();
            self.write(name, &bytes.into_inner());
        }

        fn open(&self, share: Option<f64>) -> Result<Folder, Error> {
            open(self.0.path(), 4, share)
        }

        /// The error without the folder's name.
        fn error(&self, share: Option<f64>) -> String {
            let folder = format!("{}/", self.0.path().display());
            self.open(share).unwrap_err().to_string().replace(&folder, "")
        }
    }

    #[test]
    fn classes_and_files_are_taken_in_name_order() {
        let set = Tree::new().open(None).unwrap();
        assert_eq!(set.train.classes, 2);
        assert_eq!((&set.train.labels[..], &set.test.labels[..]), (&[0, 0, 1, 1][..], &[0, 1][..]));
        // Red, green and blue of an image lie one after the other, 16 pixels each; 1.png comes first.
        let planes: Vec<u8> = set.train.pixels.iter().step_by(16).copied().collect();
        assert_eq!(planes, [10, 0, 2, 10, 0, 1, 200, 0, 2, 200, 0, 1]);
        assert_eq!((set.train.channels, set.train.height, set.train.width), (3, 4, 4));
    }

    #[test]
    fn images_are_scaled_and_cut_around_their_centre() {
        let tree = Tree::new();
        let mut wide = RgbImage::from_pixel(12, 4, image::Rgb([0; 3]));
        (4..8).for_each(|x| (0..4).for_each(|y| wide.put_pixel(x, y, image::Rgb([90; 3]))));
        tree.save("test/a/3.png", DynamicImage::ImageRgb8(wide));
        let test = tree.open(None).unwrap().test;
        assert!(test.pixels[..48].iter().all(|&pixel| pixel == 90));
    }

    #[test]
    fn grey_images_stay_grey_unless_one_has_colour() {
        let tree = Tree(tempfile::tempdir().unwrap());
        for name in ["a/1.png", "a/2.jpg", "b/1.png", "b/2.JPEG"] {
            tree.grey(name, 100);
        }
        let set = tree.open(Some(0.5)).unwrap();
        assert_eq!((set.train.channels, set.train.pixels.len()), (1, 2 * 16));
        assert!(set.train.pixels.iter().all(|pixel| pixel.abs_diff(100) <= 1));
        tree.colour("b/1.png", 4, 4, [100, 100, 100]);
        assert_eq!(tree.open(Some(0.5)).unwrap().train.channels, 3);
    }

    #[test]
    fn a_share_of_each_class_is_set_apart_and_no_image_is_in_both_parts() {
        let tree = Tree(tempfile::tempdir().unwrap());
        for class in ["a", "b"] {
            for image in 0..10 {
                tree.grey(&format!("{class}/{image}.png"), image);
            }
        }
        let set = tree.open(Some(0.3)).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (14, 6));
        let values = |images: &Images, label: u8| -> Vec<u8> {
            let of_class = images.pixels.chunks(16).zip(&images.labels);
            of_class.filter(|(_, known)| **known == label).map(|(pixels, _)| pixels[0]).collect()
        };
        for label in [0, 1] {
            let mut all = [values(&set.train, label), values(&set.test, label)].concat();
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(values(&set.test, 0), values(&set.test, 1));
        assert_eq!(tree.open(Some(0.3)).unwrap().digest, set.digest);
    }

    #[test]
    fn the_digest_depends_on_every_file_and_its_class() {
        let tree = Tree::new();
        let before = tree.open(None).unwrap().digest;
        tree.colour("test/b/3.png", 6, 6, [200, 0, 4]);
        let after = tree.open(None).unwrap().digest;
        assert_ne!(before, after);
        fs::rename(tree.path("train/a/1.png"), tree.path("train/b/0.png")).unwrap();
        assert_ne!(tree.open(None).unwrap().digest, after);
    }

    #[test]
    fn an_image_that_cannot_be_decoded_is_named() {
        for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n", b"GIF89a"] {
            let tree = Tree::new();
            tree.write("train/b/3.png", bytes);
            let error = tree.error(None);
            assert!(error.starts_with("train/b/3.png: cannot be decoded: "), "{error}");
        }
        let tree = Tree::new();
        let whole = fs::read(tree.path("test/a/3.png")).unwrap();
        tree.write("test/a/3.png", &whole[..whole.len() / 2]);
        assert!(tree.error(None).starts_with("test/a/3.png: cannot be decoded: "));
        // A PNG whose header says 0 pixels.
        let mut empty = whole;
        empty[16..20].fill(0);
        tree.write("test/a/3.png", &empty);
        assert!(tree.error(None).starts_with("test/a/3.png: cannot be decoded: "));
    }

    #[test]
    fn one_class_is_refused() {
        let tree = Tree::new();
        fs::remove_dir_all(tree.path("train/b")).unwrap();
        assert_eq!(tree.error(None), "train: expected 2 to 256 folders, one for each class, got 1");
    }

    #[test]
    fn a_class_without_images_is_refused_by_name() {
        let tree = Tree::new();
        fs::create_dir(tree.path("train/c")).unwrap();
        assert!(tree.error(None).starts_with("train/c: expected at least one image"));
        let tree = Tree(tempfile::tempdir().unwrap());
        tree.grey("a/1.png", 1);
        tree.grey("b/1.png", 1);
        assert!(tree.error(Some(0.5)).starts_with("a: expected at least one image to train on"));
    }

    #[test]
    fn test_images_of_other_classes_are_refused() {
        let tree = Tree::new();
        fs::rename(tree.path("test/b"), tree.path("test/c")).unwrap();
        let error = tree.error(None);
        assert_eq!(
            error,
            "test: expected the classes to train on, [\"a\", \"b\"], got [\"a\", \"c\"]"
        );
    }

    #[test]
    fn what_is_no_image_is_refused_and_hidden_files_are_not_looked_at() {
        let tree = Tree::new();
        tree.write("train/a/.thumbs", b"");
        assert!(tree.open(None).is_ok());
        tree.write("train/a/notes.txt", b"");
        assert!(tree.error(None).starts_with("train/a/notes.txt: expected an image called"));
        let tree = Tree::new();
        tree.write("train/labels.csv", b"");
        assert!(tree.error(None).starts_with("train/labels.csv: expected a folder of one class"));
    }

    #[test]
    fn a_split_and_a_share_exclude_each_other() {
        let tree = Tree::new();
        assert!(tree.error(Some(0.5)).contains("take it out"), "{}", tree.error(Some(0.5)));
        fs::rename(tree.path("train"), tree.path("b")).unwrap();
        fs::rename(tree.path("test"), tree.path("a")).unwrap();
        assert!(tree.error(None).contains("`test_share` to set a share"), "{}", tree.error(None));
    }
}
