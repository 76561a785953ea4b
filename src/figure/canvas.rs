//! A white page to draw on, saved as a PNG.
//!
//! Coordinates are fractions of final pixels, x to the right and y down. The page is kept at
//! [`FINE`] times its size each way and averaged down once, which smooths every edge the same way.
//! Shapes are filled by asking for each fine pixel whether it lies inside, so a translucent shape
//! has no seams; plotters sets the text, in a font that is part of the program. So the same drawing gives the same bytes, whatever fonts a machine has.
//!
//! What a page shows is left to the figure kinds.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Once;

use plotters::backend::{BitMapBackend, DrawingBackend};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, RGBAColor, register_font};

use crate::files;

/// Fine pixels to a final pixel, each way.
const FINE: usize = 3;

const FONT: FontFamily = FontFamily::Name("Roboto");

/// Roboto's capitals, as a share of the line height that plotters calls the font's size.
const CAPITALS: f64 = 1456.0 / (1900.0 + 500.0);

/// A place on the page: x, y.
pub(super) type Point = (f64, f64);

/// An opaque colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Color(pub(super) u8, pub(super) u8, pub(super) u8);

impl Color {
    /// The colour, let through to the share `alpha`.
    pub(super) fn faint(self, alpha: f64) -> Ink {
        Ink { color: self, alpha }
    }
}

/// A colour with its opacity in [0, 1].
#[derive(Clone, Copy, Debug)]
pub(super) struct Ink {
    color: Color,
    alpha: f64,
}

impl From<Color> for Ink {
    fn from(color: Color) -> Ink {
        color.faint(1.0)
    }
}

impl Ink {
    fn rgba(self) -> RGBAColor {
        RGBAColor(self.color.0, self.color.1, self.color.2, self.alpha)
    }
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    pub(super) ink: Ink,
    pub(super) width: f64,
    /// Lengths of a dash and of the gap after it; none for a solid line.
    pub(super) dash: Option<(f64, f64)>,
}

impl Stroke {
    /// A solid line.
    pub(super) fn solid(ink: impl Into<Ink>, width: f64) -> Stroke {
        Stroke { ink: ink.into(), width, dash: None }
    }
}

/// Which point of a text is put at the place given; vertically that is the middle of a capital.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// How a text is set. The size is the height of a line in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub(super) size: f64,
    pub(super) color: Color,
    pub(super) medium: bool,
}

impl Type {
    fn font(self) -> FontDesc<'static> {
        let style = if self.medium { FontStyle::Bold } else { FontStyle::Normal };
        FontDesc::new(FONT, self.size * FINE as f64, style)
    }

    /// The width of `text` in pixels.
    pub(super) fn width(self, text: &str) -> f64 {
        register_fonts();
        let ((left, _), (right, _)) =
            self.font().layout_box(text).expect("the embedded font is registered");
        f64::from(right - left) / FINE as f64
    }

    /// `text`, or as much of its beginning as fits `width` pixels, with an ellipsis.
    pub(super) fn fit(self, text: &str, width: f64) -> String {
        let ends = text.char_indices().map(|(i, _)| i).rev();
        let cuts = ends.map(|end| format!("{}…", &text[..end]));
        let mut candidates = std::iter::once(text.to_owned()).chain(cuts);
        candidates.find(|text| self.width(text) <= width).unwrap_or_default()
    }

    /// `text` cut at spaces into lines of at most `width` pixels; a longer word has its own line, and a
    /// number keeps its `%`.
    pub(super) fn wrap(self, text: &str, width: f64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let text = text.replace(" %", "\u{a0}%");
        for word in text.split([' ', '\n']).filter(|word| !word.is_empty()) {
            match lines.last_mut() {
                Some(line) if self.width(&format!("{line} {word}")) <= width => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines
    }
}

fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Ok(()) =
            register_font("Roboto", FontStyle::Normal, include_bytes!("font/Roboto-Regular.ttf"))
                .and_then(|()| {
                    register_font(
                        "Roboto",
                        FontStyle::Bold,
                        include_bytes!("font/Roboto-Medium.ttf"),
                    )
                })
        else {
            panic!("the embedded font files are whole");
        };
    });
}

/// What tests ask of a page: where something was drawn, from the upper left to the lower right corner.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) what: What,
    pub(super) from: Point,
    pub(super) to: Point,
}

#[cfg(test)]
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Panel,
    Mark,
    Text(String),
    /// A tick of a horizontal axis, whether or not its number is written.
    Tick(f64),
}

