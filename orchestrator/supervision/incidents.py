"""One failure of a node is one strike, however many jobs it took with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from db import health
from db.entries import Strike
from db.health import StoredStrike
from jobs.words import Cause

WINDOW = timedelta(minutes=10)
"""Further apart two strikes are never of one incident: clocks differ, and a start that looks early may not be."""
SEEN_LATE = timedelta(seconds=20)
"""So much later than it happened a strike may be given (a poll, and the wait for an outcome file): a node that eats job
after job has begun the next ones by then, and each of them counts. A node that failed has begun none."""
AT_ONCE = timedelta(seconds=30)
"""Node failures so close together are one, where nobody knows when the jobs began: no node comes back so soon."""


def strikes(
    connection: Connection,
    nodes: Sequence[str],
    cause: Cause,
    job: int,
    began: datetime | None,
    at: datetime,
    mates: Collection[int] = (),
) -> list[Strike]:
    """The strikes that an ending at `at` adds. `began`: since when the execution was there; None: unknown.

    `mates`: the jobs that were in one task with it, which a failure of the task took along at once.
    """
    if not nodes:
        return []
    open_ones = health.strikes(connection, at - WINDOW)
    return [
        Strike(node=node, cause=cause, job=job, at=at)
        for node in nodes
        if not any(
            one.node == node and (is_same(one, cause, began, at) or _is_of_a_mate(one, cause, at, mates))
            for one in open_ones
        )
    ]


def _is_of_a_mate(strike: StoredStrike, cause: Cause, at: datetime, mates: Collection[int]) -> bool:
    return strike.job in mates and strike.cause == cause and timedelta() <= at - strike.at < AT_ONCE


def is_same(strike: StoredStrike, cause: Cause, began: datetime | None, at: datetime) -> bool:
    """Whether what ends now was there when that strike was given, and ended for the same cause: one incident. Pure."""
    if strike.cause != cause or not timedelta() <= at - strike.at < WINDOW:
        return False
    if began is not None:
        return began <= strike.at - (timedelta() if cause is Cause.NODE_FAILURE else SEEN_LATE)
    return cause is Cause.NODE_FAILURE and at - strike.at < AT_ONCE
