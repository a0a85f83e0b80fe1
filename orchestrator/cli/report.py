"""`orch report`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import archive_option, open_study, store_option, study_option

if TYPE_CHECKING:
    from orchestrator.report.data import ReportData
    from orchestrator.tables.words import Language


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The folder in which index.html is written (default: report).",
)
@click.option(
    "--checklist",
    is_flag=True,
    help="The NAS checklist alone, to --out FILE.md, .tex, .html, .csv or .json; without --out shown here.",
)
@click.option("--lang", default="en", show_default=True, help="Language of its words: en or ja.")
@study_option
@archive_option
@store_option
def command(
    out: Path | None, checklist: bool, lang: str, study: str | None, archive: Path | None, store_path: Path | None
) -> None:
    """One self-contained HTML page: Table 2 with statistics, all figures, settings, failures, every job.

    \b
    Example:
      orch report --out report/
      orch report --checklist --out checklist.md
      orch report --archive t2.zip --out report/
    """
    from jobs.files import now
    from orchestrator.mirroring import ages
    from orchestrator.report import page
    from orchestrator.report.gathering import Live, report_data
    from orchestrator.supervision import hosts
    from orchestrator.tables.words import language
    from orchestrator.views.hosts import notes

    chosen = language(lang)
    store, settings, name = open_study(store_path, study, archive)
    live = None
    if archive is None:
        others = hosts.others(store)
        first = notes(others, now(), hosts.asked(others, settings))
        mirror = ages.of_store(store, settings)
        if mirror is not None and (warning := mirror.warning(now())) is not None:
            first.append(warning)
        line = mirror.line(now()) if mirror is not None else ""
        live = Live(first=first, quota=settings.store.quota, mirror=line)
    data = report_data(store, name, live)
    if checklist:
        _checklist(data, out, chosen)
        return
    click.echo(f"wrote {page.write(data, out or Path('report'), chosen)}", err=True)


def _checklist(data: ReportData, out: Path | None, lang: Language) -> None:
    """Show it, or write it in the format of the file's suffix. Raises BadInput."""
    from jobs.errors import BadInput
    from jobs.files import publish
    from orchestrator.report.checklist import spoken_grid
    from orchestrator.tables.render import FORMATS, write

    grid = spoken_grid(data, lang)
    if out is None:
        click.echo(write([grid], "md"), nl=False)
        return
    format = out.suffix.removeprefix(".").lower()
    if format not in FORMATS:
        raise BadInput(f"cannot tell the checklist's format from '{out.name}': end it in .{', .'.join(FORMATS)}")
    try:
        publish(out, write([grid], format).encode())
    except OSError as error:
        raise BadInput(f"cannot write '{out}': {error.strerror}; choose another --out") from None
    click.echo(f"wrote {out}", err=True)
