"""`orch show`: one job in full, as JSON and in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.text import Text

from db.details import Detail, Relative
from jobs.records import Architecture
from jobs.space import architecture_hash, parameters, text_of
from jobs.words import Cause
from orchestrator.views.progress import Progress
from orchestrator.views.tables import Cell, columns
from orchestrator.views.words import clock, duration, number, one_line, short

NEWEST_EPOCHS = 5


def as_json(detail: Detail, folder: str) -> dict[str, Any]:
    """Plain data with everything that the store knows."""
    job, result = detail.job, detail.result
    stored: dict[str, Any] = msgspec.to_builtins(job)
    stored.pop("launching")
    return {
        **stored,
        "blocked": bool(detail.blocked_by),
        "blocked_by": list(detail.blocked_by),
        "needed_by": [relative.id for relative in detail.needed_by],
        "folder": folder,
        "launching": msgspec.to_builtins(job.launching),
        "attempts": [_plain(attempt, ("job", "kind", "job_generation")) for attempt in detail.attempts],
        "executions": [
            {**_plain(one, ("job", "latest")), "latest": msgspec.Raw((one.latest or "null").encode())}
            for one in detail.executions
        ],
        "result": None if result is None else _plain(result, ()),
        "events": [_plain(event, ()) for event in detail.events],
    }


def _plain(value: Any, without: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(value)
    return {key: item for key, item in found.items() if key not in without}


def job(detail: Detail, folder: str, progress: Progress | None, now: datetime, width: int) -> Text:
    """Everything about a job."""
    lines = [_title(detail), *_facts(detail, folder, now)]
    if progress is not None:
        lines.append(_fact("progress", progress_text(progress)))
    lines += _attempts(detail, now, width)
    lines += _executions(detail, now, width)
    lines += _result(detail, width)
    return Text("\n").join(lines)


def _title(detail: Detail) -> Text:
    stored = detail.job
    text = Text(f"job {stored.id}", style="bold").append(f"  {stored.kind}  seed {stored.seed}  ", style="not bold")
    text.append(f"{stored.state}", style="bold")
    return text.append("  (imported)" if stored.imported else "", style="not bold")


def _fact(name: str, text: str) -> Text:
    return Text(f"  {name:<13}", style="dim").append(one_line(text), style="not dim")


def _facts(detail: Detail, folder: str, now: datetime) -> list[Text]:
    stored = detail.job
    launching, wanted = stored.launching, stored.launching.resources
    memory = stored.memory_mb or wanted.memory_mb
    facts = {
        "study": f"{stored.study}, preset {stored.preset}" + (f", data set {stored.dataset}" if stored.dataset else ""),
        "settings": settings_text(stored.config),
        "needs": relatives_text(detail.needs),
        "needed by": relatives_text(detail.needed_by),
        "error": stored.error or "",
        "cause": stored.cause or "",
        "next try": f"not before {clock(stored.not_before, now)}" if stored.not_before else "",
        "submitted": clock(stored.created_at, now),
        "code": code_text(detail),
    }
    if not stored.imported:
        gpus = f"{wanted.gpus} GPU{'s' if wanted.gpus > 1 else ''}" if wanted.gpus else "no GPU"
        if wanted.gpus and wanted.gpu_memory_mb:
            gpus += f" (at most {wanted.gpu_memory_mb} MB of its memory)"
        facts["asks for"] = (
            f"{wanted.cpus} CPU{'s' if wanted.cpus > 1 else ''}, {memory} MB, {gpus}, {wanted.minutes} min; "
            f"backend {launching.backend}, device {launching.device}"
        )
        facts["options"] = settings_text(launching.options)
        facts["folder"] = folder
    if stored.generation > 1:
        facts["generation"] = f"{stored.generation}: retried, {'from its checkpoints' if stored.resume else 'anew'}"
    return [_fact(name, text) for name, text in facts.items() if text]


def settings_text(values: Mapping[str, Any]) -> str:
    """'epochs=3 width=0.125'; lists and mappings as JSON."""
    shown = []
    for key, value in values.items():
        if key == "preset":
            continue
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        shown.append(f"{key}={text}")
    return " ".join(shown)


def relatives_text(relatives: Sequence[Relative], most: int = 8) -> str:
    """'3 (succeeded), 4 (running)'."""
    shown = ", ".join(f"{one.id} ({one.state})" for one in relatives[:most])
    return shown if len(relatives) <= most else f"{shown}, … ({len(relatives)} in all)"


def code_text(detail: Detail) -> str:
    """Which code it was submitted with, and whether an execution had another."""
    code = detail.job.launching.fingerprint
    if code is None:
        return ""
    git = f", git {code.commit[:12]}{' with changes' if code.diff else ''}" if code.commit else ""
    changed = ", ".join(f"{one.attempt}/{one.name}" for one in detail.executions if one.code_changed)
    return f"orch {code.version} ({code.source}){git}" + (f"; changed since in execution {changed}" if changed else "")


def progress_text(progress: Progress) -> str:
    """'epoch 3 of 10, 2.1 s an epoch, about 15 s left'."""
    text = f"epoch {progress.epoch}" + (f" of {progress.epochs}" if progress.epochs else "")
    if progress.epoch_seconds:
        text += f", {duration(progress.epoch_seconds)} an epoch"
    if progress.late:
        return text + f", but none ended in the last {duration(progress.silent_seconds)}"
    return text + (f", about {duration(progress.left_seconds)} left" if progress.left_seconds is not None else "")


def _attempts(detail: Detail, now: datetime, width: int) -> list[Text]:
    if not detail.attempts:
        return []
    rows: list[list[Cell]] = []
    for one in detail.attempts:
        where = f"{one.backend} {one.native_id or '(launch not confirmed)'}" + (f"_{one.position}" * (one.size > 1))
        slot = f" {one.slot}" if one.slot else ""
        ended = duration((one.ended_at - one.created_at).total_seconds()) if one.ended_at else ""
        told = one.decision or one.reason or ("to be ended" if one.doomed and one.cause is Cause.CANCELLED else "")
        cause = str(one.cause or one.phase or one.state)
        rows.append(
            [str(one.number), where + slot, one.node or "", clock(one.created_at, now), ended, cause, one_line(told)]
        )
    headings = ["no", "where", "node", "sent", "took", "now", "what orch did"]
    return [
        Text("attempts", style="bold"),
        *columns(headings, rows, width=width, right=(0, 4), stretch=6, drop=(2, 3), indent=2),
    ]


def _executions(detail: Detail, now: datetime, width: int) -> list[Text]:
    if not detail.executions:
        return []
    accepted = detail.result.execution if detail.result else None
    rows: list[list[Cell]] = []
    for one in detail.executions:
        end = one.ended_at or now
        remark = "accepted" if one.id == accepted else "superseded" if one.superseded else ""
        if one.code_changed:
            remark = f"{remark}, code changed".removeprefix(", ")
        if one.error:
            remark = f"{remark}: {one.error}".removeprefix(": ")
        epoch = "" if one.epoch is None else f"{one.epoch}/{one.epochs}" if one.epochs else str(one.epoch)
        rows.append(
            [
                f"{one.attempt}/{one.name}",
                one.node,
                clock(one.started_at, now),
                short((end - one.started_at).total_seconds()),
                epoch,
                "" if one.checkpoint_step < 0 else str(one.checkpoint_step),
                str(one.cause or ("runs" if one.ended_at is None else "")),
                one_line(remark),
            ]
        )
    headings = ["execution", "node", "began", "took", "epoch", "checkpoint", "end", "remark"]
    return [
        Text("executions", style="bold"),
        *columns(headings, rows, width=width, right=(3, 4, 5), stretch=7, drop=(5, 2), indent=2),
    ]


def _result(detail: Detail, width: int) -> list[Text]:
    result = detail.result
    if result is None:
        return []
    rows: list[list[Cell]] = [[name, number(value)] for name, value in result.metrics.items()]
    lines = [Text("result", style="bold"), *columns(["", ""], rows, width=width, right=(1,), indent=2)]
    if result.edges is not None:
        lines.append(_fact("architecture", f"{result.architecture}: {text_of(result.edges)}"))
    lines += [_fact(name, text) for name, text in result.flags.items()]
    return lines


def readout(
    job_id: int, epoch: int, tau: float, method: str, architecture: Architecture, width: float
) -> dict[str, Any]:
    """An architecture read out of α, as plain data. `width`: of the net, for its number of parameters."""
    return {
        "job": job_id,
        "method": method,
        "epoch": epoch,
        "tau": tau,
        "architecture": architecture_hash(architecture.edges),
        "edges": [list(edge) for edge in architecture.edges],
        "text": text_of(architecture.edges),
        "shortcuts": len(architecture.edges),
        "params": parameters(architecture.edges, width),
    }
