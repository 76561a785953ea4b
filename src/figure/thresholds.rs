//! The paper's figure A.2: at several accuracies, the share of runs that reach them and the steps until
//! they do, by training size.

use super::canvas::Canvas;
use super::fig2::{share, steps};
use super::measured::Runs;
use super::page::{Frame, Page};
use super::style::looks;
use super::text;
use super::{Error, Results};
use crate::stats::CONFIDENCE;

const HEIGHT: f64 = 300.0;

/// Draws the figure: a row an accuracy.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    results.threshold()?;
    let runs = Runs::new(results)?;
    let looks = looks(&results.arms, &results.fluid);
    let caption = format!(
        "{} runs an arm and size. Share: bars are {} % Wilson intervals. Steps: median, bars from the \
         lower to the upper quartile; a run that never gets there is above all others. Accuracy is \
         that of the validation images. {}{}",
        text::range(runs.counts().into_iter()),
        100.0 * CONFIDENCE,
        text::VARIES,
        runs.about_diverged(),
    );
    let frame =
        Frame { title: results.title, names: &results.arms, looks: &looks, caption: &caption };
    let rows = results.thresholds.len();
    let mut page = Page::new(&frame, [rows, 2], HEIGHT);
    for (row, &threshold) in results.thresholds.iter().enumerate() {
        let columns = [share(&runs, &looks, threshold), steps(&runs, &looks, threshold)];
        for (column, (series, heading)) in columns.into_iter().enumerate() {
            let panel = series.panel(page.area(row, column), runs.last_step(), &[]);
            series.draw(&mut page.canvas, &panel);
            panel.heading(&mut page.canvas, &heading);
            if row + 1 == rows {
                panel.name_x(&mut page.canvas, "training samples");
            }
        }
    }
    Ok(page.canvas)
}
