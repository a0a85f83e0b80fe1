"""Attempts and executions as the supervisor knows them; a test gives the fields that it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from db.attempts import StoredAttempt
from db.jobs import StoredJob
from db.launching import Launching
from jobs.records import Outcome, Ready, Started
from jobs.resources import Resources
from jobs.words import AttemptState, Cause, JobState
from orchestrator.supervision.seen import Seen

AT = datetime(2031, 1, 2, tzinfo=UTC)


def attempt(**more: Any) -> StoredAttempt:
    values: dict[str, Any] = dict.fromkeys(StoredAttempt.__dataclass_fields__)
    values.update(
        id=1,
        job=7,
        kind="command",
        number=1,
        generation=1,
        job_generation=1,
        token="orch-1",
        position=0,
        size=1,
        backend="slurm",
        native_id="12",
        state=AttemptState.SUBMITTED,
        doomed=False,
        absent=0,
        evidence=(),
        checkpoint_step=-1,
        created_at=AT,
    )
    return StoredAttempt(**{**values, **more})


def execution(
    order: int = 0, outcome: Outcome | None = None, *, silent: float = 0.0, complete: bool = True, node: str = "n1"
) -> Seen:
    started = Started(
        job=7,
        attempt=1,
        generation=1,
        token="orch-1",
        index=0,
        restart=order,
        node=node,
        host=node,
        pid=1,
        process_start=0.0,
        boot_id="b",
        at=AT + timedelta(seconds=order),
    )
    return Seen(
        folder=Path(f"e{order}-abcdef"),
        started=started,
        ready=Ready(at=AT),
        outcome=outcome,
        complete=outcome is not None and complete,
        heartbeat_at=1000.0 - silent,
        monotonic=lambda: 1000.0,
    )


def outcome(ending: Any, cause: Cause = Cause.SUCCESS, second: int = 0, **more: Any) -> Outcome:
    return Outcome(ending=ending, cause=cause, at=AT + timedelta(seconds=second), **more)


def queued(job: int, *, partition: str = "") -> StoredJob:
    """A job in the queue, for that partition."""
    values: dict[str, Any] = dict.fromkeys(StoredJob.__dataclass_fields__)
    options = {"slurm": {"partition": partition}} if partition else {}
    launching = Launching(backend="slurm", resources=Resources(), options=options)
    values.update(id=job, kind="command", seed=0, state=JobState.QUEUED, attempts=0, launching=launching)
    return StoredJob(**values)
