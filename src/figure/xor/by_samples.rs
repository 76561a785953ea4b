//! A grid of panels over the number of training samples: a row a width, a column a quantity.

use super::{Study, about_epochs};
use crate::figure::canvas::Canvas;
use crate::figure::page::{Frame, Page};
use crate::figure::series::{FEW, Series, Unit};
use crate::figure::style::{Look, looks};
use crate::figure::text;
use crate::figure::{Error, Results};
use crate::stats::Interval;

/// The least training size of which epochs and shares are shown: below, nothing learns.
const LEAST: u64 = 40;
/// Widths of the rows, of those that a study has: the narrow ones, the published ones, the widest.
const WIDTHS: [u64; 5] = [3, 5, 10, 20, 64];

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

    /// Its unit in a study whose last epoch has the number `last`.
    fn unit(self, last: f64) -> Unit<'static> {
        match self {
            Quantity::Learned => Unit::Share,
            Quantity::Epochs => Unit::Epochs(last),
            Quantity::Error => Unit::Percent,
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

/// Shares, epochs and errors from narrow to wide networks.
pub(in crate::figure) fn fig4bc(results: &Results) -> Result<Canvas, Error> {
    let study = Study::new(results)?;
    let widths = study.widths();
    let mut shown: Vec<u64> = widths.iter().copied().filter(|w| WIDTHS.contains(w)).collect();
    if shown.is_empty() {
        shown = widths.iter().copied().take(FEW).collect();
    }
    let columns = &[Quantity::Learned, Quantity::Epochs, Quantity::Error];
    let grid = Grid { study, widths: shown, columns };
    Ok(grid.draw(results, 300.0))
}

struct Grid<'a> {
    study: Study<'a>,
    widths: Vec<u64>,
    columns: &'static [Quantity],
}

impl Grid<'_> {
    fn draw(&self, results: &Results, panel_height: f64) -> Canvas {
        let looks = looks(&results.arms, &results.fluid);
        let caption = self.caption();
        let frame =
            Frame { title: results.title, names: &results.arms, looks: &looks, caption: &caption };
        let shape = [self.widths.len(), self.columns.len()];
        let mut page = Page::new(&frame, shape, panel_height);
        for (row, &width) in self.widths.iter().enumerate() {
            for (column, &quantity) in self.columns.iter().enumerate() {
                self.draw_panel(&mut page, [row, column], quantity, width, &looks);
            }
        }
        page.canvas
    }

    fn draw_panel(
        &self,
        page: &mut Page,
        [row, column]: [usize; 2],
        quantity: Quantity,
        width: u64,
        looks: &[Look],
    ) {
        let sizes = self.sizes(quantity);
        let named: Vec<Option<f64>> = sizes.iter().map(|size| Some(*size as f64)).collect();
        let of = |arm| {
            let at = |size: &u64| self.interval(arm, quantity, *size, width);
            sizes.iter().map(at).collect()
        };
        let intervals = (0..looks.len()).map(of).collect();
        let unit = quantity.unit(self.study.epochs.last() as f64);
        let series = Series { sizes: &named, looks, intervals, unit, crossed: vec![] };
        let panel = series.panel(page.area(row, column), &[]);
        series.draw(&mut page.canvas, &panel);
        panel.heading(&mut page.canvas, &format!("{}, width {width}", quantity.heading()));
        if row + 1 == self.widths.len() {
            panel.name_x(&mut page.canvas, "training samples");
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

    /// The middle and the ends of an arm's quantity.
    fn interval(&self, arm: usize, quantity: Quantity, size: u64, width: u64) -> Option<Interval> {
        let group = self.study.group(arm, size, width)?;
        match quantity {
            Quantity::Error => {
                let q = group.errors()?;
                Some(Interval { estimate: q.median, low: q.lower, high: q.upper })
            }
            Quantity::Learned => group.learned(),
            Quantity::Epochs => group.median_epochs(self.study.epochs),
        }
    }

    fn caption(&self) -> String {
        let shares = match self.columns.contains(&Quantity::Learned) {
            true => {
                "Shares: runs that were right on 90 % of the validation points after any epoch, with \
                     their 95 % interval (Wilson). "
            }
            false => "",
        };
        let (ends, nested) = match self.study.sizes().len() {
            ..=FEW => ("bar", "Arms stand side by side over their size. "),
            _ => ("band", "Markers that meet lie within each other, the first arm's outermost. "),
        };
        format!(
            "Markers: {} runs an arm and point. Errors: median; {ends} from the lower to the upper quartile. \
             {nested}{shares}{} {}",
            text::range(self.study.counts(|_, width| self.widths.contains(&width))),
            about_epochs(self.study.epochs),
            text::VARIES,
        )
    }
}
