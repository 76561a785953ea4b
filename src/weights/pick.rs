//! Which of the dicts in a file is the network.
//!
//! A checkpoint of a training holds several: the network, an average of it, the state of the optimizer.
//! The one is taken that is asked for; or the one that has the network's names, where they are known; or
//! the one under a name that only networks have. What was taken, and what else is there, is told.

use super::Problem;
use super::left::LeftOut;
use super::names::{self, Naming};
use super::tree::{Group, Node, Role, joined};
use crate::nearest::nearest;
use crate::sign::is_below;

/// Keys under which programs keep a whole network.
const NETWORKS: [&str; 7] =
    ["state_dict", "model_state_dict", "model_state", "model", "module", "net", "network"];

/// A dict of tensors, and what else there is.
#[derive(Debug)]
pub(super) struct Picked {
    pub group: Group,
    /// The key of the dict, if it is not the outermost.
    pub key: Option<String>,
    /// The keys of the other dicts with tensors, each with their number.
    pub others: Vec<(String, usize)>,
    /// What is no weight anywhere in the file.
    pub left: LeftOut,
}

/// The dict with `key` in `root`; without one, the network in it.
///
/// # Errors
/// When there is no such dict, or several that could be the network.
pub(super) fn pick(root: Group, key: Option<&str>, naming: &Naming) -> Result<Picked, Problem> {
    match key {
        Some(key) => asked_for(root, key),
        None => {
            let mut picked = Picked::all(root);
            while let Some(next) = choice(&picked, naming)?.map(str::to_owned) {
                picked = picked.into_member(&next);
            }
            Ok(picked.without_what_is_no_network())
        }
    }
}

fn asked_for(root: Group, key: &str) -> Result<Picked, Problem> {
    let unknown = || {
        let keys = keys(&root, "");
        let nearest = nearest(key, keys.iter().map(String::as_str)).map(str::to_owned);
        Problem::NoSuchKey { key: key.into(), keys: keys.clone(), nearest }
    };
    let mut way = Vec::new();
    let (mut group, mut rest) = (&root, key);
    while !rest.is_empty() {
        let is_on_the_way =
            |(name, node): &&(String, Node)| matches!(node, Node::Group(_)) && is_below(rest, name);
        let Some(at) = group.members.iter().find(is_on_the_way) else { break };
        way.push(at.0.clone());
        rest = rest[at.0.len()..].trim_start_matches('.');
        let Node::Group(inner) = &at.1 else { unreachable!("only groups are on the way") };
        group = inner;
    }
    let has_rest = group.members.iter().any(|(name, _)| is_below(name, rest));
    if !rest.is_empty() && !has_rest {
        return Err(unknown());
    }
    let mut picked = Picked::all(root);
    for name in way {
        picked = picked.into_member(&name);
    }
    Ok(if rest.is_empty() { picked } else { picked.below(rest) })
}

/// The keys of all dicts at and below `group` that have tensors.
fn keys(group: &Group, parent: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (name, node) in &group.members {
        if let Node::Group(inner) = node {
            let name = joined(parent, name);
            all.extend(keys(inner, &name));
            all.push(name);
        }
    }
    all.sort();
    all
}

/// The member of `picked` that is the network; none if that is all of it.
fn choice<'g>(picked: &'g Picked, naming: &Naming) -> Result<Option<&'g str>, Problem> {
    let group = &picked.group;
    if group.role == Role::Network {
        return Ok(None);
    }
    let groups = networks(group);
    let mut known: Vec<_> =
        groups.iter().copied().filter(|(name, _)| NETWORKS.contains(name)).collect();
    // A name that says much of a file says little of a part of a network.
    let is_all = known.len() == group.members.len();
    if known.is_empty() || (picked.key.is_some() && !is_all) {
        return by_names(group, &groups, naming);
    }
    if !naming.network.is_empty() && known.iter().any(|(_, inner)| fits(inner, naming)) {
        known.retain(|(_, inner)| fits(inner, naming));
    }
    only(&known)
}

/// The member of `group` that has the names of the network, where `group` has not.
fn by_names<'g>(
    group: &Group,
    groups: &[(&'g str, &'g Group)],
    naming: &Naming,
) -> Result<Option<&'g str>, Problem> {
    if naming.network.is_empty() || fits(group, naming) {
        return Ok(None);
    }
    let fitting: Vec<_> = groups.iter().copied().filter(|(_, inner)| fits(inner, naming)).collect();
    if fitting.is_empty() { Ok(None) } else { only(&fitting) }
}

