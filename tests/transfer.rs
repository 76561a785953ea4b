//! Signs from a source into a fresh network: magnitudes stay, signs come, nothing is skipped in
//! silence.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::Laboratory;
use polarity::fetch::cache_dir;
use polarity::models::{AlexNet, AlexNetMini, AlexNetOfficial};
use polarity::sign::{SignMask, Template, builtin};
use polarity::transfer::{self, Error, Options, Reason};
use polarity::weights::{self, Array, Checkpoint, Layout, Provenance, Views, sources};
use tch::{Device, Tensor, nn};

const HEAD: AlexNet = AlexNet { hidden: [16, 8], dropout: 0.5 };

fn fresh(seed: u64) -> nn::VarStore {
    let variables = nn::VarStore::new(Device::Cpu);
    HEAD.build(&variables.root(), 10).initialise(seed).unwrap();
    variables
}

fn imagenet() -> Template {
    Template::builtin("alexnet-imagenet").unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.detach().flatten(0, -1)).unwrap()
}

#[test]
fn every_magnitude_stays_bit_for_bit_and_every_sign_is_the_sources() {
    let variables = fresh(1);
    let before = fresh_copy(&variables);
    let report = transfer::signs(&imagenet(), &variables, &Options::default()).unwrap();
    assert_eq!(report.taken.len(), 5);
    for (name, tensor) in transfer::constrained(&variables) {
        let (old, new) =
            (&before.iter().find(|(known, _)| *known == name).unwrap().1, values(&tensor));
        let magnitudes =
            |values: &[f32]| values.iter().map(|w| w.abs().to_bits()).collect::<Vec<_>>();
        assert_eq!(magnitudes(old), magnitudes(&new), "{name}");
        match imagenet().get(&name) {
            Some(layer) => {
                for (weight, sign) in new.iter().zip(layer.mask.iter()) {
                    assert!(weight * f32::from(sign) > 0.0, "{name}: {weight} {sign}");
                }
            }
            None => assert_eq!(*old, new, "{name}"),
        }
    }
    assert_eq!(transfer::violations(&report.template, &variables).unwrap(), 0);
}

fn fresh_copy(variables: &nn::VarStore) -> Vec<(String, Vec<f32>)> {
    let constrained = transfer::constrained(variables);
    constrained.into_iter().map(|(name, tensor)| (name, values(&tensor))).collect()
}

#[test]
fn the_report_names_every_tensor_of_either_side() {
    let variables = fresh(1);
    let mut source = imagenet();
    source.insert("extra.weight", [1, 2], SignMask::from_signs(&[1, -1])).unwrap();
    let options = Options { except: vec!["features.0".into()], ..Options::default() };
    let report = transfer::signs(&source, &variables, &options).unwrap();
    let taken: Vec<_> = report.taken.iter().map(|taken| taken.name.as_str()).collect();
    assert_eq!(
        taken,
        ["features.10.weight", "features.3.weight", "features.6.weight", "features.8.weight"]
    );
    let left: Vec<_> = report.left.iter().map(|left| (left.name.as_str(), left.reason)).collect();
    assert_eq!(
        left,
        [
            ("classifier.1.weight", Reason::NotInSource),
            ("classifier.4.weight", Reason::NotInSource),
            ("classifier.6.weight", Reason::NotInSource),
            ("extra.weight", Reason::NotInNetwork),
            ("features.0.weight", Reason::Excepted),
        ]
    );
    // What has no source keeps, and holds, its own signs.
    assert_eq!(report.template.len(), 8);
}

#[test]
fn a_bias_takes_signs_where_the_template_names_it_and_only_then() {
    let variables = fresh(1);
    let mut source = Template::new("rules");
    source.insert("classifier.6.bias", [10], SignMask::from_signs(&[-1; 10])).unwrap();
    let report = transfer::signs(&source, &variables, &Options::default()).unwrap();
    assert_eq!(report.taken.len(), 1);
    let bias = values(&variables.variables()["classifier.6.bias"]);
    assert!(bias.iter().all(|weight| *weight <= 0.0) && bias.iter().any(|weight| *weight < 0.0));
    let held = report.template.names().filter(|name| name.ends_with("bias")).count();
    assert_eq!((held, report.template.len()), (1, 9));
    assert_eq!(transfer::violations(&report.template, &variables).unwrap(), 0);
    let mut bias = variables.variables()["classifier.6.bias"].shallow_clone();
    let _ = tch::no_grad(|| bias.fill_(1.0));
    assert_eq!(transfer::violations(&report.template, &variables).unwrap(), 10);
}

