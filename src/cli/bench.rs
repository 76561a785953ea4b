//! `polarity bench`: how fast a sign-held step is here.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use tch::Device;

use super::device::DeviceArg;
use super::say::say;
use super::{Failure, print};
use crate::bench::{
    Bench, Case, DeviceStep, Ensemble, Holding, Ratio, SHAPES, Step, device_csv, device_json,
    steps_on,
};
use crate::experiment::write_results;

/// Measure the optimizers and a training step beside libtorch's own
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity bench                            about five minutes, also written to results/bench/*.csv
  polarity bench --json --threads 2         one JSON object
  polarity bench --device cuda:0            a training step on a GPU, part by part: gpu.csv

Run it on an idle machine: cases are timed in turn, but a busy machine slows them unevenly.")]
pub(super) struct BenchCommand {
    /// Print one JSON object in place of the tables
    #[arg(long)]
    json: bool,
    /// CPU threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// What to measure: all there is on the `cpu`, or a training step on a GPU, cuda:0
    #[arg(long, default_value = "cpu")]
    device: DeviceArg,
    /// The folder of the CSV files
    #[arg(long, value_name = "DIR", default_value = "results/bench")]
    out: PathBuf,
}

impl BenchCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        // A folder that cannot be written is better known before the minutes than after them.
        std::fs::create_dir_all(&self.out)
            .map_err(|error| Failure::Input(anyhow!("--out {}: {error}", self.out.display())))?;
        let device = self.device.resolve()?;
        if device.is_cuda() {
            return self.on_gpu(device);
        }
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = self.threads.unwrap_or(cores);
        let bench = Bench::run(threads, &mut |what| say(&format!("measuring {what}")))
            .map_err(Failure::work)?;
        write(&self.out, "optimizers.csv", bench.optimizers_csv())?;
        write(&self.out, "holding.csv", bench.holding_csv())?;
        write(&self.out, "training.csv", bench.training_csv())?;
        write(&self.out, "ensembles.csv", bench.ensembles_csv())?;
        if self.json {
            let text = serde_json::to_string_pretty(&bench.to_json()).map_err(Failure::work)?;
            return print(&format!("{text}\n"));
        }
        print(&tables(&bench))
    }

    fn on_gpu(self, device: Device) -> Result<(), Failure> {
        say("measuring training steps of AlexNet");
        let steps = steps_on(device, &SHAPES).map_err(Failure::work)?;
        write(&self.out, "gpu.csv", device_csv(&steps))?;
        if self.json {
            let text = serde_json::to_string_pretty(&device_json(&steps)).map_err(Failure::work)?;
            return print(&format!("{text}\n"));
        }
        print(&device_table(&steps))
    }
}

fn write(folder: &Path, name: &str, text: String) -> Result<(), Failure> {
    write_results(folder, name, &text).map_err(Failure::work)
}

fn tables(bench: &Bench) -> String {
    let mut text = String::new();
    let mut heading = None;
    for case in &bench.cases {
        if heading.replace((case.weights, case.threads)) != Some((case.weights, case.threads)) {
            text += &format!(
                "\nOptimizers, {} weights, {} threads: ms a step, quartiles of {} steps\n\n",
                case.weights, case.threads, case.rounds
            );
        }
        text += &optimizer_line(case);
    }
    text += "\nHolding signs, 61,100,840 weights: ms a step, by the share of weights reset\n\n";
    bench.holdings.iter().for_each(|holding| text += &holding_line(holding));
    text += "\nTraining AlexNet, 224 px, batch 32: ms a step\n\n";
    bench.steps.iter().for_each(|step| text += &training_line(step));
    text += "\nXOR networks, 5 inputs, batch 32: net-steps a second\n\n";
    bench.ensembles.iter().for_each(|ensemble| text += &ensemble_line(ensemble));
    text += "\nRatios, of the largest network on all threads\n\n";
    for Ratio { key, value, meaning } in bench.ratios() {
        text += &format!("  {key:<24}{value:9.3}  {meaning}\n");
    }
    text.trim_start().to_owned()
}

fn optimizer_line(case: &Case) -> String {
    let [low, median, high] =
        [case.seconds.low, case.seconds.median, case.seconds.high].map(|seconds| 1e3 * seconds);
    let rate = case.bandwidth().map(|rate| format!("{:6.1} GB/s", 1e-9 * rate));
    let resets = match case.resets {
        0.0 => String::new(),
        share => format!("  {:.2} % reset", 100.0 * share),
    };
    let name = case.name;
    let rate = rate.unwrap_or_default();
    let line = format!("  {name:<30}{median:9.3}  [{low:.3}, {high:.3}]  {rate}{resets}");
    format!("{}\n", line.trim_end())
}

fn holding_line(holding: &Holding) -> String {
    format!(
        "  {:<18}{:7.2} % reset{:9.2} free{:9.2} held  {:.3}\n",
        holding.rule,
        100.0 * holding.resets,
        1e3 * holding.free.median,
        1e3 * holding.held.median,
        holding.ratio()
    )
}

fn training_line(step: &Step) -> String {
    let ms = |seconds: f64| 1e3 * seconds;
    let resets = match step.resets {
        0.0 => String::new(),
        share => format!("; {:.2} % reset", 100.0 * share),
    };
    format!(
        "  {:<42}{:8.1}  forward {:.1}, backward {:.1}, optimizer {:.1}; {:.1} images/s{resets}\n",
        step.name,
        ms(step.total.median),
        ms(step.forward.median),
        ms(step.backward.median),
        ms(step.optimizer.median),
        step.images_per_second()
    )
}

/// Free steps with the held ones below, and what holding costs of the optimizer's time and of the whole.
fn device_table(steps: &[DeviceStep]) -> String {
    let mut text = String::from("Training AlexNet, 61.1 million weights: ms a step, medians\n\n");
    for pair in steps.chunks(2) {
        pair.iter().for_each(|step| text += &device_line(step));
        if let [free, held] = pair {
            let ratio = |of: fn(&DeviceStep) -> f64| of(held) / of(free);
            let (optimizer, whole) = (ratio(|it| it.parts[3].median), ratio(|it| it.total.median));
            text += &format!("    held / free: optimizer {optimizer:.3}, step {whole:.3}\n");
        }
    }
    text
}

fn device_line(step: &DeviceStep) -> String {
    let [data, forward, backward, optimizer] = step.parts.map(|part| 1e3 * part.median);
    let DeviceStep { shape, precision, .. } = step;
    let held = if step.held { "held" } else { "free" };
    format!(
        "  {} px, batch {}, {precision}, {held}:{:9.2}  data {data:.2}, forward {forward:.2}, \
         backward {backward:.2}, optimizer {optimizer:.2}; {:.0} images/s\n",
        shape.side,
        shape.batch,
        1e3 * step.total.median,
        step.images_per_second()
    )
}

fn ensemble_line(ensemble: &Ensemble) -> String {
    format!(
        "  {:<3} hidden units{:12.0} side by side ({:.1} GFLOP/s){:10.0} alone\n",
        ensemble.width,
        ensemble.together,
        1e-9 * ensemble.flops(),
        ensemble.alone
    )
}
