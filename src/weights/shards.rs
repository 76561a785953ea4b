//! Checkpoints in several files, and the index that says which tensor is in which.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::bytes::Bytes;

/// The names of the tensors in each file of the index `bytes`, if that is what they are.
pub(super) fn index(bytes: &Bytes) -> Option<BTreeMap<String, Vec<String>>> {
    const LARGEST: u64 = 64 << 20;
    let begins = bytes.head(64).ok()?.trim_ascii_start().starts_with(b"{");
    if !begins || bytes.len() > LARGEST {
        return None;
    }
    let index: Index = serde_json::from_slice(&bytes.all().ok()?).ok()?;
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, file) in index.weight_map {
        files.entry(file).or_default().push(tensor);
    }
    Some(files)
}

/// What is read of an index; the rest takes no memory.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Whether `file` is a name in the same folder and not a way out of it.
pub(super) fn is_plain(file: &str) -> bool {
    Path::new(file).file_name().is_some_and(|name| name == file)
}

/// Whether `path` is one of several files, by its name: `model-00001-of-00003.safetensors`.
pub(super) fn is_one_of_several(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    stem.rsplit_once("-of-").is_some_and(|(before, last)| {
        let first = before.rsplit('-').next().unwrap_or_default();
        is_number(first) && is_number(last) && last.trim_start_matches('0') != "1"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_several_is_told_by_its_name() {
        let is = |path: &str| is_one_of_several(Path::new(path));
        assert!(is("a/model-00001-of-00003.safetensors") && is("pytorch_model-1-of-2.bin"));
        assert!(
            !is("model-00001-of-00001.safetensors") && !is("model.pth") && !is("best-of-5.pth")
        );
    }

    #[test]
    fn an_index_names_its_files_in_its_own_folder() {
        let json = br#" {"weight_map": {"a": "1.bin", "b": "2.bin", "c": "1.bin"}}"#;
        let index = index(&json.to_vec().into()).unwrap();
        assert_eq!(index["1.bin"], ["a", "c"]);
        assert!(super::index(&b"{\"epoch\": 3}".to_vec().into()).is_none());
        assert!(is_plain("1.bin") && !is_plain("../1.bin") && !is_plain("/1.bin") && !is_plain(""));
    }
}
