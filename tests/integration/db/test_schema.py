"""The models, the migrations and the rules say the same."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import db.schema
import db.store
from db import migrate, rules
from db.schema import Table
from db.store import Store


def triggers(connection: Connection) -> list[str]:
    return [row[0] for row in connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]


def plain(statement: str) -> str:
    """A statement without the differences that SQLite does not see."""
    return re.sub(r"\s+", " ", statement).strip().rstrip(";").strip()


def lines(statement: str) -> list[str]:
    """A table's columns and rules, whatever their order: a column that a migration added stands behind the last one."""
    head, _, inside = statement.partition("(")
    parts = re.split(r",(?![^(]*\))", inside.rstrip().removesuffix(")"))
    return sorted(plain(part) for part in (head, *parts) if part.strip())


def test_the_models_equal_the_result_of_all_migrations(tmp_path: Path) -> None:
    with Store(tmp_path / ".orch", create=True).read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_what_alembic_does_not_compare_is_the_same_too(tmp_path: Path) -> None:
    """Checks, partial indexes, primary keys and WITHOUT ROWID: the whole SQL of every table and index."""
    from sqlalchemy import create_engine

    def statements(connection: Connection) -> dict[str, list[str]]:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type != 'trigger' AND sql != ''")
        return {name: lines(sql) for name, sql in rows if name != "alembic_version"}

    with Store(tmp_path / ".orch", create=True).read() as connection:
        migrated = statements(connection)
    with create_engine("sqlite://").connect() as connection:
        Table.metadata.create_all(connection)
        described = statements(connection)
    assert migrated == described


def test_one_version_everywhere() -> None:
    newest = ScriptDirectory.from_config(migrate.config()).get_current_head()
    assert db.store.VERSION == db.schema.VERSION == newest


def test_the_frozen_triggers_are_the_rules(tmp_path: Path) -> None:
    with Store(tmp_path / ".orch", create=True).read() as connection:
        assert sorted(map(plain, triggers(connection))) == sorted(map(plain, rules.triggers()))


def test_the_migrations_are_shipped_and_run_once(tmp_path: Path) -> None:
    root = tmp_path / ".orch"
    Store(root, create=True)
    before = sorted(path.name for path in root.iterdir())
    Store(root)
    assert sorted(path.name for path in root.iterdir()) == before, "opening an up-to-date store makes no backup"


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it runs in one transaction."""
    from alembic import command

    real = command.upgrade

    def upgrade(config: Config, revision: str) -> None:
        real(config, revision)
        raise sqlite3.OperationalError("cut off")

    monkeypatch.setattr(command, "upgrade", upgrade)
    root = tmp_path / ".orch"
    with pytest.raises(sqlite3.OperationalError):
        Store(root, create=True)
    with sqlite3.connect(root / "orch.db") as raw:
        assert raw.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    monkeypatch.undo()
    with Store(root, create=True).read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM job").scalar_one() == 0
