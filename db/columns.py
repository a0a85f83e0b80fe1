"""The jobs of a study and their numbers as columns: a million of them in seconds, alike ones in one bunch.

SQLite groups what is alike and joins ids, seeds and numbers into texts, which are decoded at once: it makes no row, and
Python no object, for each job.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from db.bunches import Bunch, Column, Many
from db.jobs import blocked
from db.rowtemplates import Template, Templates
from jobs.records import Edge
from jobs.words import JobState

_STATES = {str(state): state for state in JobState}
_WHOLE = 4
"""A study that has a fourth of a store's jobs is read through all of them: by its index it takes longer."""
_BUCKET = 19
"""SQLite joins the texts of at most 2^19 jobs: it refuses one of a thousand million bytes."""

Rare = tuple[int | None, bool, tuple[tuple[int, int], ...], tuple[tuple[int, str], ...]]
"""The generation that was set aside, blocked, and the needed jobs that ran anew, or were dropped, since."""
_NOTHING: Rare = (None, False, (), ())


class Shared(NamedTuple):
    """What jobs of a group are alike in, beside their configuration and launch: by default, those of a usual import."""

    kind: str | None = None
    """None: that of the configuration."""
    state: str = "succeeded"
    error: str | None = None
    imported: int = 1
    dropped: str | None = None
    architecture: str | None = None
    edges: str | None = None
    flags: str | None = None
    device_name: str | None = None
    torch: str | None = None
    code_changed: int | None = None


_USUAL = Shared()
_SHARED = """json_array(j.kind, j.state, CASE j.state WHEN 'failed' THEN j.error END, j.imported, j.dropped,
    r.architecture, a.edges, nullif(r.flags, '{}'), e.device_name, e.torch, e.code_changed, r.job_id IS NULL)"""
_IS_USUAL = """j.imported AND j.state = 'succeeded' AND r.flags = '{}' AND j.dropped IS NULL
    AND r.architecture IS NULL AND r.execution_id IS NULL"""


class _Group(NamedTuple):
    """Jobs that are alike, by id, and the numbers of their results (none: they have no result)."""

    jobs: Sequence[int]
    seeds: Sequence[int]
    results: Sequence[Mapping[str, float | None]]

    def only(self, kept: Sequence[int]) -> _Group:
        """Those at these positions."""
        return _Group(
            [self.jobs[at] for at in kept],
            [self.seeds[at] for at in kept],
            [self.results[at] for at in kept] if self.results else (),
        )


def bunches(connection: Connection, study: str, *, cancelled: bool = False, dropped: bool = False) -> Many:
    """Every job of a study, with its result where it has one, in order of id.

    Cancelled ones, and those that a person dropped, only where they are asked for.
    """
    rare, used = _rare(connection, study), _used(connection, study)
    templates = Templates(connection, study)
    edges: dict[str, tuple[Edge, ...]] = {}
    made = []
    groups = groupby(_selected(connection, study, cancelled, dropped), itemgetter(0, 1, 2))
    for (config, launch, unusual), parts in groups:
        shared = _USUAL if unusual is None else Shared(*msgspec.json.decode(unusual)[:-1])
        template = templates.of(config, launch, shared.kind, bool(shared.imported))
        for few, part in _by(_read(parts), rare):
            for own in _by_names(part):
                told = bool(own.results)
                metrics = {name: _kept([one[name] for one in own.results]) for name in (own.results[0] if told else ())}
                seconds = _seconds(own.jobs, used, template)
                fields: dict[str, Any] = {
                    "job": own.jobs[0],
                    "seed": own.seeds[0],
                    "gpu_seconds": template.origin.gpu_seconds or None,
                    "cpu_seconds": template.origin.cpu_seconds or None,
                    **{name: column[0] for name, column in seconds.items()},
                    **_fields(shared, few, told, template, edges),
                }
                if told:
                    fields["metrics"] = own.results[0]
                ids = _kept(own.jobs)
                made.append(
                    Bunch(
                        like=template.row(fields),
                        places=ids,
                        jobs=ids,
                        seeds=_kept(own.seeds),
                        metrics=metrics,
                        seconds=seconds,
                    )
                )
    return Many(made)


