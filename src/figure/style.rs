//! What every figure looks like: sizes of text, greys, and the look of each arm.
//!
//! An arm looks the same in every figure. Its *hue* and marker come from what it is trained with
//! (`imagenet`, `random`, `shuffled-filter`, …), as its name says. Line and filling come from what it
//! holds, whatever its name: *frozen* arms have solid lines and full markers, *fluid* ones dashed lines
//! and hollow markers, so twins share a hue and are told apart in grey too. Colours are those of M. Okabe and K. Ito's palette for all kinds of colour vision, and a
//! few beside them that differ from those in lightness.

#[cfg(test)]
use super::canvas::What;
use super::canvas::{Canvas, Color, Point, Stroke, Type};

/// Text and lines that are read.
pub(super) const DARK: Color = Color(34, 34, 34);
/// Text that explains, and axes.
pub(super) const MUTED: Color = Color(95, 95, 95);
/// Thin lines that guide the eye.
pub(super) const GRID: Color = Color(226, 226, 226);
const WHITE: Color = Color(255, 255, 255);

/// The width of a figure in pixels; its height follows from what it shows.
pub(super) const WIDTH: usize = 1600;
/// Left free at the edges of the page.
pub(super) const MARGIN: f64 = 36.0;

/// The figure's title.
pub(super) const TITLE: Type = Type { size: 34.0, color: DARK, medium: true };
/// Names of arms, and what stands beside them.
pub(super) const LABEL: Type = Type { size: 26.0, color: DARK, medium: false };
/// Names of panels and their axes.
pub(super) const AXIS: Type = Type { size: 25.0, color: MUTED, medium: false };
/// Numbers on an axis.
pub(super) const TICK: Type = Type { size: 23.0, color: MUTED, medium: false };
/// The sentences under the figure.
pub(super) const CAPTION: Type = Type { size: 22.0, color: MUTED, medium: false };

/// The shape of an arm's markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    Disc,
    Square,
    Diamond,
    Up,
    Down,
}

/// Colour and marker of what an arm is trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hue {
    color: Color,
    marker: Marker,
}

/// Lightness rises and hue turns, so that shades are told apart in grey and by all kinds of colour
/// vision: points of the map *viridis* of S. van der Walt and N. Smith, without its palest end.
const SHADES: [Color; 5] = [
    Color(68, 1, 84),
    Color(59, 82, 139),
    Color(33, 145, 140),
    Color(94, 201, 98),
    Color(190, 210, 40),
];

const fn hue(color: Color, marker: Marker) -> Hue {
    Hue { color, marker }
}

const BLUE: Hue = hue(Color(0, 114, 178), Marker::Disc);
const GREY: Hue = hue(Color(85, 85, 85), Marker::Square);
const GREEN: Hue = hue(Color(0, 158, 115), Marker::Diamond);
const TEAL: Hue = hue(Color(92, 196, 200), Marker::Up);
const VERMILLION: Hue = hue(Color(213, 94, 0), Marker::Down);
const PINK: Hue = hue(Color(204, 121, 167), Marker::Up);
const PURPLE: Hue = hue(Color(124, 58, 140), Marker::Down);
const ORANGE: Hue = hue(Color(230, 159, 0), Marker::Square);
const SKY: Hue = hue(Color(86, 180, 233), Marker::Diamond);

/// Hues by what an arm is named for, the more special first: an arm has the first hue of which all
/// words are in its name.
const KNOWN: [(&[&str], Hue); 18] = [
    (&["shuffled", "filter"], TEAL),
    (&["shuffled"], GREEN),
    (&["flipped", "10"], PINK),
    (&["flipped", "30"], PURPLE),
    (&["flipped"], PURPLE),
    (&["opposite"], VERMILLION),
    (&["informed"], ORANGE),
    (&["share"], ORANGE),
    (&["uninformed"], BLUE),
    (&["weights"], SKY),
    (&["weight"], SKY),
    (&["magnitudes"], SKY),
    (&["imagenet"], BLUE),
    (&["signs"], BLUE),
    (&["source"], BLUE),
    (&["polarity"], BLUE),
    (&["random"], GREY),
    (&["init"], GREY),
];

/// Hues for names without a known word, in the order in which they are given out; after these their
/// colours with every other marker.
const SPARE: [Hue; 9] = [BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY, PINK, TEAL];
const MARKERS: [Marker; 5] =
    [Marker::Disc, Marker::Square, Marker::Diamond, Marker::Up, Marker::Down];

/// Every hue that can be given out: colours and markers turn, so that neighbours differ in both.
fn spare() -> impl Iterator<Item = Hue> {
    let others = (0..SPARE.len() * MARKERS.len()).map(|place| {
        let (turn, color) = (place / SPARE.len(), place % SPARE.len());
        hue(SPARE[color].color, MARKERS[(color + turn) % MARKERS.len()])
    });
    SPARE.into_iter().chain(others.filter(|other| !SPARE.contains(other)))
}

