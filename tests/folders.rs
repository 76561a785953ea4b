//! Folders of images as people have them.

mod common;

use common::{Laboratory, names};
use polarity::results::table::read_trials;

/// Saves every picture of the laboratory's folder as red, green and blue.
fn in_colour(lab: &Laboratory) {
    for class in ["0", "1", "2"] {
        for name in names(&lab.path(&format!("images/{class}"))) {
            let path = lab.path(&format!("images/{class}/{name}"));
            image::open(&path).unwrap().to_rgb8().save(path).unwrap();
        }
    }
}

fn errors(lab: &Laboratory) -> Vec<Option<f64>> {
    let trials = read_trials(&lab.path("results/tiny/trials.csv")).unwrap();
    trials.iter().map(|trial| trial.outcome.test_error.map(|error| error.value())).collect()
}

#[test]
fn greys_that_were_saved_as_colours_are_learned_as_greys() {
    let [grey, colour] = [Laboratory::new(), Laboratory::new()];
    for lab in [&grey, &colour] {
        lab.take_folder(", test_share: 0.3");
    }
    in_colour(&colour);
    let (code, said) = colour.fails(&["run", "tiny.yaml"]);
    assert!(code == 2 && said.contains("`data.channels: grey` takes their luma"), "{said}");
    grey.run(&[]);
    colour.run(&["data.channels=grey"]);
    assert_eq!(errors(&colour), errors(&grey));
    assert_eq!(errors(&grey).len(), 12);
}

#[test]
fn what_was_passed_over_is_told_before_a_run_and_a_plan() {
    let lab = Laboratory::new();
    lab.take_folder(", test_share: 0.3");
    lab.write("images/1/Thumbs.db", "x");
    let said = "tiny.yaml: data: passed over 1 file that operating systems leave: `Thumbs.db`";
    assert!(lab.run(&[]).contains(said));
    let plan = lab.polarity(&["plan", "tiny.yaml"]).output().unwrap();
    assert!(String::from_utf8(plan.stderr).unwrap().contains(said));
}
