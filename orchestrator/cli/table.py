"""`orch table`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from jobs.errors import BadInput
from orchestrator.cli.options import json_option, open_store, store_option, study_option

if TYPE_CHECKING:
    from db.rows import ResultRow
    from db.store import Store
    from orchestrator.tables.grid import Grid
    from orchestrator.tables.words import Language


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File: .md, .tex, .csv, .json or .html.")
@click.option("--stats", is_flag=True, help="Add n, 95 % intervals, tests against matched random, effect sizes.")
@click.option("--diff", metavar="FILE|report", help="Set beside a table in JSON, or beside the report's own.")
@click.option("--by", help="Group by these keys instead, like kind,shortcuts.")
@click.option("--metric", "metrics", help="With --by: these metrics, like test_accuracy,params_m.")
@click.option("--filter", "filters", multiple=True, help="Only these jobs: method=A, test_accuracy>=93 (repeatable).")
@click.option("--epoch", type=click.Choice(["result", "last", "best"]), help="With --by: where numbers come from.")
@click.option("--show", help="With --by: mean, min, median, max, several by commas.")
@click.option("--wide", is_flag=True, help="With --by: the last key's values become columns.")
@click.option("--lang", default="en", show_default=True, help="Language of the headings: en or ja.")
@study_option
@json_option
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
    store_path: Path | None,
) -> None:
    """Mean±std tables in the layout of Table 2, or grouped by any key.

    The format follows the suffix of --out; without --out the table is shown here. A cell that is not complete shows
    how far it is (8/10, pending), never a number made of nothing.

    \b
    Example:
      orch table --out table2.md
      orch table --diff report
      orch table --by kind,shortcuts --metric test_accuracy,params_m
    """
    generic = {"--metric": metrics, "--epoch": epoch, "--show": show, "--wide": wide}
    alone = [name for name, given in generic.items() if given]
    if alone and not by:
        raise BadInput(f"{alone[0]} belongs to a grouped table: name the keys too, like --by kind")
    if by and (stats or diff):
        raise BadInput("--stats and --diff are for Table 2, not for a table grouped by --by: leave one of them out")
    if stats and diff:
        raise BadInput("--stats and --diff are two tables: ask for one at a time")
    from orchestrator.looking import look
    from orchestrator.tables.render import format_of
    from orchestrator.tables.words import language
    from orchestrator.views.collect import study_of

    chosen = language(lang)
    format = format_of(out) if out else "json" if as_json else ""
    store, settings = open_store(store_path)
    look(store, settings)
    with store.read() as connection:
        name = study_of(connection, study, settings)
    if by:
        table: Output = Grouped(store, name, by, metrics, filters, epoch, show, wide)
    elif diff:
        table = Beside(store, name, filters, diff, chosen)
    else:
        table = Plain(store, name, filters, stats, chosen)
    if out is not None:
        _write(out, table.text(format))
        click.echo(f"wrote {out}", err=True)
    if as_json:
        click.echo(table.text("json"), nl=False)
    elif out is None:
        _show(table)


class Output:
    """A table that can be written in every format, and shown."""

    def text(self, format: str) -> str:
        raise NotImplementedError

    def grids(self) -> list[Grid]:
        raise NotImplementedError

    hint = ""


class Plain(Output):
    """Table 2, one for each data set and preset."""

    def __init__(self, store: Store, study: str, filters: Sequence[str], stats: bool, lang: Language) -> None:
        from orchestrator.tables import stats as statistics
        from orchestrator.tables.table2 import build_all

        rows = _rows(store, study, filters)
        self.tables = build_all(rows)
        self.stats = [statistics.compute(table) for table in self.tables] if stats else None
        self.lang: Language = lang
        if rows and not self.tables:
            kinds = ", ".join(sorted({row.kind for row in rows}))
            self.hint = f"Table 2 has no row for jobs of {kinds}: group them, like 'orch table --by kind,seed'"

    def text(self, format: str) -> str:
        from orchestrator.tables.render import render

        return render(self.tables, format, lang=self.lang, stats=self.stats)

    def grids(self) -> list[Grid]:
        from orchestrator.tables.render import to_grid
        from orchestrator.tables.table2 import Table2

        tables = self.tables or [Table2(dataset=None, preset=None, studies=(), rows=())]
        found = []
        for position, table in enumerate(tables):
            found.append(to_grid(table, self.lang))
            if self.stats:
                found += self.stats[position].grids(self.lang)
        return found


class Beside(Output):
    """Table 2 beside a published one."""

    def __init__(self, store: Store, study: str, filters: Sequence[str], source: str, lang: Language) -> None:
        from orchestrator.tables import diff
        from orchestrator.tables.table2 import build

        self.diff = diff.compare(build(_rows(store, study, filters)), diff.load(source))
        self.lang: Language = lang

    def text(self, format: str) -> str:
        from orchestrator.tables import diff

        return diff.render(self.diff, format, self.lang)

    def grids(self) -> list[Grid]:
        from orchestrator.tables import diff

        return [diff.to_grid(self.diff, self.lang)]


class Grouped(Output):
    """Any study by any keys."""

    def __init__(
        self,
        store: Store,
        study: str,
        by: str,
        metrics: str | None,
        filters: Sequence[str],
        epoch: str | None,
        show: str | None,
        wide: bool,
    ) -> None:
        from db import results
        from orchestrator.tables import generic

        source = epoch or "result"
        with store.read() as connection:
            curves = results.curves(connection, study) if source != "result" else []
        self.grouped = generic.group(
            _rows(store, study, ()),
            _split(by, "--by"),
            _split(metrics or "test_accuracy", "--metric"),
            filters,
            epoch=cast(generic.Epoch, source),
            curves=curves,
        )
        self.show = cast(list[generic.Show], _split(show or "mean", "--show"))
        self.wide = wide

    def text(self, format: str) -> str:
        from orchestrator.tables.render import dump, write

        return dump(self.grouped.contract()) if format == "json" else write(self.grids(), format)

    def grids(self) -> list[Grid]:
        from orchestrator.tables import generic

        return [generic.to_grid(self.grouped, show=self.show, wide=self.wide)]


def _split(text: str, option: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise BadInput(f"{option} '{text}' names nothing between two commas: write it like a,b")
    return parts


def _rows(store: Store, study: str, filters: Sequence[str]) -> list[ResultRow]:
    from orchestrator.gathering import study_rows
    from orchestrator.tables.keys import select

    return select(study_rows(store, study), filters)


def _show(table: Output) -> None:
    from orchestrator.views.grid import terminal
    from orchestrator.views.tables import console

    out = console()
    for grid in table.grids():
        out.print(terminal(grid, out.width))
    if table.hint:
        click.echo(table.hint, err=True)


def _write(out: Path, text: str) -> None:
    from jobs.files import write_bytes

    try:
        write_bytes(out, text.encode(), durable=False)
    except OSError as error:
        raise BadInput(f"cannot write '{out}': {error.strerror}; choose another --out") from None
