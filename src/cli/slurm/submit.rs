//! `polarity slurm submit`: what is left, as a job array.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::submission::{Submission, at, listed, not_published, strays};
use super::work::Work;
use crate::cli::device::DeviceArg;
use crate::cli::say::say;
use crate::cli::{ExperimentArgs, Failure, print};
use crate::experiment::{Basis, Bundle, Cell, Estimate, Plan, Records, bundled, is_published};
use crate::slurm::{Command, Settings, Walltime, queue};

/// Submit what an experiment has not finished yet as a job array
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity slurm submit experiments/xor5d.yaml --partition cpu --cpus 4
  polarity slurm submit experiments/paper/transfer-fashion.yaml --gres gpu:1 --time 4:00:00
  polarity slurm submit experiments/xor5d.yaml --sbatch qos=low --sbatch exclusive
  polarity slurm submit experiments/xor5d.yaml --dry-run    the scripts; nothing is submitted

What is said here takes the place of the experiment's block `slurm: {partition: cpu, cpus: 4}`, and
that of ~/.config/polarity/slurm.yaml. Any option of `sbatch` stands there by its long name.

Failed and lost cells are submitted again by the same command, finished ones never.")]
pub(in crate::cli) struct Submit {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The partition
    #[arg(long)]
    partition: Option<String>,
    /// The account to charge
    #[arg(long)]
    account: Option<String>,
    /// The longest time of a task, as `sbatch` has it: minutes, h:m:s or days-hours
    #[arg(long)]
    time: Option<String>,
    /// Other resources, for example gpu:1
    #[arg(long)]
    gres: Option<String>,
    /// CPU cores of a task
    #[arg(long)]
    cpus: Option<String>,
    /// Memory of a task, for example 8G
    #[arg(long)]
    mem: Option<String>,
    /// The most tasks that run at once
    #[arg(long, value_name = "N")]
    max_running: Option<String>,
    /// Minutes that the cells of a task take together [default: 30]
    #[arg(long, value_name = "MINUTES")]
    minutes_per_task: Option<String>,
    /// Any other option of `sbatch`, by its long name
    #[arg(long, value_name = "NAME[=VALUE]")]
    sbatch: Vec<String>,
    /// What the nodes compute on: auto (a GPU where --gres asks for one), cpu or cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
    /// Print the scripts, and submit nothing; an array that is larger than the cluster's MaxArraySize is split
    /// when it is submitted
    #[arg(long)]
    dry_run: bool,
}

impl Submit {
    pub(super) fn run(self) -> Result<(), Failure> {
        let settings = self.settings()?;
        let asks_for_gpu =
            settings.options().any(|option| option.starts_with("g") && option.contains("gpu"));
        let plan = self.experiment.plan_for(self.device.planned(asks_for_gpu))?;
        let (work, file) = (self.work(&plan, &settings)?, self.experiment.file.display());
        if work.tasks.is_empty() {
            let mut text = "nothing is left: all cells are finished\n".to_owned();
            if !is_published(&plan) {
                text += &not_published(&self.experiment.file);
            }
            return print(&text);
        }
        if self.dry_run {
            return print(&work.printed().map_err(Failure::Input)?);
        }
        let (tasks, cells) = (work.tasks.len(), work.tasks.iter().map(Vec::len).sum::<usize>());
        let jobs = queued(work)?;
        print(&format!(
            "{cells} cells in {tasks} tasks, job {jobs}; `polarity slurm status {file}` says how far they are\n"
        ))
    }

