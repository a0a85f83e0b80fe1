"""What a local submission keeps of its worker: its record, and where it prints before it has an execution folder."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs import hosts
from jobs.files import tail
from jobs.records import Amount, Name, Number, Pid, Record, Step
from slurm.local import processes


class LocalRecord(Record, frozen=True, kw_only=True):
    """`local.json` of a submission: which process was started for it, written right after the start."""

    token: Name
    host: Name
    boot_id: Name
    namespace: Number = 0
    """Of pids (a container has its own); 0 where it is not known."""
    pid: Pid
    start: Step
    """Clock ticks since the boot (proc(5), field 22 of stat): a clock set back does not change it."""
    slot: str
    minutes: Amount | None = None
    """The time limit, where the user set one."""
    oom_kills: int | None = None
    """The kernel's count of processes killed for memory, before the start."""

    @property
    def is_here(self) -> bool:
        """Whether its pid means something to us: same boot, same pids. A host's name may change, or be another's."""
        here = self.namespace == processes.namespace() if self.namespace else self.host == socket.gethostname()
        return here and self.boot_id == hosts.boot_id()


def record_path(folder: Path) -> Path:
    return folder / "local.json"


def log_paths(folder: Path, token: str) -> tuple[Path, Path]:
    """(stdout, stderr) of a worker until it has an execution folder, named as submitit names them."""
    return folder / "submitit" / f"{token}_0_log.out", folder / "submitit" / f"{token}_0_log.err"


def printed(folder: Path, token: str, limit: int = 16_384) -> str:
    """The end of what a worker printed before it had an execution folder, stdout first."""
    texts = [tail(path, limit).decode(errors="replace") for path in log_paths(folder, token)]
    return "\n".join(text for text in texts if text)


def time_limit(options: Mapping[str, Any]) -> float | None:
    """The minutes that the user gave the job; a local job has no limit otherwise."""
    minutes = options.get("minutes")
    return None if minutes is None else float(minutes)


def describe(
    token: str, worker: processes.Process, slot: str, *, minutes: float | None = None, oom_kills: int | None = None
) -> LocalRecord:
    """The record of a process that runs here."""
    return LocalRecord(
        token=token,
        host=socket.gethostname(),
        boot_id=hosts.boot_id(),
        namespace=processes.namespace(),
        pid=worker.pid,
        start=worker.start,
        slot=slot,
        minutes=minutes,
        oom_kills=oom_kills,
    )
