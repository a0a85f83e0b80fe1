#!/bin/bash

# Parameters
#SBATCH --array=0-2%3
#SBATCH --cpus-per-task=4
#SBATCH --exclude=n1,n2,n7
#SBATCH --gpus-per-node=1
#SBATCH --job-name=o-abc
#SBATCH --mem=6000M
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=/store/s/submitit/%A_%a_0_log.out
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --requeue
#SBATCH --signal=USR2@90
#SBATCH --time=120

# setup
echo "orch: execution begins on ${SLURMD_NODENAME:-$HOSTNAME}, restart ${SLURM_RESTART_COUNT:-0}"
orch_depth=${#BASH_SOURCE[@]}
trap 'if [ "${#BASH_SOURCE[@]}" -le "$orch_depth" ]; then orch_said=1; echo "orch: setup line failed: $BASH_COMMAND" >&2; exit 1; fi' ERR
task="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}"
case "$(stat -c %A /store/s/submitit)" in ????r*) looks=g-w,o-rwx ;; *) looks=go-rwx ;; esac
chmod -f "$looks" /store/s/submitit/"${task:-$SLURM_JOB_ID}"_*_log.* || :
ln -sfn task.pkl /store/s/submitit/"${task:-$SLURM_JOB_ID}_submitted.pkl"
export PYTHONSAFEPATH=1
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"; fi
if [ -e "${SLURM_CONF%/*}/lab.json" ]; then export CUDA_DEVICE_ORDER=PCI_BUS_ID; SUBMITIT_EXECUTOR=slurm /opt/bin/python -m slurm.lab.gpuwait || :; fi
orch_before="$(env -0 | base64 -w0)"
if [ "${#orch_before}" -lt 90000 ]; then export ORCH_BEFORE_SETUP="$orch_before"; fi
trap 'case "${orch_said:-}$BASH_COMMAND" in 1*|exit*) ;; trap*) echo "orch: setup line failed: they are no shell lines" >&2 ;; *) echo "orch: setup line failed: $BASH_COMMAND" >&2 ;; esac' EXIT
module load cuda
trap - ERR
case "$(trap -p EXIT)" in *orch_said*) trap - EXIT ;; esac

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /store/s/submitit/%A_%a_%t_log.out --nodes=1 --ntasks=1 --open-mode=append --export=ALL /opt/bin/python -u -m submitit.core._submit /store/s/submitit