    /// What of `plan` is not finished, in tasks.
    fn work<'a>(&self, plan: &'a Plan, settings: &'a Settings) -> Result<Work<'a>, Failure> {
        let records = Records::read(&plan.results()).map_err(Failure::work)?;
        let left = records.unfinished(plan.cells());
        let firsts = records.unfinished(plan.sources());
        let mut work = Work {
            plan,
            settings,
            command: self.command(plan)?,
            tasks: firsts.iter().map(|cell| vec![cell.id.clone()]).collect(),
            number: Submission::next_number(&plan.results()),
            name: format!("polarity-{}", plan.experiment().name),
        };
        if left.is_empty() && firsts.is_empty() {
            return Ok(work);
        }
        let estimate = estimate(plan, &records, &[&left[..], &firsts].concat())?;
        let bundles = bundled(plan, &left);
        check_walltime(&bundles, &estimate, settings)?;
        check_walltime(&bundled(plan, &firsts), &estimate, settings)?;
        let cores = settings.cores().map_err(Failure::input)?;
        let seconds = 60.0 * settings.minutes_per_task().map_err(Failure::input)?;
        work.tasks.extend(tasks(&bundles, &estimate, seconds * plan.workers(cores) as f64));
        Ok(work)
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let experiment = crate::cli::load(&self.experiment.file, &self.experiment.overrides)?;
        let mut settings = Settings::default().with(users_own()?).with(experiment.slurm);
        for (name, value) in [
            ("partition", &self.partition),
            ("account", &self.account),
            ("time", &self.time),
            ("gres", &self.gres),
            ("cpus", &self.cpus),
            ("mem", &self.mem),
            ("max-running", &self.max_running),
            ("minutes-per-task", &self.minutes_per_task),
        ] {
            if let Some(value) = value {
                settings.set(name, Some(value));
            }
        }
        for option in &self.sbatch {
            match option.split_once('=') {
                Some((name, value)) => settings.set(name, Some(value)),
                None => settings.set(option, None),
            }
        }
        settings.check().map_err(Failure::input)?;
        Ok(settings)
    }

    /// How a task calls the program, here and with this experiment.
    fn command(&self, plan: &Plan) -> Result<Command, Failure> {
        let unknown = |what, error| Failure::Work(anyhow!("{what}: {error}"));
        let program =
            std::env::current_exe().map_err(|it| unknown("the program's own path", it))?;
        let here =
            std::env::current_dir().map_err(|it| unknown("the folder it was called in", it))?;
        let file = self.experiment.file.display().to_string();
        let mut experiment = vec![file];
        experiment.extend(self.experiment.overrides.iter().cloned());
        Ok(Command { program, folder: here, experiment, device: plan.device().into() })
    }
}

/// How long cells take, from those that are finished or else from a few steps of `left` here.
fn estimate(plan: &Plan, records: &Records, left: &[&Cell]) -> Result<Estimate, Failure> {
    if let Some(estimate) = Estimate::of_finished(plan, records) {
        if let Basis::Finished(cells) = estimate.basis {
            say(&format!("how long cells take is known from {cells} that are finished"));
        }
        return Ok(estimate);
    }
    say("no cell has run yet: a few steps are timed here to know how long they take");
    let (estimate, _) = Estimate::rehearsed(plan, left).map_err(Failure::work)?;
    Ok(estimate)
}

/// The bundles of cells, as many to a task as take about `seconds`.
fn tasks(bundles: &[Bundle], estimate: &Estimate, seconds: f64) -> Vec<Vec<String>> {
    let mut tasks: Vec<Vec<String>> = Vec::new();
    let mut taken = f64::INFINITY;
    for bundle in bundles {
        let takes = estimate.seconds_of(bundle);
        if taken + takes > seconds {
            tasks.push(Vec::new());
            taken = 0.0;
        }
        taken += takes;
        if let Some(task) = tasks.last_mut() {
            task.extend(bundle.cells.iter().map(|cell| cell.id.clone()));
        }
    }
    tasks
}

