//! What every page keeps clear: what was drawn, and where, asked of the page itself.

use super::canvas::{Drawn, What};
use super::tests::{Tables, general_kinds};
use super::xor::tests as xor;
use super::{Canvas, Results};

fn overlap(a: &Drawn, b: &Drawn) -> bool {
    a.from.0 < b.to.0 && b.from.0 < a.to.0 && a.from.1 < b.to.1 && b.from.1 < a.to.1
}

fn lies_in(inner: &Drawn, outer: &Drawn) -> bool {
    outer.from.0 <= inner.from.0
        && outer.from.1 <= inner.from.1
        && inner.to.0 <= outer.to.0
        && inner.to.1 <= outer.to.1
}

fn is_text(drawn: &&Drawn) -> bool {
    matches!(&drawn.what, What::Text(text) if !text.is_empty())
}

#[track_caller]
fn check(kind: &str, page: &Canvas) {
    let of = |what: What| page.drawn.iter().filter(move |drawn| drawn.what == what);
    let texts: Vec<&Drawn> = page.drawn.iter().filter(is_text).collect();
    for panel in of(What::Panel) {
        for mark in of(What::Mark).filter(|mark| overlap(mark, panel)) {
            assert!(lies_in(mark, panel), "{kind}: {mark:?} is cut by the edge of {panel:?}");
        }
        for text in texts.iter().filter(|text| overlap(text, panel)) {
            assert!(lies_in(text, panel), "{kind}: {text:?} stands over the edge of {panel:?}");
        }
    }
    for (place, text) in texts.iter().enumerate() {
        for mark in of(What::Mark) {
            assert!(!overlap(text, mark), "{kind}: {text:?} stands over {mark:?}");
        }
        for other in &texts[..place] {
            assert!(!overlap(text, other), "{kind}: {text:?} stands over {other:?}");
        }
        assert!(
            text.from.0 >= 0.0 && text.to.0 <= page.width(),
            "{kind}: {text:?} leaves the page"
        );
    }
}

/// Tables of arms that look unlike at unlike sizes; an error of 0 and of 1 among them.
fn tables(sizes: &[f64]) -> Tables {
    let arms =
        ["frozen-signs", "fluid-signs", "frozen-random", "fluid-weights", "a-long-name-of-no-kind"];
    let mut tables = Tables::new(&arms, sizes, 5);
    tables.set_error(0, 0.0);
    tables.set_error(1, 1.0);
    tables
}

#[test]
fn no_mark_is_cut_and_no_text_stands_over_marks_or_other_texts() {
    for kind in general_kinds() {
        for sizes in [&[50.0][..], &[50.0, 100.0], &[100.0, 250.0, 500.0], &SIZES] {
            let tables = tables(sizes);
            check(kind.name, &(kind.draw)(&tables.results()).unwrap());
        }
    }
}

const SIZES: [f64; 7] = [100.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 6000.0];

#[test]
fn the_figures_of_xor_keep_their_titles_clear_too() {
    for kind in xor::KINDS {
        for (name, value) in [("", 0.0), ("train_size", 60.0), ("width", 10.0)] {
            let trials = match name {
                "" => xor::trials(&xor::arms(), 0.0),
                name => xor::with(name, value, 0.0),
            };
            check(kind, &xor::page(kind, &trials));
        }
    }
}

#[test]
fn every_step_that_was_evaluated_has_a_tick_and_a_mark_an_arm() {
    let tables = Tables::new(&["frozen-signs", "fluid-signs"], &[50.0], 5);
    let page = super::learning_curves::draw(&tables.results()).unwrap();
    let is_tick = |step: f64| page.drawn.iter().find(move |drawn| drawn.what == What::Tick(step));
    for step in [0.0, 1.0, 5.0, 20.0, 80.0] {
        let x = is_tick(step).unwrap_or_else(|| panic!("step {step} has no tick")).from.0;
        let is_here = |drawn: &&Drawn| {
            let middle = (drawn.from.0 + drawn.to.0) / 2.0;
            drawn.what == What::Mark && (middle - x).abs() < 0.1
        };
        assert_eq!(page.drawn.iter().filter(is_here).count(), 2, "marks at step {step}");
    }
}

#[test]
fn an_arm_of_untrained_runs_is_said_to_be_so_where_the_chosen_step_is_shown() {
    let mut tables = Tables::new(&["frozen-weights", "fluid-random"], &[50.0], 5);
    let texts = |results: &Results| -> String {
        let page = super::fig2::draw(results).unwrap();
        let texts = page.drawn.into_iter().filter_map(|drawn| match drawn.what {
            What::Text(text) => Some(text),
            _ => None,
        });
        texts.collect::<Vec<_>>().join(" ")
    };
    assert!(!texts(&tables.results()).contains("ntrained"));
    tables.choose_step_0("frozen-weights");
    assert!(texts(&tables.results()).contains("step 0 was chosen: frozen-weights 5 of 5"));
}

#[test]
fn what_never_came_is_written_in_a_word() {
    let says =
        |page: &Canvas| page.drawn.iter().any(|drawn| drawn.what == What::Text("never".into()));
    for kind in ["fig1", "fig4bc"] {
        assert!(says(&xor::page(kind, &xor::trials(&xor::arms(), 0.0))), "{kind}");
    }
    let tables = Tables::new(&["frozen-signs", "fluid-signs"], &[50.0], 5);
    let results = Results { thresholds: &[0.999], ..tables.results() };
    assert!(says(&super::fig2::draw(&results).unwrap()));
}
