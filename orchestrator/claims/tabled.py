"""A claim's table and its rows: made again by the engine of `orch table`, and held against the journal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from db.layouts import Layout
from db.rows import ResultRow
from jobs.errors import BadInput
from jobs.files import Unreadable, decode
from jobs.words import JobState
from orchestrator.claims.findings import Case, Finding
from orchestrator.claims.ledger import Job, stands
from orchestrator.claims.records import Claim
from orchestrator.report.outputs import MadeOf, Plain
from orchestrator.tables.filters import select
from orchestrator.views.words import plural


def table_of(rows: Sequence[ResultRow], layouts: Sequence[Layout]) -> str:
    """As `orch table --json` gives it. Raises BadInput."""
    everything = [row for row in rows if row.state != JobState.CANCELLED]
    counted = [row for row in everything if row.dropped is None]
    return Plain(MadeOf(rows=counted, everything=everything, layouts=layouts), False, "en").text("json")


def against_rows(case: Case, mine: Sequence[Job], rows: Sequence[ResultRow]) -> None:
    """The rows that the table is made of, against the journal."""
    by_id = {row.job: row for row in rows}
    for job in mine:
        row = by_id.pop(job.id, None)
        if row is None:
            case.say("differs", job, f"is in the journal as job {job.id}, and not among the table's jobs")
        elif (row.kind, row.seed, row.config) != (job.kind, job.seed, job.config):
            case.say("differs", job, f"is job {job.id} of other settings in the table than in the journal")
        elif dict(row.metrics) != dict(job.metrics or {}):
            text = f"has {case.number(row.metrics) or 'no number'} in the table, and the journal accepted "
            case.say("differs", job, text + (case.number(job.metrics or {}) or "none") + _which(row, job))
        elif row.dropped != job.dropped or stands(row.state) != job.state:
            case.say("differs", job, f"is {_word(row)} in the table, and the journal says otherwise")
    for row in by_id.values():
        case.verdict.findings.append(
            Finding(what="differs", text=f"job {row.job} (seed {row.seed}) is in the table, and no entry made it")
        )


def _which(row: ResultRow, job: Job) -> str:
    mine = job.metrics or {}
    names = sorted(name for name in {*row.metrics, *mine} if row.metrics.get(name) != mine.get(name))
    return f" ({', '.join(names[:3])})" if names else ""


def _word(row: ResultRow) -> str:
    return "dropped" if row.dropped is not None else str(row.state)


def filtered(case: Case, claim: Claim, rows: Sequence[ResultRow]) -> None:
    counted = [row for row in rows if row.dropped is None and row.state != JobState.CANCELLED]
    for layout in claim.layouts:
        if layout.filters:
            own = [row for row in counted if not layout.experiment or row.experiment == layout.experiment]
            kept = {row.job for row in select(own, layout.filters)}
            out = [row.job for row in own if row.job not in kept]
            by = ", ".join(layout.filters)
            if out:
                case.verdict.findings.append(
                    Finding(
                        what="filtered",
                        text=f"the study file's table leaves {plural(len(out), 'job')} out by {by}",
                    )
                )


def table_again(case: Case, claim: Claim, rows: Sequence[ResultRow]) -> None:
    """The table again, by the same engine."""
    try:
        made = msgspec.json.decode(table_of(rows, claim.layouts))
        said = decode(bytes(claim.tables), Any)
    except (BadInput, Unreadable) as error:
        case.verdict.findings.append(Finding(what="table", text=f"the table cannot be made of its results: {error}"))
        return
    wrong = list(_unequal(said, made, ""))
    case.verdict.equal = not wrong
    for where, one, other in wrong[:5]:
        text = f"the table says {_shown(one)} at {where or 'its top'}, its results give {_shown(other)}"
        case.verdict.findings.append(Finding(what="table", text=text))


def _unequal(said: Any, made: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """(where, said, made) of each number that is another one; footnotes are no numbers."""
    if isinstance(said, dict) and isinstance(made, dict):
        for name in sorted({*said, *made} - {"notes"}):
            yield from _unequal(said.get(name), made.get(name), f"{where}.{name}".strip("."))
    elif isinstance(said, list) and isinstance(made, list) and len(said) == len(made):
        for place, (one, other) in enumerate(zip(said, made, strict=True)):
            yield from _unequal(one, other, f"{where}[{place}]")
    elif said != made:
        yield where, said, made


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:60] + "…"
