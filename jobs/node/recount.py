"""The numbers of a program's job, read again from the folder of its execution: for results that an older rule took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jobs.files import LONGEST_LINE, names, open_regular, read_bytes, read_lines
from jobs.metrics import RULE, last_values
from jobs.node.reports import read_object
from jobs.records import MetricLine, Outcome

LINES, RESULT, RELAYED = "user_metrics.jsonl", "result.json", "metrics.jsonl"
"""What the program appended to ORCH_METRICS, wrote to ORCH_RESULT, and what its worker made of the lines."""


PROGRAMS = frozenset({"command"})
"""Kinds whose numbers are taken from what a program wrote; the others say their result themselves."""


def accepted(kind: str, outcome: Outcome, folder: Path) -> tuple[dict[str, float | None], int]:
    """The numbers of a success and the rule by which they were taken; an older worker's are read again."""
    if outcome.rule >= RULE or kind not in PROGRAMS:
        return outcome.result, RULE
    found = recount(folder, outcome.result)
    return (outcome.result, outcome.rule) if found is None else (found, RULE)


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
    """Every whole line that is a JSON object, one at a time: there may be millions."""
    with open_regular(path) as handle:
        while line := handle.readline(LONGEST_LINE):
            found = read_object(line) if line.endswith(b"\n") else None
            if found is not None:
                yield found


def _relayed(path: Path) -> Iterator[Mapping[str, Any]]:
    return (line.values for line in read_lines(path, MetricLine))
