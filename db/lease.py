"""Who supervises the store: one holder at a time, whose every write is conditional on the lease's number."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from db import sighting
from db.store import ROOT, LeaseLost, Store
from db.text import parse_time, stamp
from jobs.files import now
from jobs.hosts import boot_id

RENEW_SECONDS = 10.0
LATE_SECONDS = 30.0
"""A holder that has not renewed for this long is stopped or hangs, though its process may live."""
EXPIRY_SECONDS = 60.0
"""A holder on another host that has not renewed for this long has lost the lease."""
WATCHED_SECONDS = 25.0
"""Two renewals: so long a lease is watched that is old by two hosts' clocks, one of which may be wrong."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that supervises."""

    number: int
    host: str
    pid: int
    process_start: str
    boot_id: str
    renewed_at: datetime

    seen_seconds: float | None = None
    """Of another host's: for how long this host has seen it so, by its own clock; None: no note can be kept of that."""

    @property
    def elsewhere(self) -> bool:
        """Whether it is another host's."""
        return self.host != socket.gethostname()

    def alive(self) -> bool:
        """On this host: whether the very process lives. Elsewhere: whether it renewed while this host looked on."""
        if not self.elsewhere:
            return self.boot_id == boot_id() and _process_start(self.pid) == self.process_start
        if self.seen_seconds is None:
            return self._age() < EXPIRY_SECONDS
        return self.seen_seconds < (WATCHED_SECONDS if self._age() >= EXPIRY_SECONDS else EXPIRY_SECONDS)

    def doubtful(self) -> bool:
        """Whether it is another host's, and as old or as new as that of a dead host, or of one whose clock is wrong."""
        return self.elsewhere and self.seen_seconds is not None and not -RENEW_SECONDS <= self._age() < LATE_SECONDS

    def silent_seconds(self) -> float:
        """How long it has not renewed the lease."""
        return max(0.0, self._age(), self.seen_seconds or 0.0)

    def _age(self) -> float:
        """Seconds since it renewed, by its host's clock and by ours."""
        return (now() - self.renewed_at).total_seconds()

    def late(self) -> str:
        """Since when a living one has not renewed, and what to do about it, as a sentence; empty where all is well."""
        if self.doubtful() and self.alive():
            old = self._age()
            return (
                f"the supervisor (pid {self.pid} on {self.host}) renewed its lease at "
                f"{self.renewed_at:%Y-%m-%d %H:%M:%S} UTC, {abs(old):.0f} s {'ago' if old > 0 else 'ahead of us'}: "
                f"it is dead, stopped or hangs, or its clock or ours is wrong; unless it renews within a minute, "
                "'orch supervise' takes its place"
            )
        silent = self.silent_seconds()
        if silent < LATE_SECONDS or not self.alive():
            return ""
        return (
            f"the supervisor (pid {self.pid} on {self.host}) has not renewed its lease since "
            f"{self.renewed_at:%Y-%m-%d %H:%M:%S} UTC ({silent:.0f} s ago), so it is stopped or hangs: "
            f"'orch supervise --stop'{f' on {self.host}' if self.elsewhere else ''} ends it, "
            "and 'orch supervise' takes its place"
        )


def _process_start(pid: int) -> str | None:
    """The process's start in clock ticks since boot (proc(5), stat field 22); None where it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def holder(connection: Connection) -> Holder | None:
    """Who holds the lease, dead or alive; None where it was given up."""
    at = sighting.clock()  # before the row is read: who reads it late has not seen it for longer
    row = connection.exec_driver_sql(
        "SELECT number, host, pid, process_start, boot_id, renewed_at FROM lease WHERE pid IS NOT NULL"
    ).one_or_none()
    if row is None:
        return None
    root: Path | None = connection.info.get(ROOT)
    seen = None
    if root is not None and row.host != socket.gethostname():
        seen = sighting.seconds(root, row.number, row.renewed_at, at)
    return Holder(
        number=row.number,
        host=row.host,
        pid=row.pid,
        process_start=row.process_start,
        boot_id=row.boot_id,
        renewed_at=parse_time(row.renewed_at),
        seen_seconds=seen,
    )


def take(store: Store) -> int | None:
    """Become the supervisor: the lease's new number, or None where a living process holds it."""
    with store.write() as writer:
        held = holder(writer.connection)
        if held is not None and held.alive():
            return None
        writer.connection.exec_driver_sql(
            "UPDATE lease SET number = number + 1, host = ?, pid = ?, process_start = ?, boot_id = ?, renewed_at = ?",
            (socket.gethostname(), os.getpid(), _process_start(os.getpid()), boot_id(), stamp(now())),
        )
        return int(writer.connection.exec_driver_sql("SELECT number FROM lease").scalar_one())


def check(store: Store, number: int) -> None:
    """Make sure, by reading only, that this supervisor still holds the lease. Raises LeaseLost."""
    with store.read() as connection:
        held = connection.exec_driver_sql("SELECT number FROM lease").scalar_one()
    if held != number:
        raise LeaseLost("another supervisor has taken over this store")


def renew(store: Store, number: int) -> None:
    """Say that this supervisor lives. Raises LeaseLost."""
    with store.write(lease=number) as writer:
        writer.connection.exec_driver_sql("UPDATE lease SET renewed_at = ?", (stamp(now()),))


def begin_beyond(store: Store, number: int) -> None:
    """Let a rebuilt store's numbers begin above all that were given before: an old supervisor must not match one."""
    with store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE lease SET number = ?", (number,))


def take_away(connection: Connection, host: str) -> bool:
    """Take the lease from a host that a person declared gone; True where it had it. Should its supervisor live, its
    next write finds that the number is another one."""
    taken = connection.exec_driver_sql(
        "UPDATE lease SET number = number + 1, host = NULL, pid = NULL, process_start = NULL, boot_id = NULL "
        "WHERE host = ? AND pid IS NOT NULL",
        (host,),
    )
    return bool(taken.rowcount)


def give_up(connection: Connection) -> None:
    """Leave the lease, inside a transaction that is conditional on it."""
    connection.exec_driver_sql("UPDATE lease SET host = NULL, pid = NULL, process_start = NULL, boot_id = NULL")
