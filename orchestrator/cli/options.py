"""Options that several commands share, and what they all do first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from db.store import Store
    from orchestrator.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def store_option(function: F) -> F:
    """--store"""
    return click.option(
        "--store",
        "store_path",
        type=click.Path(file_okay=False, path_type=Path),
        help="The store's folder (default: ORCH_STORE, else .orch here or in the nearest parent).",
    )(function)


def study_option(function: F) -> F:
    """--study"""
    return click.option("--study", help="The study, a named group of jobs (default: 'default').")(function)


def json_option(function: F) -> F:
    """--json"""
    return click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout.")(function)


def open_store(store_path: Path | None) -> tuple[Store, Settings]:
    """The store and its settings. Raises NoStore, StoreError, BadInput."""
    from db.store import Store, locate
    from orchestrator.settings import load

    root = locate(store_path)
    settings = load(root)
    return Store(root), settings


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
