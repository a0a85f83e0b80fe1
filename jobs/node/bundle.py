"""The runner of a bundle: one SLURM task that starts many jobs, some at a time, each as a worker of its own.

Each has its own execution folder, fences and outcome. What the runner itself knows (who was started, ended, went back)
stands in its ledger before it acts on it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from jobs import bundles
from jobs.bundles import Step
from jobs.files import names, now, read_json
from jobs.kind import kind_named
from jobs.layout import Layout
from jobs.node import bundling, endings, pieces, warmth
from jobs.node import command as command  # its forks, the workers of programs, have it already
from jobs.node.bundling import Bundled, Stopped
from jobs.node.crew import Crew, Worker
from jobs.node.ledger import Ledger
from jobs.node.machine import requeue_self, slurm_job_id
from jobs.node.terms import as_it_stands
from jobs.patience import read_patiently, reading
from jobs.records import JobFile, Manifest, Outcome, Ready, Task
from jobs.words import Cause

LOOK_SECONDS = 1.0
"""How often cancels and memory are looked at."""
GRACE_SECONDS = 30.0
"""From the TERM of one job to its KILL: its worker gives a program 25 s of it."""

Work = Callable[[int, Bundled], None]
"""What a worker does, given the place of its task in the manifest."""


class Runner:
    """One start of one task of a bundled submission."""

    def __init__(self, layout: Layout, manifest: Manifest, index: int, work: Work) -> None:
        self.layout, self.manifest, self.work = layout, manifest, work
        self.began = now()
        self.asked: signal.Signals | None = None
        """What told the task to stop."""
        self.crew = Crew(self._on_stop)
        self.restart = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        node = os.environ.get("SLURMD_NODENAME", os.uname().nodename)
        self.ledger = Ledger(
            layout, manifest.token, index, restart=self.restart, node=node, unwanted=lambda: self.asked is not None
        )
        self.places = {(manifest.tasks[k].job, manifest.tasks[k].attempt): k for k in bundles.listed(manifest, index)}
        mine = [manifest.tasks[place] for place in self.places.values()]
        self.waiting = deque(self.ledger.unfinished(mine))
        self.stopped: list[Task] = []
        self.started = 0
        self.longest = manifest.learnt_seconds
        self._oom_kills = endings.oom_kills()
        self._looked_at = 0.0
        self._prepare(as_it_stands(layout, manifest.token, mine[0]))

    def _prepare(self, first: Task) -> None:
        """What all its jobs have in common."""
        options = self.manifest.terms[first.terms or 0].options if self.manifest.terms else {}
        minutes, at_once = first.resources.minutes, self.manifest.at_once
        self.deadline = bundles.deadline(self.began, minutes, os.environ.get("SLURM_JOB_END_TIME"))
        delay = int(options.get("signal_delay_seconds", 90))
        self.warned = self.deadline - max(1, min(delay, minutes * 10))  # as slurm/cluster/sbatch.py asks for it
        visible, per_gpu = os.environ.get("CUDA_VISIBLE_DEVICES"), max(1, int(options.get("jobs_per_gpu", 1)))
        self.devices = bundling.devices(visible, first.resources.gpus, at_once, per_gpu)
        memory = os.environ.get("SLURM_MEM_PER_NODE", "")
        self.memory_mb = float(memory) if memory.isdecimal() else float(at_once * first.resources.memory_mb)

    def run(self) -> None:
        """Run the list, as far as the time goes; returns when nothing of it runs any more."""
        called = False
        while self.crew.running or (self.waiting and self.asked is None):
            for worker, code in self.crew.reap():
                self._ended(worker, code)
            if time.monotonic() - self._looked_at >= LOOK_SECONDS:
                self._look()
            self._fill()
            if not called and self.asked is not None and time.time() >= self.deadline - bundling.LAST_CALL_SECONDS:
                called = True
                if self._requeued():
                    return
            if self.crew.running:
                self.crew.wait(LOOK_SECONDS)
        if called or not self._requeued():
            self._give_back("its task was over before its turn came")

    def _on_stop(self, number: signal.Signals) -> None:
        self.asked = self.asked or number
        self.crew.tell(number)

    # ---- beginning

    def _fill(self) -> None:
        while self.waiting and self.asked is None and len(self.crew.running) < self.manifest.at_once:
            late = self.started >= self.manifest.at_once
            if late and not bundling.fits(self.warned - time.time(), self.longest):
                self._give_back("what was left of the task's time is less than such jobs take")
                return
            if self.ledger.overtaken():
                self.waiting.clear()
                return
            task = self.waiting.popleft()
            if self.ledger.marked([task]):
                self.ledger.write(Step.CANCELLED, task)
            elif (why := self._needless(task)) is not None:
                self.ledger.write(Step.ENDED, task, text=why)
            else:
                self._start(task, late=late)

    def _needless(self, task: Task) -> str | None:
        later = [one for one in reading(lambda: self.layout.attempts(task.job), self._told) if one > task.attempt]
        return f"attempt {later[-1]} was made" if later else pieces.needless(self.layout, task, self._told)

    def _told(self) -> bool:
        return self.asked is not None

    def _start(self, task: Task, *, late: bool) -> None:
        place = next(place for place in range(self.manifest.at_once) if place not in self.crew.running)
        cold = self._is_cold(task)
        self.ledger.write(Step.STARTED, task, late=late)
        self.started += 1
        runner, at = os.getpid(), self.places[task.job, task.attempt]

        def work() -> None:
            if (devices := self.devices[place]) is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = devices
            cpus = os.environ.get("SLURM_CPUS_PER_TASK", "")
            if cpus.isdecimal():
                os.environ["SLURM_CPUS_PER_TASK"] = str(max(1, int(cpus) // self.manifest.at_once))
            mine = Bundled(self.began, runner)
            if cold:
                words = bundling.interpreter(self.layout.submission(self.manifest.token), at, mine)
                os.execv(words[0], words)
            self.work(at, mine)

        worker = self.crew.start(task, place, work, [self.ledger.handle])
        if self.asked is not None:  # heard before it was there
            worker.signal(self.asked)

    def _is_cold(self, task: Task) -> bool:
        """Whether its worker is a new interpreter. Of a kind of orch's own it is a fork that has torch already; of a
        program it always is a fork, for that is started by exec in any case."""
        with contextlib.suppress(OSError):
            job = read_json(self.layout.job(task.job) / "job.json", JobFile)
            kind = kind_named(job.kind) if job is not None else None
            if kind is not None and kind.name != "command":
                options = self.manifest.terms[task.terms].options if task.terms is not None else {}
                return bool(options.get(bundles.COLD)) or not warmth.warm(kind)
        return False  # the worker says what is wrong

    # ---- looking

    def _look(self) -> None:
        self._looked_at = time.monotonic()
        workers = list(self.crew.running.values())
        marked = self.ledger.marked([one.task for one in workers])
        for worker in workers:
            if worker.told_at is None and worker.task in marked:
                worker.told_at, worker.cause = time.monotonic(), Cause.CANCELLED
                worker.signal(signal.SIGTERM)
            elif worker.told_at is not None and time.monotonic() - worker.told_at >= GRACE_SECONDS:
                worker.kill()
        used = {one.key: one.memory_mb() for one in workers}
        share = {one.key: float(one.task.resources.memory_mb) for one in workers}
        worst = bundling.too_large(used, share, self.memory_mb)
        for worker in workers:
            over = max(0, round(used[worker.key] - share[worker.key]))
            if bool(over) != bool(worker.over_mb):
                self.ledger.write(Step.LARGE, worker.task, over_mb=over)
            worker.over_mb = over
            if worker.key == worst and worker.cause is None:
                worker.cause = Cause.OUT_OF_MEMORY
                text = f"it used {used[worst]:.0f} MB, its share is {share[worst]:.0f} MB"
                worker.said = f"{text}, and the task has {self.memory_mb:.0f} MB for all".encode()
                worker.kill()

    # ---- endings

    def _ended(self, worker: Worker, code: int) -> None:
        self.longest = max(self.longest, time.monotonic() - worker.began)
        text, newest = worker.said.decode(errors="replace"), self._newest(worker.task)
        outcome = newest[1] if newest is not None else None
        over = {"over_mb": worker.over_mb}
        for_memory = self._kills_rose() and code == -signal.SIGKILL and worker.cause is None
        if worker.cause is Cause.CANCELLED:
            self.ledger.write(Step.CANCELLED, worker.task, code=code)
        elif self.asked is not None and _may_go_on(outcome):
            self.ledger.write(Step.STOPPED, worker.task, code=code, text=text)
            self.stopped.append(worker.task)
        elif for_memory and worker.over_mb:
            self.ledger.write(Step.ENDED, worker.task, code=code, text=text, cause=Cause.OUT_OF_MEMORY, **over)
        elif for_memory or (worker.cause is None and bundling.by_others(outcome, worker.task, worker.over_mb)):
            why = "it was ended for the memory of the whole task, and was not above its own share: it is sent alone"
            self.ledger.write(Step.RETURNED, worker.task, code=code, text=why)
        else:
            self.ledger.write(Step.ENDED, worker.task, code=code, text=text, cause=worker.cause, **over)

    def _kills_rose(self) -> bool:
        """Whether the kernel has killed something for memory since the last end."""
        before, self._oom_kills = self._oom_kills, endings.oom_kills()
        return before is not None and self._oom_kills is not None and self._oom_kills > before

    def _newest(self, task: Task) -> tuple[Path, Outcome | None] | None:
        """Its execution of this start, and how that ended."""
        found = [
            (path.stat().st_mtime_ns, path)
            for path in self.layout.executions(task.job, task.attempt)
            if path.name.startswith(f"e{self.restart}-")
        ]
        if not found:
            return None
        path = max(found)[1]
        return path, read_patiently(path / "outcome.json", Outcome, self._told)

    def _stopped(self, task: Task) -> Stopped:
        newest = self._newest(task)
        if newest is None:
            return Stopped(may_go_on=True, advanced=False)
        folder, outcome = newest
        ready = read_json(folder / "ready.json", Ready)
        from_step = ready.checkpoint_step if ready is not None else -1
        # of one that still writes when SLURM's kill is near, whether there is any checkpoint of its own
        advanced = outcome.checkpoint_step > from_step if outcome is not None else bool(names(folder / "checkpoints"))
        return Stopped(_may_go_on(outcome), advanced)

    def _give_back(self, why: str) -> None:
        if self.ledger.overtaken():
            self.waiting.clear()
        while self.waiting:
            self.ledger.write(Step.RETURNED, self.waiting.popleft(), text=why)

    def _requeued(self) -> bool:
        """Ask SLURM to begin the task again, once, where that helps. True: it will end what still runs here."""
        left = [*self.stopped, *(one.task for one in self.crew.running.values())]
        if self.asked is not signal.SIGUSR2 or slurm_job_id() is None:
            return False
        return (
            bundling.goes_on([self._stopped(task) for task in left]) and not self.ledger.overtaken() and requeue_self()
        )


def _may_go_on(outcome: Outcome | None) -> bool:
    return outcome is None or (outcome.ending == "interrupted" and not outcome.superseded)
