"""The jobs of a study and their numbers as columns: a million of them in seconds, alike ones in one bunch."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from db.bunches import Bunch, Column, Many
from db.jobs import blocked
from db.rowtemplates import Template, Templates
from jobs.records import Edge
from jobs.words import JobState

_STATES = {str(state): state for state in JobState}
_WHOLE = 4
"""A study that has a fourth of a store's jobs is read through all of them: its index makes SQLite sort them."""

Key = tuple[Any, ...]
Rare = tuple[int | None, bool, tuple[tuple[int, int], ...], tuple[tuple[int, str], ...]]
"""The generation that was set aside, blocked, and the needed jobs that ran anew, or were dropped, since."""
_NOTHING: Rare = (None, False, (), ())


def bunches(connection: Connection, study: str, *, cancelled: bool = False, dropped: bool = False) -> Many:
    """Every job of a study, with its result where it has one, in order of id.

    Cancelled ones, and those that a person dropped, only where they are asked for.
    """
    rare, used = _rare(connection, study), _used(connection, study)
    found: dict[Key, tuple[list[int], list[int], list[str]]] = {}
    for row in _selected(connection, study, cancelled, dropped):
        key = row[:13]
        if rare or used:
            key = (*key, rare.get(row[13]), row[13] in used)
        own = found.get(key)
        if own is None:
            own = found[key] = [], [], []
        own[0].append(row[13])
        own[1].append(row[14])
        if row[15] is not None:
            own[2].append(row[15])
    templates = Templates(connection, study)
    edges: dict[str, tuple[Edge, ...]] = {}
    made = []
    while found:
        key, (jobs, seeds, texts) = found.popitem()
        config, launch, kind, _, _, imported, *_ = key
        template = templates.of(config, launch, kind, bool(imported))
        for places, metrics in _numbers(texts) if texts else [(range(len(jobs)), {})]:
            own_jobs = _kept([jobs[at] for at in places])
            seconds = _seconds(own_jobs, used, template) if len(key) > 13 and key[14] else {}
            own_seeds = _kept([seeds[at] for at in places])
            like = template.row(
                {
                    "job": own_jobs[0],
                    "seed": own_seeds[0],
                    **({"metrics": {name: column[0] for name, column in metrics.items()}} if texts else {}),
                    "gpu_seconds": template.origin.gpu_seconds or None,
                    "cpu_seconds": template.origin.cpu_seconds or None,
                    **{name: column[0] for name, column in seconds.items()},
                    **_shared(key, bool(texts), template, edges),
                }
            )
            made.append(
                Bunch(like=like, places=own_jobs, jobs=own_jobs, seeds=own_seeds, metrics=metrics, seconds=seconds)
            )
    return Many(made)


def _selected(connection: Connection, study: str, cancelled: bool, dropped: bool) -> Iterator[Key]:
    """13 values that many jobs share, then id, seed and the result's numbers as JSON. Usual values are NULL."""
    raw = connection.connection.driver_connection
    assert raw is not None
    whole = raw.execute(
        "SELECT (SELECT sum(n) FROM job_count WHERE study_id = s.id) * ? >= (SELECT max(id) FROM job) "
        "FROM study s WHERE s.name = ?",
        (_WHOLE, study),
    ).fetchone()
    scanned = "+" if whole and whole[0] else ""
    found: Iterator[Key] = raw.execute(
        f"""SELECT j.config_id, j.launch_id, j.kind, nullif(j.state, 'succeeded'),
        CASE j.state WHEN 'failed' THEN j.error END, j.imported, j.dropped, r.architecture, a.edges,
        nullif(r.flags, '{{}}'), e.device_name, e.torch, e.code_changed, j.id, j.seed, r.metrics
        FROM job j LEFT JOIN result r ON r.job_id = j.id LEFT JOIN architecture a ON a.hash = r.architecture
        LEFT JOIN execution e ON e.id = r.execution_id
        WHERE {scanned}j.study_id = (SELECT id FROM study WHERE name = ?) AND (? OR j.state != 'cancelled')
        AND (? OR j.dropped IS NULL) ORDER BY j.id""",
        (study, int(cancelled), int(dropped)),
    )
    return found


def _shared(key: Key, told: bool, template: Template, edges: dict[str, tuple[Edge, ...]]) -> dict[str, Any]:
    """The fields of a row that all jobs of one key have alike; `told`: they have results."""
    _, _, _, state, error, _, reason, architecture, drawn, flags, device, torch, changed, *more = key
    earlier, stuck, rests, dropped_needs = (more[0] or _NOTHING) if more else _NOTHING
    own: dict[str, Any] = {"state": JobState.SUCCEEDED if state is None else _STATES[state]}
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


def _numbers(texts: Sequence[str]) -> Iterator[tuple[Sequence[int], dict[str, Column]]]:
    """For each set of names: which of these results have them, and the columns of their numbers."""
    decoded = msgspec.json.decode(f"[{','.join(texts)}]")
    alike: dict[tuple[str, ...], list[int]] = {}
    for at, one in enumerate(decoded):
        alike.setdefault(tuple(one), []).append(at)
    for names, places in alike.items():
        yield places, {name: _kept([decoded[at][name] for at in places]) for name in names}


def _kept(values: list[Any]) -> Column:
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
    gpu: list[float | None] = []
    cpu: list[float | None] = []
    for job in jobs:
        told, wall, cut = used[job]
        # what workers said, and of a job that used a GPU also the time of executions that were cut off
        found = told + (cut or 0.0) * template.gpus if told else 0.0
        gpu.append(found or template.origin.gpu_seconds or None)
        cpu.append((wall or 0.0) * template.cpus or template.origin.cpu_seconds or None)
    return {"gpu_seconds": _kept(gpu), "cpu_seconds": _kept(cpu)}


def _rare(connection: Connection, study: str) -> Mapping[int, Rare]:
    """What is to be said of few jobs."""
    found = connection.exec_driver_sql(
        "SELECT e.job_id, max(e.generation) FROM earlier_result e JOIN job j ON j.id = e.job_id "
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
        "SELECT j.id, n.id, n.dropped FROM job j JOIN job_dependency d ON d.job_id = j.id JOIN job n "
        "ON n.id = d.needs_id JOIN result r ON r.job_id = j.id WHERE n.dropped IS NOT NULL "
        "AND j.study_id = (SELECT id FROM study WHERE name = ?) ORDER BY 1, 2",
        (study,),
    )
    rests: dict[int, tuple[tuple[int, str], ...]] = {}
    for job, needed, reason in found:
        rests[job] = (*rests.get(job, ()), (needed, reason))
    return rests
