"""The one callable that every submission pickles: it finds its task, makes its execution folder and runs the job.

Order of files: the execution folder (exclusive mkdir), started.json, then whatever the job writes, outcome.json last.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil

from jobs import fingerprint
from jobs.checkpoints import Checkpoints
from jobs.context import Interrupted
from jobs.endings import cause_of
from jobs.errors import DataError, OrchError
from jobs.files import append_json, names, now, patiently, read_json, write_bytes, write_json
from jobs.kind import JobKind, kind_named
from jobs.layout import Layout
from jobs.records import Architecture, JobFile, Manifest, MetricLine, Outcome, Ready, Spawn, Started
from jobs.records import Task as TaskRecord
from jobs.stopping import Heartbeat, Stop, StopReason
from jobs.words import Cause

EARLY_SIGNAL_SECONDS = 300
"""A user signal within this time of the limit announces the limit: SLURM sends it up to a minute early (sbatch(1),
--signal), on top of the asked-for delay; earlier than that it announces a preemption. In short jobs that delay is a
sixth of the limit."""


class Task:
    """Runs one task of a submission. Picklable by reference; any pickle serves any task."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self) -> None:
        layout = Layout(Path(self.folder).parents[2])
        manifest = read_json(Path(self.folder) / "manifest.json", Manifest)
        if manifest is None:
            raise DataError(f"no readable manifest in {self.folder}: is the store's folder mounted on this node?")
        index = int(os.environ.get("SLURM_ARRAY_TASK_ID", os.environ.get("ORCH_INDEX", "0")))
        if layout.given_up(manifest.token).name in names(Path(self.folder)):
            print("orch: this submission was given up before it started; its jobs go through another one", flush=True)
        else:
            Execution(layout, manifest, index).run()
        if "SUBMITIT_EXECUTOR" in os.environ:
            # The outcome says it all: submitit's own result file and taking torch down would only keep the slot.
            os._exit(0)


