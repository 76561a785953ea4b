//! A grid of panels over the number of training samples: a row a width, a column a quantity.

use super::{Study, about_epochs, draw_ends, shifts};
use crate::figure::axis::Axis;
use crate::figure::canvas::{Canvas, Point};
use crate::figure::legend;
use crate::figure::panel::{Area, Panel};
use crate::figure::style::{Look, MARGIN, WIDTH, looks};
use crate::figure::text;
use crate::figure::{Error, Results};

/// From the page's top to the legend and from there to the panels, and from the panels to the caption.
const LEGEND: f64 = 96.0;
const ABOVE: f64 = 66.0;
const BELOW: f64 = 92.0;
/// Height of a legend's line.
const LINE: f64 = 40.0;
/// Between panels, across and down.
const ACROSS: f64 = 72.0;
const DOWN: f64 = 78.0;
/// Room for the numbers left of the first panel.
const NUMBERS: f64 = 52.0;
/// The least training size of which epochs and shares are shown: below, nothing learns.
const LEAST: u64 = 40;

/// What a column shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Learned,
    Epochs,
    Error,
}

impl Quantity {
    fn heading(self) -> &'static str {
        match self {
            Quantity::Learned => "runs that reach 90 %, in %",
            Quantity::Epochs => "epochs to 90 %",
            Quantity::Error => "test error, %",
        }
    }
}

/// Epochs and errors at the greatest width.
pub(in crate::figure) fn fig1(results: &Results) -> Result<Canvas, Error> {
    let study = Study::new(results)?;
    let widest = study.widths().last().copied().into_iter().collect();
    let grid = Grid { study, widths: widest, columns: &[Quantity::Epochs, Quantity::Error] };
    Ok(grid.draw(results, 520.0))
}

/// Shares, epochs and errors at widths 10 and 20.
pub(in crate::figure) fn fig4bc(results: &Results) -> Result<Canvas, Error> {
    let study = Study::new(results)?;
    let widths = study.widths();
    let mut shown: Vec<u64> = widths.iter().copied().filter(|w| [10, 20].contains(w)).collect();
    if shown.is_empty() {
        shown = widths.iter().copied().take(2).collect();
    }
    let columns = &[Quantity::Learned, Quantity::Epochs, Quantity::Error];
    let grid = Grid { study, widths: shown, columns };
    Ok(grid.draw(results, 400.0))
}

struct Grid<'a> {
    study: Study<'a>,
    widths: Vec<u64>,
    columns: &'static [Quantity],
}

