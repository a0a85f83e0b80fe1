"""The tables of `orch table`: Table 2, one beside another, grouped jobs; each in every format and as grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from db.bunches import Many, bunched, where
from db.layouts import Layout
from db.rows import ResultRow
from db.store import Store
from jobs.errors import BadInput
from orchestrator.stopping import told
from orchestrator.tables.generic import Show
from orchestrator.tables.grid import Grid
from orchestrator.tables.grouped import Grouped as GroupedJobs
from orchestrator.tables.japanese import spoken
from orchestrator.tables.table2 import Table2
from orchestrator.tables.values import parts, unquoted
from orchestrator.tables.words import Language


@dataclass(frozen=True, kw_only=True)
class MadeOf:
    """What the tables of a study are made of: its jobs that count, all that were not cancelled, and its layouts."""

    rows: Sequence[ResultRow]
    everything: Sequence[ResultRow]
    layouts: Sequence[Layout]
    rules: Sequence[str] = ()
    """What is to be said of the rule that ends the study."""

    @classmethod
    def gather(cls, store: Store, study: str, filters: Sequence[str]) -> MadeOf:
        """Of a store. Raises BadInput."""
        from db.studytables import layouts

        with store.read() as connection:
            laid, rules = layouts(connection, study), told.lines(connection, study)
        rows, everything = _rows(store, study, filters)
        return cls(rows=rows, everything=everything, layouts=laid, rules=rules)


class Output:
    """A table that can be written in every format, and shown."""

    def text(self, format: str) -> str:
        raise NotImplementedError

    def beside(self, format: str) -> dict[str, str]:
        """What belongs to it in files of its own, where the format has one table a file: name → text."""
        return {}

    def grids(self) -> list[Grid]:
        raise NotImplementedError


class Plain(Output):
    """What a study has: Table 2 for each data set and preset, then what varies against what is reported, by program."""

    def __init__(
        self, made_of: MadeOf, stats: bool, lang: Language, metrics: str | None = None, show: str | None = None
    ) -> None:
        from orchestrator.report.laid import laid_out, not_laid_out, say
        from orchestrator.tables import default
        from orchestrator.tables import stats as statistics
        from orchestrator.tables.afterthoughts import notes
        from orchestrator.tables.table2 import build_all

        everything = made_of.everything
        self.laid = laid_out(made_of.layouts, made_of.rows, everything, metrics, show)
        rows = not_laid_out([one.layout for one in self.laid], made_of.rows)
        tables = build_all(rows)
        house = default.wants_table2(rows, tables)
        if house and not self.laid and (metrics or show):
            raise BadInput(
                f"{'--metric' if metrics else '--show'} belongs to a grouped table: name keys, like --by kind"
            )
        self.tables = [
            replace(table, notes=(*table.notes, *notes(_of(everything, table), codes=False)))
            for table in (tables if house else ())
        ]
        self.stats = [statistics.compute(table) for table in self.tables] if stats else None
        self.with_stats = stats
        self.lang: Language = lang
        asked = split(metrics, "--metric") if metrics else None
        programs = default.parts(default.beside_table2(rows) if house else rows)
        chosen = [part if asked is None else replace(part, metrics=asked, left_out=0) for part in programs]
        self.others = [
            replace(found, notes=(*found.notes, *notes(_same(part.rows, everything), part.by)))
            for part in chosen
            for found in (part.table(),)
        ]
        say(made_of.rules, self.laid, self.others, self.tables)
        self.show = cast(list[Show], split(show or "mean", "--show"))

    def text(self, format: str) -> str:
        from orchestrator.tables import groupstats
        from orchestrator.tables.render import dump, render, write

        if not self.others and not self.laid and format not in ("csv", "json"):
            return render(self.tables, format, lang=self.lang, stats=self.stats)
        if format == "json":
            found: list[Any] = [
                {**table.contract(), **({"statistics": self.stats[place].contract()} if self.stats else {})}
                for place, table in enumerate(self.tables)
            ]
            programs = [
                {**grouped.contract(), **({"statistics": groupstats.contract(grouped)} if self.with_stats else {})}
                for grouped in self.others
            ]
            programs = [
                {**one.contract(), **({"statistics": groupstats.contract(one.grouped)} if self.with_stats else {})}
                for one in self.laid
            ] + programs
            if found and programs:  # Table 2 stays the document that its readers know
                found[0]["programs"] = programs
            found = found or programs
            return dump(found[0] if len(found) == 1 else found) if found else render([], "json", lang=self.lang)
        if format == "csv":
            return write([self._rectangle()], "csv")
        return write(self.grids(), format)

    def beside(self, format: str) -> dict[str, str]:
        from orchestrator.tables.render import flat, rectangle, write

        if format != "csv" or not self.stats:
            return {}
        records = [
            {"dataset": table.dataset, "preset": table.preset, **flat(one)}
            for table, found in zip(self.tables, self.stats, strict=True)
            for one in found.contract()["growth"]
        ]
        whole = rectangle(records)
        return {"growth": write([Grid(caption="", headings=[], rows=[], records=whole)], "csv")} if whole else {}

    def _rectangle(self) -> Grid:
        """Every number of every table in one: a row for each of theirs."""
        from orchestrator.tables import generic, groupstats
        from orchestrator.tables.render import flat, rectangle, to_grid

        records: list[dict[str, object]] = []
        for place, table in enumerate(self.tables):
            plain = [dict(record) for record in to_grid(table, self.lang).records]
            more = self.stats[place].contract()["rows"] if self.stats else [{} for _ in plain]
            numbers = rectangle([flat(extra) for extra in more])
            records += [{**extra, **record} for record, extra in zip(plain, numbers, strict=True)]
        several_tables = len(self.laid) + len(self.others) + len(self.tables) > 1
        programs = [(one.grouped, one.records()) for one in self.laid]
        programs += [(one, [dict(record) for record in generic.to_grid(one).records]) for one in self.others]
        for grouped, plain in programs:
            several = {"table": grouped.title} if several_tables else {}
            numbers = groupstats.records(grouped) if self.with_stats else [{} for _ in plain]
            records += [{**several, **one, **extra} for one, extra in zip(plain, numbers, strict=True)]
        headings = [] if records else to_grid(Table2(dataset=None, preset=None, studies=(), rows=())).headings
        return Grid(caption="", headings=headings, rows=[], records=records)

    def grids(self) -> list[Grid]:
        from orchestrator.tables import groupstats
        from orchestrator.tables.render import to_grid

        found = []
        empty = [] if self.others or self.laid else [Table2(dataset=None, preset=None, studies=(), rows=())]
        for position, table in enumerate(self.tables or empty):
            found.append(to_grid(table, self.lang))
            if self.stats:
                found += self.stats[position].grids(self.lang)
        for one in self.laid:
            found += [
                spoken(one.grid(), self.lang, own=True),
                *(groupstats.grids(one.grouped, self.lang) if self.with_stats else ()),
            ]
        for grouped in self.others:
            found += grouped_grids(grouped, self.show, False, self.with_stats, self.lang)
        return found


def grouped_grids(grouped: GroupedJobs, show: list[Show], wide: bool, stats: bool, lang: Language) -> list[Grid]:
    """The table, with what is best in it where it is of programs; then its statistics."""
    from orchestrator.tables import generic, groupstats

    found = [generic.to_grid(grouped, show=show, wide=wide, emphasize=not grouped.house)]
    return [*(spoken(grid, lang) for grid in found), *(groupstats.grids(grouped, lang) if stats else ())]


def _same(rows: Sequence[ResultRow], everything: Sequence[ResultRow]) -> Sequence[ResultRow]:
    """The jobs of the same kind and program, with those that were dropped by hand."""
    from orchestrator.tables import arguments
    from orchestrator.tables.keys import alike

    kinds = {(row.kind, arguments.program(row.config.get("argv") or ())) for row in alike(rows)}
    return where(bunched(everything), lambda row: (row.kind, arguments.program(row.config.get("argv") or ())) in kinds)


class Beside(Output):
    """Table 2 beside a published one."""

    def __init__(self, store: Store, study: str, filters: Sequence[str], source: str, lang: Language) -> None:
        from orchestrator.tables import diff
        from orchestrator.tables.table2 import build

        self.diff = diff.compare(build(_rows(store, study, filters)[0]), diff.load(source))
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
        stats: bool,
        lang: Language,
    ) -> None:
        from db import results
        from orchestrator.tables import default, generic
        from orchestrator.tables.afterthoughts import notes
        from orchestrator.tables.filters import select
        from orchestrator.tables.lacking import Epoch

        source = epoch or "result"
        with store.read() as connection:
            curves = results.curves(connection, study) if source != "result" else []
            rules = told.lines(connection, study)
        rows, everything = _rows(store, study, ())
        self.grouped = generic.group(
            rows,
            split(by, "--by"),
            split(metrics, "--metric") if metrics else default.metrics(rows),
            filters,
            epoch=cast(Epoch, source),
            curves=curves,
        )
        everything = select(everything, filters)
        more = (*notes(everything, split(by, "--by")), *rules)
        self.grouped = replace(self.grouped, notes=(*self.grouped.notes, *more))
        self.show = cast(list[Show], split(show or "mean", "--show"))
        self.wide = wide
        self.stats = stats
        self.lang: Language = lang

    def text(self, format: str) -> str:
        from orchestrator.tables import groupstats
        from orchestrator.tables.render import dump, write

        if format == "json":
            more = {"statistics": groupstats.contract(self.grouped)} if self.stats else {}
            return dump({**self.grouped.contract(), **more})
        if format == "csv" and self.stats:
            (plain,) = grouped_grids(self.grouped, self.show, False, False, self.lang)
            numbers = zip(plain.records, groupstats.records(self.grouped), strict=True)
            return write([replace(plain, records=[{**one, **more} for one, more in numbers])], "csv")
        return write(self.grids(), format)

    def grids(self) -> list[Grid]:
        return grouped_grids(self.grouped, self.show, self.wide, self.stats, self.lang)


def split(text: str, option: str) -> list[str]:
    """`a,b`; a name with a comma in it stands in quotes. Raises BadInput."""
    found = [str(unquoted(part)) for part in parts(text)]
    if not all(found):
        raise BadInput(f"{option} '{text}' names nothing between two commas: write it like a,b")
    return found


def _rows(store: Store, study: str, filters: Sequence[str]) -> tuple[Sequence[ResultRow], Sequence[ResultRow]]:
    """The jobs that count; and with those that were dropped by hand, for footnotes. Raises BadInput."""
    from db.columns import bunches
    from orchestrator.tables.filters import select

    with store.read() as connection:
        everything = bunches(connection, study, dropped=True)
    return select(where(everything, lambda row: row.dropped is None), filters), select(everything, filters)


def _of(rows: Sequence[ResultRow], table: Table2) -> Many:
    """The jobs of a table's data set and preset."""
    return where(bunched(rows), lambda row: (row.dataset, row.preset) == (table.dataset, table.preset))
