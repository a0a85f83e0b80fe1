"""Footnotes about what changed since: dropped results, finished jobs that run anew, cells of several codes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db.bunches import Many, bunched, likes, parted, where
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
    many = bunched(rows)
    told = [*_dropped(many), *_running_again(many), *_resting(many), *_live(many), *_resuming(many)]
    if codes and "job" not in by:  # each number is of one code and one device there
        told += [] if "code" in by else several(many, "code")
        told += [] if {"gpu", "device_name"} & set(by) else several(many, "gpu")
    return told


def _in_cells(rows: Many) -> dict[tuple[Any, ...], Many]:
    """The jobs of each cell."""
    known: dict[int, tuple[Any, ...]] = {}

    def cell(row: ResultRow) -> tuple[Any, ...]:
        if id(row.config) not in known:
            known[id(row.config)] = cell_of(row)[4]
        return row.study, row.kind, row.preset, row.dataset, known[id(row.config)]

    return parted(rows, cell)


def _dropped(rows: Many) -> list[str]:
    if all(row.dropped is None for row in likes(rows)):
        return []
    found = []
    for members in _in_cells(rows).values():
        for reason, these in parted(members, lambda row: row.dropped).items():
            if reason is not None:
                found.append(
                    f"{len(these)} of {len(members)} dropped by hand: {reason} ({job_list(these)}, "
                    f"seed {', '.join(map(str, these.ordered(bunch.seeds for bunch in these.bunches)))})"
                )
    return found


def _running_again(rows: Many) -> list[str]:
    again = where(rows, lambda row: row.superseded is not None and row.dropped is None)
    failed = where(again, lambda row: row.state == JobState.FAILED)
    running = where(again, lambda row: row.state != JobState.FAILED)
    return [
        f"{how}, the earlier number of each is in no table: {job_list(these)}"
        for how, these in (("running again", running), ("ran again and failed", failed))
        if these
    ]


def _resting(rows: Many) -> list[str]:
    found = []
    for row in where(rows, lambda row: row.rests_on or row.rests_on_dropped):
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


def _live(rows: Many) -> list[str]:
    live = where(rows, lambda row: row.live and row.metrics and row.dropped is None)
    return [f"live code, as it was when each job started (--code live): {job_list(live)}"] if live else []


def _resuming(rows: Many) -> list[str]:
    """What rehearsals said of the programs behind the numbers; nothing where none ever was."""
    counted = where(rows, lambda row: row.rehearsing and row.metrics and row.dropped is None)
    told = parted(counted, lambda row: footnote(row.resume))
    return [f"{what}: {job_list(told[what])}" for what in sorted(told)]


def several(rows: Sequence[ResultRow], what: str) -> list[str]:
    """Cells whose numbers come from several codes ('code': orch's, torch's and the program's), or devices ('gpu')."""
    attribute = "code" if what == "code" else "device_name"
    counted = where(bunched(rows), lambda row: row.metrics and getattr(row, attribute) and row.dropped is None)
    if len({getattr(row, attribute) for row in likes(counted)}) < 2:
        return []
    word, more = ("codes", ", 'orch diff' tells more") if what == "code" else ("devices", "")
    told = []
    for members in _in_cells(counted).values():
        groups = parted(members, lambda row: str(getattr(row, attribute)))
        if len(groups) > 1:
            shown = "; ".join(f"{job_list(these)}: {name}" for name, these in groups.items())
            told.append(f"one cell, several {word} ({shown}): 'orch table --by {what}' splits them{more}")
    return told
