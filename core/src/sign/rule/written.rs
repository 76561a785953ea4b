//! Rules as files spell them. Derived enums would not do: what they say of a misspelt rule names
//! neither its pattern nor a legal spelling.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{Axis, Dale, DaleError, Edges, EdgesError, Pattern, Rule, Rules};

const SPELLINGS: &str = "`positive`, `negative`, `own`, `free`, `{dale: SHARE, seed: N}`, \
                         `{dale: [SIGN, …]}`, `{edges: FILE}` or `{edges: [[FROM, TO, SIGN], …]}`";

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

/// Reads the entries of a map in order. As a map of serde's they would lose it, and repeated patterns
/// would go unseen.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Rules;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a map from patterns of names to rules, each {SPELLINGS}")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Rules, M::Error> {
        let mut rules = Rules::new();
        while let Some((pattern, written)) = map.next_entry::<String, Value>()? {
            let rule = Rule::try_from(written)
                .map_err(|error| M::Error::custom(format_args!("{pattern}: {error}")))?;
            rules.insert(Pattern::new(pattern), rule).map_err(M::Error::custom)?;
        }
        Ok(rules)
    }
}

impl TryFrom<Value> for Rule {
    type Error = String;

    fn try_from(written: Value) -> Result<Self, String> {
        match &written {
            Value::String(word) => match word.as_str() {
                "positive" => return Ok(Rule::Positive),
                "negative" => return Ok(Rule::Negative),
                "own" => return Ok(Rule::Own),
                "free" => return Ok(Rule::Free),
                _ => {}
            },
            Value::Object(keys) => {
                if let Some(units) = keys.get("dale") {
                    return dale(units, keys).map(Rule::Dale);
                }
                if let Some(table) = keys.get("edges") {
                    only(keys, &["edges"])?;
                    return edges(table).map(Rule::Edges);
                }
            }
            _ => {}
        }
        Err(format!("expected {SPELLINGS}, got `{written}`"))
    }
}

fn dale(units: &Value, keys: &Map<String, Value>) -> Result<Dale, String> {
    only(keys, &["dale", "seed", "axis"])?;
    let dale = match units {
        Value::Number(share) => {
            let share = share.as_f64().unwrap_or(f64::NAN);
            Dale::of_share(share, seed(keys.get("seed"))?).map_err(|error| error.to_string())?
        }
        Value::Array(_) if keys.contains_key("seed") => {
            return Err("dale: seed: is for a share of positive units; a list draws none".into());
        }
        Value::Array(signs) => {
            let signs = signs.iter().enumerate().map(|(unit, sign)| {
                let number = sign.as_i64().and_then(|sign| i8::try_from(sign).ok());
                number.ok_or_else(|| DaleError::Sign { unit, got: sign.to_string() })
            });
            let signs = signs.collect::<Result<Vec<i8>, _>>();
            signs.and_then(Dale::of_signs).map_err(|error| error.to_string())?
        }
        _ => {
            return Err(format!(
                "dale: expected a share of positive units in [0, 1], or a list of signs, got `{units}`"
            ));
        }
    };
    Ok(dale.along(axis(keys.get("axis"))?))
}

fn seed(written: Option<&Value>) -> Result<u64, String> {
    let Some(written) = written else { return Ok(0) };
    let wrong = || format!("dale: seed: expected a whole number from 0 on, got `{written}`");
    written.as_u64().ok_or_else(wrong)
}

fn axis(written: Option<&Value>) -> Result<Axis, String> {
    let Some(written) = written else { return Ok(Axis::default()) };
    let wrong = |_| format!("dale: axis: expected `column` or `row`, got `{written}`");
    Axis::deserialize(written).map_err(wrong)
}

fn edges(table: &Value) -> Result<Edges, String> {
    let edges = match table {
        Value::String(path) => Edges::load(path),
        Value::Array(rows) => rows
            .iter()
            .enumerate()
            .map(|(index, row)| edge(index + 1, row))
            .collect::<Result<Vec<_>, _>>()
            .and_then(Edges::from_rows),
        _ => {
            return Err(format!("edges: expected a file or [[FROM, TO, SIGN], …], got `{table}`"));
        }
    };
    edges.map_err(|error| format!("edges: {error}"))
}

fn edge(row: usize, written: &Value) -> Result<(usize, usize, i8), EdgesError> {
    let fields = written.as_array().map_or(&[][..], Vec::as_slice);
    let [from, to, sign] = fields else {
        return Err(EdgesError::Fields { row, got: written.to_string() });
    };
    let unit = |column, unit: &Value| {
        let number = unit.as_u64().and_then(|unit| usize::try_from(unit).ok());
        number.ok_or_else(|| EdgesError::Unit { row, column, got: unit.to_string() })
    };
    let sign = match (sign.as_i64(), sign.as_str()) {
        (Some(1), _) | (_, Some("+")) => 1,
        (Some(-1), _) | (_, Some("-")) => -1,
        _ => return Err(EdgesError::Sign { row, got: sign.to_string() }),
    };
    Ok((unit("from", from)?, unit("to", to)?, sign))
}

