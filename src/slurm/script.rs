//! The batch scripts, each a pure function of what is to run.

use std::path::{Path, PathBuf};

use super::{Settings, SettingsError};

/// How the program is called in a task: where, and with which experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program.
    pub program: PathBuf,
    /// The folder that it is called in.
    pub folder: PathBuf,
    /// The experiment's file and the changes to it.
    pub experiment: Vec<String>,
    /// What computes the cells, `cpu` or `cuda`.
    pub device: String,
}

impl Command {
    /// The program, the folder and the experiment as the shell reads them back.
    fn words(&self) -> [String; 3] {
        let Command { program, folder, experiment, .. } = self;
        let experiment: Vec<String> = experiment.iter().map(|word| quoted(word)).collect();
        let path = |path: &Path| quoted(&path.display().to_string());
        [path(program), path(folder), experiment.join(" ")]
    }
}

/// Tasks that are submitted as one job array.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    /// The name of the job.
    pub name: &'a str,
    /// How a task is called.
    pub command: &'a Command,
    /// The file with a line a task.
    pub tasks: &'a Path,
    /// Its first line that is of this array.
    pub first: usize,
    /// How many lines are.
    pub count: usize,
    /// Where what the tasks say is kept.
    pub logs: &'a Path,
    /// What tasks ask of the cluster.
    pub settings: &'a Settings,
}

/// The job after all tasks: the tables of what there is, and what is missing.
#[derive(Clone, Debug)]
pub struct Closing<'a> {
    /// The name of the job.
    pub name: &'a str,
    /// How the program is called.
    pub command: &'a Command,
    /// Where what it says is kept.
    pub logs: &'a Path,
    /// What tasks ask of the cluster.
    pub settings: &'a Settings,
}

/// Seconds before its time is over that a task is told so.
const WARNING: u32 = 90;

impl Array<'_> {
    /// The script.
    ///
    /// A task whose time is nearly over keeps its cell and is put back into the queue; one that is told to end
    /// keeps it too.
    ///
    /// # Errors
    /// When a setting cannot be.
    pub fn script(&self) -> Result<String, SettingsError> {
        let Array { name, command, tasks, first, count, logs, settings } = self;
        let ([program, folder, experiment], device) = (command.words(), &command.device);
        let most = settings.max_running()?.map_or(String::new(), |most| format!("%{most}"));
        let mut options = vec![
            format!("job-name={name}"),
            format!("array=0-{}{most}", count - 1),
            "requeue".into(),
            format!("signal=B:USR1@{WARNING}"),
            "open-mode=append".into(),
            // The queue shows it: by it the jobs of this results folder are known.
            format!("chdir={}", logs.display()),
            format!("output={}/{first}+%a.log", log_folder(logs)),
        ];
        options.extend(settings.options());
        Ok(format!(
            "#!/bin/bash
{}
# A line of the file of tasks holds the ids of the cells of one task. What is finished is never computed again.
cd {folder} || exit 1
task=$(({first} + SLURM_ARRAY_TASK_ID))
{program} run {experiment} --device={device} --task {}:\"$task\" &
run=$!
trap 'kill -USR1 \"$run\" 2>/dev/null' USR1
trap 'kill -TERM \"$run\" 2>/dev/null' TERM
while true; do
  wait \"$run\"; status=$?
  kill -0 \"$run\" 2>/dev/null || break
done
# 128 + USR1: the time is over, and the cell under way is kept. It goes on from there.
if [ \"$status\" = 138 ]; then scontrol requeue \"$SLURM_JOB_ID\"; fi
exit \"$status\"
",
            directives(&options),
            quoted(&tasks.display().to_string()),
        ))
    }
}

impl Closing<'_> {
    /// The script.
    pub fn script(&self) -> String {
        let Closing { name, command, logs, settings } = self;
        let ([program, folder, experiment], device) = (command.words(), &command.device);
        let is_of_place = |option: &String| {
            ["partition=", "account=", "qos=", "time="].iter().any(|kept| option.starts_with(kept))
        };
        let mut options = vec![
            format!("job-name={name}-merge"),
            format!("output={}/merge.log", log_folder(logs)),
        ];
        options.extend(settings.options().filter(is_of_place));
        format!(
            "#!/bin/bash
{}
# The tables, the report and the figures of what there is.
cd {folder} || exit 1
polarity={program}
\"$polarity\" slurm merge {experiment} --device={device} || exit
\"$polarity\" report {experiment} > {} && \"$polarity\" plot {experiment}
",
            directives(&options),
            quoted(&logs.join("report.md").display().to_string()),
        )
    }
}

fn directives(options: &[String]) -> String {
    let lines: Vec<String> =
        options.iter().map(|option| format!("#SBATCH --{}", line(option))).collect();
    lines.join("\n")
}

/// A folder of logs as `sbatch` reads it back, which puts numbers in place of `%a` and the like.
fn log_folder(logs: &Path) -> String {
    logs.display().to_string().replace('%', "%%")
}

/// An option as a line of a script has it: quotes where `sbatch` would read its value otherwise.
fn line(option: &str) -> String {
    match option.split_once('=') {
        Some((name, value)) if !value.chars().all(is_plain) => {
            format!("{name}=\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""))
        }
        _ => option.to_owned(),
    }
}

/// Whether neither the shell nor `sbatch` reads anything into it.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/._-=+:@%,".contains(c)
}

/// `word` as the shell reads it back.
fn quoted(word: &str) -> String {
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_that_the_shell_would_read_are_quoted() {
        assert_eq!(quoted("seeds=0..4"), "seeds=0..4");
        assert_eq!(quoted("arms.\"a b\".reset=flip"), "'arms.\"a b\".reset=flip'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn options_and_logs_are_what_sbatch_reads_back() {
        assert_eq!(line("qos=low"), "qos=low");
        assert_eq!(line("comment=a#b 'c'"), "comment=\"a#b 'c'\"");
        assert_eq!(line("comment=\"a\""), "comment=\"\\\"a\\\"\"");
        assert_eq!(log_folder(Path::new("results/r%j")), "results/r%%j");
    }

    proptest! {
        #[test]
        fn the_shell_reads_a_word_back(word in "[^\0]{0,20}") {
            let echoed = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(&word))])
                .output()
                .unwrap();
            prop_assert_eq!(String::from_utf8(echoed.stdout).unwrap(), word);
        }
    }
}
