"""The one callable that every submission pickles: it finds its task, makes its execution folder and runs the job.

Order of files: the execution folder (exclusive mkdir), started.json, then whatever the job writes, outcome.json, and
those metric lines that it did not wait for.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

import msgspec
import psutil

from jobs import trust
from jobs.errors import DataError
from jobs.files import names, now, open_private, write_bytes, write_json
from jobs.hosts import boot_id
from jobs.layout import Layout
from jobs.metrics import RULE
from jobs.node import fingerprint, kindcode, outcomes, pieces, sampler
from jobs.node.bundling import Bundled
from jobs.node.context import Interrupted
from jobs.node.hangwatch import HangWatch
from jobs.node.machine import job_nodes, peak_memory_mb, requeue_self, slurm_job_id
from jobs.node.recorder import WorkerContext, terms_of, working_folder
from jobs.node.sampler import Sampler
from jobs.node.stopping import Heartbeat, Stop, StopReason
from jobs.node.terms import as_it_stands
from jobs.node.worktree import Worktree
from jobs.patience import patiently, read_patiently, reading
from jobs.records import JobFile, Manifest, Outcome, Started
from jobs.records import Task as TaskRecord
from jobs.words import Cause

EARLY_SIGNAL_SECONDS = 300
"""A user signal within this time of the limit announces the limit: SLURM sends it up to a minute early (sbatch(1),
--signal), on top of the asked-for delay; earlier than that it announces a preemption. In short jobs that delay is a
sixth of the limit."""
LAST_WAIT_SECONDS = 20.0
"""How long after a stop an outcome that is no result waits for a full disk."""


class Task:
    """Runs one task of a submission. Picklable by reference; any pickle serves any task."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self) -> None:
        layout = Layout(Path(self.folder).parents[2])
        manifest = read_patiently(Path(self.folder) / "manifest.json", Manifest)
        if manifest is None:
            raise DataError(f"no readable manifest in {self.folder}: is the store's folder mounted on this node?")
        index = int(os.environ.get("SLURM_ARRAY_TASK_ID", os.environ.get("ORCH_INDEX", "0")))
        sliced = manifest.tasks[0] if manifest.tasks and manifest.tasks[0].pieces else None
        if layout.given_up(manifest.token).name in reading(lambda: names(Path(self.folder))):
            print("orch: this submission was given up before it started; its jobs go through another one", flush=True)
        elif sliced is not None and (why := pieces.needless(layout, sliced)) is not None:
            print(f"orch: this piece has nothing to do: {why}", flush=True)
        elif manifest.bundle:
            from jobs.node.bundle import Runner

            Runner(layout, manifest, index, lambda place, mine: Execution(layout, manifest, place, mine).run()).run()
        else:
            Execution(layout, manifest, 0 if sliced is not None else index).run()
        if "SUBMITIT_EXECUTOR" in os.environ:
            # The outcome says it all: submitit's own result file and taking torch down would only keep the slot.
            os._exit(0)


