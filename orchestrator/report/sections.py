"""The page's plain tables: settings as in Table 1, versions, failures with what followed, jobs with their attempts."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from db.rows import ResultRow, Span
from jobs.words import JobState
from orchestrator.report.data import ReportData
from orchestrator.tables.cells import IDENTITY, job_list
from orchestrator.tables.declared import called, digits
from orchestrator.tables.digits import alone, places, written
from orchestrator.tables.keys import defaults, number, parameters, setting, text
from orchestrator.tables.render import DATASETS
from orchestrator.tables.values import in_order
from orchestrator.tables.varying import by_importance, given, is_house, varying

HARDWARE = frozenset({"cpu", "memory", "system"})
"""Of the versions of an execution: what it ran on."""
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
    accuracy: str
    params_m: str
    shortcuts: str
    spans: tuple[Span, ...]
    attempts: int
    node: str
    gpu_minutes: str
    cpu_minutes: str
    error: str
    detail: str
    given: tuple[str, ...] = ()
    """The values of what varies, where it is no job of the house's study."""
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JobTable:
    """Every job, with the house's columns where there are jobs of its study, and those of programs by their names."""

    house: bool
    given: tuple[str, ...]
    numbers: tuple[str, ...]
    headings: tuple[str, ...]
    """Of `numbers`, as they were declared."""
    lines: tuple[JobLine, ...]


def job_table(data: ReportData) -> JobTable:
    """The jobs of a study, in order of id."""
    others = [row for row in data.rows if not is_house(row.kind)]
    names = varying(list({id(row.config): row.config for row in others}.values()))
    numbers = by_importance(name for row in others for name in row.metrics)
    lines = []
    for line in job_lines(data):
        own: dict[str, Any] = {} if is_house(line.row.kind) else given(line.row.config)
        shown = {} if is_house(line.row.kind) else line.row.metrics
        lines.append(
            replace(
                line,
                given=tuple(text(own[name]) if own.get(name) is not None else "" for name in names),
                numbers=tuple(number_text(shown.get(name), digits(name, [line.row])) for name in numbers),
            )
        )
    return JobTable(
        house=len(others) < len(data.rows),
        given=names,
        numbers=tuple(numbers),
        headings=tuple(called(name, others) for name in numbers),
        lines=tuple(lines),
    )


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
        if "argv" in keys:
            keys = (keys - {"parameters", "quoted"}) | {name for row in members for name in parameters(row)}
        lines = []
        for key in sorted(keys):
            values = list(map(text, in_order(setting(row, key) for row in members)))
            shown = ", ".join(values[:6]) + (f", … ({len(values)} values)" if len(values) > 6 else "")
            lines.append(Setting(name=key, value=shown))
        if lines:
            found.append((kind, lines))
    return found


def versions(data: ReportData) -> list[Setting]:
    """The devices that the jobs ran on and their processors, then every version of what computed, then the code."""
    lines: list[Setting] = []
    for what, attribute in (("device", "device_name"), ("code", "code")):
        if what == "code":
            lines += [
                Setting(name=name, value=data.versions[name])
                for name in sorted(data.versions, key=lambda name: (name not in HARDWARE, name))
            ]
        groups: dict[str, list[ResultRow]] = {}
        for row in data.rows:
            if getattr(row, attribute):
                groups.setdefault(getattr(row, attribute), []).append(row)
        lines += [Setting(name=what, value=f"{name}: {len(groups[name])} jobs") for name in sorted(groups)]
    if changed := [row for row in data.rows if row.code_changed]:
        lines.append(Setting(name="ran with other code than submitted", value=job_list(changed)))
    lines += [Setting(name="since then", value=note) for note in data.afterthoughts]
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
                accuracy=number_text(number(row, "test_accuracy"), digits("test_accuracy", [row])),
                params_m=number_text(number(row, "params_m"), digits("params_m", [row])),
                shortcuts=number_text(number(row, "shortcuts"), None),
                spans=tuple(own),
                attempts=len({span.attempt for span in own}),
                node=own[-1].node if own else "",
                gpu_minutes=minutes_text(row.gpu_seconds),
                cpu_minutes=minutes_text(row.cpu_seconds),
                error=data.errors.get(row.job, ""),
                detail=shlex.join(map(str, row.config["argv"]))
                if "argv" in row.config
                else ", ".join(f"{key}={text(shown)}" for key, shown in sorted(told.items())),
            )
        )
    return found


def by_job(spans: Iterable[Span]) -> Mapping[int, list[Span]]:
    """The executions of each job, in order of start."""
    found: dict[int, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.started_at, span.attempt)):
        found.setdefault(span.job, []).append(span)
    return found


def minutes_text(seconds: float | None) -> str:
    """One decimal, or two significant digits; '-' for what nobody knows."""
    if seconds is None:
        return "-"
    found = seconds / 60
    return written(found, None, max(1, places(found, found, 3, 9)))


def number_text(value: float | None, digits: int | None) -> str:
    """With the decimals that its kind declares, else as many as mean anything; empty for nothing."""
    if value is None:
        return ""
    return alone(value) if digits is None else written(value, None, digits)


def minutes(span: Span) -> float | None:
    return None if span.ended_at is None else (span.ended_at - span.started_at).total_seconds() / 60


def _then(span: Span, later: Span | None, row: ResultRow | None) -> str:
    if later is None:
        return "" if row is None else f"job {row.state}"
    how = "requeued by SLURM" if later.attempt == span.attempt else f"resubmitted as attempt {later.attempt}"
    ended = later.cause or ("runs" if later.ended_at is None else "ended")
    return f"{how} on {later.node}: {ended.replace('_', ' ')}"
