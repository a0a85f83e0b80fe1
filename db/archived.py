"""One study's share of a database: the rows of its jobs (and of those that they rest on), and a database made of them.

An archive holds these rows. Whatever is in one may be torn, hostile or absurd, so each value is held against its column
before it goes in: its type, and the shape of the JSON and the times that stand as text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, create_engine

from db.launching import Launching
from db.layouts import Layout
from db.schema import VERSION
from db.stopping import Look, Rule
from db.text import encode, parse_time
from jobs.errors import BadInput, StoreError
from jobs.records import Code
from jobs.resources import InQueue
from jobs.usage import Usage

J = "(SELECT value FROM json_each(:jobs))"
EXECUTIONS = f"(SELECT id FROM execution WHERE job_id IN {J})"
TERMS = f"SELECT launch_id FROM job WHERE id IN {J} UNION SELECT launch_id FROM attempt WHERE job_id IN {J}"
FOUND = f"SELECT architecture FROM result WHERE job_id IN {J} UNION SELECT architecture FROM earlier_result"
CODE = "SELECT json_extract(text, '$.code.snapshot') FROM launch WHERE id IN"

TABLES: Mapping[str, str] = {
    "study": f"id IN (SELECT study_id FROM job WHERE id IN {J}) ORDER BY id",
    "config": f"id IN (SELECT config_id FROM job WHERE id IN {J}) ORDER BY id",
    "launch": f"id IN ({TERMS}) ORDER BY id",
    "job": f"id IN {J} ORDER BY id",
    "job_dependency": f"job_id IN {J} ORDER BY job_id, needs_id",
    "canary": f"job_id IN {J} ORDER BY job_id",
    "submission": f"token IN (SELECT token FROM attempt WHERE job_id IN {J}) ORDER BY token",
    "attempt": f"job_id IN {J} ORDER BY id",
    "execution": f"job_id IN {J} ORDER BY id",
    "metric": f"execution_id IN {EXECUTIONS} ORDER BY execution_id, epoch, name",
    "architecture": f"hash IN ({FOUND} WHERE job_id IN {J}) ORDER BY hash",
    "result": f"job_id IN {J} ORDER BY job_id",
    "earlier_result": f"job_id IN {J} ORDER BY job_id, generation",
    "event": f"job_id IN {J} ORDER BY id",
    "seal": f"code IN ({CODE} ({TERMS})) ORDER BY code, program, arguments",
    "rule": "study_id = (SELECT id FROM study WHERE name = :study) ORDER BY id",
}
"""Table → which of its rows, in which order. What belongs to no job (strikes, hosts, the lease) stays at home."""

_NUMBERS = dict[str, float | None]
SHAPES: Mapping[str, Any] = {
    "study.layouts": tuple[Layout, ...],
    "config.text": dict[str, Any],
    "launch.text": Launching,
    "attempt.evidence": tuple[str, ...],
    "attempt.altered": InQueue,
    "execution.latest": _NUMBERS,
    "execution.last": dict[str, tuple[int, float | None]],
    "execution.usage": Usage,
    "architecture.edges": tuple[tuple[int, int], ...],
    "result.metrics": _NUMBERS,
    "result.flags": dict[str, str],
    "result.original": _NUMBERS,
    "earlier_result.metrics": _NUMBERS,
    "earlier_result.flags": dict[str, str],
    "seal.tried": dict[str, int],
    "seal.untried": tuple[str, ...],
    "rule.entry": Rule,
    "rule.look": Look,
}
"""Of the columns that hold JSON, what it is."""
_DECODERS = {name: msgspec.json.Decoder(shape) for name, shape in SHAPES.items()}
_ROW = msgspec.json.Decoder(list[str | int | float | None])
_TYPES: Mapping[str, tuple[type, ...]] = {"INTEGER": (int,), "DOUBLE": (int, float), "VARCHAR": (str,)}
BATCH = 5000


class Odd(Exception):
    """Rows that no orch can have written; the text says which."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which jobs an archive of a study is about."""

    study: str
    own: tuple[int, ...]
    """The study's."""
    jobs: tuple[int, ...]
    """With those that they need, and wait for, wherever these were submitted."""
    journal: int
    """The last file of the journal that the database held."""


