"""The numbers of a program's job, read again from the folder of its execution: for results that an older rule took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.files import LONGEST_LINE, names, open_regular, read_bytes, read_lines
from jobs.metrics import RULE, last_values, line_numbers, numbers
from jobs.node.reports import read_object
from jobs.numbers.source import place
from jobs.records import MetricLine, Outcome

LINES, RESULT, RELAYED = "user_metrics.jsonl", "result.json", "metrics.jsonl"
"""What the program appended to ORCH_METRICS, wrote to ORCH_RESULT, and what its worker made of the lines."""


PROGRAMS = frozenset({"command"})
"""Kinds whose numbers are taken from what a program wrote; the others say their result themselves."""


@dataclass(frozen=True, kw_only=True)
class Recount:
    """What the files of an execution say of its numbers by the present rule."""

    values: dict[str, float | None]
    doubtful: list[str] = field(default_factory=list)
    """Metrics whose number stays as it was taken: nobody can tell any more which way gave it."""


def accepted(kind: str, outcome: Outcome, folder: Path, *, files: bool) -> tuple[dict[str, float | None], int]:
    """The numbers of a success and the rule by which they were taken; an older worker's are read again.

    `files`: whether the job declares result files, which count more than lines.
    """
    if outcome.rule >= RULE or kind not in PROGRAMS:
        return outcome.result, RULE
    found = again(folder, outcome.result, outcome.rule, files=files)
    return (outcome.result, outcome.rule) if found is None or found.doubtful else (found.values, RULE)


def again(folder: Path, taken: Mapping[str, float | None], rule: int, *, files: bool) -> Recount | None:
    """What was `taken` by an older rule, by the present one; None where the files that tell are gone or unreadable."""
    if rule > 0:
        return _placed_or_not(folder, taken, files=files)
    found = recount(folder, taken)
    return None if found is None else Recount(values=found)


def _placed_or_not(folder: Path, taken: Mapping[str, float | None], *, files: bool) -> Recount | None:
    """Rule 1 skipped lines whose epoch is none. Where such a line is the newest that names a metric, it counts.

    Patterns, event files and lines with an epoch were read as they are now, so nothing else is looked at.
    """
    there = set(names(folder))
    if not there:
        return None
    if LINES not in there:
        return Recount(values=dict(taken))
    newest: dict[str, float | None] = {}
    placed: dict[str, float | None] = {}
    skipped: set[str] = set()
    try:
        result = read_object(read_bytes(folder / RESULT)) if RESULT in there else {}
        if result is None:
            return None
        for line in _objects(folder / LINES):
            found = line_numbers(line, newest)
            newest.update(found)
            if place(line.get("epoch", 0)) is None:
                skipped.update(found)
            else:
                skipped.difference_update(found)
                placed.update(line_numbers(line, placed))
    except OSError:
        return None
    values, doubtful = dict(taken), []
    for raw in sorted(skipped - numbers(result, newest).keys()):
        name = _storable(raw)
        if name in taken and taken[name] == newest[raw]:
            continue
        if files and name in taken:
            if raw not in placed or placed[raw] == taken[name]:
                doubtful.append(name)
            continue  # another number than the lines': a result file gave it, and it counts more
        values[name] = newest[raw]
    return Recount(values=values, doubtful=doubtful)


def recount(folder: Path, taken: Iterable[str]) -> dict[str, float | None] | None:
    """The value of every metric by the present rule; None where the files that tell are gone or unreadable.

    So they are where they do not name what was `taken` from them once.
    """
    there = set(names(folder))
    try:
        result = read_object(read_bytes(folder / RESULT)) if RESULT in there else {}
        if result is None:
            return None
        lines = _objects(folder / LINES) if LINES in there else _relayed(folder / RELAYED)
        found = {_storable(name): value for name, value in last_values(lines, result).items()}
    except OSError:
        return None
    return found if all(name in found for name in taken) else None


def _storable(name: str) -> str:
    """A metric's name as text that UTF-8 can hold: a program may write half of a surrogate pair."""
    return name.encode(errors="backslashreplace").decode()


def newest_lines(folder: Path) -> list[MetricLine]:
    """Of each metric the newest line that names it, in the order of lines."""
    newest: dict[str, tuple[int, MetricLine]] = {}
    for number, line in enumerate(read_lines(folder / RELAYED, MetricLine)):
        newest.update((name, (number, line)) for name in line.values)
    return [line for _, line in sorted(newest.values(), key=lambda one: one[0])]


def _objects(path: Path) -> Iterator[Mapping[str, Any]]:
    """Every line that is a JSON object, one at a time: there may be millions. The last may lack its end, as where the
    program's worker read it."""
    with open_regular(path) as handle:
        while line := handle.readline(LONGEST_LINE):
            if (found := read_object(line)) is not None:
                yield found


def _relayed(path: Path) -> Iterator[Mapping[str, Any]]:
    return (line.values for line in read_lines(path, MetricLine))
