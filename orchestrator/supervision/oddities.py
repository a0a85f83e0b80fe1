"""What lies in the run folders and cannot be used: which file, and why. Ingestion passes over it; people are told."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from db.attempts import StoredAttempt
from jobs.files import Unreadable, decode, load_json, names, tail
from jobs.layout import Layout
from jobs.node.checkpoints import RECORD, CheckpointRecord
from jobs.node.progress import FILE, Progress
from jobs.records import Accepted, JobFile, Manifest, MetricLine, Outcome, Ready, Started
from jobs.usage import FILE as USAGE
from jobs.usage import UsageFile
from jobs.words import BackendName
from slurm.local.record import LocalRecord, record_path

RECORDS = {"started.json": Started, "ready.json": Ready, "outcome.json": Outcome, FILE: Progress, USAGE: UsageFile}
PLAIN = ("heartbeat", "metrics.jsonl", "stdout", "stderr")
LINES_BYTES = 1 << 20
"""Of a history, its end is looked at."""


@dataclass(frozen=True, kw_only=True)
class Odd:
    """A file that is passed over."""

    job: int
    path: Path
    why: str

    def text(self) -> str:
        """In words."""
        return f"job {self.job}: {self.path} is passed over: {self.why}"


def stranger(started: Started, attempt: StoredAttempt) -> str:
    """Why this record is not of an execution of that attempt; empty where it is. Pure."""
    if (started.job, started.attempt) != (attempt.job, attempt.number):
        return f"it is of job {started.job}, attempt {started.attempt}"
    if started.token != attempt.token:
        return f"it is of submission {started.token}, not of {attempt.token}"
    return ""


def of_attempts(layout: Layout, attempts: Collection[StoredAttempt]) -> list[Odd]:
    """Everything odd in the files of those attempts."""
    found: dict[Path, Odd] = {}
    manifests = {attempt.token: attempt.job for attempt in attempts}
    for token, job in manifests.items():
        for path, why in _record(layout.manifest(token), Manifest):
            found.setdefault(path, Odd(job=job, path=path, why=why))
    for attempt in attempts:
        for path, why in _of_attempt(layout, attempt):
            found.setdefault(path, Odd(job=attempt.job, path=path, why=why))
    return list(found.values())


def _of_attempt(layout: Layout, attempt: StoredAttempt) -> Iterator[tuple[Path, str]]:
    folder, submission = layout.job(attempt.job), layout.submission(attempt.token)
    yield from _record(folder / "job.json", JobFile)
    yield from _record(folder / "accepted.json", Accepted)
    if attempt.backend == BackendName.LOCAL:
        yield from _record(record_path(submission), LocalRecord)
    try:
        executions = layout.executions(attempt.job, attempt.number)
    except OSError as error:
        yield layout.attempt(attempt.job, attempt.number), f"it cannot be listed: {error.strerror}"
        return
    for path in executions:
        yield from _of_execution(path, attempt)


def _of_execution(folder: Path, attempt: StoredAttempt) -> Iterator[tuple[Path, str]]:
    try:
        there = names(folder)
        if not there and not folder.is_dir():
            yield folder, "it is no folder"
        steps = names(folder / "checkpoints") if "checkpoints" in there else []
    except OSError as error:
        yield folder, f"it cannot be listed: {error.strerror}"
        return
    for name, kind in RECORDS.items():
        if name in there:
            yield from _record(folder / name, kind)
    try:
        started = load_json(folder / "started.json", Started)
    except Unreadable:
        started = None
    if started is not None and (why := stranger(started, attempt)):
        yield folder / "started.json", why
    for name in PLAIN:
        if name in there and (why := _no_file(folder / name)):
            yield folder / name, why
    odd = _odd_lines(folder / "metrics.jsonl") if "metrics.jsonl" in there else 0
    if odd:
        yield folder / "metrics.jsonl", f"{odd} of its newest lines {'is' if odd == 1 else 'are'} no metric line"
    for name in steps:
        if RECORD.match(name):
            yield from _record(folder / "checkpoints" / name, CheckpointRecord)


def _record(path: Path, kind: type[object]) -> Iterator[tuple[Path, str]]:
    try:
        load_json(path, kind)
    except Unreadable as error:
        yield path, str(error)


def _no_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISREG(mode):
        return "it is no regular file"
    return "" if os.access(path, os.R_OK) else "Permission denied"


def _odd_lines(path: Path) -> int:
    """Whole lines at the end of a history that are none; the first may be cut, the last may be being written."""
    lines = tail(path, LINES_BYTES).split(b"\n")
    odd = 0
    for line in lines[1:-1] if len(lines) > 2 and sum(map(len, lines)) >= LINES_BYTES // 2 else lines[:-1]:
        try:
            decode(line, MetricLine)
        except Unreadable:
            odd += 1
    return odd
