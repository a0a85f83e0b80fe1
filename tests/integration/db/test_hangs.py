"""The cause `hang` in stores of every age, what is known of a config, and where something hung."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from db import executions, rhythms
from db.store import Store
from jobs.files import read_json, write_json
from jobs.records import Outcome
from jobs.rhythm import Rhythm
from jobs.words import Cause, JobState
from orchestrator.upkeep.rebuilding import rebuild_all
from tests.helpers.filled import Filled
from tests.helpers.old import unpack


def rhythm(silences: int, *, device: str = "", whole: int = 1) -> Rhythm:
    return Rhythm(silences=silences, median=1.0, longest=(float(silences),), first=1.0, whole=whole, device=device)


def test_a_store_of_the_first_version_takes_a_hang(tmp_path: Path) -> None:
    """The checks of its tables were widened where they stand; everything else is as it was."""
    root = unpack(tmp_path) / ".orch"
    with sqlite3.connect(root / "orch.db") as raw, pytest.raises(sqlite3.IntegrityError, match="cause"):
        raw.execute("UPDATE attempt SET cause = 'hang'")
    store = Store(root)
    with store.read() as connection:
        checks = connection.exec_driver_sql(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND sql LIKE '%''lost'', ''hang'')%'"
        ).scalar_one()
        assert checks == 3
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
    with store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE execution SET cause = 'hang'")
        with pytest.raises(IntegrityError, match="cause"):
            writer.connection.exec_driver_sql("UPDATE execution SET cause = 'boredom'")


def test_what_is_known_of_a_config_is_of_its_seeds_and_by_device(tmp_path: Path) -> None:
    filled = Filled.make(tmp_path)
    ids = filled.submit(seeds=range(3))
    for job, one in zip(ids[:2], (rhythm(10), rhythm(20, device="H100")), strict=True):
        filled.succeed(job, {"test_accuracy": 1.0})
        with filled.store.write() as writer:
            rhythms.keep(writer.connection, executions.of_job(writer.connection, job)[-1].id, one)
            rhythms.keep(writer.connection, executions.of_job(writer.connection, job)[-1].id, one)
    with filled.store.read() as connection:
        found = rhythms.known(connection, ids)
        assert set(found) == set(ids), "every seed of the config"
        assert {one.device: one.silences for one in found[ids[2]]} == {"": 10, "H100": 20}


def test_where_something_hung(tmp_path: Path) -> None:
    filled = Filled.make(tmp_path)
    (job,) = filled.submit(seeds=[0])
    filled.dispatch(job, slot="gpu:2:0")
    filled.end(job, Cause.HANG, JobState.QUEUED)
    with filled.store.read() as connection:
        (hang,) = rhythms.hangs(connection, filled.tick() - timedelta(hours=1))
        assert (hang.job, hang.slot, hang.config) == (job, "gpu:2:0", rhythms.config_of(connection, job))
        assert rhythms.hangs(connection, filled.tick() + timedelta(hours=1)) == []


def test_a_rebuild_learns_it_again_from_the_outcomes(tmp_path: Path) -> None:
    filled = Filled.make(tmp_path)
    (job,) = filled.submit(seeds=[0])
    path = filled.succeed(job, {"test_accuracy": 1.0}) / "outcome.json"
    outcome = read_json(path, Outcome)
    assert outcome is not None
    write_json(path, msgspec.structs.replace(outcome, rhythm=rhythm(7)))
    store = rebuild_all(filled.store.root, lambda done, total: None)
    with store.read() as connection:
        assert rhythms.known(connection, [job]) == {job: (rhythm(7),)}