def share(connection: Connection, study: str) -> Share:
    """The jobs of a study and all that they rest on."""
    found = connection.exec_driver_sql(
        "WITH RECURSIVE wanted(id) AS (SELECT id FROM job WHERE study_id = (SELECT id FROM study WHERE name = ?) "
        "UNION SELECT d.needs_id FROM job_dependency d JOIN wanted w ON d.job_id = w.id "
        "UNION SELECT j.behind FROM job j JOIN wanted w ON j.id = w.id WHERE j.behind IS NOT NULL) "
        "SELECT w.id, s.name FROM wanted w JOIN job j ON j.id = w.id JOIN study s ON s.id = j.study_id ORDER BY w.id",
        (study,),
    ).all()
    held = connection.exec_driver_sql("SELECT value FROM setting WHERE name = 'journal_seq'").scalar_one()
    return Share(
        study=study,
        own=tuple(int(row[0]) for row in found if row[1] == study),
        jobs=tuple(int(row[0]) for row in found),
        journal=int(held),
    )


def lines(connection: Connection, share: Share, table: str) -> Iterator[bytes]:
    """A table as lines of JSON: the names of its columns, then its rows."""
    given = {"jobs": encode(list(share.jobs)), "study": share.study}
    found = connection.exec_driver_sql(f"SELECT * FROM {table} WHERE {TABLES[table]}", given)
    yield msgspec.json.encode(list(found.keys())) + b"\n"
    for row in found:
        yield msgspec.json.encode(list(row)) + b"\n"


def executions(connection: Connection, share: Share) -> list[tuple[int, int, str]]:
    """(job, number of the attempt, folder's name) of each execution, in order of id."""
    found = connection.exec_driver_sql(
        f"SELECT e.job_id, a.number, e.name FROM execution e JOIN attempt a ON a.id = e.attempt_id "
        f"WHERE e.job_id IN {J} ORDER BY e.id",
        {"jobs": encode(list(share.jobs))},
    )
    return [(int(row[0]), int(row[1]), str(row[2])) for row in found]


def codes(connection: Connection, share: Share) -> list[Code]:
    """The code that these jobs were submitted with, each once."""
    found = connection.exec_driver_sql(
        f"SELECT DISTINCT json_extract(text, '$.code') FROM launch WHERE id IN ({TERMS}) ORDER BY 1",
        {"jobs": encode(list(share.jobs))},
    )
    return [msgspec.json.decode(row[0], type=Code) for row in found if row[0]]


def last_change(connection: Connection, study: str) -> str:
    """When the newest thing happened to a study's jobs, as the database keeps times; empty where it has none."""
    own = "(SELECT id FROM job WHERE study_id = (SELECT id FROM study WHERE name = :study))"
    found = connection.exec_driver_sql(
        f"SELECT max(at) FROM (SELECT updated_at AS at FROM job WHERE id IN {own} "
        f"UNION ALL SELECT max(started_at, coalesce(ended_at, '')) FROM execution WHERE job_id IN {own} "
        f"UNION ALL SELECT superseded_at FROM earlier_result WHERE job_id IN {own} "
        "UNION ALL SELECT ended_at FROM rule WHERE study_id = (SELECT id FROM study WHERE name = :study))",
        {"study": study},
    ).scalar_one()
    return str(found or "")


