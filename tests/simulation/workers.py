"""Simulated workers: they write the files that a real one writes, in its order, on the virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import msgspec

from jobs.files import read_json
from jobs.layout import Layout
from jobs.metrics import RULE
from jobs.node import pieces, progress
from jobs.node.checkpoints import CheckpointRecord, Checkpoints
from jobs.node.endings import CommandFailed
from jobs.node.recorder import earlier_checkpoints
from jobs.node.stopping import Heartbeat, Stop, StopReason
from jobs.node.terms import as_it_stands
from jobs.node.worker import EARLY_SIGNAL_SECONDS
from jobs.records import Manifest, MetricLine, Outcome, Ready, Spawn, Started
from jobs.words import Cause
from tests.simulation.clock import VirtualClock
from tests.simulation.folder import SharedFolder

HEARTBEAT_SECONDS = 5.0


@dataclass(kw_only=True)
class Nature:
    """What a job is like, whoever runs it."""

    epochs: int
    epoch_seconds: float
    every: int
    """Epochs between checkpoints; more than `epochs`: none."""
    error_at: int | None = None
    """The epoch in which it always raises; 0: before its first step."""
    fault_at: int | None = None
    """The epoch in which its first execution meets a GPU fault."""
    spawn: tuple[Spawn, ...] = ()
    program: bool = False
    """Its checkpoints are files of its own, in a format that only it knows: progress is any change of them."""


STATE = "state.json"


class State(msgspec.Struct, frozen=True):
    """What a simulated program saves."""

    history: tuple[MetricLine, ...]


SPAWNED = Nature(epochs=2, epoch_seconds=5.0, every=1)
"""Of jobs that no schedule submitted, but another job asked for."""


@dataclass
class Ledger:
    """What really happened, to compare the store with."""

    natures: dict[int, Nature] = field(default_factory=dict)
    needs: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Job → what it cannot do without."""
    started: dict[Path, Started] = field(default_factory=dict)
    outcomes: dict[Path, Outcome] = field(default_factory=dict)
    lines: dict[Path, list[MetricLine]] = field(default_factory=dict)
    executions: int = 0
    needless: int = 0
    """Pieces that found nothing left to do."""
    given_up: int = 0
    """Tasks that started after their submission had been given up."""
    wrong: list[str] = field(default_factory=list)
    """What no worker should meet."""

    def useless(self, mine: Started) -> bool:
        """Whether a worker may stop for another: a success of its generation or a later one, or one begun since."""
        return any(
            started.job == mine.job
            and (
                (
                    path in self.outcomes
                    and self.outcomes[path].ending == "success"
                    and started.generation >= mine.generation
                )
                or started.attempt > mine.attempt
                or (started.attempt == mine.attempt and (started.restart, started.at) > (mine.restart, mine.at))
            )
            for path, started in self.started.items()
        )


