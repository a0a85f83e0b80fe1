"""Step 2, observe: what SLURM began again though it was over, after it had forgotten the end, is ended once more."""

from __future__ import annotations

from collections.abc import Sequence

from db import attempts
from db.attempts import StoredAttempt
from db.submissions import any_launched
from jobs.words import BackendName
from orchestrator.supervision.backends import Backends
from orchestrator.supervision.cycle import Cycle
from orchestrator.supervision.handover import told
from orchestrator.supervision.tenure import Tenure

WATCHED_SECONDS = 3600.0
"""How long after the last attempt on SLURM the queue is still asked."""


class Revival:
    """Remembers when SLURM last had anything of ours."""

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure
        self._until: float | None = None

    def doom(
        self, backends: Backends, live: Sequence[StoredAttempt], observe: Sequence[BackendName], cycle: Cycle
    ) -> None:
        """Those live again in the store as attempts that are to be gone: they are read, and cancelled."""
        name = BackendName.SLURM
        if name not in observe or not self._watching(live):
            return
        there: list[tuple[str, int, bool]] = []
        with backends.asking(name, cycle) as backend:
            there = backend.others(told(live, name))
        if not there:
            return
        with self._tenure.store.read() as connection:
            again = attempts.begun_again(connection, there)
        if again:
            with self._tenure.write() as writer:
                attempts.doom(writer.connection, again)
            cycle.changed = True

    def _watching(self, live: Sequence[StoredAttempt]) -> bool:
        """Whether SLURM may have anything of this store."""
        now = self._tenure.clock.monotonic()
        if any(attempt.backend == BackendName.SLURM for attempt in live):
            self._until = now + WATCHED_SECONDS
        elif self._until is None:  # an earlier supervisor's may have begun again while nobody looked
            with self._tenure.store.read() as connection:
                used = any_launched(connection, BackendName.SLURM)
            self._until = now + WATCHED_SECONDS if used else now
        return now < self._until
