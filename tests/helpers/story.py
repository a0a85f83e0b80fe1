"""A broken rule of the store is told with the story of the jobs that it names, as `orch show --story` tells it."""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from sqlalchemy import create_engine

from db import story
from db.shares import gpu_parts
from jobs.errors import OrchError
from jobs.layout import Layout
from orchestrator.views.story import lines

MOST = 3
"""Jobs whose stories are told."""

F = TypeVar("F", bound=Callable[..., Any])


def stories(layout: Layout, sentence: str) -> str:
    """The stories of the jobs that a sentence names ('job 3', 'jobs [3, 4]'), else of the first ones."""
    parts = re.findall(r"jobs? [\[{(]*([\d, ]+)", sentence)
    named = [int(number) for part in parts for number in re.findall(r"\d+", part)]
    engine = create_engine("sqlite://", creator=lambda: _reading(layout))
    try:
        with engine.connect() as connection:
            every = connection.exec_driver_sql("SELECT id FROM job ORDER BY id LIMIT ?", (MOST,)).scalars().all()
            told = []
            for job in list(dict.fromkeys(named or every))[:MOST]:
                with contextlib.suppress(OrchError):
                    told += lines(job, story.of_job(connection, layout.journal, job))
            return "\n".join(told)
    finally:
        engine.dispose()


def _reading(layout: Layout) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{layout.database}?mode=ro", uri=True)
    connection.create_function("gpu_parts", 1, gpu_parts, deterministic=True)
    return connection


@contextlib.contextmanager
def told(layout: Layout) -> Iterator[None]:
    """An assertion that fails inside comes with the stories of the jobs that it names."""
    try:
        yield
    except AssertionError as error:
        sentence = str(error)
        try:
            more = stories(layout, sentence)
        except Exception as trouble:  # the store may be what is broken: the assertion itself must not be lost
            more = f"(no story: {trouble})"
        raise type(error)(f"{sentence}\n{more}") from error


def tells(method: F) -> F:
    """For a method of something that has a `layout` or a `store`: `told` around it."""

    @functools.wraps(method)
    def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
        layout = self.layout if hasattr(self, "layout") else self.store.layout
        with told(layout):
            return method(self, *arguments, **named)

    return wrapped  # type: ignore[return-value]
