"""Launching by submitit: it writes the script, pickles the worker and calls sbatch.

Differences to its own way, each for a reason (see docs/slurm.md): one pickle serves every task and is there before
sbatch is called, and each task links its own name to it; nothing of a surrounding allocation reaches the job; sbatch
has a time limit.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit.core.utils import DelayedSubmission, FailedJobError, FailedSubmissionError
from submitit.slurm.slurm import SlurmExecutor

import jobs
from jobs.errors import OrchError
from jobs.files import write_bytes
from jobs.kind import Resources
from jobs.worker import Task
from slurm import hostlist
from slurm.backend import LaunchRefused, QueuedJob, Submission
from slurm.causes import MARK
from slurm.commands import strange_to_jobs
from slurm.refusals import of_sbatch

PICKLE = "task.pkl"
OURS = frozenset(
    {"job_name", "array", "output", "error", "open_mode", "wrap", "parsable", "test_only", "wait", "signal"}
)
"""sbatch parameters that orch sets itself: a job's options may not."""
_GPU_REQUESTS = frozenset({"gpus", "gpus_per_node", "gpus_per_task", "gpus_per_socket", "gres"})
_MEMORY_REQUESTS = frozenset({"mem", "mem_per_cpu", "mem_per_gpu"})
_CPU_REQUESTS = frozenset({"cpus_per_task", "cpus_per_gpu"})

_SWITCHES = {"true": True, "false": False}
_TIME = re.compile(r"^(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?$")


@dataclass(frozen=True, kw_only=True)
class LaunchSettings:
    """How to launch, the same for all jobs."""

    signal_delay_s: int = 90
    """Seconds between USR2 and the time limit; at most a sixth of the limit, which SLURM keeps only to a minute."""
    sbatch_timeout_s: float = 60.0


def folder_of(submission: Path) -> Path:
    """submitit's folder in a submission's folder."""
    return submission / "submitit"


def own_exclude(job: QueuedJob) -> frozenset[str]:
    """Nodes that the user and the job itself keep out, whatever orch knows of them. Raises LaunchRefused."""
    asked = free_parameters(job.options).get("exclude", "")
    try:
        return frozenset(hostlist.expand(str(asked))) | job.avoid
    except ValueError as error:
        raise LaunchRefused(f"bad value for 'exclude': {error}; give node names such as gpu[01-04],gpu07") from None


def free_parameters(options: Mapping[str, Any]) -> dict[str, Any]:
    """The job's own sbatch parameters by submitit's spelling ('cpus_per_task'); unset ones left out."""
    found: dict[str, Any] = {}
    for key, value in dict(options.get("slurm") or {}).items():
        name = str(key).lstrip("-").replace("-", "_")
        if name in OURS:
            raise LaunchRefused(f"sbatch parameter '{key}' is set by orch itself: leave it out")
        if isinstance(value, str):
            value = _SWITCHES.get(value.strip().lower(), value)  # as `--sbatch no-requeue=true` says it
        if value is None or value is False:
            if name == "requeue" and value is False:
                found["no_requeue"] = True
            continue
        found[name] = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
    return found


def seconds_of(time: str) -> int:
    """A time limit in sbatch's spelling, '90', '10:30', '2:00:00' or '1-12:00', in seconds; else a day."""
    match = _TIME.match(time.strip())
    if match is None:
        return 24 * 3600
    days, first, second, third = match.groups()
    numbers = [int(part or 0) for part in (first, second, third)]
    if days is not None or third is not None:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, numbers[:2]
    return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds


