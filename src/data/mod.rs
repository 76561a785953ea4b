//! Data sets of labelled images, as plain arrays.
//!
//! [`load`] gives a registered data set out of the cache, or one of the user's own: four IDX files,
//! CIFAR-10 as it is published, or a folder of images. Bytes are kept as they are in the files, but
//! for the images of a folder, which come in all sizes and are made squares of one; choosing a
//! subset, scaling and normalising are left to others.

mod cifar;
mod folder;
pub mod idx;
pub mod registry;
pub mod subset;
pub mod xor;

use std::path::{Path, PathBuf};

pub use cifar::{Error as CifarError, Problem as CifarProblem};
pub use folder::Error as FolderError;

use crate::digest::sha256;
use crate::fetch::{File, Unready};
use cifar::Cifar;
use folder::Folder;
use idx::Idx;
use registry::Format;

/// Images of one size, with a label each.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// All pixels, `[image, channel, row, column]`.
    pub pixels: Vec<u8>,
    /// The class of each image, below `classes`.
    pub labels: Vec<u16>,
    /// The number of classes.
    pub classes: usize,
}

impl Images {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// A data set: images to train on and images to test on.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// What users call it.
    pub name: String,
    /// The images to train on.
    pub train: Images,
    /// The images to test on, of the same size and classes.
    pub test: Images,
    /// The SHA-256 of the files' SHA-256s, one a line, in the order of the data set's kind; of a
    /// folder's images with their paths.
    pub digest: String,
    /// What of the files was not looked at, a sentence each.
    pub notes: Vec<String>,
}

impl DataSet {
    /// The same images without colour, where they are red, green and blue: their luma, as PNG and JPEG
    /// have it (ITU-R BT.709), so that grey stored as three equal channels stays as it is.
    pub fn in_grey(mut self) -> Self {
        for images in [&mut self.train, &mut self.test] {
            if images.channels == 3 {
                *images = grey(images);
            }
        }
        self
    }
}

fn grey(images: &Images) -> Images {
    let area = images.height * images.width;
    let luma = |planes: &[u8]| -> Vec<u8> {
        let luma = |at: usize| {
            let [red, green, blue] = [0, 1, 2].map(|plane| u32::from(planes[plane * area + at]));
            ((2126 * red + 7152 * green + 722 * blue) / 10_000) as u8
        };
        (0..area).map(luma).collect()
    };
    let pixels = images.pixels.chunks_exact(3 * area).flat_map(luma).collect();
    Images { channels: 1, pixels, labels: images.labels.clone(), ..*images }
}

/// Which data set to load.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// One of [`registry::DATA_SETS`], by name.
    Registered(String),
    /// Four IDX files, plain or gzip.
    Idx {
        /// What to call the data set.
        name: String,
        /// Its files.
        files: Files<PathBuf>,
        /// What each class shows; if not given, the classes are numbered up to the greatest label
        /// of the training images.
        class_names: Option<Vec<String>>,
    },
    /// CIFAR-10 in its binary format: the folder `cifar-10-batches-bin`, or the archive that has it.
    Cifar10 {
        /// What to call the data set.
        name: String,
        /// The folder or the archive.
        path: PathBuf,
    },
    /// Images, PNG or JPEG, in a folder for each class.
    Folder {
        /// What to call the data set.
        name: String,
        /// The folder: `train` and `test` in it have the classes, or else it has them itself.
        path: PathBuf,
        /// The share of each class that is set apart for the test, in (0, 1), where there is no
        /// folder `test`.
        test_share: Option<f64>,
        /// The side in pixels to which the images are scaled and cut.
        side: usize,
    },
}

/// The four parts that a data set of IDX files has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Files<T> {
    /// The images to train on.
    pub train_images: T,
    /// Their labels.
    pub train_labels: T,
    /// The images to test on.
    pub test_images: T,
    /// Their labels.
    pub test_labels: T,
}

impl<T> Files<T> {
    /// What `change` makes of each part, in the order of the fields.
    fn try_map<U, E>(self, mut change: impl FnMut(T) -> Result<U, E>) -> Result<Files<U>, E> {
        Ok(Files {
            train_images: change(self.train_images)?,
            train_labels: change(self.train_labels)?,
            test_images: change(self.test_images)?,
            test_labels: change(self.test_labels)?,
        })
    }
}

