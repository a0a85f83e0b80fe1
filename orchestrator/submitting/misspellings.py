"""Metrics that a study file's tables probably misspell: a warning, since a program may report anything."""

from __future__ import annotations

from collections.abc import Iterable

from db import results
from db.layouts import METRIC, Layout
from db.store import Store
from jobs.kind import kinds
from orchestrator.submitting.layouts import Swept, told
from orchestrator.tables import filters
from orchestrator.tables.keys import ALIASES, ATTRIBUTES, DERIVED, likely


def found(store: Store | None, study: str, tables: Iterable[Layout], swept: Swept) -> list[str]:
    """One sentence for each name that nobody declares or has reported, and that is like one that somebody did, or that
    a filter rests on."""
    reported: set[str] | None = None
    said = []
    for layout in tables:
        own = [(one, points) for one, points in swept if layout.experiment in ("", one.name)]
        declared = {name for one, _ in own for name in one.metrics}
        declared |= {one.name for kind, _ in own if kind.kind in kinds() for one in kinds()[kind.kind].metrics}
        values = {item.value for _, points in own for point in points for item in point.values.values()}
        known = declared | told(own) | values | {*ATTRIBUTES, *ALIASES, *DERIVED, METRIC, ""}
        for key, names in (
            ("metrics", layout.metrics),
            ("labels", layout.labels),
            ("units", layout.units),
            ("digits", layout.digits),
            ("filter", [filters.parse(words, known).key for words in layout.filters]),
        ):
            for name in names:
                if name.removeprefix("metrics.") in known or name.removeprefix("config.") in known:
                    continue
                if reported is None:
                    reported = _reported(store, study)
                near = None if name in reported else likely(name, declared | reported | told(own) - {METRIC})
                where = f"[experiment.table] of '{layout.experiment}'" if layout.experiment else "[table]"
                if near is not None:
                    said.append(f"warning: {where}, {key}: nothing reports '{name}' yet: did you mean '{near}'?")
                elif key == "filter" and name not in reported:
                    said.append(
                        f"warning: {where}, filter: no job is given '{name}' and none has reported it yet: until one "
                        "does, 'orch table' refuses the filter"
                    )
    return said


def _reported(store: Store | None, study: str) -> set[str]:
    if store is None:
        return set()
    with store.read() as connection:
        return {name for row in results.rows(connection, study) for name in row.metrics}
