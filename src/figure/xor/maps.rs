//! Three maps of width by training samples: where each kind of held signs beats free ones.

use std::cmp::Ordering;

use super::{Group, Study, about_epochs};
use crate::figure::axis::tick_text;
use crate::figure::canvas::{Align, Canvas, Color, Stroke};
use crate::figure::panel::Area;
use crate::figure::style::{AXIS, GRID, LABEL, Look, MARGIN, MUTED, TICK, WIDTH, looks};
use crate::figure::text;
use crate::figure::{Error, Results};

/// The arms compared, which share a cell of the map.
const HELD: [&str; 2] = ["frozen-informed", "frozen-uninformed"];
/// The arm they are compared with, where the experiment names no baseline.
const FREE: &str = "fluid";

/// Training sizes and widths of the published maps.
const SIZES: [u64; 5] = [60, 72, 80, 92, 100];
const WIDEST: u64 = 32;

const KEY: f64 = 100.0;
const ABOVE: f64 = 196.0;
const BELOW: f64 = 92.0;
const ROW: f64 = 24.0;
const NUMBERS: f64 = 52.0;
const ACROSS: f64 = 52.0;
const TIE: Color = Color(190, 190, 190);

/// What a map shows of two groups: whether the first is less, equal or greater, less being better.
type Compare = fn(&Group, &Group, &Study) -> Option<Ordering>;

const MAPS: [(&str, Compare); 3] = [
    ("more runs reach 90 %", |held, free, _| {
        free.learned()?.estimate.partial_cmp(&held.learned()?.estimate)
    }),
    ("fewer epochs to 90 %", |held, free, study| {
        let [held, free] = [held, free].map(|group| group.median_epochs(study.epochs));
        held?.estimate.partial_cmp(&free?.estimate)
    }),
    ("lower test error", |held, free, _| held.errors()?.median.partial_cmp(&free.errors()?.median)),
];

/// Draws the figure.
pub(in crate::figure) fn fig4d(results: &Results) -> Result<Canvas, Error> {
    let study = Study::new(results)?;
    let place = |arm: &'static str| {
        let found = results.arms.iter().position(|known| known == arm);
        found.ok_or_else(|| Error::MissingArm {
            experiment: results.name.to_owned(),
            arm,
            arms: results.arms.to_vec(),
        })
    };
    let free = match results.baseline()? {
        Some(baseline) => baseline,
        None => place(FREE)?,
    };
    let held = [place(HELD[0])?, place(HELD[1])?];
    let looks = looks(&results.arms, &results.fluid);
    let atlas = Atlas {
        sizes: shown(study.sizes(), |size| SIZES.contains(&size)),
        widths: shown(study.widths(), |width| width <= WIDEST),
        study,
        held,
        free,
        looks: held.map(|arm| looks[arm]),
    };
    Ok(atlas.draw(results))
}

/// The values that the published maps show; all where there are none of those.
fn shown(values: Vec<u64>, is_shown: impl Fn(u64) -> bool) -> Vec<u64> {
    let published: Vec<u64> = values.iter().copied().filter(|value| is_shown(*value)).collect();
    if published.is_empty() { values } else { published }
}

struct Atlas<'a> {
    study: Study<'a>,
    sizes: Vec<u64>,
    widths: Vec<u64>,
    held: [usize; 2],
    free: usize,
    looks: [Look; 2],
}

impl Atlas<'_> {
    fn draw(&self, results: &Results) -> Canvas {
        let inner = WIDTH as f64 - 2.0 * MARGIN;
        let bottom = ABOVE + ROW * self.widths.len() as f64;
        let counted = |size, width| self.sizes.contains(&size) && self.widths.contains(&width);
        let caption = format!(
            "Each cell compares {} runs of an arm with as many of {}: left half {}, right half {}. \
             Coloured: strictly better; grey: a tie; white: worse. Errors and epochs are compared by their \
             medians, without a test. {} {}",
            text::range(self.study.counts(counted)),
            results.arms[self.free],
            HELD[0],
            HELD[1],
            about_epochs(self.study.epochs).replace(
                ", and a median or an end beyond it is at `never`",
                ", and medians beyond it tie",
            ),
            text::VARIES,
        );
        let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
        let mut canvas = Canvas::new(WIDTH, height as usize);
        text::title(&mut canvas, results.title);
        self.draw_key(&mut canvas, &results.arms[self.free]);
        text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);
        let width = (inner - NUMBERS - 2.0 * ACROSS) / MAPS.len() as f64;
        for (number, (heading, compare)) in MAPS.into_iter().enumerate() {
            let left = MARGIN + NUMBERS + number as f64 * (width + ACROSS);
            let area = Area { left, top: ABOVE, right: left + width, bottom };
            canvas.text(heading, (area.left, area.top - 20.0), Align::Left, AXIS);
            self.draw_map(&mut canvas, area, compare, number == 0);
        }
        canvas
    }

    fn draw_key(&self, canvas: &mut Canvas, free: &str) {
        let entries = [
            (self.looks[0].color(), format!("{} better than {free}", HELD[0])),
            (self.looks[1].color(), format!("{} better than {free}", HELD[1])),
            (TIE, "tie".to_owned()),
        ];
        let mut x = MARGIN;
        for (color, name) in entries {
            canvas.rectangle((x, KEY - 12.0), (x + 24.0, KEY + 12.0), color);
            canvas.text(&name, (x + 36.0, KEY), Align::Left, LABEL);
            x += 36.0 + LABEL.width(&name) + 44.0;
        }
    }

    fn draw_map(&self, canvas: &mut Canvas, area: Area, compare: Compare, has_numbers: bool) {
        let column = area.width() / self.sizes.len() as f64;
        for (row, &width) in self.widths.iter().enumerate() {
            let bottom = area.bottom - row as f64 * ROW;
            let middle = bottom - ROW / 2.0;
            if has_numbers && (width % 2 == 0 || self.widths.len() < 12) {
                canvas.text(&width.to_string(), (area.left - 12.0, middle), Align::Right, TICK);
            }
            for (place, &size) in self.sizes.iter().enumerate() {
                let left = area.left + place as f64 * column;
                for (half, (&arm, look)) in self.held.iter().zip(&self.looks).enumerate() {
                    let of = |arm| self.study.group(arm, size, width);
                    let found = of(arm).zip(of(self.free));
                    let color =
                        match found.and_then(|(held, free)| compare(held, free, &self.study)) {
                            Some(Ordering::Less) => look.color(),
                            Some(Ordering::Equal) => TIE,
                            _ => continue,
                        };
                    let left = left + half as f64 * column / 2.0;
                    let right = left + column / 2.0;
                    canvas.rectangle((left, bottom - ROW), (right, bottom), color);
                }
            }
        }
        let grid = Stroke::solid(GRID, 1.5);
        for row in 0..=self.widths.len() {
            let y = area.bottom - row as f64 * ROW;
            canvas.line(&[(area.left, y), (area.right, y)], grid);
        }
        for (place, size) in self.sizes.iter().enumerate() {
            let x = area.left + place as f64 * column;
            canvas.line(&[(x, area.top), (x, area.bottom)], Stroke::solid(MUTED, 1.5));
            let label = tick_text(*size as f64);
            canvas.text(&label, (x + column / 2.0, area.bottom + 24.0), Align::Centre, TICK);
        }
        canvas
            .line(&[(area.right, area.top), (area.right, area.bottom)], Stroke::solid(MUTED, 1.5));
        let name = "training samples, by hidden units";
        canvas.text(name, (area.middle(), area.bottom + 58.0), Align::Centre, AXIS);
    }
}
