#!/usr/bin/env bash
# A Slurm cluster of two nodes on this machine, for as long as a test takes. As root, with Debian's slurm-wlm and munge.
#   two-nodes.sh up DIR      start it; everything it writes is in DIR
#   two-nodes.sh down DIR    stop what `up` started
# SLURM_CONF=DIR/slurm.conf makes sbatch and squeue speak to it.
set -euo pipefail
what=$1
dir=$(realpath -m "$2")

stop() {
  for name in node1 node2 slurmctld munged; do
    if [ -s "$dir/$name.pid" ]; then kill "$(cat "$dir/$name.pid")" 2>/dev/null || true; fi
  done
}

configure() {
  local host
  host=$(hostname -s)
  cat <<CONF
ClusterName=polarity
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${POLARITY_SLURM_PORT:-17817}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.own.pid
SlurmdPidFile=$dir/%n.own.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,requeue_delay=0
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MaxArraySize=${POLARITY_SLURM_ARRAY:-1001}
MinJobAge=300
KillWait=2
SlurmctldTimeout=10
SlurmdTimeout=10
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((${POLARITY_SLURM_PORT:-17817} + 1)) CPUs=$(nproc) State=UNKNOWN
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((${POLARITY_SLURM_PORT:-17817} + 2)) CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
  mkdir -p "$dir"/state "$dir"/spool-node1 "$dir"/spool-node2
  chmod 755 "$dir"
  head -c 1024 /dev/urandom > "$dir/munge.key"
  chmod 400 "$dir/munge.key"
  configure > "$dir/slurm.conf"
  export SLURM_CONF="$dir/slurm.conf"
  munged --force --foreground --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.own.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munge.seed" >/dev/null 2>&1 & echo $! > "$dir/munged.pid"
  for _ in $(seq 50); do [ -S "$dir/munge.socket" ] && break; sleep 0.1; done
  slurmctld -D -f "$SLURM_CONF" >/dev/null 2>&1 & echo $! > "$dir/slurmctld.pid"
  for node in node1 node2; do
    slurmd -D -N "$node" -f "$SLURM_CONF" >/dev/null 2>&1 & echo $! > "$dir/$node.pid"
  done
  for _ in $(seq 300); do
    if [ "$(sinfo --noheader --Node --format=%T 2>/dev/null | grep -c '^idle')" = 2 ]; then return; fi
    sleep 0.1
  done
  echo "two-nodes.sh: the nodes did not become idle; $dir/slurmctld.log says why" >&2
  stop
  exit 1
}

case $what in
  up) start ;;
  down) stop ;;
  *) echo "two-nodes.sh: expected up or down, got $what" >&2; exit 2 ;;
esac
