"""What executions used of their machines, and all that says what that was good for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from db.text import encode, parse_time
from jobs.layout import restart_of
from jobs.usage import Usage
from jobs.words import Cause, JobState


def keep(connection: Connection, execution: int, usage: Usage) -> None:
    """Of an execution, as it is by now (idempotent)."""
    connection.exec_driver_sql("UPDATE execution SET usage = ? WHERE id = ?", (encode(usage), execution))


def running(connection: Connection, study: str) -> list[tuple[int, Usage]]:
    """(job, what its newest execution uses) of the running jobs of a study that tell of GPUs."""
    found = connection.exec_driver_sql(
        "SELECT j.id, e.usage FROM job j JOIN execution e ON e.id = (SELECT max(x.id) FROM execution x "
        f"WHERE x.job_id = j.id) WHERE j.{_STUDY} AND j.state = 'running' "
        "AND json_array_length(e.usage, '$.idle') > 0 ORDER BY j.id",
        (study,),
    )
    return [(job, msgspec.json.decode(text, type=Usage)) for job, text in found]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution as its own files tell of it."""

    name: str
    started_at: datetime
    ready: bool
    ended_at: datetime | None
    """By its outcome; None where it left none."""
    cause: Cause | None
    """The outcome's."""
    accepted: bool
    superseded: bool
    step: int
    """Its newest checkpoint, which may be one that it went on from; -1: none."""
    had_gpu: bool
    """Its outcome says so."""
    usage: Usage | None


@dataclass(frozen=True, kw_only=True)
class Try:
    """One attempt with its executions, oldest first."""

    number: int
    generation: int
    created_at: datetime
    ended_at: datetime | None
    cause: Cause | None
    slot: str | None
    cpus: int
    gpus: int
    """That were asked for."""
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True, kw_only=True)
class History:
    """A job with all its attempts."""

    job: int
    state: JobState
    generation: int
    dropped: bool
    cause: Cause | None
    earlier: frozenset[int] = frozenset()
    """Generations whose result was set aside by a later one."""
    queued: tuple[tuple[datetime, datetime | None], ...] = ()
    """When it was in orch's own queue, from and until; None: it still is."""
    tries: tuple[Try, ...] = ()


def histories(connection: Connection, study: str) -> list[History]:
    """Every job of a study that was not imported, by id."""
    runs, earlier, queued = _runs(connection, study), _earlier(connection, study), _queued(connection, study)
    tries = _tries(connection, study, runs)
    found = connection.exec_driver_sql(
        f"SELECT id, state, generation, dropped, cause FROM job WHERE {_STUDY} AND imported = 0 ORDER BY id", (study,)
    )
    return [
        History(
            job=row.id,
            state=JobState(row.state),
            generation=row.generation,
            dropped=row.dropped is not None,
            cause=_cause(row.cause),
            earlier=frozenset(earlier[row.id]),
            queued=tuple(queued[row.id]),
            tries=tuple(tries[row.id]),
        )
        for row in found
    ]


_STUDY = "study_id = (SELECT id FROM study WHERE name = ?)"
_JOBS = f"SELECT id FROM job WHERE {_STUDY}"


def _tries(connection: Connection, study: str, runs: Mapping[int, Sequence[Run]]) -> Mapping[int, list[Try]]:
    tries = defaultdict[int, list[Try]](list)
    resources = "coalesce(l.text, m.text), '$.resources.{}'"
    for row in connection.exec_driver_sql(
        "SELECT a.id, a.job_id, a.number, a.generation, a.created_at, a.ended_at, a.cause, s.slot, "
        f"coalesce(json_extract(a.altered, '$.cpus'), json_extract({resources.format('cpus')}), 1) AS cpus, "
        f"coalesce(json_extract({resources.format('gpus')}), 0) AS gpus FROM attempt a "
        "JOIN job j ON j.id = a.job_id JOIN submission s ON s.token = a.token JOIN launch m ON m.id = j.launch_id "
        f"LEFT JOIN launch l ON l.id = a.launch_id WHERE a.job_id IN ({_JOBS}) ORDER BY a.job_id, a.number",
        (study,),
    ):
        tries[row.job_id].append(
            Try(
                number=row.number,
                generation=row.generation,
                created_at=parse_time(row.created_at),
                ended_at=parse_time(row.ended_at) if row.ended_at else None,
                cause=_cause(row.cause),
                slot=row.slot,
                cpus=int(row.cpus),
                gpus=int(row.gpus),
                runs=tuple(runs.get(row.id, ())),
            )
        )
    return tries


def _runs(connection: Connection, study: str) -> Mapping[int, list[Run]]:
    """By attempt, in the order in which they began: the restart count goes before the clock."""
    runs = defaultdict[int, list[Run]](list)
    for row in connection.exec_driver_sql(
        "SELECT e.attempt_id, e.name, e.started_at, e.ready_at, e.ended_at, e.ending, e.cause, e.superseded, "
        "e.checkpoint_step, e.gpu_seconds, e.usage, r.job_id IS NOT NULL AS accepted FROM execution e "
        f"LEFT JOIN result r ON r.execution_id = e.id WHERE e.job_id IN ({_JOBS})",
        (study,),
    ):
        told = row.ending is not None
        runs[row.attempt_id].append(
            Run(
                name=row.name,
                started_at=parse_time(row.started_at),
                ready=row.ready_at is not None,
                ended_at=parse_time(row.ended_at) if told else None,
                cause=_cause(row.cause) if told else None,
                accepted=bool(row.accepted),
                superseded=bool(row.superseded),
                step=row.checkpoint_step,
                had_gpu=bool(row.gpu_seconds),
                usage=msgspec.json.decode(row.usage, type=Usage) if row.usage else None,
            )
        )
    for found in runs.values():
        found.sort(key=lambda run: (restart_of(run.name), run.started_at, run.name))
    return runs


def _earlier(connection: Connection, study: str) -> Mapping[int, set[int]]:
    found = defaultdict[int, set[int]](set)
    for job, generation in connection.exec_driver_sql(
        f"SELECT job_id, generation FROM earlier_result WHERE job_id IN ({_JOBS})", (study,)
    ):
        found[job].add(generation)
    return found


def _queued(connection: Connection, study: str) -> Mapping[int, list[tuple[datetime, datetime | None]]]:
    """Whatever follows on `queued` was decided, and so is in the journal: a rebuilt store says the same."""
    found = defaultdict[int, list[tuple[datetime, datetime | None]]](list)
    for job, since, until in connection.exec_driver_sql(
        "SELECT job_id, at, until FROM (SELECT job_id, id, at, after, "
        f"lead(at) OVER (PARTITION BY job_id ORDER BY id) AS until FROM event WHERE job_id IN ({_JOBS})) "
        "WHERE after = 'queued' ORDER BY id",
        (study,),
    ):
        found[job].append((parse_time(since), None if until is None else parse_time(until)))
    return found


def _cause(text: str | None) -> Cause | None:
    return None if text is None else Cause(text)
