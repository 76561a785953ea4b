//! A page of equal panels in rows and columns: title and legend above, caption below.

use super::canvas::Canvas;
use super::legend;
use super::panel::Area;
use super::style::{Look, MARGIN, WIDTH};
use super::text;

/// From the page's top to the legend, and from the legend to the first panel.
const LEGEND: f64 = 80.0;
const ABOVE: f64 = 52.0;
/// Room for the numbers left of a panel, and between panels.
const NUMBERS: f64 = 70.0;
const GAP: f64 = 30.0;
/// From a panel to the next one below, or to the caption.
const BELOW: f64 = 128.0;
const CAPTION: f64 = 84.0;

/// A page whose title, legend and caption are drawn.
pub(super) struct Page {
    pub(super) canvas: Canvas,
    columns: usize,
    top: f64,
    height: f64,
}

/// What a page has besides its panels.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) names: &'a [String],
    pub(super) looks: &'a [Look],
    pub(super) caption: &'a str,
}

impl Page {
    /// A page with `rows` of `columns` panels, each `height` pixels high.
    pub(super) fn new(frame: &Frame, [rows, columns]: [usize; 2], height: f64) -> Page {
        let inner = WIDTH as f64 - 2.0 * MARGIN;
        let top = LEGEND + legend::flow_height(frame.names, inner) + ABOVE;
        let bottom = top + rows as f64 * (height + BELOW) - BELOW;
        let end = bottom + CAPTION + text::caption_height(frame.caption, inner) + MARGIN;
        let mut canvas = Canvas::new(WIDTH, end as usize);
        text::title(&mut canvas, frame.title);
        legend::flow(&mut canvas, frame.names, frame.looks, (MARGIN, LEGEND), inner);
        text::caption(&mut canvas, frame.caption, (MARGIN, bottom + CAPTION), inner);
        Page { canvas, columns, top, height }
    }

    /// The area of a panel, without the numbers around it.
    pub(super) fn area(&self, row: usize, column: usize) -> Area {
        let inner = WIDTH as f64 - 2.0 * MARGIN;
        let width = (inner + GAP) / self.columns as f64;
        let left = MARGIN + column as f64 * width;
        let top = self.top + row as f64 * (self.height + BELOW);
        Area { left: left + NUMBERS, top, right: left + width - GAP, bottom: top + self.height }
    }
}
