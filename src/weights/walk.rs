//! Finds the tensors in a pickle.
//!
//! What NumPy and PyTorch make of calls is recognised by them (`numpy.rs`, `torch.rs`). Any other object
//! is looked into like a dict, since a class of the user's may hold a network; one without a tensor in it
//! is left out, and counted by its class. An object may be met more than once, as tied weights are, but
//! not without end.

use std::collections::BTreeSet;

use super::Problem;
use super::left::Kind;
use super::numpy::Numpy;
use super::stored::Storages;
use super::torch::Torch;
use super::tree::{Found, Group, LONGEST_NAME, Node, Role, joined};
use super::value::{Call, Id, Object, Pickle, Value};

const DEEPEST: usize = 200;

/// What may be met, whatever the length of the pickle: a value counts one, and a tensor, of which more is
/// kept, [`TENSOR`] and its key.
const ALWAYS: usize = 16_000;
const TENSOR: usize = 16;

/// The tree of all that `pickle` holds; a tensor that is alone there is called `name`.
///
/// # Errors
/// When it goes too deep, or comes to the same objects without end.
pub(super) fn tree(pickle: &Pickle, storages: &Storages, name: &str) -> Result<Group, Problem> {
    from(pickle, pickle.root(), storages, name)
}

/// The same from the value `root` on.
pub(super) fn from(
    pickle: &Pickle,
    root: Id,
    storages: &Storages,
    name: &str,
) -> Result<Group, Problem> {
    // Tied weights are met a few times each. A few objects could be met 2⁶⁰ times.
    let left = ALWAYS + 8 * pickle.values().count();
    let mut walk = Walk { pickle, storages, open: Vec::new(), left };
    match walk.node(root, "")? {
        Node::Group(group) => Ok(group),
        alone => {
            let mut group = Group::default();
            group.add(name, alone);
            Ok(group)
        }
    }
}

struct Walk<'p> {
    pickle: &'p Pickle,
    storages: &'p Storages,
    /// The values around the one that is looked at.
    open: Vec<Id>,
    /// How much more may be met.
    left: usize,
}

