"""What the cells of a table are called: `B/100`, `lr=0.1`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from db.rows import ResultRow
from jobs.words import JobState
from orchestrator.claims.cells import REPLICATES
from orchestrator.claims.ledger import Job
from orchestrator.tables.keys import text
from orchestrator.tables.table2 import DRAWN, KINDS, SEARCH, cell_key
from orchestrator.tables.varying import by_importance, given, program, varying

OWN = REPLICATES | {"method", "search_epoch", "architecture"}
"""Settings that a name of the house's cells says already."""


def labels(jobs: Sequence[Job]) -> dict[str, str]:
    """Cell → its name among these jobs'."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.cell, job)
    groups: dict[str, list[Job]] = {}
    for job in first.values():
        groups.setdefault(_base(job), []).append(job)
    found = {}
    for base, these in groups.items():
        told = [name for name in varying([job.config for job in these]) if name not in OWN] if len(these) > 1 else []
        for job in these:
            own = given(job.config)
            said = ", ".join(f"{name}={text(own[name])}" for name in told if name in own)
            found[job.cell] = (f"{base}, {said}" if _house(job) else said) if said else base
    return found


def _house(job: Job) -> bool:
    return job.kind in KINDS


def _base(job: Job) -> str:
    method = job.config.get("method")
    if job.kind == SEARCH:
        return f"search {method}"
    key = cell_key(row_like(job)) if _house(job) else None
    if key is not None:
        name = key[0] if key[1] is None else f"{key[0]}/{key[1]}"
        return f"random beside {name}" if job.kind == DRAWN and method else name
    return program(job.config) or job.kind


def row_like(job: Job) -> ResultRow:
    """A job of the ledger as a table would see it."""
    return ResultRow(
        job=job.id,
        study=job.study,
        kind=job.kind,
        preset="",
        dataset="",
        seed=job.seed,
        state=JobState.SUCCEEDED if job.metrics is not None else JobState.QUEUED,
        imported=bool(job.source),
        config=job.config,
        metrics=job.metrics or {},
    )


def number_of(numbers: Mapping[str, float | None], wanted: Sequence[str]) -> str:
    """`accuracy 91.2`: the most important of these numbers; empty where there is none."""
    order = [*(name for name in wanted if name in numbers), *by_importance(numbers)]
    for name in order:
        value = numbers[name]
        said = "accuracy" if name == "test_accuracy" else name
        return f"{said} {'not finite' if value is None else format(value, 'g')}"
    return ""
