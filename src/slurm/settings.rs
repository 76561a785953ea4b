//! What tasks ask of a cluster: from a user's own file, an experiment's `slurm:` block and the command line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Walltime;

/// What tasks ask of a cluster. Later settings take the place of earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, Value>);

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a word, a number, or `true` for an option that has no value"
)]
enum Value {
    /// An option that has no value, or is not given.
    Flag(bool),
    /// A whole number, each digit of which counts.
    Whole(u64),
    /// One below zero.
    Negative(i64),
    /// Any other number, `1e3` for example: how it was written is not known any more.
    Number(f64),
    /// A word.
    Text(String),
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("slurm.{key}: {what}")]
pub struct SettingsError {
    key: String,
    what: String,
}

const MINUTES: &str = "minutes-per-task";
const RUNNING: &str = "max-running";

/// Ours; all others are options of `sbatch`.
const OURS: [&str; 2] = [MINUTES, RUNNING];

/// The program's name for cores, and that of `sbatch`.
const CORES: [&str; 2] = ["cpus", "cpus-per-task"];

/// What the script says itself, or what would keep `sbatch` from queueing it and saying so.
const TAKEN: [&str; 19] = [
    "array",
    "begin",
    "chdir",
    "dependency",
    "error",
    "help",
    "job-name",
    "no-requeue",
    "open-mode",
    "output",
    "parsable",
    "quiet",
    "requeue",
    "signal",
    "test-only",
    "usage",
    "version",
    "wait",
    "wrap",
];

/// A year: the most minutes of a task.
const MOST_MINUTES: f64 = 525_600.0;

/// Minutes of a task where nobody says.
const USUAL_MINUTES: f64 = 30.0;

impl Settings {
    /// The same with `other` in place of what both say.
    #[must_use]
    pub fn with(mut self, other: Settings) -> Self {
        other.0.into_iter().for_each(|(name, value)| self.put(name, value));
        self
    }

    /// Sets an option by its name, to a value if it has one.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map_or(Value::Flag(true), |text| Value::Text(text.into()));
        self.put(name.into(), value);
    }

    /// Sets a value in place of that of the same name, or of the other name for cores.
    fn put(&mut self, name: String, value: Value) {
        if CORES.contains(&name.as_str()) {
            self.0.retain(|key, _| !CORES.contains(&key.as_str()));
        }
        self.0.insert(name, value);
    }

    /// Refuses what the script says itself, and what is no option's name or value.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<(), SettingsError> {
        for (key, value) in &self.0 {
            let wrong = |what: &str| SettingsError { key: key.clone(), what: what.into() };
            // `sbatch` takes the beginning of a name for the name.
            let is_short_for = |name: &&str| !key.is_empty() && name.starts_with(key.as_str());
            if TAKEN.iter().any(is_short_for) {
                return Err(wrong("is set by `polarity slurm submit` itself; leave it out"));
            }
            if is_short_for(&"clusters") {
                return Err(wrong(
                    "jobs of another cluster cannot be followed from here; submit on a login node of that one",
                ));
            }
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if key.is_empty() || !key.chars().all(is_name) {
                return Err(wrong(
                    "expected the long name of an option of `sbatch`, without dashes",
                ));
            }
            match value {
                Value::Text(text) if text.is_empty() => return Err(wrong("expected a value")),
                Value::Text(text) if text.chars().any(char::is_control) => {
                    return Err(wrong("a value is one line"));
                }
                Value::Number(number) if !OURS.contains(&key.as_str()) => {
                    return Err(wrong(&format!(
                        "YAML reads it as the number {number}; put it in quotes"
                    )));
                }
                _ => {}
            }
        }
        self.minutes_per_task()?;
        self.max_running()?;
        self.cores()?;
        self.walltime()?;
        Ok(())
    }

    /// Minutes that the cells of a task are to take together.
    ///
    /// # Errors
    /// When it is no number above 0.
    pub fn minutes_per_task(&self) -> Result<f64, SettingsError> {
        let minutes = self.number(MINUTES)?.unwrap_or(USUAL_MINUTES);
        match minutes > 0.0 && minutes <= MOST_MINUTES {
            true => Ok(minutes),
            false => {
                Err(self.wrong(MINUTES, "expected minutes, more than 0 and at most 525600, a year"))
            }
        }
    }

    /// How many tasks may run at once, if that is said.
    ///
    /// # Errors
    /// When it is no whole number above 0.
    pub fn max_running(&self) -> Result<Option<u32>, SettingsError> {
        match self.number(RUNNING)? {
            None => Ok(None),
            Some(most) if most >= 1.0 && most.fract() == 0.0 && most <= f64::from(u32::MAX) => {
                Ok(Some(most as u32))
            }
            Some(_) => Err(self.wrong(RUNNING, "expected a whole number, at least 1")),
        }
    }

    /// CPU cores of a task; one where nobody says.
    ///
    /// # Errors
    /// When it is no whole number above 0.
    pub fn cores(&self) -> Result<usize, SettingsError> {
        let named = CORES.into_iter().find(|key| self.0.contains_key(*key));
        let Some(key) = named else { return Ok(1) };
        match self.number(key)? {
            Some(cores) if cores >= 1.0 && cores.fract() == 0.0 && cores <= 65536.0 => {
                Ok(cores as usize)
            }
            _ => Err(self.wrong(key, "expected a whole number of cores")),
        }
    }

    /// How long a task may run, if that is said.
    ///
    /// # Errors
    /// When it is no time.
    pub fn walltime(&self) -> Result<Option<Walltime>, SettingsError> {
        let time = self.0.get("time").map(Value::written);
        time.map(|text| text.parse().map_err(|what: String| self.wrong("time", &what))).transpose()
    }

    /// The options of `sbatch`, `partition=main` or `exclusive`, in the order of their names.
    pub fn options(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|(key, _)| !OURS.contains(&key.as_str())).filter_map(|(key, value)| {
            let [ours, theirs] = CORES;
            let name = if key == ours { theirs } else { key };
            match value {
                Value::Flag(false) => None,
                Value::Flag(true) => Some(name.to_owned()),
                other => Some(format!("{name}={}", other.written())),
            }
        })
    }

    fn number(&self, key: &str) -> Result<Option<f64>, SettingsError> {
        let number = |value: &Value| match value {
            Value::Number(number) => Some(*number),
            other => other.written().parse().ok(),
        };
        let known = |value| number(value).ok_or_else(|| self.wrong(key, "expected a number"));
        self.0.get(key).map(known).transpose()
    }

    fn wrong(&self, key: &str, what: &str) -> SettingsError {
        SettingsError { key: key.into(), what: what.into() }
    }
}

