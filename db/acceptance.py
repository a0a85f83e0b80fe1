"""Entries that make and change results: an execution's is accepted, others are imported, a reading is corrected."""

from __future__ import annotations

from sqlalchemy import Connection

from db.applying import apply, dependents, release, study_row, template_rows
from db.entries import Accepted, Correct, Import
from db.executions import began, supersede, vanished
from db.following import follow
from db.launching import Origin
from db.text import encode, stamp
from jobs.architectures import architecture_hash
from jobs.metrics import RULE
from jobs.records import Architecture


@apply.register
def _(entry: Import, connection: Connection) -> None:
    study = study_row(connection, entry.study)
    templates = template_rows(connection, entry.templates)
    at = stamp(entry.at)
    jobs, results, failed = [], [], []
    for row in entry.results:
        kind, config, launch = templates[row.template]
        origin = entry.templates[row.template].launching.origin or Origin()
        jobs.append((row.id, study, config, launch, kind, row.seed, row.key, "submitted", 1, at, at))
        if origin.state == "failed":
            failed.append((origin.error or None, row.id))
            continue
        architecture = _architecture(connection, row.architecture)
        accuracy = row.metrics.get("test_accuracy")
        flags = encode(origin.flags)
        results.append((row.id, config, None, 1, architecture, accuracy, encode(row.metrics), flags, at, RULE))
    connection.exec_driver_sql(
        "INSERT INTO job "
        "(id, study_id, config_id, launch_id, kind, seed, key, state, imported, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        jobs,
    )
    if results:
        connection.exec_driver_sql(_INSERT_RESULT, results)
        connection.exec_driver_sql(
            "UPDATE job SET state = 'succeeded', cause = 'success' WHERE id = ?", [(row[0],) for row in results]
        )
    if failed:
        connection.exec_driver_sql("UPDATE job SET state = 'failed', cause = 'error', error = ? WHERE id = ?", failed)


_INSERT_RESULT = (
    "INSERT INTO result (job_id, config_id, execution_id, generation, architecture, test_accuracy, metrics, flags, "
    "accepted_at, rule) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _architecture(connection: Connection, architecture: Architecture | None) -> str | None:
    if architecture is None:
        return None
    name = architecture_hash(architecture.edges)
    connection.exec_driver_sql(
        "INSERT INTO architecture VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (name, encode(sorted(architecture.edges)), len(architecture.edges)),
    )
    return name


@apply.register
def _(entry: Accepted, connection: Connection) -> None:
    at = stamp(entry.at)
    config = connection.exec_driver_sql("SELECT config_id FROM job WHERE id = ?", (entry.job,)).scalar_one()
    attempt = connection.exec_driver_sql(
        "SELECT id FROM attempt WHERE job_id = ? AND number = ?", (entry.job, entry.attempt)
    ).scalar_one()
    execution = began(connection, attempt, entry.execution, entry.started)
    values = (
        entry.job,
        config,
        execution,
        entry.generation,
        _architecture(connection, entry.architecture),
        entry.metrics.get("test_accuracy"),
        encode(entry.metrics),
        encode(entry.flags),
        at,
        entry.rule,
    )
    connection.exec_driver_sql(_INSERT_RESULT, values)
    connection.exec_driver_sql(
        "UPDATE attempt SET state = 'ended', ended_at = ?, doomed = 1, "
        "cause = CASE WHEN number = ? THEN 'success' ELSE 'cancelled' END, "
        "decision = CASE WHEN number = ? THEN NULL ELSE 'another execution finished first' END "
        "WHERE job_id = ? AND state != 'ended'",
        (at, entry.attempt, entry.attempt, entry.job),
    )
    connection.exec_driver_sql(
        "UPDATE job SET state = 'succeeded', cause = 'success', error = NULL, not_before = NULL, updated_at = ? "
        "WHERE id = ?",
        (at, entry.job),
    )
    supersede(connection, entry.job, execution)
    vanished(connection, [entry.job])
    release(connection, dependents(connection, entry.job), at)
    follow(connection, entry.job, at)


@apply.register
def _(entry: Correct, connection: Connection) -> None:
    for one in entry.results:
        metrics = encode(one.metrics)
        connection.exec_driver_sql(
            "UPDATE result SET original = CASE WHEN original = ? THEN NULL WHEN metrics = ? THEN original "
            "ELSE coalesce(original, metrics) END, metrics = ?, test_accuracy = ?, flags = ? WHERE job_id = ?",
            (metrics, metrics, metrics, one.metrics.get("test_accuracy"), encode(one.flags), one.job),
        )
    if entry.rule:
        connection.exec_driver_sql("UPDATE result SET rule = ? WHERE rule < ?", (entry.rule, entry.rule))
