//! Claims over tables that are made up.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::digest::sha256;
use crate::results::About;
use crate::results::table::{ErrorCount, Key, Outcome, Status, Trial};
use crate::stats::hypothesis::holm;

/// A study of two sizes with these claims.
fn about(claims: &Value) -> About {
    let experiment = json!({
        "name": "tiny",
        "data": {"name": "fashion-mnist", "image_size": 28, "train_sizes": [10, 20]},
        "model": {"name": "alexnet-mini"},
        "arms": {"held": {"signs": "init", "hold": "all"}, "free": {"signs": "init", "hold": "none"}},
        "train": {"batch": 5, "epochs": 2},
        "seeds": (0..8).collect::<Vec<_>>(),
        "figures": [],
        "report": {},
        "claims": claims,
    });
    About::read(r#"{"classes": 10, "data_digest": "", "experiment": {}}"#, |it| *it = experiment)
        .unwrap()
}

fn claim(expects: &Value) -> Value {
    let mut claim = json!({
        "id": "held-errs-less",
        "says": "Held signs err less.",
        "arms": ["held", "free"],
        "measure": {"test_error": {"step": "last"}},
    });
    claim.as_object_mut().unwrap().extend(expects.as_object().unwrap().clone());
    claim
}

fn trial(arm: &str, size: u64, source: Option<u64>, seed: u64, wrong: u64) -> Trial {
    let mut settings = vec![("train_size".to_owned(), size as f64)];
    settings.extend(source.map(|source| ("source_seed".to_owned(), source as f64)));
    let id = format!("{arm}-{size}-{source:?}-{seed}");
    Trial {
        key: Key { id, arm: arm.into(), settings, seed },
        outcome: Outcome {
            status: Status::Done,
            test_error_last: Some(ErrorCount { wrong, of: 500 }),
            best_step: Some(4),
            steps: 8,
            ..Outcome::failed()
        },
        reason: None,
    }
}

/// Both arms at both sizes, `held` wrong on so many images fewer at each.
fn trials(fewer: &[(i64, i64)]) -> Vec<Trial> {
    let of_seed = |(seed, (small, large)): (usize, &(i64, i64))| {
        let seed = seed as u64;
        let free = 200 + 7 * seed;
        let held = |fewer: i64| (free as i64 - fewer) as u64;
        [
            trial("held", 10, None, seed, held(*small)),
            trial("free", 10, None, seed, free),
            trial("held", 20, None, seed, held(*large)),
            trial("free", 20, None, seed, free),
        ]
    };
    fewer.iter().enumerate().flat_map(of_seed).collect()
}

fn only(about: &About, trials: &[Trial]) -> Answer {
    let [answer] = answers(about, trials, &[]).try_into().unwrap();
    answer
}

#[test]
fn over_sizes_a_seed_counts_with_its_mean() {
    let fewer = [(20, 30), (10, 20), (30, 30), (20, 0), (25, 35), (5, 15), (12, 12), (40, 20)];
    let answer = only(&about(&json!([claim(&json!({"direction": "less"}))])), &trials(&fewer));
    let evidence = answer.evidence.unwrap();
    assert_eq!(evidence.pairs, 8);
    // python: -numpy.median([25, 15, 30, 10, 30, 10, 12, 30]) / 500
    assert_eq!(evidence.difference.estimate, -20.0 / 500.0);
    // scipy.stats.wilcoxon(...): all eight below, 2 / 2^8.
    assert_eq!((evidence.test.p, evidence.p_holm), (0.0078125, 0.0078125));
    assert_eq!(answer.verdict, Verdict::Holds);

    let small = claim(&json!({"direction": "less", "at": {"train_size": [10]}}));
    let evidence = only(&about(&json!([small])), &trials(&fewer)).evidence.unwrap();
    assert_eq!(evidence.difference.estimate, -20.0 / 500.0);
    let margin = claim(&json!({"direction": "less", "margin": 0.04}));
    let answer = only(&about(&json!([margin])), &trials(&fewer));
    assert_eq!(answer.verdict, Verdict::Undecided(Doubt::Both));
}

#[test]
fn a_seed_without_all_its_cells_is_no_pair_and_without_pairs_nothing_is_decided() {
    let about = about(&json!([claim(&json!({"direction": "less"}))]));
    let mut trials = trials(&[(20, 30); 7]);
    trials[2].outcome = Outcome::failed();
    assert_eq!(only(&about, &trials).evidence.unwrap().pairs, 6);
    trials.retain(|trial| trial.key.setting("train_size") == Some(10.0));
    let answer = only(&about, &trials);
    assert_eq!((answer.evidence, answer.verdict), (None, Verdict::Undecided(Doubt::NoPairs)));
}

#[test]
fn no_difference_can_be_claimed_and_fail_to_be_seen() {
    let about = |within: f64| about(&json!([claim(&json!({"within": within}))]));
    let few = [(2, -2), (0, 1), (-1, 1), (1, 2), (-2, 0), (0, 0), (2, 1), (-1, -1)];
    assert_eq!(only(&about(0.01), &trials(&few)).verdict, Verdict::Holds);
    let wild = [(90, 80), (-70, -60), (50, 40), (-80, -90), (1, 1), (30, 30), (-20, -20), (5, 5)];
    assert_eq!(
        only(&about(0.01), &trials(&wild)).verdict,
        Verdict::Undecided(Doubt::CouldNotBeSeen)
    );
    let all = [(60, 60), (70, 71), (65, 66), (55, 56), (60, 58), (59, 61), (62, 63), (64, 60)];
    assert_eq!(only(&about(0.01), &trials(&all)).verdict, Verdict::DoesNotHold);
}

#[test]
fn sources_are_the_unit_after_the_mean_over_their_fresh_networks() {
    let expects = json!({"direction": "less", "unit": "source_seed", "at": {"train_size": [10]}});
    let about = about(&json!([claim(&expects)]));
    let mut trials = Vec::new();
    for seed in 0..3 {
        trials.push(trial("free", 10, None, seed, 100 + seed));
        for source in 0..6 {
            trials.push(trial("held", 10, Some(source), seed, 90 + source + 2 * seed));
        }
    }
    let evidence = only(&about, &trials).evidence.unwrap();
    assert_eq!(evidence.pairs, 6);
    // Each source's mean is 92 + source, that of the other arm 101: differences of -9 to -4.
    assert_eq!(evidence.difference.estimate, -6.5 / 500.0);
    assert_eq!(evidence.test.p, 2.0 / 64.0);
    // A fresh network that one arm lacks is left out of both means.
    trials.remove(0);
    let evidence = only(&about, &trials).evidence.unwrap();
    assert_eq!((evidence.pairs, evidence.difference.estimate), (6, -6.0 / 500.0));
}

#[test]
fn p_values_are_adjusted_over_the_claims_of_the_file_decided_or_not() {
    let named = |id: &str, rest: Value| {
        let mut claim = claim(&rest);
        claim["id"] = id.into();
        claim
    };
    let claims = json!([
        named("less", json!({"direction": "less"})),
        named("small", json!({"within": 0.1, "at": {"train_size": [20]}})),
        named("none", json!({"direction": "less", "measure": {"validation_error": {"step": 3}}})),
    ]);
    let trials =
        trials(&[(20, 30), (10, 20), (30, -30), (20, 0), (25, 35), (5, 15), (12, 1), (4, 2)]);
    let found = answers(&about(&claims), &trials, &[]);
    let p: Vec<f64> =
        found.iter().map(|it| it.evidence.map_or(1.0, |evidence| evidence.test.p)).collect();
    assert_eq!(p[2], 1.0);
    let adjusted = holm(&p).unwrap();
    for (answer, adjusted) in found.iter().zip(adjusted).take(2) {
        assert_eq!(answer.evidence.unwrap().p_holm, adjusted);
    }
}

#[test]
fn claims_survive_being_written_and_their_digest_is_of_that_text() {
    let claims = about(&json!([claim(&json!({"within": 0.01}))])).claims;
    let text = serde_json::to_string(&claims).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Claim>>(&text).unwrap(), claims);
    assert_eq!(
        text,
        r#"[{"id":"held-errs-less","says":"Held signs err less.","arms":["held","free"],"measure":{"test_error":{"step":"last"}},"within":0.01,"unit":"seed"}]"#
    );
    assert_eq!(digest(&claims), Some(sha256(text.as_bytes())));
    assert_eq!(digest(&[]), None);
}

