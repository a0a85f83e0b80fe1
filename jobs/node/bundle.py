"""The runner of a bundle: one SLURM task that starts many jobs, some at a time, each as a worker of its own.

It is one thread, and holds no lock and no descriptor but its ledger, so that a worker is a fork of it: what a new
interpreter would import is there. Each is a session of its own with its own execution folder, fences and outcome. What
the runner itself knows (who was started, ended, went back) stands in its ledger before it acts on it, so that it holds
when nobody looks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from jobs import bundles
from jobs.bundles import BundleLine, Key, Step
from jobs.files import fsync_folder, names, now, read_json
from jobs.layout import Layout
from jobs.node import bundling, pieces
from jobs.node.bundling import Stopped
from jobs.node.machine import requeue_self, slurm_job_id
from jobs.node.silence import tree
from jobs.node.terms import as_it_stands
from jobs.patience import patiently, read_patiently, reading
from jobs.records import Manifest, Outcome, Ready, Task
from jobs.words import Cause

LOOK_SECONDS = 1.0
"""How often cancels and memory are looked at."""
GRACE_SECONDS = 30.0
"""From the TERM of one job to its KILL: its worker gives a program 25 s of it."""
LAST_WORDS = 2000
STOPS = (signal.SIGUSR2, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1
"""prctl(2)."""


@dataclass
class Worker:
    """A job that runs."""

    task: Task
    place: int
    pid: int
    words: int
    """What it says before it has a folder of its own comes out of this pipe."""
    began: float
    told_at: float | None = None
    """Since when it is to end: it was cancelled."""
    cause: Cause | None = None
    """What it was ended for."""
    over_mb: int = 0
    said: bytes = b""

    @property
    def key(self) -> Key:
        return self.task.job, self.task.attempt


@dataclass
class Runner:
    """One start of one task of a bundled submission."""

    layout: Layout
    manifest: Manifest
    index: int
    running: dict[int, Worker] = field(default_factory=dict)
    """By the place, of which there are `at_once`."""
    stopped: list[Task] = field(default_factory=list)
    asked: signal.Signals | None = None
    """What told the task to stop."""

    def run(self) -> None:
        """Run the list, as far as the time goes; returns when nothing of it runs any more."""
        self.began = now()
        self._listen()
        self.restart = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        self.node = os.environ.get("SLURMD_NODENAME", os.uname().nodename)
        self.path, self.ledger = patiently(
            lambda: self.layout.new_ledger(self.manifest.token, self.index, self.restart), unwanted=self._told
        )
        self._write(Step.BEGUN)
        patiently(lambda: fsync_folder(self.path.parent), unwanted=self._told)
        mine = [self.manifest.tasks[place] for place in self.manifest.listed(self.index)]
        self._prepare(mine[0])
        self.waiting = deque(self._unfinished(mine))
        called = False
        while self.running or (self.waiting and self.asked is None):
            self._reap()
            if time.monotonic() - self._looked_at >= LOOK_SECONDS:
                self._look()
            self._fill()
            if not called and self.asked is not None and time.time() >= self.deadline - bundling.LAST_CALL_SECONDS:
                called = True
                if self._requeued():
                    return
            if self.running:
                self._wait()
        if called or not self._requeued():
            self._give_back("its task was over before its turn came")

    def _prepare(self, first: Task) -> None:
        """What all its jobs have in common."""
        first = as_it_stands(self.layout, self.manifest.token, first)
        options = self.manifest.terms[first.terms or 0].options if self.manifest.terms else {}
        minutes, at_once = first.resources.minutes, self.manifest.at_once
        self.deadline = bundles.deadline(self.began, minutes, os.environ.get("SLURM_JOB_END_TIME"))
        delay = int(options.get("signal_delay_seconds", 90))
        self.warned = self.deadline - max(1, min(delay, minutes * 10))  # as slurm/cluster/sbatch.py asks for it
        visible, per_gpu = os.environ.get("CUDA_VISIBLE_DEVICES"), max(1, int(options.get("jobs_per_gpu", 1)))
        self.devices = bundling.devices(visible, first.resources.gpus, at_once, per_gpu)
        memory = os.environ.get("SLURM_MEM_PER_NODE", "")
        self.memory_mb = float(memory) if memory.isdecimal() else float(at_once * first.resources.memory_mb)
        self.longest = self.manifest.learnt_seconds
        self.started = 0
        self.places = {(task.job, task.attempt): place for place, task in enumerate(self.manifest.tasks)}
        self._looked_at = 0.0

    # ---- what it hears

    def _listen(self) -> None:
        """A signal wakes the wait, and a child's end is one."""
        self._wake, self._waker = os.pipe()
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in STOPS:
            signal.signal(number, self._on_stop)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self.asked is None:
            self.asked = signal.Signals(number)
        # SLURM signals all processes of a step; of what is no step, the shell alone (scancel(1), --full).
        for worker in list(self.running.values()):
            _signal(worker.pid, signal.Signals(number))

    def _told(self) -> bool:
        return self.asked is not None

    def _wait(self) -> None:
        ready, _, _ = select.select([self._wake, *(one.words for one in self.running.values())], [], [], LOOK_SECONDS)
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
        for worker in self.running.values():
            if worker.words in ready:
                self._listen_to(worker)

    @staticmethod
    def _listen_to(worker: Worker) -> None:
        with contextlib.suppress(BlockingIOError):
            while more := os.read(worker.words, 4096):
                worker.said = (worker.said + more)[-LAST_WORDS:]

    # ---- the ledger

    def _write(self, step: Step, task: Task | None = None, **more: object) -> None:
        line = BundleLine(
            step=step,
            job=task.job if task else 0,
            attempt=task.attempt if task else 0,
            node=self.node,
            at=now(),
            **more,  # type: ignore[arg-type]
        )
        data = bundles.encoded(line)
        patiently(lambda: _append(self.ledger, data), unwanted=self._told)

    # ---- beginning

    def _unfinished(self, tasks: list[Task]) -> list[Task]:
        """Those of which no runner before this one saw the end."""
        runners = [
            (restart, lines)
            for restart, path in reading(lambda: self.layout.ledgers(self.manifest.token, self.index), self._told)
            if (lines := read_lines(path)) and path != self.path
        ]
        standings = bundles.read(runners).standings
        over = {key for key, one in standings.items() if one.step in (Step.ENDED, Step.RETURNED, Step.CANCELLED)}
        return [task for task in tasks if (task.job, task.attempt) not in over]

    def _needless(self, task: Task) -> str | None:
        later = [one for one in reading(lambda: self.layout.attempts(task.job), self._told) if one > task.attempt]
        if later:
            return f"attempt {later[-1]} was made"
        return pieces.needless(self.layout, task, self._told)

    def _overtaken(self) -> bool:
        """Whether another runner of this task began after this one: SLURM took it for dead."""
        found = self.layout.ledgers(self.manifest.token, self.index)
        return any(restart > self.restart for restart, _ in found)

    def _fill(self) -> None:
        while self.waiting and self.asked is None and len(self.running) < self.manifest.at_once:
            late = self.started >= self.manifest.at_once
            if late and not bundling.fits(self.warned - time.time(), self.longest):
                self._give_back("what was left of the task's time is less than such jobs take")
                return
            if self._overtaken():
                self.waiting.clear()
                return
            task = self.waiting.popleft()
            if self._is_cancelled(task):
                self._write(Step.CANCELLED, task)
            elif (why := self._needless(task)) is not None:
                self._write(Step.ENDED, task, text=why)
            else:
                self._start(task, late=late)

    def _start(self, task: Task, *, late: bool) -> None:
        place = next(place for place in range(self.manifest.at_once) if place not in self.running)
        self._write(Step.STARTED, task, late=late)
        self.started += 1
        out, into = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # What comes meanwhile is kept for the worker, which hears it later (Stop.on_signals), and for us to hand on.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        pid = os.fork()
        if pid == 0:
            os.close(out)
            self._be_worker(task, place, into)
        os.close(into)
        os.set_blocking(out, False)
        self.running[place] = Worker(task, place, pid, out, time.monotonic())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        if self.asked is not None:  # heard before it was there
            _signal(pid, self.asked)

    def _be_worker(self, task: Task, place: int, words: int) -> None:
        """The child: never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            for handle in (self._wake, self._waker, self.ledger, *(one.words for one in self.running.values())):
                os.close(handle)
            devices = self.devices[place]
            if devices is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = devices
            cpus = os.environ.get("SLURM_CPUS_PER_TASK", "")
            if cpus.isdecimal():
                os.environ["SLURM_CPUS_PER_TASK"] = str(max(1, int(cpus) // self.manifest.at_once))
            from jobs.node.worker import Bundled, Execution

            mine = Bundled(self.began, os.getppid())
            Execution(self.layout, self.manifest, self.places[task.job, task.attempt], bundled=mine).run()
            code = 0
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(words, "".join(traceback.format_exception(error))[-LAST_WORDS:].encode(errors="replace"))
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    # ---- looking

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        marks = set(names(self.layout.bundle(self.manifest.token, self.index)))
        for worker in self.running.values():
            if worker.told_at is None and self._mark(worker.task) in marks:
                worker.told_at, worker.cause = time.monotonic(), Cause.CANCELLED
                _signal(worker.pid, signal.SIGTERM)
            elif worker.told_at is not None and time.monotonic() - worker.told_at >= GRACE_SECONDS:
                _kill_all(worker.pid)
        self._look_at_memory()

    def _mark(self, task: Task) -> str:
        return self.layout.cancel_mark(self.manifest.token, self.index, task.job, task.attempt).name

    def _is_cancelled(self, task: Task) -> bool:
        return self._mark(task) in names(self.layout.bundle(self.manifest.token, self.index))

    def _look_at_memory(self) -> None:
        used = {one.key: sum(part.memory_mb for part in tree(one.pid)) for one in self.running.values()}
        share = {one.key: float(one.task.resources.memory_mb) for one in self.running.values()}
        worst = bundling.too_large(used, share, self.memory_mb)
        for worker in self.running.values():
            over = max(0, round(used[worker.key] - share[worker.key]))
            if bool(over) != bool(worker.over_mb):
                self._write(Step.LARGE, worker.task, over_mb=over)
            worker.over_mb = over
            if worker.key == worst and worker.cause is None:
                worker.cause = Cause.OUT_OF_MEMORY
                text = f"it used {used[worst]:.0f} MB, its share is {share[worst]:.0f} MB"
                worker.said = f"{text}, and the task has {self.memory_mb:.0f} MB for all".encode()
                _kill_all(worker.pid)

    # ---- endings

    def _reap(self) -> None:
        for place, worker in list(self.running.items()):
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid == 0:
                continue
            self._listen_to(worker)
            os.close(worker.words)
            del self.running[place]
            self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: Worker, code: int) -> None:
        self.longest = max(self.longest, time.monotonic() - worker.began)
        text = worker.said.decode(errors="replace")
        if worker.cause is Cause.CANCELLED:
            self._write(Step.CANCELLED, worker.task, code=code)
        elif self.asked is not None and self._may_go_on(worker.task):
            self._write(Step.STOPPED, worker.task, code=code, text=text)
            self.stopped.append(worker.task)
        else:
            self._write(Step.ENDED, worker.task, code=code, text=text, cause=worker.cause, over_mb=worker.over_mb)

    def _newest(self, task: Task) -> tuple[Path, Outcome | None] | None:
        found = [
            (path.stat().st_mtime_ns, path)
            for path in self.layout.executions(task.job, task.attempt)
            if path.name.startswith(f"e{self.restart}-")
        ]
        if not found:
            return None
        path = max(found)[1]
        return path, read_patiently(path / "outcome.json", Outcome, self._told)

    def _may_go_on(self, task: Task) -> bool:
        newest = self._newest(task)
        return newest is None or newest[1] is None or (newest[1].ending == "interrupted" and not newest[1].superseded)

    def _advanced(self, task: Task) -> bool:
        newest = self._newest(task)
        if newest is None or newest[1] is None:
            return False
        ready = read_json(newest[0] / "ready.json", Ready)
        return newest[1].checkpoint_step > (ready.checkpoint_step if ready is not None else -1)

    def _give_back(self, why: str) -> None:
        if self._overtaken():
            self.waiting.clear()
        while self.waiting:
            self._write(Step.RETURNED, self.waiting.popleft(), text=why)

    def _requeued(self) -> bool:
        """Ask SLURM to begin the task again, once, where that helps. True: it will end what still runs here."""
        left = [*self.stopped, *(one.task for one in self.running.values())]
        stopped = [Stopped(self._may_go_on(task), self._advanced(task) or self._has_new(task)) for task in left]
        if self.asked is not signal.SIGUSR2 or slurm_job_id() is None or not bundling.goes_on(stopped):
            return False
        return not self._overtaken() and requeue_self()

    def _has_new(self, task: Task) -> bool:
        """Of one that still runs when SLURM's kill is near: whether a checkpoint of its own is there."""
        newest = self._newest(task)
        return newest is not None and newest[1] is None and bool(names(newest[0] / "checkpoints"))


def read_lines(path: Path) -> list[BundleLine]:
    """A ledger's whole lines; none where it cannot be read now."""
    from jobs.files import read_lines as lines

    with contextlib.suppress(OSError):
        return list(lines(path, BundleLine))
    return []


def _append(handle: int, data: bytes) -> None:
    os.write(handle, data)
    os.fsync(handle)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _kill_all(pid: int) -> None:
    """A worker and all that descends from it."""
    for one in reversed(tree(pid)):
        _signal(one.pid, signal.SIGKILL)
