"""Running a supervisor as a process: taking the lease, pacing the cycles, leaving when idle."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import FrameType

import msgspec

from db import holdups, jobs, lease
from db.store import LeaseLost, Store
from jobs.errors import OrchError, StoreError
from jobs.files import open_private
from jobs.words import BackendName, JobState
from orchestrator.mirroring.state import StoreOver
from orchestrator.settings import Settings, load
from orchestrator.supervision import notices
from orchestrator.supervision.copying import Copying
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.ending import forget, note
from orchestrator.supervision.machines import makers
from orchestrator.supervision.measuring import Measuring
from orchestrator.supervision.notices import Notices
from orchestrator.supervision.notifier import Notifier
from orchestrator.supervision.standstill import Stands
from orchestrator.supervision.supervisor import Supervisor
from orchestrator.supervision.tidying import Tidying

LOCAL_SECONDS = 1.0
"""How often local slots are looked at where no worker's end says so at once."""
FLIGHT_SECONDS = 0.05
"""How often a launch in flight is looked at."""
GOODBYE_SECONDS = 0.7
FOLLOW_SECONDS = 2.0
TROUBLE_SECONDS = 5.0
WAKE = "wake"
"""A file in the store's folder that commands touch to end the supervisor's sleep."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: leave as with Ctrl-C."""


SILENT_SECONDS = 15.0
"""How long a controller that does not answer is left alone at most, whatever [supervisor] says: it grows up to it."""


@dataclass
class Pace:
    """When SLURM is to be asked next: often while things change, seldom while nothing does."""

    poll: float
    most: float
    wait: float = field(init=False)
    due: float = 0.0

    def __post_init__(self) -> None:
        self.wait = self.poll

    def asked(self, at: float, *, changed: bool, silent: bool = False) -> None:
        """After a look: the next one. `silent`: SLURM did not answer, or refuses to for a while (`rl_enable`)."""
        most = max(self.most, SILENT_SECONDS) if silent else self.most
        self.wait = self.poll if changed and not silent else min(self.wait * 1.5, max(most, self.poll))
        self.due = at + self.wait

    def hurry(self) -> None:
        """Something new was submitted or cancelled."""
        self.wait, self.due = self.poll, 0.0


