"""The tables of a study that nobody laid out: for each program what varies against what it reports. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from db.bunches import Many, bunched, ids, joined, likes, parted, where
from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.tables import arguments, generic
from orchestrator.tables.grouped import Grouped
from orchestrator.tables.table2 import KINDS, Table2
from orchestrator.tables.varying import by_importance, is_house, program, varying

LONGEST_CAPTION = 60
"""Of what a program is called above its table."""
MOST_METRICS = 12


@dataclass(frozen=True, kw_only=True)
class Part:
    """The jobs of one program or kind, the keys that tell them apart, and the numbers that they report."""

    title: str
    rows: Sequence[ResultRow]
    by: Sequence[str]
    metrics: Sequence[str]
    left_out: int = 0
    """So many more numbers are reported."""

    def table(self) -> Grouped:
        found = generic.group(self.rows, self.by, self.metrics)
        notes = found.notes
        if self.left_out:
            notes = (*notes, f"{self.left_out} more numbers are reported: choose some by --by and --metric")
        return replace(found, title=self.title, notes=notes)


def wants_table2(rows: Sequence[ResultRow], tables: Iterable[Table2]) -> bool:
    """Whether a study has Table 2: it has a row of it, or nothing else at all."""
    return any(table.rows for table in tables) or all(row.kind in KINDS for row in likes(rows))


def beside_table2(rows: Sequence[ResultRow]) -> Sequence[ResultRow]:
    """The jobs of a study with Table 2 that have a table of their own: those that are not the house's."""
    return where(bunched(rows), lambda row: not is_house(row.kind))


def parts(rows: Sequence[ResultRow]) -> list[Part]:
    """One for each program and kind, in order of their first job; stages of one program that share no number apart."""
    kept = where(bunched(rows), lambda row: row.state != JobState.CANCELLED)
    found = parted(kept, lambda row: (row.kind, arguments.program(row.config.get("argv") or ())))
    return [
        _part(stage, f", {stage[0].experiment}" if len(apart) > 1 else "")
        for these in found.values()
        for apart in (_apart(these),)
        for stage in apart
    ]


def _apart(rows: Many) -> list[Many]:
    """The experiments of a program, those together that share a number: a training and its test share none."""
    found: list[tuple[set[str], Many]] = []
    for these in parted(rows, lambda row: row.experiment or "").values():
        names = {name for row in likes(these) for name in (*row.metrics, *row.declared)}
        if not names:
            return [rows]  # nobody knows yet
        shared = [one for one in found if one[0] & names]
        for one in shared:
            found.remove(one)
        merged = joined([*(members for _, members in shared), these])
        found.append((names.union(*(one for one, _ in shared)), merged))
    return [members for _, members in sorted(found, key=lambda one: ids(one[1])[0])]


def _part(rows: Sequence[ResultRow], more: str = "") -> Part:
    first = rows[0]
    reported = by_importance(name for row in likes(rows) for name in row.metrics)
    names = [_key(name, first.config, reported) for name in varying(_distinct(rows))]
    told = [key for key in ("experiment", "name") if len({getattr(row, _ATTRIBUTE[key]) for row in likes(rows)}) > 1]
    title = _caption(program(first.config) or first.kind) + more
    return Part(
        title=title,
        rows=rows,
        by=[*told, *names] or ["program" if "argv" in first.config else "kind"],
        metrics=reported[:MOST_METRICS],
        left_out=max(0, len(reported) - MOST_METRICS),
    )


def _caption(text: str) -> str:
    """The beginning of what runs: code of `sh -c` may go on for lines."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_CAPTION else f"{line[: LONGEST_CAPTION - 1].rstrip()}…"


_ATTRIBUTE: Mapping[str, str] = {"experiment": "experiment", "name": "label"}


def _distinct(rows: Iterable[ResultRow]) -> list[Mapping[str, object]]:
    return list({id(row.config): row.config for row in likes(rows)}.values())


def _key(name: str, config: Mapping[str, object], reported: Sequence[str]) -> str:
    """A setting of a kind that is called like a number of it is asked for by its full name."""
    return f"config.{name}" if "argv" not in config and name in reported else name


def metrics(rows: Sequence[ResultRow]) -> list[str]:
    """What a grouped table shows where nobody named numbers: accuracy in the house's study, else what is reported."""
    reported = by_importance(name for row in likes(rows) for name in row.metrics)
    if any(is_house(row.kind) for row in likes(rows)) or not rows or "test_accuracy" in reported:
        return ["test_accuracy"]
    return reported[:MOST_METRICS]
