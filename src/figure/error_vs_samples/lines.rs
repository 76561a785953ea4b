//! Several training sizes: the errors above, the differences to the baseline below.

use crate::figure::Results;
use crate::figure::axis::Axis;
use crate::figure::canvas::{Canvas, Point, Stroke};
use crate::figure::legend;
use crate::figure::panel::{Area, Panel};
use crate::figure::runs::{AtSize, Runs};
use crate::figure::style::{Look, MARGIN, MUTED, WIDTH};
use crate::figure::text;
use crate::stats::Interval;
use crate::stats::quantile::{median, quartiles};

/// Height of the upper and of the lower panel.
const ERRORS: f64 = 470.0;
const DIFFERENCES: f64 = 270.0;
/// From the page's top to the upper panel, and between the panels.
const ABOVE: f64 = 130.0;
const BETWEEN: f64 = 62.0;
/// From the lowest panel to the caption.
const BELOW: f64 = 92.0;
/// Room for the numbers left of a panel.
const NUMBERS: f64 = 64.0;
/// Up to this many sizes quartiles are bars, since bands between so few would say little.
const FEW_SIZES: usize = 3;

/// Draws the page.
pub(super) fn draw(
    results: &Results,
    sizes: &[AtSize],
    baseline: Option<usize>,
    looks: &[Look],
) -> Canvas {
    let left = MARGIN + NUMBERS;
    let right = WIDTH as f64 - MARGIN - legend::width(&results.arms) - 32.0;
    let upper = Area { left, top: ABOVE, right, bottom: ABOVE + ERRORS };
    let top = upper.bottom + BETWEEN;
    let lower = Area { top, bottom: top + DIFFERENCES, ..upper };
    let bottom = if baseline.is_some() { lower.bottom } else { upper.bottom };

    let chart = Chart::new(sizes, looks, upper.width());
    let errors = chart.errors_panel(upper);
    let caption = caption(results, sizes, baseline, errors.y.holds(100.0 * results.chance));
    let inner = WIDTH as f64 - 2.0 * MARGIN;
    let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
    let mut canvas = Canvas::new(WIDTH, height as usize);
    text::title(&mut canvas, results.title);
    legend::draw(&mut canvas, &results.arms, looks, (right + 32.0, ABOVE - 6.0));
    text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);

    errors.frame(&mut canvas, baseline.is_none(), true);
    errors.heading(&mut canvas, "test error, %");
    errors.guessing(&mut canvas, 100.0 * results.chance);
    chart.draw_errors(&mut canvas, &errors);
    let mut lowest = errors;
    if let Some(baseline) = baseline {
        let intervals = chart.intervals(baseline);
        lowest = chart.differences_panel(lower, &intervals);
        lowest.frame(&mut canvas, true, true);
        lowest.heading(&mut canvas, &text::difference_to(&results.arms[baseline]));
        chart.draw_differences(&mut canvas, &lowest, &intervals);
    }
    lowest.name_x(&mut canvas, "training samples");
    canvas
}

fn caption(
    results: &Results,
    sizes: &[AtSize],
    baseline: Option<usize>,
    shows_guessing: bool,
) -> String {
    let runs = sizes.iter().flat_map(|at| at.arms.iter().map(|runs| runs.errors.len()));
    format!(
        "Dots: runs, {} an arm and size. Lines: median. {}: from the lower to the upper quartile. \
         {}{}{}",
        text::range(runs),
        if sizes.len() > FEW_SIZES { "Bands" } else { "Bars" },
        if shows_guessing { "Dotted: guessing. " } else { "" },
        text::about_runs(sizes, baseline),
        text::about_diverged(sizes, &results.arms),
    )
}

/// What both panels share.
struct Chart<'a> {
    sizes: &'a [AtSize],
    looks: &'a [Look],
    axis: Axis,
    /// Pixels between neighbouring arms of one size, so that they do not hide each other.
    dodge: f64,
    /// Radius of a marker, smaller where sizes are close.
    marker: f64,
}

