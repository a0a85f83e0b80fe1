"""Footnotes about what changed since: dropped results, finished jobs that run anew, cells of several codes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.resuming import footnote
from orchestrator.tables.cells import job_list
from orchestrator.tables.keys import text

NO_PLACE = frozenset({"search", "repeat", "preset"})
"""Settings that tell replicates of one cell apart."""


def cell_of(row: ResultRow) -> tuple[Any, ...]:
    """What jobs of one cell share, whatever table shows them."""
    config = tuple(sorted((name, text(found)) for name, found in row.config.items() if name not in NO_PLACE))
    return row.study, row.kind, row.preset, row.dataset, config


def notes(rows: Sequence[ResultRow], by: Sequence[str] = (), *, codes: bool = True) -> list[str]:
    """Of all jobs that a table is about, the dropped ones among them.

    `by`: what it is grouped by; `codes`: False where each row of it tells of its codes and devices itself.
    """
    told = [*_dropped(rows), *_running_again(rows), *_resting(rows), *_live(rows), *_resuming(rows)]
    if codes and "job" not in by:  # each number is of one code and one device there
        told += [] if "code" in by else several(rows, "code")
        told += [] if {"gpu", "device_name"} & set(by) else several(rows, "gpu")
    return told


def _in_cells(rows: Iterable[ResultRow]) -> Iterator[tuple[tuple[Any, ...], ResultRow]]:
    """Each row with its cell, which rows of one configuration share."""
    known: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in rows:
        name = (row.study, row.kind, row.preset, row.dataset, id(row.config))
        if name not in known:
            known[name] = cell_of(row)
        yield known[name], row


def _dropped(rows: Sequence[ResultRow]) -> list[str]:
    if all(row.dropped is None for row in rows):
        return []
    cells: dict[tuple[Any, ...], list[ResultRow]] = {}
    for cell, row in _in_cells(rows):
        cells.setdefault(cell, []).append(row)
    found = []
    for members in cells.values():
        reasons: dict[str, list[ResultRow]] = {}
        for row in members:
            if row.dropped is not None:
                reasons.setdefault(row.dropped, []).append(row)
        for reason, these in reasons.items():
            found.append(
                f"{len(these)} of {len(members)} dropped by hand: {reason} ({job_list(these)}, "
                f"seed {', '.join(str(row.seed) for row in these)})"
            )
    return found


def _running_again(rows: Sequence[ResultRow]) -> list[str]:
    again = [row for row in rows if row.superseded is not None and row.dropped is None]
    failed = [row for row in again if row.state == JobState.FAILED]
    running = [row for row in again if row.state != JobState.FAILED]
    return [
        f"{how}, the earlier number of each is in no table: {job_list(these)}"
        for how, these in (("running again", running), ("ran again and failed", failed))
        if these
    ]


def _resting(rows: Iterable[ResultRow]) -> list[str]:
    found = []
    for row in rows:
        if row.dropped is None:
            gone = dict(row.rests_on_dropped)
            found += [
                f"{job_list([row])} rests on generation {generation} of job {needed}, which ran again since"
                + (f" and was dropped by hand: {gone[needed]}" if needed in gone else "")
                for needed, generation in row.rests_on
            ]
            anew = {needed for needed, _ in row.rests_on}
            found += [
                f"{job_list([row])} rests on job {needed}, which was dropped by hand: {reason}"
                for needed, reason in row.rests_on_dropped
                if needed not in anew
            ]
    return found


def _live(rows: Iterable[ResultRow]) -> list[str]:
    live = [row for row in rows if row.live and row.metrics and row.dropped is None]
    return [f"live code, as it was when each job started (--code live): {job_list(live)}"] if live else []


def _resuming(rows: Iterable[ResultRow]) -> list[str]:
    """What rehearsals said of the programs behind the numbers; nothing where none ever was."""
    told: dict[str, list[ResultRow]] = {}
    for row in rows:
        if row.rehearsing and row.metrics and row.dropped is None:
            told.setdefault(footnote(row.resume), []).append(row)
    return [f"{what}: {job_list(told[what])}" for what in sorted(told)]


def several(rows: Iterable[ResultRow], what: str) -> list[str]:
    """Cells whose numbers come from several codes ('code': orch's, torch's and the program's), or devices ('gpu')."""
    cells: dict[tuple[Any, ...], dict[str, list[ResultRow]]] = {}
    attribute = "code" if what == "code" else "device_name"
    counted = [row for row in rows if row.metrics and getattr(row, attribute) and row.dropped is None]
    if len({getattr(row, attribute) for row in counted}) < 2:
        return []
    for cell, row in _in_cells(counted):
        cells.setdefault(cell, {}).setdefault(getattr(row, attribute), []).append(row)
    word, more = ("codes", ", 'orch diff' tells more") if what == "code" else ("devices", "")
    told = []
    for groups in cells.values():
        if len(groups) > 1:
            shown = "; ".join(f"{job_list(these)}: {name}" for name, these in groups.items())
            told.append(f"one cell, several {word} ({shown}): 'orch table --by {what}' splits them{more}")
    return told
