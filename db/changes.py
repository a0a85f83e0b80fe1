"""What a change of mind says of how jobs are run, and what became of it where they waited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from jobs.records import Code, Surroundings
from jobs.resources import Asked, InQueue


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person changed of how jobs are run; None and empty: as it was."""

    asked: Asked = Asked()
    backend: str | None = None
    priority: int | None = None
    slurm: dict[str, Any] = msgspec.field(default_factory=dict)
    """sbatch parameters by name; None takes one back, since another option says the same."""
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    code: Code | None = None
    surroundings: Surroundings | None = None
    env: dict[str, str] = msgspec.field(default_factory=dict)
    """`--env` of a program, over what it was given before."""


class Altered(msgspec.Struct, frozen=True, kw_only=True, tag="altered", omit_defaults=True):
    """Attempts that waited in the machines' queue were changed there, and the queue was seen to have it."""

    attempts: tuple[tuple[int, int], ...]
    """(job, number)."""
    change: InQueue
    settled: bool = True
    """Whether they stand there now as their jobs are to be run."""
    at: datetime
