//! What goes into the queue: job arrays of the tasks, and the job that comes last.

use std::fs;
use std::path::PathBuf;

use anyhow::anyhow;

use super::submission::{Submission, Submitted, at, folder, listed};
use crate::cli::Failure;
use crate::experiment::Plan;
use crate::slurm::{Array, Closing, Command, Settings, queue};

/// What goes into the queue.
pub(super) struct Work<'a> {
    pub(super) plan: &'a Plan,
    pub(super) settings: &'a Settings,
    pub(super) command: Command,
    /// The ids of the cells of each task; a source is a task of its own, and these come first.
    pub(super) tasks: Vec<Vec<String>>,
    /// Which submission of the results folder it is.
    pub(super) number: u32,
    pub(super) name: String,
}

impl Work<'_> {
    /// The scripts of arrays of at most `size` tasks, with the task each begins at and their number.
    fn scripts(&self, size: usize) -> anyhow::Result<Vec<(usize, usize, String)>> {
        let tasks = self.tasks_file();
        let logs = self.logs();
        let is_odd = |c: char| c == '\\' || c.is_control();
        if logs.display().to_string().contains(is_odd) {
            return Err(anyhow!(
                "{}: `sbatch` reads `\\` and ends of lines in the names of logs in its own way; choose another place \
                 with `results=DIR`",
                logs.display()
            ));
        }
        let starts = (0..self.tasks.len()).step_by(size);
        let scripts = starts.map(|first| {
            let count = size.min(self.tasks.len() - first);
            let array = Array {
                name: &self.name,
                command: &self.command,
                tasks: &tasks,
                first,
                count,
                logs: &logs,
                settings: self.settings,
            };
            Ok((first, count, array.script()?))
        });
        scripts.collect()
    }

    fn closing(&self) -> String {
        let (name, command, settings) = (&*self.name, &self.command, self.settings);
        Closing { name, command, logs: &self.logs(), settings }.script()
    }

    /// The scripts, those of the tasks as one array.
    pub(super) fn printed(&self) -> anyhow::Result<String> {
        let scripts = self.scripts(self.tasks.len())?;
        let scripts: Vec<String> = scripts.into_iter().map(|(.., script)| script).collect();
        Ok(format!("{}\n{}", scripts.join("\n"), self.closing()))
    }

    /// Asks whether the cluster would take it, and puts nothing into the queue.
    pub(super) fn try_out(&self, largest: usize) -> Result<(), Failure> {
        let scripts = self.scripts(largest).map_err(Failure::Input)?;
        let closing = self.closing();
        for script in scripts.iter().map(|(.., script)| script).chain([&closing]) {
            queue::would_take(script).map_err(Failure::input)?;
        }
        Ok(())
    }

    /// Puts all into the queue, in arrays of at most `largest` tasks; gives back the numbers of the jobs.
    ///
    /// The submission is noted before its first array and again after each, so that what is in the queue is known
    /// whatever comes next.
    pub(super) fn submit(&self, largest: usize) -> Result<String, Failure> {
        let results = self.plan.results();
        self.write_tasks().map_err(Failure::Work)?;
        let (name, tasks) = (self.name.clone(), self.tasks.clone());
        let mut submission = Submission { name, tasks, arrays: Vec::new() };
        submission.write(&results, self.number).map_err(Failure::Work)?;
        for (first, count, script) in self.scripts(largest).map_err(Failure::Input)? {
            let job = queue::submit(&script, &[]).map_err(|error| submission.cut_off(error))?;
            submission.arrays.push(Submitted { job, first, count });
            submission.write(&results, self.number).map_err(Failure::Work)?;
        }
        let jobs = submission.jobs();
        queue::submit(&self.closing(), &jobs).map_err(|error| submission.cut_off(error))?;
        Ok(listed(&jobs))
    }

    fn write_tasks(&self) -> anyhow::Result<()> {
        let lines: Vec<String> = self.tasks.iter().map(|ids| ids.join(" ") + "\n").collect();
        let file = self.tasks_file();
        fs::create_dir_all(self.logs())
            .and_then(|()| fs::write(&file, lines.concat()))
            .map_err(at(&file))
    }

    fn tasks_file(&self) -> PathBuf {
        self.place(format!("{}.tasks", self.number))
    }

    fn logs(&self) -> PathBuf {
        self.place(format!("{}", self.number))
    }

    fn place(&self, name: String) -> PathBuf {
        self.command.folder.join(folder(&self.plan.results())).join(name)
    }
}
