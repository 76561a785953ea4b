//! Finds the arrays in a pickle of dicts and lists.
//!
//! An array's name is the keys on the way to it, joined by dots; the items of a list are counted from
//! 0: `features.0.weight`, `conv1.0`. What an array looks like is left to a [`Leaf`].

use std::collections::BTreeMap;

use super::pickle::{Id, Pickle, Value};
use super::{Array, Checkpoint, Problem};

const DEEPEST: usize = 64;
const LONGEST_NAME: usize = 1024;

/// Recognises the arrays of one library.
pub(super) trait Leaf {
    /// The array that the call `id` would make; nothing if it is a counter and no weight.
    fn array(&mut self, id: Id, name: &str) -> Result<Option<Array>, Problem>;
}

/// All arrays below `root` by name.
pub(super) fn arrays(
    pickle: &Pickle,
    root: Id,
    leaf: &mut dyn Leaf,
) -> Result<Checkpoint, Problem> {
    let mut walk = Walk { pickle, leaf, seen: BTreeMap::new(), found: Checkpoint::new() };
    walk.enter(root, "", 0)?;
    Ok(walk.found)
}

fn place(name: &str) -> String {
    if name.is_empty() { "the outermost value".into() } else { name.into() }
}

struct Walk<'p> {
    pickle: &'p Pickle<'p>,
    leaf: &'p mut dyn Leaf,
    /// Dicts and lists by the name they were first met under.
    seen: BTreeMap<Id, String>,
    found: Checkpoint,
}

impl Walk<'_> {
    fn enter(&mut self, id: Id, name: &str, depth: usize) -> Result<(), Problem> {
        if depth > DEEPEST {
            return Err(Problem::Depth { name: name.into(), max: DEEPEST });
        }
        let pickle = self.pickle;
        match pickle.get(id) {
            Value::Dict(items) => {
                self.meet(id, name)?;
                for &(key, value) in items {
                    let got = || pickle.describe(key);
                    let inner = self.joined(name, pickle.text(key).unwrap_or(""), got)?;
                    self.enter(value, &inner, depth + 1)?;
                }
                Ok(())
            }
            Value::List(items) => {
                self.meet(id, name)?;
                for (index, &item) in items.iter().enumerate() {
                    let index = index.to_string();
                    let inner = self.joined(name, &index, || format!("the item {index}"))?;
                    self.enter(item, &inner, depth + 1)?;
                }
                Ok(())
            }
            Value::Call { .. } if !name.is_empty() => match self.leaf.array(id, name)? {
                Some(array) => self.keep(name, array),
                None => Ok(()),
            },
            _ if name.is_empty() => Err(Problem::Root { got: pickle.describe(id) }),
            _ => Err(Problem::Object { name: name.into(), got: pickle.describe(id) }),
        }
    }

    /// Notes that `id` is met, which must be the only time: a small file could otherwise describe a
    /// huge tree.
    fn meet(&mut self, id: Id, name: &str) -> Result<(), Problem> {
        match self.seen.insert(id, place(name)) {
            None => Ok(()),
            Some(first) => Err(Problem::Shared { name: place(name), first }),
        }
    }

    fn keep(&mut self, name: &str, array: Array) -> Result<(), Problem> {
        match self.found.insert(name.to_owned(), array) {
            None => Ok(()),
            Some(_) => Err(Problem::Duplicate { array: name.into() }),
        }
    }

    fn joined(&self, parent: &str, key: &str, got: impl Fn() -> String) -> Result<String, Problem> {
        let plain = !key.is_empty() && !key.contains(char::is_control);
        if !plain || parent.len() + 1 + key.len() > LONGEST_NAME {
            return Err(Problem::Key { parent: place(parent), max: LONGEST_NAME, got: got() });
        }
        Ok(if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") })
    }
}