def _selected(connection: Connection, study: str, cancelled: bool, dropped: bool) -> Iterator[tuple[Any, ...]]:
    """(configuration, launch, what is unusual as JSON, bucket, ids, seeds, numbers as JSON) of jobs that are alike."""
    raw = connection.connection.driver_connection
    assert raw is not None
    whole = raw.execute(
        "SELECT (SELECT sum(n) FROM job_count WHERE study_id = s.id) * ? >= (SELECT max(id) FROM job) "
        "FROM study s WHERE s.name = ?",
        (_WHOLE, study),
    ).fetchone()
    scanned = "+" if whole and whole[0] else ""
    found: Iterator[tuple[Any, ...]] = raw.execute(
        f"""SELECT j.config_id, j.launch_id, CASE WHEN {_IS_USUAL} THEN NULL ELSE {_SHARED} END, j.id >> {_BUCKET},
        group_concat(j.id), group_concat(j.seed), group_concat(r.metrics)
        FROM job j LEFT JOIN result r ON r.job_id = j.id LEFT JOIN architecture a ON a.hash = r.architecture
        LEFT JOIN execution e ON e.id = r.execution_id
        WHERE {scanned}j.study_id = (SELECT id FROM study WHERE name = ?) AND (? OR j.state != 'cancelled')
        AND (? OR j.dropped IS NULL) GROUP BY 1, 2, 3, 4""",
        (study, int(cancelled), int(dropped)),
    )
    return found


def _read(parts: Iterable[tuple[Any, ...]]) -> _Group:
    """The jobs of a group in order of id: SQLite promises no order within a group."""
    jobs: list[int] = []
    seeds: list[int] = []
    results: list[Mapping[str, float | None]] = []
    for *_, some_jobs, some_seeds, some_results in parts:
        jobs += msgspec.json.decode(f"[{some_jobs}]")
        seeds += msgspec.json.decode(f"[{some_seeds}]")
        results += msgspec.json.decode(f"[{some_results}]") if some_results is not None else ()
    found = _Group(jobs, seeds, results)
    return found if jobs == sorted(jobs) else found.only(sorted(range(len(jobs)), key=jobs.__getitem__))


def _by(group: _Group, rare: Mapping[int, Rare]) -> Iterable[tuple[Rare, _Group]]:
    """Those of which there is the same to be said."""
    if not rare:
        return [(_NOTHING, group)]
    found: dict[Rare, list[int]] = {}
    for at, job in enumerate(group.jobs):
        found.setdefault(rare.get(job, _NOTHING), []).append(at)
    return [(few, group.only(kept)) for few, kept in found.items()]


def _by_names(group: _Group) -> Iterable[_Group]:
    """Those whose results have the same names."""
    if len(set(map(tuple, group.results))) < 2:
        return [group]
    found: dict[tuple[str, ...], list[int]] = {}
    for at, one in enumerate(group.results):
        found.setdefault(tuple(one), []).append(at)
    return [group.only(kept) for kept in found.values()]


def _fields(
    shared: Shared, few: Rare, told: bool, template: Template, edges: dict[str, tuple[Edge, ...]]
) -> dict[str, Any]:
    """The fields of a row that jobs have alike; `told`: they have results."""
    _, state, error, _, reason, architecture, drawn, flags, device, torch, changed = shared
    earlier, stuck, rests, dropped_needs = few
    own: dict[str, Any] = {"state": _STATES[state]}
    if earlier and not told:
        own["superseded"] = earlier
    if architecture:
        own["architecture"] = architecture
    if drawn:
        if drawn not in edges:
            edges[drawn] = tuple((i, j) for i, j in msgspec.json.decode(drawn))
        own["edges"] = edges[drawn]
    if flags:
        own["flags"] = msgspec.json.decode(flags)
    if device:
        own["device_name"] = device
    if torch:
        own["code"] = template.code(torch)
    if changed:
        own["code_changed"] = True
    if error:
        own["error"] = error
    if reason is not None:
        own["dropped"] = reason
    if stuck:
        own["blocked"] = True
    if rests:
        own["rests_on"] = rests
    if dropped_needs:
        own["rests_on_dropped"] = dropped_needs
    return own


