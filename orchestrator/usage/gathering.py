"""What `orch usage` tells, read from the store: no run folder is opened, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from db import results, usage
from orchestrator.tables import keys
from orchestrator.tables.filters import select
from orchestrator.tables.values import Sorted, known_as
from orchestrator.usage import spans
from orchestrator.usage.pieces import LeftOut, Piece, pieces
from orchestrator.usage.sums import grouped

CAUSE = "cause"


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a study's executions spent."""

    study: str
    by: str
    jobs: int
    pieces: Sequence[Piece]
    groups: Sequence[tuple[Any, Sequence[Piece]]]
    """(value, its pieces) of `by`; empty where nothing was asked for."""
    queued: int
    """Microseconds of all jobs in orch's own queue."""
    waited: int
    """The same with the machines, sent and not running."""
    left_out: Sequence[LeftOut]


def account(connection: Connection, study: str, by: str, filters: Sequence[str], now: datetime) -> Account:
    """Of the jobs of a study that fit. `by`: 'cause', a key of jobs, or ''. Raises BadInput."""
    found = usage.histories(connection, study)
    values: Mapping[int, Sorted] = {}
    shown: dict[Sorted, Any] = {}
    if filters or by not in ("", CAUSE):
        rows = results.rows(connection, study, cancelled=True, dropped=True)
        if by not in ("", CAUSE):
            keys.check([by], keys.known(rows), "key")
        kept = select(rows, filters)
        name = keys.resolved(by, rows)
        each = {row.job: keys.value(row, name) for row in kept} if by not in ("", CAUSE) else {}
        values = {job: known_as(value) for job, value in each.items()}
        for value in each.values():
            shown.setdefault(known_as(value), value)
        ids = {row.job for row in kept}
        found = [history for history in found if history.job in ids]
    told = [piece for history in found for piece in pieces(history, now)]
    counted = [piece for piece in told if isinstance(piece, Piece)]
    groups: list[tuple[Any, Sequence[Piece]]] = []
    if by == CAUSE:
        groups = sorted(_by_cause(counted).items())
    elif by:
        groups = [(shown[known], those) for known, those in sorted(grouped(counted, values).items())]
    return Account(
        study=study,
        by=by,
        jobs=len(found),
        pieces=counted,
        groups=groups,
        queued=sum(max(0, ((until or now) - since) // spans.MICRO) for one in found for since, until in one.queued),
        waited=sum(spans.waited(attempt, now) for one in found for attempt in one.tries),
        left_out=[piece for piece in told if isinstance(piece, LeftOut)],
    )


def _by_cause(found: Sequence[Piece]) -> dict[str, list[Piece]]:
    causes: dict[str, list[Piece]] = {}
    for piece in found:
        if piece.cause:
            causes.setdefault(piece.cause, []).append(piece)
    return causes