impl Walk<'_> {
    /// What is at and below the value `id`, whose place is `name`.
    fn node(&mut self, id: Id, name: &str) -> Result<Node, Problem> {
        if self.open.len() > DEEPEST {
            return Err(Problem::Depth { name: shown(name), max: DEEPEST });
        }
        self.meet(1, name)?;
        if self.open.contains(&id) {
            return Ok(only(Kind::Circle));
        }
        self.open.push(id);
        let node = self.inside(id, name);
        self.open.pop();
        if !matches!(&node, Ok(Node::Group(group)) if group.members.is_empty()) {
            let key = name.rsplit('.').next().unwrap_or(name);
            self.meet(TENSOR + key.len() / TENSOR, name)?;
        }
        node
    }

    fn meet(&mut self, cost: usize, name: &str) -> Result<(), Problem> {
        let left = self.left.checked_sub(cost);
        self.left = left.ok_or_else(|| Problem::Endless { name: shown(name) })?;
        Ok(())
    }

    fn inside(&mut self, id: Id, name: &str) -> Result<Node, Problem> {
        let pickle = self.pickle;
        let kind = match pickle.get(id) {
            Value::Dict(items) => return self.dict(items, name).map(Node::Group),
            Value::Tuple(items) | Value::List(items) => {
                return self.list(items, name).map(Node::Group);
            }
            Value::Object(object) => return self.object(id, object, name),
            Value::None => Kind::None,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) | Value::Huge(_) | Value::Float => Kind::Number,
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::Set(_) => Kind::Set,
            Value::Global(_) => Kind::Name,
            Value::Persistent(_) => Kind::Object("a storage without a tensor".into()),
        };
        Ok(only(kind))
    }

    fn dict(&mut self, items: &[(Id, Id)], name: &str) -> Result<Group, Problem> {
        let role = if self.is_optimizer(items) { Role::Optimizer } else { Role::Any };
        let mut group = Group { role, ..Group::default() };
        for &(key, value) in items {
            let inner = match self.key(key) {
                Some(key) => joined(name, &key),
                None => name.to_owned(),
            };
            let node = self.node(value, &inner)?;
            match self.key(key) {
                Some(key) => group.add(key, node),
                None if is_empty(&node) => {
                    group.left.add(Kind::Key);
                    group.add("", node);
                }
                None => {
                    let got = self.pickle.describe(key);
                    let parent = shown(name);
                    let problem = Problem::Key { parent, max: LONGEST_NAME, got: got.clone() };
                    group.add(got, Node::Fault(Box::new(problem)));
                }
            }
        }
        Ok(group)
    }

    fn list(&mut self, items: &[Id], name: &str) -> Result<Group, Problem> {
        let mut group = Group::default();
        for (index, &item) in items.iter().enumerate() {
            let key = index.to_string();
            let node = self.node(item, &joined(name, &key))?;
            group.add(key, node);
        }
        Ok(group)
    }

    /// Part of a name: text, or a number in digits.
    fn key(&self, id: Id) -> Option<String> {
        let key = match self.pickle.get(id) {
            Value::Int(number) => number.to_string(),
            _ => self.pickle.text(id)?.to_owned(),
        };
        let is_plain = !key.is_empty() && !key.contains(char::is_control);
        is_plain.then_some(key)
    }

    /// PyTorch's optimizers have these two keys and no other networks have.
    fn is_optimizer(&self, items: &[(Id, Id)]) -> bool {
        let has = |wanted| items.iter().any(|&(key, _)| self.pickle.text(key) == Some(wanted));
        has("state") && has("param_groups")
    }

    fn object(&mut self, id: Id, object: &Object, name: &str) -> Result<Node, Problem> {
        if let Some(call) = self.pickle.call(id)
            && let Some(found) = self.recognised(call, name)
        {
            return match found {
                Found::Node(node) => Ok(node),
                Found::Left(kind) => Ok(only(kind)),
                Found::Same(id) => self.node(id, name),
            };
        }
        let class = self.pickle.class(object);
        let mut group = self.contents(object, name)?;
        if group.members.is_empty() {
            return Ok(only(Kind::Object(class)));
        }
        if class.starts_with("`__torch__.") {
            // An attribute of TorchScript can have no dot in its name, and tch writes bars instead.
            group.role = Role::Network;
            group.members.iter_mut().for_each(|(name, _)| *name = name.replace('|', "."));
        }
        Ok(Node::Group(group))
    }

    fn recognised(&self, call: Call, name: &str) -> Option<Found> {
        let Walk { pickle, storages, .. } = *self;
        let by_numpy = || Numpy { pickle, name }.recognised(call);
        Torch { pickle, storages, name }.recognised(call).or_else(by_numpy)
    }

    /// What an object holds: its attributes by name, or, for a module of PyTorch, what its state dict
    /// would hold; then its items and arguments.
    fn contents(&mut self, object: &Object, name: &str) -> Result<Group, Problem> {
        let pickle = self.pickle;
        let mut all = Group::default();
        let mut add = |group: Group| {
            all.left.add_all(group.left);
            all.members.extend(group.members);
            if group.role == Role::Network {
                all.role = Role::Network;
            }
        };
        for &state in &object.states {
            match pickle.get(state) {
                Value::Dict(items) if self.is_module(items) => add(self.module(items, name)?),
                Value::Dict(items) => add(self.dict(items, name)?),
                // Attributes, and those in slots.
                Value::Tuple(parts) => {
                    for &part in parts {
                        match pickle.get(part) {
                            Value::Dict(items) => add(self.dict(items, name)?),
                            _ => add(self.list(&[part], name)?),
                        }
                    }
                }
                _ => add(self.list(&[state], name)?),
            }
        }
        add(self.dict(&object.items, name)?);
        add(self.list(&object.appended, name)?);
        add(self.list(pickle.sequence(object.arguments).unwrap_or_default(), name)?);
        Ok(all)
    }

    fn is_module(&self, attributes: &[(Id, Id)]) -> bool {
        ["_parameters", "_buffers", "_modules"]
            .iter()
            .all(|part| attributes.iter().any(|&(key, _)| self.pickle.text(key) == Some(part)))
    }

    /// Parameters, buffers and inner modules, each under its own name; but not the buffers that the
    /// module keeps out of its state dict.
    fn module(&mut self, attributes: &[(Id, Id)], name: &str) -> Result<Group, Problem> {
        let pickle = self.pickle;
        let passing = attributes.iter().find_map(|&(key, value)| match pickle.get(value) {
            Value::Set(names) if pickle.text(key) == Some("_non_persistent_buffers_set") => {
                Some(names.iter().filter_map(|&name| pickle.text(name)).collect::<BTreeSet<_>>())
            }
            _ => None,
        });
        let passing = passing.unwrap_or_default();
        let mut all = Group { role: Role::Network, ..Group::default() };
        for &(key, value) in attributes {
            let Some("_parameters" | "_buffers" | "_modules") = pickle.text(key) else { continue };
            let group = match pickle.get(value) {
                Value::Dict(items) => self.dict(items, name)?,
                _ => continue,
            };
            all.left.add_all(group.left);
            let is_kept = |(name, _): &(String, Node)| !passing.contains(name.as_str());
            all.members.extend(group.members.into_iter().filter(is_kept));
        }
        Ok(all)
    }
}

fn is_empty(node: &Node) -> bool {
    matches!(node, Node::Group(group) if group.members.is_empty())
}

/// A place with nothing but a value that is no weight.
fn only(kind: Kind) -> Node {
    let mut group = Group::default();
    group.left.add(kind);
    Node::Group(group)
}

/// A place in words.
fn shown(name: &str) -> String {
    match name {
        "" => "the outermost value".into(),
        name => name.chars().take(LONGEST_NAME).collect(),
    }
}
