"""A simulated SLURM: nodes, tasks, a scheduler, requeues and accounting records that trail reality (slurm.md's table).

How it answers commands is in commands.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from jobs.layout import Layout
from tests.simulation.clock import VirtualClock
from tests.simulation.folder import SharedFolder
from tests.simulation.runners import Runner
from tests.simulation.tasks import Run, Said, Task
from tests.simulation.workers import Ledger, Worker

PLACES = 3
"""Tasks that a node runs at a time."""
DETECT_SECONDS = 16.0
SIGNAL_SECONDS = 90.0


@dataclass
class Node:
    """`slurmd`: whether its daemon answers; `trouble`: what happens to every job there ('setup', 'data', 'kills')."""

    name: str
    slurmd: bool = True
    set_down: bool = False
    trouble: str = ""
    known_down: bool = False
    skew: float = 0.0
    """Seconds by which its clock is fast."""

    @property
    def state(self) -> str:
        return "down" if self.set_down else "down*" if self.known_down else "idle"

    @property
    def usable(self) -> bool:
        return self.slurmd and not self.set_down and not self.known_down


class Cluster:
    """The controller's view of the world, and the world."""

    def __init__(self, *, clock: VirtualClock, folder: SharedFolder, random: Random) -> None:
        self.clock, self.folder, self.random = clock, folder, random
        self.nodes = {name: Node(name) for name in ("n1", "n2", "n3", "n4")}
        self.tasks: list[Task] = []
        self.workers: list[Worker] = []
        self.runners: list[Runner] = []
        self.down_until = 0.0
        """The controller answers nothing before."""
        self.record_lag = 1.0
        self.requeue_delay = 10.0
        self.remembers = 300.0
        """MinJobAge: seconds for which squeue shows ended jobs."""
        self.max_array = 4
        self.orderly = True
        """False: the controller has lost count of which arrays run a task at a time only (`%1`)."""
        self.ids: Iterator[int] = itertools.count(1)
        self._kicked = False

    @property
    def up(self) -> bool:
        return self.clock.seconds >= self.down_until

    # ---- submitting and scheduling

    def submit(
        self,
        name: str,
        submission: Path,
        count: int,
        limit: float,
        exclude: frozenset[str],
        layout: Layout,
        ledger: Ledger,
        asked: Mapping[str, str],
        *,
        alone: bool = False,
        bundle: int = 0,
    ) -> int:
        """What sbatch brings about, for the store of that layout."""
        job = next(self.ids)
        for index in range(count) if count > 1 else [None]:
            task = Task(job, index, name, submission, limit, exclude, layout, ledger, asked=dict(asked), alone=alone)
            task.bundle = bundle
            if index is None:
                self._record(task, "PENDING", new=True)
            self.tasks.append(task)
        self.kick()
        return job

    def kick(self, seconds: float = 1.0) -> None:
        """Let the scheduler look soon."""
        if not self._kicked:
            self._kicked = True
            self.clock.after(seconds, self._schedule)

    def _schedule(self) -> None:
        self._kicked = False
        if not self.up:
            self.kick(self.down_until - self.clock.seconds + 0.5)
            return
        later = [task.begin for task in self.tasks if self._waits(task) and task.begin > self.clock.seconds]
        for task in self.tasks:
            if not self._waits(task) or task.begin > self.clock.seconds:
                continue
            if task.alone and self.orderly and self._sibling_runs(task):
                task.reason = "JobArrayTaskLimit"
                continue
            allowed = [node for node in self.nodes.values() if node.usable and node.name not in task.exclude]
            free = [node for node in allowed if self._running_on(node.name) < PLACES]
            if free:
                self._start(task, self.random.choice(free).name)
            else:
                task.reason = "Resources" if allowed else "ReqNodeNotAvail"
        if later:
            self.kick(min(later) - self.clock.seconds + 0.1)

    def _sibling_runs(self, task: Task) -> bool:
        """Whether one of its array has a node; the controller counts those that it knows."""
        return any(
            other.job == task.job
            and other.name == task.name
            and other.ended is None
            and other.in_queue
            and other.state in ("RUNNING", "COMPLETING")
            for other in self.tasks
            if other is not task
        )

    @staticmethod
    def _waits(task: Task) -> bool:
        return task.in_queue and task.state == "PENDING" and "held" not in task.reason.lower()

    def _running_on(self, node: str) -> int:
        here = [task for task in self.tasks if task.node == node and task.ended is None]
        return sum(task.state in ("RUNNING", "COMPLETING") for task in here)

    def _start(self, task: Task, node: str) -> None:
        task.state, task.reason, task.node, task.code, task.signal = "RUNNING", "None", node, 0, 0
        self._record(task, "RUNNING", new=not task.runs)
        worker: Worker | Runner
        surroundings = {
            "layout": task.layout,
            "submission": task.submission,
            "index": task.index or 0,
            "slurm_job": task.id,
            "restart": task.restarts,
            "node": node,
            "trouble": self.nodes[node].trouble,
            "clock": self.clock,
            "folder": self.folder,
            "random": self.random,
            "ledger": task.ledger,
            "skew": self.nodes[node].skew,
            "leave": lambda code, signal: self._left(task, worker, code, signal),
            "requeue": lambda: self._self_requeue(task, worker),
        }
        if task.bundle:
            worker = Runner(**surroundings, workers=self.workers)
            self.runners.append(worker)
        else:
            worker = Worker(**surroundings)
            self.workers.append(worker)
        task.worker = worker
        early = self.random.uniform(0.0, 60.0)

        def warn() -> None:
            if self._still(task, worker):
                worker.signal()

        self.clock.after(max(1.0, task.limit - SIGNAL_SECONDS - early), warn)
        self.clock.after(task.limit + self.random.uniform(0.0, 28.0), lambda: self._limit(task, worker))

    def _still(self, task: Task, worker: Worker | Runner) -> bool:
        return task.worker is worker and task.state == "RUNNING"

    def _limit(self, task: Task, worker: Worker | Runner) -> None:
        if self._still(task, worker):
            self.end(task, "TIMEOUT")

    # ---- endings

    def _left(self, task: Task, worker: Worker, code: int, signal: int) -> None:
        """The worker is gone: the controller hears of it where the node's daemon lives."""
        if self._still(task, worker) and self.nodes[task.node].slurmd:
            self.end(task, "COMPLETED" if (code, signal) == (0, 0) else "FAILED", code, signal)

    def end(self, task: Task, state: str, code: int = 0, signal: int = 0, who: str = "") -> None:
        """The task is over, after COMPLETING for a while; a worker still there is ended."""
        worker, task.worker = task.worker, None
        ran = task.state == "RUNNING"
        task.code, task.signal = code, signal
        task.state = "COMPLETING" if ran else state
        if ran or task.runs:
            self._record(task, state, code, signal, who)
        self._make_end(worker)
        if ran:
            self.clock.after(self.random.uniform(0.1, 7.0), lambda: self._over(task, state))
        else:
            self._over(task, state)

    def _over(self, task: Task, state: str) -> None:
        if task.state in ("COMPLETING", state) and task.ended is None:
            task.state, task.ended = state, self.clock.seconds
            self.clock.after(self.remembers, lambda: self.forget(task) if task.ended is not None else None)
            self.kick()

    def _make_end(self, worker: Worker | Runner | None) -> None:
        """Signals reach it only where the node's daemon lives."""
        if worker is not None and worker.alive and self.nodes[worker.node].slurmd:
            worker.kill() if self.random.random() < 0.5 else worker.terminate()

    def forget(self, task: Task) -> None:
        """It leaves the queue (MinJobAge, or a controller that lost its state)."""
        task.in_queue = False

    def begin_again(self, task: Task) -> None:
        """The controller comes back with a state in which the task had not ended."""
        task.ended, task.in_queue, task.again = None, True, True
        self.requeue(task, "REQUEUED")

    def node_fail(self, task: Task) -> None:
        """Its worker may carry on unseen."""
        self._requeue_soon(task, "NODE_FAIL")

    def preempt(self, task: Task) -> None:
        """Its worker is ended."""
        worker = task.worker
        self._requeue_soon(task, "PREEMPTED")
        self._make_end(worker)

    def _requeue_soon(self, task: Task, state: str) -> None:
        """In that state for some seconds, then PENDING under the same id: not final while the queue has the id."""
        task.worker, task.state = None, state
        self._record(task, state)

        def again() -> None:
            if task.live and task.state == state:
                self.requeue(task, state)

        self.clock.after(self.random.uniform(0.0, 4.0), again)

    def requeue(self, task: Task, state: str, *, hold: str = "") -> None:
        """Back to PENDING under the same id; `state` is what the records say of the run before."""
        worker, task.worker = task.worker, None
        if state not in ("NODE_FAIL", "PREEMPTED"):
            self._record(task, state)
            self._make_end(worker)
        task.restarts += 1
        task.state, task.node = "PENDING", ""
        task.reason = hold or "BeginTime"
        task.begin = self.clock.seconds + self.requeue_delay
        self._record(task, "PENDING", new=True)
        self.kick(self.requeue_delay + 0.1)

    def _self_requeue(self, task: Task, worker: Worker | Runner) -> bool:
        """`scontrol requeue` from inside the job."""
        if not self.up or not self._still(task, worker) or self.random.random() < 0.1:
            return False
        self.requeue(task, "REQUEUED")
        return True

    def node_fails(self, node: Node) -> None:
        """The controller notices: everything that it knows to run there is requeued."""
        node.known_down = not node.slurmd
        for task in self.tasks:
            if task.live and task.node == node.name and task.state in ("RUNNING", "COMPLETING"):
                self.node_fail(task)

    def slurmd_dies(self, node: Node, seconds: float) -> None:
        """For so long; within the detection time nobody notices."""
        if not node.slurmd:
            return
        node.slurmd = False
        self.clock.after(DETECT_SECONDS, lambda: None if node.slurmd else self.node_fails(node))
        self.clock.after(seconds, lambda: self.slurmd_returns(node))

    def slurmd_returns(self, node: Node) -> None:
        """It says what runs there; what the controller gave up is ended, or has long gone on."""
        node.slurmd, node.known_down, node.set_down = True, False, False
        known = {id(task.worker) for task in self.tasks}
        known |= {id(one) for runner in self.runners if id(runner) in known for one in runner.running.values()}
        for worker in [*self.runners, *self.workers]:
            if worker.node == node.name and worker.alive and id(worker) not in known and self.random.random() < 0.5:
                worker.kill()
        for task in self.tasks:
            gone = task.worker
            if gone is not None and not gone.alive and task.state == "RUNNING" and task.node == node.name:
                self._left(task, gone, *gone.exit)
        self.kick()

    # ---- records

    def _record(
        self, task: Task, state: str, code: int = 0, signal: int = 0, who: str = "", *, new: bool = False
    ) -> None:
        if new:
            task.runs.append(Run())
        if task.runs:
            lag = self.random.uniform(0.1, self.record_lag)
            since = max([self.clock.seconds + lag, *(said.since for said in task.runs[-1].said)])
            task.runs[-1].said.append(Said(since, state, code, signal, task.node, who))

    # ---- for schedules

    def running(self) -> list[Task]:
        """Tasks that run, as the controller sees it."""
        return [task for task in self.tasks if task.live and task.state == "RUNNING"]

    def pending(self) -> list[Task]:
        return [task for task in self.tasks if task.live and task.state == "PENDING"]

    def beat(self) -> None:
        """Bring every heartbeat up to date."""
        for worker in self.workers:
            worker.beat()
