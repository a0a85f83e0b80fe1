"""Table 2 of the report: searched architectures, their matched random ones, and the baseline, from result rows.

One table per data set and preset; a cell never mixes differing configs (its row is split, and says by what).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from db.bunches import Many, where
from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.words import JobState
from orchestrator.tables.cells import ACCURACY, Cell, differing, job_list, split
from orchestrator.tables.keys import setting, text
from orchestrator.tables.lacking import seeds
from orchestrator.tables.statistics import Summary

BASELINE = "vgg19"
RANDOM = "random"
METRICS = (ACCURACY, "params_m", "shortcuts")
TRAINED = "evaluate"
DRAWN = "random-baseline"
SEARCH = "search"
KINDS = frozenset({TRAINED, DRAWN, SEARCH})
"""The kinds of job that Table 2 is of."""

CellKey = tuple[str, int | None]
"""(architecture, search epoch)."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: 'A', 'B' or another method at a search epoch, 'vgg19', or 'random' (matched to nothing)."""

    architecture: str
    epoch: int | None
    cell: Cell
    random: Cell | None = None
    """The matched random architectures; None where there is no such job."""
    variant: Mapping[str, str]
    """The settings that tell it from other rows of the same architecture and epoch; mostly empty."""
    notes: tuple[str, ...] = ()

    @property
    def is_searched(self) -> bool:
        return self.architecture not in (BASELINE, RANDOM)


@dataclass(frozen=True, kw_only=True)
class Table2:
    """All rows of one data set and preset, in the report's order."""

    dataset: str | None
    preset: str | None
    studies: tuple[str, ...]
    rows: tuple[Row, ...]
    searches: tuple[ResultRow, ...] = ()
    notes: tuple[str, ...] = ()

    def contract(self) -> dict[str, Any]:
        """The JSON contract; an incomplete cell holds what is there, with n and expected."""
        found: dict[str, Any] = {
            "dataset": self.dataset,
            "preset": self.preset,
            "rows": [_row_contract(row) for row in self.rows],
        }
        if self.notes:
            found["notes"] = list(self.notes)
        return found


def build(rows: Sequence[ResultRow], expected: Mapping[CellKey, int] | None = None) -> Table2:
    """The table of rows of one data set and preset. `expected`: architectures per cell, where more than there are jobs.

    Raises BadInput where the rows are of several data sets or presets.
    """
    tables = build_all(rows, expected)
    if len(tables) > 1:
        have = "; ".join(f"{table.dataset} with preset {table.preset}" for table in tables)
        raise BadInput(
            f"a table never mixes data sets or presets, and there are {len(tables)} ({have}): "
            "choose one by --filter dataset=… or --filter preset=…"
        )
    return tables[0] if tables else Table2(dataset=None, preset=None, studies=(), rows=())


def build_all(rows: Sequence[ResultRow], expected: Mapping[CellKey, int] | None = None) -> list[Table2]:
    """One table for each (data set, preset) that has a row of Table 2: the report's setting first, then by name."""
    groups: dict[tuple[str, str], list[ResultRow]] = {}
    for row in where(rows, lambda row: row.kind in KINDS) if isinstance(rows, Many) else rows:
        if row.kind == SEARCH or (row.state != JobState.CANCELLED and cell_key(row) is not None):
            groups.setdefault((row.dataset, row.preset), []).append(row)
    order = sorted(groups, key=lambda key: (key != ("cifar10", "report"), key))
    tables = [_table(dataset, preset, groups[dataset, preset], expected or {}) for dataset, preset in order]
    return [table for table in tables if table.rows]


def cell_key(row: ResultRow) -> CellKey | None:
    """Which cell a job's result belongs to; None for a job that is not in Table 2 (a search, a command, ...)."""
    method, epoch = row.config.get("method"), row.config.get("search_epoch")
    if row.kind == DRAWN:
        return (str(method), epoch) if method else (RANDOM, None)
    if row.kind != TRAINED:
        return None
    if method:
        return str(method), epoch
    untold = row.imported and not row.metrics.get("shortcuts") and not row.config.get("search")
    plain = row.config.get("architecture", BASELINE if untold else None) == BASELINE
    return (BASELINE, None) if plain else None


