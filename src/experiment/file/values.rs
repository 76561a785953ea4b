//! YAML's values as JSON's.

use serde_json::Value;

use super::misfit::{Step, written};

/// YAML's values as JSON's, which serde reads enums like `{adam: {…}}` from.
///
/// # Errors
/// What JSON has no form for, and under which key.
pub(super) fn to_json(value: serde_yaml::Value) -> Result<Value, String> {
    converted(value, &mut Vec::new()).map_err(|(path, what)| match path.is_empty() {
        true => what,
        false => format!("{}: {what}", written(&path)),
    })
}

/// What is wrong with a text that is no YAML, in a file's words and not the reader's.
pub(super) fn in_words(error: &serde_yaml::Error) -> String {
    let said = error.to_string();
    let number = said.split_once("invalid type: integer `").and_then(|(before, rest)| {
        let (number, rest) = rest.split_once('`')?;
        rest.starts_with(" as ").then(|| {
            let place = rest.find(" at line").map_or("", |place| &rest[place..]);
            format!("{before}expected a number of at most 64 bits, got `{number}`{place}")
        })
    });
    number.unwrap_or(said)
}

fn converted(value: serde_yaml::Value, path: &mut Vec<Step>) -> Result<Value, (Vec<Step>, String)> {
    let at = |path: &mut Vec<Step>, step, value| {
        path.push(step);
        let value = converted(value, path)?;
        path.pop();
        Ok(value)
    };
    match value {
        serde_yaml::Value::Null => Ok(Value::Null),
        serde_yaml::Value::Bool(flag) => Ok(flag.into()),
        serde_yaml::Value::String(text) => Ok(text.into()),
        serde_yaml::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(natural), _) => Ok(natural.into()),
            (_, Some(integer)) => Ok(integer.into()),
            _ => serde_json::Number::from_f64(number.as_f64().unwrap_or(f64::NAN))
                .map(Value::Number)
                .ok_or_else(|| (path.clone(), format!("expected a finite number, got `{number}`"))),
        },
        serde_yaml::Value::Sequence(items) => {
            let items = items.into_iter().enumerate();
            let items = items.map(|(place, item)| at(path, Step::Place(place), item));
            items.collect::<Result<_, _>>().map(Value::Array)
        }
        serde_yaml::Value::Mapping(entries) => {
            let entries = entries.into_iter().map(|(key, value)| match key {
                serde_yaml::Value::String(key) => {
                    Ok((key.clone(), at(path, Step::Key(key), value)?))
                }
                other => {
                    let text = serde_yaml::to_string(&other).unwrap_or_default();
                    let text = text.trim();
                    let what = format!("expected keys that are words, got `{text}`; quote it");
                    Err((path.clone(), what))
                }
            });
            entries.collect::<Result<_, _>>().map(Value::Object)
        }
        serde_yaml::Value::Tagged(tagged) => {
            let what = format!("expected no tag, got `{}`; write `{{adam: {{…}}}}`", tagged.tag);
            Err((path.clone(), what))
        }
    }
}
