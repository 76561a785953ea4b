//! One file as the compiler sees it in a release: what it imports, its items, its modules. What stands
//! behind `#[cfg(test)]` is left out.

use crate::scan::Token;

/// What a file, or a module written inside one, has.
#[derive(Debug, Default)]
pub struct Source {
    pub uses: Vec<Use>,
    pub items: Vec<Item>,
    pub modules: Vec<Declared>,
}

/// One name that a `use` brings in.
#[derive(Clone, Debug)]
pub struct Use {
    /// The name here; `*` for all.
    pub name: String,
    pub path: Vec<String>,
    pub line: usize,
}

/// A function, type, trait, constant or macro, with the blocks `impl` of a type in one.
#[derive(Debug)]
pub struct Item {
    pub name: String,
    pub tokens: Vec<Token>,
    /// What `use` brings into its body.
    pub uses: Vec<Use>,
}

/// A module, with its text if that is here and not in a file of its own.
#[derive(Debug)]
pub struct Declared {
    pub name: String,
    pub text: Option<Source>,
    pub is_test: bool,
}

/// Reads the items of `tokens`.
pub fn parse(tokens: &[Token]) -> Source {
    let mut source = Source::default();
    let mut reader = Reader { tokens, at: 0 };
    while reader.at < tokens.len() {
        let is_test = reader.attributes();
        if reader.at < tokens.len() {
            reader.item(is_test, &mut source);
        }
    }
    source.join_impls();
    source
}

