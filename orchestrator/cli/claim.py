"""`orch claim`"""

from __future__ import annotations

from pathlib import Path

import click

from jobs.errors import BadInput
from orchestrator.cli.options import json_option, open_store, print_json, store_option, study_option


@click.command(name="claim")
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file, like table2.claim."
)
@study_option
@json_option
@store_option
def command(out: Path, study: str | None, as_json: bool, store_path: Path | None) -> None:
    """Write one file with a study's table, its results and the ledger of every seed ever asked for in its cells.

    Whoever has the file can check it with 'orch verify', without this store. It says what was dropped, cancelled,
    run again or asked for in another study. It proves that the story is consistent, and not that it is true: so commit
    or mail the head that it prints, and later claims are held against that.

    \b
    Example:
      orch claim --out table2.claim
      orch verify table2.claim
    """
    from rich.console import Console
    from rich.progress import Progress

    from jobs.files import publish
    from orchestrator.claims import records
    from orchestrator.claims.making import make
    from orchestrator.views.collect import study_of
    from orchestrator.views.looking import look
    from orchestrator.views.words import plural

    store, settings = open_store(store_path, looking=True)
    look(store, settings)
    with store.read() as connection:
        name = study_of(connection, study, settings)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the journal", total=None)
        claim = make(store, name, lambda done, total: bar.update(task, completed=done, total=total))
    data = records.encode(claim)
    packed = records.pack(data)
    try:
        publish(out, packed)
    except OSError as error:
        raise BadInput(f"cannot write '{out}': {error.strerror}; choose another --out") from None
    head = f"{len(claim.files)}:{claim.head}"
    if as_json:
        print_json(
            {"file": str(out), "study": name, "digest": records.digest_of(data), "head": head, "bytes": len(packed)}
        )
        return
    click.echo(f"wrote {out}: {len(packed) / 1000:.1f} kB, {plural(len(claim.rows), 'job')} of study '{name}'")
    click.echo(f"head {head}")
    click.echo("Commit or mail the head: 'orch verify NEW --against HEAD' then sees whether this journal was changed.")
