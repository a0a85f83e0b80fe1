"""Canaries: of many new jobs of a program that never ran one goes first, so that a slip costs one job.

A job waits for its canary by `job.behind`; a canary is open until nothing waits for it. Who is sent when is in the
triggers (db/rules.py): a job that waits for a canary cannot be submitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from db import following
from db.applying import apply
from db.restraints import Canary, Follow
from db.text import encode, parse_time, stamp
from jobs.programs import program_of
from jobs.words import JobState


@dataclass(frozen=True, kw_only=True)
class OpenCanary:
    """A job that goes first, and what is known of it in its present generation."""

    job: int
    study: str
    seed: int
    state: JobState
    error: str | None
    since: datetime
    """When its state changed last, by the supervisor's clock."""
    behind: int
    """How many wait for it."""
    backend: str | None
    """Where its newest attempt is."""
    known: bool
    """Its newest attempt is known to have been launched."""
    reason: str
    """Why the machines let it wait."""
    ready: int | None
    """Its newest execution (row), where that runs the program by now: one that SLURM began again is another one."""
    reported: bool
    """It has reported a metric."""

    @property
    def failed(self) -> bool:
        """Failed for good: until a person does something, nothing follows it."""
        return self.state is JobState.FAILED


@apply.register
def _(entry: Canary, connection: Connection) -> None:
    following.begin(connection, entry.job, stamp(entry.at))
    connection.exec_driver_sql(
        "UPDATE job SET behind = ? WHERE id IN (SELECT value FROM json_each(?))", (entry.job, encode(entry.jobs))
    )


@apply.register
def _(entry: Follow, connection: Connection) -> None:
    at = stamp(entry.at)
    if entry.canary is not None:
        following.follow(connection, entry.canary, at)
        return
    following.let_go(connection, entry.jobs, at)


_OF_IT = "FROM execution e JOIN attempt x ON x.id = e.attempt_id WHERE e.job_id = j.id AND x.generation = j.generation"


def opened(connection: Connection, study: str | None = None) -> list[OpenCanary]:
    """The canaries that something waits for, by id; those of one study where it is named."""
    rows = connection.exec_driver_sql(
        "SELECT j.id, s.name, j.seed, j.state, j.error, j.updated_at, "
        "(SELECT count(*) FROM job w WHERE w.behind = j.id), m.backend, m.native_id IS NOT NULL, "
        "coalesce(a.reason, ''), "
        f"(SELECT iif(e.ready_at IS NULL, NULL, e.id) {_OF_IT} ORDER BY e.id DESC LIMIT 1), "
        f"EXISTS (SELECT 1 {_OF_IT} AND e.latest IS NOT NULL) "
        "FROM canary c JOIN job j ON j.id = c.job_id JOIN study s ON s.id = j.study_id "
        "LEFT JOIN attempt a ON a.job_id = j.id AND a.number = j.attempts AND a.state != 'ended' "
        "LEFT JOIN submission m ON m.token = a.token "
        "WHERE c.over_at IS NULL AND (? IS NULL OR s.name = ?) ORDER BY j.id",
        (study, study),
    )
    return [
        OpenCanary(
            job=int(row[0]),
            study=str(row[1]),
            seed=int(row[2]),
            state=JobState(row[3]),
            error=row[4],
            since=parse_time(row[5]),
            behind=int(row[6]),
            backend=row[7],
            known=bool(row[8]),
            reason=str(row[9]),
            ready=row[10],
            reported=bool(row[11]),
        )
        for row in rows
    ]


def behind(connection: Connection, canaries: Sequence[int]) -> list[int]:
    """The jobs that wait for one of these, by id."""
    rows = connection.exec_driver_sql(
        "SELECT id FROM job WHERE behind IN (SELECT value FROM json_each(?)) ORDER BY id", (encode(list(canaries)),)
    )
    return [int(row[0]) for row in rows]


def waited_for(connection: Connection, jobs: Sequence[int]) -> Mapping[int, int]:
    """Job → the canary that it waits for, of these jobs."""
    rows = connection.exec_driver_sql(
        "SELECT id, behind FROM job WHERE behind IS NOT NULL AND id IN (SELECT value FROM json_each(?)) ORDER BY id",
        (encode(list(jobs)),),
    )
    return {int(row[0]): int(row[1]) for row in rows}


def open_for(connection: Connection, study: str, program: str, *, failed: bool = False) -> int | None:
    """The newest canary of that program in the study that has not failed; `failed`: that has."""
    rows = connection.exec_driver_sql(
        "SELECT j.id, c.text FROM canary k JOIN job j ON j.id = k.job_id JOIN config c ON c.id = j.config_id "
        "JOIN study s ON s.id = j.study_id WHERE k.over_at IS NULL AND s.name = ? AND (j.state = 'failed') = ? "
        "ORDER BY j.id DESC",
        (study, int(failed)),
    )
    return next((int(job) for job, text in rows if program_of(msgspec.json.decode(text)) == program), None)


def ever_ran(connection: Connection, program: str) -> bool:
    """Whether any job of that program has ever been ready here, or has succeeded."""
    rows = connection.exec_driver_sql("SELECT id, text FROM config WHERE kind = 'command'")
    alike = encode([int(row[0]) for row in rows if program_of(msgspec.json.decode(row[1])) == program])
    if alike == "[]":
        return False
    these = "config_id IN (SELECT value FROM json_each(?))"
    return bool(
        connection.exec_driver_sql(
            f"SELECT EXISTS (SELECT 1 FROM result WHERE {these} AND execution_id IS NOT NULL) OR EXISTS "
            f"(SELECT 1 FROM job j JOIN execution e ON e.job_id = j.id WHERE j.{these} AND e.ready_at IS NOT NULL)",
            (alike, alike),
        ).scalar_one()
    )


def programs(connection: Connection, jobs: Sequence[int]) -> dict[str, list[int]]:
    """Program → those of these jobs that run it and need no other job, by id."""
    rows = connection.exec_driver_sql(
        "SELECT j.id, j.config_id, c.text FROM job j JOIN config c ON c.id = j.config_id WHERE j.kind = 'command' "
        "AND j.id IN (SELECT value FROM json_each(?)) "
        "AND NOT EXISTS (SELECT 1 FROM job_dependency WHERE job_id = j.id) ORDER BY j.id",
        (encode(list(jobs)),),
    )
    known: dict[int, str] = {}
    found: dict[str, list[int]] = {}
    for job, config, text in rows:
        if config not in known:
            known[config] = program_of(msgspec.json.decode(text))
        found.setdefault(known[config], []).append(int(job))
    return found
