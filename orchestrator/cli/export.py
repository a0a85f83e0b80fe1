"""`orch export`"""

from __future__ import annotations

from pathlib import Path

import click

from jobs.errors import BadInput
from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File: .csv or .jsonl (else CSV here).")
@click.option("--filter", "filters", multiple=True, help="Only these jobs: method=A, kind=evaluate (repeatable).")
@study_option
@json_option
@store_option
def command(
    out: Path | None, filters: tuple[str, ...], study: str | None, as_json: bool, store_path: Path | None
) -> None:
    """Write all results of a study in the form that 'orch import' takes.

    \b
    Example:
      orch export --out results.csv
    """
    from jobs.files import write_bytes
    from orchestrator.exporting import FORMATS, records, render
    from orchestrator.gathering import study_rows
    from orchestrator.looking import look
    from orchestrator.tables.keys import select
    from orchestrator.views.collect import study_of

    format = out.suffix.removeprefix(".").lower() if out else "csv"
    if format not in FORMATS:
        raise BadInput(f"cannot tell the format of '{out}': end it in .{' or .'.join(FORMATS)}")
    store, settings = open_store(store_path)
    look(store, settings)
    with store.read() as connection:
        name = study_of(connection, study, settings)
    found = records(select(study_rows(store, name), filters))
    if out is not None:
        try:
            write_bytes(out, render(found, format).encode(), durable=False)
        except OSError as error:
            raise BadInput(f"cannot write '{out}': {error.strerror}; choose another --out") from None
        click.echo(f"wrote {len(found)} results to {out}", err=True)
    if as_json:
        print_json(found)
    elif out is None:
        click.echo(render(found, "csv"), nl=False)
