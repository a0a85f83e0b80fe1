"""Options that several commands share, and what they all do first."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator import text

if TYPE_CHECKING:
    from db.store import Store
    from orchestrator.settings import Settings

LOOKED_AT, SHOWN = 50, 5
"""Newest attempts whose files a quick look checks, and odd files that it names."""
F = TypeVar("F", bound=Callable[..., Any])


def store_option(function: F) -> F:
    """--store"""
    return click.option(
        "--store",
        "store_path",
        type=click.Path(file_okay=False, readable=False, path_type=Path),
        help="The store's folder (default: ORCH_STORE, else .orch here or in the nearest parent).",
    )(function)


def study_option(function: F) -> F:
    """--study"""
    return click.option("--study", help="The study, a named group of jobs (default: 'default').")(function)


def archive_option(function: F) -> F:
    """--archive"""
    return click.option(
        "--archive",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Look into what 'orch archive' wrote, instead of a store.",
    )(function)


def json_option(function: F) -> F:
    """--json"""
    return click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")(function)


def open_store(store_path: Path | None, *, looking: bool = False) -> tuple[Store, Settings]:
    """The store and its settings. Raises NoStore, StoreError, BadInput.

    `looking`: the command writes nothing, so another user's store is opened too where its owner lets the group look.
    """
    from db.admission import admit
    from db.place import locate
    from db.store import Store
    from orchestrator.settings import load

    root = locate(store_path, looking=looking)
    found = admit(root, looking=looking)
    if found is not None and not found.mine:
        return Store(root, looking=True), load(root, frozenset({found.owner}))
    settings = load(root)
    if not looking:
        from orchestrator.mirroring.asking import check_open

        check_open(root, settings)
    store = Store(root, looking=looking, group=settings.store.readable == "group")
    _enter_lab(root, settings)
    say_what_is_damaged(store)
    if not store.read_only:
        _check_old_results(store)
    return store, settings


def open_study(store_path: Path | None, study: str | None, archive: Path | None) -> tuple[Store, Settings, str]:
    """What a command looks at: a study of a store, or the one in an archive, with the store and its settings.

    Raises NoStore, StoreError, BadInput.
    """
    if archive is not None:
        return open_archive(store_path, study, archive)
    from orchestrator.views.collect import study_of
    from orchestrator.views.looking import look

    store, settings = open_store(store_path, looking=True)
    look(store, settings)
    with store.read() as connection:
        return store, settings, study_of(connection, study, settings)


def open_archive(store_path: Path | None, study: str | None, archive: Path) -> tuple[Store, Settings, str]:
    """The store, unpacked until the command ends, of the one study in an archive. Raises BadInput, StoreError."""
    from rich.console import Console
    from rich.progress import Progress

    from jobs.errors import BadInput
    from orchestrator.archives import reading
    from orchestrator.settings import Settings

    if store_path is not None:
        raise BadInput("--archive is looked into instead of a store: leave --store out")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("unpacking", total=None)
        opened = reading.open_archive(archive, lambda done, total: bar.update(task, completed=done, total=total))
    click.get_current_context().call_on_close(opened.close)
    name = opened.head.study
    if study is not None and study != name:
        raise BadInput(f"'{archive}' holds the study '{text.plain(name)}' alone: leave --study out")
    return opened.store, Settings(study=name), name


def _enter_lab(root: Path, settings: Settings) -> None:
    """SLURM's commands then mean the store's lab; one that cannot be read is told, and keeps nobody from looking."""
    from jobs.errors import OrchError
    from orchestrator.supervision.machines import enter_lab

    try:
        enter_lab(root, settings)
    except OrchError as error:
        click.echo(f"Warning: {error}", err=True)


def _check_old_results(store: Store) -> None:
    """Once after an update: numbers that an older rule took are looked at again, and a person is told."""
    from db.corrections import any_unchecked

    with store.read() as connection:
        if not any_unchecked(connection):
            return
    from jobs.errors import StoreError
    from orchestrator.upkeep.correcting import look_again

    try:
        for sentence in look_again(store).sentences():
            click.echo(f"orch: {sentence}", err=True)
    except StoreError as error:
        click.echo(f"orch: results of an earlier orch could not be checked: {error}", err=True)


def say_what_is_damaged(store: Store) -> None:
    """The same truth from every command, on stderr: the journal is not whole, and all goes on."""
    from db import audit

    warning = audit.warning(store, refusing=False)
    if warning:
        click.echo(f"Warning: {warning}", err=True)


def warn_of_odd_files(store: Store) -> None:
    """What lies in the newest run folders and is passed over, on stderr."""
    from db import attempts

    with store.read() as connection:
        newest = attempts.newest(connection, LOOKED_AT)
    if not newest:
        return
    from orchestrator.supervision import oddities

    found = oddities.of_attempts(store.layout, newest)
    for odd in found[:SHOWN]:
        click.echo(f"Warning: {odd.text()}", err=True)
    if len(found) > SHOWN:
        click.echo(f"Warning: and {len(found) - SHOWN} more files: see 'orch doctor'", err=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    import msgspec

    document = text.json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
    if "utf" not in (sys.stdout.encoding or "utf-8").lower():
        document = text.ascii_json(document)
    click.echo(document)
