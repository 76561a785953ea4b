//! By width: what random held signs can represent, and what networks came to.

use super::{Study, draw_ends, shifts};
use crate::figure::axis::{Axis, tick_text};
use crate::figure::canvas::{Align, Canvas, Stroke};
use crate::figure::legend;
use crate::figure::panel::{Area, Panel};
use crate::figure::style::{DARK, LABEL, MARGIN, WIDTH, looks};
use crate::figure::text;
use crate::figure::{Error, Results};
use crate::stats::occupancy::{LOOSE, NEEDED, STRICT, capable};

const ABOVE: f64 = 130.0;
const BELOW: f64 = 92.0;
const PANEL: f64 = 560.0;
const NUMBERS: f64 = 52.0;
const ACROSS: f64 = 70.0;
/// Share of the page that the theory takes.
const THEORY: f64 = 0.36;

/// Draws the figure.
pub(in crate::figure) fn fig4a(results: &Results) -> Result<Canvas, Error> {
    let study = Study::new(results)?;
    let looks = looks(&results.arms, &results.fluid);
    let size = study.sizes().last().copied().unwrap_or(0);
    let widths: Vec<f64> = study.widths().iter().map(|width| *width as f64).collect();
    let inner = WIDTH as f64 - 2.0 * MARGIN;
    let caption = format!(
        "Left: the probability that a network of so many units with random signs has {NEEDED} different \
         useful units, patterns counted with the signs of the noise inputs (loose, as published) and without \
         them (strict). Right: {} runs an arm and width with {size} training samples; share above 95 % on \
         the validation points after any epoch, with its 95 % interval (Wilson), beside the theory. {}{}",
        text::range(study.counts(|of, _| of == size)),
        match widths[..] {
            [only] => format!("Arms stand side by side at {only} units. "),
            _ => String::new(),
        },
        text::VARIES,
    );
    let bottom = ABOVE + PANEL;
    let height = bottom + BELOW + text::caption_height(&caption, inner) + MARGIN;
    let mut canvas = Canvas::new(WIDTH, height as usize);
    text::title(&mut canvas, results.title);
    text::caption(&mut canvas, &caption, (MARGIN, bottom + BELOW), inner);

    let left = MARGIN + NUMBERS;
    let right = WIDTH as f64 - MARGIN - legend::width(&results.arms) - 32.0;
    let split = left + THEORY * (right - left);
    let theory = Area { left, top: ABOVE, right: split, bottom };
    let shares = Area { left: split + ACROSS, right, ..theory };
    legend::draw(&mut canvas, &results.arms, &looks, (right + 32.0, ABOVE - 6.0));
    let below = ABOVE + 40.0 * results.arms.len() as f64 + 24.0;
    for (line, (stroke, name)) in theories().into_iter().enumerate() {
        let y = below + 40.0 * line as f64;
        canvas.line(&[(right + 32.0, y), (right + 90.0, y)], stroke);
        canvas.text(name, (right + 32.0 + legend::NAME, y), Align::Left, LABEL);
    }

    let panel = panel(theory, &widths);
    panel.frame(&mut canvas, true, true);
    panel.heading(&mut canvas, "probability of being XOR-capable, %");
    panel.name_x(&mut canvas, "hidden units");
    draw_theory(&mut canvas, &panel);

    let panel = self::panel(shares, &widths);
    panel.frame(&mut canvas, true, true);
    panel.heading(
        &mut canvas,
        &format!("runs above 95 %, in %, {} samples", tick_text(size as f64)),
    );
    panel.name_x(&mut canvas, "hidden units");
    draw_theory(&mut canvas, &panel);
    let shifts = shifts(looks.len(), widths.len(), &panel);
    for (arm, (look, shift)) in looks.iter().zip(shifts).enumerate() {
        let mut line = Vec::new();
        let mut band = Vec::new();
        for width in study.widths() {
            let share = study.group(arm, size, width).and_then(|group| group.represent());
            let Some(share) = share else { continue };
            let (x, y) = panel.place(width as f64, share.estimate);
            line.push((x + shift, y));
            band.push((x + shift, panel.height(share.high), panel.height(share.low)));
        }
        draw_ends(&mut canvas, &band, *look);
        canvas.line(&line, look.stroke(3.0));
        for at in line {
            look.mark(&mut canvas, at, 5.0);
        }
    }
    Ok(canvas)
}

fn theories() -> [(Stroke, &'static str); 2] {
    let dashed = |on| Stroke { dash: Some((on, 7.0)), ..Stroke::solid(DARK, 2.5) };
    [(Stroke::solid(DARK, 2.5), "theory, loose"), (dashed(2.0), "theory, strict")]
}

fn panel(area: Area, widths: &[f64]) -> Panel {
    let ticks = [1.0, 2.0, 3.0, 4.0, 6.0, 10.0, 15.0, 20.0, 30.0, 48.0, 64.0];
    let high = widths.iter().copied().fold(30.0, f64::max);
    let ticks: Vec<f64> = ticks.into_iter().filter(|tick| *tick <= high).collect();
    let x = Axis { ticks, ..Axis::sizes(&[1.0, high]) };
    Panel::new(area, x, Axis::percent([0.0, 100.0], 5))
}

fn draw_theory(canvas: &mut Canvas, panel: &Panel) {
    for ((stroke, _), useful) in theories().into_iter().zip([LOOSE, STRICT]) {
        let widths = 1..=panel.x.high as usize;
        let points = widths.map(|width| panel.place(width as f64, 100.0 * capable(width, useful)));
        canvas.line(&points.collect::<Vec<_>>(), stroke);
    }
}
