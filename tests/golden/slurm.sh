#!/bin/bash
#SBATCH --job-name=polarity-grid
#SBATCH --array=0-0
#SBATCH --requeue
#SBATCH --signal=B:USR1@90
#SBATCH --open-mode=append
#SBATCH --chdir=FOLDER/results/grid/slurm/1
#SBATCH --output=FOLDER/results/grid/slurm/1/0+%a.log
#SBATCH --gres=tmp:1
#SBATCH --partition=main
#SBATCH --qos=low
#SBATCH --time=30
# A line of the file of tasks holds the ids of the cells of one task. What is finished is never computed again.
cd FOLDER || exit 1
task=$((0 + SLURM_ARRAY_TASK_ID))
POLARITY run grid.yaml seeds=0..2 --device=cpu --task FOLDER/results/grid/slurm/1.tasks:"$task" &
run=$!
trap 'kill -USR1 "$run" 2>/dev/null' USR1
trap 'kill -TERM "$run" 2>/dev/null' TERM
while true; do
  wait "$run"; status=$?
  kill -0 "$run" 2>/dev/null || break
done
# 128 + USR1: the time is over, and the cell under way is kept. It goes on from there.
if [ "$status" = 138 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"

#!/bin/bash
#SBATCH --job-name=polarity-grid-merge
#SBATCH --output=FOLDER/results/grid/slurm/1/merge.log
#SBATCH --partition=main
#SBATCH --qos=low
#SBATCH --time=30
# The tables, the report and the figures of what there is.
cd FOLDER || exit 1
polarity=POLARITY
"$polarity" slurm merge grid.yaml seeds=0..2 --device=cpu || exit
"$polarity" report grid.yaml seeds=0..2 > FOLDER/results/grid/slurm/1/report.md && "$polarity" plot grid.yaml seeds=0..2
