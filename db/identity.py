"""Which store this is: an id that its mirror names too, and those of the stores that it was rebuilt from."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection

from db.applying import apply
from db.entries import Named, Rebuilt

_SET = "INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who a store is."""

    id: str
    """Empty until it has a mirror."""
    before: tuple[str, ...] = ()
    """The ids of the stores that it goes on from, oldest first."""
    origin: str = ""
    """The mirror that it was rebuilt from, and when; empty where it was not."""


@apply.register
def _(entry: Named, connection: Connection) -> None:
    connection.exec_driver_sql(
        "INSERT INTO setting VALUES ('store_id', ?) ON CONFLICT (name) DO NOTHING", (entry.store,)
    )


@apply.register
def _(entry: Rebuilt, connection: Connection) -> None:
    before = (*identity(connection).before, entry.was)
    connection.exec_driver_sql(
        _SET,
        [
            ("store_id", entry.store),
            ("store_before", " ".join(before)),
            ("store_origin", f"{entry.source}, complete to entry {entry.complete}, {entry.at:%Y-%m-%d %H:%M:%S} UTC"),
            ("jobs_seen", str(entry.jobs)),
        ],
    )
    numbers = [(number, job) for job, number in entry.attempts.items()]
    if numbers:
        connection.exec_driver_sql("UPDATE job SET attempts = max(attempts, ?) WHERE id = ?", numbers)


def identity(connection: Connection) -> Identity:
    """Who this store is."""
    rows = connection.exec_driver_sql("SELECT name, value FROM setting WHERE name LIKE 'store_%'")
    found = {str(name): str(value) for name, value in rows}
    return Identity(
        id=found.get("store_id", ""),
        before=tuple(found.get("store_before", "").split()),
        origin=found.get("store_origin", ""),
    )


def new_id() -> str:
    """An id that no other store has."""
    return secrets.token_hex(8)