def _kept(values: Sequence[Any]) -> Column:
    """A column in eight bytes a value, where all are floats, or whole numbers; else as it is."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return array("d", values)
    if kinds == {int} and max(values) < 2**63 and min(values) >= -(2**63):
        return array("q", values)
    return values


Used = tuple[float | None, float | None, float | None]
"""GPU seconds that workers said, wall seconds, and GPU seconds of executions that were cut off (of one GPU)."""


def _used(connection: Connection, study: str) -> Mapping[int, Used]:
    """Job → what its executions took, summed; of a GPU that several share, its part."""
    if not connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM execution)").scalar():
        return {}
    found = connection.exec_driver_sql(
        """SELECT j.id, sum(x.gpu_seconds / gpu_parts(s.slot)), sum(x.wall_seconds),
        sum(CASE WHEN x.ending IS NULL THEN x.wall_seconds / gpu_parts(s.slot) END)
        FROM job j CROSS JOIN execution x ON x.job_id = j.id CROSS JOIN attempt t ON t.id = x.attempt_id
        CROSS JOIN submission s ON s.token = t.token
        WHERE +j.study_id = (SELECT id FROM study WHERE name = ?) GROUP BY j.id""",
        (study,),
    )
    return {row[0]: (row[1], row[2], row[3]) for row in found}


def _seconds(jobs: Sequence[int], used: Mapping[int, Used], template: Template) -> dict[str, Column]:
    """GPU and CPU seconds of jobs; nothing where none has an execution: they are their origin's."""
    if not used or used.keys().isdisjoint(jobs):
        return {}
    gpu: list[float | None] = []
    cpu: list[float | None] = []
    for job in jobs:
        told, wall, cut = used.get(job, (None, None, None))
        # what workers said, and of a job that used a GPU also the time of executions that were cut off
        found = told + (cut or 0.0) * template.gpus if told else 0.0
        gpu.append(found or template.origin.gpu_seconds or None)
        cpu.append((wall or 0.0) * template.cpus or template.origin.cpu_seconds or None)
    return {"gpu_seconds": _kept(gpu), "cpu_seconds": _kept(cpu)}


def _rare(connection: Connection, study: str) -> Mapping[int, Rare]:
    """What is to be said of few jobs."""
    found = connection.exec_driver_sql(
        "SELECT e.job_id, max(e.generation) FROM earlier_result e CROSS JOIN job j ON j.id = e.job_id "
        "WHERE j.study_id = (SELECT id FROM study WHERE name = ?) GROUP BY 1",
        (study,),
    )
    earlier: dict[int, int] = {row[0]: row[1] for row in found}
    stuck, rests, needs = blocked(connection, study), rests_on(connection), _rests_on_dropped(connection, study)
    return {
        job: (earlier.get(job), job in stuck, rests.get(job, ()), needs.get(job, ()))
        for job in earlier.keys() | stuck.keys() | rests.keys() | needs.keys()
    }


def rests_on(connection: Connection) -> dict[int, tuple[tuple[int, int], ...]]:
    """Job with a result → (needed job, its generation then), where the needed one was run anew since."""
    found = connection.exec_driver_sql(
        "SELECT d.job_id, e.job_id, min(e.generation) FROM earlier_result e JOIN job_dependency d "
        "ON d.needs_id = e.job_id JOIN result r ON r.job_id = d.job_id JOIN execution x ON x.id = r.execution_id "
        "JOIN attempt a ON a.id = x.attempt_id WHERE a.created_at < e.superseded_at GROUP BY 1, 2 ORDER BY 1, 2"
    )
    rests: dict[int, tuple[tuple[int, int], ...]] = {}
    for job, needed, generation in found:
        rests[job] = (*rests.get(job, ()), (needed, generation))
    return rests


def _rests_on_dropped(connection: Connection, study: str) -> dict[int, tuple[tuple[int, str], ...]]:
    """Job with a result → (needed job, why a person dropped it)."""
    found = connection.exec_driver_sql(
        "SELECT j.id, n.id, n.dropped FROM job_dependency d CROSS JOIN job j ON j.id = d.job_id JOIN job n "
        "ON n.id = d.needs_id JOIN result r ON r.job_id = j.id WHERE n.dropped IS NOT NULL "
        "AND j.study_id = (SELECT id FROM study WHERE name = ?) ORDER BY 1, 2",
        (study,),
    )
    rests: dict[int, tuple[tuple[int, str], ...]] = {}
    for job, needed, reason in found:
        rests[job] = (*rests.get(job, ()), (needed, reason))
    return rests
