"""Results that were made elsewhere: by which names a study's jobs travel, and which of them it has already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from jobs.records import Edge

T = TypeVar("T")

FIRST_SEARCH = 10**12
"""Searches that a study knows by name only are numbered from here on: no job has such an id."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A job that a study has under a key, with its result's numbers."""

    job: int
    metrics: Mapping[str, float | None]
    edges: tuple[Edge, ...] | None


@dataclass(frozen=True, kw_only=True)
class Names:
    """The jobs of a study by the names under which they travel, and its searches by theirs."""

    jobs: Mapping[int, str]
    searches: Mapping[int, str]
    """The number that a config has as `search` → the name of that search, whether it is here or not."""


_SELECT = (
    "SELECT j.key, j.id, r.metrics, a.edges FROM job j LEFT JOIN result r ON r.job_id = j.id "
    "LEFT JOIN architecture a ON a.hash = r.architecture WHERE "
)


def known(connection: Connection, study: str, keys: Sequence[str]) -> dict[str, Known]:
    """Key → what the study has under it."""
    found: dict[str, Known] = {}
    for part in _parts(keys):
        rows = connection.exec_driver_sql(
            f"{_SELECT} j.study_id = (SELECT id FROM study WHERE name = ?) AND j.key IN ({','.join('?' * len(part))})",
            (study, *part),
        )
        found.update((row[0], _known(*row[1:])) for row in rows)
    return found


def known_jobs(connection: Connection, jobs: Sequence[int]) -> dict[int, Known]:
    """Job → its result's numbers, by id."""
    found: dict[int, Known] = {}
    for part in _parts(jobs):
        rows = connection.exec_driver_sql(f"{_SELECT} j.id IN ({','.join('?' * len(part))})", tuple(part))
        found.update((row[1], _known(*row[1:])) for row in rows)
    return found


def names(connection: Connection, study: str) -> Names:
    """How the study's jobs are called elsewhere.

    A job's key names it (kind, config, seed), but for the search in its config, which is an id of this store: there the
    search's own name counts. An imported job keeps the name that it came with.
    """
    rows = connection.exec_driver_sql(
        "SELECT j.id, j.key, c.text, l.text, j.imported FROM job j JOIN config c ON c.id = j.config_id "
        "JOIN launch l ON l.id = j.launch_id WHERE j.study_id = (SELECT id FROM study WHERE name = ?) ORDER BY j.id",
        (study,),
    ).all()
    found: dict[int, str] = {}
    searches: dict[int, str] = {}
    behind: dict[int, tuple[str, int]] = {}
    for job, key, config, launching, imported in rows:
        search = _search(config)
        origin = (msgspec.json.decode(launching).get("origin") or {}) if imported else {}
        if search and origin.get("search"):
            searches[search] = origin["search"]
        if origin.get("key"):
            found[job] = origin["key"]
        elif search and not imported:
            behind[job] = (key, search)
        else:
            found[job] = key
    wanted = {search for _, search in behind.values()} - searches.keys()
    searches |= {search: found[search] for search in wanted if search in found}
    searches |= _elsewhere(connection, wanted - searches.keys())
    for job, (key, search) in behind.items():
        name = searches.setdefault(search, f"search {search}")
        found[job] = hashlib.sha256(f"{key}/{name}".encode()).hexdigest()[:32]
    return Names(jobs=found, searches=searches)


def _elsewhere(connection: Connection, searches: Iterable[int]) -> dict[int, str]:
    """Searches of other studies by their keys."""
    found: dict[int, str] = {}
    for part in _parts(sorted(searches)):
        rows = connection.exec_driver_sql(f"SELECT id, key FROM job WHERE id IN ({','.join('?' * len(part))})", part)
        found.update((row[0], row[1]) for row in rows)
    return found


def _search(config: str) -> int:
    """The id in a config's `search`; 0 where it has none."""
    if '"search"' not in config:
        return 0
    found = msgspec.json.decode(config).get("search")
    return found if isinstance(found, int) else 0


def _parts(items: Sequence[T]) -> Iterable[tuple[T, ...]]:
    for start in range(0, len(items), 500):
        yield tuple(items[start : start + 500])


def _known(job: int, metrics: str | None, edges: str | None) -> Known:
    return Known(
        job=job,
        metrics=msgspec.json.decode(metrics) if metrics else {},
        edges=tuple((i, j) for i, j in msgspec.json.decode(edges)) if edges else None,
    )