/// The one of `groups`; any of them, if they are the same tensors.
fn only<'g>(groups: &[(&'g str, &'g Group)]) -> Result<Option<&'g str>, Problem> {
    let ((name, first), others) = groups.split_first().expect("the caller looked");
    if others.iter().all(|(_, other)| first.is_same(other)) {
        return Ok(Some(name));
    }
    let mut keys: Vec<String> = groups.iter().map(|(name, _)| (*name).to_owned()).collect();
    keys.sort();
    Err(Problem::Several { keys })
}

/// The members of `group` that are dicts with tensors, and neither the state of an optimizer nor an
/// average.
fn networks(group: &Group) -> Vec<(&str, &Group)> {
    let all = group.members.iter().filter_map(|(name, node)| match node {
        Node::Group(inner) if !is_optimizer(name, inner) && !is_average(name) => {
            Some((name.as_str(), inner))
        }
        _ => None,
    });
    all.collect()
}

/// Whether the names of `group`, as they will be changed, are the network's.
fn fits(group: &Group, naming: &Naming) -> bool {
    let names: Vec<String> = group.names().iter().map(|name| naming.changed(name)).collect();
    let is_known = |name: &str| naming.network.iter().any(|known| known == name);
    names.iter().any(|name| is_known(name)) || names::bare(&names, is_known).is_some()
}

fn is_optimizer(name: &str, group: &Group) -> bool {
    let is_one = |node: &Node| matches!(node, Node::Group(inner) if inner.role == Role::Optimizer);
    group.role == Role::Optimizer
        || words(name).any(|word| matches!(word, "optimizer" | "optimizers" | "optim"))
        || name.starts_with("opt_state")
        || group.members.iter().all(|(_, node)| is_one(node))
}

/// Whether `name` is that of a running average of a network.
fn is_average(name: &str) -> bool {
    words(name).any(|word| matches!(word, "ema" | "swa"))
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(['_', '.', '-'])
}

impl Picked {
    /// All of `root`.
    fn all(root: Group) -> Self {
        let mut left = LeftOut::default();
        root.count_left(&mut left);
        Picked { group: root, key: None, others: Vec::new(), left }
    }

    /// The member `name` of the group, which is a group.
    fn into_member(self, name: &str) -> Picked {
        let Picked { group, key, mut others, left } = self;
        let key = joined(key.as_deref().unwrap_or(""), name);
        let mut taken = Group::default();
        for (member, node) in group.members {
            match node {
                Node::Group(inner) if member == name && taken.members.is_empty() => taken = inner,
                node => others.push(other(&key[..key.len() - name.len()], &member, &node)),
            }
        }
        Picked { group: taken, key: Some(key), others, left }
    }

    /// The tensors whose name begins with `prefix`, named without it.
    fn below(self, prefix: &str) -> Picked {
        let Picked { group, key, mut others, left } = self;
        let mut taken = Group::default();
        let mut rest = 0;
        for (name, node) in group.members {
            if !is_below(&name, prefix) {
                rest += 1;
                continue;
            }
            let last = prefix.rsplit('.').next().unwrap_or(prefix);
            let inner = name[prefix.len()..].trim_start_matches('.');
            taken.members.push((if inner.is_empty() { last } else { inner }.to_owned(), node));
        }
        if rest > 0 {
            others.push(("others".into(), rest));
        }
        let key = Some(joined(key.as_deref().unwrap_or(""), prefix));
        Picked { group: taken, key, others, left }
    }

    /// What is left when the states of optimizers are put aside, and the averages of what is there.
    fn without_what_is_no_network(mut self) -> Picked {
        let key = self.key.clone().map_or(String::new(), |key| key + ".");
        let is_apart = |(name, node): &(String, Node), what: &dyn Fn(&str, &Group) -> bool| matches!(node, Node::Group(inner) if what(name, inner));
        for what in [&is_optimizer as &dyn Fn(&str, &Group) -> bool, &|name, _| is_average(name)] {
            if self.group.members.iter().all(|member| is_apart(member, what)) {
                continue;
            }
            let members = std::mem::take(&mut self.group.members);
            let (apart, kept): (Vec<_>, Vec<_>) =
                members.into_iter().partition(|member| is_apart(member, what));
            self.group.members = kept;
            self.others.extend(apart.iter().map(|(name, node)| other(&key, name, node)));
        }
        self
    }
}

fn other(parent: &str, name: &str, node: &Node) -> (String, usize) {
    let tensors = match node {
        Node::Group(group) => group.tensors(),
        Node::Tensor(_) | Node::Fault(_) => 1,
    };
    (format!("{parent}{name}"), tensors)
}
