//! The names of a file's tensors, and how they become the network's.

use super::{Problem, Views};
use crate::nearest::nearest;
use crate::sign::is_below;

/// What programs put in front of a network's names: `DataParallel`, `torch.compile`, Lightning and others.
const PREFIXES: [&str; 5] = ["module.", "_orig_mod.", "state_dict.", "model.", "params."];

/// How the names of a file's tensors are changed.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    /// Dropped from the names that begin with one of them, component by dotted component.
    pub strip: Vec<String>,
    /// Pairs of (there, here): beginnings of names there, and what stands for them here.
    pub rename: Vec<(String, String)>,
    /// The names of the network's tensors, where it is known which network it is for.
    pub network: Vec<String>,
}

impl Naming {
    /// What the tensor `name` will be called.
    pub(super) fn changed(&self, name: &str) -> String {
        renamed(stripped(name, &self.strip), &self.rename)
    }

    /// What the tensors `names` will be called. Where none of these is the network's, the usual
    /// prefixes are dropped.
    pub(crate) fn names(&self, names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| self.changed(name)).collect();
        if self.network.is_empty() {
            return names;
        }
        bare(&names, |name| self.network.iter().any(|known| known == name)).unwrap_or(names)
    }

    /// `views` under their new names.
    ///
    /// # Errors
    /// When a beginning of names begins no name, or two tensors come to the same name.
    pub(super) fn apply(&self, views: Views) -> Result<Views, Problem> {
        for prefix in &self.strip {
            check(prefix, views.keys().map(String::as_str))?;
        }
        let names: Vec<&str> = views.keys().map(|name| stripped(name, &self.strip)).collect();
        for (from, _) in &self.rename {
            check(from, names.iter().copied())?;
        }
        let old: Vec<&str> = views.keys().map(String::as_str).collect();
        let names = self.names(&old);
        let mut changed = Views::new();
        for (name, (old, view)) in names.into_iter().zip(views) {
            if changed.insert(name.clone(), view).is_some() {
                return Err(Problem::SameName { array: name, second: old });
            }
        }
        Ok(changed)
    }
}

/// `name` without the first of `prefixes` that it begins with.
fn stripped<'n>(name: &'n str, prefixes: &[String]) -> &'n str {
    let prefix = prefixes.iter().find(|prefix| is_below(name, prefix) && name != **prefix);
    prefix.map_or(name, |prefix| &name[prefix.len() + 1..])
}

/// `name` with the first of `pairs` that it begins with.
pub(crate) fn renamed(name: &str, pairs: &[(String, String)]) -> String {
    for (from, to) in pairs {
        if is_below(name, from) {
            return format!("{to}{}", &name[from.len()..]);
        }
    }
    name.to_owned()
}

fn check<'n>(prefix: &str, names: impl Iterator<Item = &'n str> + Clone) -> Result<(), Problem> {
    if names.clone().any(|name| is_below(name, prefix)) {
        return Ok(());
    }
    let beginnings = names
        .clone()
        .flat_map(|name| name.match_indices('.').map(|(dot, _)| &name[..dot]).chain([name]));
    let nearest = nearest(prefix, beginnings).map(str::to_owned);
    Err(Problem::NoSuchPrefix { prefix: prefix.into(), nearest })
}

/// `names` without the prefixes that programs put in front, as many as make one of them fit; none if
/// one fits as it is, or none does without.
pub(crate) fn bare(names: &[String], fits: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    if names.iter().any(|name| fits(name)) {
        return None;
    }
    let mut bare: Vec<&str> = names.iter().map(String::as_str).collect();
    loop {
        let mut is_changed = false;
        for name in &mut bare {
            if let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
                *name = rest;
                is_changed = true;
            }
        }
        if bare.iter().any(|name| fits(name)) {
            return Some(bare.into_iter().map(str::to_owned).collect());
        }
        if !is_changed {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Array, View};

    fn bared(names: &[&str]) -> Option<Vec<String>> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        bare(&names, |name| name == "fc.weight")
    }

    #[test]
    fn prefixes_are_dropped_where_nothing_fits_without() {
        assert_eq!(bared(&["fc.weight", "module.head.weight"]), None);
        let dropped = bared(&["module._orig_mod.fc.weight", "module._orig_mod.fc.bias", "other"]);
        assert_eq!(dropped.unwrap(), ["fc.weight", "fc.bias", "other"]);
        assert_eq!(bared(&["module.head.weight"]), None);
    }

    #[test]
    fn the_first_prefix_is_stripped_and_the_first_pair_renames() {
        let naming = Naming {
            strip: vec!["net".into(), "net.body".into()],
            rename: vec![("conv1".into(), "features.0".into()), ("conv".into(), "x".into())],
            network: vec![],
        };
        assert_eq!(naming.changed("net.conv1.weight"), "features.0.weight");
        assert_eq!(naming.changed("net.body.weight"), "body.weight");
        assert_eq!(naming.changed("conv10.weight"), "conv10.weight");
        assert_eq!(naming.changed("net"), "net");
    }

    #[test]
    fn a_prefix_that_begins_no_name_is_refused_with_the_nearest() {
        let naming = Naming { strip: vec!["modul".into()], ..Naming::default() };
        let view: View = Array::new(vec![1], vec![0.5]).unwrap().into();
        let views = Views::from([("module.w".to_owned(), view.clone())]);
        let refused = naming.apply(views).unwrap_err().to_string();
        assert_eq!(refused, "no tensor's name begins with `modul`; did you mean `module`?");
        let naming = Naming { rename: vec![("a".into(), "b".into())], ..Naming::default() };
        let views = Views::from([("a.w".to_owned(), view.clone()), ("b.w".to_owned(), view)]);
        let refused = naming.apply(views).unwrap_err().to_string();
        assert_eq!(refused, "b.w: `b.w` comes to this name, and another tensor too");
    }
}
