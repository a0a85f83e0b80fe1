"""The loop's body: ingest what executions wrote, observe the machines, decide, dispatch (docs/architecture.md).

Each step is a module of this room. Correct wherever it is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from db import attempts, holdups, hosts, jobs, lease, registered
from db.store import Store
from jobs.words import BackendName, JobState
from orchestrator.settings import Settings
from orchestrator.supervision import batches
from orchestrator.supervision.alterations import Alterations
from orchestrator.supervision.backends import Backends
from orchestrator.supervision.cleanup import clean_up
from orchestrator.supervision.clock import Clock, SystemClock
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.decisions import Decisions
from orchestrator.supervision.dispatch import Dispatcher
from orchestrator.supervision.intents import resolve
from orchestrator.supervision.launches import Launches
from orchestrator.supervision.observation import Ends, observe_all
from orchestrator.supervision.reading import Reader
from orchestrator.supervision.revival import Revival
from orchestrator.supervision.tenure import Tenure
from orchestrator.supervision.verdicts import Verdicts
from slurm.backend import Backend

MEANWHILE_SECONDS = 1.0
"""How often local slots are looked at while SLURM keeps a cycle waiting."""


class Supervisor:
    """One supervisor of one store, holding the lease `number`."""

    def __init__(
        self,
        store: Store,
        backends: Mapping[BackendName, Callable[[], Backend]],
        settings: Settings,
        number: int,
        clock: Clock | None = None,
    ) -> None:
        self.tenure = Tenure(store, settings, number, clock or SystemClock())
        self.backends = Backends(backends)
        self._reader = Reader(self.tenure)
        self._revival = Revival(self.tenure)
        self._ends = Ends(self.tenure.clock)
        self._verdicts = Verdicts(self.tenure, self._ends)
        self._decisions = Decisions(self.tenure, self.backends)
        self._alterations = Alterations(self.tenure, self.backends)
        self.launches = Launches(self.tenure, self.backends)
        self._dispatcher = Dispatcher(self.tenure, self.backends, self.launches)
        self._cycling = 0
        self._looked_at = float("-inf")
        self._changed_meanwhile = False

    def cycle(self, *, observe: Sequence[BackendName] = tuple(BackendName), dispatch: bool = True) -> Cycle:
        """One turn. `observe`: the machines to ask now. Raises LeaseLost when another supervisor took over."""
        self._cycling += 1
        try:
            return self._cycle(observe, dispatch)
        finally:
            self._cycling -= 1

    def _cycle(self, observe: Sequence[BackendName], dispatch: bool) -> Cycle:
        self.tenure.renew()
        cycle = Cycle(changed=self.launches.go_on())
        live = resolve(self.tenure, self.backends, self.launches, observe, cycle)
        observations = observe_all(self.backends, live, observe, cycle, self._gone())
        self._ends.note(live, observations)
        self._revival.doom(self.backends, live, observe, cycle)
        look = self._reader.look(live, observations)
        verdicts = self._verdicts.over(look, observations, live)
        cycle.changed |= self._decisions.write(look, observations, verdicts)
        batches.look(self.tenure, cycle)
        unfinished = look.unfinished()
        cycle.unfinished = bool(unfinished)
        self._alterations.carry_out(observe, cycle)
        clean_up(self.tenure, self.backends, observations, self._ends, observe, cycle, unfinished)
        if dispatch:
            self._dispatcher.dispatch(observe, cycle)
        with self.tenure.store.read() as connection:
            cycle.idle = is_idle(connection, held=cycle.held)
        cycle.changed |= self._changed_meanwhile
        self._changed_meanwhile = False
        return cycle

    def _gone(self) -> dict[str, hosts.GoneHost]:
        with self.tenure.store.read() as connection:
            return hosts.gone(connection)

    def meanwhile(self) -> None:
        """While SLURM keeps a cycle waiting: the lease is kept, launches go on, and so does all that is local."""
        self.tenure.renew()
        if self._cycling > 1 or self.tenure.clock.monotonic() - self._looked_at < MEANWHILE_SECONDS:
            return
        self._looked_at = self.tenure.clock.monotonic()
        self._changed_meanwhile |= self.cycle(observe=[BackendName.LOCAL]).changed

    def leave(self) -> bool:
        """Give up the lease if there is still nothing to do; checked and done in one transaction."""
        with self.tenure.write() as writer:
            if not is_idle(writer.connection):
                return False
            lease.give_up(writer.connection)
            return True

    def abandon(self) -> None:
        """Give up the lease whatever is left to do (Ctrl-C): jobs go on, another supervisor may take over."""
        self.launches.withdraw()
        self.tenure.give_up()


def is_idle(connection: Connection, *, held: int = 0) -> bool:
    """Whether no job can move without a person; `held`: queued jobs that wait for bad nodes."""
    found = jobs.counts(connection)
    moving = found[JobState.SUBMITTED] + found[JobState.RUNNING]
    if moving or attempts.any_live(connection) or registered.due(connection):
        return False
    queued = found[JobState.QUEUED]
    return queued <= held or queued <= held + holdups.in_vain(connection)