class Worker:
    """One execution: from the first line of the batch script to its exit."""

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
        task_began: float | None = None,
    ) -> None:
        """`task_began`: of one of a bundle, since when the time of all of them runs."""
        self.task_began = task_began
        self.layout = layout
        self.submission = submission
        self.index = index
        self.slurm_job = slurm_job
        self.restart = restart
        self.node = node
        self.trouble = trouble
        self.clock = clock
        self.folder = folder
        self.random = random
        self.ledger = ledger
        self.skew = timedelta(seconds=skew)
        self.leave = leave
        self.requeue = requeue
        self.alive = True
        self.exit = (0, 0)
        """Code and signal, once it is gone."""
        self.began = clock.seconds
        self.stop = Stop()
        self.path: Path | None = None
        ledger.executions += 1
        self.number = ledger.executions
        self.saved = 0
        """Checkpoints of a program."""
        self._beat = -1
        self._after(random.uniform(0.1, 3.0), self._start)

    # ---- from outside

    def signal(self) -> None:
        """USR2: stop at the next step boundary."""
        if self.alive:
            self.stop.ask(StopReason.USER_SIGNAL)

    def terminate(self) -> None:
        """TERM, then KILL a little later."""
        if self.alive:
            self.stop.ask(StopReason.TERMINATED)
            self._after(self.random.uniform(1.0, 30.0), self.kill)

    def kill(self) -> None:
        """SIGKILL, or its node lost power: perhaps in the middle of a line."""
        if self.alive and self.path is not None and self.random.random() < 0.2:
            self.folder.append(self.path / "metrics.jsonl", b'{"epoch": 9, "at"')
        self._end(0, 9)

    def beat(self) -> None:
        """Bring the heartbeat up to date."""
        beat = int((self.clock.seconds - self.began) / HEARTBEAT_SECONDS)
        if self.alive and self.path is not None and beat != self._beat:
            self._beat = beat
            self.folder.beat(self.path / "heartbeat", beat)

    # ---- its life

    def _now(self) -> datetime:
        """By its node's own clock."""
        return self.clock.now() + self.skew

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        self.clock.after(seconds, lambda: what() if self.alive else None)

    def _end(self, code: int, signal: int = 0) -> None:
        if self.alive:
            self.alive, self.exit = False, (code, signal)
            self.leave(code, signal)

    def _start(self) -> None:
        manifest = read_json(self.submission / "manifest.json", Manifest)
        if manifest is None or self.trouble == "setup":
            self._end(1)
            return
        if self.layout.given_up(manifest.token).exists():
            self.ledger.given_up += 1
            self._end(0)
            return
        sliced = manifest.tasks[0].pieces > 0
        self.task = task = manifest.tasks[0 if sliced else self.index]
        if sliced:
            if pieces.needless(self.layout, task) is not None:
                if not self._is_needless():
                    self.ledger.wrong.append(f"piece {self.slurm_job} of job {task.job} ended, and nobody goes on")
                self.ledger.needless += 1
                self._exit_soon()
                return
            self.restart = pieces.turn(self.layout, task)
        self.nature = self.ledger.natures.get(task.job, SPAWNED)
        name = f"e{self.restart}-{self.random.randbytes(3).hex()}"
        self.path = self.layout.attempt(task.job, task.attempt) / name
        self.started = Started(
            job=task.job,
            attempt=task.attempt,
            generation=task.generation,
            token=manifest.token,
            index=0 if sliced else self.index,
            restart=self.restart,
            node=self.node,
            host=self.node,
            pid=1000 + self.number,
            process_start=self.began,
            boot_id=self.node,
            slurm_job=self.slurm_job,
            at=self._now(),
        )
        self.ledger.started[self.path] = self.started
        lacking = set(self.ledger.needs.get(task.job, ())) - set(map(int, task.inputs))
        if lacking:
            self.ledger.wrong.append(f"{self.path} began without the results of jobs {sorted(lacking)}")
        self.folder.put(self.path / "started.json", self.started)
        if self.trouble == "kills":
            self._after(2.0, self.kill)
        load = self.random.uniform(2.0, 15.0)
        if self.trouble == "data" or self.nature.error_at == 0:
            self._after(load, lambda: self._fail(Cause.ERROR, "DataError: there is no data set in /data"))
        else:
            self._after(load, self._load)

    def _is_needless(self) -> bool:
        """Whether a piece may end at once, by what really happened."""
        task = self.task
        for path, started in self.ledger.started.items():
            said = self.ledger.outcomes.get(path)
            ending = said.ending if said is not None else "interrupted"
            if started.job == task.job and (
                started.attempt > task.attempt
                or (started.attempt == task.attempt and ending != "interrupted")
                or (started.generation >= task.generation and ending == "success")
            ):
                return True
        return False

    def _load(self) -> None:
        assert self.path is not None
        if self.task.pieces:
            try:
                pieces.check_progress(self.layout, self.task, self.path)
            except CommandFailed as error:
                self._fail(error.cause, str(error))
                return
        earlier = earlier_checkpoints(self.layout, self.task, self.path)
        if self.nature.program:
            self._inherit([path.parent for path in earlier])
        else:
            found = Checkpoints(self.path / "checkpoints", earlier).candidates()
            self.resumed = self.step = found[0][0].step if found else -1
            self.epoch = max(self.step, 0)
            self.history = list(found[0][0].history) if found else []
        if self.history:
            self.folder.append(self.path / "metrics.jsonl", b"".join(map(_line, self.history)))
        self.folder.put(self.path / "ready.json", Ready(at=self._now(), checkpoint_step=self.resumed))
        self._next()

    def _next(self) -> None:
        if self.epoch >= self.nature.epochs:
            self._succeed()
        else:
            self._after(self.nature.epoch_seconds, self._epoch)

    def _epoch(self) -> None:
        assert self.path is not None
        self.epoch += 1
        if self.epoch == self.nature.error_at:
            self._fail(Cause.ERROR, "ValueError: the loss is not finite")
            return
        if self.epoch == self.nature.fault_at and self.number % 2:
            self._fail(Cause.GPU_FAULT, "CUDA error: uncorrectable ECC error encountered")
            return
        line = MetricLine(
            epoch=self.epoch,
            epochs=self.nature.epochs,
            at=self._now(),
            values={"test_accuracy": self.number + self.epoch / 100},
        )
        self.history.append(line)
        self.folder.append(self.path / "metrics.jsonl", _line(line))
        if Heartbeat(self.layout, self.path, self.started, self.stop).useless():
            self.stop.ask(StopReason.SUPERSEDED)
            if not self.ledger.useless(self.started):
                self.ledger.wrong.append(
                    f"{self.path} of job {self.started.job} stopped, and nobody else does its work"
                )
        if self.epoch % self.nature.every == 0 or self.stop.reason is not None:
            self._checkpoint()
        if self.stop.reason is not None:
            self._interrupt(self.stop.reason)
        else:
            self._next()

    def _inherit(self, earlier: list[Path]) -> None:
        """A program's checkpoints, as a worker hands them on, and its count, as a worker begins it."""
        assert self.path is not None
        kept = [path for path in earlier if (path / "checkpoints" / STATE).exists()]
        newest = max(kept, key=progress.reached, default=None)
        state = read_json(newest / "checkpoints" / STATE, State) if newest is not None else None
        self.history = list(state.history) if state is not None else []
        self.epoch = len(self.history)
        self.resumed = self.step = max(map(progress.reached, earlier), default=-1)
        if state is not None:
            self.folder.put(self.path / "checkpoints" / STATE, state)
        self._count()

    def _count(self) -> None:
        """What a worker's watch writes: the count, and what the folder held when it was taken."""
        assert self.path is not None
        seen = progress.digest(self.path / "checkpoints")
        self.folder.put(self.path / progress.FILE, progress.Progress(step=self.step, digest=seen))

    def _checkpoint(self) -> None:
        assert self.path is not None
        if self.nature.program:
            self.folder.put(self.path / "checkpoints" / STATE, State(history=tuple(self.history)))
            self.saved += 1
            if self.random.random() < 0.5:  # else it is killed, or ends, before its worker looks again
                self.step = progress.after(self.step)
                self._count()
            return
        self.step = self.epoch
        record = CheckpointRecord(step=self.step, bytes=0, sha256="", history=tuple(self.history))
        self.folder.put(self.path / "checkpoints" / f"step-{self.step:08d}.json", record)

    def _interrupt(self, reason: StopReason) -> None:
        cause, requeue = Cause.CANCELLED, False
        minutes = as_it_stands(self.layout, self.submission.name, self.task).resources.minutes
        task_began = self.began if self.task_began is None else self.task_began
        elapsed, limit = self.clock.seconds - task_began, minutes * 60
        early = min(EARLY_SIGNAL_SECONDS, limit / 6 + 90)
        if reason is StopReason.USER_SIGNAL:
            cause = Cause.TIMEOUT if elapsed >= limit - EARLY_SIGNAL_SECONDS else Cause.PREEMPTED
            whole = self.began - task_began < early
            if cause is Cause.TIMEOUT and self.step <= self.resumed and elapsed >= limit * 0.25 and whole:
                self._fail(Cause.TIMEOUT, "no progress in a whole time limit")
                return
            requeue = not self.task.pieces and self.task_began is None
        elif reason is StopReason.TERMINATED:
            cause = Cause.PREEMPTED
        outcome = self._outcome("interrupted", cause)
        outcome = msgspec.structs.replace(outcome, requeued=requeue, superseded=reason is StopReason.SUPERSEDED)
        self._write(outcome)
        if requeue:
            self._after(self.random.uniform(0.1, 0.5), lambda: self._requeue(outcome))
        else:
            self._exit_soon()

    def _requeue(self, outcome: Outcome) -> None:
        if not self.requeue():
            self._write(msgspec.structs.replace(outcome, requeued=False))
            self._exit_soon()

    def _fail(self, cause: Cause, error: str) -> None:
        self._write(msgspec.structs.replace(self._outcome("failure", cause), error=error))
        self._exit_soon()

    def _succeed(self) -> None:
        result = {"test_accuracy": self.number + self.epoch / 100, "execution": float(self.number)}
        outcome = self._outcome("success", Cause.SUCCESS)
        self._write(msgspec.structs.replace(outcome, result=result, rule=RULE, spawn=self.nature.spawn))
        self._exit_soon()

    def _outcome(self, ending: str, cause: Cause) -> Outcome:
        return Outcome(
            ending=ending,  # type: ignore[arg-type]
            cause=cause,
            epoch=getattr(self, "epoch", -1),
            checkpoint_step=getattr(self, "step", -1),
            wall_seconds=self.clock.seconds - self.began,
            at=self._now(),
        )

    def _write(self, outcome: Outcome) -> None:
        assert self.path is not None
        self.ledger.outcomes[self.path] = outcome
        self.ledger.lines[self.path] = list(getattr(self, "history", []))
        self.folder.put(self.path / "outcome.json", outcome)

    def _exit_soon(self) -> None:
        self._after(self.random.uniform(0.05, 2.0), lambda: self._end(0))


def _line(line: MetricLine) -> bytes:
    return msgspec.json.encode(line) + b"\n"
