"""Plain values that the store hands out to tables, views and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs.records import Edge
from jobs.words import JobState


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One job as tables see it, with its accepted result or without one yet.

    `config` is canonical (fields at their default left out). These config keys mean the same in every kind:
    `dataset`, `method` ('A', 'B' or absent), `search_epoch`, `search` (the search's job id), `repeat`, `match`,
    `architecture` ('vgg19' or absent), `pretrained`, `epochs`, `width`. `seed` is the replicate.
    """

    job: int
    study: str
    kind: str
    preset: str
    dataset: str
    seed: int
    state: JobState
    blocked: bool = False
    imported: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """The result's numbers (test_accuracy in percent, params as a count, shortcuts, ...); empty without a result."""
    architecture: str | None = None
    """Hash of the set of edges; of an imported row without architecture, one of its own."""
    edges: tuple[Edge, ...] | None = None
    device_name: str = ""
    code: str = ""
    """Code version it was submitted with (version, commit)."""
    code_changed: bool = False
    gpu_seconds: float = 0.0
    """Summed over all executions."""
    flags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The per-epoch numbers of one job's accepted (or, while it runs, newest) execution."""

    job: int
    kind: str
    seed: int
    config: Mapping[str, Any]
    points: tuple[tuple[int, Mapping[str, float | None]], ...]
    """(epoch, numbers), ascending, each epoch once."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """One execution on a node, for the Gantt chart and `show`."""

    job: int
    kind: str
    seed: int
    attempt: int
    execution: str
    node: str
    started_at: datetime
    ended_at: datetime | None
    cause: str | None
