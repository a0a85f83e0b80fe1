"""The tables that a study's file lays out, of the study's jobs: for `orch table` and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import msgspec

from db.bunches import bunched, where
from db.layouts import METRIC, Layout, Statistic
from db.rows import ResultRow
from jobs.errors import BadInput
from orchestrator.tables.afterthoughts import notes
from orchestrator.tables.grouped import Grouped
from orchestrator.tables.pivot import Laid, concerned, lay_out
from orchestrator.tables.table2 import Table2
from orchestrator.tables.values import parts, unquoted


def laid_out(
    layouts: Sequence[Layout],
    rows: Sequence[ResultRow],
    everything: Sequence[ResultRow],
    metrics: str | None = None,
    show: str | None = None,
) -> list[Laid]:
    """Each table of the study. `metrics`, `show`: instead of what the layouts say. Raises BadInput.

    `everything`: those too that were dropped by hand, for footnotes.
    """
    found = []
    for number, layout in enumerate(layouts, 1):
        changes: dict[str, Any] = {}
        if metrics:
            changes["metrics"] = tuple(str(unquoted(part)) for part in parts(metrics))
        if show:
            changes["show"] = tuple(map(str.strip, show.split(",")))
            for one in changes["show"]:
                if one not in get_args(Statistic):
                    raise BadInput(f"cannot show '{one}': use some of {', '.join(get_args(Statistic))}")
        asked = msgspec.structs.replace(layout, **changes)
        one = lay_out(asked, rows, number)
        keys = [key for key in (*one.layout.rows, *one.layout.columns) if key != METRIC]
        told = (*one.grouped.notes, *notes(concerned(one.layout, everything), keys))
        found.append(replace(one, grouped=replace(one.grouped, notes=told)))
    return found


def not_laid_out(layouts: Sequence[Layout], rows: Sequence[ResultRow]) -> Sequence[ResultRow]:
    """The jobs that are of no experiment with a table of its own, where the study as a whole has none."""
    names = {layout.experiment for layout in layouts}
    return [] if "" in names else where(bunched(rows), lambda row: row.experiment not in names)


def say(rules: Sequence[str], laid: list[Laid], others: list[Grouped], tables: list[Table2]) -> None:
    """Put what is said of the study's rule under its first table."""
    if laid:
        laid[0] = replace(laid[0], grouped=replace(laid[0].grouped, notes=(*laid[0].grouped.notes, *rules)))
    elif others:
        others[0] = replace(others[0], notes=(*others[0].notes, *rules))
    elif tables:
        tables[0] = replace(tables[0], notes=(*tables[0].notes, *rules))
