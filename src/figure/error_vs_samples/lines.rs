//! Several training sizes: the errors above, the differences to the baseline below.

use super::Shown;
use crate::figure::canvas::Canvas;
use crate::figure::legend;
use crate::figure::panel::{Area, Panel};
use crate::figure::series::{Series, Unit};
use crate::figure::style::{MARGIN, WIDTH};
use crate::figure::text;
use crate::stats::Interval;
use crate::stats::quantile::quartiles;

/// Height of the upper and of the lower panel.
const ERRORS: f64 = 470.0;
const DIFFERENCES: f64 = 300.0;
/// From the page's top to the upper panel, and between the panels.
const ABOVE: f64 = 130.0;
const BETWEEN: f64 = 96.0;
/// From the lowest panel to the caption.
const BELOW: f64 = 92.0;
/// Room for the numbers left of a panel.
const NUMBERS: f64 = 64.0;
/// Radius of a run's dot.
const DOT: f64 = 4.5;

/// Draws the page.
pub(super) fn draw(shown: &Shown) -> Canvas {
    let arms = &shown.results.arms;
    let left = MARGIN + NUMBERS;
    let right = WIDTH as f64 - MARGIN - legend::width(arms) - 32.0;
    let upper = Area { left, top: ABOVE, right, bottom: ABOVE + ERRORS };
    let top = upper.bottom + BETWEEN;
    let lower = Area { top, bottom: top + DIFFERENCES, ..upper };
    let bottom = if shown.baseline.is_some() { lower.bottom } else { upper.bottom };

    let errors = series(shown, Unit::Percent, |place, arm| {
        let q = quartiles(&shown.percent(place, arm))?;
        Some(Interval { estimate: q.median, low: q.lower, high: q.upper })
    });
    let panel = errors.panel(upper, &all_errors(shown));
    let chance = 100.0 * shown.results.chance;
    let caption = caption(shown, errors.has_groups(), panel.y.holds(chance));
    let inner = WIDTH as f64 - 2.0 * MARGIN;
    let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
    let mut canvas = Canvas::new(WIDTH, height as usize);
    text::title(&mut canvas, shown.results.title);
    legend::draw(&mut canvas, arms, &shown.looks, (right + 32.0, ABOVE - 6.0));
    text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);

    errors.draw(&mut canvas, &panel);
    panel.guessing(&mut canvas, chance);
    panel.heading(&mut canvas, "test error after the last step, %");
    draw_runs(&mut canvas, shown, &errors, &panel);
    let mut lowest = panel;
    if let Some(baseline) = shown.baseline {
        let differences =
            series(shown, Unit::Difference, |place, arm| shown.difference(place, arm, baseline));
        lowest = differences.panel(lower, &[]);
        differences.draw(&mut canvas, &lowest);
        lowest.heading(&mut canvas, &text::difference_to(&arms[baseline]));
    }
    lowest.name_x(&mut canvas, "training samples");
    canvas
}

fn series<'a>(
    shown: &'a Shown,
    unit: Unit<'a>,
    interval: impl Fn(usize, usize) -> Option<Interval>,
) -> Series<'a> {
    let sizes = &shown.runs.sizes;
    let of = |arm| (0..sizes.len()).map(|place| interval(place, arm)).collect();
    let intervals = (0..shown.looks.len()).map(of).collect();
    Series { sizes, looks: &shown.looks, intervals, unit, crossed: vec![] }
}

fn all_errors(shown: &Shown) -> Vec<f64> {
    let places = 0..shown.errors.len();
    places
        .flat_map(|place| (0..shown.looks.len()).flat_map(move |arm| shown.percent(place, arm)))
        .collect()
}

/// Draws every run as a dot, beside the marker of its arm where sizes are groups.
fn draw_runs(canvas: &mut Canvas, shown: &Shown, series: &Series, panel: &Panel) {
    for (arm, look) in shown.looks.iter().enumerate() {
        for place in 0..shown.errors.len() {
            let x = series.across(panel, arm, place);
            for error in shown.percent(place, arm) {
                let at = (x, panel.height(error));
                canvas.disc(at, DOT, look.color().faint(0.55));
            }
        }
    }
}

fn caption(shown: &Shown, has_groups: bool, shows_guessing: bool) -> String {
    format!(
        "Dots: runs, {} an arm and size. Markers: median. {}: from the lower to the upper quartile. \
         {}{}{}{}",
        text::range(shown.counts()),
        if has_groups { "Bars" } else { "Bands" },
        if has_groups { "Arms stand side by side over their size. " } else { "" },
        if shows_guessing { "Dotted: guessing. " } else { "" },
        text::about_runs(&shown.runs, &shown.compared, shown.baseline),
        shown.runs.about_diverged(),
    )
}
