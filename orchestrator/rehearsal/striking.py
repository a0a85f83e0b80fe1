"""Carrying one disturbance out, at its moment, on the first execution of a run of this host."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import msgspec

from orchestrator.rehearsal import contents, tearing
from orchestrator.rehearsal.cramped import Disk
from orchestrator.rehearsal.disturbances import OF_ITS_HOST, OF_SLURM, Disturbance, Moment, Trial
from orchestrator.rehearsal.hands import DeadNode, Hand, OnSlurm, pretend_cluster
from orchestrator.rehearsal.histories import Hit
from orchestrator.rehearsal.looking import Execution
from orchestrator.rehearsal.smalldisk import NoSmallDisk
from orchestrator.rehearsal.watching import Event, Eyes

NOTICE_SECONDS = 10.0
"""From the warning of a time limit to the kill."""
ANSWERS_SECONDS = 24.0
"""A program that lives longer after its TERM is killed by orch's worker."""
AT_LEAST = {Disturbance.TORN: 1, Disturbance.TIMES: 2, Disturbance.WRITE: 1, Disturbance.DISK: 1}
"""Whole checkpoints that must be there before."""

GOES_ON_SECONDS = 1.0
"""A program that reports a line so long after a write without room can do without."""
LEAST_FULL_SECONDS = 10.0
"""So long it has to say something or to end, an epoch besides."""
LOOK_AGAIN_SECONDS = 0.2
NODE_SECONDS = 1.0
OUTCOME = "outcome.json"
REPORTED_SECONDS = 10.0
"""After these a worker knows of the full disk, whatever keeps it from its outcome."""
NOT_WRITTEN_SECONDS, NOT_WRITTEN_EPOCHS = 30.0, 5


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Of the undisturbed run, in seconds."""

    epoch: float
    whole: float
    renames: bool
    """Whether checkpoints get their final name by a rename."""


class Filled:
    """A full disk: from when on, whether the program met it, and when it may have room again."""

    def __init__(self, disk: Disk, epoch: float) -> None:
        self.disk, self.epoch = disk, epoch
        self.on = False
        self.felt = False
        self._since = self._written_at = self._looked_at = 0.0
        self._gone_at = 0.0
        self._lines = 0
        self._reported = False
        self._eyes: Eyes | None = None
        """For what its worker writes, which is no checkpoint."""

    def begin(self, one: Execution) -> None:
        self._eyes = Eyes()
        self._eyes.watch(one.folder)
        self.disk.fill()
        self.on, self.felt, self._since, self._written_at = True, False, time.monotonic(), 0.0
        self._reported, self._gone_at = False, 0.0

    def may_end(self, one: Execution, news: list[Event]) -> bool:
        """Its program is gone, which its worker has seen; or it goes on, an epoch after it began to write; or it writes
        nothing for long."""
        now = time.monotonic()
        of_program = [event for event in news if event.path.is_relative_to(one.checkpoints)]
        if of_program and not self._written_at:
            self._written_at, self._lines = now, one.lines
        written = self._eyes.look() if self._eyes is not None else []
        self._reported = self._reported or any(OUTCOME in event.path.name for event in written)
        if now - self._looked_at > LOOK_AGAIN_SECONDS:
            self._looked_at = now
            self._gone_at = self._gone_at or (0.0 if one.works() else now)
        self.felt = self._gone_at > 0 or self._written_at > 0
        if now - self._since > NOT_WRITTEN_SECONDS + NOT_WRITTEN_EPOCHS * self.epoch:
            return True
        if self._gone_at:  # with room too early its worker would not know why it failed
            return self._reported or not one.alive() or now - self._gone_at > REPORTED_SECONDS
        if not self._written_at:
            return False
        goes_on = one.lines > self._lines and now - self._written_at > GOES_ON_SECONDS
        return goes_on or now - self._written_at > LEAST_FULL_SECONDS + self.epoch

    def end(self) -> None:
        self.on = False
        if self._eyes is not None:
            self._eyes.close()
        with contextlib.suppress(NoSmallDisk):  # whoever held it is gone, and so is the disk
            self.disk.make_room()

    @property
    def how(self) -> str:
        what = "its program ended" if self._gone_at else "it went on"
        return f"no room for {time.monotonic() - self._since:.1f} s, in which {what}"


class Striker:
    """Waits for the moment of a trial, and strikes once."""

    def __init__(self, trial: Trial, pace: Pace, zero: float, hand: Hand, disk: Disk | None = None) -> None:
        self.trial = trial
        self.pace = pace
        self.zero = zero
        self.hand = hand
        self.filled = Filled(disk, pace.epoch) if disk is not None else None
        self.dead: DeadNode | None = None
        self.hit: Hit | None = None
        self.twin: subprocess.Popen[bytes] | None = None
        self._due: float | None = None
        self._told_at: float | None = None
        self._struck: Execution | None = None
        self._armed = False
        self._next_look = 0.0

    def look(self, executions: list[Execution], news: list[Event]) -> None:
        """One look at the run; `news`: what was written since the last one."""
        if self.hit is not None:
            self._follow_up(news)
            return
        what, moment = self.trial.disturbance, self.trial.moment
        if what is None or moment is None or not executions or executions[0].started is None:
            return
        first = executions[0]
        if not self._is_due(first, moment) or len(first.saves()) < AT_LEAST.get(what, 0):
            return
        if what is Disturbance.WRITE:
            self._in_a_write(first, news)
        else:
            self._strike(what, first)

    def _is_due(self, first: Execution, moment: Moment) -> bool:
        now = time.time()
        if self._due is None:
            if not moment.lines:
                self._due = first.began + moment.part * self.pace.whole
            elif first.lines >= moment.lines:
                self._due = now + moment.part * self.pace.epoch
        return self._due is not None and now >= self._due

    def _strike(self, what: Disturbance, first: Execution) -> None:
        how = ""
        if what is Disturbance.TWICE:
            try:
                how = self._twin_of(first)
            except OSError:  # it has just ended, so there is nothing to start once more
                return
        elif what in (Disturbance.TERM, Disturbance.LIMIT):
            self.hand.tell(first, signal.SIGTERM if what is Disturbance.TERM else signal.SIGUSR2)
            self._told_at = time.time()
        elif what is Disturbance.DISK:
            assert self.filled is not None
            self.filled.begin(first)
        elif what in OF_SLURM:
            how = self._through_slurm(what, first)
        elif what in OF_ITS_HOST:
            first.kill()
        else:
            self.hand.kill(first)
        self._struck_at(first, how)
        with contextlib.suppress(OSError):
            if what is Disturbance.TORN and (path := tearing.newest(first.checkpoints)) is not None:
                how = "{1} of {0} bytes of {2} left".format(*tearing.tear(path), path.name)
            elif what is Disturbance.TIMES:
                how = f"times of {tearing.turn_times(first.checkpoints)} files turned round"
        assert self.hit is not None
        self.hit = msgspec.structs.replace(self.hit, how=how)

    def _in_a_write(self, first: Execution, news: list[Event]) -> None:
        """Kill at the first sign of a write; the processes are known before, so that it takes two system calls."""
        if not self._armed:
            self._armed = bool(first.pids())
            return
        begun = next((one for one in news if one.path.is_relative_to(first.folder) and not one.whole), None)
        if begun is None:
            return
        first.kill(again=False)
        name = begun.path.name
        after = [one for one in [*news, *first.eyes.look()] if one.path == begun.path]
        done = any(one.written or one.moved_away for one in after)
        self._struck_at(first, "")
        in_place = "" if self.pace.renames else name
        how = f"in the middle of writing {name}"
        if done:
            how = f"just after {name} was written"
            with contextlib.suppress(OSError):
                if in_place:
                    size, left = tearing.tear(begun.path)
                    how += f"; {left} of its {size} bytes left, as a moment earlier"
        assert self.hit is not None
        self.hit = msgspec.structs.replace(self.hit, how=how, in_place=in_place)

    def _struck_at(self, first: Execution, how: str) -> None:
        newest = first.saves()[-1].path if first.saves() else None
        names = contents.words(newest) if newest is not None else frozenset()
        self.hit = Hit(at=time.time() - self.zero, how=how, in_place=self._in_place(first), names=tuple(sorted(names)))
        self._struck = first

    def _in_place(self, first: Execution) -> str:
        return "" if self.pace.renames else first.in_place()

    def _follow_up(self, news: list[Event]) -> None:
        """Kill what a time limit would kill; note what does not answer; end a shortage that was felt."""
        if self.filled is not None and self.filled.on and self._struck is not None and self.hit is not None:
            if self.filled.may_end(self._struck, news):
                self._end_shortage()
            return
        if self.dead is not None and time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + NODE_SECONDS
            self.dead.look()
        if self._told_at is None or self._struck is None or self.hit is None:
            return
        waited = time.time() - self._told_at
        limit = NOTICE_SECONDS if self.trial.disturbance is Disturbance.LIMIT else ANSWERS_SECONDS
        if not self.hand.alive(self._struck):
            self._told_at = None
        elif waited > limit:
            self._told_at = None
            self.hit = msgspec.structs.replace(self.hit, outlived=True)
            if self.trial.disturbance is Disturbance.LIMIT:
                self.hand.kill(self._struck)

    def _end_shortage(self) -> None:
        """Of one that nobody felt nothing is known: it may begin again, until a write meets it."""
        assert self.filled is not None
        self.filled.end()
        felt = self.hit is not None and self.filled.felt
        self.hit = msgspec.structs.replace(self.hit, how=self.filled.how) if self.hit is not None and felt else None

    def _through_slurm(self, what: Disturbance, first: Execution) -> str:
        assert isinstance(self.hand, OnSlurm) and first.started is not None
        if what is Disturbance.REQUEUE:
            self.hand.requeue(first)
            return f"scontrol requeue {first.started.slurm_job}"
        cluster = pretend_cluster()
        assert cluster is not None
        self.dead = DeadNode(cluster, first.started.node)
        self.dead.kill()
        return f"{first.started.node} killed"

    def _twin_of(self, first: Execution) -> str:
        """Start the very same worker once more, as a second copy of the job that SLURM runs by mistake."""
        assert first.started is not None
        proc = Path("/proc") / str(first.started.pid)
        words = [os.fsdecode(word) for word in (proc / "cmdline").read_bytes().split(b"\0")[:-1]]
        pairs = (os.fsdecode(item).partition("=") for item in (proc / "environ").read_bytes().split(b"\0") if item)
        self.twin = subprocess.Popen(
            words,
            env={name: value for name, _, value in pairs},
            cwd=(proc / "cwd").readlink(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return f"a second worker of the same attempt (pid {self.twin.pid})"

    def end(self) -> None:
        """Nothing that was started here outlives the rehearsal."""
        if self.filled is not None and self.filled.on:
            self._end_shortage()
        if self.dead is not None:
            self.dead.look(now=True)
        if self.twin is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.twin.pid, signal.SIGKILL)
            self.twin.wait()