class Execution:
    """One start of one attempt on this node."""

    def __init__(self, layout: Layout, manifest: Manifest, index: int) -> None:
        self.layout = layout
        self.task: TaskRecord = manifest.tasks[index]
        job = read_json(layout.job(self.task.job) / "job.json", JobFile)
        if job is None:
            raise DataError(f"no readable job.json of job {self.task.job}: is the store's folder mounted on this node?")
        self.job = job
        self.restart = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        self.folder = patiently(lambda: layout.new_execution(job.id, self.task.attempt, self.restart))
        me = psutil.Process()
        self.started = Started(
            job=job.id,
            attempt=self.task.attempt,
            generation=self.task.generation,
            token=manifest.token,
            index=index,
            restart=self.restart,
            node=os.environ.get("SLURMD_NODENAME", os.uname().nodename),
            host=os.uname().nodename,
            pid=me.pid,
            process_start=me.create_time(),
            boot_id=boot_id(),
            slurm_job=slurm_job_id(),
            slots=os.environ.get("CUDA_VISIBLE_DEVICES"),
            code_changed=self._code_changed(),
            at=now(),
        )
        patiently(lambda: write_json(self.folder / "started.json", self.started))

    def _code_changed(self) -> bool:
        submitted = self.job.fingerprint
        return submitted is not None and fingerprint.changed(submitted, fingerprint.take(Path(self.job.cwd or ".")))

    def run(self) -> None:
        """Run the job and write its outcome; returns whatever happened, since the outcome says it all."""
        stop = Stop()
        stop.on_signals()
        self._redirect_output()
        heartbeat = Heartbeat(self.layout, self.folder, self.started, stop)
        heartbeat.start()
        began = time.monotonic()
        context = WorkerContext(self, stop)
        try:
            outcome = self._work(context)
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):  # a full disk
                    stream.flush()
            heartbeat.ended.set()
        wall = time.monotonic() - began
        outcome = msgspec.structs.replace(
            outcome,
            wall_seconds=wall,
            gpu_seconds=wall * self.task.resources.gpus if context.device == "cuda" else 0.0,
            peak_memory_mb=peak_memory_mb(),
            device=context.device,
            device_name=context.device_name,
            versions=context.versions,
            dataset=getattr(context.config, "dataset", None),
            flags=context.flags,
            epoch=context.epoch,
            checkpoint_step=context.checkpoints.newest_step,
        )
        requeue = outcome.ending == "interrupted" and stop.reason is StopReason.USER_SIGNAL and slurm_job_id()
        if requeue:
            outcome = msgspec.structs.replace(outcome, requeued=True)
        patiently(lambda: write_json(self.folder / "outcome.json", outcome))
        if requeue and not requeue_self():
            write_json(self.folder / "outcome.json", msgspec.structs.replace(outcome, requeued=False))

    def _redirect_output(self) -> None:
        """From here on, what is printed belongs to this execution; before it, to the submission."""
        for name, number in (("stdout", 1), ("stderr", 2)):
            handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(handle, number)
            os.close(handle)
        warnings.simplefilter("default")

    def _work(self, context: WorkerContext) -> Outcome:
        try:
            if self.job.cwd:
                os.chdir(self.job.cwd)
            result: dict[str, float | None] = dict(context.kind.function()(context))
            context.ready()
            return Outcome(
                ending="success",
                cause=Cause.SUCCESS,
                result=result,
                architecture=context.architecture,
                architectures=context.architectures,
                state=context.state,
                spawn=context.spawned,
                at=now(),
            )
        except Interrupted:
            return self._interrupted(context)
        except Exception as error:
            with contextlib.suppress(OSError):
                traceback.print_exc()
            return Outcome(
                ending="failure",
                cause=cause_of(error),
                error=last_line(error),
                traceback=traceback.format_exc(),
                at=now(),
            )

    def _interrupted(self, context: WorkerContext) -> Outcome:
        reason = context.stop.reason
        cause = Cause.CANCELLED
        if reason is StopReason.USER_SIGNAL:
            limit = self.task.resources.minutes * 60
            elapsed = time.time() - self.started.at.timestamp()
            early = min(EARLY_SIGNAL_SECONDS, limit / 6 + 90)
            cause = Cause.TIMEOUT if elapsed >= limit - early else Cause.PREEMPTED
            advanced = context.checkpoints.newest_step > context.resumed_step
            if cause is Cause.TIMEOUT and not advanced and elapsed >= limit * 0.25:
                text = f"no progress in a whole time limit ({self.task.resources.minutes} minutes)"
                return Outcome(ending="failure", cause=Cause.TIMEOUT, error=text, at=now())
        elif reason is StopReason.TERMINATED:
            cause = Cause.PREEMPTED
        return Outcome(ending="interrupted", cause=cause, superseded=reason is StopReason.SUPERSEDED, at=now())


