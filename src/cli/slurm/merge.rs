//! `polarity slurm merge`: the tables of what there is.

use anyhow::anyhow;
use clap::Args;

use crate::cli::device::DeviceArg;
use crate::cli::{ExperimentArgs, Failure, print};
use crate::experiment::{Published, Records, publish};

/// Write the tables of what there is, and say what is missing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  polarity slurm merge experiments/xor5d.yaml    as the last job of a submission does

Nothing is trained. A table that stands there is not replaced by one that lacks cells of it.")]
pub(in crate::cli) struct Merge {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// What the cells were computed on: auto, cpu or cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceArg,
}

impl Merge {
    pub(super) fn run(self) -> Result<(), Failure> {
        let plan = self.experiment.plan_for(self.device.planned(false))?;
        if !plan.results().join("cells").exists() {
            let (results, file) = (plan.results(), self.experiment.file.display());
            return Err(Failure::Input(anyhow!(
                "{}: nothing has run here yet; `polarity slurm submit {file}` or `polarity run {file}`",
                results.display()
            )));
        }
        let published = publish(&plan).map_err(Failure::work)?;
        let records = Records::read(&plan.results()).map_err(Failure::work)?;
        let missing = records.unfinished(plan.all_cells());
        let (name, all) = (&plan.experiment().name, plan.all_cells().count());
        let table = plan.results().join("trials.csv");
        let mut text = format!("{name}: {} of {all} cells\n", all - missing.len());
        match published {
            Published::Written { replaced } => {
                text += &format!("results: {}\n", table.display());
                if replaced > 0 {
                    text += &format!(
                        "{replaced} rows of cells that this experiment does not have were replaced\n"
                    );
                }
            }
            Published::Kept { rows } => {
                text += &format!(
                    "{}: left as it is, {rows} of its rows are missing here\n",
                    table.display()
                );
            }
        }
        if let Some(first) = missing.first() {
            let file = self.experiment.file.display();
            text += &format!(
                "missing: {} cells, {} of arm {} first; `polarity slurm submit {file}` submits them again\n",
                missing.len(),
                first.id,
                first.key.arm
            );
        }
        print(&text)
    }
}
