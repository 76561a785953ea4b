//! Reads a folder of images: `train/CLASS/NAME.png` and `test/CLASS/NAME.jpg`, or `CLASS/NAME.png`
//! with a share of each class set apart for the test.
//!
//! Classes and files are taken in the order of their names, so that the same folder gives the same
//! data set everywhere (`tree.rs`). Each image is scaled until its shorter side fits and cut to a square
//! around its centre (`picture.rs`). If all images are grey the data set is grey, else all are taken as
//! red, green, blue; transparency is dropped.

mod picture;
mod tree;

use std::path::Path;

pub use tree::Error;

use super::Images;
use crate::digest::sha256;
use crate::memory;
use picture::Picture;
use tree::{Class, Tree};

/// A data set read from a folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub train: Images,
    pub test: Images,
    pub digest: String,
    /// What of the folder was not looked at, a sentence each.
    pub notes: Vec<String>,
}

/// The images below `path` as squares of `side` pixels. `test_share` is the share of each class that
/// is set apart for the test, if `path` has no folder of test images.
pub(super) fn open(path: &Path, side: usize, test_share: Option<f64>) -> Result<Folder, Error> {
    let Tree { train, test, notes } = Tree::read(path, test_share)?;
    check_memory(path, &train, &test, side)?;
    let classes = train.len();
    let [train, test] = [train, test].map(|classes| picture::decode(&classes, path, side));
    let (train, test) = (train?, test?);
    let grey = train.iter().chain(&test).all(|picture| !picture.pixels.color().has_color());
    let digests: String =
        train.iter().chain(&test).map(|picture| format!("{}\n", picture.digest)).collect();
    let [train, test] = [train, test].map(|pictures| images(&pictures, side, classes, grey));
    Ok(Folder { train, test, digest: sha256(digests.as_bytes()), notes })
}

