"""Step 2, observe: one look at each kind of machine, however many attempts it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from db.attempts import StoredAttempt
from db.hosts import GoneHost
from jobs.words import BackendName, Cause
from orchestrator.supervision.backends import Backends
from orchestrator.supervision.clock import Clock
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.handover import told
from slurm.backend import AttemptKey, Observation, Phase

_WAITS = (Phase.PENDING, Phase.HELD)
Observations = Mapping[AttemptKey, Observation]
PhaseChange = tuple[int, str, str, str | None, int]
"""(attempt id, phase, reason, node, absent cycles)."""


class Ends:
    """Remembers since when the machines say that an attempt ended: files come later, and SLURM may requeue it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[AttemptKey, float] = {}

    def note(self, live: Sequence[StoredAttempt], observations: Observations) -> None:
        """After a look. One without news keeps what was said of it."""
        at = self._clock.monotonic()
        if self._since:
            there = {(attempt.job, attempt.number) for attempt in live}
            self._since = {key: since for key, since in self._since.items() if key in there}
        for key in [key for key in self._since if key in observations]:
            if observations[key].phase is not Phase.ENDED:
                del self._since[key]
        for key, seen in observations.items():
            if seen.phase is Phase.ENDED:
                self._since.setdefault(key, at)

    def seconds(self, key: AttemptKey) -> float:
        """For how long, without a break; 0 where they say nothing of the kind."""
        at = self._clock.monotonic()
        return at - self._since.get(key, at)


def observe_all(
    backends: Backends,
    live: Sequence[StoredAttempt],
    observe: Sequence[BackendName],
    cycle: Cycle,
    gone: Mapping[str, GoneHost],
) -> Observations:
    """What the machines say of the live attempts, and a person of hosts that are gone. One left out has no news."""
    found: dict[AttemptKey, Observation] = {}
    for name in observe:
        mine = told(live, name)
        if mine:
            with backends.asking(name, cycle) as backend:
                found.update(backend.observe(mine))
    if gone:
        begun = {(a.job, a.number): a.created_at for a in live if a.backend == BackendName.LOCAL}
        found |= {key: ended for key in begun if (ended := declared(found.get(key), begun[key], gone))}
    return found


def awake(live: Sequence[StoredAttempt], observations: Observations) -> list[StoredAttempt]:
    """All but those that wait in the queue as the store says that they do: nothing can follow from them. Pure."""
    found = []
    for attempt in live:
        seen = observations.get((attempt.job, attempt.number))
        if (
            seen is None
            or attempt.state != "submitted"
            or attempt.doomed
            or seen.phase not in _WAITS
            or attempt.phase != seen.phase
            or (attempt.reason or "") != seen.reason
            or attempt.absent
            or seen.previous is not None
        ):
            found.append(attempt)
    return found


def declared(seen: Observation | None, begun: datetime, gone: Mapping[str, GoneHost]) -> Observation | None:
    """The end of a local attempt that is not on this host, where its host was declared gone since. Pure."""
    if seen is None or seen.phase is not Phase.ABSENT or seen.node is None:
        return None
    host = gone.get(seen.node)
    if host is None or begun > host.at:
        return None
    return Observation(phase=Phase.ENDED, node=seen.node, cause=Cause.NODE_FAILURE, evidence=(host.evidence,))


def phase_changes(live: Sequence[StoredAttempt], observations: Observations) -> list[PhaseChange]:
    """What the store does not hold yet of it. Pure."""
    changes = []
    for attempt in live:
        seen = observations.get((attempt.job, attempt.number))
        if seen is None:
            continue
        absent = attempt.absent + 1 if seen.phase is Phase.ABSENT else 0
        if (attempt.phase, attempt.reason or "", attempt.absent) != (seen.phase.value, seen.reason, absent):
            changes.append((attempt.id, seen.phase.value, seen.reason, seen.node, absent))
    return changes
