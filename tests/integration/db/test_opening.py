"""Opening a store: where it is looked for, whose it is, which schema it has and which file system it lies on."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory

import db.store
from db.place import file_system, locate
from db.store import NoStore, Store
from jobs.errors import StoreError
from tests.helpers.filled import Filled, change


def test_no_store_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NoStore, match="submit a job first"):
        Store(tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_a_store_is_private(filled: Filled) -> None:
    assert filled.store.root.stat().st_mode & 0o777 == 0o700
    assert filled.store.layout.database.stat().st_mode & 0o777 == 0o600


def test_a_newer_schema_is_refused_untouched(filled: Filled) -> None:
    change(filled, "UPDATE alembic_version SET version_num = '0999'")
    before = sorted(filled.store.root.rglob("*"))
    with pytest.raises(StoreError, match="has schema 0999, newer than this orch knows"):
        Store(filled.store.root)
    assert sorted(filled.store.root.rglob("*")) == before


def test_an_older_schema_is_backed_up_before_it_is_migrated(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one migration yet: a made-up second one stands for those to come."""
    (job,) = filled.submit()
    change(filled, "UPDATE alembic_version SET version_num = '0000'")
    real = ScriptDirectory.walk_revisions

    class Older:
        revision = "0000"

    monkeypatch.setattr(ScriptDirectory, "walk_revisions", lambda self: [*real(self), Older()])
    ran: list[str] = []

    def upgrade(config: object, revision: str) -> None:
        ran.append(revision)

    monkeypatch.setattr(command, "upgrade", upgrade)
    Store(filled.store.root)
    assert ran == ["head"]
    backup = filled.store.root / "orch.db.backup-0000"
    with sqlite3.connect(backup) as raw:
        assert raw.execute("SELECT id FROM job").fetchall() == [(job,)]


def test_a_store_of_somebody_else_is_refused(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StoreError, match="belongs to user id"):
        Store(filled.store.root)


def test_a_missing_database_is_not_an_empty_one(filled: Filled) -> None:
    filled.submit()
    for path in filled.store.root.glob("orch.db*"):
        path.unlink()
    for create in (False, True):
        with pytest.raises(StoreError, match=r"is missing but its runs are there: run 'orch rebuild'"):
            Store(filled.store.root, create=create)
    assert not filled.store.layout.database.exists()


def test_where_a_store_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    monkeypatch.delenv("ORCH_STORE", raising=False)
    assert locate() == deep / ".orch"
    (tmp_path / "a" / ".orch").mkdir()
    assert locate() == tmp_path / "a" / ".orch"
    monkeypatch.setenv("ORCH_STORE", "elsewhere")
    assert locate() == deep / "elsewhere"
    assert locate(tmp_path / "named") == tmp_path / "named"


MOUNTS = """rootfs / ext4 rw 0 0
server:/export /data nfs4 rw 0 0
tmpfs /data/fast tmpfs rw 0 0
lustre@tcp:/x /scratch\\040two lustre rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/me/.orch", "ext4"),
        ("/data/me/.orch", "nfs4"),
        ("/data/fast/.orch", "tmpfs"),
        ("/database/.orch", "ext4"),
        ("/scratch two/.orch", "lustre"),
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: MOUNTS)
    assert file_system(Path(folder)) == kind


@pytest.mark.parametrize(("kind", "mode"), [("ext4", "wal"), ("nfs4", "delete"), ("lustre", "delete")])
def test_network_file_systems_get_a_rollback_journal(
    tmp_path: Path, kind: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.store, "file_system", lambda path: kind)
    filled = Filled.make(tmp_path / ".orch")
    assert filled.store.network == (mode == "delete")
    filled.submit()
    with sqlite3.connect(filled.store.layout.database) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == (mode,)