impl Grid<'_> {
    fn draw(&self, results: &Results, panel_height: f64) -> Canvas {
        let looks = looks(&results.arms, &results.fluid);
        let inner = WIDTH as f64 - 2.0 * MARGIN;
        let lines = legend_lines(&results.arms, inner);
        let top = LEGEND + lines.len() as f64 * LINE + ABOVE;
        let rows = self.widths.len() as f64;
        let bottom = top + rows * panel_height + (rows - 1.0) * DOWN;
        let caption = self.caption();
        let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
        let mut canvas = Canvas::new(WIDTH, height as usize);
        text::title(&mut canvas, results.title);
        for (row, line) in lines.iter().enumerate() {
            for (arm, x) in line {
                let at = (MARGIN + x, LEGEND + row as f64 * LINE);
                legend::entry(&mut canvas, &results.arms[*arm], looks[*arm], at);
            }
        }
        text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);

        let columns = self.columns.len() as f64;
        let left = MARGIN + NUMBERS;
        let panel_width = (inner - NUMBERS - (columns - 1.0) * ACROSS) / columns;
        for (row, &width) in self.widths.iter().enumerate() {
            for (column, &quantity) in self.columns.iter().enumerate() {
                let left = left + column as f64 * (panel_width + ACROSS);
                let top = top + row as f64 * (panel_height + DOWN);
                let area =
                    Area { left, top, right: left + panel_width, bottom: top + panel_height };
                let is_last = row + 1 == self.widths.len();
                self.draw_panel(&mut canvas, area, quantity, width, &looks, is_last);
            }
        }
        canvas
    }

    fn draw_panel(
        &self,
        canvas: &mut Canvas,
        area: Area,
        quantity: Quantity,
        width: u64,
        looks: &[Look],
        is_last: bool,
    ) {
        let lines: Vec<Vec<(u64, [f64; 3])>> =
            (0..looks.len()).map(|arm| self.line(arm, quantity, width)).collect();
        let sizes: Vec<f64> = self.sizes(quantity).iter().map(|size| *size as f64).collect();
        let values = lines.iter().flatten().flat_map(|(_, values)| *values);
        let last = self.study.epochs.last() as f64;
        let y = match quantity {
            Quantity::Epochs => Axis { low: 0.0, high: last, ..Axis::linear([0.0, last], 5) },
            Quantity::Learned => Axis::percent([0.0, 100.0], 5),
            Quantity::Error => Axis::percent(values.chain([0.0, 50.0]), 5),
        };
        let panel = Panel { area, x: Axis::sizes(&sizes, 0.04), y };
        panel.frame(canvas, true, true);
        panel.heading(canvas, &format!("{}, width {width}", quantity.heading()));
        if is_last {
            panel.name_x(canvas, "training samples");
        }
        let inside = |value: f64| value.clamp(panel.y.low, panel.y.high);
        let shifts = shifts(looks.len(), sizes.len(), &panel);
        for ((line, look), shift) in lines.iter().zip(looks).zip(&shifts) {
            let edge = |(size, [_, low, high]): &(u64, [f64; 3])| {
                let (x, high) = panel.place(*size as f64, inside(*high));
                (x + shift, high, panel.height(inside(*low)))
            };
            draw_ends(canvas, &line.iter().map(edge).collect::<Vec<_>>(), *look);
        }
        for ((line, look), shift) in lines.iter().zip(looks).zip(&shifts) {
            let place = |(size, [middle, ..]): &(u64, [f64; 3])| {
                let (x, y) = panel.place(*size as f64, inside(*middle));
                (x + shift, y)
            };
            let known = line.iter().filter(|(_, values)| values[0].is_finite());
            let points: Vec<Point> = known.map(place).collect();
            canvas.line(&points, look.stroke(3.0));
            for at in line.iter().map(place) {
                look.mark(canvas, at, 6.0);
            }
        }
    }

    /// The training sizes of a column.
    fn sizes(&self, quantity: Quantity) -> Vec<u64> {
        let mut sizes = self.study.sizes();
        if quantity != Quantity::Error && sizes.iter().any(|size| *size >= LEAST) {
            sizes.retain(|size| *size >= LEAST);
        }
        sizes
    }

    /// The middle and the ends of an arm's quantity by training size.
    fn line(&self, arm: usize, quantity: Quantity, width: u64) -> Vec<(u64, [f64; 3])> {
        let at = |size: &u64| {
            let group = self.study.group(arm, *size, width)?;
            let values = match quantity {
                Quantity::Error => group.errors().map(|q| [q.median, q.lower, q.upper]),
                Quantity::Learned => group.learned().map(|i| [i.estimate, i.low, i.high]),
                Quantity::Epochs => {
                    let interval = group.median_epochs(self.study.epochs);
                    interval.map(|i| [i.estimate, i.low, i.high])
                }
            };
            Some((*size, values?))
        };
        self.sizes(quantity).iter().filter_map(at).collect()
    }

    fn caption(&self) -> String {
        let shares = match self.columns.contains(&Quantity::Learned) {
            true => {
                "Shares: runs that were right on 90 % of the validation points after any epoch, with \
                     their 95 % interval (Wilson). "
            }
            false => "",
        };
        let (lines, band) = match self.study.sizes().len() {
            1 => ("Markers", "bar"),
            _ => ("Lines", "band"),
        };
        format!(
            "{lines}: {} runs an arm and point. Errors: median; {band} from the lower to the upper quartile. \
             {shares}{} {}",
            text::range(self.study.counts(|_, width| self.widths.contains(&width))),
            about_epochs(self.study.epochs),
            text::VARIES,
        )
    }
}

/// The arms in lines of at most `width` pixels, each with its place.
fn legend_lines(arms: &[String], width: f64) -> Vec<Vec<(usize, f64)>> {
    let mut lines: Vec<Vec<(usize, f64)>> = vec![Vec::new()];
    let mut end = 0.0;
    for (number, arm) in arms.iter().enumerate() {
        let own = legend::width(std::slice::from_ref(arm));
        if end + own > width && end > 0.0 {
            lines.push(Vec::new());
            end = 0.0;
        }
        lines.last_mut().expect("there is a line").push((number, end));
        end += own + 44.0;
    }
    lines
}
