"""`orch table`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobs.errors import BadInput
from orchestrator import text
from orchestrator.cli.options import archive_option, json_option, open_study, store_option, study_option

if TYPE_CHECKING:
    from orchestrator.report.outputs import Output


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File: .md, .tex, .csv, .json or .html.")
@click.option("--stats", is_flag=True, help="Add 95 % intervals, paired tests, effect sizes.")
@click.option("--diff", metavar="FILE|report", help="Set beside a table in JSON, or beside the report's own.")
@click.option("--by", help="Group by these keys instead, like kind,shortcuts.")
@click.option("--metric", "metrics", help="These metrics, like test_accuracy,params_m (default: all).")
@click.option("--filter", "filters", multiple=True, help="Only these jobs: method=A, test_accuracy>=93 (repeatable).")
@click.option("--epoch", type=click.Choice(["result", "last", "best"]), help="With --by: where numbers come from.")
@click.option("--show", help="mean, min, median, max, several by commas.")
@click.option("--wide", is_flag=True, help="With --by: the last key's values become columns.")
@click.option("--lang", default="en", show_default=True, help="Language of its words: en or ja.")
@study_option
@json_option
@archive_option
@store_option
def command(
    out: Path | None,
    stats: bool,
    diff: str | None,
    by: str | None,
    metrics: str | None,
    filters: Sequence[str],
    epoch: str | None,
    show: str | None,
    wide: bool,
    lang: str,
    study: str | None,
    as_json: bool,
    archive: Path | None,
    store_path: Path | None,
) -> None:
    """Mean±std tables: what varies against what is reported, in the layout of Table 2 for the house's study.

    The format follows the suffix of --out; without --out the table is shown here. A cell that is not complete shows
    how far it is (8/10, pending), never a number made of nothing.

    \b
    Example:
      orch table --out table.md
      orch table --by lr --metric val/acc --stats
      orch table --diff report
      orch table --by kind,shortcuts --metric test_accuracy,params_m
      orch table --archive t2.zip
    """
    generic = {"--epoch": epoch, "--wide": wide}
    alone = [name for name, given in generic.items() if given]
    if alone and not by:
        raise BadInput(f"{alone[0]} belongs to a grouped table: name the keys too, like --by kind")
    if by and diff:
        raise BadInput("--diff is for Table 2, not for a table grouped by --by: leave one of them out")
    if stats and wide:
        raise BadInput("--stats stands beside long tables: leave --wide out")
    if stats and diff:
        raise BadInput("--stats and --diff are two tables: ask for one at a time")
    from orchestrator.report.outputs import Beside, Grouped, MadeOf, Plain
    from orchestrator.tables.render import format_of
    from orchestrator.tables.words import language

    chosen = language(lang)
    format = format_of(out) if out else "json" if as_json else ""
    store, _, name = open_study(store_path, study, archive)
    if by:
        table: Output = Grouped(store, name, by, metrics, filters, epoch, show, wide, stats, chosen)
    elif diff:
        table = Beside(store, name, filters, diff, chosen)
    else:
        table = Plain(MadeOf.gather(store, name, filters), stats, chosen, metrics, show)
    if out is not None:
        write_file(out, table.text(format))
        click.echo(f"wrote {out}", err=True)
        for name, more in table.beside(format).items():
            own = out.with_name(f"{out.stem}-{name}{out.suffix}")
            write_file(own, more)
            click.echo(f"wrote {own}", err=True)
    if as_json:
        click.echo(text.json(table.text("json")), nl=False)
    elif out is None:
        show_table(table)


def show_table(table: Output) -> None:
    from orchestrator.views.grid import terminal
    from orchestrator.views.tables import console

    out = console()
    for grid in table.grids():
        out.print(terminal(grid, out.width))


def write_file(out: Path, text: str) -> None:
    from jobs.files import publish

    try:
        publish(out, text.encode())
    except OSError as error:
        raise BadInput(f"cannot write '{out}': {error.strerror}; choose another --out") from None
