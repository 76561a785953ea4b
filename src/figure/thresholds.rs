//! The paper's figure A.2: at several accuracies, the share of runs that reach them and the steps until
//! they do, by training size. An accuracy that no run reaches has a sentence in place of its row.

use super::canvas::Canvas;
use super::fig2::{accuracy, reached, share, steps};
use super::measured::Runs;
use super::page::{Frame, Page};
use super::style::looks;
use super::text;
use super::{Error, Results};
use crate::results::Measure;
use crate::stats::CONFIDENCE;

const HEIGHT: f64 = 330.0;

/// Draws the figure: a row an accuracy.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    results.threshold()?;
    let runs = Runs::new(results)?;
    let looks = looks(&results.arms, &results.fluid);
    let (mut shown, never): (Vec<f64>, Vec<f64>) =
        results.thresholds.iter().partition(|threshold| is_reached(&runs, **threshold));
    // Of accuracies that nothing reaches one row says so, else the page would be empty.
    shown.extend(never.first().filter(|_| shown.is_empty()));
    let caption = caption(&runs, &never);
    let frame =
        Frame { title: results.title, names: &results.arms, looks: &looks, caption: &caption };
    let rows = shown.len();
    let mut page = Page::new(&frame, [rows, 2], HEIGHT);
    for (row, threshold) in shown.into_iter().enumerate() {
        let columns = [share(&runs, &looks, threshold), steps(&runs, &looks, threshold)];
        for (column, (series, heading)) in columns.into_iter().enumerate() {
            let panel = series.panel(page.area(row, column), &[]);
            series.draw(&mut page.canvas, &panel);
            panel.heading(&mut page.canvas, &heading);
            if row + 1 == rows {
                panel.name_x(&mut page.canvas, "training samples");
            }
        }
    }
    Ok(page.canvas)
}

/// Whether any run reaches `threshold`.
fn is_reached(runs: &Runs, threshold: f64) -> bool {
    runs.values(Measure::Reached(threshold)).iter().flatten().any(|arm| reached(arm).0 > 0)
}

fn caption(runs: &Runs, never: &[f64]) -> String {
    let never: Vec<String> = never.iter().map(|threshold| accuracy(*threshold)).collect();
    let never = match never.join(", ") {
        none if none.is_empty() => none,
        accuracies => format!("No run reaches {accuracies}. "),
    };
    format!(
        "{never}{} runs an arm and size. Share: bars are {} % Wilson intervals. Steps: median, bars from the \
         lower to the upper quartile; a run that never gets there is above all others. Accuracy is \
         that of the validation images. {}{}",
        text::range(runs.counts().into_iter()),
        100.0 * CONFIDENCE,
        text::VARIES,
        runs.about_diverged(),
    )
}
