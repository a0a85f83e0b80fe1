"""`orch import`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator import text
from orchestrator.cli.options import json_option, print_json, say_what_is_damaged, store_option, study_option


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@study_option
@json_option
@store_option
def command(file: Path, study: str | None, as_json: bool, store_path: Path | None) -> None:
    """Take in results from FILE (.csv or .jsonl): all its rows or, where one is bad, none.

    \b
    Columns: kind, method, search_epoch, seed, dataset, test_accuracy, params,
    shortcuts; optionally architecture (0-2,3-7 or vgg19), repeat, preset (default
    report), settings of the kind (epochs, lr, ...), search (any name: rows of one
    search share it), and any other number. What 'orch export' wrote gives the same
    tables here. Importing the same file again changes nothing.

    \b
    Example:
      orch import published.csv
      orch import more.jsonl --study replication
    """
    from db.place import locate
    from db.store import Store
    from orchestrator.exchange.importing import take_in
    from orchestrator.exchange.resultrows import read
    from orchestrator.mirroring.asking import settings_of
    from orchestrator.views.words import plural

    rows = read(file)
    root = locate(store_path)
    settings = settings_of(root)
    name = study or settings.study
    text.check("the study", name)
    store = Store(root, create=True, group=settings.store.readable == "group")
    say_what_is_damaged(store)
    found = take_in(store, name, rows, file.name)
    if as_json:
        print_json({"created": found.created, "existing": found.existing})
        return
    there = f" ({len(found.existing)} were there already)" if found.existing else ""
    failed = f" and {plural(found.failed, 'failed job')}" if found.failed else ""
    click.echo(f"imported {len(found.created) - found.failed} results{failed} into study {name}{there}")