/// The page.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    /// Red, green, blue of each fine pixel, row by row.
    fine: Vec<u8>,
    #[cfg(test)]
    pub(super) drawn: Vec<Drawn>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize) -> Canvas {
        register_fonts();
        Canvas {
            width,
            height,
            fine: vec![255; width * height * FINE * FINE * 3],
            #[cfg(test)]
            drawn: vec![],
        }
    }

    /// Notes for tests that something was drawn between two corners.
    #[cfg(test)]
    pub(super) fn note(&mut self, what: What, from: Point, to: Point) {
        self.drawn.push(Drawn { what, from, to });
    }

    pub(super) fn width(&self) -> f64 {
        self.width as f64
    }

    /// Fills the rectangle between two opposite corners.
    pub(super) fn rectangle(&mut self, a: Point, b: Point, ink: impl Into<Ink>) {
        self.fill(spans(&[a, b], 0.0), ink.into(), |_| true);
    }

    /// Fills a disc.
    pub(super) fn disc(&mut self, centre: Point, radius: f64, ink: impl Into<Ink>) {
        let inside = |p| distance(p, centre) <= radius;
        self.fill(spans(&[centre], radius), ink.into(), inside);
    }

    /// Fills a convex polygon.
    pub(super) fn polygon(&mut self, corners: &[Point], ink: impl Into<Ink>) {
        let edges = || corners.iter().zip(corners.iter().cycle().skip(1));
        let inside = |(x, y): Point| {
            let side =
                |(&a, &b): (&Point, &Point)| (b.0 - a.0) * (y - a.1) - (b.1 - a.1) * (x - a.0);
            edges().all(|edge| side(edge) >= 0.0) || edges().all(|edge| side(edge) <= 0.0)
        };
        self.fill(spans(corners, 0.0), ink.into(), inside);
    }

    /// Fills between a lower and an upper line that share their x, given as (x, y, y) with x rising.
    pub(super) fn band(&mut self, edges: &[(f64, f64, f64)], ink: impl Into<Ink>) {
        let ink = ink.into();
        for pair in edges.windows(2) {
            let [from, to] = [pair[0], pair[1]];
            let inside = |(x, y): Point| {
                let share = (x - from.0) / (to.0 - from.0);
                let ends = (from.1 + share * (to.1 - from.1), from.2 + share * (to.2 - from.2));
                ends.0.min(ends.1) <= y && y <= ends.0.max(ends.1)
            };
            let corners = [(from.0, from.1), (from.0, from.2), (to.0, to.1), (to.0, to.2)];
            self.fill(spans(&corners, 0.0), ink, inside);
        }
    }

    /// Draws a line through `points`, with round ends and corners.
    pub(super) fn line(&mut self, points: &[Point], stroke: Stroke) {
        match stroke.dash {
            None => self.solid_line(points, stroke),
            Some(dash) => {
                for piece in dashes(points, dash) {
                    self.solid_line(&piece, stroke);
                }
            }
        }
    }

    fn solid_line(&mut self, points: &[Point], stroke: Stroke) {
        for ends in points.windows(2) {
            let inside = |p| distance_to_segment(p, ends[0], ends[1]) <= stroke.width / 2.0;
            self.fill(spans(ends, stroke.width / 2.0), stroke.ink, inside);
        }
    }

    /// Sets `text` on one line at `at`.
    pub(super) fn text(&mut self, text: &str, at: Point, align: Align, style: Type) {
        let start = match align {
            Align::Left => 0.0,
            Align::Centre => -style.width(text) / 2.0,
            Align::Right => -style.width(text),
        };
        // plotters puts the baseline half a line below the place it is given.
        let top = at.1 + (CAPITALS - 1.0) * style.size / 2.0;
        #[cfg(test)]
        {
            let (left, half) = (at.0 + start, CAPITALS * style.size / 2.0);
            let to = (left + style.width(text), at.1 + half);
            self.note(What::Text(text.into()), (left, at.1 - half), to);
        }
        let fine = |coordinate: f64| (coordinate * FINE as f64).round() as i32;
        let size = self.fine_size();
        BitMapBackend::with_buffer(&mut self.fine, size)
            .draw_text(
                text,
                &style.font().color(&Ink::from(style.color).rgba()),
                (fine(at.0 + start), fine(top)),
            )
            .expect("the embedded font is registered, and memory takes every pixel");
    }

    /// Blends `ink` into the fine pixels of `spans` whose centres are `inside`.
    fn fill(
        &mut self,
        (columns, rows): (Range<f64>, Range<f64>),
        ink: Ink,
        inside: impl Fn(Point) -> bool,
    ) {
        // A fine pixel belongs to a span that holds its centre, so that neighbours do not overlap.
        let fine = |span: Range<f64>, end: usize| {
            let nearest = |edge: f64| (edge * FINE as f64).round().clamp(0.0, end as f64) as usize;
            nearest(span.start)..nearest(span.end)
        };
        let (columns, rows) = (fine(columns, self.width * FINE), fine(rows, self.height * FINE));
        let size = self.fine_size();
        let mut page = BitMapBackend::with_buffer(&mut self.fine, size);
        let centre = |index: usize| (index as f64 + 0.5) / FINE as f64;
        for row in rows {
            for column in columns.clone() {
                if inside((centre(column), centre(row))) {
                    page.draw_pixel((column as i32, row as i32), ink.rgba().to_backend_color())
                        .expect("memory takes every pixel");
                }
            }
        }
    }

    fn fine_size(&self) -> (u32, u32) {
        ((self.width * FINE) as u32, (self.height * FINE) as u32)
    }

    /// The page at its final size: each pixel the mean of its fine pixels.
    fn averaged(&self) -> Vec<u8> {
        let row_bytes = self.width * FINE * 3;
        let mut page = Vec::with_capacity(self.width * self.height * 3);
        for rows in self.fine.chunks_exact(row_bytes * FINE) {
            let mut sums = vec![0; self.width * 3];
            for row in rows.chunks_exact(row_bytes) {
                for (sum, fine) in sums.chunks_exact_mut(3).zip(row.chunks_exact(FINE * 3)) {
                    for (i, value) in fine.iter().enumerate() {
                        sum[i % 3] += usize::from(*value);
                    }
                }
            }
            let pixels = FINE * FINE;
            page.extend(sums.into_iter().map(|sum| ((sum + pixels / 2) / pixels) as u8));
        }
        page
    }

    /// Writes the page as a PNG at `path`, which is replaced only by a whole file.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let mut png = io::Cursor::new(Vec::new());
        let (width, height) = (self.width as u32, self.height as u32);
        let (colours, format) = (image::ColorType::Rgb8, image::ImageFormat::Png);
        let page = self.averaged();
        image::write_buffer_with_format(&mut png, &page, width, height, colours, format)
            .map_err(io::Error::other)?;
        files::write_atomically(path, png.get_ref())
    }
}