/// Refuses a time that one of the `bundles`, which are computed side by side, does not fit into.
fn check_walltime(
    bundles: &[Bundle],
    estimate: &Estimate,
    settings: &Settings,
) -> Result<(), Failure> {
    let Some(Walltime(allowed)) = settings.walltime().map_err(Failure::input)? else {
        return Ok(());
    };
    // To Slurm it is no limit.
    if allowed == 0 {
        return Ok(());
    }
    let timed = bundles.iter().map(|bundle| (bundle, estimate.seconds_of(bundle)));
    let Some((longest, seconds)) = timed.max_by(|a, b| a.1.total_cmp(&b.1)) else { return Ok(()) };
    if seconds <= allowed as f64 {
        return Ok(());
    }
    let longest = longest.cells[0];
    Err(Failure::Input(anyhow!(
        "slurm.time: {allowed} seconds, but cell {} of arm {} takes about {:.0}; ask for --time {:.0}",
        longest.id,
        longest.key.arm,
        seconds,
        (seconds * 1.5 / 60.0).ceil()
    )))
}

/// Puts `work` into the queue once nothing keeps it from there; gives back the numbers of its jobs.
fn queued(work: Work) -> Result<String, Failure> {
    let largest = queue::largest_array().map_err(Failure::input)?;
    let results = work.plan.results();
    check_shared(&[&results, &work.command.folder, &work.command.program])?;
    work.try_out(largest)?;
    let _turn = Submission::turn(&results).map_err(Failure::Work)?;
    refuse_twice(&results, &work.name)?;
    let work = Work { number: Submission::next_number(&results), ..work };
    work.submit(largest)
}

/// Refuses a grid that is in the queue already.
fn refuse_twice(results: &Path, name: &str) -> Result<(), Failure> {
    let submissions = Submission::all(results).map_err(Failure::Work)?;
    if submissions.is_empty() {
        return Ok(());
    }
    let states = queue::states(name).map_err(Failure::work)?;
    let queued = submissions.iter().filter(|(_, submission)| submission.queued(&states) > 0);
    let (mut said, mut jobs) = (Vec::new(), Vec::new());
    for (number, submission) in queued {
        let (queued, of) = (submission.queued(&states), submission.jobs());
        said.push(format!("{queued} tasks of submission {number} are in the queue"));
        jobs.extend(of);
    }
    let strays = strays(results, &submissions, &states);
    if !strays.is_empty() {
        said.push(
            "jobs are in the queue of a submission that was cut off before it noted them".into(),
        );
        jobs.extend(strays);
    }
    match said.is_empty() {
        true => Ok(()),
        false => Err(Failure::Input(anyhow!(
            "{}; wait for them, or `scancel {}` first",
            said.join(", and "),
            listed(&jobs)
        ))),
    }
}

/// Refuses folders that every machine has for itself, links into them too.
fn check_shared(folders: &[&Path]) -> Result<(), Failure> {
    if queue::is_one_machine() {
        return Ok(());
    }
    for folder in folders {
        let place = std::path::absolute(folder).map_err(at(folder)).map_err(Failure::Work)?;
        let real = place.ancestors().find_map(|it| it.canonicalize().ok());
        let place = real.unwrap_or(place);
        let own = ["/tmp", "/var/tmp", "/dev/shm", "/run"];
        if let Some(own) = own.iter().find(|own| place.starts_with(own)) {
            return Err(Failure::Input(anyhow!(
                "{}: every node has a {own} of its own; build and submit in a folder that the nodes share, with results \
                 there (`results=DIR`)",
                place.display()
            )));
        }
    }
    Ok(())
}

/// The settings of the user's own file, if there is one.
fn users_own() -> Result<Settings, Failure> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    let Some(path) = config.map(|config| config.join("polarity/slurm.yaml")) else {
        return Ok(Settings::default());
    };
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Settings::default());
        }
        Err(error) => return Err(Failure::Input(anyhow!("{}: {error}", path.display()))),
        Ok(text) => text,
    };
    let refused = |error: &dyn std::fmt::Display| {
        Failure::Input(anyhow!("{}: {error}; a line there is `partition: cpu`", path.display()))
    };
    let settings = serde_yaml::Deserializer::from_str(&text);
    let settings: Settings =
        serde_path_to_error::deserialize(settings).map_err(|error| refused(&error))?;
    settings.check().map_err(|error| refused(&error))?;
    Ok(settings)
}
