//! Arrows between names: circles, and what is left of them when the implied ones are taken away.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What leans on what, and where that is written.
#[derive(Debug, Default)]
pub struct Graph(BTreeMap<String, BTreeMap<String, String>>);

impl Graph {
    /// Adds an arrow between two names, if they are two; `place` is where it was first seen.
    pub fn add(&mut self, from: &str, to: &str, place: &str) {
        self.0.entry(to.to_owned()).or_default();
        let arrows = self.0.entry(from.to_owned()).or_default();
        if from != to {
            arrows.entry(to.to_owned()).or_insert_with(|| place.to_owned());
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What `name` leans on.
    pub fn below(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flat_map(|to| to.keys().map(String::as_str))
    }

    pub fn arrows(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let from = self.0.iter();
        from.flat_map(|(from, to)| to.iter().map(move |(to, at)| (&**from, &**to, &**at)))
    }

    /// A shortest way from `from` to `to` over at least one arrow.
    fn way<'a>(&'a self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut before = BTreeMap::new();
        let mut next = VecDeque::from([from]);
        while let Some(name) = next.pop_front() {
            for below in self.below(name) {
                if before.contains_key(below) {
                    continue;
                }
                before.insert(below, name);
                if below == to {
                    let mut way = vec![below, name];
                    while way[way.len() - 1] != from {
                        way.push(before[way[way.len() - 1]]);
                    }
                    way.reverse();
                    return Some(way);
                }
                next.push_back(below);
            }
        }
        None
    }

    /// One circle, as short as it can be, for every set of names that lean on each other, if
    /// `file` of its names is not the same everywhere; with the places of its arrows.
    pub fn circles<'a>(&'a self, file: impl Fn(&'a str) -> &'a str) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let mut circles = Vec::new();
        for (from, to, _) in self.arrows().filter(|(from, to, _)| file(from) != file(to)) {
            let Some(back) = self.way(to, from) else { continue };
            if seen.insert(from) & seen.insert(to) {
                circles.push(self.told(&[vec![from], back].concat()));
            }
        }
        circles
    }

    fn told(&self, way: &[&str]) -> String {
        let arrow =
            |pair: &[&str]| format!("  {} -> {} ({})", pair[0], pair[1], self.0[pair[0]][pair[1]]);
        way.windows(2).map(arrow).collect::<Vec<_>>().join("\n")
    }

    /// The arrows that no way over other names implies; the graph must have no circle.
    pub fn plain(&self) -> Vec<(&str, &str)> {
        let implied = |from: &str, to: &str| {
            let mut others = self.below(from).filter(|&other| other != to);
            others.any(|other| self.way(other, to).is_some())
        };
        let arrows = self.arrows().map(|(from, to, _)| (from, to));
        arrows.filter(|(from, to)| !implied(from, to)).collect()
    }
}
