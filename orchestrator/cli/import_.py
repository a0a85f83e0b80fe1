"""`orch import`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import json_option, print_json, store_option, study_option


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
    report), and any other number. Importing the same file again changes nothing.

    \b
    Example:
      orch import published.csv
      orch import more.jsonl --study replication
    """
    from db.store import Store, locate
    from orchestrator.importing import take_in
    from orchestrator.resultrows import read
    from orchestrator.settings import load

    rows = read(file)
    root = locate(store_path)
    name = study or load(root).study
    store = Store(root, create=True)
    found = take_in(store, name, rows, file.name)
    if as_json:
        print_json({"created": found.created, "existing": found.existing})
        return
    there = f" ({len(found.existing)} were there already)" if found.existing else ""
    click.echo(f"imported {len(found.created)} results into study {name}{there}")
