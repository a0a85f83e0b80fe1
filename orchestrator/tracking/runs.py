"""Accepted results as other people's tools know them: a run with parameters, curves, results and tags."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from db import results
from db.results import Acceptance
from db.rows import ResultRow
from jobs.reported import Declared, told_direction
from jobs.words import JobState
from orchestrator.tables.keys import defaults, text
from orchestrator.tables.values import as_data
from orchestrator.tables.varying import given

LONGEST_CELL = 200
LONGEST_NAME = 128


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted result. What is None among the numbers was no finite number."""

    store: str
    job: int
    generation: int
    study: str
    kind: str
    seed: int
    label: str
    params: dict[str, Any]
    results: dict[str, float | None]
    points: tuple[tuple[int, dict[str, float | None]], ...]
    """(epoch, numbers), ascending, each epoch once."""
    declared: dict[str, Declared]
    tags: dict[str, str]
    started_at: datetime
    accepted_at: datetime

    @property
    def key(self) -> str:
        """Which result it is, in its store."""
        return f"{self.study}/{self.job}"

    @property
    def name(self) -> str:
        told = [self.label or self.kind, self.cell[:60], f"seed {self.seed}"]
        return ", ".join(word for word in told if word)[:LONGEST_NAME]

    @property
    def cell(self) -> str:
        return self.tags["cell"]

    def id(self) -> str:
        """Sixteen hex digits, the same wherever and whenever it is exported; another one for another generation."""
        return hashlib.sha256(f"{self.store} {self.key} {self.generation}".encode()).hexdigest()[:16]

    def digest(self, writer: str) -> str:
        """Of all that is in it, and of who writes it."""
        return hashlib.sha256(writer.encode() + msgspec.json.encode(self)).hexdigest()[:32]

    def curves(self) -> dict[str, list[tuple[int, float | None]]]:
        """Metric → (epoch, value); one that only the result has is one point at the run's last epoch, or at 0."""
        found: dict[str, list[tuple[int, float | None]]] = {}
        for epoch, numbers in self.points:
            for name, value in numbers.items():
                found.setdefault(name, []).append((epoch, value))
        for name, value in self.results.items():
            found.setdefault(name, [(self.last, value)])
        return found

    @property
    def last(self) -> int:
        """Its last epoch; 0 where it has none."""
        return max(0, self.points[-1][0]) if self.points else 0

    def said(self, metric: str) -> str:
        """What was declared of a metric, in words: label, unit, which way is better. Empty where nothing is known."""
        one = self.declared.get(metric)
        better = told_direction(metric, self.declared)
        words = [one.label if one else "", f"in {one.unit}" if one and one.unit else ""]
        words.append("" if better is None else "higher is better" if better else "lower is better")
        return ", ".join(word for word in words if word)

    def units(self) -> dict[str, str]:
        return {name: one.unit for name, one in self.declared.items() if one.unit}


def result_name(metric: str, taken: Iterable[str]) -> str:
    """Where a tool that keeps curves alone gets the result of a metric: 'result/loss', which no metric is called."""
    names, found = set(taken), f"result/{metric}"
    while found in names:
        found = f"orch.{found}"
    return found


def is_exported(row: ResultRow, accepted: Mapping[int, Acceptance]) -> bool:
    """Whether it has an accepted result that counts."""
    return row.state is JobState.SUCCEEDED and row.dropped is None and row.job in accepted


def runs(
    connection: Connection, store: str, rows: Sequence[ResultRow], accepted: Mapping[int, Acceptance]
) -> Iterator[Run]:
    """One by one, since curves may be long."""
    for row in rows:
        if is_exported(row, accepted):
            yield _run(row, store, accepted[row.job], results.points(connection, row.job))


def _run(row: ResultRow, store: str, accepted: Acceptance, points: Iterable[tuple[int, Mapping[str, Any]]]) -> Run:
    config = {**defaults(row.kind, row.preset, row.imported), **row.config} if "argv" not in row.config else row.config
    params = {name: as_data(value) for name, value in given(config).items() if value is not None}
    asked = given(row.config)
    cell = ", ".join(f"{name}={text(asked[name])}" for name in asked)
    tags = {
        "study": row.study,
        "experiment": row.experiment,
        "cell": cell if len(cell) <= LONGEST_CELL else cell[: LONGEST_CELL - 1] + "…",
        "generation": str(accepted.generation),
        "kind": row.kind,
        "job": str(row.job),
        "seed": str(row.seed),
        "dataset": row.dataset,
        "preset": row.preset,
        "code": row.code,
        "store": store,
    }
    flags = {f"remark.{name}": value for name, value in row.flags.items()}
    return Run(
        store=store,
        job=row.job,
        generation=accepted.generation,
        study=row.study,
        kind=row.kind,
        seed=row.seed,
        label=row.label,
        params=params,
        results=dict(row.metrics),
        points=tuple((epoch, dict(numbers)) for epoch, numbers in points),
        declared=dict(row.declared),
        tags={name: value for name, value in {**tags, **flags}.items() if value or name in ("experiment", "cell")},
        started_at=accepted.started_at or accepted.at,
        accepted_at=accepted.at,
    )
