"""What is told of a study's rules, read from its store."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from db import registered
from orchestrator.stopping import wording


def lines(connection: Connection, study: str) -> list[str]:
    """The rule in force with its progress, then what is odd about it; empty where the study never had one."""
    history = registered.history(connection, study)
    return wording.sentences(history, registered.seeds(connection, history[-1])) if history else []


def contract(connection: Connection, study: str) -> dict[str, Any] | None:
    """The same for scripts."""
    history = registered.history(connection, study)
    return wording.as_json(history, registered.seeds(connection, history[-1])) if history else None
