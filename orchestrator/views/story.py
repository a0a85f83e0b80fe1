"""`orch show --story`: what happened to a job, a line each, as JSON and in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from db.story import Told
from orchestrator.views.words import one_line


def as_json(job: int, story: Sequence[Told]) -> dict[str, Any]:
    """Plain data, oldest first."""
    return {"job": job, "story": [msgspec.to_builtins(line) for line in story]}


def lines(job: int, story: Sequence[Told]) -> list[str]:
    """'2026-01-01 12:00:03.120  journal 4  ended: …  [node_failure]'"""
    rows = [(f"{line.at:%Y-%m-%d %H:%M:%S.%f}"[:-3], _source(line), _what(line)) for line in story]
    width = max((len(source) for _, source, _ in rows), default=0)
    return [f"the story of job {job} (times are UTC)"] + [
        f"{at}  {source:<{width}}  {what}" for at, source, what in rows
    ]


def _source(line: Told) -> str:
    return line.source if line.file is None else f"{line.source} {line.file}"


def _what(line: Told) -> str:
    attempt = "" if line.attempt is None else f"attempt {line.attempt}: "
    cause = f" [{line.cause}]" if line.cause else ""
    return f"{attempt}{one_line(line.what)}{cause}"