/// How one arm is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    hue: Hue,
    fluid: bool,
}

impl Look {
    /// The looks of `count` things in an order, from dark to light, with markers in turn.
    pub(super) fn shades(count: usize) -> Vec<Look> {
        let markers = MARKERS.iter().cycle();
        let shade = |(place, marker): (usize, &Marker)| {
            let along = place as f64 / (count - 1).max(1) as f64 * (SHADES.len() - 1) as f64;
            let (from, to) = (SHADES[along.floor() as usize], SHADES[along.ceil() as usize]);
            let mix = |a: u8, b: u8| {
                (f64::from(a) + along.fract() * (f64::from(b) - f64::from(a))).round() as u8
            };
            let color = Color(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2));
            Look { hue: hue(color, *marker), fluid: false }
        };
        (0..count).zip(markers).map(shade).collect()
    }

    pub(super) fn color(self) -> Color {
        self.hue.color
    }

    /// Whether the arm's signs are free.
    pub(super) fn is_fluid(self) -> bool {
        self.fluid
    }

    /// The arm's line.
    pub(super) fn stroke(self, width: f64) -> Stroke {
        let dash = self.fluid.then_some((width * 3.2, width * 2.4));
        Stroke { dash, ..Stroke::solid(self.hue.color, width) }
    }

    /// Draws the arm's marker, `radius` pixels from its centre to its edge.
    pub(super) fn mark(self, canvas: &mut Canvas, at: Point, radius: f64) {
        #[cfg(test)]
        canvas.note(What::Mark, (at.0 - radius, at.1 - radius), (at.0 + radius, at.1 + radius));
        self.hue.marker.fill(canvas, at, radius, self.hue.color);
        if self.fluid {
            let rim = (radius * 0.32).max(1.4);
            self.hue.marker.fill(canvas, at, radius - rim, WHITE);
        }
    }
}

impl Marker {
    /// Fills the marker; all shapes have about the area of the disc.
    fn fill(self, canvas: &mut Canvas, (x, y): Point, radius: f64, color: Color) {
        let corners = |points: &[Point]| -> Vec<Point> {
            points.iter().map(|(dx, dy)| (x + dx * radius, y + dy * radius)).collect()
        };
        let shape: &[Point] = match self {
            Marker::Disc => return canvas.disc((x, y), radius, color),
            Marker::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Marker::Diamond => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            Marker::Up => &[(0.0, -1.3), (1.2, 0.8), (-1.2, 0.8)],
            Marker::Down => &[(0.0, 1.3), (1.2, -0.8), (-1.2, -0.8)],
        };
        canvas.polygon(&corners(shape), color);
    }
}

/// The looks of `arms`, in their order; `fluid` says of each whether its signs are free.
///
/// Names are read as words between hyphens, underscores and spaces. Two arms share a hue only when
/// they are twins, one frozen and one fluid, whose names differ in nothing but these words: where a
/// second name asks for a hue that is taken, or has no known word, it gets the next hue that no arm of
/// the figure asks for, after nine the same colours with other markers.
pub(super) fn looks(arms: &[String], fluid: &[bool]) -> Vec<Look> {
    let pairs = pairs(arms, fluid);
    let mut given: Vec<(&Pair, Option<Hue>)> = Vec::new();
    for (pair, _) in &pairs {
        if given.iter().any(|(other, _)| *other == pair) {
            continue;
        }
        let known =
            known(&pair.name).filter(|hue| given.iter().all(|(_, other)| *other != Some(*hue)));
        given.push((pair, known));
    }
    let asked: Vec<Hue> = given.iter().filter_map(|(_, hue)| *hue).collect();
    // More names than there are hues are more than a page has room for; they begin again.
    let free: Vec<Hue> = spare().filter(|hue| !asked.contains(hue)).collect();
    let mut spare = free.into_iter().cycle();
    for (_, hue) in &mut given {
        *hue = hue.or_else(|| spare.next());
    }
    let look = |(pair, fluid): &(Pair, bool)| {
        let (_, hue) =
            given.iter().find(|(other, _)| *other == pair).expect("every name was given");
        Look { hue: hue.expect("the spare hues never end"), fluid: *fluid }
    };
    pairs.iter().map(look).collect()
}

/// What twins have in common.
#[derive(PartialEq, Eq)]
struct Pair<'a> {
    /// The words of the name but for the hold.
    name: Vec<&'a str>,
    /// Arms before with the same words and the same hold, which are no twins of this one.
    before: usize,
}

