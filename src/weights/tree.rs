//! What a file holds, as a tree: dicts and lists above, tensors below.
//!
//! A tensor's name is the keys on the way to it, joined by dots; the items of a list are counted from
//! 0: `features.0.weight`, `conv1.0`. A tensor that cannot be read is a fault at its place: it stops who
//! wants it, and nobody else.

use std::collections::BTreeMap;

use super::left::{Kind, LeftOut};
use super::value::Id;
use super::view::View;
use super::{Problem, Views};

/// The greatest length of a tensor's name, in bytes.
pub(super) const LONGEST_NAME: usize = 1024;

/// A place in the tree.
#[derive(Debug)]
pub(super) enum Node {
    Group(Group),
    Tensor(Box<View>),
    /// A tensor that cannot be read, and why.
    Fault(Box<Problem>),
}

/// A dict or a list.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Its members that are tensors or have some below them, in the file's order.
    pub members: Vec<(String, Node)>,
    /// What else is below it.
    pub left: LeftOut,
    pub role: Role,
}

/// What a group is known to be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Role {
    /// Nothing is known.
    #[default]
    Any,
    /// A module, whose members are the parts of one network.
    Network,
    /// The state of an optimizer.
    Optimizer,
}

/// What a value is to who looks for tensors.
pub(super) enum Found {
    Node(Node),
    Left(Kind),
    /// What it is stands in another value.
    Same(Id),
}

impl Found {
    /// A tensor, or why it cannot be read.
    pub(super) fn tensor(found: Result<Found, Problem>) -> Found {
        found.unwrap_or_else(|problem| Found::Node(Node::Fault(Box::new(problem))))
    }
}

impl Group {
    /// Adds what was found at `name`; what has no tensor is only counted.
    pub(super) fn add(&mut self, name: impl Into<String>, node: Node) {
        match node {
            Node::Group(group) if group.members.is_empty() => self.left.add_all(group.left),
            node => self.members.push((name.into(), node)),
        }
    }

    /// How many tensors there are at and below it.
    pub(super) fn tensors(&self) -> usize {
        self.members.iter().map(|(_, node)| node.tensors()).sum()
    }

    /// Whether it holds the same tensors under the same names as `other`: not equal ones, the same.
    pub(super) fn is_same(&self, other: &Group) -> bool {
        let same = |(one, other): (&(String, Node), &(String, Node))| {
            let nodes = match (&one.1, &other.1) {
                (Node::Group(one), Node::Group(other)) => one.is_same(other),
                (Node::Tensor(one), Node::Tensor(other)) => one.is_same(other),
                _ => false,
            };
            one.0 == other.0 && nodes
        };
        self.members.len() == other.members.len()
            && self.members.iter().zip(&other.members).all(same)
    }

    /// Adds what was left out anywhere at or below it to `left`.
    pub(super) fn count_left(&self, left: &mut LeftOut) {
        left.add_all(self.left.clone());
        for (_, node) in &self.members {
            if let Node::Group(group) = node {
                group.count_left(left);
            }
        }
    }

    /// The full names of all tensors at and below it.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (name, node) in &self.members {
            match node {
                Node::Group(group) => {
                    names.extend(group.names().iter().map(|inner| joined(name, inner)));
                }
                Node::Tensor(_) | Node::Fault(_) => names.push(name.clone()),
            }
        }
        names
    }

    /// All tensors by full name.
    ///
    /// # Errors
    /// The fault of the first tensor, in name order, that cannot be read, is not alone with its name,
    /// or has one that is too long.
    pub(super) fn into_views(self) -> Result<Views, Problem> {
        let mut all = BTreeMap::new();
        self.collect("", &mut all);
        let view = |(name, found): (String, Result<View, Problem>)| Ok((name, found?));
        all.into_iter().map(view).collect()
    }

    fn collect(self, parent: &str, all: &mut BTreeMap<String, Result<View, Problem>>) {
        for (name, node) in self.members {
            let name = joined(parent, &name);
            let mut found = match node {
                Node::Group(group) => {
                    group.collect(&name, all);
                    continue;
                }
                Node::Tensor(view) => Ok(*view),
                Node::Fault(problem) => Err(*problem),
            };
            if name.len() > LONGEST_NAME || name.contains(char::is_control) {
                let got = match name.len() > LONGEST_NAME {
                    true => format!("one of {} bytes", name.len()),
                    false => format!("`{}`", name.escape_debug()),
                };
                found = Err(Problem::Key { parent: shortened(parent), max: LONGEST_NAME, got });
            }
            if all.contains_key(&name) {
                found = Err(Problem::Duplicate { array: name.clone() });
            }
            all.insert(name, found);
        }
    }
}

impl Node {
    fn tensors(&self) -> usize {
        match self {
            Node::Group(group) => group.tensors(),
            Node::Tensor(_) | Node::Fault(_) => 1,
        }
    }
}

fn shortened(name: &str) -> String {
    match name {
        "" => "the outermost value".into(),
        name => name.chars().take(60).collect::<String>().escape_debug().to_string(),
    }
}

/// A name and what is below it.
pub(super) fn joined(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}
