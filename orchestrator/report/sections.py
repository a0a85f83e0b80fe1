"""The page's plain tables: settings as in Table 1, versions, failures with what followed, jobs with their attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from db.rows import ResultRow, Span
from jobs.words import JobState
from orchestrator.report.data import ReportData
from orchestrator.tables.cells import IDENTITY, job_list
from orchestrator.tables.keys import defaults, number, setting, text
from orchestrator.tables.render import DATASETS

STATES = (
    JobState.FAILED, JobState.RUNNING, JobState.SUBMITTED, JobState.QUEUED, JobState.WAITING, JobState.SUCCEEDED,
    JobState.CANCELLED,
)  # fmt: skip
"""What needs a person first."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A line of the settings: one value, or each value with the kinds that have it."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An execution that ended otherwise than by success, and what was done about it."""

    span: Span
    minutes: float | None
    error: str
    then: str


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """A job with everything that was tried."""

    row: ResultRow
    state: str
    accuracy: float | None
    params_m: float | None
    shortcuts: float | None
    spans: tuple[Span, ...]
    attempts: int
    node: str
    gpu_minutes: float
    error: str
    detail: str


def counts(rows: Iterable[ResultRow]) -> list[tuple[str, int]]:
    """(state, jobs), the failing first; blocked ones are counted by themselves."""
    found = Counter("blocked" if row.blocked else str(row.state) for row in rows)
    order = [str(state) for state in STATES]
    return sorted(found.items(), key=lambda pair: -1 if pair[0] == "blocked" else order.index(pair[0]))


def table1(rows: Sequence[ResultRow]) -> list[Setting]:
    """The lines of the report's Table 1, as these jobs have them; empty where none of them trains."""
    trained = [row for row in rows if setting(row, "batch_size") is not None]
    if not trained:
        return []

    def shown(line: str, *keys: str) -> str:
        values: dict[str, set[str]] = {}
        for row in trained:
            name = line.format(*(text(setting(row, key)) for key in keys))
            values.setdefault(name, set()).add(row.kind)
        if len(values) == 1:
            return next(iter(values))
        return "; ".join(f"{name} ({', '.join(sorted(values[name]))})" for name in sorted(values))

    lines = {
        "base model": shown("VGG19 with batch normalisation, width × {}", "width"),
        "Optim(w)": shown("SGD(lr={}, momentum={}, weight decay={})", "lr", "momentum", "weight_decay"),
        "Scheduler(w)": shown("Step(γ={}, step size={})", "gamma", "step_size"),
        "Loss": "cross entropy",
        "dataset": ", ".join(sorted({DATASETS.get(row.dataset, row.dataset) for row in trained})),
        "batch size": shown("{}", "batch_size"),
        "epochs": shown("{}", "epochs"),
    }
    return [Setting(name=name, value=value) for name, value in lines.items()]


def other_settings(rows: Sequence[ResultRow]) -> list[tuple[str, list[Setting]]]:
    """For each kind, every other setting with all its values."""
    told = IDENTITY | {"width", "lr", "momentum", "weight_decay", "gamma", "step_size", "batch_size", "epochs"}
    found = []
    for kind in sorted({row.kind for row in rows}):
        members = [row for row in rows if row.kind == kind]
        keys = {key for row in members for key in (*row.config, *defaults(kind, row.preset, row.imported))} - told
        lines = []
        for key in sorted(keys):
            values = sorted({text(setting(row, key)) for row in members})
            shown = ", ".join(values[:6]) + (f", … ({len(values)} values)" if len(values) > 6 else "")
            lines.append(Setting(name=key, value=shown))
        if lines:
            found.append((kind, lines))
    return found


def versions(data: ReportData) -> list[Setting]:
    """Libraries, then which code and which devices the jobs ran on."""
    lines = [Setting(name=name, value=data.versions[name]) for name in sorted(data.versions)]
    for what, attribute in (("code", "code"), ("device", "device_name")):
        groups: dict[str, list[ResultRow]] = {}
        for row in data.rows:
            if getattr(row, attribute):
                groups.setdefault(getattr(row, attribute), []).append(row)
        lines += [Setting(name=what, value=f"{name}: {len(groups[name])} jobs") for name in sorted(groups)]
    if changed := [row for row in data.rows if row.code_changed]:
        lines.append(Setting(name="ran with other code than submitted", value=job_list(changed)))
    if imported := [row for row in data.rows if row.imported]:
        lines.append(Setting(name="imported results", value=str(len(imported))))
    return lines


def failures(data: ReportData) -> list[Failure]:
    """Every execution that ended badly, the newest first, with what came after it."""
    states = {row.job: row for row in data.rows}
    found = []
    for job, spans in by_job(data.spans).items():
        for index, span in enumerate(spans):
            if span.cause in (None, "success"):
                continue
            later = spans[index + 1] if index + 1 < len(spans) else None
            found.append(
                Failure(
                    span=span,
                    minutes=minutes(span),
                    error=data.errors.get(job, "") if later is None else "",
                    then=_then(span, later, states.get(job)),
                )
            )
    return sorted(found, key=lambda failure: failure.span.started_at, reverse=True)


def job_lines(data: ReportData) -> list[JobLine]:
    """Every job in order of id."""
    spans = by_job(data.spans)
    found = []
    for row in sorted(data.rows, key=lambda row: row.job):
        own = spans.get(row.job, [])
        state = "blocked" if row.blocked else "imported" if row.imported else str(row.state)
        told = {key: shown for key, shown in row.config.items() if key not in ("preset", "dataset")}
        found.append(
            JobLine(
                row=row,
                state=state,
                accuracy=number(row, "test_accuracy"),
                params_m=number(row, "params_m"),
                shortcuts=number(row, "shortcuts"),
                spans=tuple(own),
                attempts=len({span.attempt for span in own}),
                node=own[-1].node if own else "",
                gpu_minutes=row.gpu_seconds / 60,
                error=data.errors.get(row.job, ""),
                detail=", ".join(f"{key}={text(shown)}" for key, shown in sorted(told.items())),
            )
        )
    return found


def by_job(spans: Iterable[Span]) -> Mapping[int, list[Span]]:
    """The executions of each job, in order of start."""
    found: dict[int, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.started_at, span.attempt)):
        found.setdefault(span.job, []).append(span)
    return found


def minutes(span: Span) -> float | None:
    return None if span.ended_at is None else (span.ended_at - span.started_at).total_seconds() / 60


def _then(span: Span, later: Span | None, row: ResultRow | None) -> str:
    if later is None:
        return "" if row is None else f"job {row.state}"
    how = "requeued by SLURM" if later.attempt == span.attempt else f"resubmitted as attempt {later.attempt}"
    ended = later.cause or ("runs" if later.ended_at is None else "ended")
    return f"{how} on {later.node}: {ended.replace('_', ' ')}"