#[test]
fn another_shape_is_refused_and_nothing_is_changed() {
    let variables = nn::VarStore::new(Device::Cpu);
    AlexNetMini::default().build(&variables.root(), 10);
    let before = fresh_copy(&variables);
    let error = transfer::signs(&imagenet(), &variables, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Shapes(ref misfits) if misfits.len() == 2), "{error}");
    assert_eq!(fresh_copy(&variables), before);
}

#[test]
fn a_source_without_a_common_tensor_is_refused_with_both_lists() {
    let mut source = Template::new("other");
    source.insert("layer.weight", [1, 2], SignMask::from_signs(&[1, -1])).unwrap();
    let error = transfer::signs(&source, &fresh(1), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("`layer.weight`") && error.contains("`features.0.weight`"), "{error}");
}

#[test]
fn tensors_of_another_name_are_found_by_renaming() {
    let mut source = Template::new("other");
    let mask = imagenet().get("features.3.weight").unwrap().mask.clone();
    source.insert("conv2.weight", [192, 64, 5, 5], mask).unwrap();
    let rename = vec![("conv2".to_owned(), "features.3".to_owned())];
    let options = Options { rename, ..Options::default() };
    let report = transfer::signs(&source, &fresh(1), &options).unwrap();
    assert_eq!(report.taken[0].source, "conv2.weight");
    assert_eq!(report.taken[0].name, "features.3.weight");
}

#[test]
fn a_free_weight_keeps_its_sign_and_stays_free() {
    let variables = nn::VarStore::new(Device::Cpu);
    let weight = Tensor::from_slice(&[-1f32, -2.0]).reshape([1, 2]);
    let _ = variables.root().sub("layer").var_copy("weight", &weight);
    let mut source = Template::new("other");
    source.insert("layer.weight", [1, 2], SignMask::from_signs(&[0, 1])).unwrap();
    let report = transfer::signs(&source, &variables, &Options::default()).unwrap();
    assert_eq!(values(&variables.variables()["layer.weight"]), [-1.0, 2.0]);
    assert_eq!(report.template.get("layer.weight").unwrap().mask.to_signs(), [0, 1]);
    assert_eq!(report.taken[0].changed, 1);
}

#[test]
fn the_built_in_templates_are_made_again_bit_for_bit_from_their_weights() {
    for name in builtin::names() {
        let source = sources::find(name).unwrap();
        let Ok(weights) = source.load(&cache_dir().unwrap()) else {
            eprintln!("skipped: {name} is not in the cache; `polarity data fetch {name}`");
            continue;
        };
        let made = transfer::signs_of(&weights, &source.provenance()).unwrap();
        assert_eq!(made.to_bytes(), Template::builtin(name).unwrap().to_bytes());
        // What was extracted is the sign of every weight.
        for (name, layer) in made.iter() {
            let expected = weights[name].values().iter().map(|w| if *w > 0.0 { 1 } else { -1 });
            assert!(layer.mask.iter().eq(expected), "{name}");
        }
    }
}

#[test]
fn source_weights_come_with_their_magnitudes_and_biases_when_asked() {
    let source = fresh(1);
    let checkpoint = source
        .variables()
        .into_iter()
        .map(|(name, tensor)| {
            let shape = tensor.size().iter().map(|side| *side as usize).collect();
            (name, Array::new(shape, values(&tensor)).unwrap())
        })
        .collect();
    let target = fresh(2);
    let except = vec!["classifier.6".to_owned()];
    let options = Options { except, ..Options::default() };
    let report = transfer::weights(&checkpoint, &target, true, &options).unwrap();
    for (name, tensor) in target.variables() {
        let same = values(&tensor) == values(&source.variables()[&name]);
        assert_eq!(same, !name.starts_with("classifier.6"), "{name}");
    }
    assert_eq!(transfer::violations(&report.template, &target).unwrap(), 0);
}

/// A network of two layers, `a` and `b`, with a bias each.
fn two_layers(a: [f32; 2], b: [f32; 2]) -> nn::VarStore {
    let variables = nn::VarStore::new(Device::Cpu);
    for (name, values) in [("a", a), ("b", b)] {
        let path = variables.root() / name;
        let _ = path.var_copy("weight", &Tensor::from_slice(&values).reshape([1, 2]));
        let _ = path.var_copy("bias", &Tensor::from_slice(&[values[0]]));
    }
    variables
}

fn all_bits(variables: &nn::VarStore) -> BTreeMap<String, Vec<u32>> {
    let bits = |tensor: &Tensor| values(tensor).iter().map(|value| value.to_bits()).collect();
    variables.variables().iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect()
}