/// The data set of `spec`; a registered one is looked for in `cache`.
///
/// # Errors
/// When a file is missing (says how to get it), damaged, of another format, or does not fit the
/// others. The error names the file, what was expected and what was found.
pub fn load(spec: &Spec, cache: &Path) -> Result<DataSet, Error> {
    match spec {
        Spec::Registered(name) => registered(name, cache),
        Spec::Idx { name, files, class_names } => {
            let files = files.clone().try_map(|path| -> Result<_, Error> {
                let bytes = idx::decompressed(&path)?;
                Ok(Raw { path, bytes })
            })?;
            assemble(name, files, class_names.as_ref().map(Vec::len))
        }
        Spec::Cifar10 { name, path } => Ok(cifar10(name, cifar::open(path)?)),
        Spec::Folder { name, path, test_share, side } => {
            let Folder { train, test, digest, notes } = folder::open(path, *side, *test_share)?;
            Ok(DataSet { name: name.clone(), train, test, digest, notes })
        }
    }
}

fn registered(name: &str, cache: &Path) -> Result<DataSet, Error> {
    let entry = registry::find(name).ok_or_else(|| Error::Unknown {
        got: name.to_owned(),
        known: registry::DATA_SETS.iter().map(|entry| entry.package.name).collect(),
    })?;
    let read = |file: &File| -> Result<Raw, Error> {
        let bytes = entry.package.read(file, cache)?;
        Ok(Raw { path: entry.package.folder(cache).join(file.name), bytes })
    };
    match &entry.format {
        Format::Idx { class_names } => {
            let files = entry.idx_files().try_map(read)?;
            assemble(name, files, Some(class_names.len()))
        }
        Format::Cifar10 => {
            let batches = entry.package.files.iter().map(read).collect::<Result<_, _>>()?;
            Ok(cifar10(name, cifar::from_batches(batches)?))
        }
    }
}

fn cifar10(name: &str, Cifar { train, test, digest }: Cifar) -> DataSet {
    DataSet { name: name.to_owned(), train, test, digest, notes: Vec::new() }
}

/// A data set in the format of CIFAR-10's archive whose batches have so many records, for fuzzers and
/// tests: the published ones have 10,000.
///
/// # Errors
/// As [`load`].
#[doc(hidden)]
pub fn small_cifar(archive: &[u8], records: usize) -> Result<DataSet, Error> {
    Ok(cifar10("small", cifar::from_archive_of(archive, Path::new("small.tar.gz"), records)?))
}

