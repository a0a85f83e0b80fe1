"""How commands name the jobs that they show or change: ids and ranges, --filter, --all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from db.store import Store
    from jobs.words import JobState
    from orchestrator.settings import Settings
    from orchestrator.submitting.changing import Selection

F = TypeVar("F", bound=Callable[..., Any])


def jobs_option(function: F, about_all: str = "All of the study that it fits.") -> F:
    """JOBS, --filter and --all"""
    function = click.option("--all", "every", is_flag=True, help=about_all)(function)
    function = click.option(
        "--filter", "filters", multiple=True, help="Only these jobs: state=failed, lr=0.1, seed<5 (repeatable)."
    )(function)
    return click.argument("jobs", nargs=-1, metavar="[JOB|FIRST-LAST]...")(function)


def shown_option(function: F) -> F:
    """JOBS, --filter and --study of a command that only shows them"""
    function = click.option("--study", help="With --filter: the study (default: 'default').")(function)
    function = click.option(
        "--filter", "filters", multiple=True, help="Only these jobs: state=failed, lr=0.1, seed<5 (repeatable)."
    )(function)
    return click.argument("jobs", nargs=-1, metavar="[JOB|FIRST-LAST]...")(function)


def shown(
    store: Store, settings: Settings, words: Sequence[str], filters: Sequence[str], study: str | None
) -> list[int]:
    """The ids that a person named to see. Raises BadInput."""
    from jobs.errors import BadInput
    from orchestrator.jobids import parse

    ids = parse(words)
    if not ids and not filters:
        raise BadInput("name the jobs by id, like 3 or 3-17, or use --filter")
    if not filters:
        return ids
    from db import results
    from orchestrator.tables.filters import select

    name = study_meant(store, settings, study)
    with store.read() as connection:
        rows = results.rows(connection, name, cancelled=True, dropped=True)
    kept = {row.job for row in select(rows, filters)}
    found = [job for job in ids if job in kept] if ids else sorted(kept)
    if not found:
        click.echo("no job fits", err=True)
    return found


def study_meant(store: Store, settings: Settings, study: str | None) -> str:
    """The study of --all and --filter: the same one that the commands mean which only look. Raises BadInput."""
    from orchestrator.views.collect import study_of

    with store.read() as connection:
        return study_of(connection, study, settings)


def is_one(words: Sequence[str], filters: Sequence[str]) -> bool:
    """Whether a person named one job by its id: --json is then its document, else a list of them."""
    return len(words) == 1 and words[0].strip().isdecimal() and not filters


def selection(
    words: Sequence[str], filters: Sequence[str], study: str, every: bool, states: Sequence[JobState] = ()
) -> Selection:
    """What a person named. Raises BadInput."""
    from orchestrator.jobids import parse
    from orchestrator.submitting.changing import Selection

    return Selection(ids=parse(words), study=study, every=every, states=states, filters=tuple(filters))
