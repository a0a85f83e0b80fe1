"""Where a job's output lies, and reading it as it grows: what was printed before its worker began, then its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from db.attempts import StoredAttempt
from jobs.files import names, read_json
from jobs.layout import Layout
from jobs.records import Outcome, Started
from jobs.words import BackendName
from slurm.local_record import log_paths

STREAMS = ("stdout", "stderr")
BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of output; `title` says of what."""

    title: str
    path: Path


def parts(layout: Layout, attempt: StoredAttempt, streams: Sequence[str] = STREAMS) -> list[Part]:
    """The files of an attempt that there are now: the submission's, then those of each execution, oldest first."""
    found = [
        Part(title=f"attempt {attempt.number}, before its worker began", path=path)
        for path in submission_logs(layout, attempt)
        if stream_of(path) in streams
    ]
    folders = layout.executions(attempt.job, attempt.number)
    started = {folder: read_json(folder / "started.json", Started) for folder in folders}
    known = [(record.at, folder, record) for folder, record in started.items() if record is not None]
    for _, folder, record in sorted(known, key=lambda item: item[:2]):
        there = names(folder)
        title = f"attempt {attempt.number}, {folder.name} on {record.node} since {record.at:%Y-%m-%d %H:%M:%S} UTC"
        found += [Part(title=f"{title}: {name}", path=folder / name) for name in streams if name in there]
    return found


def submission_logs(layout: Layout, attempt: StoredAttempt) -> list[Path]:
    """submitit's log files of an attempt's task, found by listing."""
    folder = layout.submission(attempt.token)
    if attempt.backend == BackendName.LOCAL:
        return [path for path in log_paths(folder, attempt.token) if path.exists()]
    logs = folder / "submitit"
    if attempt.native_id is None:
        return [logs / name for name in names(logs) if name.endswith("_log.out") and attempt.size == 1]
    task = f"{attempt.native_id}_{attempt.position}" if attempt.size > 1 else attempt.native_id
    wanted = {f"{task}_0_log.out", f"{task}_0_log.err"}
    return [logs / name for name in names(logs) if name in wanted]


def stream_of(path: Path) -> str:
    """Which stream a log of submitit holds."""
    return "stderr" if path.suffix == ".err" else "stdout"


def traceback_of(layout: Layout, attempt: StoredAttempt) -> str | None:
    """The traceback that the newest execution's outcome kept, where its stderr does not show it."""
    for folder in reversed(layout.executions(attempt.job, attempt.number)):
        outcome = read_json(folder / "outcome.json", Outcome)
        if outcome is None or not outcome.traceback:
            continue
        last = outcome.traceback.strip().splitlines()[-1].encode()
        try:
            shown = last in (folder / "stderr").read_bytes()
        except OSError:
            shown = False
        return None if shown else outcome.traceback
    return None


class Reader:
    """Reads what is new in files that grow."""

    def __init__(self) -> None:
        self._offsets: dict[Path, int] = {}

    def new(self, path: Path) -> bytes:
        """What was written since the last call; at most a megabyte at once."""
        offset = self._offsets.get(path, 0)
        try:
            with path.open("rb") as handle:
                handle.seek(offset)
                data = handle.read(BLOCK)
        except OSError:
            return b""
        self._offsets[path] = offset + len(data)
        return data
