"""Launching by submitit: it writes the script, pickles the worker and calls sbatch.

Differences to its own way, each for a reason (see docs/slurm.md): one pickle serves every task and is there before
sbatch is called, and each task links its own name to it; nothing of a surrounding allocation reaches the job; sbatch
has a time limit.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from submitit.core.utils import DelayedSubmission, FailedSubmissionError
from submitit.slurm.slurm import SlurmExecutor

import jobs
from jobs.errors import BadInput
from jobs.files import make_folder, open_private, write_bytes
from jobs.node import bundling
from jobs.node.environment import BEFORE_SETUP
from jobs.node.worker import Task
from jobs.resources import Resources
from slurm.backend import Launch, LaunchRefused, QueuedJob, Submission
from slurm.causes import MARK, SETUP_FAILED
from slurm.cluster import hostlist, options
from slurm.cluster.commands import strange_to_jobs
from slurm.cluster.refusals import of_sbatch
from slurm.cluster.setup import assigned

LARGEST_ENVIRONMENT = 90_000
"""Characters: the kernel takes no variable of more than 128 KiB (execve(2), MAX_ARG_STRLEN)."""
PICKLE = "task.pkl"
KILLED_AFTER_S = 5.0
"""From the TERM at sbatch's time limit to its KILL."""
_MEMORY_REQUESTS = frozenset({"mem", "mem_per_cpu", "mem_per_gpu"})
_CPU_REQUESTS = frozenset({"cpus_per_task", "cpus_per_gpu"})

_TIME = re.compile(r"^(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?$")


@dataclass(frozen=True, kw_only=True)
class LaunchSettings:
    """How to launch, the same for all jobs."""

    signal_delay_s: int = 90
    """Seconds between USR2 and the time limit; at most a sixth of the limit, which SLURM keeps only to a minute."""
    sbatch_timeout_s: float = 60.0

    @property
    def launch_seconds(self) -> float:
        """So long after its begin an sbatch is over."""
        return self.sbatch_timeout_s + KILLED_AFTER_S


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


