"""The rules that say when studies have enough seeds: registered and looked by through entries, ended by hand too.

One rule of a study is in force: the newest one. It is due once every seed that it asked for has a number on each side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

import msgspec
from sqlalchemy import Connection

from db.applying import apply, study_row
from db.stopping import BY_HAND, GOES_ON, REPLACED, Look, Rule
from db.text import encode, parse_time, stamp
from jobs.words import JobState

_RULE, _LOOK = msgspec.json.Decoder(Rule), msgspec.json.Decoder(Look)


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A rule and where it stands."""

    rule: Rule
    seeds: int
    """So many seeds a side were asked for: 0 … seeds - 1."""
    look: Look | None = None
    """The newest one."""
    verdict: str = GOES_ON
    why: str = ""
    """Of one that was stopped by hand: what was done."""
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Seed:
    """One seed of one side; without a job where nobody asked for it yet."""

    side: int
    seed: int
    job: int | None = None
    state: JobState | None = None
    value: float | None = None
    """The finite number of the rule's metric; None: none, or one that was dropped."""
    reported: tuple[str, ...] = ()
    """The metrics of its result."""


@apply.register
def _(entry: Rule, connection: Connection) -> None:
    study = study_row(connection, entry.study)
    connection.exec_driver_sql(
        "UPDATE rule SET verdict = ?, ended_at = ? WHERE study_id = ? AND ended_at IS NULL",
        (REPLACED, stamp(entry.at), study),
    )
    connection.exec_driver_sql(
        "INSERT INTO rule (study_id, entry, seeds, verdict) VALUES (?, ?, ?, ?)",
        (study, encode(entry), entry.looks[0], GOES_ON),
    )


@apply.register
def _(entry: Look, connection: Connection) -> None:
    connection.exec_driver_sql(
        "UPDATE rule SET look = ?, seeds = max(seeds, ?), verdict = ?, ended_at = ? WHERE ended_at IS NULL "
        "AND study_id = (SELECT id FROM study WHERE name = ?)",
        (
            encode(entry),
            entry.seeds,
            entry.verdict,
            None if entry.verdict == GOES_ON else stamp(entry.at),
            entry.study,
        ),
    )


def stopped_by_hand(connection: Connection, jobs: Sequence[int], how: str, at: str) -> None:
    """A person took numbers out: a rule that one of these jobs counts for is over, one that had ended too."""
    if not connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM rule)").scalar_one():
        return
    studies = connection.exec_driver_sql(
        "SELECT DISTINCT s.name FROM job j JOIN study s ON s.id = j.study_id WHERE j.id IN "
        "(SELECT value FROM json_each(?))",
        (encode(list(jobs)),),
    )
    for (study,) in studies.all():
        newest = in_force(connection, study)
        if newest is None or newest.verdict == BY_HAND:
            continue
        gone = [one for one in seeds(connection, newest) if one.job in jobs]
        if gone:
            side = newest.rule.sides[gone[0].side].name
            connection.exec_driver_sql(
                "UPDATE rule SET verdict = ?, why = ?, ended_at = ? WHERE id = "
                "(SELECT max(id) FROM rule WHERE study_id = (SELECT id FROM study WHERE name = ?))",
                (BY_HAND, f"seed {gone[0].seed} of {side} {how}", at, study),
            )


def history(connection: Connection, study: str) -> list[Registered]:
    """All rules that a study ever had, the one in force last."""
    rows = connection.exec_driver_sql(
        "SELECT r.entry, r.seeds, r.look, r.verdict, r.why, r.ended_at FROM rule r JOIN study s ON s.id = r.study_id "
        "WHERE s.name = ? ORDER BY r.id",
        (study,),
    )
    return [
        Registered(
            rule=_RULE.decode(row[0]),
            seeds=int(row[1]),
            look=_LOOK.decode(row[2]) if row[2] else None,
            verdict=str(row[3]),
            why=str(row[4] or ""),
            ended_at=parse_time(row[5]) if row[5] else None,
        )
        for row in rows
    ]


def in_force(connection: Connection, study: str) -> Registered | None:
    """The newest rule of a study, ended or not."""
    return next(reversed(history(connection, study)), None)


def seeds(connection: Connection, registered: Registered) -> list[Seed]:
    """The seeds that a rule asked for, side by side in their order."""
    found = []
    for place, side in enumerate(registered.rule.sides):
        rows = connection.exec_driver_sql(
            "SELECT j.seed, min(j.id), j.state, r.metrics, j.dropped FROM job f JOIN job j ON j.study_id = f.study_id "
            "AND j.config_id = f.config_id AND j.kind = f.kind LEFT JOIN result r ON r.job_id = j.id "
            "WHERE f.id = ? AND j.seed < ? GROUP BY j.seed",
            (side.job, registered.seeds),
        )
        there = {int(row[0]): row for row in rows}
        for seed in range(registered.seeds):
            row = there.get(seed)
            if row is None:
                found.append(Seed(side=place, seed=seed))
                continue
            metrics = msgspec.json.decode(row[3]) if row[3] else {}
            value = metrics.get(registered.rule.metric)
            number = float(value) if isinstance(value, int | float) and isfinite(value) and row[4] is None else None
            found.append(
                Seed(
                    side=place,
                    seed=seed,
                    job=int(row[1]),
                    state=JobState(row[2]),
                    value=number,
                    reported=tuple(metrics),
                )
            )
    return found


def due(connection: Connection) -> list[Registered]:
    """The rules that can be looked by now: nothing that they asked for lacks its number."""
    rows = connection.exec_driver_sql(
        "SELECT s.name FROM rule r JOIN study s ON s.id = r.study_id WHERE r.ended_at IS NULL ORDER BY r.id"
    )
    found = [one for (study,) in rows.all() if (one := in_force(connection, study)) is not None]
    return [one for one in found if all(seed.value is not None for seed in seeds(connection, one))]