#[test]
fn every_measure_of_a_claim_is_read() {
    let read = |text: &str| serde_json::from_str::<ClaimMeasure>(text).unwrap();
    for (text, name) in [
        (r#"{"test_error":{"step":"chosen"}}"#, "test error after the chosen step"),
        (r#"{"validation_error":{"step":75}}"#, "validation error after 75 steps"),
        (r#"{"validation_error":{"step":0}}"#, "validation error before training"),
        (r#"{"steps_to":{"accuracy":0.5}}"#, "steps to 50 % accuracy"),
        (r#"{"epochs_to_90":{}}"#, "epochs to 90 % accuracy"),
        (r#"{"learned":{}}"#, "share of cells that learn"),
    ] {
        assert_eq!(read(text).name(), name);
        assert_eq!(serde_json::to_string(&read(text)).unwrap(), text);
    }
}

proptest! {
    #[test]
    fn exchanging_the_arms_and_the_direction_changes_no_verdict(
        fewer in prop::collection::vec((-40..40_i64, -40..40_i64), 2..12),
        margin in prop::option::of(0.0..0.05_f64),
    ) {
        let of = |direction: &str, arms: [&str; 2]| {
            let claim = claim(&json!({"direction": direction, "margin": margin, "arms": arms}));
            only(&about(&json!([claim])), &trials(&fewer))
        };
        let there = of("less", ["held", "free"]);
        let back = of("greater", ["free", "held"]);
        let (own, other) = (there.evidence.unwrap(), back.evidence.unwrap());
        prop_assert_eq!(there.verdict, back.verdict);
        prop_assert_eq!(own.test.p, other.test.p);
        prop_assert_eq!(own.difference.estimate, -other.difference.estimate);
        prop_assert_eq!(own.difference.low, -other.difference.high);
    }

    #[test]
    fn as_many_wrong_images_more_in_both_arms_change_nothing(
        fewer in prop::collection::vec((-40..40_i64, -40..40_i64), 2..12),
        more in 0..100_u64,
    ) {
        let about = about(&json!([claim(&json!({"within": 0.01}))]));
        let plain = trials(&fewer);
        let mut worse = plain.clone();
        for trial in &mut worse {
            trial.outcome.test_error_last.as_mut().unwrap().wrong += more;
        }
        prop_assert_eq!(only(&about, &plain).evidence, only(&about, &worse).evidence);
    }
}