/// The columns and rows that hold `points`, and `reach` pixels more each way.
fn spans(points: &[Point], reach: f64) -> (Range<f64>, Range<f64>) {
    let span = |coordinate: fn(&Point) -> f64| {
        let low = points.iter().map(coordinate).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(coordinate).fold(f64::NEG_INFINITY, f64::max);
        low - reach..high + reach
    };
    (span(|p| p.0), span(|p| p.1))
}

fn distance(a: Point, b: Point) -> f64 {
    // Not `hypot`, which may round differently on another machine.
    ((a.0 - b.0) * (a.0 - b.0) + (a.1 - b.1) * (a.1 - b.1)).sqrt()
}

fn distance_to_segment(p: Point, from: Point, to: Point) -> f64 {
    let along = (to.0 - from.0, to.1 - from.1);
    let squared = along.0 * along.0 + along.1 * along.1;
    if squared == 0.0 {
        return distance(p, from);
    }
    let share = ((p.0 - from.0) * along.0 + (p.1 - from.1) * along.1) / squared;
    let share = share.clamp(0.0, 1.0);
    distance(p, (from.0 + share * along.0, from.1 + share * along.1))
}

/// The pieces of the line through `points` that a dash of the lengths (on, off) leaves.
fn dashes(points: &[Point], (on, off): (f64, f64)) -> Vec<Vec<Point>> {
    let mut pieces = vec![];
    let mut piece: Vec<Point> = points.first().copied().into_iter().collect();
    let (mut drawing, mut left) = (true, on);
    for ends in points.windows(2) {
        let (mut from, to) = (ends[0], ends[1]);
        let mut rest = distance(from, to);
        while rest > left {
            let share = left / rest;
            from = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
            rest -= left;
            piece.push(from);
            if drawing {
                pieces.push(std::mem::take(&mut piece));
            }
            drawing = !drawing;
            left = if drawing { on } else { off };
            piece = vec![from];
        }
        left -= rest;
        piece.push(to);
    }
    if drawing && piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Color = Color(255, 0, 0);

    /// The final pixel at x, y.
    fn pixel(canvas: &Canvas, x: usize, y: usize) -> [u8; 3] {
        let start = (y * canvas.width + x) * 3;
        canvas.averaged()[start..start + 3].try_into().unwrap()
    }

    #[test]
    fn a_rectangle_covers_its_pixels_and_no_other() {
        let mut canvas = Canvas::new(6, 4);
        canvas.rectangle((4.0, 3.0), (1.0, 1.0), RED);
        assert_eq!(pixel(&canvas, 1, 1), [255, 0, 0]);
        assert_eq!(pixel(&canvas, 3, 2), [255, 0, 0]);
        assert_eq!(pixel(&canvas, 4, 2), [255; 3]);
        assert_eq!(pixel(&canvas, 0, 1), [255; 3]);
    }

    #[test]
    fn a_faint_band_has_no_seam_where_its_pieces_meet() {
        let mut canvas = Canvas::new(20, 6);
        canvas.band(&[(0.0, 1.0, 5.0), (7.4, 1.0, 5.0), (20.0, 1.0, 5.0)], RED.faint(0.2));
        let row: Vec<_> = (0..20).map(|x| pixel(&canvas, x, 3)).collect();
        assert!(row.iter().all(|colour| *colour == row[0] && *colour != [255; 3]), "{row:?}");
    }

    #[test]
    fn shapes_may_leave_the_page() {
        let mut canvas = Canvas::new(5, 5);
        canvas.text("off the page", (4.0, 2.0), Align::Left, TYPE);
        canvas.disc((0.0, 0.0), 3.0, RED);
        canvas.line(&[(-9.0, 4.5), (50.0, 4.5)], Stroke::solid(RED, 1.0));
        assert_eq!(pixel(&canvas, 0, 0), [255, 0, 0]);
        assert_eq!(pixel(&canvas, 4, 4), [255, 0, 0]);
    }

    const TYPE: Type = Type { size: 20.0, color: Color(0, 0, 0), medium: false };

    #[test]
    fn text_leaves_ink_about_its_place() {
        for align in [Align::Left, Align::Centre, Align::Right] {
            let mut canvas = Canvas::new(100, 40);
            canvas.text("HHHH", (50.0, 20.0), align, TYPE);
            let dark: Vec<(usize, usize)> = (0..100)
                .flat_map(|x| (0..40).map(move |y| (x, y)))
                .filter(|&(x, y)| pixel(&canvas, x, y)[0] < 128)
                .collect();
            let middle = |values: Vec<usize>| {
                (values.iter().min().unwrap() + values.iter().max().unwrap()) as f64 / 2.0
            };
            let (x, y) = (
                middle(dark.iter().map(|p| p.0).collect()),
                middle(dark.iter().map(|p| p.1).collect()),
            );
            let half = TYPE.width("HHHH") / 2.0;
            let expected = match align {
                Align::Left => 50.0 + half,
                Align::Centre => 50.0,
                Align::Right => 50.0 - half,
            };
            assert!((x - expected).abs() < 2.5 && (y - 20.0).abs() < 1.5, "{align:?}: {x}, {y}");
        }
    }

    #[test]
    fn dashes_go_round_corners_and_keep_their_lengths() {
        let corner = [(0.0, 0.0), (5.0, 0.0), (5.0, 5.0)];
        let pieces = dashes(&corner, (4.0, 2.0));
        assert_eq!(pieces, [vec![(0.0, 0.0), (4.0, 0.0)], vec![(5.0, 1.0), (5.0, 5.0)],]);
        assert_eq!(dashes(&corner[..1], (4.0, 2.0)), Vec::<Vec<Point>>::new());
    }

    #[test]
    fn text_that_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(TYPE.fit("one two", TYPE.width("one two")), "one two");
        assert_eq!(TYPE.fit("one two", TYPE.width("one tw")), "one t…");
        assert_eq!(TYPE.fit("one two", 1.0), "");
    }

    #[test]
    fn text_is_wrapped_at_spaces_only() {
        let width = TYPE.width("one two");
        assert_eq!(
            TYPE.wrap("one two incomprehensibility", width),
            ["one two", "incomprehensibility",]
        );
        assert_eq!(TYPE.wrap("one 95 %", TYPE.width("one 95")), ["one", "95\u{a0}%"]);
    }
}