class WorkerContext:
    """The real `jobs.context.Context`: everything goes to this execution's folder."""

    def __init__(self, execution: Execution, stop: Stop) -> None:
        job, task = execution.job, execution.task
        self.stop = stop
        self.kind: JobKind = kind_named(job.kind)
        self.job = job.id
        self.seed = job.seed
        self.config: Any = msgspec.convert(job.config, self.kind.config)
        self.folder = execution.folder
        self.device: str = (
            "cuda" if job.device == "cuda" or (job.device == "auto" and task.resources.gpus > 0) else "cpu"
        )
        self.threads = max(1, task.resources.cpus)
        self.data_dir = Path(job.data_dir) if job.data_dir else None
        self.cwd = Path(job.cwd or ".")
        self.options: Mapping[str, Any] = job.options
        self.inputs: Mapping[int, Outcome] = self._inputs(execution)
        self.checkpoints = Checkpoints(
            self.folder / "checkpoints", self._earlier(execution), every=float(job.options.get("checkpoint_every", 60))
        )
        self.resumed_step = -1
        self.epoch = -1
        self.device_name = ""
        self.versions: dict[str, str] = {}
        self.flags: dict[str, str] = {}
        self.architecture: Architecture | None = None
        self.architectures: dict[str, Architecture] = {}
        self.state: dict[str, Any] = {}
        self.spawned: tuple[Spawn, ...] = ()
        self._history: list[MetricLine] = []
        self._is_ready = False

    def _inputs(self, execution: Execution) -> dict[int, Outcome]:
        found = {}
        for job, folder in execution.task.inputs.items():
            outcome = read_json(execution.layout.runs / folder / "outcome.json", Outcome)
            if outcome is None:
                raise DataError(f"the accepted outcome of job {job} is not readable in {folder}")
            found[int(job)] = outcome
        return found

    def _earlier(self, execution: Execution) -> list[Path]:
        """Checkpoint folders of the job's other executions, of this generation only unless `resume` was asked for."""
        found = []
        for attempt in execution.layout.attempts(self.job):
            for path in execution.layout.executions(self.job, attempt):
                if path == self.folder:
                    continue
                started = read_json(path / "started.json", Started)
                same = started is not None and started.generation == execution.task.generation
                if same or (execution.task.resume and started is not None):
                    found.append(path / "checkpoints")
        return found

    def ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self.resumed_step = self.checkpoints.newest_step
            ready = Ready(at=now(), checkpoint_step=self.resumed_step)
            patiently(lambda: write_json(self.folder / "ready.json", ready))

    def report(self, epoch: int, epochs: int, values: Mapping[str, float | None]) -> None:
        line = MetricLine(epoch=epoch, epochs=epochs, at=now(), values=dict(values))
        self._history.append(line)
        self.epoch = epoch
        patiently(lambda: append_json(self.folder / "metrics.jsonl", line))

    def history(self) -> Sequence[MetricLine]:
        return tuple(self._history)

    def restore(self, history: Sequence[MetricLine]) -> None:
        self._history = list(history)
        self.epoch = history[-1].epoch if history else -1
        text = b"".join(msgspec.json.encode(line) + b"\n" for line in history)
        patiently(lambda: write_bytes(self.folder / "metrics.jsonl", text))

    def stop_requested(self) -> bool:
        return self.stop.reason is not None

    def keep_architecture(self, architecture: Architecture, *, epoch: int | None = None) -> None:
        if epoch is None:
            self.architecture = architecture
        else:
            self.architectures[str(epoch)] = architecture

    def keep_state(self, state: Mapping[str, Any]) -> None:
        self.state = dict(state)

    def keep_flag(self, name: str, text: str) -> None:
        self.flags[name] = text

    def keep_versions(self, versions: Mapping[str, str], device_name: str) -> None:
        self.versions = dict(versions)
        self.device_name = device_name

    def spawn(self, jobs: Sequence[Spawn]) -> None:
        self.spawned = tuple(jobs)


def last_line(error: Exception) -> str:
    """What `status` shows of an exception: our own in plain words, others with their class."""
    return str(error) if isinstance(error, OrchError) else traceback.format_exception_only(error)[-1].strip()


def boot_id() -> str:
    """This boot's id: a pid of another boot says nothing (proc(5), /proc/sys/kernel/random/boot_id)."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return datetime.fromtimestamp(psutil.boot_time(), UTC).isoformat()


def slurm_job_id() -> str | None:
    """The id under which SLURM knows this task ('8_3' in an array), or None outside SLURM."""
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm" or "SLURM_JOB_ID" not in os.environ:
        return None
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def requeue_self() -> bool:
    """Ask SLURM to requeue this very job (scontrol(1), requeue): works while orch is not there. False: it refused."""
    job = slurm_job_id()
    if job is None:
        return False
    for pause in (0.5, 2.0, 5.0):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run(["scontrol", "requeue", job], timeout=15, check=False).returncode == 0:
                return True
        time.sleep(pause)
    return False


def peak_memory_mb() -> float:
    """Peak resident memory of this process and of its ended children, in MB (getrusage(2))."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(item).ru_maxrss for item in who) / 1024
