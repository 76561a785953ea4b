//! Where signs change: how often weights cross zero, and how often they are put back, by layer and step.
//!
//! Two rows of panels, a column an arm: sign flips above, resets below, both counted a step since the
//! evaluation before. A line is a tensor, early layers dark and late ones light.

use std::collections::BTreeMap;

use super::axis::{Axis, tick_text};
use super::canvas::{Canvas, Point};
use super::page::{Frame, Page};
use super::panel::Panel;
use super::sizes::{TRAIN_SIZE, sizes};
use super::style::Look;
use super::text;
use super::{Error, Results};
use crate::results::CurveIndex;
use crate::results::table::{CurvePoint, CurveRow, TensorCounts};
use crate::stats::quantile::median;

const HEIGHT: f64 = 330.0;
/// Panels in a row; more arms take more rows.
const COLUMNS: usize = 4;

/// What is counted.
#[derive(Clone, Copy)]
enum Count {
    SignFlips,
    Resets,
}

/// How often a weight of one tensor did something, a step: at each evaluation but the first.
type Rates = Vec<(f64, f64)>;

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let known =
        |row: &&CurveRow| results.arms.contains(&row.key.arm) && !row.point.tensors.is_empty();
    let rows: Vec<&CurveRow> = results.curves.iter().filter(known).collect();
    let sizes = sizes(results, rows.iter().map(|row| &row.key))?;
    let Some(size) = sizes.last().copied() else {
        let experiment = results.name.to_owned();
        return Err(Error::Empty { experiment, what: "count of sign flips by tensor" });
    };
    let rows: Vec<&CurveRow> =
        rows.into_iter().filter(|row| row.key.setting(TRAIN_SIZE) == size).collect();
    let tensors = in_order(rows.iter().flat_map(|row| row.point.tensors.iter().map(|t| &*t.name)));
    let names: Vec<String> = tensors.iter().map(|name| (*name).to_owned()).collect();
    let looks = Look::shades(names.len());
    let index = CurveIndex::new(results.curves);
    let rates = |count, arm: &String, tensor: &str| rates(&rows, &index, count, arm, tensor);

    let columns = results.arms.len().min(COLUMNS);
    let caption = caption(results, &rows, size);
    let frame = Frame { title: results.title, names: &names, looks: &looks, caption: &caption };
    let blocks = results.arms.len().div_ceil(columns);
    let mut page = Page::new(&frame, [2 * blocks, columns], HEIGHT);
    for (half, count) in [Count::SignFlips, Count::Resets].into_iter().enumerate() {
        let all: Vec<Vec<Rates>> = results
            .arms
            .iter()
            .map(|arm| tensors.iter().map(|tensor| rates(count, arm, tensor)).collect())
            .collect();
        let points = || all.iter().flatten().flatten();
        let mut steps: Vec<f64> = points().map(|(step, _)| *step).collect();
        steps.sort_by(f64::total_cmp);
        steps.dedup();
        let x = Axis::steps(&steps);
        let y = Axis::counts(points().map(|(_, rate)| *rate));
        for (arm, lines) in all.iter().enumerate() {
            let (row, column) = (2 * (arm / columns) + half, arm % columns);
            let panel = Panel::new(page.area(row, column), x.clone(), y.clone());
            panel.frame(&mut page.canvas, true, true);
            let what = match count {
                Count::SignFlips => "sign flips",
                Count::Resets => "resets",
            };
            let heading = format!("{what}: {}", results.arms[arm]);
            panel.heading(&mut page.canvas, &heading);
            if half == 1 {
                panel.name_x(&mut page.canvas, "optimizer steps");
            }
            for (line, look) in lines.iter().zip(&looks) {
                draw_line(&mut page.canvas, &panel, line, *look);
            }
        }
    }
    Ok(page.canvas)
}

fn draw_line(canvas: &mut Canvas, panel: &Panel, rates: &Rates, look: Look) {
    let places: Vec<Point> = rates.iter().map(|(step, rate)| panel.place(*step, *rate)).collect();
    canvas.line(&places, look.stroke(3.0));
    for at in places {
        look.mark(canvas, at, 5.0);
    }
}

