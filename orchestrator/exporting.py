"""`orch export`: every result of a study as CSV or JSON lines, in the form that `orch import` takes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.space import text_of

FIRST = ("kind", "method", "search_epoch", "seed", "dataset", "preset", "repeat", "architecture")
METRICS_FIRST = ("test_accuracy", "params", "shortcuts")
LAST = ("config",)
TOLD = frozenset({"method", "search_epoch", "repeat", "preset", "dataset"})
"""Settings with a column of their own."""
FORMATS = ("csv", "jsonl")


def records(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """One record for each job with a result; what it has not is left out.

    `search`, the id of a job of this store, is left out too: it would name another job elsewhere.
    """
    found = []
    for row in rows:
        if not row.metrics:
            continue
        config = {key: value for key, value in row.config.items() if key not in TOLD and key != "search"}
        architecture = text_of(row.edges) if row.edges is not None else ""
        if row.kind == "evaluate" and config.get("architecture") == architecture:
            config.pop("architecture")
        told = {
            "kind": row.kind,
            "method": row.config.get("method"),
            "search_epoch": row.config.get("search_epoch"),
            "seed": row.seed,
            "dataset": row.dataset,
            "preset": row.preset,
            "repeat": row.config.get("repeat"),
            "architecture": architecture,
        }
        metrics = {name: value for name, value in row.metrics.items() if value is not None}
        ordered = [*METRICS_FIRST, *sorted(metrics.keys() - set(METRICS_FIRST))]
        record = {name: value for name, value in told.items() if value not in (None, "")}
        record.update((name, metrics[name]) for name in ordered if name in metrics)
        if config:
            record["config"] = config
        found.append(record)
    return found


def render(found: Sequence[Mapping[str, Any]], format: str) -> str:
    """Records as a file's text. Raises BadInput for an unknown format."""
    if format == "jsonl":
        return "".join(msgspec.json.encode(record).decode() + "\n" for record in found)
    if format != "csv":
        raise BadInput(f"cannot export as '{format}': end the file in .{' or .'.join(FORMATS)}")
    others = sorted({name for record in found for name in record} - {*FIRST, *METRICS_FIRST, *LAST})
    heading = [*FIRST, *METRICS_FIRST, *others, *(name for name in LAST if any(name in record for record in found))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heading)
    for record in found:
        writer.writerow([_cell(record.get(name)) for name in heading])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
