"""What a local submission keeps of its worker: its record, and where it prints before it has an execution folder."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.records import Record
from slurm import processes
from slurm.backend import Submission


class LocalRecord(Record, frozen=True, kw_only=True):
    """`local.json` of a submission: which process was started for it, written right after the start."""

    token: str
    host: str
    boot_id: str
    pid: int
    start: int
    """Clock ticks since the boot (proc(5), field 22 of stat): a clock set back does not change it."""
    slot: str
    minutes: float | None = None
    """The time limit, where the user set one."""
    oom_kills: int | None = None
    """The kernel's count of processes killed for memory, before the start."""


def record_path(folder: Path) -> Path:
    return folder / "local.json"


def log_paths(folder: Path, token: str) -> tuple[Path, Path]:
    """(stdout, stderr) of a worker until it has an execution folder, named as submitit names them."""
    return folder / "submitit" / f"{token}_0_log.out", folder / "submitit" / f"{token}_0_log.err"


def printed(folder: Path, token: str, limit: int = 16_384) -> str:
    """The end of what a worker printed before it had an execution folder, stdout first."""
    texts = []
    for path in log_paths(folder, token):
        try:
            with path.open("rb") as handle:
                handle.seek(max(0, path.stat().st_size - limit))
                texts.append(handle.read().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(texts)


def time_limit(options: Mapping[str, Any]) -> float | None:
    """The minutes that the user gave the job; a local job has no limit otherwise."""
    minutes = options.get("minutes")
    return None if minutes is None else float(minutes)


def describe(submission: Submission, worker: processes.Process, oom_kills: int | None) -> LocalRecord:
    """The record of a process that was started for this submission."""
    return LocalRecord(
        token=submission.token,
        host=socket.gethostname(),
        boot_id=processes.boot_id(),
        pid=worker.pid,
        start=worker.start,
        slot=submission.batch.slot or "",
        minutes=time_limit(submission.batch.jobs[0].options),
        oom_kills=oom_kills,
    )
