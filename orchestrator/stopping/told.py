"""What is told of a study's rules, read from its store."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from db import registered
from orchestrator.stopping import grammar, wording
from orchestrator.stopping.grammar import Compares


def lines(connection: Connection, study: str) -> list[str]:
    """The rule in force with its progress, then what is odd about it; empty where the study never had one."""
    history = registered.history(connection, study)
    return wording.sentences(history, registered.seeds(connection, history[-1])) if history else []


def contract(connection: Connection, study: str) -> dict[str, Any] | None:
    """The same for scripts."""
    history = registered.history(connection, study)
    return wording.as_json(history, registered.seeds(connection, history[-1])) if history else None


def compares(connection: Connection, study: str) -> Compares | None:
    """What the rule in force compares; None where there is none, or one of a single side (±)."""
    newest = registered.in_force(connection, study)
    if newest is None or len(newest.rule.sides) < 2:
        return None
    jobs = frozenset(seed.job for seed in registered.seeds(connection, newest) if seed.job is not None)
    return Compares(metric=newest.rule.metric, second=grammar.parse(newest.rule.text).sides[1], jobs=jobs)
