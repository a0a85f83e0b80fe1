"""What the supervisor has to say to people who look: why it sends nothing, or which machines do not answer."""

from __future__ import annotations

import contextlib
from datetime import datetime

import msgspec

from db.store import Store
from jobs.files import read_json, write_json

NAME = "notices.json"


class Notices(msgspec.Struct, frozen=True, kw_only=True):
    """`stopped`: pool → why nothing is sent there; `others`: whether queued jobs for other pools are left.

    `silent`: backend → why it did not answer.
    """

    at: datetime
    stopped: dict[str, str] = {}
    others: bool = False
    silent: dict[str, str] = {}

    def halted(self) -> str:
        """Why no queued job can go; empty where one can."""
        return "" if self.others else "; ".join(self.stopped.values())


def write(store: Store, notices: Notices) -> None:
    """Leave them beside the database; a full disk is no reason to stop."""
    with contextlib.suppress(OSError):
        write_json(store.root / NAME, notices, durable=False)


def read(store: Store) -> Notices | None:
    """The newest ones; None where nothing was ever wrong."""
    return read_json(store.root / NAME, Notices)
