"""What a simulation puts in place of the process's surroundings: time, randomness, fsync, and a tripwire at every I/O.

The supervisor's code itself runs as it is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection
from sqlalchemy.pool import StaticPool

import db.lease
import db.migrate
import db.rebuild
import db.store
import orchestrator.submitting.changing
import orchestrator.submitting.restraints
import slurm.cluster.backend
import slurm.cluster.changes
import slurm.cluster.machines
import slurm.cluster.sbatch
from db.store import Store
from slurm.backend import Launch, Submission
from tests.simulation.clock import VirtualClock
from tests.simulation.tripwire import Tripwire


def memory_folder() -> str | None:
    """Where temporary stores lie: in memory where the host has such a folder."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@cache
def _schema() -> tuple[str, ...]:
    """The statements that make an up-to-date empty database: the migrations run once for all schedules."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        store = Store(Path(folder) / "template", create=True)
        connection = sqlite3.connect(store.layout.database)
        try:
            dump = list(connection.iterdump())
        finally:
            connection.close()
    return tuple(line for line in dump if line not in ("BEGIN TRANSACTION;", "COMMIT;"))


def _upgrade(connection: Connection, database: Path, version: str | None) -> None:
    assert version is None, "a simulation only makes new stores"
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    for statement in _schema():
        driver.execute(statement)


@contextlib.contextmanager
def simulated(
    clock: VirtualClock,
    tripwire: Tripwire,
    random: Random,
    sbatch: Callable[[Submission, frozenset[str]], Launch],
    holder_lives: Callable[[db.lease.Holder], bool],
) -> Iterator[None]:
    """Run the body in a simulated process."""
    _schema()
    point = tripwire.point
    replace, mkdir, unlink, scandir = os.replace, os.mkdir, os.unlink, os.scandir
    begin, commit, raw, write = Store._begun, Store._commit, Store._raw, Store.write

    def fsync(handle: int) -> None:
        point("fsync")
        tripwire.disk.synced(handle, by_it=tripwire.active)

    def slow_replace(source: Any, target: Any, **more: Any) -> None:
        point("replace")
        if tripwire.active:
            tripwire.disk.renaming(Path(source), Path(target))
        replace(source, target, **more)
        point("replaced")

    def slow_mkdir(path: Any, mode: int = 0o777, **more: Any) -> None:
        point("mkdir")
        mkdir(path, mode, **more)

    def slow_unlink(path: Any, **more: Any) -> None:
        point("unlink")
        unlink(path, **more)

    def slow_scandir(path: Any = ".") -> Any:
        point("scandir")
        return scandir(path)

    def slow_begin(self: Store, kind: str) -> Connection:
        point("begin")
        return begin(self, kind)

    def slow_commit(self: Store, connection: Connection) -> None:
        point("commit")
        commit(self, connection)
        point("committed")

    def slow_raw(self: Store) -> Any:
        point("raw")
        return raw(self)

    @contextlib.contextmanager
    def counted_write(self: Store, lease: int | None = None) -> Iterator[Any]:
        tripwire.point("write")
        tripwire.writing += 1
        try:
            with write(self, lease) as writer:
                yield writer
        finally:
            tripwire.writing -= 1

    class Watched:
        """An sbatch whose reply is an I/O as well."""

        def __init__(self, launch: Launch) -> None:
            self.launch = launch

        def poll(self) -> str | None:
            native = self.launch.poll()
            if native is not None:
                point("sbatch replied")
            return native

    def begin_sbatch(submission: Submission, exclude: frozenset[str], settings: object) -> Launch:
        point("sbatch")
        with tripwire.elsewhere():
            launch = sbatch(submission, exclude)
        point("sbatch began")
        return Watched(launch)

    def token_hex(count: int = 32) -> str:
        return random.randbytes(count).hex()

    with contextlib.ExitStack() as stack:
        for target, name, value in (
            (os, "fsync", fsync),
            (os, "replace", slow_replace),
            (os, "mkdir", slow_mkdir),
            (os, "unlink", slow_unlink),
            (os, "scandir", slow_scandir),
            (secrets, "token_hex", token_hex),
            (Store, "_begun", slow_begin),
            (Store, "_commit", slow_commit),
            (Store, "_raw", slow_raw),
            (Store, "write", counted_write),
            (db.store, "NullPool", StaticPool),
            (db.store, "file_system", lambda path: "tmpfs"),
            (db.migrate, "upgrade", _upgrade),
            (db.lease, "now", clock.now),
            (db.lease.Holder, "alive", holder_lives),
            (db.rebuild, "now", clock.now),
            (orchestrator.submitting.changing, "now", clock.now),
            (orchestrator.submitting.restraints, "now", clock.now),
            (slurm.cluster.machines, "time", SimpleNamespace(monotonic=clock.monotonic)),
            (slurm.cluster.changes, "time", SimpleNamespace(monotonic=clock.monotonic)),
            (slurm.cluster.backend, "now", clock.now),
            (slurm.cluster.sbatch, "begin", begin_sbatch),
        ):
            stack.enter_context(patch.object(target, name, value))
        yield
