"""`orch show`: one job in full, as JSON and in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.text import Text

from db.attempts import StoredAttempt
from db.details import Detail, Relative
from jobs.architectures import architecture_hash, parameters, text_of
from jobs.records import Architecture
from jobs.reported import FIELDS, Declared, Reported
from jobs.words import AttemptState, Cause
from orchestrator.tables import keys
from orchestrator.tables.values import as_data
from orchestrator.tables.varying import by_importance, given
from orchestrator.views import program
from orchestrator.views.progress import Progress
from orchestrator.views.tables import Cell, columns
from orchestrator.views.words import clock, duration, number, one_line, short

NEWEST_EPOCHS = 5
OF_THE_JOB = ("job", "kind", "job_generation", "launch", "job_launch", "priority", "recall")
"""Of an attempt: what stands with its job, or means nothing outside the database."""


def as_json(detail: Detail, folder: str) -> dict[str, Any]:
    """Plain data with everything that the store knows."""
    job, result = detail.job, detail.result
    stored: dict[str, Any] = msgspec.to_builtins(job)
    stored.pop("launching")
    stored.pop("launch")
    return {
        **stored,
        "blocked": bool(detail.blocked_by),
        "blocked_by": list(detail.blocked_by),
        "needed_by": [relative.id for relative in detail.needed_by],
        "rests_on": [_plain(rest, ()) for rest in detail.rests_on],
        "folder": folder,
        "launching": msgspec.to_builtins(job.launching),
        "parameters": {name: as_data(value) for name, value in given(job.config).items()},
        "attempts": [_plain(attempt, OF_THE_JOB) for attempt in detail.attempts],
        "executions": [
            {**_plain(one, ("job", "latest")), "latest": msgspec.Raw((one.latest or "null").encode())}
            for one in detail.executions
        ],
        "gpu_seconds": used(detail)[0],
        "cpu_seconds": used(detail)[1],
        "result": None if result is None else _plain(result, ()),
        "events": [_plain(event, ()) for event in detail.events],
    }


def _plain(value: Any, without: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(value)
    return {key: item for key, item in found.items() if key not in without}


def job(
    detail: Detail, folder: str, progress: Progress | None, now: datetime, width: int, more: Mapping[str, str]
) -> Text:
    """Everything about a job. `more`: what else is known of it, name → text."""
    lines = [_title(detail), *_facts(detail, folder, now)]
    lines += [_fact(name, text) for name, text in more.items() if text]
    if progress is not None:
        lines.append(_fact("progress", progress_text(progress)))
    if numbers := newest_numbers(detail):
        lines.append(_fact("numbers", numbers))
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
    return Text(f"  {name:<12} ", style="dim").append(one_line(text), style="not dim")


def _facts(detail: Detail, folder: str, now: datetime) -> list[Text]:
    stored = detail.job
    launching, wanted = stored.launching, stored.launching.resources
    memory = stored.memory_mb or wanted.memory_mb
    facts = {
        "study": f"{stored.study}, preset {stored.preset}" + (f", data set {stored.dataset}" if stored.dataset else ""),
        "settings": "" if "argv" in stored.config else settings_text(stored.config),
        "parameters": parameters_text(stored.config) if "argv" in stored.config else "",
        "needs": relatives_text(detail.needs),
        "needed by": relatives_text(detail.needed_by),
        "rests on": "; ".join(rests_text(detail)),
        "error": stored.error or "",
        "cause": stored.cause or "",
        "next try": f"not before {clock(stored.not_before, now)}" if stored.not_before else "",
        "submitted": clock(stored.created_at, now),
        "code": code_text(detail),
    }
    gpu, cpu = used(detail)
    facts["GPU time"] = "" if gpu is None else duration(gpu)
    facts["CPU time"] = "" if cpu is None else duration(cpu)
    if not stored.imported:
        gpus = f"{wanted.gpus} GPU{'s' if wanted.gpus > 1 else ''}" if wanted.gpus else "no GPU"
        if wanted.gpus and wanted.gpu_memory_mb:
            gpus += f" (at most {wanted.gpu_memory_mb} MB of its memory)"
        facts["asks for"] = (
            f"{wanted.cpus} CPU{'s' if wanted.cpus > 1 else ''}, {memory} MB, {gpus}, {wanted.minutes} min; "
            f"backend {launching.backend}, device {launching.device}"
            + (f"; priority {stored.priority}" if stored.priority else "")
        )
        facts["numbers"] = program.reported(launching.options)
        facts["options"] = settings_text({name: one for name, one in launching.options.items() if name not in FIELDS})
        facts["folder"] = folder
    if stored.generation > 1:
        facts["generation"] = f"{stored.generation}: retried, {'from its checkpoints' if stored.resume else 'anew'}"
    return [_fact(name, text) for name, text in facts.items() if text]


def rests_text(detail: Detail) -> list[str]:
    """What a result rests on that counts no more: 'generation 1 of job 5, superseded by generation 2'."""
    found = []
    for one in detail.rests_on:
        why = [f"superseded by generation {one.superseded_by}"] if one.superseded_by is not None else []
        why += [f"dropped by hand ({one.dropped})"] if one.dropped is not None else []
        found.append(f"generation {one.generation} of job {one.job}, {' and '.join(why)}")
    return found


def used(detail: Detail) -> tuple[float | None, float | None]:
    """(GPU seconds, CPU seconds) over all executions that have ended; None where none was used, or nobody knows."""
    gpu = sum(one.gpu_seconds for one in detail.executions)
    cut = sum(one.wall_seconds / one.gpu_parts for one in detail.executions if one.ending is None)
    wall = sum(one.wall_seconds for one in detail.executions)
    wanted = detail.job.launching.resources
    return gpu + cut * wanted.gpus if gpu else None, wall * wanted.cpus or None


def settings_text(values: Mapping[str, Any]) -> str:
    """'epochs=3 width=0.125'; lists and mappings as JSON."""
    shown = []
    for key, value in values.items():
        if key == "preset":
            continue
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        shown.append(f"{key}={text}")
    return " ".join(shown)


def parameters_text(config: Mapping[str, Any]) -> str:
    """'lr=0.1 opt=sgd': what a program was given, by name."""
    return " ".join(f"{name}={keys.text(value)}" for name, value in given(config).items())


def newest_numbers(detail: Detail) -> str:
    """'val/acc 91.2, loss 0.31': what the newest execution of a job without a result has reported so far."""
    latest = detail.executions[-1].latest if detail.executions and detail.result is None else None
    found: dict[str, float | None] = msgspec.json.decode(latest) if latest else {}
    return ", ".join(f"{name} {number(found[name])}" for name in by_importance(found))


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
        where = f"{one.backend} {one.native_id or '(launch not confirmed)'}" + (
            "" if one.task is None else f"_{one.task}"
        )
        where += f", {one.pieces} pieces" * (one.pieces > 0)
        slot = f" {one.slot}" if one.slot else ""
        ended = duration((one.ended_at - one.created_at).total_seconds()) if one.ended_at else ""
        told = one.decision or one.reason or ("to be ended" if one.doomed and one.cause is Cause.CANCELLED else "")
        told = "; ".join(text for text in (told, terms_text(one)) if text)
        cause = str(one.cause or one.phase or one.state)
        rows.append(
            [str(one.number), where + slot, one.node or "", clock(one.created_at, now), ended, cause, one_line(told)]
        )
    headings = ["no", "where", "node", "sent", "took", "now", "what orch did"]
    return [
        Text("attempts", style="bold"),
        *columns(headings, rows, width=width, right=(0, 4), stretch=6, drop=(2, 3), indent=2),
    ]


def terms_text(attempt: StoredAttempt) -> str:
    """What was changed of it in the queue, and that its job is to be run otherwise by now."""
    told = []
    if attempt.altered is not None:
        units = {"minutes": " min", "memory_mb": " MB", "cpus": " CPUs"}
        given = {name: value for name, value in attempt.altered.given().items() if name != "nice" or value}
        words = [f"{value}{units[name]}" if name in units else f"{name} {value}" for name, value in given.items()]
        told += [f"changed in the queue: {', '.join(words)}"] if words else []
    if attempt.state is not AttemptState.ENDED and attempt.launch not in (None, attempt.job_launch):
        runs = attempt.state is AttemptState.RUNNING
        told.append("other terms from its next attempt on" if runs else "other terms are due")
    return "; ".join(told)


def _executions(detail: Detail, now: datetime, width: int) -> list[Text]:
    if not detail.executions:
        return []
    accepted = detail.result.execution if detail.result else None
    rows: list[list[Cell]] = []
    there = {one.number for one in detail.attempts if one.state is not AttemptState.ENDED or one.doomed}
    for one in detail.executions:
        runs = one.ended_at is None and one.attempt in there
        end = one.ended_at or (now if runs else one.started_at)
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
                short((end - one.started_at).total_seconds()) if runs or one.ended_at else "-",
                epoch,
                "" if one.checkpoint_step < 0 else str(one.checkpoint_step),
                str(one.cause or ("runs" if runs else "lost" if one.ended_at is None else "")),
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
    declared = Reported.of(detail.job.launching.options).metrics
    rows: list[list[Cell]] = []
    for name, value in result.metrics.items():
        one = declared.get(name, Declared())
        rows.append([name, number(value), one.unit, one.label])
    lines = [Text("result", style="bold"), *columns([""] * 4, rows, width=width, right=(1,), indent=2)]
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