/// Whether all pictures fit the memory: four bytes a pixel as they are decoded, and three of the set.
fn check_memory(path: &Path, train: &[Class], test: &[Class], side: usize) -> Result<(), Error> {
    let pictures: usize = train.iter().chain(test).map(|class| class.files.len()).sum();
    let bytes = (pictures as u64).saturating_mul(7 * (side as u64).pow(2));
    memory::check(bytes).map_err(|cause| Error::Memory {
        folder: path.to_owned(),
        pictures,
        side,
        cause,
    })
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

    use super::*;

    struct Laid(tempfile::TempDir);

    impl Laid {
        /// Two classes, `a` and `b`, with two training images and one test image each.
        fn new() -> Laid {
            let laid = Laid(tempfile::tempdir().unwrap());
            for (class, red) in [("a", 10), ("b", 200)] {
                laid.colour(&format!("train/{class}/2.png"), 8, 6, [red, 0, 1]);
                laid.colour(&format!("train/{class}/1.png"), 6, 8, [red, 0, 2]);
                laid.colour(&format!("test/{class}/3.png"), 6, 6, [red, 0, 3]);
            }
            laid
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
        let set = Laid::new().open(None).unwrap();
        assert_eq!(set.train.classes, 2);
        assert_eq!((&set.train.labels[..], &set.test.labels[..]), (&[0, 0, 1, 1][..], &[0, 1][..]));
        // Red, green and blue of an image lie one after the other, 16 pixels each; 1.png comes first.
        let planes: Vec<u8> = set.train.pixels.iter().step_by(16).copied().collect();
        assert_eq!(planes, [10, 0, 2, 10, 0, 1, 200, 0, 2, 200, 0, 1]);
        assert_eq!((set.train.channels, set.train.height, set.train.width), (3, 4, 4));
    }

    #[test]
    fn images_are_scaled_and_cut_around_their_centre() {
        let laid = Laid::new();
        let mut wide = RgbImage::from_pixel(12, 4, image::Rgb([0; 3]));
        (4..8).for_each(|x| (0..4).for_each(|y| wide.put_pixel(x, y, image::Rgb([90; 3]))));
        laid.save("test/a/3.png", DynamicImage::ImageRgb8(wide));
        let test = laid.open(None).unwrap().test;
        assert!(test.pixels[..48].iter().all(|&pixel| pixel == 90));
    }

    #[test]
    fn grey_images_stay_grey_unless_one_has_colour() {
        let laid = Laid(tempfile::tempdir().unwrap());
        for name in ["a/1.png", "a/2.jpg", "b/1.png", "b/2.JPEG"] {
            laid.grey(name, 100);
        }
        let set = laid.open(Some(0.5)).unwrap();
        assert_eq!((set.train.channels, set.train.pixels.len()), (1, 2 * 16));
        assert!(set.train.pixels.iter().all(|pixel| pixel.abs_diff(100) <= 1));
        laid.colour("b/1.png", 4, 4, [100, 100, 100]);
        assert_eq!(laid.open(Some(0.5)).unwrap().train.channels, 3);
    }

    #[test]
    fn a_share_of_each_class_is_set_apart_and_no_image_is_in_both_parts() {
        let laid = Laid(tempfile::tempdir().unwrap());
        for class in ["a", "b"] {
            for image in 0..10 {
                laid.grey(&format!("{class}/{image}.png"), image);
            }
        }
        let set = laid.open(Some(0.3)).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (14, 6));
        let values = |images: &Images, label: u16| -> Vec<u8> {
            let of_class = images.pixels.chunks(16).zip(&images.labels);
            of_class.filter(|(_, known)| **known == label).map(|(pixels, _)| pixels[0]).collect()
        };
        for label in [0, 1] {
            let mut all = [values(&set.train, label), values(&set.test, label)].concat();
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(values(&set.test, 0), values(&set.test, 1));
        assert_eq!(laid.open(Some(0.3)).unwrap().digest, set.digest);
    }

    #[test]
    fn the_digest_depends_on_every_file_and_its_class() {
        let laid = Laid::new();
        let before = laid.open(None).unwrap().digest;
        laid.colour("test/b/3.png", 6, 6, [200, 0, 4]);
        let after = laid.open(None).unwrap().digest;
        assert_ne!(before, after);
        fs::rename(laid.path("train/a/1.png"), laid.path("train/b/0.png")).unwrap();
        assert_ne!(laid.open(None).unwrap().digest, after);
    }

    #[test]
    fn an_image_that_cannot_be_decoded_is_named() {
        for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n", b"GIF89a"] {
            let laid = Laid::new();
            laid.write("train/b/3.png", bytes);
            let error = laid.error(None);
            assert!(error.starts_with("train/b/3.png: cannot be decoded: "), "{error}");
        }
        let laid = Laid::new();
        let whole = fs::read(laid.path("test/a/3.png")).unwrap();
        laid.write("test/a/3.png", &whole[..whole.len() / 2]);
        assert!(laid.error(None).starts_with("test/a/3.png: cannot be decoded: "));
        // A PNG whose header says 0 pixels.
        let mut empty = whole;
        empty[16..20].fill(0);
        laid.write("test/a/3.png", &empty);
        assert!(laid.error(None).starts_with("test/a/3.png: cannot be decoded: "));
    }

    #[test]
    fn one_class_is_refused() {
        let laid = Laid::new();
        fs::remove_dir_all(laid.path("train/b")).unwrap();
        assert_eq!(
            laid.error(None),
            "train: expected 2 to 65536 folders, one for each class, got 1"
        );
    }

    #[test]
    fn a_class_without_images_is_refused_by_name() {
        let laid = Laid::new();
        fs::create_dir(laid.path("train/c")).unwrap();
        assert!(laid.error(None).starts_with("train/c: expected at least one image"));
        let laid = Laid(tempfile::tempdir().unwrap());
        laid.grey("a/1.png", 1);
        laid.grey("b/1.png", 1);
        assert!(laid.error(Some(0.5)).starts_with("a: expected at least one image to train on"));
    }

    #[test]
    fn test_images_of_other_classes_are_refused() {
        let laid = Laid::new();
        fs::rename(laid.path("test/b"), laid.path("test/c")).unwrap();
        let error = laid.error(None);
        assert_eq!(
            error,
            "test: expected the classes to train on, [\"a\", \"b\"], got [\"a\", \"c\"]"
        );
    }

    #[test]
    fn what_is_no_image_is_refused_and_hidden_files_are_not_looked_at() {
        let laid = Laid::new();
        laid.write("train/a/.thumbs", b"");
        assert!(laid.open(None).is_ok());
        laid.write("train/a/notes.txt", b"");
        assert!(
            laid.error(None).starts_with("train/a/notes.txt: is a file; expected an image called")
        );
        let laid = Laid::new();
        laid.write("train/labels.csv", b"");
        assert!(
            laid.error(None)
                .starts_with("train/labels.csv: is a file; expected a folder of one class")
        );
    }

    #[test]
    fn a_split_and_a_share_exclude_each_other() {
        let laid = Laid::new();
        assert!(laid.error(Some(0.5)).contains("take it out"), "{}", laid.error(Some(0.5)));
        fs::rename(laid.path("train"), laid.path("b")).unwrap();
        fs::rename(laid.path("test"), laid.path("a")).unwrap();
        assert!(laid.error(None).contains("`test_share` to set a share"), "{}", laid.error(None));
    }

    #[test]
    fn the_parts_of_a_set_have_their_usual_names() {
        for (train, test) in [("train", "val"), ("Training", "TEST"), ("train", "valid")] {
            let laid = Laid::new();
            for (old, new) in [("train", train), ("test", test)] {
                fs::rename(laid.path(old), laid.path("moved")).unwrap();
                fs::rename(laid.path("moved"), laid.path(new)).unwrap();
            }
            let set = laid.open(None).unwrap();
            assert_eq!((set.train.len(), set.test.len()), (4, 2), "{train}, {test}");
        }
        let laid = Laid::new();
        laid.grey("val/a/9.png", 1);
        let set = laid.open(None).unwrap();
        assert_eq!(set.test.len(), 2);
        assert_eq!(set.notes.len(), 1);
        assert!(set.notes[0].starts_with("`val` is not read: "), "{:?}", set.notes);
    }

    #[test]
    fn one_part_alone_is_split_or_asked_to_be() {
        let laid = Laid::new();
        fs::remove_dir_all(laid.path("test")).unwrap();
        let error = laid.error(None);
        assert!(error.contains("has `train` and no `test`, `val` or `valid`"), "{error}");
        assert_eq!(laid.open(Some(0.5)).unwrap().test.len(), 2);
        let laid = Laid::new();
        fs::remove_dir_all(laid.path("train")).unwrap();
        assert!(laid.error(None).contains("has `test` and no `train`"), "{}", laid.error(None));
    }

    #[test]
    fn a_class_may_be_called_train() {
        let laid = Laid(tempfile::tempdir().unwrap());
        for class in ["car", "test", "train"] {
            (0..4).for_each(|image| laid.grey(&format!("{class}/{image}.png"), image));
        }
        let set = laid.open(Some(0.25)).unwrap();
        assert_eq!((set.train.classes, set.train.len(), set.test.len()), (3, 9, 3));
    }

    #[test]
    fn what_operating_systems_leave_behind_is_passed_over_and_counted() {
        let laid = Laid::new();
        for name in [
            "train/a/Thumbs.db",
            "train/desktop.ini",
            "test/b/._3.png",
            ".DS_Store",
            "__MACOSX/._a",
        ] {
            laid.write(name, b"x");
        }
        let set = laid.open(None).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (4, 2));
        let note = "passed over 5 files that operating systems leave: `.DS_Store`, `._3.png`, \
                    `Thumbs.db`, `__MACOSX`, `desktop.ini`";
        assert_eq!(set.notes, [note]);
        let hidden = Laid::new();
        assert!(hidden.open(None).unwrap().notes.is_empty());
        assert_eq!(hidden.open(None).unwrap().digest, set.digest);
    }

    #[test]
    fn folders_and_links_where_images_should_be_are_named_for_what_they_are() {
        let laid = Laid::new();
        laid.grey("train/a/more/1.png", 1);
        let error = laid.error(None);
        assert!(error.starts_with("train/a/more: is a folder; expected an image"), "{error}");
        let laid = Laid::new();
        symlink("nowhere.png", laid.path("train/a/3.png")).unwrap();
        let error = laid.error(None);
        assert!(
            error.starts_with("train/a/3.png: is a link to nothing; expected an image"),
            "{error}"
        );
        let none = open(Path::new("no/such/folder"), 4, None).unwrap_err().to_string();
        assert_eq!(none, "no/such/folder: there is no such folder");
        let laid = Laid::new();
        let error = open(&laid.path("train/a/1.png"), 4, None).unwrap_err().to_string();
        assert!(error.contains("1.png: is a file; expected a folder of images"), "{error}");
    }

    #[test]
    fn there_may_be_more_than_256_classes() {
        let laid = Laid(tempfile::tempdir().unwrap());
        for class in 0..300 {
            for image in 0..2 {
                laid.grey(&format!("{class:03}/{image}.png"), (class % 256) as u8);
            }
        }
        let set = laid.open(Some(0.5)).unwrap();
        assert_eq!((set.train.classes, set.train.labels.last()), (300, Some(&299)));
        assert_eq!(set.train.pixels.last(), Some(&43));
    }

    #[test]
    fn a_picture_as_thin_as_a_thread_is_cut_before_it_is_scaled() {
        let laid = Laid::new();
        laid.grey("train/a/1.png", 1);
        for (width, height) in [(16_384, 1), (1, 16_384)] {
            let mut thin = GrayImage::from_pixel(width, height, image::Luma([7]));
            thin.put_pixel(0, 0, image::Luma([255]));
            laid.save("train/a/1.png", DynamicImage::ImageLuma8(thin));
            let set = open(laid.0.path(), 512, None).unwrap();
            assert!(set.train.pixels[..3 * 512 * 512].iter().all(|&pixel| pixel == 7));
        }
    }

    #[test]
    fn pictures_that_do_not_fit_the_memory_are_refused_with_what_they_take() {
        let laid = Laid::new();
        let error = open(laid.0.path(), 1 << 24, None).unwrap_err().to_string();
        let words =
            "6 pictures of 16777216 × 16777216 pixels: takes 11821949021847552 bytes of memory";
        assert!(error.contains(words), "{error}");
    }
}
