"""The seals of a store: kept by an entry, asked when a job is sent and when it is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.applying import apply
from db.jobs import StoredJob
from db.seals import ANYWAY, WRONG, Seal
from db.text import parse_time, stamp

_SCRIPT = re.compile(r".+\.(py|sh|bash|R|r|jl|pl|rb|lua|m|js|ts)\Z")

NOT_REHEARSED = "not rehearsed"


@apply.register
def _(entry: Seal, connection: Connection) -> None:
    connection.exec_driver_sql(
        "INSERT INTO seal VALUES (?, ?, ?, ?, ?) ON CONFLICT (code, program) DO UPDATE SET "
        "verdict = excluded.verdict, reason = excluded.reason, at = excluded.at",
        (entry.code, entry.program, entry.verdict, entry.reason, stamp(entry.at)),
    )


def program_of(argv: Sequence[str]) -> str:
    """Which program a command line runs: its script, `-m MODULE`, else its first word. Pure."""
    for place, word in enumerate(argv):
        if word == "-m" and place + 1 < len(argv):
            return f"-m {argv[place + 1]}"
        if _SCRIPT.match(word) and not word.startswith("-"):
            return str(PurePath(word))
    return str(PurePath(argv[0]))


def any_seals(connection: Connection) -> bool:
    """Whether anything was ever rehearsed here."""
    return bool(connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM seal)").scalar_one())


def seal_of(connection: Connection, job: StoredJob) -> Seal | None:
    """What was said of the program of a job, with the code that it runs now; None where it was not rehearsed."""
    named = _named(msgspec.to_builtins(job.launching), job.kind, job.config)
    if named is None:
        return None
    code, name = named
    row = connection.exec_driver_sql(
        "SELECT verdict, reason, at FROM seal WHERE code = ? AND program = ?", (code, name)
    ).one_or_none()
    if row is None:
        return None
    return Seal(code=code, program=name, verdict=row[0], reason=row[1], at=parse_time(row[2]))


def of_study(connection: Connection, study: str) -> dict[str, int]:
    """Verdict, or NOT_REHEARSED, -> how many jobs of a study; empty where nothing was ever rehearsed here."""
    seals = {
        (row[0], row[1]): str(row[2]) for row in connection.exec_driver_sql("SELECT code, program, verdict FROM seal")
    }
    if not seals:
        return {}
    rows = connection.exec_driver_sql(
        "SELECT l.text, c.kind, c.text, count(*) FROM job j JOIN study s ON s.id = j.study_id JOIN launch l "
        "ON l.id = j.launch_id JOIN config c ON c.id = j.config_id WHERE s.name = ? GROUP BY j.launch_id, j.config_id",
        (study,),
    )
    found: dict[str, int] = {}
    for launch, kind, config, count in rows:
        name = _named(msgspec.json.decode(launch), kind, msgspec.json.decode(config))
        verdict = seals.get(name, NOT_REHEARSED) if name is not None else NOT_REHEARSED
        found[verdict] = found.get(verdict, 0) + int(count)
    return found


def _named(launch: dict[str, Any], kind: str, config: dict[str, Any]) -> tuple[str, str] | None:
    """Code and program as a seal names them; None where no code was kept."""
    code = (launch.get("code") or {}).get("snapshot") or ""
    if not code and kind != "command":
        code = (launch.get("fingerprint") or {}).get("source") or ""
    if not code:
        return None
    return code, program_of(config["argv"]) if kind == "command" else kind


def begins_anew(connection: Connection, job: StoredJob) -> bool:
    """Whether each execution of a job is to begin from the start: its program was found wrong after resuming."""
    if job.launching.options.get("resume") == ANYWAY:
        return False
    found = seal_of(connection, job)
    return found is not None and found.verdict == WRONG
