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
from orchestrator.rehearsal.disturbances import Disturbance, Moment, Trial
from orchestrator.rehearsal.histories import Hit
from orchestrator.rehearsal.looking import Execution
from orchestrator.rehearsal.watching import Event

NOTICE_SECONDS = 10.0
"""From the warning of a time limit to the kill."""
ANSWERS_SECONDS = 24.0
"""A program that lives longer after its TERM is killed by orch's worker."""
AT_LEAST = {Disturbance.TORN: 1, Disturbance.TIMES: 2, Disturbance.WRITE: 1}
"""Whole checkpoints that must be there before."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Of the undisturbed run, in seconds."""

    epoch: float
    whole: float
    renames: bool
    """Whether checkpoints get their final name by a rename."""


class Striker:
    """Waits for the moment of a trial, and strikes once."""

    def __init__(self, trial: Trial, pace: Pace, zero: float) -> None:
        self.trial = trial
        self.pace = pace
        self.zero = zero
        self.hit: Hit | None = None
        self.twin: subprocess.Popen[bytes] | None = None
        self._due: float | None = None
        self._told_at: float | None = None
        self._struck: Execution | None = None
        self._armed = False

    def look(self, executions: list[Execution], news: list[Event]) -> None:
        """One look at the run; `news`: what was written since the last one."""
        if self.hit is not None:
            self._follow_up()
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
            how = self._twin_of(first)
        elif what in (Disturbance.TERM, Disturbance.LIMIT):
            first.tell(signal.SIGTERM if what is Disturbance.TERM else signal.SIGUSR2)
            self._told_at = time.time()
        else:
            first.kill()
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

    def _follow_up(self) -> None:
        """Kill what a time limit would kill; note what does not answer."""
        if self._told_at is None or self._struck is None or self.hit is None:
            return
        waited = time.time() - self._told_at
        limit = NOTICE_SECONDS if self.trial.disturbance is Disturbance.LIMIT else ANSWERS_SECONDS
        if not self._struck.alive():
            self._told_at = None
        elif waited > limit:
            self._told_at = None
            self.hit = msgspec.structs.replace(self.hit, outlived=True)
            if self.trial.disturbance is Disturbance.LIMIT:
                self._struck.kill()

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
        if self.twin is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.twin.pid, signal.SIGKILL)
            self.twin.wait()