impl<'a> Chart<'a> {
    fn new(sizes: &'a [AtSize], looks: &'a [Look], width: f64) -> Chart<'a> {
        let numbers: Vec<f64> = sizes.iter().filter_map(|at| at.size).collect();
        let axis = Axis::sizes(&numbers, if sizes.len() > FEW_SIZES { 0.05 } else { 0.3 });
        let nearest = numbers
            .windows(2)
            .map(|pair| (axis.share(pair[1]) - axis.share(pair[0])) * width)
            .fold(width, f64::min);
        let dodge = (0.55 * nearest / looks.len() as f64).min(30.0);
        Chart { sizes, looks, axis, dodge, marker: dodge.clamp(6.0, 8.5) }
    }

    /// The sizes, each with the place of `arm` across the page.
    fn columns(&self, panel: &Panel, arm: usize) -> Vec<(f64, &'a AtSize)> {
        let shift = (arm as f64 - (self.looks.len() - 1) as f64 / 2.0) * self.dodge;
        let place = |size| panel.place(size, panel.y.low).0 + shift;
        self.sizes.iter().filter_map(|at| Some((place(at.size?), at))).collect()
    }

    fn errors_panel(&self, area: Area) -> Panel {
        let values = self.sizes.iter().flat_map(|at| at.arms.iter().flat_map(Runs::values));
        Panel { area, x: self.axis.clone(), y: Axis::percent(values, 7) }
    }

    fn draw_errors(&self, canvas: &mut Canvas, panel: &Panel) {
        for arm in 0..self.looks.len() {
            self.draw_spread(canvas, panel, arm);
        }
        for (arm, look) in self.looks.iter().enumerate() {
            let medians: Vec<Point> = self
                .columns(panel, arm)
                .into_iter()
                .filter_map(|(x, at)| Some((x, panel.height(median(&at.arms[arm].values())?))))
                .collect();
            canvas.line(&medians, look.stroke(3.5));
            for at in medians {
                look.mark(canvas, at, self.marker);
            }
        }
    }

    /// Draws the runs of `arm` and the quartiles of each size.
    fn draw_spread(&self, canvas: &mut Canvas, panel: &Panel, arm: usize) {
        let color = self.looks[arm].color();
        let mut edges = Vec::new();
        for (x, at) in self.columns(panel, arm) {
            let values = at.arms[arm].values();
            for value in &values {
                canvas.disc((x, panel.height(*value)), 4.0, color.faint(0.3));
            }
            if let Some(q) = quartiles(&values) {
                edges.push((x, panel.height(q.upper), panel.height(q.lower)));
            }
        }
        if self.sizes.len() > FEW_SIZES {
            canvas.band(&edges, color.faint(0.13));
        } else {
            for (x, upper, lower) in edges {
                canvas.rectangle((x - 7.0, upper), (x + 7.0, lower), color.faint(0.3));
            }
        }
    }

    /// The differences to the baseline by arm and size; the baseline itself has none.
    fn intervals(&self, baseline: usize) -> Vec<Vec<Option<Interval>>> {
        let by_size = |arm: usize| {
            let difference = |at: &AtSize| match arm == baseline {
                true => None,
                false => at.arms[arm].difference_to(&at.arms[baseline]),
            };
            self.sizes.iter().map(difference).collect()
        };
        (0..self.looks.len()).map(by_size).collect()
    }

    fn differences_panel(&self, area: Area, intervals: &[Vec<Option<Interval>>]) -> Panel {
        let known = intervals.iter().flatten().flatten();
        let ends = known.flat_map(|interval| [interval.estimate, interval.low, interval.high]);
        Panel { area, x: self.axis.clone(), y: Axis::linear(ends.chain([0.0]), 5) }
    }

    fn draw_differences(
        &self,
        canvas: &mut Canvas,
        panel: &Panel,
        intervals: &[Vec<Option<Interval>>],
    ) {
        let (Area { left, right, .. }, zero) = (panel.area, panel.height(0.0));
        canvas.line(&[(left, zero), (right, zero)], Stroke::solid(MUTED, 2.0));
        for (arm, look) in self.looks.iter().enumerate() {
            for ((x, _), interval) in self.columns(panel, arm).into_iter().zip(&intervals[arm]) {
                let Some(interval) = interval else { continue };
                let [low, high] = [interval.low, interval.high]
                    .map(|end| panel.height(end.clamp(panel.y.low, panel.y.high)));
                canvas.line(&[(x, low), (x, high)], Stroke::solid(look.color(), 3.5));
                look.mark(canvas, (x, panel.height(interval.estimate)), self.marker);
            }
        }
    }
}
