"""The tables of a study as its study file lays them out: kept by an entry, read by everything that shows tables."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from db.applying import apply, study_row
from db.layouts import Layout, Layouts
from db.text import encode

_DECODER = msgspec.json.Decoder(tuple[Layout, ...])


@apply.register
def _(entry: Layouts, connection: Connection) -> None:
    study = study_row(connection, entry.study)
    text = encode(entry.tables) if entry.tables else None
    connection.exec_driver_sql("UPDATE study SET layouts = ? WHERE id = ?", (text, study))


def layouts(connection: Connection, study: str) -> tuple[Layout, ...]:
    """The tables that this study has; none where nobody laid any out."""
    found = connection.exec_driver_sql("SELECT layouts FROM study WHERE name = ?", (study,)).scalar_one_or_none()
    return _DECODER.decode(found) if found else ()