def parameters(submission: Submission, exclude: frozenset[str], settings: LaunchSettings) -> dict[str, Any]:
    """What submitit's executor is given for this submission. Pure but for the names of the caller's environment."""
    job = submission.batch.jobs[0]
    free = free_parameters(job.options)
    asked = _resources(job.resources, free)
    asked["job_name"] = submission.token
    limit = seconds_of(str(free.get("time", job.resources.minutes)))
    asked["signal_delay_s"] = max(1, min(settings.signal_delay_s, limit // 6))
    asked["wckey"] = None  # submitit's own default is refused where workload keys are checked
    asked["array_parallelism"] = len(submission.batch.jobs)
    asked["stderr_to_stdout"] = True
    asked["setup"] = setup_lines(folder_of(submission.folder), job.options.get("setup") or ())
    # Without srun a signal before the limit never reaches Python, with it a step costs time: so only where it helps.
    asked["use_srun"] = job.checkpoints
    asked["srun_args"] = ["--nodes=1", "--ntasks=1", "--open-mode=append"]
    if nodes := own_exclude(job) | exclude:
        asked["exclude"] = hostlist.join(nodes)
    free.pop("exclude", None)
    if not free.get("no_requeue"):
        free.setdefault("requeue", True)
    asked["additional_parameters"] = free
    return asked


def _resources(resources: Resources, free: Mapping[str, Any]) -> dict[str, Any]:
    """Time, memory, CPUs and GPUs, always said (a default of SLURM can starve `import torch`) unless `free` says it."""
    asked: dict[str, Any] = {}
    if "time" not in free:
        asked["time"] = resources.minutes
    if not _MEMORY_REQUESTS & free.keys():
        asked["mem"] = f"{resources.memory_mb}M"
    if not _CPU_REQUESTS & free.keys():
        asked["cpus_per_task"] = resources.cpus
    if resources.gpus and not _GPU_REQUESTS & free.keys():
        asked["gpus_per_node"] = resources.gpus
    return asked


def setup_lines(folder: Path, own: Iterable[str]) -> list[str]:
    """Shell lines before the worker: our own, then the user's, of which one that fails ends the job at once.

    The link makes submitit find its pickle under the name it expects, without anybody renaming pickles after sbatch.
    """
    where = shlex.quote(str(folder))
    lines = [
        f'echo "{MARK} on ${{SLURMD_NODENAME:-$HOSTNAME}}, restart ${{SLURM_RESTART_COUNT:-0}}"',
        "trap 'echo \"orch: setup line failed: $BASH_COMMAND\" >&2; exit 1' ERR",
        'task="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}"',
        f'ln -sfn {PICKLE} {where}/"${{task:-$SLURM_JOB_ID}}_submitted.pkl"',
        "export PYTHONSAFEPATH=1",
        # srun does not take the CPUs of the job for its step since SLURM 22.05 (its release notes).
        'if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"; fi',
    ]
    root = Path(jobs.__file__).parents[1]
    if root.name not in ("site-packages", "dist-packages"):  # run from a source tree that may not be installed
        lines.append(f"export PYTHONPATH={shlex.quote(str(root))}${{PYTHONPATH:+:$PYTHONPATH}}")
    return [*lines, *own, "trap - ERR"]


def ensure_pickle(submission: Path) -> None:
    """Put the pickle in place where it is missing. Any pickle serves any task, for it reads the manifest by index."""
    folder = folder_of(submission)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / PICKLE
    if not target.exists():
        draft = folder / f".{PICKLE}.{os.getpid()}"
        DelayedSubmission(Task(str(submission))).dump(draft)
        write_bytes(target, draft.read_bytes())
        draft.unlink()


class Executor(SlurmExecutor):
    """submitit's executor for one submission."""

    def __init__(self, folder: Path, settings: LaunchSettings) -> None:
        super().__init__(folder)
        self.settings = settings

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        # By `env` and not by changing os.environ, which other threads read. `timeout` also puts sbatch into a process
        # group of its own, so that Ctrl-C in a terminal does not cut it off half way.
        unset = [word for name in strange_to_jobs(os.environ) for word in ("-u", name)]
        limit = f"{self.settings.sbatch_timeout_s:g}"
        return ["env", *unset, "timeout", "-k", "5", limit, *super()._make_submission_command(submission_file_path)]

    def launch(self, count: int) -> str:
        """Call sbatch once for `count` tasks and return SLURM's id."""
        if count > 1:
            self.parameters["map_count"] = count
        job = self._submit_command(self._submitit_command_str)
        return str(job.job_id)


def script(submission: Submission, exclude: frozenset[str], settings: LaunchSettings) -> str:
    """The text of the sbatch script, as submitit writes it."""
    executor = _executor(submission, exclude, settings)
    if len(submission.batch.jobs) > 1:
        executor.parameters["map_count"] = len(submission.batch.jobs)
    return str(executor._make_submission_file_text(executor._submitit_command_str, ""))


def _executor(submission: Submission, exclude: frozenset[str], settings: LaunchSettings) -> Executor:
    executor = Executor(folder_of(submission.folder), settings)
    executor.update_parameters(**parameters(submission, exclude, settings))
    return executor


def submit(submission: Submission, exclude: frozenset[str], settings: LaunchSettings) -> str:
    """One sbatch, after `ensure_pickle`. Returns SLURM's id of the job or array.

    Raises LaunchRefused, LimitReached or LaunchUncertain.
    """
    executor = _executor(submission, exclude, settings)
    printed = io.StringIO()
    try:
        # submitit prints sbatch's error besides raising it.
        with contextlib.redirect_stderr(printed):
            return executor.launch(len(submission.batch.jobs))
    except FailedJobError as error:
        raise _meaning(error) from None
    except FailedSubmissionError as error:
        raise of_sbatch(str(error), None) from None


def _meaning(error: FailedJobError) -> OrchError:
    cause = error.__cause__
    if isinstance(cause, subprocess.CalledProcessError):
        return of_sbatch(f"{cause.output or ''}\n{cause.stderr or ''}", cause.returncode)
    return of_sbatch(str(error), None)
