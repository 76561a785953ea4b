//! How fast a sign-held step is beside libtorch's own, all measured in one run.
//!
//! Speed depends on the machine and on what else it does, so every figure here is a ratio of medians
//! of cases that ran in turn, round after round, in the same process: one step of each optimizer over
//! weights that lie still, held and free steps that reset as much as a training does, a whole training step of AlexNet, and the small networks of the XOR study.
//! [`Bench`] is all of them and the ratios one would quote.
//!
//! Only the command line uses this room; other frameworks are timed by `make bench-peers`.

mod device;
mod ensemble;
mod holding;
mod memory;
mod optimizers;
mod spread;
mod training;

use std::num::NonZeroUsize;

use serde_json::{Value, json};
use tch::TchError;

pub use device::{DeviceStep, SHAPES, Shape, measure as steps_on};
pub use ensemble::Ensemble;
pub use holding::Holding;
pub use optimizers::{Case, Subject};
pub use spread::Spread;
pub use training::Step;

use crate::optim;
use crate::train;
use crate::transfer;

/// What a benchmark measured.
#[derive(Debug)]
pub struct Bench {
    /// Threads of the whole program, for all cases but those that say otherwise.
    pub threads: NonZeroUsize,
    /// Steps of the optimizers.
    pub cases: Vec<Case>,
    /// Held and free steps by the share of weights reset.
    pub holdings: Vec<Holding>,
    /// Training steps.
    pub steps: Vec<Step>,
    /// Small networks side by side, the widest last.
    pub ensembles: Vec<Ensemble>,
}

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The optimizer failed.
    #[error(transparent)]
    Optimizer(#[from] optim::Error),
    /// The signs of a network could not be taken.
    #[error(transparent)]
    Transfer(#[from] transfer::Error),
    /// Training failed.
    #[error(transparent)]
    Training(#[from] train::Error),
    /// libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// A number people quote, and what it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Its key in `polarity bench --json`.
    pub key: &'static str,
    /// The value.
    pub value: f64,
    /// What it compares.
    pub meaning: &'static str,
}

impl Bench {
    /// Measures on `threads` threads; `say` hears what is being measured.
    ///
    /// # Errors
    /// What libtorch says, when memory runs out for example.
    pub fn run(threads: NonZeroUsize, say: &mut dyn FnMut(&str)) -> Result<Self, Error> {
        let mut cases = Vec::new();
        for subject in Subject::ALL {
            let one = NonZeroUsize::MIN;
            for threads in if threads == one { vec![one] } else { vec![one, threads] } {
                say(&format!("optimizers over {subject}, {threads} threads"));
                cases.extend(optimizers::measure(subject, threads)?);
            }
        }
        say("held and free steps over 61.1 million weights, by share of resets");
        let holdings = holding::measure(threads);
        say("training steps of AlexNet, 224 px, batch 32");
        let steps = training::measure(threads)?;
        say("the networks of the XOR study, side by side and alone");
        let ensembles = ensemble::measure(threads)?;
        Ok(Bench { threads, cases, holdings, steps, ensembles })
    }

    /// The ratios, of the largest network on all threads.
    pub fn ratios(&self) -> Vec<Ratio> {
        let case = |name: &str| {
            let found = self.cases.iter().rev().find(|case| case.name == name);
            found.expect("every case is measured for every subject")
        };
        let median = |name: &str| case(name).seconds.median;
        let bandwidth = |name: &str| case(name).bandwidth().expect("its bytes are counted");
        let step = |name: &str| {
            let found = self.steps.iter().find(|step| step.name == name);
            found.expect("every step is measured")
        };
        let (frozen, float32) = (median(optimizers::FROZEN_ADAM), step(training::FROZEN));
        let of_adam = |holding: &&Holding| holding.rule == holding::ADAM;
        let most = self.holdings.iter().rfind(of_adam).expect("every share is measured");
        let worst = most.ratio();
        let widest = self.ensembles.last().expect("every width is measured");
        let ratio = |key, value, meaning| Ratio { key, value, meaning };
        vec![
            ratio(
                "adam_vs_libtorch",
                frozen / median(optimizers::LIBTORCH_ADAM),
                "a step of frozen Adam, in steps of libtorch's Adam through tch",
            ),
            ratio(
                "adam_vs_libtorch_where",
                frozen / median(optimizers::LIBTORCH_ADAM_WHERE),
                "the same, in steps of libtorch's Adam and a projection by `where`",
            ),
            ratio(
                "sgd_vs_libtorch",
                median(optimizers::FROZEN_SGD) / median(optimizers::LIBTORCH_SGD),
                "a step of frozen SGD with momentum, in steps of libtorch's",
            ),
            ratio(
                "bandwidth_fraction",
                bandwidth(optimizers::FROZEN_ADAM) / bandwidth(optimizers::TRIAD),
                "bytes a second of frozen Adam, as a share of what `a = b + s · c` reaches",
            ),
            ratio(
                "hold_overhead",
                worst - 1.0,
                "what holding signs adds to a step of Adam that resets 4 % of the weights, as a share",
            ),
            ratio(
                "hold_overhead_training",
                float32.total.median / step(training::FLUID).total.median - 1.0,
                "what it adds to a whole training step in float32, as a share",
            ),
            ratio(
                "projection_ms",
                1e3 * median(optimizers::PROJECTION),
                "the projection alone, in milliseconds",
            ),
            ratio(
                "optimizer_share",
                float32.optimizer.median / float32.total.median,
                "optimizer and projection, as a share of a training step in float32",
            ),
            ratio(
                "frozen_vs_libtorch_step",
                step(training::LIBTORCH).total.median / float32.total.median,
                "images a second of a frozen run, in those of libtorch's Adam without signs held",
            ),
            ratio(
                "bf16_speedup",
                float32.total.median / step(training::FROZEN_BF16).total.median,
                "images a second computed in bfloat16, in those computed in float32",
            ),
            ratio(
                "xor_ensemble_speedup",
                widest.together / widest.alone,
                "steps a second of the widest XOR networks side by side, in those of one alone",
            ),
        ]
    }

    /// `optimizers.csv`: one row a case.
    pub fn optimizers_csv(&self) -> String {
        csv(self.cases.iter().map(Case::to_json))
    }

    /// `holding.csv`: one row a rule and share of resets.
    pub fn holding_csv(&self) -> String {
        csv(self.holdings.iter().map(Holding::to_json))
    }

    /// `training.csv`: one row a training step.
    pub fn training_csv(&self) -> String {
        csv(self.steps.iter().map(Step::to_json))
    }

    /// `ensembles.csv`: one row a width.
    pub fn ensembles_csv(&self) -> String {
        csv(self.ensembles.iter().map(Ensemble::to_json))
    }

    /// All of it as one JSON object: the ratios by key, then the cases.
    pub fn to_json(&self) -> Value {
        let mut object = serde_json::Map::new();
        for Ratio { key, value, .. } in self.ratios() {
            object.insert(key.into(), json!(spread::rounded(value)));
        }
        object.insert("threads".into(), json!(self.threads));
        object.insert("cases".into(), self.cases.iter().map(Case::to_json).collect());
        let holdings = self.holdings.iter().map(Holding::to_json);
        object.insert("holdings".into(), holdings.collect());
        object.insert("steps".into(), self.steps.iter().map(Step::to_json).collect());
        let ensembles = self.ensembles.iter().map(Ensemble::to_json);
        object.insert("ensembles".into(), ensembles.collect());
        Value::Object(object)
    }
}

/// `gpu.csv`: one row a training step on a device.
pub fn device_csv(steps: &[DeviceStep]) -> String {
    csv(steps.iter().map(DeviceStep::to_json))
}

/// Training steps on a device as JSON.
pub fn device_json(steps: &[DeviceStep]) -> Value {
    steps.iter().map(DeviceStep::to_json).collect()
}

/// Objects with the same keys as a table whose columns are the keys.
fn csv(rows: impl Iterator<Item = Value>) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    let promise = "a table in memory takes rows of one length";
    for (index, row) in rows.enumerate() {
        let object = row.as_object().expect("a case is an object");
        if index == 0 {
            table.write_record(object.keys()).expect(promise);
        }
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        table.write_record(object.values().map(text)).expect(promise);
    }
    String::from_utf8(table.into_inner().expect(promise)).expect("every value was text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64) -> Spread {
        Spread { low: median, median, high: median }
    }

    fn case(name: &'static str, milliseconds: f64, bytes: Option<f64>) -> Case {
        let (weights, threads) = (1000, NonZeroUsize::MIN);
        let seconds = spread(1e-3 * milliseconds);
        Case { name, weights, threads, rounds: 3, seconds, bytes, resets: 0.0 }
    }

    fn step(name: &'static str, optimizer: f64, total: f64) -> Step {
        let [forward, backward] = [spread(0.0); 2];
        let (optimizer, total) = (spread(optimizer), spread(total));
        Step { name, rounds: 3, forward, backward, optimizer, total, resets: 0.0 }
    }

    #[test]
    fn ratios_are_of_the_last_cases_and_stand_in_the_json_by_key() {
        let cases = vec![
            case(optimizers::FROZEN_ADAM, 1000.0, Some(28.0)),
            case(optimizers::TRIAD, 12.0, Some(12.0)),
            case(optimizers::LIBTORCH_ADAM, 200.0, None),
            case(optimizers::LIBTORCH_ADAM_WHERE, 500.0, None),
            case(optimizers::FLUID_ADAM, 20.0, Some(28.0)),
            case(optimizers::FROZEN_ADAM, 25.0, Some(30.0)),
            case(optimizers::LIBTORCH_SGD, 50.0, None),
            case(optimizers::FROZEN_SGD, 10.0, Some(20.0)),
            case(optimizers::PROJECTION, 7.0, Some(4.0)),
        ];
        let steps = vec![
            step(training::FROZEN, 0.1, 2.0),
            step(training::FLUID, 0.1, 1.6),
            step(training::FROZEN_BF16, 0.1, 0.5),
            step(training::LIBTORCH, 1.0, 3.0),
        ];
        let holdings = [1.0, 1.0625].map(|held| Holding {
            rule: holding::ADAM,
            weights: 1000,
            threads: NonZeroUsize::MIN,
            rounds: 3,
            resets: 0.04,
            free: spread(1.0),
            held: spread(held),
        });
        let holdings = holdings.into();
        let ensembles = vec![Ensemble { width: 64, together: 500.0, alone: 2.0 }];
        let json =
            Bench { threads: NonZeroUsize::MIN, cases, holdings, steps, ensembles }.to_json();
        let expected = [
            ("adam_vs_libtorch", 0.125),
            ("adam_vs_libtorch_where", 0.05),
            ("sgd_vs_libtorch", 0.2),
            ("bandwidth_fraction", 1.2),
            ("hold_overhead", 0.0625),
            ("hold_overhead_training", 0.25),
            ("projection_ms", 7.0),
            ("optimizer_share", 0.05),
            ("frozen_vs_libtorch_step", 1.5),
            ("bf16_speedup", 4.0),
            ("xor_ensemble_speedup", 250.0),
        ];
        for (key, value) in expected {
            approx::assert_relative_eq!(json[key].as_f64().unwrap(), value, epsilon = 1e-9);
        }
        assert_eq!(json["cases"].as_array().unwrap().len(), 9);
    }

    #[test]
    fn a_table_has_a_column_a_key_and_nothing_where_nothing_is_known() {
        let case = case(optimizers::LIBTORCH_ADAM, 2.0, None);
        let text = csv([case.to_json()].into_iter());
        let (header, row) = text.trim().split_once('\n').unwrap();
        assert!(header.starts_with("case,weights,threads,rounds,ms,"), "{header}");
        assert!(row.starts_with("Adam of libtorch,1000,1,3,2.0,2.0,2.0,,,"), "{row}");
    }
}