/// The pair of each arm, and whether it is the fluid one.
fn pairs<'a>(arms: &'a [String], fluid: &[bool]) -> Vec<(Pair<'a>, bool)> {
    let mut pairs: Vec<(Pair, bool)> = Vec::new();
    for (arm, fluid) in arms.iter().zip(fluid.iter().copied().chain(std::iter::repeat(false))) {
        let name = without_hold(arm);
        let alike = |(pair, other): &&(Pair, bool)| pair.name == name && *other == fluid;
        let before = pairs.iter().filter(alike).count();
        pairs.push((Pair { name, before }, fluid));
    }
    pairs
}

fn words(arm: &str) -> impl Iterator<Item = &str> {
    arm.split(['-', '_', ' ']).filter(|word| !word.is_empty())
}

/// What twins have in common: the words of the name but for the hold.
fn without_hold(arm: &str) -> Vec<&str> {
    words(arm).filter(|word| !["frozen", "fluid"].contains(word)).collect()
}

fn known(words: &[&str]) -> Option<Hue> {
    let fits = |(needed, _): &&(&[&str], Hue)| needed.iter().all(|word| words.contains(word));
    KNOWN.iter().find(fits).map(|(_, hue)| *hue)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The looks of arms that hold what their names say.
    fn looks_of(arms: &[&str]) -> Vec<Look> {
        let fluid: Vec<bool> = arms.iter().map(|arm| arm.starts_with("fluid")).collect();
        looks_of_held(arms, &fluid)
    }

    fn looks_of_held(arms: &[&str], fluid: &[bool]) -> Vec<Look> {
        looks(&arms.iter().map(|arm| arm.to_string()).collect::<Vec<_>>(), fluid)
    }

    #[test]
    fn a_line_is_dashed_by_what_the_arm_holds_and_not_by_its_name() {
        let looks = looks_of_held(&["a", "b", "fluid-c", "frozen-d"], &[false, true, false, true]);
        let dashed: Vec<bool> = looks.iter().map(|look| look.stroke(3.0).dash.is_some()).collect();
        assert_eq!(dashed, [false, true, false, true]);
    }

    #[test]
    fn arms_of_one_name_that_hold_the_same_are_no_twins() {
        let looks = looks_of_held(&["signs", "fluid-signs", "frozen-signs"], &[true, true, false]);
        assert_ne!(looks[0].hue, looks[1].hue);
        assert_eq!(looks[0].hue, looks[2].hue);
    }

    #[test]
    fn an_arm_of_which_nothing_is_said_is_drawn_as_frozen() {
        assert!(!looks_of_held(&["fluid-signs"], &[])[0].is_fluid());
    }

    #[test]
    fn an_arm_looks_the_same_whatever_stands_beside_it() {
        let few = looks_of(&["fluid-random", "frozen-imagenet"]);
        let many = looks_of(&["opposite", "frozen-imagenet", "strange", "fluid-random"]);
        assert_eq!(few, [many[3], many[1]]);
    }

    #[test]
    fn twins_share_a_hue_and_differ_in_line_and_marker() {
        let [frozen, fluid] = looks_of(&["frozen-shuffled", "fluid-shuffled"])[..] else {
            panic!("two arms have two looks")
        };
        assert_eq!(frozen.hue, fluid.hue);
        assert!(frozen.stroke(3.0).dash.is_none() && fluid.stroke(3.0).dash.is_some());
    }

    #[test]
    fn the_arms_of_a_study_all_look_different() {
        let arms = [
            "frozen-signs",
            "fluid-signs",
            "frozen-random",
            "fluid-random",
            "frozen-shuffled",
            "frozen-shuffled-filter",
            "frozen-flipped-10",
            "frozen-flipped-30",
            "frozen-opposite",
            "frozen-informed",
        ];
        let looks = looks_of(&arms);
        for (i, look) in looks.iter().enumerate() {
            assert!(!looks[..i].contains(look), "{} looks like another", arms[i]);
        }
    }

    #[test]
    fn no_two_of_forty_arms_look_the_same() {
        let names: Vec<String> = (0..40).map(|place| format!("frozen-thing-{place}")).collect();
        let known = ["fluid-source", "fluid-magnitudes", "frozen-weights", "frozen-only-head"];
        let mut arms: Vec<&str> = known.to_vec();
        arms.extend(names.iter().map(String::as_str));
        let looks = looks_of(&arms);
        for (i, look) in looks.iter().enumerate() {
            assert!(!looks[..i].contains(look), "{} looks like another", arms[i]);
        }
    }

    #[test]
    fn a_hue_that_is_taken_or_unknown_is_replaced_by_one_that_is_free() {
        let [signs, imagenet, strange] = looks_of(&["signs", "imagenet", "strange"])[..] else {
            panic!("three arms have three looks")
        };
        assert_eq!(signs.hue, BLUE);
        assert_eq!([imagenet.hue, strange.hue], [ORANGE, GREEN]);
    }
}
