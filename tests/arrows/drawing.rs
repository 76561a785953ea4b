//! Arrows as a Mermaid drawing and as a table, and the page that has them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::graph::Graph;

const START: &str = "<!-- The drawing, made by tests/arrows: UPDATE_GOLDEN=1 renews it. -->\n";
const END: &str = "<!-- The end of the drawing. -->\n";

/// The arrows that no others imply, without the names that are `hidden`; those of `core` in a box.
pub fn mermaid(graph: &Graph, hidden: &[&str], core: &BTreeSet<String>) -> String {
    let is_shown = |name: &str| !hidden.contains(&name);
    let mut text = "```mermaid\nflowchart TB\n".to_owned();
    let boxed: Vec<&String> = core.iter().filter(|name| is_shown(name)).collect();
    if !boxed.is_empty() {
        text += "    subgraph core[polarity-core]\n";
        boxed.iter().for_each(|name| text += &format!("        {name}\n"));
        text += "    end\n";
    }
    for name in graph.names().filter(|name| is_shown(name) && !core.contains(*name)) {
        text += &format!("    {name}\n");
    }
    for (from, to) in graph.plain().iter().filter(|(from, to)| is_shown(from) && is_shown(to)) {
        text += &format!("    {from} --> {to}\n");
    }
    text + "```\n"
}

/// All arrows, a line a name.
pub fn table(kind: &str, graph: &Graph) -> String {
    let mut text = format!("| {kind} | uses |\n| --- | --- |\n");
    for name in graph.names() {
        let below: Vec<String> = graph.below(name).map(|below| format!("`{below}`")).collect();
        let below = if below.is_empty() { "nothing".to_owned() } else { below.join(", ") };
        text += &format!("| `{name}` | {below} |\n");
    }
    text
}

/// Compares `drawing` with what stands in `page` between its marks, or writes it there.
pub fn assert_fresh(page: &Path, drawing: &str) {
    let text = std::fs::read_to_string(page).unwrap();
    let (before, rest) =
        text.split_once(START).expect("the page has a mark where the drawing starts");
    let (drawn, after) = rest.split_once(END).expect("the page has a mark where the drawing ends");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(page, [before, START, drawing, END, after].concat()).unwrap();
        return;
    }
    assert_eq!(
        drawn,
        drawing,
        "{}: the drawing is stale; `UPDATE_GOLDEN=1 cargo test --release --test arrows` renews it",
        page.display()
    );
}
