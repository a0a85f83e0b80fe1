"""What all tables of the store have in common (db/schema.py, db/supervising.py)."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase


class Table(DeclarativeBase):
    """Base of all tables. Times are text, ISO 8601 in UTC; lengths are not limited (SQLite ignores them)."""

    metadata = MetaData()