class Execution:
    """One start of one attempt on this node."""

    def __init__(self, layout: Layout, manifest: Manifest, index: int, bundled: Bundled | None = None) -> None:
        """`index`: of its task in the manifest. `bundled`: of one of many; requeueing is its runner's affair."""
        self.bundled = bundled
        self.stop = Stop()
        self.stop.on_signals()  # before the first wait for a full disk
        self.layout = layout
        self.token = manifest.token
        unwanted = self.stop.asked
        self.task: TaskRecord = reading(lambda: as_it_stands(layout, manifest.token, manifest.tasks[index]), unwanted)
        job = read_patiently(layout.job(self.task.job) / "job.json", JobFile, unwanted)
        if job is None:
            raise DataError(f"no readable job.json of job {self.task.job}: is the store's folder mounted on this node?")
        self.job = job
        self.terms = terms_of(manifest, self.task, job)
        if self.task.pieces:
            self.restart = pieces.turn(layout, self.task, unwanted)
        else:
            self.restart = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        self.folder = patiently(
            lambda: layout.new_execution(job.id, self.task.attempt, self.restart), unwanted=self.stop.asked
        )
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
        patiently(lambda: write_json(self.folder / "started.json", self.started), unwanted=self.stop.asked)

    def _code_changed(self) -> bool:
        submitted = self.terms.fingerprint
        if submitted is None:
            return False
        if self.terms.code is not None and self.terms.code.snapshot:
            return fingerprint.changed(submitted, fingerprint.of_orch())  # the program's code was kept
        return fingerprint.changed(submitted, fingerprint.take(working_folder(self.layout, self.job, self.terms)))

    def run(self) -> None:
        """Run the job and write its outcome; returns whatever happened, since the outcome says it all."""
        patiently(self._redirect_output, unwanted=self.stop.asked)
        heartbeat = Heartbeat(self.layout, self.folder, self.started, self.stop)
        heartbeat.start()
        began = time.monotonic()
        context: WorkerContext | None = None
        tree: Worktree | None = None
        usage: Sampler | None = None
        try:
            tree = self._place_code()
            context = WorkerContext(self.layout, self.job, self.task, self.terms, self.folder, self.stop)
            usage = sampler.of_job(context, began)
            usage.start()
            if tree is not None:
                context.cwd = tree.place(context.cwd)
                if context.cwd.is_relative_to(tree.home):
                    context.cwd.mkdir(parents=True, exist_ok=True)  # an empty folder holds no file of a snapshot
            watch = self._watched(context)
            outcome = self._work(context)
            if watch is not None:
                watch.over(whole=outcome.ending == "success")
        except Exception as error:  # also what comes of an Interrupted
            outcome = self._failed(error, context)
        if tree is not None:
            tree.settle()
        if usage is not None:
            usage.end()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # a full disk
                stream.flush()
        wall = time.monotonic() - began
        outcome = msgspec.structs.replace(outcome, wall_seconds=wall, peak_memory_mb=peak_memory_mb())
        if context is not None:
            outcome = msgspec.structs.replace(
                outcome,
                gpu_seconds=wall * self.task.resources.gpus * job_nodes() if context.device == "cuda" else 0.0,
                device=context.device,
                device_name=context.device_name,
                versions={**_imported(), **context.versions},
                dataset=getattr(context.config, "dataset", None),
                flags=context.flags,
                rhythm=context.rhythm if outcome.ending != "failure" else None,
                epoch=context.epoch,
                lines_follow=context.rest is not None,
                checkpoint_step=context.checkpoints.newest_step,
            )
        asked = outcome.ending == "interrupted" and self.stop.reason is StopReason.USER_SIGNAL
        alone = not self.task.pieces and self.bundled is None  # after a piece the next one goes on
        requeue = asked and alone and slurm_job_id()
        if requeue:
            outcome = msgspec.structs.replace(outcome, requeued=True)
        self._write(outcome)
        heartbeat.ended.set()
        if context is not None and context.rest is not None:
            with contextlib.suppress(OSError):  # the result is safe; of the curve, what there is room for
                patiently(context.rest, unwanted=self.stop.asked)
        with contextlib.suppress(OSError):  # what a program wrote has the modes of its own umask
            trust.tighten(self.folder, group=trust.group_looks(self.folder))
        if requeue and not requeue_self():
            self._write(msgspec.structs.replace(outcome, requeued=False))

    def _watched(self, context: WorkerContext) -> HangWatch | None:
        """Of a kind, whose work is in this process: who sees that it hangs. A program is watched where it is run."""
        if self.job.kind == "command":
            return None

        def hung(why: str) -> None:
            self._write(Outcome(ending="failure", cause=Cause.HANG, error=why, epoch=context.epoch, at=now()))

        watch = HangWatch(context, self.stop, hung)
        watch.start()
        return watch

    def _place_code(self) -> Worktree | None:
        """Of a kind of another package: its kept code, before it is imported. A program has its own way."""
        if self.job.kind == "command":
            return None
        cwd = working_folder(self.layout, self.job, self.terms)
        return kindcode.place(self.terms, self.layout.code, self.layout.root, self.folder, cwd, self.stop.asked)

    def _write(self, outcome: Outcome) -> None:
        """Write the outcome, waiting for a full or failing disk. A stop ends the wait a little later, but for a result:
        that is waited for until somebody kills us."""
        data = outcomes.encoded(outcome)
        success = outcome.ending == "success"
        late = (lambda: False) if success else (lambda: self.stop.asked_since(LAST_WAIT_SECONDS))
        patiently(lambda: write_bytes(self.folder / "outcome.json", data), unwanted=late)

    def _redirect_output(self) -> None:
        """From here on, what is printed belongs to this execution; before it, to the submission."""
        for name, number in (("stdout", 1), ("stderr", 2)):
            handle = open_private(self.folder / name, os.O_WRONLY | os.O_APPEND)
            os.dup2(handle, number)
            os.close(handle)
        warnings.simplefilter("default")

    def _work(self, context: WorkerContext) -> Outcome:
        try:
            if self.task.pieces:
                pieces.check_progress(self.layout, self.task, self.folder, self.stop.asked)
            program_is_kept = self.job.kind == "command" and self.terms.code is not None and self.terms.code.snapshot
            if self.terms.cwd and not program_is_kept:
                os.chdir(context.cwd)
            result: dict[str, float | None] = dict(context.kind.function()(context))
            context.ready()
            return Outcome(
                ending="success",
                cause=Cause.SUCCESS,
                result=result,
                rule=RULE,
                architecture=context.architecture,
                architectures=context.architectures,
                state=context.state,
                spawn=context.spawned,
                at=now(),
            )
        except Interrupted:
            return self._interrupted(context)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            return self._failed(error, context)

    def _failed(self, error: BaseException, context: WorkerContext | None) -> Outcome:
        with contextlib.suppress(OSError):
            traceback.print_exception(error)
        return outcomes.failure(error, context.disks if context is not None else None)

    def _interrupted(self, context: WorkerContext) -> Outcome:
        reason = context.stop.reason
        cause = Cause.CANCELLED
        if reason is StopReason.USER_SIGNAL:
            # The line may have been written after our start: SLURM had changed the limit before it.
            task = self.task
            with contextlib.suppress(OSError):  # there is no time to wait for a failing disk
                task = as_it_stands(self.layout, self.token, task)
            minutes = task.resources.minutes
            limit = minutes * 60
            began = self.started.at
            task_began = self.bundled.began if self.bundled is not None else began
            elapsed = time.time() - task_began.timestamp()
            early = min(EARLY_SIGNAL_SECONDS, limit / 6 + 90)
            cause = Cause.TIMEOUT if elapsed >= limit - early else Cause.PREEMPTED
            advanced = context.checkpoints.newest_step > context.checkpoints.resumed_step
            # in a bundle it may have begun late, and then had less than its time
            whole = (began - task_began).total_seconds() < early
            if cause is Cause.TIMEOUT and not advanced and elapsed >= limit * 0.25 and whole:
                text = f"no progress in a whole time limit ({minutes} minutes)"
                if task.pieces:
                    text = pieces.too_short(minutes)
                return Outcome(ending="failure", cause=Cause.TIMEOUT, error=text, at=now())
        elif reason is StopReason.TERMINATED:
            orphaned = self.bundled is not None and os.getppid() != self.bundled.runner
            cause = Cause.KILLED if orphaned else Cause.PREEMPTED
        return Outcome(ending="interrupted", cause=cause, superseded=reason is StopReason.SUPERSEDED, at=now())


def _imported() -> dict[str, str]:
    """Of torch, where a kind has loaded it into this process: what a kind says itself goes over it."""
    version = getattr(sys.modules.get("torch"), "__version__", None)
    return {} if version is None else {"torch": str(version)}