fn checkpoint(layers: &[(&str, [f32; 2])]) -> Checkpoint {
    let parts = |(name, values): &(&str, [f32; 2])| {
        let weight = Array::new(vec![1, 2], values.to_vec()).unwrap();
        let bias = Array::new(vec![1], vec![values[1]]).unwrap();
        [(format!("{name}.weight"), weight), (format!("{name}.bias"), bias)]
    };
    layers.iter().flat_map(parts).collect()
}

/// What each kind of transfer says of `source`.
fn every_transfer(
    source: &Checkpoint,
    variables: &nn::VarStore,
    options: &Options,
) -> [Result<transfer::Report, Error>; 4] {
    let signs = transfer::signs_of(source, "a source");
    [
        signs.and_then(|signs| transfer::signs(&signs, variables, options)),
        transfer::weights(source, variables, true, options),
        transfer::magnitudes(source, variables, options),
        transfer::biases(source, variables, options),
    ]
}

#[test]
fn two_tensors_renamed_to_one_are_refused_with_both_names_and_nothing_is_changed() {
    let variables = two_layers([1.0, -2.0], [3.0, -4.0]);
    let before = all_bits(&variables);
    let source = checkpoint(&[("a", [-5.0, 6.0]), ("one", [-7.0, 8.0]), ("other", [-9.0, 1.0])]);
    let rename = ["one", "other"].map(|from| (from.to_owned(), "b".to_owned())).to_vec();
    let options = Options { rename, ..Options::default() };
    for result in every_transfer(&source, &variables, &options) {
        let message = result.unwrap_err().to_string();
        assert!(message.contains("one.") && message.contains("other."), "{message}");
        assert_eq!(all_bits(&variables), before, "{message}");
    }
}

#[test]
fn a_source_with_a_weight_that_is_no_number_is_refused_and_nothing_is_changed() {
    let variables = two_layers([1.0, -2.0], [3.0, -4.0]);
    let before = all_bits(&variables);
    let source = checkpoint(&[("a", [-5.0, 6.0]), ("b", [-7.0, f32::NAN])]);
    for result in every_transfer(&source, &variables, &Options::default()) {
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with("b."), "{message}");
        assert_eq!(all_bits(&variables), before, "{message}");
    }
}

#[test]
fn a_network_with_a_weight_that_is_no_number_is_refused_and_nothing_is_changed() {
    let variables = two_layers([1.0, -2.0], [3.0, f32::NAN]);
    let before = all_bits(&variables);
    let source = checkpoint(&[("a", [-5.0, 6.0])]);
    for result in every_transfer(&source, &variables, &Options::default()) {
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with("b.weight: weight 1"), "{message}");
        assert_eq!(all_bits(&variables), before, "{message}");
    }
}

#[test]
fn a_misfit_of_the_last_tensor_is_refused_and_nothing_is_changed() {
    let variables = two_layers([1.0, -2.0], [3.0, -4.0]);
    let before = all_bits(&variables);
    let mut source = checkpoint(&[("a", [-5.0, 6.0])]);
    source.insert("b.weight".into(), Array::new(vec![2, 1], vec![-1.0, 1.0]).unwrap());
    source.insert("b.bias".into(), Array::new(vec![2], vec![-1.0, 1.0]).unwrap());
    for result in every_transfer(&source, &variables, &Options::default()) {
        let message = result.unwrap_err().to_string();
        assert!(message.contains("b."), "{message}");
        assert_eq!(all_bits(&variables), before, "{message}");
    }
}

#[test]
fn magnitudes_too_small_to_be_multiplied_keep_the_networks_signs() {
    // 0.5 · 1e-45 and 1e-30 · 1e-30 are 0 in float32.
    let least = f32::from_bits(1);
    let variables = two_layers([0.5, -1e-30], [least, -0.0]);
    let source = checkpoint(&[("a", [-least, 1e-30]), ("b", [-least, -1e-30])]);
    let report = transfer::magnitudes(&source, &variables, &Options::default()).unwrap();
    assert_eq!(values(&variables.variables()["a.weight"]), [least, -1e-30]);
    assert_eq!(values(&variables.variables()["b.weight"]), [least, 1e-30]);
    assert!(report.taken.iter().all(|taken| taken.changed == 0));
}

#[test]
fn changed_signs_are_counted_however_small_the_weights_are() {
    let least = f32::from_bits(1);
    let variables = two_layers([0.5, 0.0], [least, -least]);
    let source = checkpoint(&[("a", [-least, -1.0]), ("b", [-1e-30, least])]);
    let report = transfer::weights(&source, &variables, false, &Options::default()).unwrap();
    let changed: Vec<usize> = report.taken.iter().map(|taken| taken.changed).collect();
    assert_eq!(changed, [1, 2]);
}