/// Refuses keys that are not `legal`.
fn only(keys: &Map<String, Value>, legal: &[&str]) -> Result<(), String> {
    match keys.keys().find(|key| !legal.contains(&key.as_str())) {
        Some(key) => Err(format!("expected {SPELLINGS}, got the key `{key}`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Rule {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn refusal(yaml: &str) -> String {
        serde_yaml::from_str::<Rules>(&format!("{{rec: {yaml}}}")).unwrap_err().to_string()
    }

    #[test]
    fn every_spelling_is_read() {
        assert_eq!(read("positive"), Rule::Positive);
        assert_eq!(read("negative"), Rule::Negative);
        assert_eq!(read("own"), Rule::Own);
        assert_eq!(read("free"), Rule::Free);
        let share = Dale::of_share(0.8, 0).unwrap();
        assert_eq!(read("{dale: 0.8}"), Rule::Dale(share));
        assert_eq!(read("{dale: 1, seed: 7}"), Rule::Dale(Dale::of_share(1.0, 7).unwrap()));
        let signs = Dale::of_signs([1, -1, 0]).unwrap();
        assert_eq!(read("{dale: [1, -1, 0], axis: column}"), Rule::Dale(signs.clone()));
        assert_eq!(read("{axis: row, dale: [+1, -1, 0]}"), Rule::Dale(signs.along(Axis::Row)));
        let edges = Edges::from_rows([(0, 1, 1), (2, 0, -1)]).unwrap();
        assert_eq!(read("{edges: [[0, 1, 1], [2, 0, -1]]}"), Rule::Edges(edges.clone()));
        assert_eq!(read("{edges: [[0, 1, '+'], [2, 0, '-']]}"), Rule::Edges(edges));
    }

    #[test]
    fn yaml_and_json_say_the_same_in_the_order_they_are_written() {
        let yaml = "'z.*': free\n'*': {dale: [1, -1]}\na: {edges: [[0, 0, 1]]}\n";
        let json = r#"{"z.*": "free", "*": {"dale": [1, -1]}, "a": {"edges": [[0, 0, 1]]}}"#;
        let rules: Rules = serde_yaml::from_str(yaml).unwrap();
        assert_eq!(serde_json::from_str::<Rules>(json).unwrap(), rules);
        let patterns: Vec<_> = rules.iter().map(|(pattern, _)| pattern.as_str()).collect();
        assert_eq!(patterns, ["z.*", "*", "a"]);
    }

    #[test]
    fn an_edge_file_is_read_with_the_rules() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("synapses.csv");
        std::fs::write(&path, "from,to,sign\n0,1,+\n").unwrap();
        let rule = read(&format!("{{edges: {}}}", path.display()));
        assert_eq!(rule, Rule::Edges(Edges::load(&path).unwrap()));
        let error = refusal("{edges: no-such-file.csv}");
        assert!(error.contains("rec: edges: no-such-file.csv: cannot be read"), "{error}");
    }

    #[test]
    fn a_mistake_is_refused_with_its_pattern_and_what_is_legal() {
        for (yaml, said) in [
            ("excitatory", "rec: expected `positive`, `negative`, `own`, `free`, `{dale: SHARE"),
            ("excitatory", ", got `\"excitatory\"`"),
            ("{}", "rec: expected `positive`"),
            ("3", "got `3`"),
            ("{dale: 0.8, sed: 1}", "got the key `sed`"),
            ("{edges: [], dale: 1}", "got the key `edges`"),
            ("{edges: [], axis: row}", "got the key `axis`"),
            ("{dale: 1.5}", "rec: dale: expected a share of positive units in [0, 1], got `1.5`"),
            ("{dale: .nan}", "rec: dale: expected a share of positive units in [0, 1], or a list"),
            ("{dale: often}", "or a list of signs, got `\"often\"`"),
            ("{dale: [1, 2]}", "rec: dale: unit 1: expected 1 (excitatory)"),
            ("{dale: [1, 300]}", "got `300`"),
            ("{dale: [1, +]}", "rec: dale: unit 1: expected 1"),
            ("{dale: [1], seed: 1}", "rec: dale: seed: is for a share"),
            ("{dale: 0.5, seed: -1}", "rec: dale: seed: expected a whole number from 0 on"),
            ("{dale: 0.5, axis: rows}", "axis: expected `column` or `row`, got `\"rows\"`"),
            ("{edges: 3}", "rec: edges: expected a file or [[FROM, TO, SIGN], …], got `3`"),
            ("{edges: [[0, 1]]}", "rec: edges: row 1: expected three fields"),
            ("{edges: [[0, 1, 1], [0, -1, 1]]}", "rec: edges: row 2: to: expected the number"),
            ("{edges: [[0, 1, 0]]}", "rec: edges: row 1: sign: expected 1"),
            ("{edges: [[0, 1, 1.0]]}", "rec: edges: row 1: sign: expected 1"),
        ] {
            let error = refusal(yaml);
            assert!(error.contains(said), "{yaml}: {error}");
        }
    }

    #[test]
    fn a_pattern_twice_is_refused_in_yaml_and_in_json() {
        let said = "pattern `a`: is there already";
        let error = serde_yaml::from_str::<Rules>("a: free\na: own\n").unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        let error = serde_json::from_str::<Rules>(r#"{"a": "free", "a": "own"}"#).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }

    #[test]
    fn what_is_no_map_is_refused_with_what_is_legal() {
        for yaml in ["positive", "[positive]", "3"] {
            let error = serde_yaml::from_str::<Rules>(yaml).unwrap_err().to_string();
            assert!(error.contains("expected a map from patterns of names to rules"), "{error}");
        }
    }
}
