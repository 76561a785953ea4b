//! Text → YAML value (duplicate keys refused) → overrides → typed [`Experiment`].
//!
//! An override replaces one value of the file, or adds one. Its grammar:
//!
//! ```text
//! override = path "=" value
//! path     = key *( "." key )
//! key      = 1*( any character but `.`, `=` and `"` )
//!          / `"` 1*( any character but `"` ) `"`
//! value    = a YAML value; nothing at all is `null`
//! ```
//!
//! So a key that has dots stands in double quotes, `arms."frozen-0.001".hold=all`, which a shell leaves
//! alone inside single ones: `'arms."frozen-0.001".hold=all'`. A list is replaced as a whole.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Experiment;
use super::misfit::{Step, read, written};
use super::overrides::{Applied, apply};
use super::size;
use super::values::{in_words, to_json};
use crate::experiment::problem::Problem;
use crate::models::REGISTRY;
use crate::nearest::hint;

/// Why an experiment file was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The experiment file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is no YAML, or says a key twice.
    #[error("{file}: {what}")]
    Yaml {
        /// The experiment file.
        file: PathBuf,
        /// What and where.
        what: String,
    },
    /// A key or value is not one an experiment has.
    #[error("{file}: {problem}")]
    Value {
        /// The experiment file.
        file: PathBuf,
        /// The key, what was expected and what was found.
        problem: Problem,
    },
    /// A key or value that an override brings is not one an experiment has.
    #[error("{file} with `{text}`: {problem}{}", hint(.near))]
    Overridden {
        /// The experiment file.
        file: PathBuf,
        /// The override as typed.
        text: String,
        /// The key, what was expected and what was found.
        problem: Problem,
        /// The key of the file that the override may have meant.
        near: Option<String>,
    },
    /// An override is not `key.path=value`.
    #[error(
        "`{text}`: {what}; an override is `key.path=value`, for example `train.batch=50` or \
         `arms.\"frozen-0.1\".hold=all`"
    )]
    Override {
        /// The override as typed.
        text: String,
        /// What is wrong with it.
        what: String,
    },
}

impl Experiment {
    /// Reads `file` and applies `overrides`, each `key.path=value` with a YAML value.
    ///
    /// # Errors
    /// When the file cannot be read, is no YAML, or has an unknown key or a value of a wrong type.
    pub fn load(file: &Path, overrides: &[String]) -> Result<Self, Error> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| Error::Read { file: file.to_owned(), source })?;
        Self::parse(&text, file, overrides)
    }

    /// [`load`](Self::load) for text that is already in memory; `file` names it in errors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, file: &Path, overrides: &[String]) -> Result<Self, Error> {
        let yaml = |error: serde_yaml::Error| Error::Yaml {
            file: file.to_owned(),
            what: in_words(&error),
        };
        // Some editors begin a file with a mark of its byte order.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        size::check(text).map_err(yaml)?;
        let mut document: serde_yaml::Value = serde_yaml::from_str(text).map_err(yaml)?;
        document.apply_merge().map_err(yaml)?;
        let mut document =
            to_json(document).map_err(|what| Error::Yaml { file: file.to_owned(), what })?;
        let mut applied = Vec::new();
        for text in overrides {
            let wrong = |what| Error::Override { text: text.clone(), what };
            applied.push(apply(&mut document, text).map_err(wrong)?);
        }
        check_model(&document)
            .and_then(|()| read(&document))
            .map_err(|(path, problem)| mistake(file, &applied, &path, problem))
    }
}

/// Refuses a number as the name of a network, which serde takes for its place in the registry.
fn check_model(document: &Value) -> Result<(), (Vec<Step>, Problem)> {
    match document.pointer("/model/name") {
        Some(name) if !name.is_string() => {
            let path = ["model", "name"].map(|key| Step::Key(key.into())).to_vec();
            let names = REGISTRY.iter().map(|entry| entry.name);
            let problem = Problem::unknown(written(&path), &name.to_string(), names);
            Err((path, problem))
        }
        _ => Ok(()),
    }
}

/// The `problem` at `path`, as that of the file or of the override that brought it.
fn mistake(file: &Path, applied: &[Applied], path: &[Step], problem: Problem) -> Error {
    let file = file.to_owned();
    let Some(by) = applied.iter().rev().find(|by| by.is_at(path)) else {
        return Error::Value { file, problem };
    };
    let says_more = matches!(&problem, Problem::UnknownKey { near: Some(_), .. });
    let near = by.near().filter(|_| !says_more);
    Error::Overridden { file, text: by.text.into(), problem, near }
}