impl Value {
    fn written(&self) -> String {
        match self {
            Value::Flag(flag) => flag.to_string(),
            Value::Whole(number) => number.to_string(),
            Value::Negative(number) => number.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(yaml: &str) -> Settings {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn later_settings_take_the_place_of_earlier_ones_and_options_keep_their_names() {
        let mut all = settings("{partition: cpu, cpus: 4, minutes-per-task: 20, exclusive: true}")
            .with(settings("{partition: gpu, gres: 'gpu:1', exclusive: false}"));
        all.set("qos", Some("low"));
        all.set("contiguous", None);
        assert_eq!(all.check(), Ok(()));
        let options: Vec<String> = all.options().collect();
        assert_eq!(
            options,
            ["contiguous", "cpus-per-task=4", "gres=gpu:1", "partition=gpu", "qos=low"]
        );
        let numbers = settings("{account: 12345678901234567890, nice: -5, minutes-per-task: 0.5}");
        assert_eq!(numbers.check(), Ok(()));
        assert_eq!(numbers.minutes_per_task(), Ok(0.5));
        let options: Vec<String> = numbers.options().collect();
        assert_eq!(options, ["account=12345678901234567890", "nice=-5"]);
        let last = all.clone().with(settings("{cpus-per-task: 2}"));
        assert_eq!(last.cores(), Ok(2));
        assert!(last.options().any(|option| option == "cpus-per-task=2"));
        assert_eq!(all.minutes_per_task(), Ok(20.0));
        assert_eq!((all.max_running(), all.walltime()), (Ok(None), Ok(None)));
    }

    #[test]
    fn what_the_script_says_itself_and_what_is_no_option_is_refused_by_its_key() {
        for (yaml, words) in [
            ("{array: '0-3'}", "slurm.array: is set by `polarity slurm submit` itself"),
            ("{Partition: x}", "slurm.Partition: expected the long name of an option"),
            ("{qos: \"a\\nb\"}", "slurm.qos: a value is one line"),
            ("{clusters: east}", "slurm.clusters: jobs of another cluster cannot be followed"),
            ("{qos: ''}", "slurm.qos: expected a value"),
            ("{account: 1e3}", "slurm.account: YAML reads it as the number 1000"),
            ("{minutes-per-task: 0}", "slurm.minutes-per-task: expected minutes"),
            ("{minutes-per-task: 1e308}", "slurm.minutes-per-task: expected minutes"),
            ("{arra: '0-1'}", "slurm.arra: is set by `polarity slurm submit` itself"),
            ("{minutes-per-task: soon}", "slurm.minutes-per-task: expected a number"),
            ("{max-running: 1.5}", "slurm.max-running: expected a whole number"),
            ("{time: soon}", "slurm.time: expected a time"),
        ] {
            let error = settings(yaml).check().unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