#[test]
fn the_least_weight_there_is_takes_the_sources_sign() {
    let least = f32::from_bits(1);
    let variables = two_layers([least, -least], [0.0, -0.0]);
    let mut source = Template::new("other");
    for layer in ["a.weight", "b.weight"] {
        source.insert(layer, [1, 2], SignMask::from_signs(&[-1, 1])).unwrap();
    }
    let report = transfer::signs(&source, &variables, &Options::default()).unwrap();
    assert_eq!(values(&variables.variables()["a.weight"]), [-least, least]);
    assert_eq!(all_bits(&variables)["b.weight"], [0, (-0.0_f32).to_bits()]);
    assert_eq!(report.taken[0].changed, 2);
    assert_eq!(report.taken[1].changed, 0);
}

/// `bvlc_alexnet.npy` as NumPy reads it: the published shapes, every weight negative.
fn caffes_alexnet() -> Views {
    let layers: [(&str, &[usize]); 8] = [
        ("conv1", &[11, 11, 3, 96]),
        ("conv2", &[5, 5, 48, 256]),
        ("conv3", &[3, 3, 256, 384]),
        ("conv4", &[3, 3, 192, 384]),
        ("conv5", &[3, 3, 192, 256]),
        ("fc6", &[9216, 4096]),
        ("fc7", &[4096, 4096]),
        ("fc8", &[4096, 1000]),
    ];
    let filled = |shape: &[usize]| {
        let values = vec![-0.5; shape.iter().product()];
        Array::new(shape.to_vec(), values).unwrap().into()
    };
    let parts = |&(layer, kernel): &(&str, &[usize])| {
        let bias = &kernel[kernel.len() - 1..];
        [(format!("{layer}.0"), filled(kernel)), (format!("{layer}.1"), filled(bias))]
    };
    layers.iter().flat_map(parts).collect()
}

#[test]
fn under_caffes_alexnet_the_papers_network_has_62_377_776_constrained_and_1_413_120_free_weights() {
    let weights = Layout::BvlcAlexnet.apply(caffes_alexnet()).unwrap();
    let file = Provenance::known("a file of the layout of bvlc_alexnet.npy".into());
    let source = weights::signs(&weights, file).unwrap();
    drop(weights);
    let variables = nn::VarStore::new(Device::Cpu);
    AlexNetOfficial::default().build(&variables.root(), 10);
    let report = transfer::signs(&source, &variables, &Options::default()).unwrap();
    let left: Vec<_> = report.left.iter().map(|left| (left.name.as_str(), left.reason)).collect();
    assert_eq!(left, [("classifier.8.weight", Reason::NotInSource)]);
    assert_eq!(report.template.weights(), 62_377_776);
    assert_eq!(report.template.weights() - report.template.held(), 1_413_120);
    let free = |layer: &str| {
        let mask = &report.template.get(&format!("{layer}.weight")).unwrap().mask;
        mask.len() - mask.held_count()
    };
    let grouped = ["features.3", "features.8", "features.10"].map(free);
    assert_eq!(grouped, [307_200, 663_552, 442_368]);
}

#[test]
fn a_network_with_two_groups_takes_caffes_kernels_as_they_are() {
    let weights = Layout::BvlcAlexnetGrouped.apply(caffes_alexnet()).unwrap();
    assert_eq!(weights["features.3.weight"].shape(), [256, 48, 5, 5]);
    assert_eq!(weights["classifier.0.weight"].shape(), [4096, 9216]);
    let signs = weights.values().map(|view| view.signs().unwrap());
    assert!(
        signs.into_iter().all(|mask| mask.positive_count() == 0 && mask.held_count() == mask.len())
    );
}

#[test]
fn every_format_of_the_same_network_gives_the_same_template() {
    let lab = Laboratory::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/weights/testdata");
    let digest = |name: &str| {
        let file = folder.join(name).display().to_string();
        let made = lab.polarity(&["template", "extract", &file, "-o", "t.safetensors"]).output();
        assert!(made.unwrap().status.success(), "{name}");
        let info = lab.polarity(&["template", "info", "t.safetensors", "--json"]).output().unwrap();
        let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
        assert_eq!((&info["weights"], &info["held"]), (&39.into(), &37.into()), "{name}");
        info["digest"].as_str().unwrap().to_owned()
    };
    let expected = digest("net.pth");
    for name in ["net.safetensors", "net.npz", "net-compressed.npz", "net-legacy.pth"] {
        assert_eq!(digest(name), expected, "{name}");
    }
}
