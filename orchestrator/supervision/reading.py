"""Step 3, look: whose folders are read in a cycle, and what is new in them (ingestion.py reads)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from db import attempts
from db.attempts import StoredAttempt
from jobs.words import AttemptState
from orchestrator.supervision.ingestion import Ingestion, last_look, unfinished
from orchestrator.supervision.observation import Observations, awake
from orchestrator.supervision.seen import LAG_SECONDS, Seen, is_old, last_epoch
from orchestrator.supervision.tenure import Tenure
from slurm.backend import AttemptKey, Observation, Phase

LATE_SECONDS = 20.0
"""How often to look for outcomes of attempts that were given up."""
LEFT_SECONDS = 2 * LAG_SECONDS
NEWEST = 2000
"""Attempts whose folders a new supervisor looks at once, for what came while nobody looked."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the folders held."""

    live: Sequence[StoredAttempt]
    """But for those that only wait."""
    late: Sequence[StoredAttempt]
    """Attempts that were given up, and that may still succeed unseen."""
    seen: dict[AttemptKey, list[Seen]]
    unread: frozenset[int]
    """Ids of attempts whose folder could not be read now: of these nothing can be said."""

    def unfinished(self) -> frozenset[int]:
        """Ids of attempts whose history goes on beyond what was read."""
        return frozenset(a.id for a in [*self.live, *self.late] if unfinished(self.own(a)))

    def own(self, attempt: StoredAttempt) -> Sequence[Seen]:
        """The attempt's executions, oldest first."""
        return self.seen.get((attempt.job, attempt.number), ())


class Reader:
    """Remembers what it has read, and when it last looked for those that were given up."""

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._ingestion = Ingestion(tenure.store.layout, tenure.clock.monotonic)
        self._late_at = float("-inf")
        self._before: dict[int, AttemptKey] = {}
        self._live: Sequence[StoredAttempt] = ()
        self._unsure: list[tuple[StoredAttempt, dict[str, int | None]]] = []
        """Those whose folder did not answer when it was first looked at: they are looked at until it does."""
        self._left: dict[int, tuple[float, AttemptKey]] = {}
        """Attempt → until when its folder is still looked at."""

    def look(self, live: Sequence[StoredAttempt], observations: Observations) -> Look:
        """List the folders of those that may have files, and read what is new. Touches no row of the store."""
        late = self._late(live)
        whole, live = live, awake(live, observations)
        readable = [a for a in live if may_have_files(a, observations.get((a.job, a.number)))]
        seen = self._ingestion.look([*readable, *late])
        if late or not whole:
            kept = [(a.job, a.number) for a in [*whole, *late]]
            self._ingestion.forget([*kept, *(key for _, key in self._left.values())])
        unread = frozenset(a.id for a in readable if (a.job, a.number) not in seen)
        over = {(a.job, a.number) for a in late}
        for key, items in seen.items():
            observation = observations.get(key)
            if key in over or (observation is not None and observation.phase in (Phase.ENDED, Phase.ABSENT)):
                last_look(items)
        return Look(live=live, late=late, seen=seen, unread=unread)

    def _late(self, live: Sequence[StoredAttempt]) -> list[StoredAttempt]:
        """Those that may succeed unseen, and those that left lately: a shared folder shows their last files late."""
        monotonic = self._tenure.clock.monotonic()
        first = self._late_at == float("-inf")
        newest, self._unsure = self._unsure, []
        if live is not self._live:
            there = {attempt.id: (attempt.job, attempt.number) for attempt in live}
            for attempt, key in self._before.items():
                if attempt not in there:
                    self._left[attempt] = monotonic + LEFT_SECONDS, key
            self._before, self._live = there, live
        there = self._before
        if monotonic - self._late_at < LATE_SECONDS:
            return []
        self._late_at = monotonic
        self._left = {one: left for one, left in self._left.items() if left[0] > monotonic - LATE_SECONDS}
        with self._tenure.store.read() as connection:
            found = attempts.possibly_alive(connection)
            found += attempts.of_ids(connection, self._left)
            if first:
                since = self._tenure.clock.now() - timedelta(days=1)
                newest = attempts.newest_ended(connection, since, NEWEST)
        more = []
        for one, known in newest:
            try:
                more += [one] if self._has_more(one, known) else []
            except OSError:
                self._unsure.append((one, known))
        self._left.update((one.id, (monotonic + LEFT_SECONDS, (one.job, one.number))) for one in more)
        found += more
        return list({attempt.id: attempt for attempt in found if attempt.id not in there}.values())

    def _has_more(self, attempt: StoredAttempt, known: Mapping[str, int | None]) -> bool:
        """Whether its folder holds, or may still come to show, more of an execution than the store knows.

        Raises OSError where it cannot be read now.
        """
        paths = self._tenure.store.layout.executions(attempt.job, attempt.number)
        return any(path.name not in known or goes_on(path, known[path.name]) for path in paths)


def goes_on(folder: Path, epoch: int | None) -> bool:
    """Whether an execution's history may go beyond that epoch: an earlier supervisor may have been gone, or unable to
    read, before a shared folder showed it the lines from before the outcome. None: it is whole."""
    return epoch is not None and (not is_old(folder) or last_epoch(folder, epoch) != epoch)


def may_have_files(attempt: StoredAttempt, observation: Observation | None) -> bool:
    """Pending tasks have none: five thousand of them must not cost five thousand listings a cycle. Pure."""
    if attempt.state is AttemptState.RUNNING or attempt.doomed or observation is None:
        return True
    return observation.phase not in (Phase.PENDING, Phase.HELD)
