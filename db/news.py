"""What people want to be told of without looking: which jobs failed for good, and which studies stand still."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from jobs.words import JobState


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed job of some generation."""

    job: int
    generation: int
    study: str
    kind: str
    seed: int
    error: str


def failures(connection: Connection) -> list[Failure]:
    """Every failed job, by id."""
    rows = connection.exec_driver_sql(
        "SELECT j.id, j.generation, s.name, j.kind, j.seed, j.error FROM job j JOIN study s ON s.id = j.study_id "
        "WHERE j.state = 'failed' ORDER BY j.id"
    )
    return [
        Failure(job=job, generation=generation, study=study, kind=kind, seed=seed, error=error or "")
        for job, generation, study, kind, seed, error in rows
    ]


def studies(connection: Connection) -> dict[str, dict[JobState, int]]:
    """Study → how many of its jobs are in each state; the counts are kept by triggers."""
    rows = connection.exec_driver_sql(
        "SELECT s.name, c.state, sum(c.n) FROM job_count c JOIN study s ON s.id = c.study_id GROUP BY s.name, c.state"
    )
    found: dict[str, dict[JobState, int]] = {}
    for study, state, n in rows:
        found.setdefault(study, dict.fromkeys(JobState, 0))[JobState(state)] = int(n)
    return found