/// The tensors in the order in which a network has them: numbers in their names count as numbers.
fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    let key = |name: &str| -> (bool, Vec<(u64, String)>) {
        let parts = name.split('.').map(|part| (part.parse().unwrap_or(u64::MAX), part.to_owned()));
        // torchvision's networks begin with `features`, which a word order would put last.
        (!name.starts_with("features"), parts.collect())
    };
    names.sort_by_cached_key(|name| key(name));
    names.dedup();
    names
}

/// The median over the seeds of an arm of the counts of one tensor, a step, since the evaluation
/// before.
fn rates(rows: &[&CurveRow], index: &CurveIndex, count: Count, arm: &str, tensor: &str) -> Rates {
    let of = |point: &CurvePoint| {
        let found = point.tensors.iter().find(|counts| counts.name == tensor);
        found.map(|TensorCounts { resets, sign_flips, .. }| match count {
            Count::SignFlips => *sign_flips,
            Count::Resets => *resets,
        })
    };
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    let starts = rows.iter().filter(|row| row.key.arm == arm && row.point.step == 0);
    for row in starts {
        for pair in index.points(&row.key.id).windows(2) {
            let [before, after] = [pair[0], pair[1]];
            if let (Some(from), Some(to)) = (of(before), of(after)) {
                let rate = to.saturating_sub(from) as f64 / (after.step - before.step) as f64;
                by_step.entry(after.step).or_default().push(rate);
            }
        }
    }
    by_step.into_iter().filter_map(|(step, rates)| Some((step as f64, median(&rates)?))).collect()
}

fn caption(results: &Results, rows: &[&CurveRow], size: Option<f64>) -> String {
    let runs = results
        .arms
        .iter()
        .map(|arm| rows.iter().filter(|row| row.key.arm == *arm && row.point.step == 0).count());
    let size =
        size.map_or(String::new(), |size| format!(" with {} training samples", tick_text(size)));
    format!(
        "How many weights of a tensor cross zero, or are put back, in a step: mean over the steps since the \
         evaluation before, median over {} runs an arm{size}. Marks: every step that was evaluated. Both axes \
         are logarithmic. Layers from dark (first) to light (last). {}",
        text::range(runs.collect::<Vec<_>>().into_iter()),
        text::VARIES,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::table::{ErrorCount, Key};

    fn row(seed: u64, step: u64, sign_flips: u64) -> CurveRow {
        let key = Key { id: seed.to_string(), arm: "arm".into(), settings: vec![], seed };
        let counts = TensorCounts { name: "a.weight".into(), resets: 2 * sign_flips, sign_flips };
        let point = CurvePoint {
            step,
            train_loss: None,
            validation_loss: None,
            validation_error: ErrorCount { wrong: 1, of: 2 },
            resets: 0,
            sign_flips: 0,
            tensors: vec![counts],
        };
        CurveRow { key, point }
    }

    #[test]
    fn rates_are_counted_a_step_since_the_evaluation_before() {
        let rows = [
            row(0, 0, 0),
            row(0, 2, 10),
            row(0, 6, 18),
            row(1, 0, 0),
            row(1, 2, 30),
            row(1, 6, 30),
        ];
        let index = CurveIndex::new(&rows);
        let rows: Vec<&CurveRow> = rows.iter().collect();
        let of = |count| rates(&rows, &index, count, "arm", "a.weight");
        assert_eq!(of(Count::SignFlips), [(2.0, 10.0), (6.0, 1.0)]);
        assert_eq!(of(Count::Resets), [(2.0, 20.0), (6.0, 2.0)]);
    }

    #[test]
    fn tensors_stand_in_the_order_of_the_network() {
        let names =
            ["classifier.1.weight", "features.10.weight", "features.3.weight", "features.3.weight"];
        let expected = ["features.3.weight", "features.10.weight", "classifier.1.weight"];
        assert_eq!(in_order(names.into_iter()), expected);
    }
}
