"""`orch export`"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from jobs.errors import BadInput
from orchestrator.cli.options import (
    archive_option,
    json_option,
    open_study,
    print_json,
    store_option,
    study_option,
)
from orchestrator.text import unguarded


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path), metavar="[DIR]")
@click.option(
    "--to",
    type=click.Choice(["tensorboard", "wandb-offline", "mlflow-files"]),
    help="Write runs for this tool into DIR, or bring them up to date there.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File: .csv or .jsonl (else CSV here).")
@click.option("--filter", "filters", multiple=True, help="Only these jobs: method=A, kind=evaluate (repeatable).")
@study_option
@json_option
@archive_option
@store_option
def command(
    folder: Path | None,
    to: str | None,
    out: Path | None,
    filters: tuple[str, ...],
    study: str | None,
    as_json: bool,
    archive: Path | None,
    store_path: Path | None,
) -> None:
    """Write what ended in a study (results and failures) in the form that 'orch import' takes.

    Imported elsewhere, it gives the same tables. What has not ended, or was
    dropped by hand, is left out, and counted.

    With --to, the accepted results with their curves, parameters and tags go
    into DIR as runs of another tool. Said again, it adds what is new there,
    and takes away what was dropped or superseded.

    \b
    Example:
      orch export --out results.csv
      orch export --to tensorboard tb && tensorboard --logdir tb
      orch export --to wandb-offline wb && wandb sync wb/wandb/offline-run-*
      orch export --to mlflow-files mlruns
    """
    if to is not None:
        if folder is None or out is not None:
            raise BadInput(f"--to {to} writes into a folder: 'orch export --to {to} DIR', without --out")
        if archive is not None:
            raise BadInput(f"--to {to} writes the runs of a store, and --archive names none: leave one of them out")
        _elsewhere(to, folder, filters, study, as_json, store_path)
        return
    if folder is not None:
        raise BadInput(f"'{folder}' is for --to: say which tool it is for, or write a file with --out")
    from db import imports
    from db.studytables import layouts
    from jobs.files import publish
    from jobs.words import JobState
    from orchestrator.exchange.exporting import FORMATS, records, render
    from orchestrator.report.gathering import all_rows
    from orchestrator.tables.filters import select
    from orchestrator.views.words import plural

    format = out.suffix.removeprefix(".").lower() if out else "csv"
    if format not in FORMATS:
        raise BadInput(f"cannot tell the format of '{out}': end it in .{' or .'.join(FORMATS)}")
    store, _, name = open_study(store_path, study, archive)
    with store.read() as connection:
        names = imports.names(connection, name)
        tables = layouts(connection, name)
    everything = select(all_rows(store, name), filters)
    rows = [row for row in everything if row.dropped is None]
    found = records(rows, names, tables)
    failed = sum(row.state == JobState.FAILED for row in rows)
    if out is not None:
        try:
            publish(out, render(found, format).encode())
        except OSError as error:
            raise BadInput(f"cannot write '{out}': {error.strerror}; choose another --out") from None
        also = f" and {plural(failed, 'failed job')}" if failed else ""
        click.echo(f"wrote {plural(len(found) - failed, 'result')}{also} to {out}", err=True)
    if len(found) < len(rows):
        click.echo(f"left out {plural(len(rows) - len(found), 'job')} that had not ended", err=True)
    if len(rows) < len(everything):
        dropped = plural(len(everything) - len(rows), "job")
        click.echo(f"left out {dropped} dropped by hand: 'orch keep' takes that back", err=True)
    if as_json:
        print_json(found)
    elif out is None:
        # a file or a program gets every sign, a terminal what can be shown
        click.echo(render(found, "csv"), nl=False, file=sys.stdout if sys.stdout.isatty() else unguarded(sys.stdout))


def _elsewhere(
    to: str, folder: Path, filters: tuple[str, ...], study: str | None, as_json: bool, store_path: Path | None
) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from orchestrator.report.gathering import all_rows
    from orchestrator.tables.filters import select
    from orchestrator.tracking.elsewhere import export
    from orchestrator.views.words import plural

    store, _, name = open_study(store_path, study, None)
    everything = all_rows(store, name)
    rows = select(everything, filters)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"writing {to}", total=None)
        done = export(store, name, rows, everything, to, folder, lambda n, of: bar.update(task, completed=n, total=of))
    said = [plural(len(done.written), "run")]
    said += [f"{len(done.unchanged)} were there already"] if done.unchanged else []
    said += [f"{plural(done.removed, 'run')} taken away (dropped or superseded)"] if done.removed else []
    click.echo(f"wrote {', '.join(said)}: {folder}", err=True)
    for count, text in (
        (done.without, "without an accepted result"),
        (done.dropped, "dropped by hand: 'orch keep' takes that back"),
    ):
        if count:
            click.echo(f"left out {plural(count, 'job')} {text}", err=True)
    if done.superseded:
        click.echo(f"left out {plural(done.superseded, 'superseded result')} of jobs that were run anew", err=True)
    if as_json:
        left_out = {"without_result": done.without, "dropped": done.dropped, "superseded": done.superseded}
        print_json(
            {
                "to": to,
                "study": name,
                "written": list(done.written),
                "unchanged": list(done.unchanged),
                "removed": done.removed,
                "left_out": left_out,
            }
        )
