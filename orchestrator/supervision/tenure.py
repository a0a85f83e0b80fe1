"""One supervisor's hold on one store: every write is conditional on its lease, and the lease is kept."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

import msgspec
from sqlalchemy import Connection

from db import lease, living
from db.attempts import StoredAttempt
from db.launching import Launching
from db.store import Store
from db.writer import Writer
from jobs.errors import BadInput
from orchestrator.settings import Settings, Slurm, load
from orchestrator.supervision.clock import Clock
from orchestrator.terms import as_sent


class Tenure:
    """What every step of a cycle works with: the store under the lease `number`, the settings and the clock."""

    def __init__(self, store: Store, settings: Settings, number: int, clock: Clock) -> None:
        self.store = store
        self.settings = settings
        self.number = number
        self.clock = clock
        self._began_at = self._renewed_at = clock.monotonic()
        self._newest = settings
        self._read: tuple[int, int, int] | None = None
        self._touched: set[int] = set()
        self._live: list[StoredAttempt] = []
        self._live_as_of: int | None = None
        self._kept: living.Kept = {}

    def age(self) -> float:
        """Seconds since the lease was taken."""
        return self.clock.monotonic() - self._began_at

    def slurm(self) -> Slurm:
        """`[slurm]` of orch.toml as it stands now: it is read when something is sent. Raises BadInput."""
        return self._stands().slurm

    def with_secrets(self, launching: Launching) -> Launching:
        """With the file of secrets that orch.toml names now, where it names one: `explain` tells people to name it."""
        around = launching.surroundings
        try:
            file = self._stands().env.file
        except BadInput:
            return launching
        if around is None or file is None or file == around.file:
            return launching
        return msgspec.structs.replace(launching, surroundings=msgspec.structs.replace(around, file=file))

    def _stands(self) -> Settings:
        path = self.store.root.parent / "orch.toml"
        try:
            facts = path.stat()
            stamp = facts.st_mtime_ns, facts.st_size, facts.st_ino
        except OSError:
            stamp = None
        if stamp != self._read:
            self._newest = load(self.store.root)
            self._read = stamp
        return self._newest

    def as_sent(self, launching: Launching) -> Launching:
        """How a job is run on SLURM if it is sent now; as it stands where orch.toml makes no sense just now."""
        try:
            return as_sent(launching, self.slurm())
        except BadInput:
            return launching

    def write(self, of: Iterable[int] | None = None) -> AbstractContextManager[Writer]:
        """A transaction of this supervisor. Raises LeaseLost where another one took over.

        `of`: but for what its entries decide it changes these attempts alone, and neither ends nor begins any.
        """
        if of is None:
            self._live_as_of = None
        else:
            self._touched.update(of)
        return self.store.write(self.number)

    def live(self, connection: Connection) -> list[StoredAttempt]:
        """`attempts.live`, read anew only where it may have changed: everybody else changes attempts by the journal
        alone, and this supervisor by its own transactions. What did not change is the same object again."""
        as_of = living.as_of(connection)
        touched, self._touched = self._touched, set()
        if as_of != self._live_as_of:
            self._live = living.live(connection, self._kept)
            self._live_as_of = as_of
        elif touched and living.changed(connection, self._kept, touched):
            self._live = [one for _, one in self._kept.values()]
        return self._live

    def renew(self) -> None:
        """Keep the lease. Raises LeaseLost."""
        if self.clock.monotonic() - self._renewed_at >= lease.RENEW_SECONDS:
            lease.renew(self.store, self.number)
            self._renewed_at = self.clock.monotonic()

    def check(self) -> None:
        """Make sure, by reading only, that the lease is still ours. Raises LeaseLost."""
        lease.check(self.store, self.number)

    def give_up(self) -> None:
        """Leave the lease, whatever is left to do."""
        with self.write() as writer:
            lease.give_up(writer.connection)
