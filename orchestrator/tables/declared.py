"""What a metric is called and how it is shown: as its kind says, as a person declared it, else by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from db.bunches import Many, likes
from db.rows import ResultRow
from jobs.reported import Declared, higher_is_better, title, told_direction
from orchestrator.tables.keys import DERIVED_DIGITS


def declarations(rows: Iterable[ResultRow]) -> dict[str, Declared]:
    """Metric → what was declared of it; of several declarations that of the newest job."""
    found: dict[str, Declared] = {}
    seen: Mapping[str, Declared] | None = None
    newest = (
        ((max(bunch.jobs), bunch.like) for bunch in rows.bunches)
        if isinstance(rows, Many)
        else ((row.job, row) for row in rows)
    )
    for _, row in sorted((one for one in newest if one[1].declared), key=itemgetter(0)):
        if row.declared is not seen:
            seen = row.declared
            found.update(seen)
    return found


def digits(metric: str, rows: Sequence[ResultRow]) -> int | None:
    """The decimals that are declared for a metric; None where there are none, or the kinds of these rows differ."""
    from jobs.kind import kinds

    if metric in DERIVED_DIGITS:
        return DERIVED_DIGITS[metric]
    if (one := declarations(rows).get(metric)) is not None and one.digits is not None:
        return one.digits
    found: set[int | None] = set()
    for kind in {row.kind for row in likes(rows) if metric in row.metrics} or {row.kind for row in likes(rows)}:
        declared = kinds().get(kind)
        found |= {one.digits for one in declared.metrics if one.name == metric} if declared else {None}
        if declared is not None and metric not in {one.name for one in declared.metrics}:
            found.add(None)
    return found.pop() if len(found) == 1 else None


def better_up(metric: str, rows: Sequence[ResultRow]) -> bool:
    """Whether a higher value is the better one."""
    from jobs.kind import kinds

    for name in sorted({row.kind for row in likes(rows)} & kinds().keys()):
        for declared in kinds()[name].metrics:
            if declared.name == metric:
                return declared.higher_is_better
    return higher_is_better(metric, declarations(rows))


def direction(metric: str, rows: Sequence[ResultRow]) -> bool | None:
    """The same; None where neither a declaration nor the name tells."""
    from jobs.kind import kinds

    for name in {row.kind for row in likes(rows)} & kinds().keys():
        if any(declared.name == metric for declared in kinds()[name].metrics):
            return better_up(metric, rows)
    return told_direction(metric, declarations(rows))


def called(metric: str, rows: Iterable[ResultRow]) -> str:
    """'Test accuracy (%)' where it was declared so, else its name."""
    return title(metric, declarations(rows))
