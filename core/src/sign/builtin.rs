//! The templates that ship with the crate, by name.
//!
//! Each is a template file in `templates/`, compiled in, and read with the same checks as any
//! other.

use super::file::{FileError, Flaw};
use super::template::Template;
use crate::nearest::nearest;

/// One line each: the name, and the file with [`include_bytes!`].
static BUILTIN: &[(&str, &[u8])] = &[
    ("alexnet-imagenet", include_bytes!("../../../templates/alexnet-imagenet.safetensors")),
    ("squeezenet-imagenet", include_bytes!("../../../templates/squeezenet-imagenet.safetensors")),
];

/// The names of all built-in templates.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

/// The bytes of the built-in template `name`.
fn bytes(name: &str) -> Option<&'static [u8]> {
    BUILTIN.iter().find(|(builtin, _)| *builtin == name).map(|(_, bytes)| *bytes)
}

impl Template {
    /// The built-in template `name`.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn builtin(name: &str) -> Result<Self, FileError> {
        match bytes(name) {
            Some(bytes) => Self::from_bytes(bytes, name),
            None => Err(FileError::new(name, unknown(name))),
        }
    }

    /// The built-in template of this name or, where there is none, the template file at this path.
    /// A file named like a built-in template is reached as `./NAME`.
    ///
    /// # Errors
    /// When it is neither, or the file breaks a rule of the [format](super::file).
    pub fn open(name_or_path: &str) -> Result<Self, FileError> {
        if bytes(name_or_path).is_some() {
            return Self::builtin(name_or_path);
        }
        Self::load(name_or_path).map_err(|error| match error.flaw() {
            Flaw::NotFound => FileError::new(name_or_path, unknown(name_or_path)),
            _ => error,
        })
    }
}

fn unknown(name: &str) -> Flaw {
    Flaw::Unknown {
        legal: names().map(str::to_string).collect(),
        nearest: nearest(name, names()).map(str::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SignMask;

    #[test]
    fn every_built_in_template_passes_the_checks_of_a_file_and_says_where_it_is_from() {
        for name in names() {
            let template = Template::builtin(name).unwrap_or_else(|error| panic!("{error}"));
            assert!(!template.is_empty(), "{name}");
            assert!(template.source().contains("sha256"), "{name}: {}", template.source());
            assert_eq!(Template::open(name).unwrap(), template);
        }
    }

    #[test]
    fn built_in_names_are_distinct() {
        let distinct: std::collections::BTreeSet<_> = names().collect();
        assert_eq!(distinct.len(), names().count());
    }

    #[test]
    fn a_name_that_is_neither_built_in_nor_a_file_is_refused() {
        for refused in [Template::builtin("no-such"), Template::open("no-such")] {
            let error = refused.unwrap_err();
            assert!(matches!(error.flaw(), Flaw::Unknown { .. }), "{error}");
            let text = error.to_string();
            assert!(text.starts_with("no-such: neither a file nor a built-in template"), "{text}");
        }
    }

    #[test]
    fn a_path_is_opened_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let mut template = Template::new("a test");
        template.insert("weight", [3], SignMask::from_signs(&[1, 0, -1])).unwrap();
        template.save(&path).unwrap();
        assert_eq!(Template::open(path.to_str().unwrap()).unwrap(), template);
    }
}
