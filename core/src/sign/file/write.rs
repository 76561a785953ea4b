//! The bytes of a template. The safetensors crate writes its metadata in hash order; here every
//! order is fixed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{FORMAT, HELD, SEAL, SIGN, digest, seal};
use crate::sign::template::Template;

#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a str, TensorInfo>,
}

#[derive(Serialize)]
struct TensorInfo {
    dtype: &'static str,
    shape: [usize; 1],
    data_offsets: [usize; 2],
}

/// The whole file.
pub(super) fn template(template: &Template) -> Vec<u8> {
    let tensors = tensors(template);
    let shapes: BTreeMap<&str, &[usize]> =
        template.iter().map(|(name, layer)| (name, layer.shape.as_slice())).collect();
    let shapes = json(&shapes);
    let digest = digest(tensors.values().map(Vec::as_slice));
    let mut metadata = BTreeMap::from([
        ("format", FORMAT),
        ("shapes", &shapes),
        ("digest", &digest),
        ("source", template.source()),
        ("created_by", template.created_by()),
    ]);
    let seal = seal(&metadata);
    metadata.insert(SEAL, &seal);

    let mut header = json(&Header { metadata, tensors: infos(&tensors) });
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(tensors.into_values().flatten());
    bytes
}

/// The tensors of the file by name.
pub(super) fn tensors(template: &Template) -> BTreeMap<String, Vec<u8>> {
    let mut tensors = BTreeMap::new();
    for (name, layer) in template.iter() {
        let len = layer.mask.len().div_ceil(8);
        let sign = to_bytes(layer.mask.sign_words(), len);
        tensors.insert(format!("{name}.{SIGN}"), sign);
        if let Some(held) = layer.mask.held_words() {
            tensors.insert(format!("{name}.{HELD}"), to_bytes(held, len));
        }
    }
    tensors
}

fn infos(tensors: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&str, TensorInfo> {
    let mut infos = BTreeMap::new();
    let mut start = 0;
    for (name, bytes) in tensors {
        let end = start + bytes.len();
        let (shape, data_offsets) = ([bytes.len()], [start, end]);
        infos.insert(name.as_str(), TensorInfo { dtype: "U8", shape, data_offsets });
        start = end;
    }
    infos
}

fn to_bytes(words: &[u64], len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(len);
    bytes
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps of strings to strings and numbers are JSON")
}
