//! All modules of the crates here, and which item a path means.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::scan::{Token, tokens};
use crate::source::{Declared, Source, Use, parse};

/// A module's names from its crate down: `["polarity", "figure", "axis"]`.
pub type Names = Vec<String>;

/// A module and the file that it stands in, as the repository calls it.
#[derive(Debug)]
pub struct Module {
    pub file: String,
    pub source: Source,
}

/// All modules of the crates that stand in one repository.
#[derive(Debug, Default)]
pub struct Tree {
    pub modules: BTreeMap<Names, Module>,
    /// Files that are compiled for tests only.
    pub tests: BTreeSet<String>,
    root: PathBuf,
}

/// What a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    Item(Names, String),
    Module(Names),
    /// Something of another crate, or of a function's body.
    Foreign,
}

/// One use of a name: by an item, or by an import of the module itself.
#[derive(Clone, Debug)]
pub struct Mention<'a> {
    pub item: Option<&'a str>,
    pub path: Vec<String>,
    pub line: usize,
    pub meaning: Meaning,
    /// The room that the path leads through, which may give out another's item as its own.
    pub door: Names,
}

impl Tree {
    /// The modules of `crates`, each a name and the file that it starts with.
    pub fn read(root: &Path, crates: &[(&str, &str)]) -> Self {
        let mut tree = Tree { root: root.to_owned(), ..Tree::default() };
        for (name, file) in crates.iter().filter(|(_, file)| root.join(file).exists()) {
            let folder = Path::new(file).parent().expect("a file is in a folder");
            tree.add_file(vec![(*name).to_owned()], Path::new(file), folder);
        }
        tree
    }

    fn add_file(&mut self, names: Names, file: &Path, folder: &Path) {
        let text = std::fs::read_to_string(self.root.join(file)).unwrap();
        let source = parse(&tokens(&text));
        self.add(names, file, folder, source);
    }

    /// `folder` is where the files of its modules are.
    fn add(&mut self, names: Names, file: &Path, folder: &Path, mut source: Source) {
        for Declared { name, text, is_test } in std::mem::take(&mut source.modules) {
            let below = folder.join(&name);
            let names = [names.clone(), vec![name.clone()]].concat();
            match text {
                Some(text) if !is_test => self.add(names, file, &below, text),
                Some(_) => {}
                None => {
                    let file = [folder.join(format!("{name}.rs")), below.join("mod.rs")]
                        .into_iter()
                        .find(|file| self.root.join(file).exists())
                        .unwrap_or_else(|| panic!("{}: no file of `mod {name}`", file.display()));
                    match is_test {
                        true => self.leave_to_tests(&file, &below),
                        false => self.add_file(names, &file, &below),
                    }
                }
            }
        }
        let file = file.display().to_string();
        self.modules.insert(names, Module { file, source });
    }

    fn leave_to_tests(&mut self, file: &Path, folder: &Path) {
        self.tests.insert(file.display().to_string());
        let below = rust_files(&self.root.join(folder));
        let below: Vec<String> = below.iter().map(|file| self.called(file)).collect();
        self.tests.extend(below);
    }

    /// A file as the repository calls it.
    pub fn called(&self, file: &Path) -> String {
        file.strip_prefix(&self.root).unwrap_or(file).display().to_string()
    }