impl Source {
    /// Gives each `impl` to the type that it is for, or else to the trait that it implements.
    fn join_impls(&mut self) {
        let (impls, mut items): (Vec<Item>, Vec<Item>) =
            self.items.drain(..).partition(|item| item.tokens[0].text == "impl");
        for block in impls {
            let named = |name: &str| items.iter().position(|item| item.name == name);
            match block.name.split(' ').find_map(named) {
                Some(at) => {
                    items[at].tokens.extend(block.tokens);
                    items[at].uses.extend(block.uses);
                }
                None => items.push(Item { name: format!("impl {}", block.name), ..block }),
            }
        }
        self.items = items;
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    fn takes(&mut self, text: &str) -> bool {
        let is_there = self.text(0) == text;
        self.at += usize::from(is_there);
        is_there
    }

    /// Skips a bracket and all inside it.
    fn group(&mut self) {
        let mut depth = 0;
        loop {
            depth += match self.text(0) {
                "(" | "[" | "{" => 1,
                ")" | "]" | "}" => -1,
                _ => 0,
            };
            self.at += 1;
            if depth == 0 || self.at >= self.tokens.len() {
                return;
            }
        }
    }

    /// Skips attributes; says whether one of them leaves the item to tests.
    fn attributes(&mut self) -> bool {
        let mut is_test = false;
        while self.takes("#") {
            self.takes("!");
            let start = self.at;
            self.group();
            let words: Vec<&str> =
                self.tokens[start..self.at].iter().map(|token| token.text.as_str()).collect();
            is_test |= words == ["[", "cfg", "(", "test", ")", "]"];
        }
        is_test
    }

    fn item(&mut self, is_test: bool, source: &mut Source) {
        if self.takes("pub") && self.text(0) == "(" {
            self.group();
        }
        if self.text(0) == "use" {
            let uses = self.uses();
            source.uses.extend(uses.into_iter().filter(|_| !is_test));
        } else if self.text(0) == "mod" {
            source.modules.push(self.module(is_test));
        } else {
            let item = self.other();
            source.items.extend(item.filter(|_| !is_test));
        }
    }

    fn module(&mut self, is_test: bool) -> Declared {
        let name = self.text(1).to_owned();
        self.at += 2;
        if self.takes(";") {
            return Declared { name, text: None, is_test };
        }
        let start = self.at + 1;
        self.group();
        let text = Some(parse(&self.tokens[start..self.at - 1]));
        Declared { name, text, is_test }
    }

    /// Any other item; none at a stray sign.
    fn other(&mut self) -> Option<Item> {
        let start = self.at;
        // A value ends at its `;`, whatever brackets it has; all else at its body.
        let words = ["const", "static", "type"];
        let is_value = words.contains(&self.text(0)) && !["fn", "unsafe"].contains(&self.text(1));
        loop {
            match self.text(0) {
                "{" if !is_value => break self.group(),
                ";" | "" => break self.at += 1,
                "(" | "[" | "{" => self.group(),
                _ => self.at += 1,
            }
        }
        let tokens = &self.tokens[start..self.at.min(self.tokens.len())];
        if tokens.len() < 2 {
            return None;
        }
        let name = match tokens[0].text == "impl" {
            true => implemented(tokens),
            false => defined(tokens),
        };
        let (mut tokens, uses) = without_uses(tokens);
        if tokens.iter().take_while(|token| token.text != "{").any(|token| token.text == "enum") {
            tokens = without_variants(&tokens);
        }
        Some(Item { name, tokens, uses })
    }

    /// `use a::{b, c as d, e::*};`
    fn uses(&mut self) -> Vec<Use> {
        let mut found = Vec::new();
        self.takes("use");
        self.takes("::");
        self.branch(&[], &mut found);
        self.takes(";");
        found
    }

    fn branch(&mut self, before: &[String], found: &mut Vec<Use>) {
        let mut path = before.to_vec();
        let line = self.tokens[self.at].line;
        loop {
            if self.takes("{") {
                while !self.takes("}") {
                    self.branch(&path, found);
                    self.takes(",");
                }
                return;
            }
            let word = self.text(0).to_owned();
            self.at += 1;
            if word == "*" {
                return found.push(Use { name: word, path, line });
            }
            if word != "self" || path.is_empty() {
                path.push(word);
            }
            if !self.takes("::") {
                break;
            }
        }
        let mut name = path.last().expect("a path has a name").clone();
        if self.takes("as") {
            name = self.text(0).to_owned();
            self.at += 1;
        }
        found.push(Use { name, path, line });
    }
}

/// The name behind `fn`, `struct` and the like; that of the macro where one is called.
fn defined(tokens: &[Token]) -> String {
    const KINDS: [&str; 10] = [
        "fn",
        "struct",
        "enum",
        "trait",
        "union",
        "type",
        "static",
        "const",
        "crate",
        "macro_rules",
    ];
    let modifier = |text: &str| ["fn", "unsafe", "async", "extern", "mut", "!"].contains(&text);
    for (at, token) in tokens.iter().enumerate().filter(|(_, t)| KINDS.contains(&&*t.text)) {
        let next =
            tokens[at + 1..].iter().find(|token| !modifier(&token.text) || token.text == "_");
        if token.text == "const" && tokens[at + 1..].first().is_some_and(|t| modifier(&t.text)) {
            continue;
        }
        return next.map_or_else(String::new, |token| token.text.clone());
    }
    tokens[0].text.clone()
}

/// `Type` or `Type Trait` of `impl<…> Trait for Type`: the last word of each path.
fn implemented(tokens: &[Token]) -> String {
    let mut names = vec![String::new()];
    let mut depth = 0_i32;
    for (at, token) in tokens.iter().enumerate().skip(1) {
        let is_arrow = tokens[at - 1].text == "-";
        match token.text.as_str() {
            "{" | "where" if depth == 0 => break,
            "<" => depth += 1,
            ">" if !is_arrow => depth -= 1,
            "for" if depth == 0 => names.push(String::new()),
            word if depth == 0 && word.starts_with(char::is_alphabetic) => {
                *names.last_mut().expect("never empty") = word.to_owned();
            }
            _ => {}
        }
    }
    names.reverse();
    names.join(" ")
}

/// Takes every `use …;` out of a body. (`use<…>` is a bound.)
fn without_uses(tokens: &[Token]) -> (Vec<Token>, Vec<Use>) {
    let mut reader = Reader { tokens, at: 0 };
    let (mut rest, mut uses) = (Vec::new(), Vec::new());
    while reader.at < tokens.len() {
        if reader.text(0) == "use" && reader.text(1) != "<" {
            uses.extend(reader.uses());
        } else {
            rest.push(tokens[reader.at].clone());
            reader.at += 1;
        }
    }
    (rest, uses)
}

/// Takes the names of its variants out of an `enum`: they are no names of others.
fn without_variants(tokens: &[Token]) -> Vec<Token> {
    let mut depth = 0;
    let mut is_variant = |at: usize| {
        let text = |at: usize| tokens[at].text.as_str();
        depth += match text(at) {
            "(" | "[" | "{" => 1,
            ")" | "]" | "}" => -1,
            _ => 0,
        };
        depth == 1 && at > 0 && ["{", ",", "]"].contains(&text(at - 1)) && text(at) != "#"
    };
    let rest = (0..tokens.len()).filter(|&at| !is_variant(at));
    rest.map(|at| tokens[at].clone()).collect()
}
