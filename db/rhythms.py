"""What was learnt of how often jobs give a sign of life, by config: their seeds share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from db.text import encode, stamp
from jobs.rhythm import Rhythm, together

NEWEST = 20
"""So many of a config's executions tell how it goes: code changes."""


def keep(connection: Connection, execution: int, rhythm: Rhythm) -> None:
    """Of an execution that ended (idempotent)."""
    connection.exec_driver_sql(
        "INSERT INTO rhythm SELECT j.config_id, e.id, ? FROM execution e JOIN job j ON j.id = e.job_id WHERE e.id = ? "
        "ON CONFLICT DO UPDATE SET text = excluded.text",
        (encode(rhythm), execution),
    )


def known(connection: Connection, jobs: Iterable[int]) -> dict[int, tuple[Rhythm, ...]]:
    """Job → what is known of its config, one rhythm for each device; jobs of which nothing is known are left out."""
    listed = encode(list(jobs))
    configs = dict[int, list[int]]()
    sql = "SELECT config_id, id FROM job WHERE id IN (SELECT value FROM json_each(?))"
    for config, job in connection.exec_driver_sql(sql, (listed,)):
        configs.setdefault(config, []).append(job)
    found = dict[int, tuple[Rhythm, ...]]()
    for config, those in configs.items():
        if rhythms := _of_config(connection, config):
            found.update(dict.fromkeys(those, rhythms))
    return found


def _of_config(connection: Connection, config: int) -> tuple[Rhythm, ...]:
    devices = dict[str, list[Rhythm]]()
    sql = "SELECT text FROM rhythm WHERE config_id = ? ORDER BY execution_id DESC LIMIT ?"
    for (text,) in connection.exec_driver_sql(sql, (config, NEWEST)):
        one = msgspec.json.decode(text, type=Rhythm)
        devices.setdefault(one.device, []).append(one)
    merged = (together(those) for those in devices.values())
    return tuple(one for one in merged if one is not None)


@dataclass(frozen=True, kw_only=True)
class Hang:
    """An attempt that hung."""

    job: int
    config: int
    node: str | None
    slot: str | None
    """Of a local one."""


def hangs(connection: Connection, since: datetime) -> list[Hang]:
    """Those that ended since then."""
    sql = (
        "SELECT a.job_id AS job, j.config_id AS config, a.node, s.slot FROM attempt a JOIN job j ON j.id = a.job_id "
        "JOIN submission s ON s.token = a.token WHERE a.cause = 'hang' AND a.ended_at >= ? ORDER BY a.id"
    )
    return [Hang(**row._mapping) for row in connection.exec_driver_sql(sql, (stamp(since),))]


def config_of(connection: Connection, job: int) -> int:
    """The config's id of a job."""
    return int(connection.exec_driver_sql("SELECT config_id FROM job WHERE id = ?", (job,)).scalar_one())
