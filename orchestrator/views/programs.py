"""Jobs of programs, and of other people's kinds, in `orch status`: what varies, and the numbers that they report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from jobs.reported import Declared
from jobs.words import JobState
from orchestrator.tables.digits import written
from orchestrator.tables.keys import spelt, text
from orchestrator.tables.varying import by_importance
from orchestrator.views import statecells
from orchestrator.views.status import JobLine, StatusView
from orchestrator.views.tables import GAP, LEAST_STRETCH, Cell, columns
from orchestrator.views.words import number

NOTHING = Declared()
LONGEST = 24
"""Signs of a value, at most."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column, whole or not there at all. The greatest `rank` goes first where the line is too narrow."""

    heading: str
    cells: Sequence[Cell]
    rank: float
    right: bool = False
    stretch: bool = False
    told: bool = False
    """Whether a person wants to know that it was left out."""

    @property
    def width(self) -> int:
        """0: it says nothing of any job."""
        filled = [cell_len(cell if isinstance(cell, str) else cell.plain) for cell in self.cells]
        if not any(filled):
            return 0
        widest = max(cell_len(self.heading), *filled)
        return min(widest, LEAST_STRETCH) if self.stretch else widest


def programs(jobs: Sequence[JobLine], state: JobState, view: StatusView, width: int) -> tuple[str, list[Text]]:
    """('without loss, MAP@k': what did not fit; the lines, under a heading)."""
    wanted = [one for one in (*_who(jobs, view), *_what(jobs, state, view)) if one.width]
    found = _fitting(wanted, width)
    lines = columns(
        [one.heading for one in found],
        list(zip(*(one.cells for one in found), strict=True)),
        width=width,
        right=[i for i, one in enumerate(found) if one.right],
        stretch=next((i for i, one in enumerate(found) if one.stretch), None),
        indent=2,
    )
    shown = {id(one) for one in found}
    names = [one.heading for one in sorted(wanted, key=lambda one: one.rank) if one.told and id(one) not in shown]
    return f"without {', '.join(names)}" if names else "", lines


def _fitting(wanted: Sequence[Column], width: int) -> list[Column]:
    """Those that stand side by side: each by its rank, where it still has room beside the more important ones."""
    chosen: list[Column] = []
    for one in sorted(wanted, key=lambda one: one.rank):
        if not chosen or 2 + sum(other.width + GAP for other in [*chosen, one]) - GAP <= width:
            chosen.append(one)
    shown = {id(one) for one in chosen}
    return [one for one in wanted if id(one) in shown]


def _who(jobs: Sequence[JobLine], view: StatusView) -> list[Column]:
    """Id, kind, program, label, what varies, and seed."""
    several = len({job.program for job in jobs}) > 1
    labels = [job.label for job in jobs]
    named = several and len({(job.label, job.program) for job in jobs}) == len(set(labels))  # a name says the program
    found = [
        Column(heading="job", cells=[str(job.id) for job in jobs], rank=0, right=True),
        Column(heading="kind", cells=[job.kind for job in jobs], rank=8),
        Column(
            heading="program", cells=_apart([job.program if several else "" for job in jobs]), rank=6.5 if named else 3
        ),
        Column(heading="name", cells=labels if len(set(labels)) > 1 else [""] * len(jobs), rank=3 if named else 5.5),
    ]
    for place, name in enumerate(view.varying):
        values = [job.given.get(name) for job in jobs]
        there = iter(spelt(value for value in values if value is not None))
        shown = _apart([next(there) if value is not None else "" for value in values])
        is_number = all(isinstance(value, str | int | float) and _is_number(text(value)) for value in values if value)
        found.append(Column(heading=name, cells=shown, rank=2 + place / 1000, right=is_number, told=True))
    return [*found, Column(heading="seed", cells=[str(job.seed) for job in jobs], rank=1, right=True)]


def _what(jobs: Sequence[JobLine], state: JobState, view: StatusView) -> list[Column]:
    """How each stands, and its numbers."""
    rows = [CELLS[state](job, view) for job in jobs]

    def column(heading: str, place: int, rank: float, **more: bool) -> Column:
        return Column(heading=heading, cells=[row[place] for row in rows], rank=rank, **more)

    if state is JobState.RUNNING:
        return [
            column("epoch", 0, 4, right=True),
            *_metrics(jobs),
            column("s/ep", 2, 8.5, right=True),
            column("left", 3, 5.5, right=True),
            column("tries", 4, 9, right=True),
            column("node", 5, 9.5),
            column("remark", 6, 7, stretch=True),
        ]
    if state is JobState.SUCCEEDED:
        return [
            *_metrics(jobs),
            column("tries", 3, 9, right=True),
            column("node", 4, 9.5),
            column("remark", 5, 7, stretch=True),
        ]
    if state is JobState.FAILED:
        return [
            column("cause", 0, 3),
            column("epoch", 1, 8.5, right=True),
            column("tries", 2, 9, right=True),
            column("node", 3, 9.5),
            column("error", 4, 3.5, stretch=True),
        ]
    if state is JobState.SUBMITTED:
        return [column("tries", 0, 9, right=True), column("where", 1, 3), column("why", 2, 4, stretch=True)]
    if state is JobState.QUEUED:
        return [
            column("epoch", 0, 8.5, right=True),
            column("tries", 1, 9, right=True),
            column("when", 2, 3, stretch=True),
        ]
    if state is JobState.WAITING:
        return [column("why", 0, 3, stretch=True)]
    return [column("epoch", 0, 8.5, right=True)]


CELLS = {
    JobState.FAILED: statecells.failed,
    JobState.RUNNING: statecells.running,
    JobState.SUBMITTED: statecells.submitted,
    JobState.QUEUED: statecells.queued,
    JobState.WAITING: statecells.waiting,
    JobState.SUCCEEDED: statecells.succeeded,
    JobState.CANCELLED: statecells.cancelled,
}


def _metrics(jobs: Sequence[JobLine]) -> list[Column]:
    """Every number that they report, as its program named it; '-' for one that is not finite."""
    names = by_importance(name for job in jobs for name in job.metrics)
    declared = {name: one for job in reversed(jobs) for name, one in job.declared.items()}
    return [
        Column(
            heading=f"{name} {unit}" if (unit := declared.get(name, NOTHING).unit) else name,
            cells=[_value(job.metrics[name], declared.get(name)) if name in job.metrics else "" for job in jobs],
            rank=5 + place / 1000 if place == 0 else 6 + place / 1000,
            right=True,
            told=True,
        )
        for place, name in enumerate(names)
    ]


def _value(value: float | None, declared: Declared | None) -> str:
    """With as many decimals as were declared."""
    if value is None or declared is None or declared.digits is None:
        return number(value)
    return written(value, None, declared.digits)


def _apart(values: Sequence[str]) -> list[str]:
    """Values in so many signs that tell them apart: long ones begin where they differ."""
    if max(map(len, values), default=0) <= LONGEST:
        return list(values)
    first, last = min(filter(None, values)), max(values)
    alike = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), 0)
    start = max(first.rfind(sign, 0, alike) for sign in "/_-,; ") + 1
    shown = [f"…{value[start:]}" if start > 1 and value else value for value in values]
    return [value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…" for value in shown]


def _is_number(value: str) -> bool:
    from jobs.commands import canonical_number

    return canonical_number(value) is not None
