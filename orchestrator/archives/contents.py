"""What people read in an archive: settings, curves, architectures, and the outputs of commands with those commands."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from db import imports, results
from db.rows import ResultRow
from db.store import Store
from db.studytables import layouts
from jobs.architectures import text_of
from jobs.errors import BadInput
from orchestrator import figures
from orchestrator.exchange import exporting
from orchestrator.report import page, sections
from orchestrator.report.compared import Comparisons
from orchestrator.report.gathering import all_rows, figure_data, report_data, study_rows
from orchestrator.report.outputs import MadeOf, Plain
from orchestrator.tables.keys import defaults
from orchestrator.tables.render import write
from orchestrator.text import cell

TABLES = ("md", "tex", "csv", "json", "html")
DRAWN = (*page.SHOWN, "gantt", "forest", "paired", "profile")


@dataclass(frozen=True, kw_only=True)
class Made:
    """A file, and the command that makes it again, without --study and --archive; empty: none does."""

    name: str
    what: str
    data: bytes
    command: tuple[str, ...] = ()


def outputs(store: Store, study: str, progress: Callable[[str], None] = lambda name: None) -> Iterator[Made]:
    """Tables, comparisons, figures and the page, each by the code of its command; what a study cannot have is left out.

    Raises BadInput where its table itself cannot be made.
    """
    plain = Plain(MadeOf.gather(store, study, ()), False, "en")
    for format in TABLES:
        progress(f"table.{format}")
        yield _by(("table", "--out"), "tables", f"table.{format}", "the table", plain.text(format).encode())
    told = Plain(MadeOf.gather(store, study, ()), True, "en")
    for format in ("md", "json"):
        name = f"statistics.{format}"
        progress(name)
        yield _by(("table", "--stats", "--out"), "tables", name, "the table with its statistics", _text(told, format))
    for format in ("md", "json"):
        name = f"compare.{format}"
        progress(name)
        try:
            compared = _comparisons(store, study)
        except BadInput:
            break  # there is nothing to compare
        yield _by(("compare", "--out"), "tables", name, "is A better than B", _text(compared, format))
    for figure in DRAWN:
        progress(figure)
        try:
            drawn = figures.image(figure, figure_data(store, study, figure), "svg")
        except BadInput:
            continue  # this study has no such figure
        yield _by(("plot", figure, "--out"), "figures", f"{figure}.svg", figures.FIGURES[figure][0], drawn)
    progress("report")
    data = report_data(store, study)
    html = page.build(data).encode()
    yield Made(
        name="report/index.html",
        what="the page, with all tables, figures, settings and jobs",
        data=html,
        command=("report", "--out", "report"),
    )
    if (answered := page.checklist_of(data, "en")) is not None:
        name = "report/checklist.md"
        told_items = write([answered], "md").encode()
        command = ("report", "--checklist", "--out", name)
        yield Made(
            name=name, what="the NAS checklist, as far as the store can answer it", data=told_items, command=command
        )
    yield _exported(store, study)


def _text(output: Plain | Comparisons, format: str) -> bytes:
    return output.text(format).encode()


def _by(command: Sequence[str], folder: str, name: str, what: str, data: bytes) -> Made:
    return Made(name=f"{folder}/{name}", what=what, data=data, command=(*command, f"{folder}/{name}"))


def _comparisons(store: Store, study: str) -> Comparisons:
    return Comparisons(
        store, study, by=None, baseline=None, metrics=None, tasks=None, margin=None, paired=True, filters=()
    )


def _exported(store: Store, study: str) -> Made:
    with store.read() as connection:
        names, tables = imports.names(connection, study), layouts(connection, study)
    found = exporting.records(study_rows(store, study), names, tables)
    return Made(
        name="results.csv",
        what="every result, as 'orch import' takes it in",
        data=exporting.render(found, "csv").encode(),
        command=("export", "--out", "results.csv"),
    )


def settings(store: Store, study: str) -> Iterator[Made]:
    """What the jobs were asked to do, what they ran with, and which architectures they had."""
    rows = all_rows(store, study)
    yield Made(name="configs.json", what="each setting of each job, and its seeds", data=_json(_configs(rows)))
    if found := _architectures(rows):
        yield Made(name="architectures.json", what="each architecture, and its jobs", data=_json(found))
    told = [{"name": one.name, "value": one.value} for one in sections.versions(report_data(store, study))]
    yield Made(name="environments.json", what="versions, code and devices of the accepted runs", data=_json(told))


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def _configs(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    found: dict[bytes, dict[str, Any]] = {}
    for row in rows:
        told = {**defaults(row.kind, row.preset, row.imported), **row.config}
        key = msgspec.json.encode([row.kind, row.preset, row.dataset, told], order="sorted")
        one = found.setdefault(
            key, {"kind": row.kind, "preset": row.preset, "dataset": row.dataset, "settings": told, "jobs": []}
        )
        job: dict[str, Any] = {"job": row.job, "seed": row.seed, "state": row.state}
        one["jobs"].append(job if row.dropped is None else {**job, "dropped": row.dropped})
    return list(found.values())


def _architectures(rows: Sequence[ResultRow]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in rows:
        if row.architecture is not None and row.edges is not None:
            one = found.setdefault(row.architecture, {"edges": text_of(row.edges), "shortcuts": len(row.edges)})
            one.setdefault("jobs", []).append(row.job)
    return found


def curves(store: Store, study: str) -> Iterator[bytes]:
    """Lines of CSV: a number of an epoch of a run that counts; nothing where it was not finite."""
    with store.read() as connection:
        found = results.curves(connection, study)
    yield b"job,kind,seed,epoch,metric,value\r\n"
    for curve in found:
        out = io.StringIO()
        lines = csv.writer(out)
        for epoch, numbers in curve.points:
            for name, value in numbers.items():
                shown = "" if value is None else repr(value)
                lines.writerow([curve.job, curve.kind, curve.seed, epoch, cell(name), shown])
        yield out.getvalue().encode()


def code_tree(code: Path, snapshot: str) -> Iterator[tuple[str, Path | str, bool]]:
    """(name in the archive, the file or a link's target, whether it is a program) of a kept tree."""
    from jobs.files import read_json
    from jobs.odd import from_text
    from jobs.snapshots import Snapshot, folder_of, record_of

    record = read_json(record_of(code, snapshot), Snapshot)
    for file in record.files if record else ():
        yield f"code/{snapshot}/{_shown(file.path)}", folder_of(code, snapshot) / from_text(file.path), file.executable
    for link in record.links if record else ():
        yield f"code/{snapshot}/{_shown(link.path)}", link.target, False


def _shown(path: str) -> str:
    """A path whose odd bytes have a name in ASCII: no zip file holds them."""
    return path.replace("\0", "%")