def _table(dataset: str, preset: str, rows: Sequence[ResultRow], expected: Mapping[CellKey, int]) -> Table2:
    trained: dict[CellKey, list[ResultRow]] = {}
    drawn: dict[CellKey, list[ResultRow]] = {}
    searches = tuple(row for row in rows if row.kind == SEARCH)
    for row in _with_search(rows, searches):
        key = cell_key(row)
        if key is not None:
            (drawn if row.kind == DRAWN else trained).setdefault(key, []).append(row)
    built: list[Row] = []
    for key in sorted({*trained, *drawn, *expected}, key=_position):
        built.extend(_rows(key, trained.get(key, []), drawn.get(key, []), expected.get(key, 0)))
    return Table2(
        dataset=dataset,
        preset=preset,
        studies=tuple(sorted({row.study for row in rows})),
        rows=tuple(built),
        searches=searches,
        notes=tuple(_across(built)),
    )


def _with_search(rows: Iterable[ResultRow], searches: Iterable[ResultRow]) -> list[ResultRow]:
    """The rows, each with those settings of its search in which the searches differ (as 'search tau', ...).

    An evaluation's own config does not tell how its architecture was searched, and a cell must not mix that either.
    """
    by_job = {search.job: search for search in searches}
    told = differing(list(by_job.values()), ("pretrained", "readouts", "eigenvalue_every"))
    if not told:
        return list(rows)
    found = []
    for row in rows:
        search = by_job.get(row.config.get("search", 0))
        own = {} if search is None else {f"search {key}": setting(search, key) for key in told}
        found.append(replace(row, config={**row.config, **own}))
    return found


def _position(key: CellKey) -> tuple[int, str, float]:
    name, epoch = key
    return {BASELINE: 1, RANDOM: 2}.get(name, 0), name, float("inf") if epoch is None else epoch


def _rows(key: CellKey, trained: list[ResultRow], drawn: list[ResultRow], planned: int) -> list[Row]:
    """The rows of one cell key: one, or several where configs differ."""
    name, epoch = key
    if name == RANDOM:
        trained, drawn = drawn, []
    groups = split(trained)
    if trained and all(row.config.get("pretrained") for row in trained):
        # Also where there is no other row to tell it from: a reader takes an unmarked row for one from scratch.
        groups = [({"pretrained": "true", **variant}, members) for variant, members in groups]
    random_groups = split(drawn) if drawn else []
    found = []
    for variant, members in groups:
        cell = Cell(tuple(members), per_training=name == BASELINE, planned=planned if len(groups) == 1 else 0)
        fitting = [(other, matched) for other, matched in random_groups if _fits(matched[0], variant, drawn)]
        for other, matched in fitting or [({}, [])]:
            own = {f"random {one}" if one not in variant else one: shown for one, shown in other.items()}
            random = Cell(tuple(matched), planned=planned if len(groups) == 1 else 0) if matched else None
            found.append(
                Row(
                    architecture=name,
                    epoch=epoch,
                    cell=cell,
                    random=random,
                    variant={**variant, **own},
                    notes=tuple(_notes(cell, random)),
                )
            )
    return found


def _fits(random: ResultRow, variant: Mapping[str, str], drawn: Iterable[ResultRow]) -> bool:
    """Whether a random architecture has a row's settings, as far as random architectures know such settings at all."""
    meant = {key for row in drawn for key in variant if setting(row, key) is not None}
    return all(text(setting(random, key)) == variant[key] for key in meant)


