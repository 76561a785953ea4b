//! How much of the gain is left when a fraction of the source's signs is flipped.
//!
//! A row a training size, a column a tabulated step and one for the test error. The source's own signs
//! are a fraction of 0, all inverted a fraction of 1.

use super::axis::{Axis, tick_text};
use super::canvas::{Canvas, Point, Stroke};
use super::measured::{Runs, scaled};
use super::page::{Frame, Page};
use super::panel::Panel;
use super::style::{Look, looks};
use super::text;
use super::{Error, Results};
use crate::results::{BySeed, Measure, counted};
use crate::stats::{CONFIDENCE, Counts, Interval};

const HEIGHT: f64 = 340.0;

/// Draws the figure.
pub(super) fn draw(results: &Results) -> Result<Canvas, Error> {
    let runs = Runs::new(results)?;
    let baseline = results.baseline()?;
    let all_looks = looks(&results.arms, &results.fluid);
    let lines = lines(results, &all_looks);
    if lines.is_empty() {
        let experiment = results.name.to_owned();
        return Err(Error::Empty { experiment, what: "fraction of the source's signs flipped" });
    }
    let mut names: Vec<String> = lines.iter().map(|line| line.name.clone()).collect();
    let mut looks: Vec<Look> = lines.iter().map(|line| line.look).collect();
    if let Some(baseline) = baseline {
        names.push(results.arms[baseline].clone());
        looks.push(all_looks[baseline]);
    }
    let caption = caption(results, &runs, baseline);
    let frame = Frame { title: results.title, names: &names, looks: &looks, caption: &caption };
    let measures: Vec<Measure> = results
        .steps
        .iter()
        .map(|step| Measure::ValidationErrorAt(*step))
        .chain([Measure::TestErrorLast])
        .collect();
    let mut page = Page::new(&frame, [runs.sizes.len(), measures.len()], HEIGHT);
    let furthest =
        lines.iter().flat_map(|line| &line.arms).map(|(_, dose)| *dose).fold(0.1, f64::max);
    for (column, measure) in measures.iter().enumerate() {
        let values = runs.compared(*measure);
        let shown = |at: &Vec<BySeed>| -> Vec<Option<Interval>> {
            let arms = lines.iter().flat_map(|line| line.arms.iter().map(|(arm, _)| *arm));
            arms.chain(baseline).map(|arm| median(&at[arm])).collect()
        };
        let intervals = values.iter().flat_map(shown).flatten();
        let y = Axis::percent(intervals.flat_map(|i| [i.estimate, i.low, i.high]), 5);
        for (row, values) in values.iter().enumerate() {
            let x = Axis::linear([0.0, 100.0 * furthest], 5);
            let panel = Panel::new(page.area(row, column), x, y.clone());
            panel.frame(&mut page.canvas, true, true);
            panel.heading(&mut page.canvas, &heading(*measure, runs.sizes[row]));
            if row + 1 == runs.sizes.len() {
                panel.name_x(&mut page.canvas, "signs flipped, %");
            }
            if let Some(baseline) = baseline {
                draw_baseline(&mut page, &panel, &values[baseline], all_looks[baseline]);
            }
            for line in &lines {
                draw_line(&mut page, &panel, line, values);
            }
        }
    }
    Ok(page.canvas)
}

/// Arms that differ in the fraction only, by rising fraction.
struct Line {
    name: String,
    look: Look,
    arms: Vec<(usize, f64)>,
}

/// The frozen arms with a fraction, and the fluid ones.
fn lines(results: &Results, looks: &[Look]) -> Vec<Line> {
    let of = |fluid: bool| {
        let doses = results.doses.iter().enumerate();
        let mut arms: Vec<(usize, f64)> = doses
            .filter(|(arm, _)| looks[*arm].is_fluid() == fluid)
            .filter_map(|(arm, dose)| Some((arm, (*dose)?)))
            .collect();
        arms.sort_by(|a, b| a.1.total_cmp(&b.1));
        let look = looks[arms.first()?.0];
        let name = if fluid { "fluid: the source's signs" } else { "frozen: the source's signs" };
        Some(Line { name: name.into(), look, arms })
    };
    [false, true].into_iter().filter_map(of).collect()
}

fn heading(measure: Measure, size: Option<f64>) -> String {
    let what = match measure {
        Measure::ValidationErrorAt(0) => "error before training, %".to_owned(),
        Measure::ValidationErrorAt(step) => format!("error after {step} steps, %"),
        _ => "test error, last step, %".to_owned(),
    };
    size.map_or(what.clone(), |size| format!("{what}, n = {}", tick_text(size)))
}

fn median(errors: &BySeed) -> Option<Interval> {
    Counts::new(&counted(errors)?)?.median().map(|median| scaled(median, 100.0))
}

fn draw_line(page: &mut Page, panel: &Panel, line: &Line, values: &[BySeed]) {
    let mut places: Vec<Point> = Vec::new();
    for (arm, dose) in &line.arms {
        let Some(Interval { estimate, low, high }) = median(&values[*arm]) else { continue };
        let x = panel.place(100.0 * dose, panel.y.low).0;
        let end = |error: f64| (x, panel.height_within(error));
        let bar = Stroke::solid(line.look.color().faint(0.55), 4.0);
        page.canvas.line(&[end(low), end(high)], bar);
        places.push(end(estimate));
    }
    page.canvas.line(&places, line.look.stroke(3.0));
    for at in places {
        line.look.mark(&mut page.canvas, at, 8.0);
    }
}

/// The baseline as a line across, with its interval as a band.
fn draw_baseline(page: &mut Page, panel: &Panel, errors: &BySeed, look: Look) {
    let Some(Interval { estimate, low, high }) = median(errors) else { return };
    let (left, right) = (panel.area.left, panel.area.right);
    let height = |error: f64| panel.height_within(error);
    page.canvas.rectangle((left, height(low)), (right, height(high)), look.color().faint(0.13));
    let middle = height(estimate);
    page.canvas.line(&[(left, middle), (right, middle)], look.stroke(3.0));
}

fn caption(results: &Results, runs: &Runs, baseline: Option<usize>) -> String {
    let across = match baseline {
        Some(baseline) => format!(" Line and band across: {}.", results.arms[baseline]),
        None => String::new(),
    };
    format!(
        "Markers: median of {} runs an arm and size. Bars: {} % BCa bootstrap intervals.{across} Errors \
         before the last step are those of the validation images. {}{}{}",
        text::range(runs.counts().into_iter()),
        100.0 * CONFIDENCE,
        runs.about_sources(),
        text::VARIES,
        runs.about_diverged(),
    )
}
