"""The live attempts as they were read last, so that a cycle of the supervisor reads anew only what may have changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.attempts import _SELECT, StoredAttempt, _stored


def as_of(connection: Connection) -> int:
    """The number of the newest journal entry that the store holds: each decision of anybody moves it on."""
    held = connection.exec_driver_sql("SELECT value FROM setting WHERE name = 'journal_seq'").scalar_one_or_none()
    return int(held or 0)


Kept = dict[int, tuple[Any, StoredAttempt]]
"""Id → the row as it was read, and what it was made into."""


def live(connection: Connection, kept: Kept) -> list[StoredAttempt]:
    """`attempts.live`.

    `kept`: those of the look before. A row that is the same is the same object again; what is not live any more leaves.
    """
    sql = _SELECT + "WHERE a.state != 'ended' OR a.doomed = 1 ORDER BY a.id"
    rows = connection.exec_driver_sql(sql).all()
    before = kept.copy()
    kept.clear()
    for row in rows:
        had = before.get(row[0])
        kept[row[0]] = had if had is not None and had[0] == row else (row, _stored(row))
    return [one for _, one in kept.values()]


def changed(connection: Connection, kept: Kept, ids: Iterable[int]) -> bool:
    """Read these of `kept` again, where nobody can have ended or been begun; whether any is another one now."""
    listed = msgspec.json.encode(list(ids)).decode()
    found = False
    for row in connection.exec_driver_sql(_SELECT + "WHERE a.id IN (SELECT value FROM json_each(?))", (listed,)).all():
        if row[0] in kept and kept[row[0]][0] != row:
            kept[row[0]] = row, _stored(row)
            found = True
    return found
