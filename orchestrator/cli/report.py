"""`orch report`"""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import open_store, store_option, study_option


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    help="The folder in which index.html is written.",
)
@click.option("--lang", default="en", show_default=True, help="Language of its words: en or ja.")
@study_option
@store_option
def command(out: Path, lang: str, study: str | None, store_path: Path | None) -> None:
    """One self-contained HTML page: Table 2 with statistics, all figures, settings, failures, every job.

    \b
    Example:
      orch report --out report/
    """
    from jobs.files import now
    from orchestrator.mirroring import ages
    from orchestrator.report import page
    from orchestrator.report.gathering import report_data
    from orchestrator.supervision import hosts
    from orchestrator.tables.words import language
    from orchestrator.views.collect import study_of
    from orchestrator.views.hosts import notes
    from orchestrator.views.looking import look

    chosen = language(lang)
    store, settings = open_store(store_path, looking=True)
    look(store, settings)
    with store.read() as connection:
        name = study_of(connection, study, settings)
    others = hosts.others(store)
    first = notes(others, now(), hosts.asked(others, settings))
    mirror = ages.of_store(store, settings)
    if mirror is not None and (warning := mirror.warning(now())) is not None:
        first.append(warning)
    line = mirror.line(now()) if mirror is not None else ""
    data = report_data(store, name, first, settings.store.quota, line)
    click.echo(f"wrote {page.write(data, out, chosen)}", err=True)