def wake(store: Store) -> None:
    """End the supervisor's sleep, wherever on this file system it runs."""
    try:
        os.close(open_private(store.root / WAKE, os.O_WRONLY))
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

    None: another supervisor holds the store (with `follow` it waits for its end and goes on in its place). A lease that
    may be a dead host's is watched until it is renewed, or was not for long enough to be taken.
    """
    signal.signal(signal.SIGTERM, _terminate)
    stands = Stands()
    watched: datetime | None = None
    while True:
        number = lease.take(store)
        if number is not None:
            note(store)
            try:
                return _supervise(store, settings, number, until_idle, report)
            except LeaseLost:
                if not follow:
                    return None
            finally:
                forget(store)
        elif not follow:
            with store.read() as connection:
                held = lease.holder(connection)
            if held is not None and (held.renewed_at != watched if watched else not held.doubtful()):
                return None
            watched = held.renewed_at if held else None
        time.sleep(FOLLOW_SECONDS)
        if until_idle and stands.still(store, 0):
            return Cycle(stuck=stands.stuck)
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
        vain = holdups.in_vain(connection)
    if found[JobState.QUEUED] <= vain:
        return Cycle(idle=True)
    noticed = notices.read(store)
    return Cycle(idle=True, stopped=noticed.stopped) if noticed and noticed.halted() else None


def _supervise(
    store: Store, settings: Settings, number: int, until_idle: bool, report: Callable[[Cycle], None]
) -> Cycle:
    supervisor = Supervisor(store, makers(store.layout, settings, lambda: supervisor.meanwhile()), settings, number)
    pace = Pace(settings.supervisor.poll_seconds, settings.supervisor.poll_most_seconds)
    idle_since: float | None = None
    stands = Stands()
    notifier = Notifier(store, settings.notify)
    tidying, measuring = Tidying(store, settings.clean.keep), Measuring(store.root)
    said = notices.read(store) or Notices(at=supervisor.tenure.clock.now())  # by the supervisor before this one
    path = store.root / WAKE
    copying: Copying | None = None
    try:
        copying = Copying(store, settings, str(path))
        while True:
            at, before = time.monotonic(), _stamp(path)
            copying.look()
            due = [BackendName.LOCAL] + ([BackendName.SLURM] if at >= pace.due else [])
            try:
                cycle = supervisor.cycle(observe=due, dispatch=copying.cleared())
            except (LeaseLost, StoreOver):
                raise
            except StoreError as error:  # a full disk, a locked store: it may pass, and the jobs go on meanwhile
                print(f"orch: {error}", file=sys.stderr, flush=True)
                time.sleep(TROUBLE_SECONDS)
                continue
            if BackendName.SLURM in due:
                pace.asked(time.monotonic(), changed=cycle.changed, silent=BackendName.SLURM in cycle.silent)
                news = Notices(
                    stopped=cycle.stopped,
                    others=bool(cycle.stopped and cycle.going),
                    silent=cycle.silent,
                    at=supervisor.tenure.clock.now(),
                )
                if news != msgspec.structs.replace(said, at=news.at):
                    said = news
                    notices.write(store, news)
            notifier.look(cycle)
            cycle.changed |= tidying.look(changed=cycle.changed, idle=cycle.idle)
            measuring.look()
            copying.look(cycle)
            report(cycle)
            stays = cycle.idle and not cycle.changed and copying.holds(patient=not until_idle)
            if until_idle and stands.still(store, cycle.held) and not stays:
                _last_look(notifier, measuring, cycle)
                supervisor.abandon()
                return replace(cycle, stuck=stands.stuck)
            idle_since = (idle_since or at) if cycle.idle else None
            if idle_since is not None and not cycle.changed and not stays:
                if until_idle and cycle.stopped:
                    _last_look(notifier, measuring, cycle)
                    supervisor.abandon()
                    return cycle
                patience = 0.0 if until_idle else settings.supervisor.idle_minutes * 60
                if at - idle_since >= patience and supervisor.leave():
                    _last_look(notifier, measuring, cycle)
                    return cycle
            if not cycle.changed:
                _sleep(supervisor, pace, path, before)
            if _stamp(path) != before:
                pace.hurry()
    except (KeyboardInterrupt, StoreOver):
        _say_goodbye(supervisor)
        raise
    finally:
        if copying is not None:
            copying.end()


def _last_look(notifier: Notifier, measuring: Measuring, cycle: Cycle) -> None:
    """At the end of a supervision that nothing cut off."""
    notifier.look(cycle, leaving=True)
    measuring.look(leaving=True)


def _say_goodbye(supervisor: Supervisor) -> None:
    """Give up the lease, if the store lets us at once: nobody waits for it, since a dead process holds none."""

    def abandon() -> None:
        with contextlib.suppress(OrchError):
            supervisor.abandon()

    leaving = threading.Thread(target=abandon, daemon=True)
    leaving.start()
    leaving.join(GOODBYE_SECONDS)


def _sleep(supervisor: Supervisor, pace: Pace, path: Path, before: int) -> None:
    """Wait for the next thing to do: a worker's end, a command that wakes us, or the time of the next look.

    Launches in flight go on meanwhile, one after the other.
    """
    local = BackendName.LOCAL in supervisor.backends
    end = time.monotonic() + (LOCAL_SECONDS if local else min(LOCAL_SECONDS, max(0.1, pace.due - time.monotonic())))
    while (left := end - time.monotonic()) > 0 and _stamp(path) == before:
        flying = supervisor.launches.waiting()
        pause = min(left, FLIGHT_SECONDS) if flying else left
        if local and wait_for_worker(supervisor, pause, path):
            return
        if not local:
            time.sleep(min(pause, 0.1))
        if flying:
            try:
                supervisor.launches.go_on()
            except LeaseLost:
                raise
            except StoreError:
                return  # the next cycle says so


def wait_for_worker(supervisor: Supervisor, seconds: float, path: Path) -> bool:
    """Sleep until a local worker ends, a command wakes us, or the time passed (then False)."""
    from slurm.local.backend import LocalBackend

    local = supervisor.backends[BackendName.LOCAL]
    return isinstance(local, LocalBackend) and local.wait(seconds, path)


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
