"""The seals of a store: kept by an entry, asked when a job is sent and when it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from db import jobs
from db.applying import apply
from db.jobs import StoredJob
from db.seals import ANYWAY, WRONG, Seal, Standing, program_of, replaces, standing
from db.text import parse_time, stamp

_COLUMNS = "code, program, arguments, verdict, reason, tried, untried, at"
Named = tuple[str, str, str]
"""Code, program and arguments, as a seal names them."""


@apply.register
def _(entry: Seal, connection: Connection) -> None:
    old = of(connection, (entry.code, entry.program, entry.arguments))
    if old is not None and not replaces(entry, old):
        return
    connection.exec_driver_sql(
        f"INSERT OR REPLACE INTO seal ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            entry.code,
            entry.program,
            entry.arguments,
            entry.verdict,
            entry.reason,
            msgspec.json.encode(entry.tried).decode(),
            msgspec.json.encode(entry.untried).decode(),
            stamp(entry.at),
        ),
    )


def any_seals(connection: Connection) -> bool:
    """Whether anything was ever rehearsed here."""
    return bool(connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM seal)").scalar_one())


def of(connection: Connection, named: Named) -> Seal | None:
    """The seal of just that program with just these arguments."""
    row = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM seal WHERE code = ? AND program = ? AND arguments = ?", named
    ).one_or_none()
    return None if row is None else _read(row)


def known_of(connection: Connection, job: StoredJob) -> Standing | None:
    """What is known of the program of a job, with the code that it runs now; None where it was not rehearsed."""
    named = _named(job)
    return None if named is None else Seals(connection, named[:2]).of(named)


def _named(job: StoredJob) -> Named | None:
    return named_of(msgspec.to_builtins(job.launching), job.kind, job.config)


class Seals:
    """The seals of a store, read once, for many jobs; or those of one code and program."""

    def __init__(self, connection: Connection, only: tuple[str, str] | None = None) -> None:
        self.found: dict[tuple[str, str], dict[str, Seal]] = {}
        where = "" if only is None else " WHERE code = ? AND program = ?"
        for row in connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM seal{where}", only or ()):
            seal = _read(row)
            self.found.setdefault((seal.code, seal.program), {})[seal.arguments] = seal

    def of(self, named: Named | None) -> Standing | None:
        """What is known of it; None where it was not rehearsed, or no code was kept."""
        return None if named is None else standing(self.found.get(named[:2], {}), named[2])

    def of_job(self, job: StoredJob) -> Standing | None:
        """What is known of the program of a job, with the code that it runs now."""
        return self.of(_named(job))


def of_study(connection: Connection, study: str) -> list[tuple[Standing | None, int]]:
    """What is known of the programs of a study, and of how many jobs; empty where nothing was ever rehearsed here."""
    known = Seals(connection)
    if not known.found:
        return []
    rows = connection.exec_driver_sql(
        "SELECT l.text, c.kind, c.text, count(*) FROM job j JOIN study s ON s.id = j.study_id JOIN launch l "
        "ON l.id = j.launch_id JOIN config c ON c.id = j.config_id WHERE s.name = ? GROUP BY j.launch_id, j.config_id",
        (study,),
    )
    found = []
    for launch, kind, config, count in rows:
        named = named_of(msgspec.json.decode(launch), kind, msgspec.json.decode(config))
        found.append((known.of(named), int(count)))
    return found


def named_of(launch: Mapping[str, Any], kind: str, config: Mapping[str, Any]) -> Named | None:
    """A job's code, program and arguments as a seal names them; None where no code was kept."""
    code = (launch.get("code") or {}).get("snapshot") or ""
    if not code and kind != "command":
        code = (launch.get("fingerprint") or {}).get("source") or ""
    if not code:
        return None
    return code, *(program_of(config["argv"]) if kind == "command" else (kind, ""))


def begins_anew(connection: Connection, job: StoredJob) -> bool:
    """Whether each execution of a job is to begin from the start: its program was found wrong after resuming."""
    if job.launching.options.get("resume") == ANYWAY:
        return False
    known = known_of(connection, job)
    return known is not None and known.seal.verdict == WRONG


def which_begin_anew(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Those of these jobs."""
    if not any_seals(connection):
        return []
    return [job.id for job in jobs.get_many(connection, ids) if begins_anew(connection, job)]


def _read(row: Any) -> Seal:
    code, program, arguments, verdict, reason, tried, untried, at = row
    return Seal(
        code=code,
        program=program,
        arguments=arguments,
        verdict=verdict,
        reason=reason,
        tried=msgspec.json.decode(tried, type=dict[str, int]),
        untried=msgspec.json.decode(untried, type=tuple[str, ...]),
        at=parse_time(at),
    )
