"""Bringing a store's schema up to date: only where the version differs, with a backup first."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from db.schema import VERSION
from jobs.errors import StoreError
from jobs.files import open_private


def config(connection: Connection | None = None) -> Config:
    """Alembic's settings for the migrations that ship inside the package."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    if connection is not None:
        made.attributes["connection"] = connection
    return made


def upgrade(connection: Connection, database: Path, version: str | None) -> None:
    """Run what is missing, inside the caller's transaction. Raises StoreError for a schema newer than this orch."""
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    if version is not None and version not in known:
        raise StoreError(
            f"the store {database.parent} has schema {version}, newer than this orch knows ({VERSION}): update orch"
        )
    if version is not None:
        backup(database, version)
    command.upgrade(config(connection), "head")


def begin(connection: Connection, version: str) -> None:
    """Make an empty database of that version, which is not newer than this orch. Raises StoreError."""
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    if version not in known:
        raise StoreError(f"there never was a schema {version}")
    command.upgrade(config(connection), version)


def backup(database: Path, version: str) -> Path:
    """A consistent copy of the database beside it, named by its schema version (SQLite's backup interface)."""
    target = database.with_name(f"orch.db.backup-{version}")
    if shutil.disk_usage(database.parent).free < 2 * database.stat().st_size:
        raise StoreError(f"no room for a backup of {database} before its migration: make room, then repeat")
    os.close(open_private(target, os.O_RDWR))
    source, copy = sqlite3.connect(database), sqlite3.connect(target)
    try:
        source.backup(copy)
    finally:
        copy.close()
        source.close()
    return target