def all_ended(connection: Connection, study: str) -> bool:
    """Whether nothing of a study will move by itself: its jobs have ended, and no rule will ask for more."""
    open_jobs, open_rules = connection.exec_driver_sql(
        "SELECT (SELECT count(*) FROM job WHERE study_id = s.id "
        "AND state NOT IN ('succeeded', 'failed', 'cancelled')), "
        "(SELECT count(*) FROM rule WHERE study_id = s.id AND ended_at IS NULL) FROM study s WHERE s.name = ?",
        (study,),
    ).one()
    return not open_jobs and not open_rules


def load(database: Path, schema: str, tables: Mapping[str, Callable[[], Iterable[bytes]]]) -> None:
    """Make a database of an archive's lines. Raises Odd, BadInput for a schema that this orch does not know."""
    if schema > VERSION:
        raise BadInput(f"it has schema {schema}, newer than this orch knows ({VERSION}): update orch")
    from db.migrate import begin  # Alembic takes longer to import than most commands run

    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(database))
    try:
        with engine.begin() as connection:
            begin(connection, schema)
    except StoreError as error:
        raise Odd(str(error)) from None
    finally:
        engine.dispose()
    with closing(sqlite3.connect(database)) as raw:
        try:
            _fill(raw, tables)
            raw.commit()
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise Odd(str(error)) from None


def _fill(raw: sqlite3.Connection, tables: Mapping[str, Callable[[], Iterable[bytes]]]) -> None:
    rules = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in rules:  # they say how rows may change; these have
        raw.execute(f"DROP TRIGGER {name}")
    known = {str(row[0]) for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in TABLES:
        if table in known:
            if table not in tables:
                raise Odd(f"its table {table} is missing")
            _fill_one(raw, table, tables[table]())
    raw.execute("INSERT INTO job_count SELECT study_id, kind, state, count(*) FROM job GROUP BY study_id, kind, state")
    if (fault := raw.execute("PRAGMA foreign_key_check").fetchone()) is not None:
        raise Odd(f"a row of its table {fault[0]} speaks of one of {fault[2]} that is not there")
    for _, sql in rules:
        raw.execute(sql)


def _fill_one(raw: sqlite3.Connection, table: str, given: Iterable[bytes]) -> None:
    columns = {str(row[1]): str(row[2]) for row in raw.execute(f"PRAGMA table_info({table})")}
    found = iter(given)
    names = _row(table, next(found, b"[]"))
    if sorted(map(str, names)) != sorted(columns):
        raise Odd(f"its table {table} has other columns than schema has")
    checks = [_check(table, str(name), columns[str(name)]) for name in names]
    marks = ", ".join("?" * len(names))
    sql = f"INSERT INTO {table} ({', '.join(map(str, names))}) VALUES ({marks})"
    batch: list[list[Any]] = []
    for line in found:
        row = _row(table, line)
        if len(row) != len(checks):
            raise Odd(f"a row of its table {table} has {len(row)} values instead of {len(checks)}")
        for check, value in zip(checks, row, strict=True):
            check(value)
        batch.append(row)
        if len(batch) >= BATCH:
            raw.executemany(sql, batch)
            batch = []
    raw.executemany(sql, batch)


def _row(table: str, line: bytes) -> list[Any]:
    try:
        return _ROW.decode(line)
    except (ValueError, RecursionError) as error:
        raise Odd(f"a row of its table {table} cannot be read ({error})") from None


def _check(table: str, column: str, declared: str) -> Callable[[Any], None]:
    """What holds a value against its column; NULLs are the database's own rule."""
    types, decoder = _TYPES[declared], _DECODERS.get(f"{table}.{column}")
    is_time = column == "at" or column.endswith(("_at", "not_before"))

    def check(value: Any) -> None:
        if value is None:
            return
        try:
            if not isinstance(value, types):
                raise ValueError(f"it is no {declared}")
            if decoder is not None:
                decoder.decode(str(value))
            if is_time:
                parse_time(str(value))
        except (ValueError, TypeError, RecursionError, ArithmeticError) as error:
            raise Odd(f"a value of its {table}.{column} cannot be read ({str(error)[:120]})") from None

    return check
