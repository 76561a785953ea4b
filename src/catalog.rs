//! Everything that can be fetched by name: data sets and trained weights.

use crate::data::registry::DATA_SETS;
use crate::fetch::Package;
use crate::nearest::{hint, nearest};
use crate::weights::sources::PRETRAINED;

/// All packages, data sets first.
pub fn packages() -> impl Iterator<Item = &'static Package> {
    let data = DATA_SETS.iter().map(|entry| &entry.package);
    data.chain(PRETRAINED.iter().map(|entry| &entry.package))
}

/// The package of that name.
///
/// # Errors
/// When there is none; lists the names that there are, and proposes the nearest.
pub fn find(name: &str) -> Result<&'static Package, Unknown> {
    packages().find(|package| package.name == name).ok_or_else(|| Unknown {
        got: name.to_owned(),
        known: packages().map(|package| format!("`{}`", package.name)).collect(),
        near: nearest(name, packages().map(|package| package.name)).map(str::to_owned),
    })
}

/// There is no package of that name.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown data set or weights; expected one of {}, got `{got}`{}",
    known.join(", "),
    hint(near)
)]
pub struct Unknown {
    got: String,
    known: Vec<String>,
    near: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn is_sha256(digest: &str) -> bool {
        digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    #[test]
    fn every_package_is_found_by_its_name() {
        for package in packages() {
            assert!(std::ptr::eq(find(package.name).unwrap(), package));
        }
    }

    #[test]
    fn every_package_describes_itself_in_a_line() {
        for package in packages() {
            assert!(!package.help.is_empty() && !package.help.contains('\n'), "{}", package.name);
            assert!(!package.licence.is_empty(), "{}", package.name);
            assert!(matches!(package.room, "data" | "weights"), "{}", package.name);
        }
    }

    #[test]
    fn every_file_has_a_digest_and_every_source_has_every_file() {
        for package in packages() {
            assert!(!package.sources.is_empty(), "{}", package.name);
            let names: BTreeSet<_> = package.files.iter().map(|file| file.name).collect();
            assert_eq!(names.len(), package.files.len(), "{}", package.name);
            for file in package.files {
                assert!(is_sha256(file.sha256), "{}: {}", package.name, file.name);
                assert!(!file.name.contains('/'), "{}: {}", package.name, file.name);
                assert!(file.bytes > 0, "{}: {}", package.name, file.name);
            }
            for source in package.sources {
                assert_eq!(source.paths.len(), names.len(), "{}", source.origin);
            }
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        assert_eq!(
            find("cifar").unwrap_err().to_string(),
            "unknown data set or weights; expected one of `fashion-mnist`, `mnist`, `cifar-10`, \
             `alexnet-imagenet`, `vgg16-imagenet`, `squeezenet-imagenet`, got `cifar`"
        );
        let near = find("cifar10").unwrap_err().to_string();
        assert!(near.ends_with("got `cifar10`; did you mean `cifar-10`?"), "{near}");
    }
}
