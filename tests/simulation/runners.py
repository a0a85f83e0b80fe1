"""Simulated runners of bundles: they begin workers and write ledgers, by the real one's decisions and records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

from jobs import bundles
from jobs.bundles import BundleLine, Key, Step
from jobs.files import names, read_json, read_lines
from jobs.layout import Layout
from jobs.node import bundling, pieces
from jobs.node.bundling import Stopped
from jobs.records import Manifest, Task
from jobs.words import Cause
from tests.simulation.clock import VirtualClock
from tests.simulation.folder import SharedFolder
from tests.simulation.workers import Ledger, Worker

LOOK_SECONDS = 2.0
WARNING_SECONDS = 90.0


class Runner:
    """One start of one task of a bundled submission; to its cluster it is the task's worker."""

    path: Path | None = None
    """It has no execution of its own."""

    def __init__(
        self,
        *,
        layout: Layout,
        submission: Path,
        index: int,
        slurm_job: str,
        restart: int,
        node: str,
        trouble: str,
        clock: VirtualClock,
        folder: SharedFolder,
        random: Random,
        ledger: Ledger,
        skew: float,
        leave: Callable[[int, int], None],
        requeue: Callable[[], bool],
        workers: list[Worker],
    ) -> None:
        """`workers`: all of the cluster, to which those of this runner are added."""
        self.layout, self.submission, self.index = layout, submission, index
        self.slurm_job, self.restart, self.node, self.trouble = slurm_job, restart, node, trouble
        self.clock, self.folder, self.random, self.truth = clock, folder, random, ledger
        self.skew = skew
        self.leave, self.requeue, self.workers = leave, requeue, workers
        self.exit = (0, 0)
        self.running: dict[Key, Worker] = {}
        self.waiting: deque[Task] = deque()
        self.stopped: list[tuple[Task, Worker]] = []
        self.told: set[Key] = set()
        self.asked = ""
        self.started = 0
        self.manifest: Manifest | None = None
        self._alive = True
        self.began = clock.seconds
        self._after(random.uniform(0.1, 3.0), self._start)

    @property
    def alive(self) -> bool:
        return self._alive

    @alive.setter
    def alive(self, value: bool) -> None:
        """What takes it takes all that it runs."""
        self._alive = value
        if not value:
            for worker in self.running.values():
                worker.alive = False

    def may_run(self, key: Key) -> bool:
        """Whether it runs that one, or may yet begin it."""
        return self._alive and (
            self.manifest is None or key in self.running or any(_key(one) == key for one in self.waiting)
        )

    # ---- from outside

    def signal(self) -> None:
        self._stop("warned")

    def terminate(self) -> None:
        self._stop("ended")
        self._after(self.random.uniform(1.0, 30.0), self.kill)

    def _stop(self, how: str) -> None:
        if self._alive:
            self.asked = self.asked or how
            for worker in list(self.running.values()):
                worker.signal() if how == "warned" else worker.terminate()
            self._go_on()

    def kill(self) -> None:
        """Its workers hear of it: TERM (prctl(2), PR_SET_PDEATHSIG), or with its node they go at once."""
        if not self._alive:
            return
        self._alive = False
        self.exit = (0, 9)
        for worker in list(self.running.values()):
            worker.kill() if self.random.random() < 0.5 else worker.terminate()
        self.leave(0, 9)

    def beat(self) -> None:
        """It has no heart of its own."""

    # ---- its life

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        self.clock.after(seconds, lambda: what() if self._alive else None)

    def _end(self, code: int) -> None:
        if self._alive:
            self._alive, self.exit = False, (code, 0)
            self.leave(code, 0)

    def _start(self) -> None:
        manifest = read_json(self.submission / "manifest.json", Manifest)
        if manifest is None or self.trouble == "setup":
            self._end(1)
            return
        if self.layout.given_up(manifest.token).exists():
            self.truth.given_up += 1
            self._end(0)
            return
        self.manifest = manifest
        before = self._before()
        self.file = self.layout.bundle(manifest.token, self.index) / (
            f"r{self.restart}-{self.random.randbytes(3).hex()}.jsonl"
        )
        self._write(Step.BEGUN)
        over = {key for key, one in before.standings.items() if one.step in (Step.ENDED, Step.RETURNED, Step.CANCELLED)}
        listed = [manifest.tasks[place] for place in bundles.listed(manifest, self.index)]
        self.waiting = deque(task for task in listed if _key(task) not in over)
        self.minutes = listed[0].resources.minutes
        self.longest = manifest.learnt_seconds
        self._look()
        self._go_on()

    def _before(self) -> bundles.Ledgers:
        """What earlier runners wrote, as far as it can be seen from here."""
        assert self.manifest is not None
        found = self.layout.ledgers(self.manifest.token, self.index)
        return bundles.read((restart, list(read_lines(path, BundleLine))) for restart, path in found)

    def _overtaken(self) -> bool:
        assert self.manifest is not None
        return any(one > self.restart for one, _ in self.layout.ledgers(self.manifest.token, self.index))

    def _write(self, step: Step, task: Task | None = None, **more: object) -> None:
        job, attempt = _key(task) if task is not None else (0, 0)
        at = self.clock.now() + timedelta(seconds=self.skew)
        line = BundleLine(step=step, job=job, attempt=attempt, node=self.node, at=at, **more)  # type: ignore[arg-type]
        self.folder.append(self.file, bundles.encoded(line))

    def _go_on(self) -> None:
        """Begin what may begin, or leave."""
        assert self.manifest is not None or not self.running
        if self.manifest is None or not self._alive:
            return
        while self.waiting and not self.asked and len(self.running) < self.manifest.at_once:
            late = self.started >= self.manifest.at_once
            warned = self.began + self.minutes * 60 - min(WARNING_SECONDS, self.minutes * 10)
            if late and not bundling.fits(warned - self.clock.seconds, self.longest):
                self._give_back("what was left of the task's time is less than such jobs take")
                break
            if self._overtaken():
                self.waiting.clear()
                break
            task = self.waiting.popleft()
            if self._marked(task):
                self._write(Step.CANCELLED, task)
            elif self._needless(task):
                self._write(Step.ENDED, task, text="nothing to do")
            else:
                self._begin(task, late=late)
        if not self.running and (not self.waiting or self.asked):
            self._leave()

    def _begin(self, task: Task, *, late: bool) -> None:
        assert self.manifest is not None
        self._write(Step.STARTED, task, late=late)
        self.started += 1
        worker = Worker(
            layout=self.layout,
            submission=self.submission,
            index=self.manifest.tasks.index(task),
            slurm_job=self.slurm_job,
            restart=self.restart,
            node=self.node,
            trouble=self.trouble,
            clock=self.clock,
            folder=self.folder,
            random=self.random,
            ledger=self.truth,
            skew=self.skew,
            leave=lambda code, signal: self._left(task, worker, code, signal),
            requeue=lambda: False,
            task_began=self.began,
        )
        self.running[_key(task)] = worker
        self.workers.append(worker)

    def _needless(self, task: Task) -> bool:
        later = any(one > task.attempt for one in self.layout.attempts(task.job))
        return later or pieces.needless(self.layout, task) is not None

    def _marked(self, task: Task) -> bool:
        assert self.manifest is not None
        mark = self.layout.cancel_mark(self.manifest.token, self.index, *_key(task))
        return mark.name in names(mark.parent)

    def _look(self) -> None:
        """Cancels are looked for now and then."""
        assert self.manifest is not None
        for task in [self.manifest.tasks[place] for place in bundles.listed(self.manifest, self.index)]:
            key = _key(task)
            if key in self.running and key not in self.told and self._marked(task):
                self.told.add(key)
                self.running[key].terminate()
        self._after(LOOK_SECONDS, self._look)

    # ---- endings

    def _left(self, task: Task, worker: Worker, code: int, signal: int) -> None:
        """A worker is gone; whoever took the runner with it hears nothing."""
        key = _key(task)
        self.running.pop(key, None)
        if not self._alive:
            return
        self.longest = max(self.longest, self.clock.seconds - worker.began)
        number = -signal if signal else code
        if key in self.told:
            self._write(Step.CANCELLED, task, code=number)
        elif self.asked and self._may_go_on(worker):
            self._write(Step.STOPPED, task, code=number)
            self.stopped.append((task, worker))
        else:
            cause = Cause.KILLED if signal else None
            self._write(Step.ENDED, task, code=number, cause=cause)
        self._go_on()

    def _may_go_on(self, worker: Worker) -> bool:
        said = self.truth.outcomes.get(worker.path) if worker.path is not None else None
        return said is None or (said.ending == "interrupted" and not said.superseded)

    def _give_back(self, why: str) -> None:
        if self._overtaken():
            self.waiting.clear()
        while self.waiting:
            self._write(Step.RETURNED, self.waiting.popleft(), text=why)

    def _leave(self) -> None:
        stopped = [
            Stopped(self._may_go_on(worker), getattr(worker, "step", -1) > getattr(worker, "resumed", -1))
            for _, worker in self.stopped
        ]
        if self.asked == "warned" and bundling.goes_on(stopped) and not self._overtaken() and self.requeue():
            return
        self._give_back("its task was over before its turn came")
        self._after(self.random.uniform(0.05, 2.0), lambda: self._end(0))


def _key(task: Task) -> Key:
    return task.job, task.attempt
