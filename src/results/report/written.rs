//! Numbers and tables as reports write them.

use super::plain::cell;
use crate::stats::Interval;

/// A p value with three digits.
pub(super) fn p_text(p: f64) -> String {
    if p < 0.0005 { "<0.001".into() } else { format!("{p:.3}") }
}

/// In percent; one observation has no interval.
pub(super) fn percent(Interval { estimate, low, high }: &Interval) -> String {
    match low.is_finite() {
        true => format!("{:.1} [{:.1}, {:.1}]", 100.0 * estimate, 100.0 * low, 100.0 * high),
        false => format!("{:.1}", 100.0 * estimate),
    }
}

/// A count such as steps; too few observations have no interval, and what never came is ∞.
pub(super) fn counted(Interval { estimate, low, high }: &Interval) -> String {
    let number = |value: &f64| match value.is_finite() {
        true => value.to_string(),
        false => "∞".into(),
    };
    match low.is_finite() || *low > 0.0 {
        true => format!("{} [{}, {}]", number(estimate), number(low), number(high)),
        false => number(estimate),
    }
}

/// A difference with its sign, in units of `1 / scale`.
pub(super) fn signed(Interval { estimate, low, high }: &Interval, scale: f64) -> String {
    let [estimate, low, high] = [estimate, low, high].map(|value| scale * value);
    match low.is_finite() {
        true => {
            let [estimate, low, high] = [estimate, low, high].map(|value| with_sign(value, 1));
            format!("{estimate} [{low}, {high}]")
        }
        false => with_sign(estimate, 1),
    }
}

/// With a sign, unless it shows as zero.
pub(super) fn with_sign(value: f64, decimals: usize) -> String {
    match format!("{:.decimals$}", value.abs()) {
        zero if zero.bytes().all(|c| b"0.".contains(&c)) => zero,
        _ => format!("{value:+.decimals$}"),
    }
}

/// Columns of words, which begin at the left.
const TEXT: [&str; 5] = ["arm", "measure", "study", "claim", "verdict"];

/// Lines of cells as a Markdown table, padded so that it reads as plain text too; the first line is
/// the header. What is in a cell cannot break it.
pub(in crate::results) fn markdown_table(lines: &[Vec<String>]) -> String {
    let lines: Vec<Vec<String>> =
        lines.iter().map(|line| line.iter().map(|text| cell(text)).collect()).collect();
    let Some(header) = lines.first() else { return "No results yet.\n".into() };
    let widths: Vec<usize> = (0..header.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let is_text = |column: usize| TEXT.contains(&header[column].as_str());
    let format_line = |line: &Vec<String>| {
        let cells = line.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if is_text(column) { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        let dashes = "-".repeat(width + 1);
        if is_text(column) { format!(":{dashes}") } else { format!("{dashes}:") }
    });
    let mut text = format_line(header);
    text += &format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
    lines[1..].iter().for_each(|line| text += &format_line(line));
    text
}