def _notes(cell: Cell, random: Cell | None) -> list[str]:
    """What a reader must know about a row's cells."""
    notes = _cell_notes(cell, "")
    if random is not None:
        notes += _cell_notes(random, "random architectures: ")
        modes = sorted({text(mode) for row in random.rows if (mode := setting(row, "match")) not in (None, "none")})
        if modes:
            notes.append(f"random architectures matched by {', '.join(modes)}")
    return notes


def _cell_notes(cell: Cell, prefix: str) -> list[str]:
    notes = []
    for attribute, what in (("code", "code versions"), ("device_name", "devices")):
        groups: dict[str, list[ResultRow]] = {}
        for row in cell.rows:
            if getattr(row, attribute):
                groups.setdefault(getattr(row, attribute), []).append(row)
        if len(groups) > 1:
            shown = "; ".join(f"{name} ({job_list(groups[name])})" for name in sorted(groups))
            notes.append(f"{prefix}differing {what}: {shown}")
    if failed := [row for row in cell.rows if row.state == JobState.FAILED]:
        notes.append(f"{prefix}failed: {job_list(failed)}")
    done = [row for unit in cell.units for row in unit.rows]
    counted = {row.job for row in done}
    lost = [row for row in cell.rows if row.metrics.get(ACCURACY, 0.0) is None]
    if lost:
        theirs = "its" if len(lost) == 1 else "their"
        notes.append(f"{prefix}{job_list(lost)}, {seeds(lost)}: not finite at {theirs} last epoch")
    counted |= {row.job for row in lost}
    if lacking := [row for row in cell.rows if row.state == JobState.SUCCEEDED and row.job not in counted]:
        notes.append(f"{prefix}ended without a finite test accuracy, so not counted: {job_list(lacking)}")
    flags: dict[str, list[ResultRow]] = {}
    for row in done:
        for name, flag in row.flags.items():
            flags.setdefault(f"{name}: {flag}", []).append(row)
    notes += [f"{prefix}{flag} ({job_list(flags[flag])})" for flag in sorted(flags)]
    imported = [row for row in done if row.imported]
    if imported and len(imported) < len(done):
        notes.append(f"{prefix}{len(imported)} of {len(done)} results were imported")
    if empty := [row for row in done if row.edges == () and row.config.get("method")]:
        notes.append(f"{prefix}architectures without any shortcut: {job_list(empty)}")
    return notes


def _across(rows: Sequence[Row]) -> list[str]:
    """What concerns the table as a whole: settings in which its rows differ, jobs whose code was changed meanwhile."""
    jobs = [job for row in rows for cell in (row.cell, row.random) if cell is not None for job in cell.rows]
    told = {key for row in rows for key in row.variant} | {"match", "shortcuts", "tau", "pretrained"}
    notes = []
    for key, values in differing(jobs, told).items():
        # A kind without such a setting (None) does not differ in it.
        shown = [text(value) for value in values if value is not None]
        if len(shown) > 1:
            notes.append(f"rows differ in {key}: {', '.join(shown)}")
    if changed := [job for job in jobs if job.code_changed]:
        notes.append(f"ran with other code than they were submitted with: {job_list(changed)}")
    return notes


def _row_contract(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {
        "architecture": row.architecture,
        "epoch": row.epoch,
        "n": row.cell.n,
        "expected": row.cell.expected,
    }
    for metric in METRICS:
        found[metric] = _summary(row.cell.summary(metric), row.cell.n)
    found["random_accuracy"] = (
        None
        if row.random is None
        else {
            **_summary(row.random.summary(ACCURACY), row.random.n),
            "n": row.random.n,
            "expected": row.random.expected,
        }
    )
    if row.variant:
        found["variant"] = dict(row.variant)
    if row.notes:
        found["notes"] = list(row.notes)
    return found


def _summary(summary: Summary, n: int) -> dict[str, float | None]:
    """With its own n where that is not `n`, the row's."""
    own = {} if summary.n == n else {"n": summary.n}
    return {"mean": summary.mean, "std": summary.std, **own}