def free_parameters(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The job's own sbatch parameters by submitit's spelling ('cpus_per_task'). Raises LaunchRefused."""
    try:
        return options.checked(dict(asked.get("slurm") or {}), None)
    except BadInput as error:
        raise LaunchRefused(str(error)) from None


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
    asked = _resources(_of_task(job, submission.batch.at_once), free)
    asked["job_name"] = submission.token
    limit = seconds_of(str(free.get("time", job.resources.minutes)))
    delay = int(job.options.get("signal_delay_seconds", settings.signal_delay_s))
    asked["signal_delay_s"] = max(1, min(delay, limit // 6))
    asked["wckey"] = None  # submitit's own default is refused where workload keys are checked
    asked["array_parallelism"] = 1 if job.pieces else submission.tasks
    asked["stderr_to_stdout"] = True
    on_gpus = bool(job.resources.gpus) or options.asks_gpus(free)
    asked["setup"] = setup_lines(folder_of(submission.folder), job.options.get("setup") or (), on_gpus=on_gpus)
    # Without srun a signal before the limit never reaches Python, with it a step costs time: so only where it helps.
    asked["use_srun"] = job.checkpoints
    asked["srun_args"] = ["--nodes=1", "--ntasks=1", "--open-mode=append", "--export=ALL"]
    if nodes := own_exclude(job) | exclude:
        asked["exclude"] = hostlist.join(nodes)
    free.pop("exclude", None)
    if not free.get("no_requeue"):
        free.setdefault("requeue", True)
    asked["additional_parameters"] = free
    return asked


def _of_task(job: QueuedJob, at_once: int) -> Resources:
    """What a task asks for that runs so many of these jobs at a time."""
    wanted, per_gpu = job.resources, max(1, int(job.options.get("jobs_per_gpu", 1)))
    if at_once <= 1:
        return wanted
    gpus = bundling.gpus_needed(wanted.gpus, at_once, per_gpu)
    return msgspec.structs.replace(wanted, cpus=wanted.cpus * at_once, memory_mb=wanted.memory_mb * at_once, gpus=gpus)


def _resources(resources: Resources, free: Mapping[str, Any]) -> dict[str, Any]:
    """Time, memory, CPUs and GPUs, always said (a default of SLURM can starve `import torch`) unless `free` says it."""
    asked: dict[str, Any] = {}
    if "time" not in free:
        asked["time"] = resources.minutes
    if not _MEMORY_REQUESTS & free.keys():
        asked["mem"] = f"{resources.memory_mb}M"
    if not _CPU_REQUESTS & free.keys():
        asked["cpus_per_task"] = resources.cpus
    if resources.gpus and not options.asks_gpus(free):
        asked["gpus_per_node"] = resources.gpus
    return asked


def setup_lines(folder: Path, own: Sequence[str], *, on_gpus: bool = False) -> list[str]:
    """Shell lines before the worker: our own, then the user's, of which one that fails ends the job at once.

    The link makes submitit find its pickle under the name it expects, without anybody renaming pickles after sbatch.
    """
    where = shlex.quote(str(folder))
    lines = [
        f'echo "{MARK} on ${{SLURMD_NODENAME:-$HOSTNAME}}, restart ${{SLURM_RESTART_COUNT:-0}}"',
        # What a sourced file lets fail is its own affair: the line that sources it counts by how the file ends.
        "orch_depth=${#BASH_SOURCE[@]}",
        'trap \'if [ "${#BASH_SOURCE[@]}" -le "$orch_depth" ]; then '
        f'orch_said=1; echo "{SETUP_FAILED}$BASH_COMMAND" >&2; exit 1; fi\' ERR',
        'task="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}"',
        # SLURM made the log by the umask of whoever called sbatch; the store's folders say who may look.
        f'case "$(stat -c %A {where})" in ????r*) looks=g-w,o-rwx ;; *) looks=go-rwx ;; esac',
        f'chmod -f "$looks" {where}/"${{task:-$SLURM_JOB_ID}}"_*_log.* || :',
        f'ln -sfn {PICKLE} {where}/"${{task:-$SLURM_JOB_ID}}_submitted.pkl"',
        "export PYTHONSAFEPATH=1",
        # srun does not take the CPUs of the job for its step since SLURM 22.05 (its release notes).
        'if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"; fi',
    ]
    root = Path(jobs.__file__).parents[1]
    if root.name not in ("site-packages", "dist-packages"):  # run from a source tree that may not be installed
        lines.append(f"export PYTHONPATH={shlex.quote(str(root))}${{PYTHONPATH:+:$PYTHONPATH}}")
    if on_gpus:  # in a lab of one's own others may use the same GPUs; anywhere else this ends at once
        lines.append(
            'if [ -e "${SLURM_CONF%/*}/lab.json" ]; then export CUDA_DEVICE_ORDER=PCI_BUS_ID; '
            # By it the worker knows that SLURM has it; submitit's script says so only after these lines.
            f"SUBMITIT_EXECUTOR=slurm {shlex.quote(sys.executable)} -m slurm.lab.gpuwait || :; fi"
        )
    fresh = "".join(f"-u {name} " for name in assigned(own))
    before = [
        # What the user's lines change is found by comparing; nothing of it is written to a disk, for it holds secrets.
        f'orch_before="$(env {fresh}-0 | base64 -w0)"',
        f'if [ "${{#orch_before}}" -lt {LARGEST_ENVIRONMENT} ]; then export {BEFORE_SETUP}="$orch_before"; fi',
    ]
    # An unset name under `set -u`, a failure under `set -e` in a sourced file and a slip in the syntax end the shell
    # without ERR. `exit` is the lines' own word, as in `mountpoint -q /data || exit 1`, and says nothing against them.
    ends = (
        'trap \'case "${orch_said:-}$BASH_COMMAND" in 1*|exit*) ;; '
        f'trap*) echo "{SETUP_FAILED}they are no shell lines" >&2 ;; '
        f'*) echo "{SETUP_FAILED}$BASH_COMMAND" >&2 ;; esac\' EXIT'
    )
    kept = 'case "$(trap -p EXIT)" in *orch_said*) trap - EXIT ;; esac'  # a trap of the user's own stays
    return [*lines, *([*before, ends] if own else []), *own, "trap - ERR", *([kept] if own else [])]


def ensure_pickle(submission: Path) -> None:
    """Put the pickle in place where it is missing. Any pickle serves any task, for it reads the manifest by index."""
    folder = folder_of(submission)
    make_folder(folder)
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
        sbatch = super()._make_submission_command(submission_file_path)
        return ["env", *unset, "timeout", "-k", f"{KILLED_AFTER_S:g}", limit, *sbatch]

    def begin(self, count: int) -> Sbatch:
        """Call sbatch once for `count` tasks, and wait for nobody: submitit's own `_submit_command` cut in two."""
        if count > 1:
            self.parameters["map_count"] = count
        name = uuid.uuid4().hex
        script = self.folder / f".submission_file_{name}.sh"
        write_bytes(script, self._make_submission_file_text(self._submitit_command_str, name).encode(), durable=False)
        return Sbatch(self, script)

    def id_of(self, reply: str, script: Path) -> str:
        """SLURM's id in sbatch's reply; the script is kept under it. Raises FailedSubmissionError."""
        job_id = self._get_job_id_from_submission_command(reply)
        paths = self.job_class(folder=self.folder, job_id=job_id, tasks=[0]).paths
        with contextlib.suppress(OSError):  # the job is there, whatever becomes of the copy of its script
            paths.move_temporary_file(script, "submission_file", keep_as_symlink=True)
        return job_id


class Sbatch:
    """One call of sbatch: begun, and asked now and then. It ends by itself, by its limit, whoever began it."""

    def __init__(self, executor: Executor, script: Path) -> None:
        self._executor = executor
        self._script = script
        # Files, not pipes: nobody reads while it runs, and what it leaves behind may hold a pipe open.
        self._replies = script.with_suffix(".out"), script.with_suffix(".err")
        out, err = (open_private(path, os.O_WRONLY | os.O_TRUNC) for path in self._replies)
        with os.fdopen(out, "wb"), os.fdopen(err, "wb"):
            command = executor._make_submission_command(script)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def poll(self) -> str | None:
        """SLURM's id of the job or array; None while sbatch runs. Raises as `slurm.backend.Launch`."""
        code = self._process.poll()
        if code is None:
            return None
        out, err = (self._said(path) for path in self._replies)
        if code:
            raise of_sbatch(f"{out}\n{err}", 137 if code < 0 else code)
        try:
            return self._executor.id_of(out, self._script)
        except FailedSubmissionError as error:
            raise of_sbatch(str(error), None) from None

    @staticmethod
    def _said(path: Path) -> str:
        try:
            text = path.read_bytes().decode(errors="replace")
            path.unlink()
        except OSError as error:
            return f"its reply cannot be read: {error.strerror}"
        return text


def script(submission: Submission, exclude: frozenset[str], settings: LaunchSettings) -> str:
    """The text of the sbatch script, as submitit writes it."""
    executor = _executor(submission, exclude, settings)
    if submission.tasks > 1:
        executor.parameters["map_count"] = submission.tasks
    return str(executor._make_submission_file_text(executor._submitit_command_str, ""))


def _executor(submission: Submission, exclude: frozenset[str], settings: LaunchSettings) -> Executor:
    executor = Executor(folder_of(submission.folder), settings)
    executor.update_parameters(**parameters(submission, exclude, settings))
    return executor


def begin(submission: Submission, exclude: frozenset[str], settings: LaunchSettings) -> Launch:
    """One sbatch, after `ensure_pickle`. Raises LaunchRefused where its options make no sense."""
    return _executor(submission, exclude, settings).begin(submission.tasks)
