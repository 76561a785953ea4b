//! How other libraries name and lay out the arrays of a network, turned into torchvision's way:
//! kernels OIHW and `[out, in]`, called `features.0.weight`.
//!
//! A table says which layer of theirs is which of ours; what a network's layers are is left to
//! `models`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Defect, Problem, View, Views};

/// How the arrays of a checkpoint file are named and laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// As in PyTorch: nothing is changed.
    #[default]
    Torchvision,
    /// Caffe's AlexNet as `bvlc_alexnet.npy` has it, for the paper's network: its two groups become
    /// one, whose new weights are 0 and so free in a template.
    BvlcAlexnet,
    /// The same file for the network with two groups.
    BvlcAlexnetGrouped,
}

impl Layout {
    /// All layouts, each with what it is in a line.
    pub const ALL: [(Layout, &'static str); 3] = [
        (Layout::Torchvision, "PyTorch's names and order, as they are"),
        (
            Layout::BvlcAlexnet,
            "bvlc_alexnet.npy for `alexnet-official`, its groups opened with zeros",
        ),
        (Layout::BvlcAlexnetGrouped, "bvlc_alexnet.npy for `alexnet-official` with `groups: 2`"),
    ];

    /// Its name in an experiment file.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Torchvision => "torchvision",
            Layout::BvlcAlexnet => "bvlc-alexnet",
            Layout::BvlcAlexnetGrouped => "bvlc-alexnet-grouped",
        }
    }

    /// The arrays of `theirs` under our names, in our order.
    ///
    /// # Errors
    /// When an array is missing or has another shape than the layout says.
    pub fn apply(self, theirs: Views) -> Result<Views, Problem> {
        match self {
            Layout::Torchvision => Ok(theirs),
            Layout::BvlcAlexnet => bvlc(Form::Groups).apply(theirs),
            Layout::BvlcAlexnetGrouped => bvlc(Form::Conv).apply(theirs),
        }
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Layout::ALL.iter().find(|(layout, _)| layout.name() == text);
        known.map(|(layout, _)| *layout).ok_or_else(|| {
            let names = Layout::ALL.map(|(layout, _)| format!("`{}`", layout.name()));
            format!("expected one of {}", names.join(", "))
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The layers of a checkpoint: a kernel and a bias each.
#[derive(Debug)]
pub(super) struct Table<L> {
    /// What follows the layer's name in the name of its kernel, and of its bias.
    pub parts: [&'static str; 2],
    pub layers: L,
}

/// One layer: its name there, its name here, and how its kernel is laid out there.
pub(super) type Layer = (&'static str, &'static str, Form);

/// How a kernel is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// `[height, width, in, out]`.
    Conv,
    /// The same with `in` of one of two groups, to be opened.
    Groups,
    /// `[in, out]`.
    Dense,
    /// `[in, out]`, where `in` counts the rows, columns and channels of an image in this order; here
    /// it counts channels, rows and columns.
    OverImage([usize; 3]),
}

/// Caffe's AlexNet. **Source**: the authors' `CV/AlexNet.py`, which reads it layer by layer.
fn bvlc(grouped: Form) -> Table<[Layer; 8]> {
    Table {
        parts: [".0", ".1"],
        layers: [
            ("conv1", "features.0", Form::Conv),
            ("conv2", "features.3", grouped),
            ("conv3", "features.6", Form::Conv),
            ("conv4", "features.8", grouped),
            ("conv5", "features.10", grouped),
            ("fc6", "classifier.0", Form::OverImage([6, 6, 256])),
            ("fc7", "classifier.3", Form::Dense),
            ("fc8", "classifier.6", Form::Dense),
        ],
    }
}

impl<L: AsRef<[Layer]>> Table<L> {
    /// The arrays of `theirs` that the table has, under our names and in our order.
    pub(super) fn apply(&self, mut theirs: Views) -> Result<Views, Problem> {
        let [kernel, bias] = self.parts;
        let mut ours = Views::new();
        for (layer, name, form) in self.layers.as_ref() {
            let mut take = |part: &str| {
                let array = format!("{layer}{part}");
                theirs.remove_entry(&array).ok_or(Problem::Missing { array })
            };
            let (place, array) = take(kernel)?;
            ours.insert(format!("{name}.weight"), form.turned(&place, array)?);
            let (place, array) = take(bias)?;
            if array.shape().len() != 1 {
                return Err(rank(place, 1, &array));
            }
            ours.insert(format!("{name}.bias"), array);
        }
        Ok(ours)
    }
}

impl Form {
    /// The kernel `array`, called `name`, in PyTorch's order.
    fn turned(self, name: &str, array: View) -> Result<View, Problem> {
        match self {
            Form::Conv => array.hwio_to_oihw().ok_or_else(|| rank(name.into(), 4, &array)),
            Form::Groups => {
                let oihw = Form::Conv.turned(name, array)?;
                let defective = |defect: Defect| Problem::Defect { array: name.into(), defect };
                let outputs = oihw.shape()[0];
                let opened = oihw.ungrouped().map_err(defective)?;
                opened.ok_or_else(|| Problem::Groups { array: name.into(), outputs })
            }
            Form::Dense => array.io_to_oi().ok_or_else(|| rank(name.into(), 2, &array)),
            Form::OverImage(image) => {
                let &[inputs, outputs] = array.shape() else {
                    return Err(rank(name.into(), 2, &array));
                };
                let oihw = array.split(&image).and_then(|hwio| hwio.hwio_to_oihw());
                let oihw =
                    oihw.ok_or_else(|| Problem::Image { array: name.into(), image, got: inputs })?;
                Ok(oihw.reshaped(vec![outputs, inputs]).expect("as many values as before"))
            }
        }
    }
}

fn rank(array: String, expected: usize, got: &View) -> Problem {
    Problem::Rank { array, expected, shape: got.shape().to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Array;

    fn array(shape: &[usize]) -> View {
        let values = (0..shape.iter().product()).map(|i| i as f32).collect();
        Array::new(shape.to_vec(), values).unwrap().into()
    }

    fn values(view: &View) -> Vec<f32> {
        view.array().unwrap().into_values()
    }

    fn checkpoint(layers: &[(&str, &[usize], &[usize])]) -> Views {
        let parts = |&(layer, kernel, bias): &(&str, &[usize], &[usize])| {
            [(format!("{layer}.0"), array(kernel)), (format!("{layer}.1"), array(bias))]
        };
        layers.iter().flat_map(parts).collect()
    }

    const TABLE: Table<&[Layer]> = Table {
        parts: [".0", ".1"],
        layers: &[
            ("conv", "0", Form::Conv),
            ("groups", "1", Form::Groups),
            ("over", "2", Form::OverImage([1, 2, 3])),
        ],
    };

    fn small() -> Views {
        checkpoint(&[
            ("conv", &[1, 1, 2, 3], &[3]),
            ("groups", &[1, 1, 1, 2], &[2]),
            ("over", &[6, 2], &[2]),
            ("unused", &[1], &[1]),
        ])
    }

    #[test]
    fn arrays_get_our_names_and_layouts() {
        let ours = TABLE.apply(small()).unwrap();
        let names: Vec<_> = ours.keys().collect();
        assert_eq!(names, ["0.bias", "0.weight", "1.bias", "1.weight", "2.bias", "2.weight"]);
        assert_eq!(ours["0.weight"].shape(), [3, 2, 1, 1]);
        assert_eq!(values(&ours["0.weight"]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(values(&ours["0.bias"]), [0.0, 1.0, 2.0]);
        assert_eq!(ours["1.weight"].shape(), [2, 2, 1, 1]);
        assert_eq!(values(&ours["1.weight"]), [0.0, 0.0, 0.0, 1.0]);
    }

    // w = np.arange(12).reshape(1, 2, 3, 2)  # rows, columns, channels, out
    // print(w.transpose(3, 2, 0, 1).reshape(2, 6))
    #[test]
    fn a_dense_layer_over_an_image_counts_channels_first() {
        let ours = TABLE.apply(small()).unwrap();
        assert_eq!(ours["2.weight"].shape(), [2, 6]);
        let expected = [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11];
        assert_eq!(values(&ours["2.weight"]), expected.map(|value| value as f32));
    }

    #[test]
    fn a_checkpoint_of_another_network_is_refused_by_name() {
        let refused = |layer: &str, kernel: &[usize], bias: &[usize]| {
            let mut theirs = small();
            theirs.extend(checkpoint(&[(layer, kernel, bias)]));
            TABLE.apply(theirs).unwrap_err().to_string()
        };
        assert_eq!(
            refused("conv", &[2, 3], &[3]),
            "conv.0: expected 4 dimensions, got shape [2, 3]"
        );
        assert_eq!(
            refused("conv", &[1, 1, 2, 3], &[1, 3]),
            "conv.1: expected 1 dimensions, got shape [1, 3]"
        );
        assert_eq!(
            refused("groups", &[1, 1, 1, 3], &[3]),
            "groups.0: expected two groups, got 3 outputs"
        );
        assert_eq!(
            refused("over", &[7, 2], &[2]),
            "over.0: expected the inputs of an image of [rows, columns, channels] [1, 2, 3], got 7"
        );
        let mut headless = small();
        headless.remove("over.1");
        let missing = TABLE.apply(headless).unwrap_err().to_string();
        assert!(missing.starts_with("over.1: missing; "), "{missing}");
    }

    #[test]
    fn every_layout_is_found_by_its_name_and_read_by_it() {
        for (layout, help) in Layout::ALL {
            assert_eq!(layout.name().parse(), Ok(layout));
            assert_eq!(serde_json::to_value(layout).unwrap(), layout.name());
            assert!(!help.is_empty());
        }
        let error = "caffe".parse::<Layout>().unwrap_err();
        assert!(error.contains("`torchvision`, `bvlc-alexnet`, `bvlc-alexnet-grouped`"), "{error}");
    }
}