/// One file's path and its decompressed bytes.
struct Raw {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// The data set of `files`, of as many classes as given or else as the training labels have.
fn assemble(name: &str, files: Files<Raw>, classes: Option<usize>) -> Result<DataSet, Error> {
    let mut digests = String::new();
    let files = files.try_map(|raw| {
        digests += &sha256(&raw.bytes);
        digests.push('\n');
        Part::parse(raw)
    })?;
    let greatest = files.train_labels.idx.values.iter().max();
    let classes = classes.unwrap_or(usize::from(greatest.copied().unwrap_or(0)) + 1);
    let test_file = files.test_images.path.clone();
    let train = images(files.train_images, files.train_labels, classes)?;
    let test = images(files.test_images, files.test_labels, classes)?;
    let size = |images: &Images| [images.channels, images.height, images.width];
    if size(&train) != size(&test) {
        let (expected, got) = (size(&train), size(&test));
        return Err(Error::Size { file: test_file, expected, got });
    }
    let digest = sha256(digests.as_bytes());
    Ok(DataSet { name: name.to_owned(), train, test, digest, notes: Vec::new() })
}

/// One file's path and its contents.
struct Part {
    path: PathBuf,
    idx: Idx,
}

impl Part {
    fn parse(raw: Raw) -> Result<Part, Error> {
        match Idx::parse(raw.bytes) {
            Ok(idx) => Ok(Part { path: raw.path, idx }),
            Err(problem) => Err(idx::Error { file: raw.path, problem }.into()),
        }
    }
}

fn images(images: Part, labels: Part, classes: usize) -> Result<Images, Error> {
    let (count, [channels, height, width]) = match *images.idx.shape {
        [count, height, width] => (count, [1, height, width]),
        [count, channels, height, width] => (count, [channels, height, width]),
        _ => {
            let expected = "images: [count, height, width] or [count, channels, height, width]";
            return Err(Error::Shape { file: images.path, expected, got: images.idx.shape });
        }
    };
    let [labelled] = *labels.idx.shape else {
        let expected = "labels: [count]";
        return Err(Error::Shape { file: labels.path, expected, got: labels.idx.shape });
    };
    if images.idx.values.is_empty() {
        return Err(Error::Empty { file: images.path });
    }
    if count != labelled {
        let (images, labels) = (images.path, labels.path);
        return Err(Error::Count { labels, expected: count, got: labelled, images });
    }
    let labels_of = labels.idx.values;
    if let Some(index) = labels_of.iter().position(|&label| usize::from(label) >= classes) {
        let (file, got) = (labels.path, labels_of[index]);
        return Err(Error::Label { file, index, classes, got });
    }
    let pixels = images.idx.values;
    let labels = labels_of.into_iter().map(u16::from).collect();
    Ok(Images { channels, height, width, pixels, labels, classes })
}

/// Why a data set cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No data set is registered under that name.
    #[error("unknown data set; expected one of `{}`, got `{got}`", known.join("`, `"))]
    Unknown {
        /// The name.
        got: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// A registered file is not in the cache, or damaged there.
    #[error(transparent)]
    Unready(#[from] Unready),
    /// A file cannot be read as IDX.
    #[error(transparent)]
    Idx(#[from] idx::Error),
    /// A file cannot be read as CIFAR-10.
    #[error(transparent)]
    Cifar(#[from] cifar::Error),
    /// A folder of images cannot be used.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// A file holds an array of another kind.
    #[error("{}: expected {expected}, got shape {got:?}", file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// The shape that it has.
        got: Vec<usize>,
    },
    /// A file holds no image.
    #[error("{}: holds no pixel; expected at least one image", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// There are not as many labels as images.
    #[error(
        "{}: expected {expected} labels, one for each image of {}, got {got}",
        labels.display(),
        images.display()
    )]
    Count {
        /// The file of the labels.
        labels: PathBuf,
        /// The file of the images.
        images: PathBuf,
        /// The number of images.
        expected: usize,
        /// The number of labels.
        got: usize,
    },
    /// A label is not below the number of classes.
    #[error("{}: label {index}: expected a class below {classes}, got {got}", file.display())]
    Label {
        /// The file of the labels.
        file: PathBuf,
        /// Which label, from 0.
        index: usize,
        /// The number of classes.
        classes: usize,
        /// The label.
        got: u8,
    },
    /// Test images have another size than training images.
    #[error(
        "{}: expected images of [channels, height, width] {expected:?} as for training, got {got:?}",
        file.display()
    )]
    Size {
        /// The file of the test images.
        file: PathBuf,
        /// The size of the training images.
        expected: [usize; 3],
        /// The size of the test images.
        got: [usize; 3],
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A small data set in a folder of its own: 2 × 3 pixels, two training images, one test image.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Folder {
            let folder = Folder(tempfile::tempdir().unwrap());
            folder.write("train-images", &[2, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]);
            folder.write("train-labels", &[2], &[2, 0]);
            folder.write("test-images", &[1, 2, 3], &[9; 6]);
            folder.write("test-labels", &[1], &[1]);
            folder
        }

        fn write(&self, name: &str, shape: &[u32], values: &[u8]) {
            fs::write(self.0.path().join(name), idx::encode(shape, values)).unwrap();
        }

        fn load(&self, class_names: Option<&[&str]>) -> Result<DataSet, Error> {
            let path = |name| self.0.path().join(name);
            let spec = Spec::Idx {
                name: "small".into(),
                files: Files {
                    train_images: path("train-images"),
                    train_labels: path("train-labels"),
                    test_images: path("test-images"),
                    test_labels: path("test-labels"),
                },
                class_names: class_names
                    .map(|names| names.iter().map(|&name| name.to_owned()).collect()),
            };
            load(&spec, Path::new("unused"))
        }

        /// The error without the folder's name.
        fn error(&self) -> String {
            let folder = format!("{}/", self.0.path().display());
            self.load(None).unwrap_err().to_string().replace(&folder, "")
        }
    }

    #[test]
    fn four_idx_files_make_a_data_set() {
        let data = Folder::new().load(None).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (2, 1));
        assert_eq!((data.train.channels, data.train.height, data.train.width), (1, 2, 3));
        assert_eq!(data.train.pixels[6..], [6, 7, 8, 9, 10, 255]);
        assert_eq!(data.train.labels, [2, 0]);
        assert_eq!((data.train.classes, data.test.classes), (3, 3));
    }

    #[test]
    fn images_may_have_channels() {
        let folder = Folder::new();
        folder.write("train-images", &[2, 3, 2, 1], &[0; 12]);
        folder.write("test-images", &[1, 3, 2, 1], &[0; 6]);
        let train = folder.load(None).unwrap().train;
        assert_eq!((train.channels, train.height, train.width), (3, 2, 1));
    }

    #[test]
    fn the_digest_depends_on_every_file_but_not_on_compression() {
        let folder = Folder::new();
        let digest = |folder: &Folder| folder.load(None).unwrap().digest;
        let before = digest(&folder);
        folder.write("test-labels", &[1], &[2]);
        assert_ne!(digest(&folder), before);

        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut gzip, &idx::encode(&[1], &[1])).unwrap();
        fs::write(folder.0.path().join("test-labels"), gzip.finish().unwrap()).unwrap();
        assert_eq!(digest(&folder), before);
    }

    #[test]
    fn a_label_out_of_range_is_refused() {
        let folder = Folder::new();
        folder.write("test-labels", &[1], &[3]);
        assert_eq!(folder.error(), "test-labels: label 0: expected a class below 3, got 3");
        let two = folder.load(Some(&["cat", "dog"])).unwrap_err();
        assert!(matches!(two, Error::Label { index: 0, classes: 2, got: 2, .. }));
    }

    #[test]
    fn more_images_than_labels_are_refused() {
        let folder = Folder::new();
        folder.write("train-labels", &[1], &[0]);
        assert_eq!(
            folder.error(),
            "train-labels: expected 2 labels, one for each image of train-images, got 1"
        );
    }

    #[test]
    fn labels_in_the_place_of_images_are_refused() {
        let folder = Folder::new();
        folder.write("test-images", &[1], &[0]);
        assert_eq!(
            folder.error(),
            "test-images: expected images: [count, height, width] or [count, channels, height, \
             width], got shape [1]"
        );
        let folder = Folder::new();
        folder.write("test-labels", &[1, 1], &[0]);
        assert_eq!(folder.error(), "test-labels: expected labels: [count], got shape [1, 1]");
    }

    #[test]
    fn a_data_set_without_images_is_refused() {
        let folder = Folder::new();
        folder.write("test-images", &[0, 2, 3], &[]);
        folder.write("test-labels", &[0], &[]);
        assert_eq!(folder.error(), "test-images: holds no pixel; expected at least one image");
    }

    #[test]
    fn test_images_of_another_size_are_refused() {
        let folder = Folder::new();
        folder.write("test-images", &[1, 3, 2], &[0; 6]);
        assert_eq!(
            folder.error(),
            "test-images: expected images of [channels, height, width] [1, 2, 3] as for training, \
             got [1, 3, 2]"
        );
    }

    #[test]
    fn a_damaged_file_is_refused_by_name() {
        let folder = Folder::new();
        fs::write(folder.0.path().join("train-labels"), [0, 0, 8, 1, 0, 0, 0, 2, 1]).unwrap();
        assert_eq!(folder.error(), "train-labels: expected 2 bytes of data for shape [2], got 1");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let spec = Spec::Registered("cifar".into());
        let error = load(&spec, Path::new("unused")).unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown data set; expected one of `fashion-mnist`, `mnist`, `cifar-10`, got `cifar`"
        );
    }

    #[test]
    fn a_registered_set_that_is_not_there_names_the_command_that_gets_it() {
        let cache = tempfile::tempdir().unwrap();
        let spec = Spec::Registered("mnist".into());
        let error = load(&spec, cache.path()).unwrap_err().to_string();
        let path = cache.path().join("data/mnist/train-images-idx3-ubyte");
        let expected =
            format!("{}: missing; get it with `polarity data fetch mnist`", path.display());
        assert_eq!(error, expected);

        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "else").unwrap();
        let error = load(&spec, cache.path()).unwrap_err().to_string();
        assert!(error.contains("expected sha256 ba891046"), "{error}");
        assert!(error.ends_with("get it again with `polarity data fetch mnist`"), "{error}");
    }

    // PIL.Image.fromarray(pixels, "RGB").convert("L") uses the older weights of ITU-R BT.601.
    #[test]
    fn colours_become_their_luma_and_greys_stay_as_they_are() {
        let images = |channels, pixels: Vec<u8>| Images {
            channels,
            height: 1,
            width: 2,
            labels: vec![1; pixels.len() / (2 * channels)],
            pixels,
            classes: 2,
        };
        let colours = images(3, vec![255, 7, 0, 7, 0, 7, 0, 9, 255, 9, 0, 9]);
        let greys = images(1, vec![3, 4]);
        let (name, digest, notes) = ("set".into(), "digest".into(), Vec::new());
        let set = DataSet { name, train: colours, test: greys.clone(), digest, notes }.in_grey();
        assert_eq!(set.train, images(1, vec![54, 7, 182, 9]));
        assert_eq!(set.test, greys);
    }
}
