"""Running a supervisor as a process: taking the lease, pacing the cycles, leaving when idle."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType

import msgspec

from db import jobs, lease
from db.store import LeaseLost, Store
from jobs.errors import OrchError, StoreError
from jobs.words import BackendName, JobState
from orchestrator import notices
from orchestrator.machines import makers
from orchestrator.notices import Notices
from orchestrator.settings import Settings, load
from orchestrator.supervisor import Cycle, Supervisor

LOCAL_SECONDS = 1.0
"""How often local slots are looked at where no worker's end says so at once."""
FOLLOW_SECONDS = 2.0
TROUBLE_SECONDS = 5.0
WAKE = "wake"
"""A file in the store's folder that commands touch to end the supervisor's sleep."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: leave as with Ctrl-C."""


@dataclass
class Pace:
    """When SLURM is to be asked next: often while things change, seldom while nothing does."""

    poll: float
    most: float
    wait: float = field(init=False)
    due: float = 0.0

    def __post_init__(self) -> None:
        self.wait = self.poll

    def asked(self, at: float, *, changed: bool) -> None:
        """After a look: the next one."""
        self.wait = self.poll if changed else min(self.wait * 1.5, max(self.most, self.poll))
        self.due = at + self.wait

    def hurry(self) -> None:
        """Something new was submitted or cancelled."""
        self.wait, self.due = self.poll, 0.0


def wake(store: Store) -> None:
    """End the supervisor's sleep, wherever on this file system it runs."""
    try:
        (store.root / WAKE).touch()
    except OSError:
        return  # it looks by itself a little later


def run(
    store: Store,
    settings: Settings,
    *,
    until_idle: bool = False,
    follow: bool = False,
    report: Callable[[Cycle], None] = lambda cycle: None,
) -> Cycle | None:
    """Supervise until idle for the set time (or at once with `until_idle`); the last cycle.

    None: another supervisor holds the store (with `follow` it waits for its end and goes on in its place).
    """
    signal.signal(signal.SIGTERM, _terminate)
    while True:
        number = lease.take(store)
        if number is not None:
            try:
                return _supervise(store, settings, number, until_idle, report)
            except LeaseLost:
                if not follow:
                    return None
        elif not follow:
            return None
        time.sleep(FOLLOW_SECONDS)
        if until_idle and (idle := _idle_elsewhere(store)):
            report(idle)
            return idle


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _idle_elsewhere(store: Store) -> Cycle | None:
    """The state of a store that another supervisor holds, where nothing can move there without a person."""
    with store.read() as connection:
        found = jobs.counts(connection)
    if found[JobState.SUBMITTED] + found[JobState.RUNNING]:
        return None
    if not found[JobState.QUEUED]:
        return Cycle(idle=True)
    noticed = notices.read(store)
    return Cycle(idle=True, stopped=noticed.stopped) if noticed and noticed.halted() else None


def _supervise(
    store: Store, settings: Settings, number: int, until_idle: bool, report: Callable[[Cycle], None]
) -> Cycle:
    supervisor = Supervisor(store, makers(store.layout, settings), settings, number)
    pace = Pace(settings.supervisor.poll_seconds, settings.supervisor.poll_most_seconds)
    idle_since: float | None = None
    said = notices.read(store) or Notices(at=supervisor.clock.now())  # by the supervisor before this one
    path = store.root / WAKE
    try:
        while True:
            at, before = time.monotonic(), _stamp(path)
            due = [BackendName.LOCAL] + ([BackendName.SLURM] if at >= pace.due else [])
            try:
                cycle = supervisor.cycle(observe=due)
            except LeaseLost:
                raise
            except StoreError as error:  # a full disk, a locked store: it may pass, and the jobs go on meanwhile
                print(f"orch: {error}", file=sys.stderr, flush=True)
                time.sleep(TROUBLE_SECONDS)
                continue
            if BackendName.SLURM in due:
                pace.asked(time.monotonic(), changed=cycle.changed)
                news = Notices(
                    stopped=cycle.stopped,
                    others=bool(cycle.stopped and cycle.going),
                    silent=cycle.silent,
                    at=supervisor.clock.now(),
                )
                if news != msgspec.structs.replace(said, at=news.at):
                    said = news
                    notices.write(store, news)
            report(cycle)
            idle_since = (idle_since or at) if cycle.idle else None
            if idle_since is not None and not cycle.changed:
                if until_idle and cycle.stopped:
                    supervisor.abandon()
                    return cycle
                patience = 0.0 if until_idle else settings.supervisor.idle_minutes * 60
                if at - idle_since >= patience and supervisor.leave():
                    return cycle
            if not cycle.changed:
                _sleep(supervisor, pace, path, before)
            if _stamp(path) != before:
                pace.hurry()
    except KeyboardInterrupt:
        supervisor.abandon()
        raise


def _sleep(supervisor: Supervisor, pace: Pace, path: Path, before: int) -> None:
    """Wait for the next thing to do: a worker's end, a command that wakes us, or the time of the next look."""
    if BackendName.LOCAL in supervisor.backends():
        wait_for_worker(supervisor, LOCAL_SECONDS, path)
        return
    end = time.monotonic() + min(LOCAL_SECONDS, max(0.1, pace.due - time.monotonic()))
    while time.monotonic() < end and _stamp(path) == before:
        time.sleep(0.1)


def wait_for_worker(supervisor: Supervisor, seconds: float, path: Path) -> None:
    """Sleep until a local worker ends, a command wakes us, or the time passed."""
    from slurm.local_backend import LocalBackend

    local = supervisor.backend(BackendName.LOCAL)
    if isinstance(local, LocalBackend):
        local.wait(seconds, path)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def main(root: str) -> None:
    """The detached supervisor: leaves at once where another one holds the store."""
    path = Path(root)
    print(f"orch: supervisor starts at {datetime.now():%Y-%m-%d %H:%M:%S}", flush=True)
    try:
        last = run(Store(path), load(path))
        print("orch: another supervisor is here" if last is None else "orch: idle, supervisor leaves", flush=True)
    except KeyboardInterrupt:
        print("orch: supervisor stopped; jobs go on", flush=True)
    except OrchError as error:
        print(f"orch: {error}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
