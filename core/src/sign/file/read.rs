//! From bytes to a template, rule by rule. Nothing is trusted: no index without a check, no
//! allocation that the file's own length does not cover.

use std::collections::BTreeMap;
use std::fmt;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::{FORMAT, Flaw, HELD, REQUIRED_METADATA, SEAL, SIGN, digest, seal};
use crate::sign::mask::SignMask;
use crate::sign::template::{Template, product};

/// The tensors of the file by name, each with its bytes.
type Tensors<'a> = BTreeMap<String, (&'a TensorInfo, &'a [u8])>;

/// The template that `bytes` are the whole file of.
pub(super) fn template(bytes: &[u8]) -> Result<Template, Flaw> {
    let (header_len, header) = SafeTensors::read_metadata(bytes).map_err(Flaw::Container)?;
    let metadata = check_metadata(header.metadata().iter().flatten())?;
    let shapes: Shapes = serde_json::from_str(metadata["shapes"]).map_err(Flaw::Shapes)?;

    let data = &bytes[size_of::<u64>() + header_len..];
    let mut tensors = Tensors::new();
    for (name, info) in header.tensors() {
        let (start, end) = info.data_offsets;
        tensors.insert(name, (info, &data[start..end]));
    }
    check_names(&tensors, &shapes)?;

    let (source, created_by) = (metadata["source"], metadata["created_by"]);
    let mut template = Template::with_provenance(source.to_string(), created_by.to_string());
    for (layer, shape) in shapes.0 {
        let mask = mask(&layer, &shape, &tensors)?;
        template
            .insert(layer, shape, mask)
            .expect("names are distinct and the mask has been checked");
    }

    let expected = metadata["digest"].to_string();
    let got = digest(tensors.values().map(|(_, bytes)| *bytes));
    if expected != got {
        return Err(Flaw::WrongDigest { expected, got });
    }
    Ok(template)
}

/// The metadata, with all required keys, no unknown one, and the seal unbroken.
fn check_metadata<'a>(
    metadata: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<BTreeMap<&'a str, &'a str>, Flaw> {
    let metadata: BTreeMap<&str, &str> =
        metadata.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    if let Some(&got) = metadata.get("format").filter(|format| **format != FORMAT) {
        return Err(Flaw::UnknownFormat { got: got.to_string() });
    }
    for key in REQUIRED_METADATA {
        if !metadata.contains_key(key) {
            return Err(Flaw::MissingMetadata { key });
        }
    }
    for &key in metadata.keys() {
        if key != SEAL && !REQUIRED_METADATA.contains(&key) {
            return Err(Flaw::UnknownMetadata { key: key.to_string() });
        }
    }
    if let Some(&expected) = metadata.get(SEAL) {
        let got = seal(&metadata);
        if expected != got {
            return Err(Flaw::WrongSeal { expected: expected.to_string(), got });
        }
    }
    Ok(metadata)
}

/// Every tensor belongs to a layer that has a shape.
fn check_names(tensors: &Tensors, shapes: &Shapes) -> Result<(), Flaw> {
    for tensor in tensors.keys() {
        match tensor.rsplit_once('.') {
            Some((layer, SIGN)) if !shapes.0.contains_key(layer) => {
                return Err(Flaw::SignWithoutShape { layer: layer.to_string() });
            }
            Some((layer, HELD)) if !tensors.contains_key(&format!("{layer}.{SIGN}")) => {
                return Err(Flaw::HeldWithoutSign { layer: layer.to_string() });
            }
            Some((_, SIGN | HELD)) => {}
            _ => {
                return Err(Flaw::UnknownTensor { tensor: tensor.clone() });
            }
        }
    }
    Ok(())
}

fn mask(layer: &str, shape: &[usize], tensors: &Tensors) -> Result<SignMask, Flaw> {
    let name = || layer.to_string();
    let Some(weights) = product(shape) else {
        return Err(Flaw::ShapeOverflow { layer: name(), shape: shape.to_vec() });
    };
    let Some(sign) = words(format!("{layer}.{SIGN}"), weights, tensors)? else {
        return Err(Flaw::ShapeWithoutSign { layer: name() });
    };
    let Some(held) = words(format!("{layer}.{HELD}"), weights, tensors)? else {
        return Ok(SignMask::from_words(weights, sign, None));
    };
    if let Some(word) = (0..sign.len()).find(|&word| sign[word] & !held[word] != 0) {
        let bit = (sign[word] & !held[word]).trailing_zeros() as usize;
        return Err(Flaw::SignOfFree { layer: name(), index: 64 * word + bit });
    }
    let mask = SignMask::from_words(weights, sign, Some(held));
    match mask.held_words() {
        None => Err(Flaw::HeldEverywhere { layer: name() }),
        Some(_) => Ok(mask),
    }
}

/// The bits of one tensor, which are as many as there are weights; `None` when there is no such
/// tensor.
fn words(tensor: String, weights: usize, tensors: &Tensors) -> Result<Option<Vec<u64>>, Flaw> {
    let Some((info, bytes)) = tensors.get(&tensor) else {
        return Ok(None);
    };
    if info.dtype != Dtype::U8 {
        return Err(Flaw::WrongType { tensor, got: info.dtype.to_string() });
    }
    let expected = weights.div_ceil(8);
    if info.shape != [expected] {
        return Err(Flaw::WrongLength { tensor, weights, expected, got: info.shape.clone() });
    }
    let used_bits = weights % 8;
    if used_bits > 0 {
        let got = bytes.last().unwrap_or(&0) >> used_bits << used_bits;
        if got != 0 {
            return Err(Flaw::Padding { tensor, got });
        }
    }
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    Ok(Some(bytes.chunks(8).map(word).collect()))
}

/// The shapes by layer. serde would let the last of two equal names win.
struct Shapes(BTreeMap<String, Vec<usize>>);

impl<'de> Deserialize<'de> for Shapes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapesVisitor;

        impl<'de> Visitor<'de> for ShapesVisitor {
            type Value = Shapes;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shapes, A::Error> {
                let mut shapes = BTreeMap::new();
                while let Some((layer, shape)) = map.next_entry::<String, Vec<usize>>()? {
                    if shapes.contains_key(&layer) {
                        return Err(A::Error::custom(format_args!("`{layer}` is there twice")));
                    }
                    shapes.insert(layer, shape);
                }
                Ok(Shapes(shapes))
            }
        }

        deserializer.deserialize_map(ShapesVisitor)
    }
}