    /// What `path`, written in the module `from`, means.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Meaning {
        let [first, rest @ ..] = path else { return Meaning::Foreign };
        match first.as_str() {
            "crate" => self.descend(&from[..1], rest, depth),
            "self" => self.descend(from, rest, depth),
            "super" if from.len() > 1 => self.descend(&from[..from.len() - 1], rest, depth),
            name if self.modules.contains_key(&vec![name.to_owned()]) => {
                self.descend(&path[..1], rest, depth)
            }
            _ => self.descend(from, path, depth),
        }
    }

    /// `path` from inside `module`: an item or import before a module at its end, after one elsewhere,
    /// because `run::run` is a function in a module.
    fn descend(&self, module: &[String], path: &[String], depth: usize) -> Meaning {
        let Some((name, rest)) = path.split_first() else {
            return Meaning::Module(module.to_vec());
        };
        let Some(Module { source, .. }) = self.modules.get(module).filter(|_| depth < 32) else {
            return Meaning::Foreign;
        };
        if name == "super" {
            return self.resolve(module, path, depth + 1);
        }
        let below = [module, &path[..1]].concat();
        let is_module = self.modules.contains_key(&below);
        if is_module && !rest.is_empty() {
            return self.descend(&below, rest, depth);
        }
        if source.items.iter().any(|item| item.name == *name) {
            return Meaning::Item(module.to_vec(), name.clone());
        }
        let imported = self.imported(module, path, depth);
        match is_module && !matches!(imported, Meaning::Item(..)) {
            true => Meaning::Module(below),
            false => imported,
        }
    }

    /// `path` through what `module` imports.
    fn imported(&self, module: &[String], path: &[String], depth: usize) -> Meaning {
        let uses = &self.modules[module].source.uses;
        let named = uses.iter().filter(|import| import.name == path[0]);
        let named = named.map(|import| [&import.path, &path[1..]].concat());
        let all = uses.iter().filter(|import| import.name == "*");
        let all = all.map(|import| [&import.path, path].concat());
        let mut meanings = named.chain(all).map(|path| self.resolve(module, &path, depth + 1));
        meanings.find(|meaning| *meaning != Meaning::Foreign).unwrap_or(Meaning::Foreign)
    }

    /// The crate and room that `path`, written in the module `from`, leads through first.
    fn door(&self, from: &[String], path: &[String]) -> Names {
        let own = || from.iter().take(2).cloned().collect();
        let Some((first, rest)) = path.split_first() else { return own() };
        match first.as_str() {
            "crate" => self.door_below(&from[..1], rest),
            "self" if from.len() == 1 => self.door_below(from, rest),
            "super" if from.len() == 2 => self.door_below(&from[..1], rest),
            "super" if from.len() > 2 => self.door(&from[..from.len() - 1], rest),
            name if self.modules.contains_key(&vec![name.to_owned()]) => {
                self.door_below(&path[..1], rest)
            }
            name => {
                match self.modules[from].source.uses.iter().find(|import| import.name == name) {
                    Some(import) if import.path[0] != *name => {
                        self.door(from, &[&import.path, rest].concat())
                    }
                    _ if from.len() == 1 => self.door_below(from, path),
                    _ => own(),
                }
            }
        }
    }

    /// The room of the crate `root` that `path` starts with, or that its first name stands for.
    fn door_below(&self, root: &[String], path: &[String]) -> Names {
        let Some((name, rest)) = path.split_first() else { return root.to_vec() };
        let room = [root, &path[..1]].concat();
        if self.modules.contains_key(&room) {
            return room;
        }
        let mut uses = self.modules[root].source.uses.iter();
        match uses.find(|import| import.name == *name && import.path[0] != *name) {
            Some(import) => self.door(root, &[&import.path, rest].concat()),
            None => root.to_vec(),
        }
    }

    /// Every name that `module` uses.
    pub fn mentions<'a>(&'a self, module: &Names) -> Vec<Mention<'a>> {
        let source = &self.modules[module].source;
        let mention = |item, path: Vec<String>, line| {
            let (meaning, door) = (self.resolve(module, &path, 0), self.door(module, &path));
            Mention { item, path, line, meaning, door }
        };
        let mut found: Vec<Mention> = source
            .uses
            .iter()
            .map(|import| mention(None, import.path.clone(), import.line))
            .collect();
        for item in &source.items {
            let name = Some(item.name.as_str());
            found.extend(item.uses.iter().map(|u| mention(name, u.path.clone(), u.line)));
            let paths = paths(&item.tokens).into_iter();
            found.extend(paths.map(|(path, line)| mention(name, spelled(path, &item.uses), line)));
        }
        found
    }
}

/// `path` with the name that it starts with as the body imports it.
fn spelled(path: Vec<String>, uses: &[Use]) -> Vec<String> {
    let import = uses.iter().find(|import| import.name == path[0]);
    import.map_or(path.clone(), |import| [&import.path, &path[1..]].concat())
}

/// Every path of a body with its line: words between `::`, but no name of a field or a method.
fn paths(tokens: &[Token]) -> Vec<(Vec<String>, usize)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let is_word = |at| text(at).starts_with(|c: char| c.is_alphabetic() || c == '_');
    let is_member = |at: usize| at > 0 && text(at - 1) == "." && !(at > 1 && text(at - 2) == ".");
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let start = at;
        at += 1;
        let is_name = text(at) == ":"; // of a field, a parameter, a constant
        if !is_word(start) || is_name || is_member(start) || start > 0 && text(start - 1) == "::" {
            continue;
        }
        let mut path = vec![text(start).to_owned()];
        while text(at) == "::" && is_word(at + 1) {
            path.push(text(at + 1).to_owned());
            at += 2;
        }
        found.push((path, tokens[start].line));
    }
    found
}

/// Every Rust file under `folder`.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}
