"""`orch export`: what ended in a study as CSV or JSON lines, in the form that `orch import` takes.

Exported, imported and exported again, a file stays the same, and so do the tables made of it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from db.imports import Names
from db.launching import Origin
from db.layouts import Layout
from db.rows import ResultRow
from jobs.architectures import text_of
from jobs.errors import BadInput
from jobs.kind import kinds
from jobs.words import JobState
from orchestrator.exchange.columns import CONFIG, MOST_TEXT, MOST_WHOLE, NUMBERS, ORIGIN, heading
from orchestrator.text import cell

FIRST = ("kind", "method", "search_epoch", "seed", "dataset", "preset", "repeat", "architecture")
LAST = (CONFIG, ORIGIN)
FORMATS = ("csv", "jsonl")
RESTS_ON = "rests on"


def records(rows: Sequence[ResultRow], names: Names, tables: Sequence[Layout] = ()) -> list[dict[str, Any]]:
    """One record for each job that ended with a result, or failed; what it has not is left out.

    `search`, the id of a job of this store, is told by the search's name, which holds elsewhere too. The first record
    says how the study's tables are laid out.
    """
    found = [_record(row, names) for row in rows if row.state in (JobState.SUCCEEDED, JobState.FAILED)]
    if found and tables:
        found[0][ORIGIN]["tables"] = msgspec.to_builtins(tuple(tables))
    return found


def _record(row: ResultRow, names: Names) -> dict[str, Any]:
    config = {**_preset_undone(row), **row.config}
    search = config.get("search")
    if isinstance(search, int):
        config.pop("search")
    told: dict[str, Any] = {
        "kind": row.kind,
        "seed": row.seed,
        "dataset": row.dataset,
        "preset": row.preset,
        "architecture": text_of(row.edges) if row.edges is not None else "",
    }
    told |= {
        name: config.pop(name) for name in ("method", "search_epoch", "repeat") if _is_told(name, config.get(name))
    }
    origin = Origin(
        key=names.jobs[row.job],
        imported=row.imported and not row.exported,
        search=names.searches.get(search, "") if isinstance(search, int) else "",
        state="failed" if row.state == JobState.FAILED else "succeeded",
        error=row.error,
        lacking=tuple(sorted(name for name, value in row.metrics.items() if value is None)),
        device_name=row.device_name,
        code=row.code,
        code_changed=row.code_changed,
        gpu_seconds=row.gpu_seconds or 0.0,
        cpu_seconds=row.cpu_seconds or 0.0,
        flags={**row.flags, **_rests_on(row)},
        label=row.label,
        experiment=row.experiment,
        live=row.live,
        declared=dict(row.declared),
    )
    metrics = {name: value for name, value in row.metrics.items() if value is not None}
    ordered = [*NUMBERS, *sorted(metrics.keys() - set(NUMBERS))]
    record = {name: told[name] for name in FIRST if told.get(name) not in (None, "")}
    record.update((heading(name), metrics[name]) for name in ordered if name in metrics)
    if config:
        record[CONFIG] = {name: config[name] for name in sorted(config)}
    return record | {ORIGIN: msgspec.to_builtins(origin)}


def _rests_on(row: ResultRow) -> dict[str, str]:
    """That its number rests on one that counts no more: a remark, since the ids hold in this store alone."""
    told = [
        f"generation {generation} of job {needed} of its store, which ran again since"
        for needed, generation in row.rests_on
    ]
    anew = {needed for needed, _ in row.rests_on}
    told += [
        f"job {needed} of its store, which was dropped by hand: {why}"
        for needed, why in row.rests_on_dropped
        if needed not in anew
    ]
    return {RESTS_ON: "; ".join(told)} if told else {}


def _is_told(name: str, value: Any) -> bool:
    """Whether a setting can stand in its own column, and comes back the same."""
    if name == "method":
        if not isinstance(value, str):
            return False
        return bool(value) and value == value.strip() and value.isprintable() and len(value) <= MOST_TEXT
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_WHOLE


def _preset_undone(row: ResultRow) -> dict[str, Any]:
    """Settings at the kind's default against its preset: an imported row is taken to follow its preset."""
    declared = kinds().get(row.kind)
    if declared is None or row.imported:
        return {}
    fields = {field.name: field.default for field in msgspec.structs.fields(declared.config)}
    return {
        name: fields[name]
        for name in declared.presets.get(row.preset, {})
        if name not in row.config and fields[name] is not msgspec.NODEFAULT
    }


def render(found: Sequence[Mapping[str, Any]], format: str) -> str:
    """Records as a file's text. Raises BadInput for an unknown format."""
    if format == "jsonl":
        return "".join(msgspec.json.encode(record).decode() + "\n" for record in found)
    if format != "csv":
        raise BadInput(f"cannot export as '{format}': end the file in .{' or .'.join(FORMATS)}")
    others = sorted({name for record in found for name in record} - {*FIRST, *NUMBERS, *LAST})
    names = [*FIRST, *NUMBERS, *others, *(name for name in LAST if any(name in record for record in found))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    odd = any("\r" in name for name in names)  # which csv leaves unquoted
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL).writerow(
        [cell(name) for name in names]
    )
    for record in found:
        writer.writerow([_cell(record.get(name)) for name in names])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 2**53 and str(value) != "-0.0"
        return repr(int(value)) if whole else repr(value)
    return cell(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