/// Puts the value of each `key.path=value` into the experiment `document`, in their order.
///
/// # Errors
/// When one is no override, or its path leads into something that has no keys.
pub fn apply_overrides(document: &mut Value, overrides: &[String]) -> Result<(), Error> {
    overrides.iter().try_for_each(|text| match apply(document, text) {
        Ok(_) => Ok(()),
        Err(what) => Err(Error::Override { text: text.clone(), what }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::file::{Figure, Seeds};

    const MINIMAL: &str = "
name: tiny
data: {name: fashion-mnist, train_sizes: [10]}
model: {name: alexnet-mini}
arms:
  b: {signs: init, hold: none}
  a: {signs: init, hold: all}
train: {optimizer: {adam: {lr: 0.001}}, batch: 5, epochs: 2}
seeds: 0..3
";

    fn parse(text: &str, overrides: &[&str]) -> Result<Experiment, Error> {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        Experiment::parse(text, Path::new("tiny.yaml"), &overrides)
    }

    fn refusal(text: &str, overrides: &[&str]) -> String {
        parse(text, overrides).unwrap_err().to_string()
    }

    #[test]
    fn arms_keep_the_order_of_the_file() {
        let experiment = parse(MINIMAL, &[]).unwrap();
        assert_eq!(experiment.arms.keys().collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    fn a_file_may_begin_with_a_byte_order_mark() {
        let marked = format!("\u{feff}{MINIMAL}");
        assert_eq!(parse(&marked, &[]).unwrap().name, "tiny");
    }

    #[test]
    fn merge_keys_bring_what_the_map_does_not_say_itself() {
        let text = MINIMAL
            .replace("b: {signs", "b: &own {signs")
            .replace("a: {signs: init, hold: all}", "a: {<<: *own, hold: all}");
        let merged = parse(&text, &[]).unwrap();
        let plain = parse(MINIMAL, &[]).unwrap();
        let written = |experiment| serde_json::to_string(experiment).unwrap();
        assert_eq!(written(&merged.arms), written(&plain.arms));
        let wrong = MINIMAL.replace("a: {signs", "a: {<<: 3, signs");
        assert!(refusal(&wrong, &[]).starts_with("tiny.yaml: "));
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused_in_words() {
        let words = "expected a number of at most 64 bits, got `99999999999999999999999`";
        let in_file = refusal(&MINIMAL.replace("batch: 5", "batch: 99999999999999999999999"), &[]);
        assert!(in_file.contains(words), "{in_file}");
        let typed = refusal(MINIMAL, &["train.batch=99999999999999999999999"]);
        assert!(typed.contains(words), "{typed}");
    }

    #[test]
    fn a_figure_is_a_kind_or_a_kind_with_arms() {
        let text = MINIMAL.to_owned() + "figures: [fig2, {kind: weights, arms: [a]}]\n";
        let experiment = parse(&text, &[]).unwrap();
        let arms = Some(vec!["a".to_owned()]);
        let [fig2, weights] = [("fig2", None), ("weights", arms)]
            .map(|(kind, arms)| Figure { kind: kind.into(), arms });
        assert_eq!(experiment.figures, [fig2, weights]);
        let written = serde_json::to_string(&experiment.figures).unwrap();
        assert_eq!(written, r#"["fig2",{"kind":"weights","arms":["a"]}]"#);
        assert!(refusal(&text, &["figures=[3]"]).contains("expected a kind of figure"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_path_and_the_legal_ones() {
        let message = refusal(&MINIMAL.replace("batch: 5", "batsh: 5"), &[]);
        assert!(message.starts_with("tiny.yaml: train.batsh: no such key; did you mean `batch`?"));
        assert!(message.contains("the keys here are `optimizer`, `batch`, "), "{message}");
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_path() {
        let message = refusal(MINIMAL, &["data.train_sizes=[10, many]"]);
        assert!(
            message.ends_with("data.train_sizes[1]: expected a whole number, got `many`"),
            "{message}"
        );
    }

    #[test]
    fn a_key_said_twice_is_refused() {
        let message = refusal(&format!("{MINIMAL}name: again\n"), &[]);
        assert!(message.contains("duplicate entry with key \"name\""), "{message}");
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused() {
        let message = refusal(MINIMAL, &["train.optimizer.adam.lr=.nan"]);
        assert!(message.contains("expected a finite number"), "{message}");
    }

    #[test]
    fn an_override_replaces_a_value_or_adds_a_legal_key() {
        let experiment =
            parse(MINIMAL, &["train.batch=7", "train.threads=2", "seeds=[4]"]).unwrap();
        assert_eq!((experiment.train.batch, experiment.train.threads), (7, 2));
        assert_eq!(experiment.seeds, Seeds(vec![4]));
    }

    #[test]
    fn an_override_of_an_unknown_key_or_without_a_value_is_refused() {
        assert!(
            refusal(MINIMAL, &["train.speed=9"])
                .contains("`train.speed=9`: train.speed: no such key")
        );
        assert!(refusal(MINIMAL, &["train.batch"]).contains("`key.path=value`"));
        assert!(refusal(MINIMAL, &["name.x=1"]).contains("`x` is inside something"));
    }

    #[test]
    fn seeds_are_a_range_or_a_list_and_nothing_else() {
        assert_eq!(parse(MINIMAL, &["seeds=2..4"]).unwrap().seeds, Seeds(vec![2, 3]));
        for wrong in ["4..2", "x", "0...3", "-1..3", "{}"] {
            let message = refusal(MINIMAL, &[&format!("seeds={wrong}")]);
            assert!(message.contains("range like `0..20`"), "{message}");
        }
    }
}
