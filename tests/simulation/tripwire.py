"""Every I/O of the supervisor passes here, so that a schedule can cut it off, fail it, or let others act in between."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.exc import OperationalError

from tests.simulation.power import Disk

LISTING = "scandir"
FILE_IO = frozenset({"fsync", "replace", "mkdir"})


class Crash(BaseException):
    """The process is gone: no handler of its may do anything any more (every further I/O raises this again)."""


@dataclass
class Trap:
    """What happens at the `at`-th I/O: the process dies (`power`: with its machine, so that what was not fsynced is
    lost), the disk or the commit fails once (`commit_unclear`: though it
    happened), or `act` runs meanwhile.

    `stale`: from the `at`-th listing of a folder on, the shared folder answers no listing.
    """

    at: int
    what: Literal["crash", "power", "disk_full", "commit_fails", "commit_unclear", "stale", "meanwhile"]
    act: Callable[[], None] = lambda: None
    name: str = ""
    """Only I/O of this name counts; '' for every."""


class Tripwire:
    """Counts I/O while a supervisor runs. `trail` names what it did, for the story of a failing schedule."""

    def __init__(self) -> None:
        self.trap: Trap | None = None
        self.count = 0
        self.active = False
        self.dead = False
        self.writing = 0
        """Open write transactions: nobody else may write meanwhile, so `meanwhile` is put off."""
        self.sprung = ""
        self.disk = Disk()
        self.power_cut = False

    @contextmanager
    def watching(self, trap: Trap | None) -> Iterator[None]:
        """Run one supervisor's turn under this trap; nests."""
        saved = self.trap, self.count, self.active, self.dead, self.writing
        self.trap, self.count, self.active, self.dead, self.writing = trap, 0, True, False, 0
        try:
            yield
        finally:
            self.trap, self.count, self.active, self.dead, self.writing = saved

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """What the body does is not done by the supervisor's process."""
        saved, self.active = self.active, False
        try:
            yield
        finally:
            self.active = saved

    def point(self, name: str) -> None:
        """An I/O called `name` is about to happen, or has just happened."""
        if not self.active:
            return
        if self.dead:
            raise Crash(name)
        trap = self.trap
        if (name == LISTING) != (trap is not None and trap.what == "stale"):
            return
        if trap is not None and trap.name not in ("", name):
            return
        self.count += 1
        if trap is None or self.count < trap.at:
            return
        if trap.what in ("crash", "power"):
            self.dead, self.sprung, self.power_cut = True, name, trap.what == "power"
            raise Crash(name)
        if trap.what == "meanwhile":
            if self.writing == 0:
                self.trap, self.sprung = None, name
                with self.elsewhere():
                    trap.act()
        elif trap.what == "stale":
            self.sprung = name
            raise OSError(errno.ESTALE, "Stale file handle")
        elif trap.what == "disk_full" and name in FILE_IO:
            self.trap, self.sprung = None, name
            raise OSError(errno.ENOSPC, "No space left on device")
        elif (trap.what, name) in (("commit_fails", "commit"), ("commit_unclear", "committed")):
            self.trap, self.sprung = None, name
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))
